//! Proposals that a hub never saw (LM-04 §4.3).

use mimi_mls::{OutboundCommit, Suite};
use serde_json::json;

use crate::case::{Case, Finding, check, driven_case, said};
use crate::cases::steps::hub_room_with;
use crate::context::Context;
use crate::mls::commit_content;

pub(super) const CASES: &[Case] = &[driven_case!(
    Must,
    Hub,
    "4.3/proposal-by-reference",
    "a commit that refers to another member's proposal is refused, since no proposal is ever sent to a room",
    ["LM-04/4.3/1", "LM-04/4.3/9"],
    proposal_by_reference
)];

async fn proposal_by_reference(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room_with(ctx, json!({"join_rule": "public", "encrypted": true})).await?;
    let made = mimi_mls_foreign::commit_by_reference(room.bob.as_str(), Suite::MANDATORY, room.id.as_str());
    let made = made.map_err(|error| Finding::Suite(format!("MLS on the suite's side: {error}")))?;
    for device in made.devices {
        let id = device.address().device_id().to_owned();
        ctx.published().publish(room.bob.as_str(), &id, device.into_value());
    }
    let event = |commit: &OutboundCommit| {
        room.peer.draft(&room.id, &room.bob, "m.mls.commit", commit_content(commit))
    };
    room.accepts(&event(&made.sound)).await?;
    room.rejects(&event(&made.unsound), "a commit that refers to another member's proposal").await?;
    let epoch = ctx.room(&room.id).await?.mls_epoch();
    check!(
        epoch == Some(1),
        "after a commit that was refused the group is in epoch {epoch}",
        epoch = said(&epoch)
    );
    Ok(())
}
