//! Commits that the hub should not have accepted, with the target as a participant, which soft-fails them (LM-04 §2, §4.3,
//! §5.1).

use mimi_linearized::event::Draft;
use mimi_mls::OutboundCommit;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::followed::{FollowedRoom, Made, follow, id_of};
use crate::cases::steps::reference_id;
use crate::context::Context;
use crate::mls::{ALGORITHM, MlsDevice, commit_content};

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Participant,
        "2/soft-failed-commit-stays",
        "a room goes on from a soft-failed commit, which is neither reported nor disputed",
        ["LM-04/2/4", "R11", "TR-00/3/45"],
        stays
    ),
    driven_case!(
        Should,
        Participant,
        "2/soft-failed-commit-is-hidden",
        "a soft-failed commit is not shown to local users",
        ["LM-04/2/2", "TR-00/3/43"],
        is_hidden
    ),
    driven_case!(
        Should,
        Participant,
        "5.1/soft-failed-commit",
        "a commit that adds the device of somebody who is not joined has no effect on the group",
        ["LM-04/5.1/14", "TR-00/3/9"],
        has_no_effect
    ),
];

/// An encrypted room of the suite that the target follows, with the first commit in it.
struct Encrypted<'c> {
    followed: FollowedRoom<'c>,
    device: MlsDevice,
    /// A commit that adds a device of somebody who is not in the room, as the event that would come next.
    breach: Value,
}

async fn encrypted(ctx: &Context) -> Result<Encrypted<'_>, Finding> {
    let hub = ctx.peer().await?;
    let room = hub.host_room(json!({"encryption": {"algorithm": ALGORITHM}})).await?;
    let followed = follow(ctx, hub, room).await?;
    let mut device = ctx.device(&followed.host, "HOST")?;
    device.create_group(&followed.room.id)?;
    let first = device.update(&followed.room.id)?;
    accept(&followed, &mut device, &first).await?;
    let mallory = ctx.device(&followed.hub.user("mallory")?, "M")?;
    let commit = device.add(&followed.room.id, &[&mallory.key_package()?])?;
    let (cites, head) = (followed.room.cites(&followed.host), followed.room.head());
    let breach = followed.hub.forge_pdu(event(&followed, &commit), &cites, &head)?;
    device.refused(&followed.room.id)?;
    Ok(Encrypted { followed, device, breach })
}

fn event(followed: &FollowedRoom<'_>, commit: &OutboundCommit) -> Draft {
    followed.hub.draft(&followed.room.id, &followed.host, "m.mls.commit", commit_content(commit))
}

/// The hub accepts a commit of its user's device.
async fn accept(
    followed: &FollowedRoom<'_>,
    device: &mut MlsDevice,
    commit: &OutboundCommit,
) -> Result<(), Finding> {
    let event = followed.hub.host_says(&followed.room, event(followed, commit)).await?;
    followed.lists(&event, "a sound commit").await?;
    device.accepted(&followed.room.id, &reference_id(&event)).map(drop)
}

/// The epoch that the target says the group is in.
async fn epoch(followed: &FollowedRoom<'_>) -> Result<Option<u64>, Finding> {
    Ok(followed.ctx.room(&followed.room.id).await?.mls_epoch())
}

impl Encrypted<'_> {
    /// The hub sends the breach; it is not reported.
    async fn breaks(&self) -> Result<Made, Finding> {
        let made = self.followed.offer(&self.breach).await?;
        if made == Made::Rejected {
            return Err(fault("a commit that the hub should not have accepted is reported, not soft-failed"));
        }
        Ok(made)
    }

    /// The hub goes on from the breach with this event, which the target lists.
    async fn goes_on_with(&self, draft: Draft) -> Result<Value, Finding> {
        let followed = &self.followed;
        let cites = followed.room.cites(&followed.host);
        let next = followed.hub.forge_pdu(draft, &cites, &id_of(&self.breach)?)?;
        let made = followed.offer(&next).await?;
        check!(made == Made::Listed, "an event that follows a soft-failed commit is {made}");
        Ok(next)
    }
}

async fn stays(ctx: &Context) -> Result<(), Finding> {
    let room = encrypted(ctx).await?;
    room.breaks().await?;
    let next = room.goes_on_with(room.followed.message("after a soft-failed commit")).await?;
    let now = ctx.room(&room.followed.room.id).await?;
    check!(now.head() == reference_id(&next), "the last event is {}", now.head());
    check!(!now.is_disputed(), "a soft-failed event makes the room disputed");
    Ok(())
}

async fn is_hidden(ctx: &Context) -> Result<(), Finding> {
    let room = encrypted(ctx).await?;
    room.breaks().await?;
    room.goes_on_with(room.followed.message("after a soft-failed commit")).await?;
    let shown = room.followed.listed(&reference_id(&room.breach)).await?;
    check!(shown.is_none(), "a commit that the hub should not have accepted is shown like any other event");
    Ok(())
}

async fn has_no_effect(ctx: &Context) -> Result<(), Finding> {
    let mut room = encrypted(ctx).await?;
    let now = epoch(&room.followed).await?;
    check!(now == Some(1), "after the first commit the group is in epoch {now}", now = said(&now));
    room.breaks().await?;
    let now = epoch(&room.followed).await?;
    check!(
        now == Some(1),
        "after a commit that adds a stranger's device the group is in epoch {now}",
        now = said(&now)
    );
    // The epoch is still to be had by a sound commit.
    let commit = room.device.update(&room.followed.room.id)?;
    room.goes_on_with(event(&room.followed, &commit)).await?;
    let now = epoch(&room.followed).await?;
    check!(
        now == Some(2),
        "after a sound commit that follows it the group is in epoch {now}",
        now = said(&now)
    );
    Ok(())
}
