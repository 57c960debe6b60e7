//! Typing notices, receipts and presence (readings R45 and R46), where the target offers them to the suite.

use http::Method;
use mimi_linearized::id::UserId;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, said};
use crate::cases::steps::guest::foreign_room;
use crate::cases::steps::{HubRoom, hub_room, text};
use crate::context::Context;
use crate::peer::Peer;
use crate::target::segment;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        May,
        Hub,
        "12.9/typing-sent",
        "the servers of a room are told that somebody writes, and has ceased to, with Matrix's content",
        ["R45", "R46", "MF-01/1/17", "FW-01/3.3/3", "FW-01/3.3/16", "FW-01/3.3/24", "FW-01/3.3/34"],
        typing_sent
    ),
    driven_case!(
        May,
        Participant,
        "12.9/typing-sent-by-a-participant",
        "a participant tells the other servers of a room itself that its user writes",
        ["R45"],
        typing_sent_by_a_participant
    ),
    driven_case!(
        May,
        Hub,
        "12.9/receipt-sent",
        "the servers of a room are told how far somebody has read, with Matrix's content",
        ["R46", "MF-01/1/18", "FW-01/3.3/17", "FW-01/3.3/25", "FW-01/3.3/26", "FW-01/3.3/27"],
        receipt_sent
    ),
    driven_case!(
        May,
        Server,
        "12.9/presence-sent",
        "servers that share a room with a user are told that the user is there, with Matrix's content",
        ["R45", "R46", "MF-01/1/20", "FW-01/3.3/18", "FW-01/3.3/30", "FW-01/3.3/31", "FW-01/3.3/32"],
        presence_sent
    ),
    driven_case!(
        May,
        Server,
        "12.9/ephemera-are-passed-on",
        "members are told who writes, has read, and is there",
        ["R46", "FW-01/3.3/32"],
        passed_on
    ),
    driven_case!(
        May,
        Server,
        "12.9/ephemera-of-others",
        "typing notices, receipts and presence are ignored if they are malformed, or not their sender's to say",
        ["R45", "R46", "FW-01/3.3/35", "FW-01/3.3/36"],
        of_others
    ),
];

/// Where the control API has what these cases are about.
const OFFER: &str = "/unstable/org.mimi-interop.ephemeral";

/// Has the target say something in passing.
async fn say(ctx: &Context, path: &str, body: &Value) -> Result<(), Finding> {
    let path = format!("{OFFER}{path}");
    let reply = ctx.control()?.call(&ctx.recorder, Method::POST, &path, Some(body)).await?;
    if reply.status == http::StatusCode::NOT_FOUND && reply.errcode() != "M_NOT_FOUND" {
        return Err(Finding::Untried(format!("the target's control API has nothing under {OFFER}")));
    }
    reply.expect_ok(&path).map(drop)
}

/// Whether the target takes part in this at all: `alice` says that she is there.
async fn offered(ctx: &Context) -> Result<(), Finding> {
    say(ctx, "/users/alice/presence", &json!({"presence": "online"})).await
}

async fn types(ctx: &Context, room: &str, sender: &UserId, typing: bool) -> Result<(), Finding> {
    let body = json!({"sender": sender, "typing": typing});
    say(ctx, &format!("/rooms/{}/typing", segment(room)), &body).await
}

fn is(edu: &Value, kind: &str, sender: &UserId) -> bool {
    let named = edu.get("sender").or_else(|| edu.get("sender_id")).and_then(Value::as_str);
    text(edu, "type") == kind && named == Some(sender.as_str())
}

/// Waits for an EDU, and returns its content.
async fn until_content(
    peer: &Peer,
    what: &str,
    kind: &str,
    sender: &UserId,
    shows: impl Fn(&Value) -> bool + Send + Sync,
) -> Result<Value, Finding> {
    let content = |edu: &Value| edu.get("content").cloned().unwrap_or_default();
    let wanted = |edu: &Value| is(edu, kind, sender) && shows(&content(edu));
    Ok(content(&peer.until_edu(what, wanted).await?))
}

async fn typing_sent(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let other = ctx.peer().await?;
    other.join(&room.id, &other.user("dave")?).await?;
    let alice = ctx.user("alice")?;
    for typing in [true, false] {
        types(ctx, room.id.as_str(), &alice, typing).await?;
        for peer in [&room.peer, &other] {
            let is_new = |content: &Value| content.get("typing") == Some(&json!(typing));
            let content = until_content(peer, "tell who writes", "m.typing", &alice, is_new).await?;
            let sound = content.get("room_id") == Some(&json!(room.id))
                && text(&content, "user_id") == alice.as_str();
            check!(sound, "the content of m.typing is not about {alice} in {}: {content}", room.id);
        }
    }
    Ok(())
}

async fn typing_sent_by_a_participant(ctx: &Context) -> Result<(), Finding> {
    let room = foreign_room(ctx).await?;
    let other = ctx.peer().await?;
    let dave = other.user("dave")?;
    room.room.admit(&other);
    let join = other.lpdu_for(&room.peer.name, &other.member(&room.room.id, &dave, &dave, "join"))?;
    room.peer.take(&room.room, &join)?;
    room.carol_becomes("join").await?;
    types(ctx, room.room.id.as_str(), &room.carol, true).await?;
    let shows = |content: &Value| content.get("room_id") == Some(&json!(room.room.id));
    until_content(&room.peer, "tell the hub who writes", "m.typing", &room.carol, shows).await?;
    let direct = until_content(&other, "tell the room's servers who writes", "m.typing", &room.carol, shows);
    match direct.await {
        Err(Finding::Fault(_)) => {
            let what = "the target leaves it to the hub to tell other servers who writes".to_owned();
            Err(Finding::Acceptable { reading: "R45", what })
        }
        other => other.map(drop),
    }
}

async fn receipt_sent(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let event = room.accepts(&room.message("read this")).await?;
    let event = crate::cases::steps::reference_id(&event);
    let alice = ctx.user("alice")?;
    let body = json!({"sender": alice, "event_id": event});
    say(ctx, &format!("/rooms/{}/receipt", segment(room.id.as_str())), &body).await?;
    let receipt = |content: &Value| {
        content.get(room.id.as_str()).and_then(|room| room.get("m.read")?.get(alice.as_str())).cloned()
    };
    let shows = |content: &Value| receipt(content).is_some();
    let content = until_content(&room.peer, "tell who has read", "m.receipt", &alice, shows).await?;
    let receipt = receipt(&content).unwrap_or_default();
    let events = receipt.get("event_ids");
    check!(
        events == Some(&json!([event])),
        "the receipt is for {events} instead of {event}",
        events = said(&events)
    );
    let ts = receipt.pointer("/data/ts");
    check!(ts.is_some_and(Value::is_i64), "the receipt has no time `data.ts`: {receipt}");
    Ok(())
}

async fn presence_sent(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    // Somebody whom no other case makes say anything.
    let user = ctx.user(&format!("presence{}", peer.name.port().unwrap_or_default()))?;
    let room = ctx.create_room(json!({"creator": user, "join_rule": "public"})).await?;
    peer.join(&room, &peer.user("bob")?).await?;
    let body = json!({"presence": "unavailable", "status_msg": "at lunch", "last_active_ago": 1_000});
    say(ctx, &format!("/users/{}/presence", segment(user.as_str())), &body).await?;
    let update = |content: &Value| {
        let push = content.get("push").and_then(Value::as_array)?;
        push.iter().find(|update| text(update, "user_id") == user.as_str()).cloned()
    };
    let shows =
        |content: &Value| update(content).is_some_and(|update| text(&update, "presence") == "unavailable");
    let content = until_content(&peer, "tell who is there", "m.presence", &user, shows).await?;
    let update = update(&content).unwrap_or_default();
    check!(text(&update, "status_msg") == "at lunch", "the status is not passed on: {update}");
    let ago = update.get("last_active_ago").and_then(Value::as_i64);
    check!(
        ago.is_some_and(|ago| ago >= 1_000),
        "`last_active_ago` is {ago}, and was 1000 before",
        ago = said(&ago)
    );
    Ok(())
}

fn typing_edu(room: &HubRoom<'_>, sender: &UserId, about: &UserId, typing: bool) -> Value {
    let content = json!({"room_id": room.id, "user_id": about, "typing": typing});
    json!({"type": "m.typing", "sender": sender, "content": content})
}

fn receipt_edu(room: &HubRoom<'_>, sender: &UserId, about: &UserId, event: &str) -> Value {
    let receipt = json!({"data": {"ts": 1_700_000_000_000_i64}, "event_ids": [event]});
    json!({"type": "m.receipt", "sender": sender,
           "content": {room.id.as_str(): {"m.read": {about.as_str(): receipt}}}})
}

fn presence_edu(sender: &UserId, about: &UserId, status: &str) -> Value {
    let update = json!({"user_id": about, "presence": "online", "last_active_ago": 7, "status_msg": status});
    json!({"type": "m.presence", "sender": sender, "content": {"push": [update]}})
}

/// Whether an item of an inbox is of this kind, of this sender, and, if it is about a room, about this one.
fn is_item(item: &Value, kind: &str, sender: &UserId, room: &HubRoom<'_>) -> bool {
    let here = item.get("room_id").is_none_or(|id| *id == json!(room.id));
    text(item, "type") == kind && text(item, "sender") == sender.as_str() && here
}

async fn passed_on(ctx: &Context) -> Result<(), Finding> {
    offered(ctx).await?;
    let room = hub_room(ctx).await?;
    let alice = ctx.user("alice")?;
    let bob = &room.bob;
    let edus = [
        typing_edu(&room, bob, bob, true),
        receipt_edu(&room, bob, bob, "$read"),
        presence_edu(bob, bob, "here"),
    ];
    room.peer.send(&[], &edus).await?.expect_accepted()?;
    ctx.until_inbox(&alice, "members are told who writes", |item| {
        is_item(item, "typing", bob, &room) && item.get("typing") == Some(&json!(true))
    })
    .await?;
    ctx.until_inbox(&alice, "members are told who has read", |item| {
        is_item(item, "receipt", bob, &room) && item.get("event_ids") == Some(&json!(["$read"]))
    })
    .await?;
    ctx.until_inbox(&alice, "members are told who is there", |item| {
        is_item(item, "presence", bob, &room)
            && text(item, "presence") == "online"
            && text(item, "status_msg") == "here"
    })
    .await?;
    let stopped = [typing_edu(&room, bob, bob, false)];
    room.peer.send(&[], &stopped).await?.expect_accepted()?;
    ctx.until_inbox(&alice, "members are told who has ceased to write", |item| {
        is_item(item, "typing", bob, &room) && item.get("typing") == Some(&json!(false))
    })
    .await
    .map(drop)
}

async fn of_others(ctx: &Context) -> Result<(), Finding> {
    offered(ctx).await?;
    let room = hub_room(ctx).await?;
    let (alice, bob) = (ctx.user("alice")?, &room.bob);
    let guest = room.peer.user("not.joined")?;
    let other = ctx.peer().await?;
    let mallory = other.user("mallory")?;
    let without = |edu: &Value, field: &str| {
        let mut edu = edu.clone();
        if let Some(content) = edu.get_mut("content").and_then(Value::as_object_mut) {
            content.remove(field);
        }
        edu
    };
    let typing = typing_edu(&room, bob, bob, true);
    let ignored = [
        // Of nobody in the room, or nobody of the server that sends it.
        typing_edu(&room, &guest, &guest, true),
        typing_edu(&room, &mallory, &mallory, true),
        presence_edu(&guest, &guest, "bad"),
        receipt_edu(&room, &guest, &guest, "$bad"),
        // About somebody else.
        typing_edu(&room, bob, &alice, true),
        typing_edu(&room, bob, &mallory, true),
        receipt_edu(&room, bob, &alice, "$bad"),
        presence_edu(bob, &mallory, "bad"),
        // Not of Matrix's form.
        without(&typing, "room_id"),
        without(&typing, "user_id"),
        without(&typing, "typing"),
        json!({"type": "m.typing", "sender": bob, "content": "typing"}),
        json!({"type": "m.typing", "sender": bob, "content": {"room_id": room.id, "user_id": bob, "typing": "yes"}}),
        json!({"type": "m.receipt", "sender": bob, "content": {room.id.as_str(): {"m.read": [bob]}}}),
        json!({"type": "m.presence", "sender": bob, "content": {"push": {"user_id": bob}}}),
        json!({"type": "m.presence", "sender": bob,
               "content": {"push": [{"user_id": bob, "presence": 1, "last_active_ago": 0, "status_msg": "bad"}]}}),
        json!(7),
    ];
    room.peer.send(&[], &ignored).await?.expect_accepted()?;
    other.send(&[], &[typing_edu(&room, &mallory, &mallory, true)]).await?.expect_accepted()?;
    // What comes after them is passed on, and they are not.
    let marker = receipt_edu(&room, bob, bob, "$marker");
    room.peer.send(&[], std::slice::from_ref(&marker)).await?.expect_accepted()?;
    ctx.until_inbox(&alice, "a sound receipt among them is passed on", |item| {
        is_item(item, "receipt", bob, &room) && item.get("event_ids") == Some(&json!(["$marker"]))
    })
    .await?;
    let inbox = ctx.control()?.inbox(&ctx.recorder, &alice).await?;
    let about_room = |item: &&Value| item.get("room_id") == Some(&json!(room.id));
    let shown: Vec<&Value> = inbox
        .iter()
        .filter(|item| {
            let in_room = ["typing", "receipt"].contains(&text(item, "type")) && about_room(item);
            in_room || text(item, "type") == "presence" && text(item, "status_msg") == "bad"
        })
        .collect();
    let only_marker = shown.iter().all(|item| item.get("event_ids") == Some(&json!(["$marker"])));
    check!(only_marker, "what is not to be taken was passed on: {shown}", shown = said(&shown));
    Ok(())
}
