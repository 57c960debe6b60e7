//! `send_join`, `send_leave` and `send_knock` at the target (LM-04 §12.7).

use http::Method;
use mimi_linearized::id::UserId;
use serde_json::{Value, json};

use super::{STRIPPED, expect_stripped, member_event, membership_in, telling_settings, types};
use crate::case::{Case, Finding, case, check, driven_case, said};
use crate::cases::steps::guest::guest_room;
use crate::cases::steps::ledger::{Ledger, ids_in};
use crate::cases::steps::paths;
use crate::cases::steps::{HubRoom, hub_room, hub_room_with, reference_id, remade, text};
use crate::context::Context;
use crate::peer::{Peer, lpdu_hash};
use crate::wire::Reply;

pub(in crate::cases) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "12.7.1/wrong-event",
        "an event that is not the membership change of the endpoint is refused",
        ["LM-04/12.7.2.2.2/1", "LM-04/12.7.3.2/1", "LM-04/12.7.4.2/1"],
        wrong_event
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.1/in-the-name-of-another",
        "a membership change of another server's user, which that server has not signed, is refused",
        ["LM-04/auth/1", "LM-04/12.7.1/4", "FW-01/2/2", "TR-00/2/3"],
        in_the_name_of_another
    ),
    case!(
        Must,
        Server,
        "12.7.1/send-to-an-unknown-room",
        "a membership change in an unknown room is answered 404 M_NOT_FOUND",
        ["LM-04/12.7.2.2.2/3", "LM-04/12.7.3.2/5", "LM-04/12.7.4.2/3"],
        unknown_room
    ),
    driven_case!(
        Must,
        Participant,
        "12.7.1/send-to-a-participant",
        "a membership change that is sent to a participant is answered 400 M_WRONG_SERVER",
        ["LM-04/12.7.2.2.2/3", "LM-04/12.7.3.2/5", "LM-04/12.7.4.2/3", "LM-04/11/1"],
        wrong_server
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.2/retracted-knock",
        "a knock is retracted by make_leave and send_leave",
        ["LM-04/12.7.2.2/2"],
        retracted_knock
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.2.2/leave",
        "send_leave appends the leave, tells the others, and answers with an empty object",
        ["LM-04/12.7.2.2.2/1", "LM-04/12.7.2.2.2/2", "LM-04/12.7.1/3"],
        leave
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.2.2/banned-meanwhile",
        "a leave that is no longer allowed when it is sent is answered 403 M_FORBIDDEN",
        ["LM-04/12.7.2.2.2/3", "LM-04/12.7.2.2.2/4", "LM-04/12.7.1/4"],
        leave_banned_meanwhile
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.3.2/answer",
        "send_join answers with the state before the join, what it cites, and the event that all others get",
        [
            "LM-04/12.7.3.2/1",
            "LM-04/12.7.3.2/2",
            "LM-04/12.7.3.2/3",
            "LM-04/12.7.3.2/4",
            "LM-04/12.7.1/3",
            "FW-01/2/12",
            "FW-01/6/1",
            "TR-00/2/8",
            "TR-00/3/13"
        ],
        join_answer
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.3.2/banned-meanwhile",
        "a join that is no longer allowed when it is sent is answered 403 M_FORBIDDEN",
        ["LM-04/12.7.3.2/5", "LM-04/12.7.3.2/6", "LM-04/12.7.1/4"],
        join_banned_meanwhile
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.4.2/answer",
        "send_knock appends the knock and answers with stripped state",
        ["LM-04/12.7.4.2/1", "LM-04/12.7.4.2/2", "LM-04/3.5.2.1/4", "LM-04/12.7.1/3", "FW-01/6/6"],
        knock_answer
    ),
    driven_case!(
        Should,
        Hub,
        "12.7.4.2/stripped-state",
        "who knocks is shown the room's create event, name, avatar, topic, join rules and alias",
        ["LM-04/3.5.2.1/2"],
        knock_stripped_state
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.4.2/closed-meanwhile",
        "a knock that is no longer allowed when it is sent is answered 403 M_FORBIDDEN",
        ["LM-04/12.7.4.2/3", "LM-04/12.7.4.2/4", "LM-04/12.7.1/4"],
        knock_closed_meanwhile
    ),
];

/// Sends a completed template.
async fn send(peer: &Peer, change: &str, lpdu: &Value) -> Result<Reply, Finding> {
    peer.request(Method::POST, &paths::send_change(change, &peer.txn_id()), Some(lpdu)).await
}

/// Asks for a template, so that what is sent next was allowed a moment before.
async fn make(room: &HubRoom<'_>, change: &str, user: &UserId) -> Result<(), Finding> {
    let target = paths::make_in_i1(change, &room.id, user.as_str());
    let reply = room.peer.request(Method::GET, &target, None).await?;
    reply.expect_ok(&format!("make_{change}")).map(drop)
}

/// A user's own membership change.
fn own(room: &HubRoom<'_>, user: &UserId, membership: &str) -> Result<Value, Finding> {
    room.peer.lpdu(&room.peer.member(&room.id, user, user, membership))
}

async fn wrong_event(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    ctx.send_as_alice(&room.id, "m.room.power_levels", Some(""), json!({"users_default": 100})).await?;
    let (carol, dave) = (room.peer.user("carol")?, room.peer.user("dave")?);
    let message = room.peer.lpdu(&room.message("not a membership"))?;
    // Typed as something else, with the content and state key of a membership.
    let status = |membership: &str| {
        let content = json!({"membership": membership});
        room.peer.lpdu(&room.state("org.example.member", room.bob.as_str(), content))
    };
    for (change, lpdu) in [
        ("join", message.clone()),
        ("leave", message.clone()),
        ("knock", message),
        ("join", status("join")?),
        ("leave", status("leave")?),
        ("leave", own(&room, &carol, "join")?),
        ("knock", own(&room, &dave, "join")?),
        ("join", own(&room, &room.bob, "leave")?),
        ("join", room.peer.lpdu(&room.member(&dave, "invite"))?),
        ("leave", room.peer.lpdu(&room.member(&dave, "ban"))?),
    ] {
        let (kind, membership) = (text(&lpdu, "type"), membership_in(&lpdu));
        let what = format!(
            "send_{change} with an event of type {kind} and membership {membership}",
            membership = said(&membership)
        );
        send(&room.peer, change, &lpdu).await?.expect_refusal(&what)?;
        room.is_not_listed(&lpdu, "an event that its endpoint is not for").await?;
    }
    Ok(())
}

async fn in_the_name_of_another(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let other = ctx.peer().await?;
    let dave = other.user("dave")?;
    // Signed by the server that sends it, under the name of the user's own.
    let join = own(&room, &dave, "join")?;
    send(&room.peer, "join", &join).await?.expect_refusal("the join of another server's user")?;
    room.is_not_listed(&join, "the join of another server's user").await?;
    other.join(&room.id, &dave).await?;
    let leave = own(&room, &dave, "leave")?;
    send(&room.peer, "leave", &leave).await?.expect_refusal("the leave of another server's user")?;
    let membership = ctx.room(&room.id).await?.membership(&dave).to_owned();
    check!(membership == "join", "another server made the user {membership}");
    Ok(())
}

async fn unknown_room(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    let room = mimi_linearized::id::RoomId::parse(&format!("!none:{}", ctx.environment.target.name));
    let room = room.map_err(|error| Finding::Suite(error.to_string()))?;
    for change in ["join", "leave", "knock"] {
        let lpdu = peer.lpdu(&peer.member(&room, &bob, &bob, change))?;
        let reply = send(&peer, change, &lpdu).await?;
        reply.expect_error(&format!("send_{change} to an unknown room"), 404, "M_NOT_FOUND")?;
    }
    Ok(())
}

async fn wrong_server(ctx: &Context) -> Result<(), Finding> {
    let guest = guest_room(ctx).await?;
    let bob = guest.peer.user("bob")?;
    for change in ["join", "leave", "knock"] {
        let lpdu = guest.peer.lpdu(&guest.peer.member(&guest.room.id, &bob, &bob, change))?;
        for hub in [&ctx.environment.target.name, &guest.peer.name] {
            let lpdu =
                remade(&guest.peer, &lpdu, |event| drop(event.insert("hub_server".to_owned(), json!(hub))));
            let reply = send(&guest.peer, change, &lpdu).await?;
            reply.expect_error(&format!("send_{change} to a participant"), 400, "M_WRONG_SERVER")?;
        }
    }
    Ok(())
}

async fn retracted_knock(ctx: &Context) -> Result<(), Finding> {
    let id = ctx.create_room(json!({"join_rule": "knock"})).await?;
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    let room = HubRoom { ctx, id, peer, bob };
    make(&room, "knock", &room.bob).await?;
    send(&room.peer, "knock", &own(&room, &room.bob, "knock")?).await?.expect_ok("send_knock")?;
    let knocks = member_event(ctx, &room, room.bob.as_str()).await?;
    check!(membership_in(&knocks) == "knock", "who knocked is {}", membership_in(&knocks));
    make(&room, "leave", &room.bob).await?;
    let leave = own(&room, &room.bob, "leave")?;
    send(&room.peer, "leave", &leave).await?.expect_ok("send_leave of a user who knocks")?;
    let left = member_event(ctx, &room, room.bob.as_str()).await?;
    check!(membership_in(&left) == "leave", "who retracted a knock is {}", membership_in(&left));
    Ok(())
}

async fn leave(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let outside = ctx.peer().await?;
    let dave = outside.user("dave")?;
    ctx.as_alice(&room.id, &dave, "invite").await?;
    let target = paths::make_in_i1("leave", &room.id, dave.as_str());
    outside.request(Method::GET, &target, None).await?.expect_ok("make_leave of an invited user")?;
    let lpdu = outside.lpdu(&outside.member(&room.id, &dave, &dave, "leave"))?;
    let reply = send(&outside, "leave", &lpdu).await?;
    let answer = reply.expect_ok("send_leave of an invited user")?;
    check!(*answer == json!({}), "send_leave is answered with {answer}");
    let listed = member_event(ctx, &room, dave.as_str()).await?;
    check!(lpdu_hash(&listed) == lpdu_hash(&lpdu), "the leave is not in the room's state");
    for field in ["auth_events", "prev_events"] {
        check!(listed.get(field).is_some(), "the leave is in the room without `{field}`");
    }
    let id = reference_id(&listed);
    let is = |pdu: &Value| reference_id(pdu) == id;
    room.peer.until_pdu("send the leave to the servers in the room", is).await.map(drop)
}

/// What was allowed when the template was made is not any more.
async fn expect_forbidden(room: &HubRoom<'_>, change: &str) -> Result<(), Finding> {
    let lpdu = own(room, &room.bob, change)?;
    let reply = send(&room.peer, change, &lpdu).await?;
    let what = format!("send_{change}, which was allowed when the template was made,");
    reply.expect_error(&what, 403, "M_FORBIDDEN")?;
    room.is_not_listed(&lpdu, "a membership change that was refused").await
}

async fn leave_banned_meanwhile(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    make(&room, "leave", &room.bob).await?;
    ctx.as_alice(&room.id, &room.bob, "ban").await?;
    expect_forbidden(&room, "leave").await
}

async fn join_banned_meanwhile(ctx: &Context) -> Result<(), Finding> {
    let (id, peer) = (ctx.public_room().await?, ctx.peer().await?);
    let bob = peer.user("bob")?;
    let room = HubRoom { ctx, id, peer, bob };
    make(&room, "join", &room.bob).await?;
    ctx.as_alice(&room.id, &room.bob, "ban").await?;
    expect_forbidden(&room, "join").await
}

async fn knock_closed_meanwhile(ctx: &Context) -> Result<(), Finding> {
    let (id, peer) = (ctx.create_room(json!({"join_rule": "knock"})).await?, ctx.peer().await?);
    let bob = peer.user("bob")?;
    let room = HubRoom { ctx, id, peer, bob };
    make(&room, "knock", &room.bob).await?;
    ctx.send_as_alice(&room.id, "m.room.join_rules", Some(""), json!({"join_rule": "invite"})).await?;
    expect_forbidden(&room, "knock").await
}

async fn join_answer(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room_with(ctx, json!({"join_rule": "public", "topic": "the first topic"})).await?;
    ctx.send_as_alice(&room.id, "m.room.topic", Some(""), json!({"topic": "the second topic"})).await?;
    let newcomer = ctx.peer().await?;
    let dave = newcomer.user("dave")?;
    // A former membership is part of the state before the join.
    newcomer.join(&room.id, &dave).await?;
    newcomer.say(&newcomer.member(&room.id, &dave, &dave, "leave")).await?;
    let joined = newcomer.join(&room.id, &dave).await?;
    let event = joined.answer.get("event").cloned().unwrap_or_default();
    check!(lpdu_hash(&event) == lpdu_hash(&joined.lpdu), "`event` is not made of the LPDU that was sent");
    let id = reference_id(&event);
    let copy = room.peer.until_pdu("send the join to the servers in the room", |pdu| {
        lpdu_hash(pdu) == lpdu_hash(&joined.lpdu)
    });
    check!(copy.await? == event, "the other servers get another event than the one that joined");
    let ledger = Ledger::read(ctx, &room.id).await?;
    check!(ledger.ids().contains(&id), "the join is not in the room's list");
    let (state, chain) = (ids_in(&joined.answer, "state")?, ids_in(&joined.answer, "auth_chain")?);
    let expected = ledger.state_before(&id);
    check!(
        state == expected,
        "the state before the join is {expected}, `state` is {state}",
        expected = said(&expected),
        state = said(&state)
    );
    let expected = ledger.auth_chain(&expected);
    check!(
        chain == expected,
        "that state cites {expected}, `auth_chain` is {chain}",
        expected = said(&expected),
        chain = said(&chain)
    );
    Ok(())
}

/// Has a user of a new server knock at a room that has much to show. Returns the room and the answer.
async fn knock(ctx: &Context) -> Result<(HubRoom<'_>, Value), Finding> {
    let (id, peer) = (ctx.create_room(telling_settings()).await?, ctx.peer().await?);
    let bob = peer.user("bob")?;
    let room = HubRoom { ctx, id, peer, bob };
    make(&room, "knock", &room.bob).await?;
    let reply = send(&room.peer, "knock", &own(&room, &room.bob, "knock")?).await?;
    let answer = reply.expect_ok("send_knock")?.clone();
    Ok((room, answer))
}

async fn knock_answer(ctx: &Context) -> Result<(), Finding> {
    let (room, answer) = knock(ctx).await?;
    let stripped = answer.get("stripped_state").cloned().unwrap_or_default();
    expect_stripped(&stripped, "`stripped_state`")?;
    check!(!types(&stripped).is_empty(), "`stripped_state` shows nothing of the room");
    let listed = member_event(ctx, &room, room.bob.as_str()).await?;
    check!(membership_in(&listed) == "knock", "who knocked is {}", membership_in(&listed));
    // Somebody in the room sees a further knock.
    let inside = ctx.peer().await?;
    let dave = inside.user("dave")?;
    ctx.as_alice(&room.id, &dave, "invite").await?;
    inside.join(&room.id, &dave).await?;
    let again = room.peer.lpdu(&room.peer.member(&room.id, &room.bob, &room.bob, "knock"))?;
    send(&room.peer, "knock", &again).await?.expect_ok("send_knock")?;
    let is = |pdu: &Value| lpdu_hash(pdu) == lpdu_hash(&again);
    inside.until_pdu("send a knock to the servers in the room", is).await.map(drop)
}

async fn knock_stripped_state(ctx: &Context) -> Result<(), Finding> {
    let (_room, answer) = knock(ctx).await?;
    let stripped = answer.get("stripped_state").cloned().unwrap_or_default();
    let shown = types(&stripped);
    for kind in STRIPPED {
        check!(shown.contains(&kind), "`stripped_state` shows {shown}, and not {kind}", shown = said(&shown));
    }
    Ok(())
}
