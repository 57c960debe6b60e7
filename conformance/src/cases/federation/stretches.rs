//! How much of a room's list the target serves at once, the state where its history is hidden, and states that it is given
//! (LM-04 §12.6.2, §12.6.4).

use http::Method;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::guest::guest_room;
use crate::cases::steps::ledger::Ledger;
use crate::cases::steps::{HubRoom, hub_room, paths, reference_id};
use crate::context::Context;
use crate::peer::{Inbound, Response};

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Should,
        Hub,
        "12.6.4/maximum",
        "however many events are asked for, there is a number that an answer does not exceed",
        ["LM-04/12.6.4/4", "R47"],
        maximum
    ),
    driven_case!(
        Must,
        Hub,
        "12.6.2/hidden-state",
        "where the history is for those who were joined, a state from before is served redacted",
        ["LM-04/12.6.2/7", "R48"],
        hidden_state
    ),
    driven_case!(
        Must,
        Participant,
        "12.6.2/checks-the-state",
        "events of a state that was asked for are checked before they are used",
        ["LM-04/12.6.2/8", "TR-00/2/9"],
        checks_the_state
    ),
];

/// How many transactions of messages the room of [`maximum`] has, and how many messages each.
const TRANSACTIONS: usize = 3;
const MESSAGES: usize = 50;

async fn maximum(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    for transaction in 0..TRANSACTIONS {
        let message = |number| room.peer.lpdu(&room.message(&format!("message {transaction}.{number}")));
        let messages: Vec<Value> = (0..MESSAGES).map(message).collect::<Result<_, Finding>>()?;
        room.peer.send(&messages, &[]).await?.expect_accepted()?;
    }
    let ids = Ledger::read(ctx, &room.id).await?.ids();
    let v = ids.last().ok_or_else(|| fault("the room's list is empty"))?;
    check!(ids.len() > TRANSACTIONS * MESSAGES, "the room's list has only {} events", ids.len());
    let target = paths::backfill(room.id.as_str(), v, 1_000_000);
    let reply = room.peer.request(Method::GET, &target, None).await?;
    if reply.status.is_client_error() {
        let what = "a question for very many events is refused".to_owned();
        return Err(Finding::Acceptable { reading: "R47", what });
    }
    let page = reply.expect_ok(&format!("GET {target}"))?.get("pdus").and_then(Value::as_array);
    let page = page.ok_or_else(|| fault("the answer has no array `pdus`"))?;
    let served: Vec<String> = page.iter().map(reference_id).collect();
    check!(
        !served.is_empty() && ids.ends_with(&served),
        "GET {target} is not answered with the end of the list, but with {served}",
        served = said(&served)
    );
    if served.len() < ids.len() {
        return Ok(());
    }
    let what = format!("all {} events of a room are served at once", ids.len());
    Err(Finding::Acceptable { reading: "R47", what })
}

/// The event of this id in the state served for another.
async fn of_state(room: &HubRoom<'_>, at: &str, id: &str) -> Result<Option<Value>, Finding> {
    let target = paths::state(room.id.as_str(), at);
    let reply = room.peer.request(Method::GET, &target, None).await?;
    if reply.is(404, "M_NOT_FOUND") {
        return Ok(None);
    }
    let state = reply.expect_ok(&format!("GET {target}"))?.get("pdus").and_then(Value::as_array);
    let state = state.ok_or_else(|| fault("the answer has no array `pdus`"))?;
    let found = state.iter().find(|event| reference_id(event) == id);
    found
        .cloned()
        .map(Some)
        .ok_or_else(|| fault(format!("the state before {at} does not have the event {id}")))
}

async fn hidden_state(ctx: &Context) -> Result<(), Finding> {
    let settings = json!({"join_rule": "public", "history_visibility": "joined", "topic": "the topic"});
    let id = ctx.create_room(settings).await?;
    ctx.send_as_alice(&id, "m.room.message", None, json!({"body": "before"})).await?;
    let is_before = |event: &Value| event.pointer("/content/body") == Some(&json!("before"));
    let before = reference_id(&ctx.until_event(&id, "the message is in the list", is_before).await?);
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    peer.join(&id, &bob).await?;
    let room = HubRoom { ctx, id, peer, bob };
    let after = reference_id(&room.accepts(&room.message("after")).await?);
    let topic_id = Ledger::read(ctx, &room.id).await?.last_state("m.room.topic")?;
    let is_topic = |event: &Value| reference_id(event) == topic_id;
    let topic = ctx.until_event(&room.id, "the topic is in the list", is_topic).await?;

    // Found by its id, it has what redaction leaves; and of the content there is all or nothing.
    let content = |event: &Value| event.get("content").cloned().unwrap_or_default();
    let all_or_nothing = |event: &Value| *event == topic || content(event) == json!({});
    let of_after = of_state(&room, &after, &topic_id).await?;
    let of_after =
        of_after.ok_or_else(|| fault("the state of a room is kept from a server that is in it"))?;
    check!(all_or_nothing(&of_after), "the topic in the state after the join is served as {of_after}");
    let of_before = of_state(&room, &before, &topic_id).await?;
    let redacted = |event: &Value| all_or_nothing(event) && *event != topic;
    let what = match &of_before {
        Some(event) => {
            check!(all_or_nothing(event), "the topic in the state before the join is served as {event}");
            if redacted(event) && of_after == topic {
                return Ok(());
            }
            "another part of the state is served in full than what was in force while the server was in the room"
        }
        None => "the state from before a join is kept secret altogether",
    };
    Err(Finding::Acceptable { reading: "R48", what: what.to_owned() })
}

async fn checks_the_state(ctx: &Context) -> Result<(), Finding> {
    let guest = guest_room(ctx).await?;
    let topic = guest.host_sets("m.room.topic", "", json!({"topic": "never sent"}))?;
    let next = guest.host_appends("sent")?;
    // It has the id of the topic, of which signatures are no part, and the hub's signature of another event.
    let mut forged = topic.clone();
    if let (Some(forged), Some(signatures)) = (forged.as_object_mut(), next.get("signatures")) {
        forged.insert("signatures".to_owned(), signatures.clone());
    }
    let mut state = guest.room.list();
    state.retain(|event| event.get("state_key").is_some() && *event != topic);
    let ids = |events: &[Value]| events.iter().map(reference_id).collect::<Vec<_>>();
    let (chain_ids, mut pdu_ids) = (ids(&state), ids(&state));
    pdu_ids.push(reference_id(&forged));
    let (chain, mut pdus) = (state.clone(), state);
    pdus.push(forged.clone());
    let asked = |request: &Inbound| request.is("state") || request.is("state_ids");
    guest.peer.answer_with(move |request| {
        if request.is("state") {
            Some(Response::ok(json!({"pdus": pdus, "auth_chain": chain})))
        } else if request.is("state_ids") {
            Some(Response::ok(json!({"pdu_ids": pdu_ids, "auth_chain_ids": chain_ids})))
        } else if request.is("event") {
            Some(Response::ok(forged.clone()))
        } else if request.is("backfill") {
            Some(Response::error(404, "M_NOT_FOUND"))
        } else {
            None
        }
    });
    guest.peer.send(std::slice::from_ref(&next), &[]).await?.expect_processed()?;
    let id = reference_id(&topic);
    let used = ctx.state(&guest.room.id).await?.iter().any(|event| reference_id(event) == id);
    check!(!used, "an event with a wrong signature, which the hub gave in a state, is in the target's state");
    if guest.peer.requests().iter().any(asked) {
        return Ok(());
    }
    Err(Finding::Untried("the target does not ask for a room's state".to_owned()))
}
