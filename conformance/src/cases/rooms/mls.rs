//! MLS in rooms, with the target as the hub (LM-04 §4).

use mimi_linearized::event::Draft;
use mimi_linearized::id::RoomId;
use mimi_mls::OutboundCommit;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::{HubRoom, Tolerated, expect_refusal, hub_room_with, reference_id};
use crate::context::Context;
use crate::mls::{ALGORITHM, MlsDevice, commit_content};
use crate::peer::lpdu_hash;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "4/encryption-of-a-room",
        "a room's create event says how it is encrypted, and nothing later changes that",
        ["LM-04/4/3", "LM-04/4/4"],
        encryption_of_a_room
    ),
    driven_case!(
        Must,
        Hub,
        "4/other-group",
        "a commit of another group than the room's is refused",
        ["LM-04/4/1", "R27", "R28"],
        other_group
    ),
    driven_case!(
        Must,
        Hub,
        "4/private-message",
        "a commit that is no PublicMessage is refused",
        ["LM-04/4/2", "R28"],
        private_message
    ),
    driven_case!(
        Must,
        Hub,
        "4.3/joined-device",
        "a commit that adds a joined user's device is accepted, and the epoch moves on",
        ["LM-04/4.3/3", "LM-04/4/7", "LM-04/4.5.1/2", "R27", "R28"],
        joined_device
    ),
    driven_case!(
        Must,
        Hub,
        "4.3/strangers-device",
        "a commit that adds the device of a user who is not joined is refused and reported",
        ["LM-04/4.3/4", "LM-04/4.3/9", "LM-04/5.1/13", "R28"],
        strangers_device
    ),
    driven_case!(
        Must,
        Hub,
        "4.3/first-commit-with-stranger",
        "the first commit brings in nobody who is not joined",
        ["LM-04/4.3/4", "R28"],
        first_commit_with_stranger
    ),
    driven_case!(
        Must,
        Hub,
        "4.3/device-of-a-joined-user-removed",
        "a commit that removes the device of another user who is still joined is refused",
        ["LM-04/4.3/6", "LM-04/4.3/9", "R28"],
        device_of_a_joined_user_removed
    ),
    driven_case!(
        Must,
        Hub,
        "4.3/own-device-removed",
        "a commit that removes another device of the same user is accepted",
        ["LM-04/4.3/7", "FW-01/4/2", "TR-00/2/19"],
        own_device_removed
    ),
    driven_case!(
        Must,
        Hub,
        "4.3/device-of-a-gone-user-removed",
        "once a user has left, anybody's commit that removes that user's device is accepted",
        ["LM-04/4.3/8"],
        device_of_a_gone_user_removed
    ),
    driven_case!(
        Must,
        Hub,
        "4.3/second-commit-for-an-epoch",
        "the second commit for an epoch is refused",
        ["R28", "LM-04/4.3/9"],
        second_commit_for_an_epoch
    ),
    driven_case!(
        Must,
        Hub,
        "4.3/sender-is-the-committer",
        "a commit sent by another user than the committer is refused",
        ["R28"],
        sender_is_the_committer
    ),
    driven_case!(
        Must,
        Hub,
        "4.3/external-join",
        "a joined user's device joins the group on its own",
        ["LM-04/4.5.1/2", "LM-04/4.3/4", "R27"],
        external_join
    ),
    driven_case!(
        Must,
        Hub,
        "4.5.1/malformed-commit",
        "a commit event without its fields, or with a group state that is not the commit's, is refused",
        ["LM-04/4.5.1/1", "LM-04/4.5.1/2", "R28"],
        malformed_commit
    ),
];

/// The epoch that the target says a room's group is in. Before the first commit it need not say any.
async fn epoch_of(ctx: &Context, room: &RoomId) -> Result<u64, Finding> {
    Ok(ctx.room(room).await?.mls_epoch().unwrap_or(0))
}

/// An encrypted room on the target with the first commit of `bob`'s device in it.
pub(super) struct GroupRoom<'c> {
    pub(super) room: HubRoom<'c>,
    pub(super) bob: MlsDevice,
}

pub(super) async fn group_room(ctx: &Context) -> Result<GroupRoom<'_>, Finding> {
    let room = hub_room_with(ctx, json!({"join_rule": "public", "encrypted": true})).await?;
    let bob = ctx.device(&room.bob, "BOB")?;
    first_commit(room, bob).await
}

/// The room with the first commit of this device in it.
pub(super) async fn first_commit(room: HubRoom<'_>, mut bob: MlsDevice) -> Result<GroupRoom<'_>, Finding> {
    bob.create_group(&room.id)?;
    let first = bob.update(&room.id)?;
    let mut this = GroupRoom { room, bob };
    this.takes(&first).await?;
    Ok(this)
}

impl GroupRoom<'_> {
    /// `bob`'s pending commit is accepted. Returns the event's id.
    pub(super) async fn takes(&mut self, commit: &OutboundCommit) -> Result<String, Finding> {
        let id = reference_id(&self.room.accepts(&self.commit_event(commit_content(commit))).await?);
        self.bob.accepted(&self.room.id, &id)?;
        self.is_in_epoch(commit.epoch).await?;
        Ok(id)
    }

    /// `bob`'s pending commit is refused, and changes nothing.
    pub(super) async fn refuses(&mut self, commit: &OutboundCommit, what: &str) -> Result<(), Finding> {
        self.refuses_content(commit_content(commit), what).await?;
        self.bob.refused(&self.room.id)
    }

    /// A commit event of `bob` with this content is refused, and changes nothing.
    async fn refuses_content(&self, content: Value, what: &str) -> Result<(), Finding> {
        let before = self.epoch().await?;
        self.room.rejects(&self.commit_event(content), what).await?;
        self.is_in_epoch(before).await
    }

    /// A commit event that section 4.3 itself does not have a hub refuse: it is refused and changes nothing, or else it
    /// is in the list.
    async fn refuses_or_lists(&self, draft: &Draft, what: &str) -> Result<(), Finding> {
        let acceptable = format!("the hub makes no checks of commits beyond section 4.3: it lists {what}");
        self.refuses_unless(draft, what, "R28", acceptable).await
    }

    /// The hub refuses a commit event, which changes nothing then, or it has it in the list. The reading allows that too.
    pub(super) async fn refuses_unless(
        &self,
        draft: &Draft,
        what: &str,
        reading: &'static str,
        acceptable: String,
    ) -> Result<(), Finding> {
        let before = self.epoch().await?;
        let lpdu = self.room.peer.lpdu(draft)?;
        let sent = self.room.peer.send(std::slice::from_ref(&lpdu), &[]).await?;
        let reported = sent.expect_processed()?.contains_key(&reference_id(&lpdu));
        let events = self.room.ctx.events(&self.room.id).await?;
        match (reported, events.iter().any(|event| lpdu_hash(event) == lpdu_hash(&lpdu))) {
            (true, false) => self.is_in_epoch(before).await,
            (true, true) => Err(fault(format!("{what} is in the list and is reported as rejected"))),
            (false, false) => Err(fault(format!("{what} is to be reported in failed_pdus"))),
            (false, true) => Err(Finding::Acceptable { reading, what: acceptable }),
        }
    }

    /// A commit event of `bob`.
    pub(super) fn commit_event(&self, content: Value) -> Draft {
        self.room.peer.draft(&self.room.id, &self.room.bob, "m.mls.commit", content)
    }

    async fn epoch(&self) -> Result<u64, Finding> {
        epoch_of(self.room.ctx, &self.room.id).await
    }

    pub(super) async fn is_in_epoch(&self, expected: u64) -> Result<(), Finding> {
        let epoch = self.epoch().await?;
        check!(epoch == expected, "the target says that the group is in epoch {epoch} instead of {expected}");
        Ok(())
    }

    /// A joined user of the peer with a device that is in the group.
    async fn with_member(&mut self, localpart: &str, device: &str) -> Result<MlsDevice, Finding> {
        let user = self.room.peer.user(localpart)?;
        if user != self.room.bob {
            self.room.peer.join(&self.room.id, &user).await?;
        }
        let device = self.room.ctx.device(&user, device)?;
        let commit = self.bob.add(&self.room.id, &[&device.key_package()?])?;
        self.takes(&commit).await?;
        Ok(device)
    }
}

async fn encryption_of_a_room(ctx: &Context) -> Result<(), Finding> {
    let room = ctx.create_room(json!({"encrypted": true})).await?;
    let create = ctx.events(&room).await?.into_iter().next().unwrap_or_default();
    let algorithm = create.pointer("/content/encryption/algorithm").and_then(Value::as_str);
    check!(
        algorithm == Some(ALGORITHM),
        "the create event of an encrypted room names {algorithm}",
        algorithm = said(&algorithm)
    );
    check!(epoch_of(ctx, &room).await? == 0, "a new encrypted room is not in epoch 0");
    let later = json!({"algorithm": "m.megolm.v1.aes-sha2"});
    ctx.send_as_alice(&room, "m.room.encryption", Some(""), later).await?;
    check!(epoch_of(ctx, &room).await? == 0, "a later event changed how the room is encrypted");
    let plain = ctx.create_room(json!({})).await?;
    ctx.send_as_alice(&plain, "m.room.encryption", Some(""), json!({"algorithm": ALGORITHM})).await?;
    let create = ctx.events(&plain).await?.into_iter().next().unwrap_or_default();
    check!(create.pointer("/content/encryption").is_none(), "a room that is not encrypted says that it is");
    ctx.send_as_alice(
        &plain,
        "m.mls.commit",
        None,
        json!({"message": "no commit", "public_group_state": "none"}),
    )
    .await
    .map(drop)
}

async fn other_group(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room_with(ctx, json!({"join_rule": "public", "encrypted": true})).await?;
    let other = ctx.create_room(json!({})).await?;
    let mut bob = ctx.device(&room.bob, "BOB")?;
    // A sound first commit but for the name of its group, which there is no epoch to tell from.
    bob.create_group(&other)?;
    let commit = bob.update(&other)?;
    let mut group = GroupRoom { room, bob };
    group.refuses_content(commit_content(&commit), "a first commit of another room's group").await?;
    group.bob.create_group(&group.room.id)?;
    let first = group.bob.update(&group.room.id)?;
    group.takes(&first).await.map(drop)
}

async fn private_message(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    // A real PrivateMessage of the group, and a real group state: only the framing is wrong.
    let private = group.bob.encrypt(&group.room.id, "not a commit")?;
    let commit = group.bob.update(&group.room.id)?;
    let mut content = commit_content(&commit);
    if let (Some(content), Some(private)) = (content.as_object_mut(), private.get("ciphertext")) {
        content.insert("message".to_owned(), private.clone());
    }
    group.refuses_content(content, "a PrivateMessage as a commit").await?;
    group.takes(&commit).await.map(drop)
}

async fn joined_device(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    group.with_member("carol", "CAROL").await?;
    group.with_member("bob", "BOB2").await?;
    group.is_in_epoch(3).await?;
    let members = group.bob.members(&group.room.id)?;
    check!(members.len() == 3, "the group has {members}", members = said(&members));
    Ok(())
}

async fn strangers_device(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    let (room, peer) = (group.room.id.clone(), ctx.peer().await?);
    let mallory = peer.user("mallory")?;
    let add = |group: &mut GroupRoom<'_>, device: &str| -> Result<OutboundCommit, Finding> {
        let device = ctx.device(&mallory, device)?;
        group.bob.add(&room, &[&device.key_package()?])
    };
    let commit = add(&mut group, "M1")?;
    group.refuses(&commit, "a commit that adds a stranger's device").await?;
    ctx.as_alice(&room, &mallory, "invite").await?;
    let commit = add(&mut group, "M2")?;
    group.refuses(&commit, "a commit that adds the device of an invited user").await?;
    ctx.as_alice(&room, &mallory, "ban").await?;
    let commit = add(&mut group, "M3")?;
    group.refuses(&commit, "a commit that adds the device of a banned user").await?;
    // The target's own user may no more than others. A hub may ask that its own users' devices are published.
    let mut alice = ctx.device(&ctx.user("alice")?, "ADDSASTRANGER")?;
    ctx.control()?.publish_device(&ctx.recorder, &alice.object()?, &[]).await?;
    let commit = group.bob.add(&room, &[&alice.key_package()?])?;
    let id = group.takes(&commit).await?;
    alice.join(&crate::mls::welcome_message(&commit, &id)?)?;
    let stranger = ctx.device(&mallory, "M4")?;
    let commit = alice.add(&room, &[&stranger.key_package()?])?;
    let content = commit_content(&commit);
    let reply =
        ctx.control()?.try_send(&ctx.recorder, &room, "alice", "m.mls.commit", None, &content).await?;
    expect_refusal(&reply, "the target's own user's commit that adds a stranger's device")?;
    group.is_in_epoch(2).await
}

async fn first_commit_with_stranger(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room_with(ctx, json!({"join_rule": "public", "encrypted": true})).await?;
    let mut bob = ctx.device(&room.bob, "BOB")?;
    bob.create_group(&room.id)?;
    let mallory = ctx.device(&room.peer.user("mallory")?, "M")?;
    let first = bob.add(&room.id, &[&mallory.key_package()?])?;
    let mut group = GroupRoom { room, bob };
    group.refuses(&first, "a first commit with a stranger's device").await?;
    group.is_in_epoch(0).await?;
    let first = group.bob.update(&group.room.id)?;
    group.takes(&first).await.map(drop)
}

async fn device_of_a_joined_user_removed(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    let carol = group.with_member("carol", "CAROL").await?;
    let commit = group.bob.remove(&group.room.id, &[&carol])?;
    group.refuses(&commit, "a commit that removes a joined user's device").await
}

async fn own_device_removed(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    let second = group.with_member("bob", "BOB2").await?;
    let commit = group.bob.remove(&group.room.id, &[&second])?;
    group.takes(&commit).await.map(drop)
}

async fn device_of_a_gone_user_removed(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    let carol = group.with_member("carol", "CAROL").await?;
    let dave = group.with_member("dave", "DAVE").await?;
    let leave = group.room.peer.member(&group.room.id, &carol.user, &carol.user, "leave");
    group.room.accepts(&leave).await?;
    ctx.as_alice(&group.room.id, &dave.user, "ban").await?;
    let commit = group.bob.remove(&group.room.id, &[&carol])?;
    group.takes(&commit).await?;
    let commit = group.bob.remove(&group.room.id, &[&dave])?;
    group.takes(&commit).await.map(drop)
}

async fn second_commit_for_an_epoch(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    let user = group.room.bob.clone();
    let mut second = ctx.device(&user, "BOB2")?;
    let commit = group.bob.add(&group.room.id, &[&second.key_package()?])?;
    let id = group.takes(&commit).await?;
    second.join(&crate::mls::welcome_message(&commit, &id)?)?;
    let late = second.update(&group.room.id)?;
    let winner = group.bob.update(&group.room.id)?;
    group.takes(&winner).await?;
    let mut tolerated = Tolerated::default();
    for (commit, what) in [(&late, "a second commit for an epoch"), (&winner, "the same commit once more")] {
        let event = group.commit_event(commit_content(commit));
        tolerated.note(group.refuses_or_lists(&event, what).await)?;
    }
    tolerated.end()
}

async fn sender_is_the_committer(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    let carol = group.room.peer.user("carol")?;
    group.room.peer.join(&group.room.id, &carol).await?;
    let commit = group.bob.update(&group.room.id)?;
    let by_carol = group.room.peer.draft(&group.room.id, &carol, "m.mls.commit", commit_content(&commit));
    group.refuses_or_lists(&by_carol, "a commit sent by another user than the committer").await?;
    group.takes(&commit).await.map(drop)
}

async fn external_join(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    let commit = group.bob.update(&group.room.id)?;
    let state = commit.public_group_state.clone();
    let id = group.takes(&commit).await?;
    let carol = group.room.peer.user("carol")?;
    group.room.peer.join(&group.room.id, &carol).await?;
    let mut device = ctx.device(&carol, "CAROL")?;
    let commit = device.join_external(&group.room.id, &state, &id)?;
    let draft = group.room.peer.draft(&group.room.id, &carol, "m.mls.commit", commit_content(&commit));
    let event = group.room.accepts(&draft).await?;
    device.accepted(&group.room.id, &reference_id(&event))?;
    group.bob.receive(&group.room.id, &event, &reference_id(&event))?;
    group.is_in_epoch(3).await?;
    let content = device.encrypt(&group.room.id, "from outside")?;
    let message = group.room.peer.draft(&group.room.id, &carol, "m.room.encrypted", content);
    let message = group.room.accepts(&message).await?;
    let (_, text) = group.bob.decrypt(&group.room.id, &message)?;
    check!(
        text == "from outside",
        "the message of a device that joined on its own reads {text}",
        text = said(&text)
    );
    Ok(())
}

async fn malformed_commit(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    let first = ctx.events(&group.room.id).await?;
    let first =
        first.iter().rev().find(|event| event.get("type").and_then(Value::as_str) == Some("m.mls.commit"));
    let old_state = first.and_then(|event| event.pointer("/content/public_group_state")).cloned();
    let old_state = old_state.ok_or_else(|| fault("the first commit is not in the list"))?;
    let commit = group.bob.update(&group.room.id)?;
    let good = commit_content(&commit);
    let with = |field: &str, value: Option<Value>| {
        let mut content = good.clone();
        if let Some(content) = content.as_object_mut() {
            match value {
                Some(value) => drop(content.insert(field.to_owned(), value)),
                None => drop(content.remove(field)),
            }
        }
        content
    };
    for field in ["message", "public_group_state"] {
        group.refuses_content(with(field, None), &format!("a commit without `{field}`")).await?;
        group
            .refuses_content(with(field, Some(json!(1))), &format!("a commit whose `{field}` is a number"))
            .await?;
    }
    let no_mls = with("message", Some(json!("AAAA")));
    group.refuses_content(no_mls, "a commit whose `message` is no MLS").await?;
    let mut tolerated = Tolerated::default();
    for (state, what) in [
        (json!("AAAA"), "a commit whose `public_group_state` is no MLS"),
        (old_state, "a commit with the group state of the epoch before"),
    ] {
        let event = group.commit_event(with("public_group_state", Some(state)));
        tolerated.note(group.refuses_or_lists(&event, what).await)?;
    }
    // A hub that took the one has the commit already.
    if tolerated.is_empty() {
        group.takes(&commit).await?;
    }
    tolerated.end()
}
