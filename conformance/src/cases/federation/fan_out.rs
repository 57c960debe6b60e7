//! Whom a hub sends its events (LM-04 §12.5, reading R21).

use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, said};
use crate::cases::steps::{HubRoom, hub_room, reference_id, text};
use crate::context::Context;
use crate::peer::{Peer, lpdu_hash};

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "12.5/everybody",
        "an event goes to every server in the room, its sender's included, and to all of them alike",
        ["LM-04/12.5/3", "LM-04/5.1/2", "R21", "FW-01/2/5", "FW-01/2/13", "FW-01/3/1", "TR-00/2/7"],
        everybody
    ),
    driven_case!(
        Must,
        Hub,
        "12.5/own-events",
        "the hub's own events go to every server in the room",
        ["LM-04/12.5/3", "R21", "TR-00/3/4", "TR-00/3/16"],
        own_events
    ),
    driven_case!(
        Must,
        Hub,
        "12.5/joining-server",
        "a server that joins gets its join over /send, and what comes after it",
        ["LM-04/12.5/3", "R21", "FW-01/3/6"],
        joining_server
    ),
    driven_case!(
        Must,
        Hub,
        "12.5/kicked-server",
        "a server whose last user is kicked is told, and gets nothing more",
        ["LM-04/12.5/2", "R21"],
        kicked_server
    ),
    driven_case!(
        Must,
        Hub,
        "12.5/banned-server",
        "a server whose last user is banned is told, and gets nothing more",
        ["LM-04/12.5/2", "R21"],
        banned_server
    ),
    driven_case!(
        Must,
        Hub,
        "12.5/another-user-stays",
        "a server that has another user in the room goes on getting events after a kick",
        ["LM-04/12.5/2", "LM-04/12.5/3", "R21"],
        another_user_stays
    ),
    driven_case!(
        Must,
        Hub,
        "12.5/leaving-server",
        "a server whose last user leaves gets that event back, and nothing more",
        ["LM-04/12.5/3", "LM-04/5.1/2", "R21", "FW-01/2/6"],
        leaving_server
    ),
    driven_case!(
        Must,
        Hub,
        "12.5/withdrawn-invite",
        "the server of an invited user is told when the invite is withdrawn",
        ["R21"],
        withdrawn_invite
    ),
    driven_case!(
        Must,
        Hub,
        "12.5/invited-only",
        "a server whose users are only invited gets no events",
        ["LM-04/12.7.2/2", "R21", "FW-01/2/6", "FW-01/2/11"],
        invited_only
    ),
];

/// Waits until a server gets this event of a room's list.
async fn until_sent(peer: &Peer, event: &Value, what: &str) -> Result<(), Finding> {
    let id = reference_id(event);
    peer.until_pdu(what, |pdu| reference_id(pdu) == id).await.map(drop)
}

/// A message of `alice`, as it stands in the list.
async fn alice_says(room: &HubRoom<'_>, body: &str) -> Result<Value, Finding> {
    room.ctx.send_as_alice(&room.id, "m.room.message", None, json!({"body": body})).await?;
    let is = |event: &Value| event.pointer("/content/body").and_then(Value::as_str) == Some(body);
    room.ctx.until_event(&room.id, "what alice said is in the list", is).await
}

async fn everybody(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let other = ctx.peer().await?;
    other.join(&room.id, &other.user("dave")?).await?;
    let lpdu = room.peer.lpdu(&room.message("hello"))?;
    room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
    let echo = room.peer.until_echo(&lpdu).await?;
    let hash = lpdu_hash(&lpdu);
    let copy = other.until_pdu("send the event to the other server", |pdu| lpdu_hash(pdu) == hash).await?;
    check!(echo == copy, "the event's sender got another event than the other server");
    let listed = ctx.until_event(&room.id, "the event is in the list", |event| lpdu_hash(event) == hash);
    check!(echo == listed.await?, "what the hub sends is not what it has in its list");
    for field in ["type", "sender", "content", "origin_server_ts", "room_id", "hub_server"] {
        check!(echo.get(field) == lpdu.get(field), "the hub changed `{field}` of the event");
    }
    Ok(())
}

async fn own_events(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let other = ctx.peer().await?;
    other.join(&room.id, &other.user("dave")?).await?;
    let message = alice_says(&room, "from the hub").await?;
    ctx.send_as_alice(&room.id, "m.room.topic", Some(""), json!({"topic": "from the hub"})).await?;
    let topic = ctx.state_event(&room.id, "m.room.topic", "").await?.unwrap_or_default();
    for peer in [&room.peer, &other] {
        until_sent(peer, &message, "send the hub's own message to everybody").await?;
        until_sent(peer, &topic, "send the hub's own state event to everybody").await?;
    }
    Ok(())
}

async fn joining_server(ctx: &Context) -> Result<(), Finding> {
    let id = ctx.public_room().await?;
    let peer = ctx.peer().await?;
    let joined = peer.join(&id, &peer.user("bob")?).await?;
    let room = HubRoom { ctx, id, bob: peer.user("bob")?, peer };
    let message = alice_says(&room, "welcome").await?;
    until_sent(&room.peer, &message, "send what comes after the join").await?;
    // What is sent to a server is sent in order: a join that is not there by now does not come.
    let join = joined.answer.get("event").map(reference_id).unwrap_or_default();
    if room.peer.pdus().iter().any(|pdu| reference_id(pdu) == join) {
        return Ok(());
    }
    let what = "a server that joins gets its join in the answer only, and not over /send".to_owned();
    Err(Finding::Acceptable { reading: "R21", what })
}

/// Says something while a server is outside, brings its user back in, and looks whether it was sent what was said.
async fn expect_nothing_meanwhile(room: &HubRoom<'_>, what: &str) -> Result<(), Finding> {
    let missed = alice_says(room, "not for everybody").await?;
    // What is sent to a server is sent in order, so that nothing is still on its way when a later event is there.
    room.peer.join(&room.id, &room.bob).await?;
    let next = alice_says(room, "for everybody again").await?;
    until_sent(&room.peer, &next, "send events to a server that is back").await?;
    let missed = reference_id(&missed);
    let sent = room.peer.pdus().iter().any(|pdu| reference_id(pdu) == missed);
    check!(!sent, "{what} is still sent the room's events");
    Ok(())
}

/// The membership event of `bob` by `alice`.
async fn removal(room: &HubRoom<'_>, membership: &str) -> Result<Value, Finding> {
    room.ctx.as_alice(&room.id, &room.bob, membership).await?;
    let event = room.ctx.state_event(&room.id, "m.room.member", room.bob.as_str()).await?;
    event.ok_or_else(|| Finding::Fault("the membership event is not in the room's state".to_owned()))
}

async fn kicked_server(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let kick = removal(&room, "leave").await?;
    until_sent(&room.peer, &kick, "send a kick to the server of the user who is kicked").await?;
    expect_nothing_meanwhile(&room, "a server whose only user was kicked").await
}

async fn banned_server(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let ban = removal(&room, "ban").await?;
    until_sent(&room.peer, &ban, "send a ban to the server of the user who is banned").await?;
    let missed = alice_says(&room, "not for the banned").await?;
    room.ctx.as_alice(&room.id, &room.bob, "leave").await?;
    expect_nothing_meanwhile(&room, "a server whose only user was banned").await?;
    let missed = reference_id(&missed);
    let sent = room.peer.pdus().iter().any(|pdu| reference_id(pdu) == missed);
    check!(!sent, "a server whose only user is banned is still sent the room's events");
    Ok(())
}

async fn another_user_stays(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    room.peer.join(&room.id, &room.peer.user("carol")?).await?;
    let kick = removal(&room, "leave").await?;
    until_sent(&room.peer, &kick, "send a kick to the server of the user who is kicked").await?;
    let message = alice_says(&room, "carol is still here").await?;
    until_sent(&room.peer, &message, "go on sending to a server with a joined user").await
}

async fn leaving_server(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let leave = room.accepts(&room.member(&room.bob, "leave")).await?;
    let is = leave.pointer("/content/membership").and_then(Value::as_str);
    check!(is == Some("leave"), "the leave came back with membership {is}", is = said(&is));
    expect_nothing_meanwhile(&room, "a server whose only user left").await
}

async fn withdrawn_invite(ctx: &Context) -> Result<(), Finding> {
    let id = ctx.create_room(json!({})).await?;
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    ctx.as_alice(&id, &bob, "invite").await?;
    ctx.as_alice(&id, &bob, "leave").await?;
    ctx.as_alice(&id, &bob, "invite").await?;
    peer.join(&id, &bob).await?;
    let room = HubRoom { ctx, id, peer, bob };
    let message = alice_says(&room, "after the join").await?;
    until_sent(&room.peer, &message, "send what comes after the join").await?;
    let withdrawn = |pdu: &Value| {
        text(pdu, "type") == "m.room.member"
            && pdu.get("state_key").and_then(Value::as_str) == Some(room.bob.as_str())
            && pdu.pointer("/content/membership").and_then(Value::as_str) == Some("leave")
    };
    if room.peer.pdus().iter().any(withdrawn) {
        return Ok(());
    }
    let what = "the server of an invited user is not told that the invite was withdrawn".to_owned();
    Err(Finding::Acceptable { reading: "R21", what })
}

async fn invited_only(ctx: &Context) -> Result<(), Finding> {
    let id = ctx.create_room(json!({})).await?;
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    ctx.as_alice(&id, &bob, "invite").await?;
    let room = HubRoom { ctx, id, bob, peer };
    expect_nothing_meanwhile(&room, "a server whose only user is invited").await
}
