//! Who is let in, in the German TI-Messenger: servers on a signed list, and whom a user takes invites from.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::closed_federation::{every_endpoint, keys_are_not_fetched};
use super::closed_rooms::{insider_invites, is_not_invited, outsiders_invite};
use crate::case::{Case, Finding, case, check, driven_case};
use crate::cases::steps::guest::{GuestRoom, foreign_room};
use crate::cases::steps::paths;
use crate::context::Context;
use crate::target::segment;
use crate::wire::Reply;

pub(super) const CASES: &[Case] = &[
    case!(
        Must,
        Server,
        "ti-messenger/not-on-the-list",
        "a server that is not on the signed list is answered 403 at every endpoint that asks who the caller is",
        ["PROFILE/ti-messenger/1", "R50"],
        every_endpoint
    ),
    case!(
        Must,
        Server,
        "ti-messenger/keys-of-unlisted",
        "a server that is not on the list is not contacted",
        ["PROFILE/ti-messenger/1", "R50"],
        keys_are_not_fetched
    ),
    driven_case!(
        Must,
        Participant,
        "ti-messenger/invite-by-unlisted",
        "an invite by a server that is not on the list is refused with 403",
        ["PROFILE/ti-messenger/2", "R50"],
        outsiders_invite
    ),
    driven_case!(
        Must,
        Hub,
        "ti-messenger/invite-of-unlisted",
        "a user cannot invite users of a server that is not on the list",
        ["PROFILE/ti-messenger/2", "R50"],
        is_not_invited
    ),
    driven_case!(
        Must,
        Hub,
        "ti-messenger/participant-invites-unlisted",
        "nor can a participant",
        ["PROFILE/ti-messenger/2", "R50"],
        insider_invites
    ),
    driven_case!(
        Must,
        Participant,
        "ti-messenger/block-all",
        "who blocks everybody is invited by nobody: 403 M_FORBIDDEN, and nothing is said to the user",
        ["PROFILE/ti-messenger/3", "R50"],
        block_all
    ),
    driven_case!(
        Must,
        Participant,
        "ti-messenger/block-all-but",
        "who blocks everybody but a user, or a server, is invited by these",
        ["PROFILE/ti-messenger/4", "R50"],
        block_all_but
    ),
    driven_case!(
        Must,
        Participant,
        "ti-messenger/allow-all-but",
        "who allows everybody but a user, or a server, is not invited by these",
        ["PROFILE/ti-messenger/4", "R50"],
        allow_all_but
    ),
];

/// Sets who may invite `carol`, if the target has a way to.
async fn permit(room: &GuestRoom<'_>, permissions: &Value) -> Result<(), Finding> {
    let user = segment(room.carol.as_str()).to_string();
    let path = format!("/unstable/org.mimi-interop.invites/users/{user}/permissions");
    let (control, recorder) = (room.ctx.control()?, &room.ctx.recorder);
    let reply = control.call(recorder, Method::PUT, &path, Some(permissions)).await?;
    if matches!(reply.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
        let what = "the control API has no permissions of users to be invited".to_owned();
        return Err(Finding::Untried(what));
    }
    reply.expect_ok("setting who may invite a user").map(drop)
}

/// The room's hub invites `carol`, whatever the answer.
async fn invite(room: &GuestRoom<'_>) -> Result<Reply, Finding> {
    let event = room.host_sets("m.room.member", room.carol.as_str(), json!({"membership": "invite"}))?;
    let body = json!({"event": event, "invite_room_state": [], "room_version": "I.1"});
    let path = paths::invite(&room.peer.txn_id());
    room.peer.request(Method::POST, &path, Some(&body)).await
}

/// A room of a new server, from which a user of the target of this name is to be invited.
async fn room_for<'c>(ctx: &'c Context, name: &str) -> Result<GuestRoom<'c>, Finding> {
    Ok(GuestRoom { carol: ctx.user(name)?, ..foreign_room(ctx).await? })
}

async fn is_refused(room: &GuestRoom<'_>, what: &str) -> Result<(), Finding> {
    invite(room).await?.expect_error(&format!("an invite {what}"), 403, "M_FORBIDDEN")?;
    let told = room.ctx.control()?.inbox(&room.ctx.recorder, &room.carol).await?;
    let of_room = |item: &&Value| item.get("room_id").and_then(Value::as_str) == Some(room.room.id.as_str());
    check!(!told.iter().any(|item| of_room(&item)), "the user is told of an invite {what}");
    Ok(())
}

async fn is_taken(room: &GuestRoom<'_>, what: &str) -> Result<(), Finding> {
    invite(room).await?.expect_ok(&format!("an invite {what}")).map(drop)
}

async fn block_all(ctx: &Context) -> Result<(), Finding> {
    let room = room_for(ctx, "ti-block-all").await?;
    permit(&room, &json!({"default": "block"})).await?;
    is_refused(&room, "of a user who blocks all").await?;
    permit(&room, &json!({"default": "allow"})).await?;
    is_taken(&room, "of a user who has blocked all, and allows all now").await
}

async fn block_all_but(ctx: &Context) -> Result<(), Finding> {
    let (room, other) = (room_for(ctx, "ti-block-but").await?, room_for(ctx, "ti-block-but").await?);
    let host = room.peer.user("host")?;
    permit(&room, &json!({"default": "block", "except": {"users": [host.as_str()]}})).await?;
    is_refused(&other, "by somebody whom the user has not excepted").await?;
    is_taken(&room, "by a user who is excepted").await?;
    let room = room_for(ctx, "ti-block-but-server").await?;
    permit(&room, &json!({"default": "block", "except": {"servers": [room.peer.name.as_str()]}})).await?;
    is_taken(&room, "by a user of a server that is excepted").await
}

async fn allow_all_but(ctx: &Context) -> Result<(), Finding> {
    let (room, other) = (room_for(ctx, "ti-allow-but").await?, room_for(ctx, "ti-allow-but").await?);
    let host = room.peer.user("host")?;
    permit(&room, &json!({"default": "allow", "except": {"users": [host.as_str()]}})).await?;
    is_refused(&room, "by a user who is excepted").await?;
    is_taken(&other, "by somebody whom the user has not excepted").await?;
    let room = room_for(ctx, "ti-allow-but-server").await?;
    permit(&room, &json!({"default": "allow", "except": {"servers": [room.peer.name.as_str()]}})).await?;
    is_refused(&room, "by a user of a server that is excepted").await
}
