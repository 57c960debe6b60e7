//! Events and states that the target serves, and what it asks for itself (LM-04 §12.6).

use std::collections::BTreeSet;

use http::Method;
use mimi_linearized::version::RoomVersions;
use serde_json::{Value, json};

use crate::case::{Case, Finding, case, check, driven_case, fault, said};
use crate::cases::steps::guest::guest_room;
use crate::cases::steps::ledger::{Ledger, ids_in};
use crate::cases::steps::paths;
use crate::cases::steps::{HubRoom, hub_room, reference_id, text, texts};
use crate::context::Context;
use crate::peer::{Inbound, Peer, Response};
use crate::wire::Reply;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Participant,
        "12.6.1/checks-what-it-gets",
        "events that were asked for are checked before they are used",
        ["LM-04/12.6.1/5", "LM-04/12.6.4/11", "R13", "TR-00/2/9"],
        checks_what_it_gets
    ),
    driven_case!(
        Must,
        Hub,
        "12.6.1/event",
        "an event is served as it is in the list, by itself",
        ["LM-04/12.6.1/1", "LM-04/12.6/1", "R15", "FW-01/2/7", "FW-01/6/8"],
        event
    ),
    case!(
        Must,
        Server,
        "12.6.1/unknown-event",
        "an event that nobody has is answered 404 M_NOT_FOUND",
        ["LM-04/12.6.1/3"],
        unknown_event
    ),
    driven_case!(
        Must,
        Hub,
        "12.6/strangers",
        "a server that is not in the room is told of nothing in it: 404 M_NOT_FOUND",
        ["LM-04/12.6.1/4", "LM-04/12.6.2/4", "LM-04/12.6.3/3", "LM-04/12.6.4/7", "R15", "FW-01/6/10"],
        strangers
    ),
    driven_case!(
        Must,
        Hub,
        "12.6/lpdus-are-not-served",
        "LPDUs are not served, under their own id or in lists",
        ["LM-04/12.6.1/6", "LM-04/12.6.2/9", "LM-04/12.6.4/12"],
        lpdus_are_not_served
    ),
    driven_case!(
        Must,
        Hub,
        "12.6.2/state-before-the-event",
        "the state served for an event is the one just before it, with everything that its events cite",
        ["LM-04/12.6.2/2", "LM-04/12.6.2/3", "LM-04/12.6/1"],
        state_before_the_event
    ),
    driven_case!(
        Must,
        Hub,
        "12.6.2/event-is-required",
        "a question for state that names no event is refused",
        ["LM-04/12.6.2/1", "LM-04/12.6.3/2"],
        event_is_required
    ),
    driven_case!(
        Must,
        Hub,
        "12.6.2/not-found",
        "an unknown room, an unknown event, and an event of another room are answered 404 M_NOT_FOUND",
        ["LM-04/12.6.2/5", "LM-04/12.6.2/6", "LM-04/12.6.3/3", "LM-04/12.6.4/8", "LM-04/12.6.4/9"],
        not_found
    ),
    driven_case!(
        Must,
        Participant,
        "12.6.2/wrong-server",
        "a participant that is asked for state answers 400 M_WRONG_SERVER",
        ["LM-04/12.6.2/10", "LM-04/12.6.3/4", "LM-04/11/1"],
        wrong_server
    ),
    driven_case!(
        Must,
        Hub,
        "12.6.3/ids-of-the-state",
        "the ids served for a state are those of its events",
        ["LM-04/12.6.3/1"],
        ids_of_the_state
    ),
    driven_case!(
        Must,
        Hub,
        "12.6.4/backfill",
        "the events up to one are served in order, without gaps, no more than were asked for",
        [
            "LM-04/12.6.4/3",
            "LM-04/12.6.4/5",
            "LM-04/12.6.4/6",
            "LM-04/12.6/1",
            "FW-01/3.3/6",
            "FW-01/6/9",
            "TR-00/2/16"
        ],
        backfill
    ),
    driven_case!(
        Must,
        Hub,
        "12.6.4/required-parameters",
        "a question for earlier events that names no event, or no limit, is refused",
        ["LM-04/12.6.4/1", "LM-04/12.6.4/2"],
        required_parameters
    ),
    driven_case!(
        Should,
        Hub,
        "12.6/shared-history",
        "where the history is shared, a server that joins later is served all of it",
        ["R15", "TR-00/2/8"],
        shared_history
    ),
    driven_case!(
        Must,
        Hub,
        "12.6/hidden-history",
        "where the history is for those who were joined, a server that joins later gets it redacted",
        ["LM-04/12.6.1/2", "LM-04/12.6.4/10", "R15", "FW-01/6/10"],
        hidden_history
    ),
    driven_case!(
        Must,
        Hub,
        "12.6/after-leaving",
        "a server that has left is not served what came later",
        ["R15"],
        after_leaving
    ),
    driven_case!(
        May,
        Hub,
        "12.6/world-readable",
        "a room that the world may read is served to everybody",
        ["R15"],
        world_readable
    ),
];

/// Asks with a signature of this server.
async fn get(peer: &Peer, target: &str) -> Result<Reply, Finding> {
    peer.request(Method::GET, target, None).await
}

/// A closed room with some history: topics before and after `bob` came, and messages.
async fn room_with_history(ctx: &Context) -> Result<HubRoom<'_>, Finding> {
    let id = ctx.create_room(json!({"topic": "the first topic"})).await?;
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    ctx.as_alice(&id, &bob, "invite").await?;
    peer.join(&id, &bob).await?;
    let room = HubRoom { ctx, id, peer, bob };
    room.accepts(&room.message("before")).await?;
    ctx.send_as_alice(&room.id, "m.room.topic", Some(""), json!({"topic": "the second topic"})).await?;
    room.accepts(&room.message("after")).await?;
    let alice = ctx.user("alice")?;
    let levels = json!({"users": {alice.as_str(): 100, room.bob.as_str(): 50}});
    ctx.send_as_alice(&room.id, "m.room.power_levels", Some(""), levels).await?;
    room.accepts(&room.state("m.room.topic", "", json!({"topic": "the third topic"}))).await?;
    Ok(room)
}

fn is_message(event: &Value, body: &str) -> bool {
    event.pointer("/content/body").and_then(Value::as_str) == Some(body)
}

async fn checks_what_it_gets(ctx: &Context) -> Result<(), Finding> {
    let guest = guest_room(ctx).await?;
    let missing = guest.host_appends("never sent")?;
    // It has the id of the event that is missing, of which signatures are no part, and the hub's signature of another.
    let next = guest.host_appends("sent")?;
    let mut forged = missing.clone();
    if let (Some(forged), Some(signatures)) = (forged.as_object_mut(), next.get("signatures")) {
        forged.insert("signatures".to_owned(), signatures.clone());
    }
    let asked = |request: &Inbound| request.is("backfill") || request.is("event");
    let served = forged.clone();
    guest.peer.answer_with(move |request| {
        let page = request.is("backfill").then(|| Response::ok(json!({"pdus": [served]})));
        page.or_else(|| request.is("event").then(|| Response::ok(served.clone())))
    });
    guest.peer.send(std::slice::from_ref(&next), &[]).await?.expect_processed()?;
    let id = reference_id(&missing);
    let listed = ctx.events(&guest.room.id).await?.iter().any(|event| reference_id(event) == id);
    check!(!listed, "an event with a wrong signature, which the hub gave when it was asked, is in the list");
    if guest.peer.requests().iter().any(asked) {
        return Ok(());
    }
    let what = "the target does not ask for events that it lacks".to_owned();
    Err(Finding::Acceptable { reading: "R13", what })
}

/// What redaction leaves of an event.
fn redacted_form(event: &Value) -> Value {
    let mut object = event.as_object().cloned().unwrap_or_default();
    mimi_linearized::event::redact(&mut object, &RoomVersions::lm_04().default_version().redaction);
    Value::Object(object)
}

async fn event(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_history(ctx).await?;
    let events = ctx.events(&room.id).await?;
    check!(events.len() > 8, "the room's list has only {} events", events.len());
    let is_join = |event: &Value| {
        event.get("state_key").and_then(Value::as_str) == Some(room.bob.as_str())
            && event.pointer("/content/membership").and_then(Value::as_str) == Some("join")
    };
    let join = events.iter().position(is_join).ok_or_else(|| fault("the join is not in the list"))?;
    let mut redacted = 0_usize;
    for (position, event) in events.iter().enumerate() {
        let id = reference_id(event);
        let reply = get(&room.peer, &paths::event(&id)).await?;
        let served = reply.expect_ok(&format!("a question for the event {id}"))?;
        if served != event && position < join && *served == redacted_form(event) {
            redacted += 1;
        } else {
            check!(served == event, "the event {id} is served as {served}");
        }
    }
    if redacted == 0 {
        return Ok(());
    }
    let what =
        format!("without a visibility of its history, {redacted} events from before a join are redacted");
    Err(Finding::Acceptable { reading: "R15", what })
}

async fn unknown_event(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let of_nobody = format!("${}", "A".repeat(43));
    for id in ["$none", &of_nobody, "none", "$no ne", "$not:an.id"] {
        let reply = get(&peer, &paths::event(id)).await?;
        reply.expect_error(&format!("a question for the event {id}", id = said(&id)), 404, "M_NOT_FOUND")?;
    }
    Ok(())
}

async fn strangers(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_history(ctx).await?;
    let stranger = ctx.peer().await?;
    let (id, ledger) = (room.id.as_str(), Ledger::read(ctx, &room.id).await?);
    for event in [ledger.last_state("m.room.create")?, ledger.last_state("m.room.topic")?] {
        for target in [
            paths::event(&event),
            paths::state(id, &event),
            paths::state_ids(id, &event),
            paths::backfill(id, &event, 10),
        ] {
            get(&room.peer, &target).await?.expect_ok(&format!("a participant's GET {target}"))?;
            let reply = get(&stranger, &target).await?;
            reply.expect_error(&format!("a stranger's GET {target}"), 404, "M_NOT_FOUND")?;
        }
    }
    Ok(())
}

async fn lpdus_are_not_served(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let lpdu = room.peer.lpdu(&room.message("hello"))?;
    room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
    let pdu = reference_id(&room.peer.until_echo(&lpdu).await?);
    let (id, lpdu_id) = (room.id.as_str(), reference_id(&lpdu));
    for target in [
        paths::event(&lpdu_id),
        paths::state(id, &lpdu_id),
        paths::state_ids(id, &lpdu_id),
        paths::backfill(id, &lpdu_id, 10),
    ] {
        let reply = get(&room.peer, &target).await?;
        reply.expect_error(&format!("GET {target}, which names an LPDU,"), 404, "M_NOT_FOUND")?;
    }
    let (state, list) = (paths::state(id, &pdu), paths::backfill(id, &pdu, 100));
    for (target, fields) in [(state, ["pdus", "auth_chain"].as_slice()), (list, &["pdus"])] {
        let reply = get(&room.peer, &target).await?;
        let answer = reply.expect_ok(&format!("GET {target}"))?;
        for field in fields {
            let events = answer.get(*field).and_then(Value::as_array).into_iter().flatten();
            for event in events {
                let whole = ["auth_events", "prev_events"].iter().all(|name| event.get(*name).is_some());
                check!(whole, "`{field}` has an LPDU: {event}");
            }
        }
    }
    Ok(())
}

/// The events whose states are asked for: one that replaces state, one that is no state, one that is new state.
async fn telling_events(room: &HubRoom<'_>, ledger: &Ledger) -> Result<Vec<String>, Finding> {
    Ok(vec![
        ledger.last_state("m.room.topic")?,
        ledger.last_state("m.room.power_levels")?,
        ledger.last("message", |event| is_message(event, "after"))?,
        ledger.last("join of bob", |event| {
            event.get("state_key").and_then(Value::as_str) == Some(room.bob.as_str())
        })?,
        ledger.last_state("m.room.create")?,
    ])
}

async fn state_before_the_event(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_history(ctx).await?;
    let ledger = Ledger::read(ctx, &room.id).await?;
    for event in telling_events(&room, &ledger).await? {
        let reply = get(&room.peer, &paths::state(room.id.as_str(), &event)).await?;
        let answer = reply.expect_ok(&format!("a question for the state at {event}"))?;
        let (state, chain) = (ids_in(answer, "pdus")?, ids_in(answer, "auth_chain")?);
        let expected = ledger.state_before(&event);
        check!(
            state == expected,
            "the state before {event} is {expected}, served is {state}",
            expected = said(&expected),
            state = said(&state)
        );
        let expected = ledger.auth_chain(&expected);
        check!(
            chain == expected,
            "the state before {event} cites {expected}, served is {chain}",
            expected = said(&expected),
            chain = said(&chain)
        );
    }
    Ok(())
}

async fn event_is_required(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    for path in [paths::state(room.id.as_str(), ""), paths::state_ids(room.id.as_str(), "")] {
        let bare = path.split('?').next().unwrap_or_default();
        for target in [bare.to_owned(), format!("{bare}?event=%24none")] {
            get(&room.peer, &target).await?.expect_refusal(&format!("GET {target}"))?;
        }
    }
    Ok(())
}

async fn not_found(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let elsewhere = ctx.public_room().await?;
    room.peer.join(&elsewhere, &room.bob).await?;
    let other = Ledger::read(ctx, &elsewhere).await?.last_state("m.room.create")?;
    let own = Ledger::read(ctx, &room.id).await?.last_state("m.room.create")?;
    let unknown_room = format!("!none:{}", ctx.environment.target.name);
    for (what, id, event) in [
        ("an unknown room", &*unknown_room, &*own),
        ("a text that is no room", "none", &*own),
        ("an unknown event", room.id.as_str(), "$none"),
        ("an event of another room", room.id.as_str(), &*other),
    ] {
        for target in [paths::state(id, event), paths::state_ids(id, event), paths::backfill(id, event, 10)] {
            let reply = get(&room.peer, &target).await?;
            reply.expect_error(&format!("GET {target}, which names {what},"), 404, "M_NOT_FOUND")?;
        }
    }
    Ok(())
}

async fn wrong_server(ctx: &Context) -> Result<(), Finding> {
    let guest = guest_room(ctx).await?;
    let id = guest.room.id.as_str();
    let is_join =
        |event: &Value| event.get("state_key").and_then(Value::as_str) == Some(guest.carol.as_str());
    let join = guest.room.list().into_iter().find(is_join).map(|event| reference_id(&event));
    let join = join.ok_or_else(|| fault("the join is not in the hub's list"))?;
    for target in [paths::state(id, &join), paths::state_ids(id, &join)] {
        let reply = get(&guest.peer, &target).await?;
        reply.expect_error(&format!("GET {target} at a participant"), 400, "M_WRONG_SERVER")?;
    }
    Ok(())
}

async fn ids_of_the_state(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_history(ctx).await?;
    let ledger = Ledger::read(ctx, &room.id).await?;
    for event in telling_events(&room, &ledger).await? {
        let reply = get(&room.peer, &paths::state(room.id.as_str(), &event)).await?;
        let state = reply.expect_ok(&format!("a question for the state at {event}"))?.clone();
        let reply = get(&room.peer, &paths::state_ids(room.id.as_str(), &event)).await?;
        let ids = reply.expect_ok(&format!("a question for the ids of the state at {event}"))?;
        for (field, ids_field) in [("pdus", "pdu_ids"), ("auth_chain", "auth_chain_ids")] {
            check!(ids.get(ids_field).is_some_and(Value::is_array), "the answer has no array `{ids_field}`");
            let (expected, listed) = (ids_in(&state, field)?, texts(ids, ids_field));
            let served: BTreeSet<String> = listed.iter().cloned().collect();
            check!(served.len() == listed.len(), "`{ids_field}` has an id twice");
            check!(
                served == expected,
                "`{ids_field}` is {served}, and `{field}` has {expected}",
                served = said(&served),
                expected = said(&expected)
            );
        }
    }
    Ok(())
}

/// The ids that an answer lists under `pdus`, in order.
fn listed(answer: &Value) -> Result<Vec<String>, Finding> {
    let list = answer.get("pdus").and_then(Value::as_array);
    let list = list.ok_or_else(|| fault("the answer has no array `pdus`"))?;
    Ok(list.iter().map(reference_id).collect())
}

async fn backfill(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_history(ctx).await?;
    let ids = Ledger::read(ctx, &room.id).await?.ids();
    for (end, v) in ids.iter().enumerate().rev().step_by(3) {
        for limit in [1, 2, 5, 50] {
            let target = paths::backfill(room.id.as_str(), v, limit);
            let reply = get(&room.peer, &target).await?;
            let served = listed(reply.expect_ok(&format!("GET {target}"))?)?;
            let count = served.len();
            check!(count <= limit, "GET {target} is answered with {count} events");
            let end = end.saturating_add(1);
            let expected = ids.get(end.saturating_sub(limit)..end).unwrap_or_default();
            // A server may have a maximum of its own; one below this would be no help to anybody.
            let whole = expected.ends_with(&served) && count >= expected.len().min(5);
            check!(
                whole,
                "GET {target} is answered with {served} instead of {expected}",
                served = said(&served),
                expected = said(&expected)
            );
        }
    }
    Ok(())
}

async fn required_parameters(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let v = Ledger::read(ctx, &room.id).await?.last_state("m.room.create")?;
    let sound = paths::backfill(room.id.as_str(), &v, 1);
    get(&room.peer, &sound).await?.expect_ok(&format!("GET {sound}"))?;
    let (path, query) = sound.split_once('?').unwrap_or_default();
    let (v, limit) = query.split_once('&').unwrap_or_default();
    for query in [limit.to_owned(), v.to_owned(), String::new(), format!("{v}&limit=many")] {
        let target = format!("{path}?{query}");
        get(&room.peer, &target).await?.expect_refusal(&format!("GET {target}"))?;
    }
    Ok(())
}

/// A room with this history visibility in which `alice` said `before` before `bob` joined, and the event's id.
async fn with_visibility<'c>(
    ctx: &'c Context,
    visibility: &str,
) -> Result<(HubRoom<'c>, Value, String), Finding> {
    let settings = json!({"join_rule": "public", "history_visibility": visibility});
    let id = ctx.create_room(settings).await?;
    ctx.send_as_alice(&id, "m.room.message", None, json!({"body": "before"})).await?;
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    peer.join(&id, &bob).await?;
    let message = ctx.until_event(&id, "the message is in the list", |event| is_message(event, "before"));
    let message = message.await?;
    let message_id = reference_id(&message);
    Ok((HubRoom { ctx, id, peer, bob }, message, message_id))
}

async fn shared_history(ctx: &Context) -> Result<(), Finding> {
    let (room, message, id) = with_visibility(ctx, "shared").await?;
    let reply = get(&room.peer, &paths::event(&id)).await?;
    let served = reply.expect_ok("a question for an event from before the join")?;
    check!(*served == message, "the event is served as {served}");
    let reply = get(&room.peer, &paths::backfill(room.id.as_str(), &id, 100)).await?;
    let ids = listed(reply.expect_ok("a question for events from before the join")?)?;
    let ledger = Ledger::read(ctx, &room.id).await?.ids();
    check!(ledger.starts_with(&ids) && ids.last() == Some(&id), "what is served is not the list's beginning");
    Ok(())
}

async fn hidden_history(ctx: &Context) -> Result<(), Finding> {
    let (room, message, id) = with_visibility(ctx, "joined").await?;
    let later = room.accepts(&room.message("after")).await?;
    let reply = get(&room.peer, &paths::event(&reference_id(&later))).await?;
    let served = reply.expect_ok("a question for an event from after the join")?;
    check!(*served == later, "an event from after the join is served as {served}");
    let reply = get(&room.peer, &paths::event(&id)).await?;
    if reply.is(404, "M_NOT_FOUND") {
        let what = "an event from before the join is kept secret altogether".to_owned();
        return Err(Finding::Acceptable { reading: "R15", what });
    }
    let served = reply.expect_ok("a question for an event from before the join")?;
    if *served == message {
        let what = "an event from before the join is served in full".to_owned();
        return Err(Finding::Acceptable { reading: "R15", what });
    }
    check!(reference_id(served) == id, "the redacted event has the id {}", reference_id(served));
    let content = served.get("content");
    check!(
        content == Some(&json!({})),
        "the content of the redacted event is {content}",
        content = said(&content)
    );
    check!(text(served, "sender") == text(&message, "sender"), "the redacted event lost its sender");
    let reply = get(&room.peer, &paths::backfill(room.id.as_str(), &id, 1)).await?;
    let page = reply.expect_ok("a question for events from before the join")?;
    let first = page.pointer("/pdus/0");
    check!(
        first == Some(served),
        "among others the redacted event is served as {first}",
        first = said(&first)
    );
    Ok(())
}

async fn after_leaving(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    room.accepts(&room.member(&room.bob, "leave")).await?;
    ctx.send_as_alice(&room.id, "m.room.message", None, json!({"body": "among ourselves"})).await?;
    let is = |event: &Value| is_message(event, "among ourselves");
    let message = ctx.until_event(&room.id, "the message is in the list", is).await?;
    let id = reference_id(&message);
    for target in [paths::event(&id), paths::backfill(room.id.as_str(), &id, 1)] {
        let reply = get(&room.peer, &target).await?;
        let served = reply.body.pointer("/pdus/0").unwrap_or(&reply.body);
        let content = served.get("content");
        check!(content.is_none_or(|content| *content == json!({})), "GET {target} is answered with {served}");
        check!(!reply.status.is_server_error(), "GET {target} is answered {}", reply.status.as_u16());
    }
    Ok(())
}

async fn world_readable(ctx: &Context) -> Result<(), Finding> {
    let (_room, message, id) = with_visibility(ctx, "world_readable").await?;
    let stranger = ctx.peer().await?;
    let reply = get(&stranger, &paths::event(&id)).await?;
    let served = reply.expect_ok("a stranger's question for an event")?;
    check!(*served == message, "the event is served as {served}");
    Ok(())
}
