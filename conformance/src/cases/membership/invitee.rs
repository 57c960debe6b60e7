//! Invites of the target's users to rooms of other hubs (LM-04 §12.7.2.1).

use http::Method;
use mimi_linearized::event::Draft;
use mimi_linearized::id::UserId;
use mimi_transport::api::UNSTABLE_PREFIX;
use serde_json::{Value, json};

use super::{answered_invite, is_signed_by, without_signature};
use crate::case::{Case, Finding, case, check, driven_case, said};
use crate::cases::steps::guest::{GuestRoom, foreign_room};
use crate::cases::steps::paths;
use crate::context::Context;
use crate::wire::Reply;

pub(in crate::cases) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Participant,
        "12.7.2.1/invited",
        "the target signs an invite of its user and changes nothing else about it",
        ["LM-04/12.7.2.1/16", "LM-04/12.7.2.1/19", "R23"],
        invited
    ),
    driven_case!(
        Must,
        Participant,
        "12.7.2.1/invited-without-state",
        "an invite is taken without stripped state, and with more of it than usual",
        ["LM-04/12.7.2.1/2", "LM-04/3.5.2.1/3"],
        invited_without_state
    ),
    driven_case!(
        Must,
        Participant,
        "12.7.2.1/invited-user-is-told",
        "the invited user is told",
        ["LM-04/12.7.2.1/9"],
        invited_user_is_told
    ),
    case!(
        Must,
        Participant,
        "12.7.2.1/incompatible-version",
        "an invite to a room of an unknown version is answered 400 M_INCOMPATIBLE_ROOM_VERSION",
        ["LM-04/12.7.2.1/15", "LM-04/3.2.1/3", "LM-04/3.2.1/5"],
        incompatible_version
    ),
    driven_case!(
        Must,
        Participant,
        "12.7.2.1/wrong-event-to-the-target",
        "an invite whose event is not a sound invite of the target's user is refused",
        ["LM-04/12.7.2.1/4", "LM-04/12.7.2.1/5", "LM-04/12.7.2.1/6", "LM-04/12.7.2.1/9"],
        wrong_event
    ),
];

/// The hub's invite of `carol`, whole and appended.
fn invite_of(room: &GuestRoom<'_>, user: &UserId) -> Result<Value, Finding> {
    room.host_sets("m.room.member", user.as_str(), json!({"membership": "invite"}))
}

/// What is shown of the room.
fn stripped(room: &GuestRoom<'_>) -> Result<Value, Finding> {
    let host = room.peer.user("host")?;
    let state = |kind: &str, content: Value| json!({"type": kind, "sender": host, "state_key": "", "content": content});
    Ok(json!([
        state("m.room.create", json!({"room_version": "I.1"})),
        state("m.room.join_rules", json!({"join_rule": "public"})),
    ]))
}

/// Sends an invite request to the target.
async fn send(room: &GuestRoom<'_>, body: &Value) -> Result<Reply, Finding> {
    room.peer.request(Method::POST, &paths::invite(&room.peer.txn_id()), Some(body)).await
}

/// The answer is the event with the target's signature and nothing else added.
async fn expect_signed(ctx: &Context, pdu: Option<&Value>, event: &Value) -> Result<(), Finding> {
    let own = &ctx.environment.target.name;
    let pdu = pdu.cloned().unwrap_or_default();
    check!(pdu.is_object(), "the answer to an invite has no object `pdu`");
    let keys = ctx.environment.target_ring().await?;
    check!(is_signed_by(&pdu, own, &keys), "the invite is not signed by the target: {pdu}");
    let rest = without_signature(&pdu, own);
    check!(rest == *event, "besides its signature, the target made {rest} of the event {event}");
    Ok(())
}

async fn invited(ctx: &Context) -> Result<(), Finding> {
    let room = foreign_room(ctx).await?;
    let event = invite_of(&room, &room.carol)?;
    let body = json!({"event": event, "invite_room_state": stripped(&room)?, "room_version": "I.1"});
    let reply = send(&room, &body).await?;
    expect_signed(ctx, answered_invite(ctx, reply.expect_ok("an invite")?), &event).await?;

    let path = format!("{UNSTABLE_PREFIX}/invite/{}", room.peer.txn_id());
    let reply = room.peer.request(Method::POST, &path, Some(&body)).await?;
    if reply.is(404, "M_UNRECOGNIZED") {
        let what = "invites are not taken under the unstable path".to_owned();
        return Err(Finding::Acceptable { reading: "R24", what });
    }
    let answer = reply.expect_ok("an invite under the unstable path")?;
    expect_signed(ctx, answer.get("pdu").or_else(|| answer.get("event")), &event).await?;
    if answer.get("pdu").is_none() {
        let what = "under the unstable path the answer has `event` instead of `pdu`".to_owned();
        return Err(Finding::Acceptable { reading: "R23", what });
    }
    Ok(())
}

async fn invited_without_state(ctx: &Context) -> Result<(), Finding> {
    let room = foreign_room(ctx).await?;
    let event = invite_of(&room, &room.carol)?;
    let reply = send(&room, &json!({"event": event, "room_version": "I.1"})).await?;
    expect_signed(ctx, answered_invite(ctx, reply.expect_ok("an invite without stripped state")?), &event)
        .await?;
    let mut state = stripped(&room)?;
    if let Some(state) = state.as_array_mut() {
        let (host, content) = (room.peer.user("host")?, json!({"anything": ["at", "all"]}));
        state.push(json!({"type": "org.example", "sender": host, "state_key": "x", "content": content}));
    }
    let erin = ctx.user("erin")?;
    let event = invite_of(&room, &erin)?;
    let body = json!({"event": event, "invite_room_state": state, "room_version": "I.1"});
    let reply = send(&room, &body).await?;
    let answer = reply.expect_ok("an invite with a custom event in its state")?;
    expect_signed(ctx, answered_invite(ctx, answer), &event).await
}

async fn invited_user_is_told(ctx: &Context) -> Result<(), Finding> {
    let room = foreign_room(ctx).await?;
    let event = invite_of(&room, &room.carol)?;
    let state = stripped(&room)?;
    let body = json!({"event": event, "invite_room_state": state, "room_version": "I.1"});
    send(&room, &body).await?.expect_ok("an invite")?;
    let id = json!(room.room.id);
    let is = |item: &Value| item.get("type") == Some(&json!("invite")) && item.get("room_id") == Some(&id);
    let item = ctx.until_inbox(&room.carol, "the invited user is told", is).await?;
    let shown = without_signature(item.get("event").unwrap_or(&Value::Null), &ctx.environment.target.name);
    check!(shown == event, "the user is shown {shown} instead of the invite {event}");
    check!(item.get("invite_room_state") == Some(&state), "the user is shown another state: {item}");
    Ok(())
}

async fn incompatible_version(ctx: &Context) -> Result<(), Finding> {
    let room = foreign_room(ctx).await?;
    let event = invite_of(&room, &room.carol)?;
    for version in ["org.example.unknown", "I.2", "I.10", "I.", "1", ""] {
        let body = json!({"event": event, "invite_room_state": stripped(&room)?, "room_version": version});
        let reply = send(&room, &body).await?;
        let what = format!("an invite to a room of version {version}", version = said(&version));
        reply.expect_error(&what, 400, "M_INCOMPATIBLE_ROOM_VERSION")?;
    }
    Ok(())
}

async fn wrong_event(ctx: &Context) -> Result<(), Finding> {
    let room = foreign_room(ctx).await?;
    let (peer, host) = (&room.peer, room.peer.user("host")?);
    let forge = |draft: Draft| -> Result<Value, Finding> {
        let mut cites = room.room.cites(&host);
        // Of membership events, invites and joins cite the join rules besides (LM-04 §5.2.1).
        if matches!(draft.content.get("membership").and_then(Value::as_str), Some("invite" | "join")) {
            cites.extend(room.room.state_id("m.room.join_rules", ""));
        }
        peer.forge_pdu(draft, &cites, &room.room.head())
    };
    let invite = |user: &UserId| peer.member(&room.room.id, &host, user, "invite");
    let content = json!({"membership": "invite"});
    let of_type =
        |kind: &str| peer.state_draft(&room.room.id, &host, kind, room.carol.as_str(), content.clone());
    let sound = forge(invite(&room.carol))?;
    let changed = |change: &dyn Fn(&mut mimi_linearized::json::Object)| {
        let mut event = sound.clone();
        if let Some(event) = event.as_object_mut() {
            change(event);
        }
        event
    };
    let events = [
        ("of another type", forge(of_type("m.room.topic"))?),
        ("of a type in another case", forge(of_type("M.Room.Member"))?),
        ("that is a join", forge(peer.member(&room.room.id, &host, &room.carol, "join"))?),
        ("that is a ban", forge(peer.member(&room.room.id, &host, &room.carol, "ban"))?),
        ("without a state key", forge(Draft { state_key: None, ..invite(&room.carol) })?),
        ("of a user of another server", forge(invite(&peer.user("dave")?))?),
        ("that is an LPDU", peer.lpdu(&invite(&room.carol))?),
        ("without signatures", changed(&|event| drop(event.insert("signatures".to_owned(), json!({}))))),
        (
            "that was changed after it was signed",
            changed(&|event| {
                event.insert("origin_server_ts".to_owned(), json!(1));
            }),
        ),
        ("without `prev_events`", changed(&|event| drop(event.remove("prev_events")))),
    ];
    for (what, event) in events {
        let body = json!({"event": event, "invite_room_state": stripped(&room)?, "room_version": "I.1"});
        send(&room, &body).await?.expect_refusal(&format!("an invite request with an event {what}"))?;
    }
    let body = json!({"event": sound, "invite_room_state": stripped(&room)?, "room_version": "I.1"});
    send(&room, &body).await?.expect_ok("a sound invite of the same making").map(drop)
}
