//! Rooms of other ciphersuites than the mandatory one (LM-04 §4).

use mimi_mls::Suite;
use serde_json::json;

use super::mls::first_commit;
use crate::case::{Case, Finding, check, driven_case, said};
use crate::cases::steps::{HubRoom, hub_room_with};
use crate::context::Context;
use crate::mls::{commit_content, welcome_message};

pub(super) const CASES: &[Case] = &[
    driven_case!(
        May,
        Hub,
        "4/p256-suite",
        "a room of the suite with P-256 has its group, and only a group of that suite",
        ["R28", "FW-01/4/5"],
        p256
    ),
    driven_case!(
        May,
        Hub,
        "4/chacha20poly1305-suite",
        "a room of the suite with ChaCha20-Poly1305 has its group, and only a group of that suite",
        ["R28"],
        chacha20poly1305
    ),
    driven_case!(
        May,
        Hub,
        "4/x-wing-suite",
        "a room of the suite with ML-KEM-768 and X25519 has its group, and only a group of that suite",
        ["R28"],
        x_wing
    ),
];

async fn p256(ctx: &Context) -> Result<(), Finding> {
    room_of(ctx, Suite::DhKemP256Aes128GcmSha256P256).await
}

async fn chacha20poly1305(ctx: &Context) -> Result<(), Finding> {
    room_of(ctx, Suite::DhKemX25519ChaCha20Poly1305Sha256Ed25519).await
}

async fn x_wing(ctx: &Context) -> Result<(), Finding> {
    room_of(ctx, Suite::MlKem768X25519Aes128GcmSha256Ed25519).await
}

/// A room of a suite, if the target says that it follows its group. To it, every other suite is an algorithm of its own
/// that it need not have (LM-04 §4).
pub(super) async fn of_suite(suite: Suite, room: HubRoom<'_>) -> Result<HubRoom<'_>, Finding> {
    // Before the first commit it need not say an epoch; what it makes of an algorithm that does not exist, it says here.
    if room.ctx.room(&room.id).await?.mls_epoch().is_some() {
        return Ok(room);
    }
    let mut bob = room.ctx.device_of(&room.bob, "TRIES", suite)?;
    bob.create_group(&room.id)?;
    let commit = bob.update(&room.id)?;
    let mut content = commit_content(&commit);
    if let Some(content) = content.as_object_mut() {
        content.remove("message");
    }
    // Who takes a commit that is none has no MLS in this room.
    let lpdu = room.peer.lpdu(&room.peer.draft(&room.id, &room.bob, "m.mls.commit", content))?;
    let sent = room.peer.send(std::slice::from_ref(&lpdu), &[]).await?;
    if sent.expect_processed()?.is_empty() {
        return Err(Finding::Untried(format!("the target does not have the suite {suite}")));
    }
    Ok(room)
}

async fn room_of(ctx: &Context, suite: Suite) -> Result<(), Finding> {
    let settings = json!({"join_rule": "public", "encrypted": suite.room_algorithm()});
    let room = of_suite(suite, hub_room_with(ctx, settings).await?).await?;
    // A group of the mandatory suite is none of this room.
    let mut other = ctx.device(&room.bob, "OTHERSUITE")?;
    other.create_group(&room.id)?;
    let commit = other.update(&room.id)?;
    let draft = room.peer.draft(&room.id, &room.bob, "m.mls.commit", commit_content(&commit));
    room.rejects(&draft, "a first commit of another suite than the room's").await?;

    let bob = ctx.device_of(&room.bob, "BOB", suite)?;
    let mut group = first_commit(room, bob).await?;
    let (id, carol) = (group.room.id.clone(), group.room.peer.user("carol")?);
    group.room.peer.join(&id, &carol).await?;
    let mut device = ctx.device_of(&carol, "CAROL", suite)?;
    let commit = group.bob.add(&id, &[&device.key_package()?])?;
    let event = group.takes(&commit).await?;
    device.join(&welcome_message(&commit, &event)?)?;
    let content = device.encrypt(&id, "in this suite")?;
    let algorithm = content.get("algorithm").and_then(serde_json::Value::as_str);
    check!(
        algorithm == Some(suite.room_algorithm()),
        "the suite's own device names {algorithm}",
        algorithm = said(&algorithm)
    );
    let message = group.room.peer.draft(&id, &carol, "m.room.encrypted", content);
    let message = group.room.accepts(&message).await?;
    let (_, text) = group.bob.decrypt(&id, &message)?;
    check!(text == "in this suite", "a message reads {text}", text = said(&text));
    let commit = group.bob.update(&id)?;
    group.takes(&commit).await.map(drop)
}
