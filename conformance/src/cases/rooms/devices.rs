//! The devices that a hub lets into a group (LM-04 §4.1, §4.3; reading R39).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mimi_linearized::id::UserId;
use mimi_mls::Suite;
use serde_json::{Value, json};

use super::mls::{GroupRoom, first_commit, group_room};
use crate::case::{Case, Finding, check, driven_case, said};
use crate::cases::steps::{hub_room_with, reference_id};
use crate::context::Context;
use crate::mls::{MlsDevice, commit_content};
use crate::peer::Response;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "4.1/unpublished-device",
        "a device that its own server does not publish is neither added to a group nor joins on its own",
        ["R39"],
        unpublished_device
    ),
    driven_case!(
        Must,
        Hub,
        "4.1/invalid-device-stays-out",
        "a device whose object is not valid, or has another key than its leaf, is not added to a group",
        ["LM-04/4.1/7", "R39"],
        invalid_device_stays_out
    ),
    driven_case!(
        Must,
        Hub,
        "4.1/published-anew",
        "once its list of devices was updated, a user's device is added with its new key only",
        ["R39"],
        published_anew
    ),
    driven_case!(
        Must,
        Hub,
        "4.1/silent-server",
        "a device whose server does not say what it is stays out until it does, and nothing else is held up by that",
        ["R39"],
        silent_server
    ),
    driven_case!(
        Must,
        Hub,
        "4.3/device-without-the-suite",
        "a device whose object does not list the room's algorithm is not added to its group",
        ["R39"],
        device_without_the_suite
    ),
];

/// `bob`'s commit that adds a device is refused.
async fn stays_out(group: &mut GroupRoom<'_>, device: &MlsDevice, what: &str) -> Result<(), Finding> {
    let commit = group.bob.add(&group.room.id, &[&device.key_package()?])?;
    group.refuses(&commit, what).await
}

/// A device is added.
async fn comes_in(group: &mut GroupRoom<'_>, device: &MlsDevice) -> Result<(), Finding> {
    let commit = group.bob.add(&group.room.id, &[&device.key_package()?])?;
    group.takes(&commit).await.map(drop)
}

/// A device of `bob`'s that nobody publishes is refused by a hub that asks.
async fn asks(ctx: &Context, group: &mut GroupRoom<'_>) -> Result<(), Finding> {
    let device = ctx.device(&group.room.bob, "NOWHERE")?;
    ctx.published().withhold(device.user.as_str(), &device.id);
    let commit = group.bob.add(&group.room.id, &[&device.key_package()?])?;
    let what = "a commit that adds a device which its own server does not publish";
    let event = group.commit_event(commit_content(&commit));
    let acceptable = format!("the hub asks nobody what devices there are: it lists {what}");
    group.refuses_unless(&event, what, "R39", acceptable).await?;
    group.bob.refused(&group.room.id)
}

async fn unpublished_device(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    asks(ctx, &mut group).await?;
    let commit = group.bob.update(&group.room.id)?;
    let state = commit.public_group_state.clone();
    let id = group.takes(&commit).await?;
    let carol = group.room.peer.user("carol")?;
    group.room.peer.join(&group.room.id, &carol).await?;
    let mut device = ctx.device(&carol, "CAROL")?;
    let object = device.object()?;
    ctx.published().withhold(carol.as_str(), &device.id);
    let commit = device.join_external(&group.room.id, &state, &id)?;
    let draft = group.room.peer.draft(&group.room.id, &carol, "m.mls.commit", commit_content(&commit));
    group.room.rejects(&draft, "the join of a device that its own server does not publish").await?;
    group.is_in_epoch(2).await?;
    // With its object there, the very same commit is fine.
    ctx.published().publish(carol.as_str(), &device.id, object);
    let draft = group.room.peer.draft(&group.room.id, &carol, "m.mls.commit", commit_content(&commit));
    let event = group.room.accepts(&draft).await?;
    device.accepted(&group.room.id, &reference_id(&event))?;
    group.is_in_epoch(3).await
}

async fn invalid_device_stays_out(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    asks(ctx, &mut group).await?;
    let user = group.room.bob.clone();
    let publish = |id: &str, object: Value| ctx.published().publish(user.as_str(), id, object);
    let device = ctx.device(&user, "OTHERKEY")?;
    publish("OTHERKEY", ctx.device(&user, "OTHERKEY")?.object()?);
    stays_out(&mut group, &device, "a commit that adds a device which is published with another key").await?;
    let device = ctx.device(&user, "UNSIGNED")?;
    let mut object = device.object()?;
    if let Some(object) = object.as_object_mut() {
        object.insert("signatures".to_owned(), json!({}));
    }
    publish("UNSIGNED", object);
    stays_out(&mut group, &device, "a commit that adds a device whose object is not signed").await?;
    let device = ctx.device(&user, "RENAMED")?;
    publish("RENAMED", ctx.device(&user, "ANOTHER")?.object()?);
    stays_out(&mut group, &device, "a commit that adds a device in whose place another is published").await?;
    let device = ctx.device(&user, "FINE")?;
    comes_in(&mut group, &device).await
}

async fn published_anew(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    asks(ctx, &mut group).await?;
    let user = group.room.bob.clone();
    let old = ctx.device(&user, "SECOND")?;
    comes_in(&mut group, &old).await?;
    let commit = group.bob.remove(&group.room.id, &[&old])?;
    group.takes(&commit).await?;
    let new = ctx.device(&user, "SECOND")?;
    announce(&group, &user, &json!({"changed": [new.object()?], "removed": []})).await?;
    stays_out(&mut group, &old, "a commit that adds a device with a key that it has no more").await?;
    comes_in(&mut group, &new).await?;
    let commit = group.bob.remove(&group.room.id, &[&new])?;
    group.takes(&commit).await?;
    ctx.published().withhold(user.as_str(), "SECOND");
    announce(&group, &user, &json!({"changed": [], "removed": ["SECOND"]})).await?;
    stays_out(&mut group, &new, "a commit that adds a device that was removed").await
}

/// Tells the target of a change of a user's devices.
async fn announce(group: &GroupRoom<'_>, user: &UserId, content: &Value) -> Result<(), Finding> {
    let edu = json!({"type": "m.device_list_update", "sender": user, "sender_id": user, "content": content});
    group.room.peer.send(&[], &[edu]).await?.expect_accepted()
}

async fn silent_server(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    asks(ctx, &mut group).await?;
    let silent = Arc::new(AtomicBool::new(true));
    let is_silent = Arc::clone(&silent);
    group.room.peer.answer_with(move |inbound| {
        let device = inbound.is("user") && inbound.method == http::Method::GET;
        (device && is_silent.load(Ordering::SeqCst)).then(|| Response::error(500, "M_UNKNOWN"))
    });
    let device = ctx.device(&group.room.bob, "SECOND")?;
    let commit = group.bob.add(&group.room.id, &[&device.key_package()?])?;
    let what = "a commit that adds a device of which its server says nothing";
    let event = group.commit_event(commit_content(&commit));
    let acceptable = format!("the hub does not wait for a server that does not answer: it lists {what}");
    group.refuses_unless(&event, what, "R39", acceptable).await?;
    group.bob.refused(&group.room.id)?;
    let commit = group.bob.update(&group.room.id)?;
    group.takes(&commit).await?;
    silent.store(false, Ordering::SeqCst);
    comes_in(&mut group, &device).await
}

async fn device_without_the_suite(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    asks(ctx, &mut group).await?;
    let suite = Suite::DhKemX25519ChaCha20Poly1305Sha256Ed25519;
    let settings = json!({"join_rule": "public", "encrypted": suite.room_algorithm()});
    let room = super::suites::of_suite(suite, hub_room_with(ctx, settings).await?).await?;
    let bob = ctx.device_of(&room.bob, "BOB", suite)?;
    let mut group = first_commit(room, bob).await?;
    let user = group.room.bob.clone();
    let device = ctx.device_of(&user, "SECOND", suite)?;
    ctx.device(&user, "SECOND")?;
    stays_out(&mut group, &device, "a commit that adds a device without the room's algorithm").await?;
    let object = device.object()?;
    ctx.published().publish(user.as_str(), "SECOND", object.clone());
    announce(&group, &user, &json!({"changed": [object], "removed": []})).await?;
    comes_in(&mut group, &device).await?;
    let members = group.bob.members(&group.room.id)?;
    check!(members.len() == 2, "the group has {members}", members = said(&members));
    Ok(())
}
