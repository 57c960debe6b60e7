//! Rooms and media of the German armed forces' messenger: encrypted, closed to whoever is not in them, scanned.

use http::{Method, StatusCode};
use serde_json::json;

use super::outside::elsewhere;
use crate::case::{Case, Finding, check, driven_case, said};
use crate::cases::steps::{expect_refusal, paths, reference_id};
use crate::context::Context;
use crate::profile::test_file;
use crate::target::segment;
use crate::wire::Reply;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "bw-messenger/unencrypted-room",
        "a room that is not encrypted is not created",
        ["PROFILE/bw-messenger/1", "R59"],
        unencrypted_room
    ),
    driven_case!(
        Must,
        Hub,
        "bw-messenger/no-preview",
        "who is not in a room is shown nothing of it, also if anybody may join",
        ["PROFILE/bw-messenger/3"],
        no_preview
    ),
    driven_case!(
        Must,
        Server,
        "bw-messenger/scanned-for-others",
        "an item is served to another server when it was found clean, and refused when not",
        ["PROFILE/bw-messenger/4", "R51"],
        scanned_for_others
    ),
    driven_case!(
        Must,
        Server,
        "bw-messenger/scanned-for-users",
        "an item is served to a user of the target when it was found clean, and refused when not",
        ["PROFILE/bw-messenger/4", "R51"],
        scanned_for_users
    ),
];

async fn unencrypted_room(ctx: &Context) -> Result<(), Finding> {
    let (control, recorder) = (ctx.control()?, &ctx.recorder);
    for body in [json!({"creator": "alice"}), json!({"creator": "alice", "encrypted": false})] {
        let reply = control.call(recorder, Method::POST, "/rooms", Some(&body)).await?;
        expect_refusal(&reply, "a room that is not encrypted")?;
    }
    let room = ctx.create_room(json!({"encrypted": true})).await?;
    let create = ctx.state_event(&room, "m.room.create", "").await?.unwrap_or_default();
    check!(create.pointer("/content/encryption").is_some(), "the create event has no `encryption`: {create}");
    Ok(())
}

async fn no_preview(ctx: &Context) -> Result<(), Finding> {
    let room = ctx.create_room(json!({"encrypted": true, "join_rule": "public"})).await?;
    let stranger = elsewhere(ctx).await?;
    let event = ctx.room(&room).await?.head().to_owned();
    for path in [
        paths::event(&event),
        paths::state(room.as_str(), &event),
        paths::state_ids(room.as_str(), &event),
        paths::backfill(room.as_str(), &event, 10),
    ] {
        let reply = stranger.request(Method::GET, &path, None).await?;
        check!(reply.is_refusal(), "who is not in the room gets {} at {path}", reply.status.as_u16());
    }
    let list = ctx.events(&room).await?;
    check!(list.iter().any(|listed| reference_id(listed) == event), "the event is not in the room");
    Ok(())
}

/// Uploads an item for `alice`. Returns what comes after `mxc://`: a server and an id.
async fn upload(ctx: &Context, content: String) -> Result<(String, String), Finding> {
    let user = segment(ctx.user("alice")?.as_str()).to_string();
    let path = format!("/unstable/org.mimi-interop.media/users/{user}/media");
    let reply = ctx.control()?.call_with(&ctx.recorder, Method::POST, &path, content.into()).await?;
    if matches!(reply.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
        return Err(Finding::Untried("the control API has no media".to_owned()));
    }
    let answer = reply.expect_ok("uploading an item")?;
    let uri = answer.get("content_uri").and_then(serde_json::Value::as_str).unwrap_or_default();
    let parts = uri.strip_prefix("mxc://").and_then(|rest| rest.split_once('/'));
    let (server, id) =
        parts.ok_or_else(|| Finding::Fault(format!("{uri} is no `mxc://` URI", uri = said(&uri))))?;
    Ok((server.to_owned(), id.to_owned()))
}

/// What a target may say of an item that its scanner has found something in.
fn expect_held_back(reply: &Reply, whom: &str) -> Result<(), Finding> {
    let refused = reply.status == StatusCode::FORBIDDEN || reply.status == StatusCode::NOT_FOUND;
    check!(
        refused,
        "an item in which a scanner finds the test file is answered {whom} with {}",
        reply.status
    );
    Ok(())
}

async fn scanned_for_others(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let path = |id: &str| format!("/_matrix/federation/v1/media/download/{}", segment(id));
    let (_, clean) = upload(ctx, format!("clean {}", peer.name)).await?;
    let reply = peer.request(Method::GET, &path(&clean), None).await?;
    check!(reply.status.is_success(), "a clean item is answered to another server with {}", reply.status);
    let (_, found) = upload(ctx, test_file()).await?;
    expect_held_back(&peer.request(Method::GET, &path(&found), None).await?, "to another server")
}

async fn scanned_for_users(ctx: &Context) -> Result<(), Finding> {
    let path = |(server, id): &(String, String)| {
        format!("/unstable/org.mimi-interop.media/media/{}/{}", segment(server), segment(id))
    };
    let (control, recorder) = (ctx.control()?, &ctx.recorder);
    let clean = upload(ctx, "clean, for a user".to_owned()).await?;
    let reply = control.call(recorder, Method::GET, &path(&clean), None).await?;
    check!(reply.status.is_success(), "a clean item is answered to a user with {}", reply.status);
    let found = upload(ctx, test_file()).await?;
    expect_held_back(&control.call(recorder, Method::GET, &path(&found), None).await?, "to a user")
}
