//! Transactions that the target sends (LM-04 §12.5.1).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use mimi_transport::api::UNSTABLE_PREFIX;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::{HubRoom, hub_room};
use crate::context::{Context, LONG_PATIENCE};
use crate::peer::{Inbound, Response};

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "12.5.1/one-at-a-time",
        "the target begins no other transaction before the present one is answered 200",
        ["LM-04/12.5.1/1", "TR-00/3/58"],
        one_at_a_time
    ),
    driven_case!(
        Must,
        Hub,
        "12.5.1/own-edus-are-limited",
        "the target sends no more than 100 EDUs at once",
        ["LM-04/12.5.1/3", "TR-00/3/54"],
        own_edus_are_limited
    ),
    driven_case!(
        Must,
        Hub,
        "12.5.1/own-pdus-are-limited",
        "the target sends no more than 50 events at once",
        ["LM-04/12.5.1/4", "TR-00/3/52"],
        own_pdus_are_limited
    ),
    driven_case!(
        Should,
        Hub,
        "12.5.1/retries-after-an-error",
        "a transaction that is answered with an error is sent again as it was, until it is answered 200",
        ["LM-04/12.5.1/15", "LM-04/12.5.1/1", "TR-00/3/58"],
        retries_after_an_error
    ),
    driven_case!(
        Should,
        Hub,
        "12.5.1/retries-after-a-lost-connection",
        "a transaction whose answer was lost with the connection is sent again as it was",
        ["LM-04/12.5.1/15", "FW-01/2.1/3", "FW-01/2.1/4", "TR-00/3/19"],
        retries_after_a_lost_connection
    ),
    driven_case!(
        Should,
        Hub,
        "12.5.1/unstable-path",
        "a server that only has the unstable path gets its transactions there",
        ["R24"],
        unstable_path
    ),
];

/// Has `alice` say something.
async fn alice_says(room: &HubRoom<'_>, body: &str) -> Result<(), Finding> {
    room.ctx.send_as_alice(&room.id, "m.room.message", None, json!({"body": body})).await.map(drop)
}

/// Whether a transaction has a message with this text.
fn has_message(request: &Inbound, body: &str) -> bool {
    request.pdus().iter().any(|pdu| pdu.pointer("/content/body").and_then(Value::as_str) == Some(body))
}

/// Waits until a message has arrived, in a transaction that was answered.
async fn until_message(room: &HubRoom<'_>, body: &str) -> Result<(), Finding> {
    let what = format!("send the message {body}", body = said(&body));
    room.peer.until_request(&what, |request| has_message(request, body)).await.map(drop)
}

/// The transactions among requests.
fn transactions(requests: Vec<Inbound>) -> Vec<Inbound> {
    requests.into_iter().filter(|request| request.is("send")).collect()
}

async fn one_at_a_time(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let gate = room.peer.hold(|request| request.is("send"));
    alice_says(&room, "first").await?;
    let first = gate.until_arrived("send the first message").await?;
    for n in 0..10_u32 {
        alice_says(&room, &format!("later {n}")).await?;
    }
    let begun: BTreeSet<String> = gate.arrived().into_iter().map(|request| request.target).collect();
    check!(
        begun.len() == 1,
        "before {} was answered, the target also began {begun}",
        first.target,
        begun = said(&begun)
    );
    gate.open();
    until_message(&room, "later 9").await
}

async fn own_pdus_are_limited(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let gate = room.peer.hold(|request| request.is("send"));
    alice_says(&room, "first").await?;
    gate.until_arrived("send the first message").await?;
    for n in 0..60_u32 {
        alice_says(&room, &format!("later {n}")).await?;
    }
    gate.open();
    until_message(&room, "later 59").await?;
    for request in transactions(room.peer.requests()) {
        let count = request.pdus().len();
        check!(count <= 50, "{} has {count} events", request.target);
    }
    Ok(())
}

async fn own_edus_are_limited(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let gate = room.peer.hold(|request| request.is("send"));
    alice_says(&room, "first").await?;
    gate.until_arrived("send the first message").await?;
    let alice = ctx.user("alice")?;
    let message = |n: u32| json!({"target": room.bob, "target_device": "DEVICE", "message_type": "org.example", "message": {"n": n}});
    for n in 0..120 {
        ctx.control()?.to_device(&ctx.recorder, &alice, &message(n)).await?;
    }
    gate.open();
    let is_last = |edu: &Value| edu.pointer("/content/message/n") == Some(&json!(119));
    room.peer.until_edu("send all of its messages to a device", is_last).await?;
    for request in transactions(room.peer.requests()) {
        let count = request.edus().len();
        check!(count <= 100, "{} has {count} EDUs", request.target);
    }
    Ok(())
}

/// Two attempts are the same request.
fn expect_identical(first: &Inbound, again: &Inbound) -> Result<(), Finding> {
    let (id, other) = (&first.target, &again.target);
    check!(first.method == again.method && id == other, "before {id} is answered 200, {other} is sent");
    check!(first.body == again.body, "{id} is sent again with another body");
    Ok(())
}

async fn retries_after_an_error(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    // The join is out of the way first: every transaction from here on is about what alice says.
    alice_says(&room, "before").await?;
    until_message(&room, "before").await?;
    // One error, as nobody has promised to try again soon after several.
    let failed = AtomicBool::new(false);
    room.peer.answer_with(move |request| {
        let fails = request.is("send") && !failed.swap(true, Ordering::SeqCst);
        fails.then(|| Response::error(502, "M_UNKNOWN"))
    });
    let before = transactions(room.peer.requests()).len();
    alice_says(&room, "first").await?;
    let is_first = |request: &Inbound| request.is("send") && has_message(request, "first");
    room.peer.until_request("send the first message", is_first).await?;
    // This one has to wait until the first one got through.
    alice_says(&room, "second").await?;
    let is_second = |request: &Inbound| has_message(request, "second");
    room.peer.until_request_within(LONG_PATIENCE, "send the second message", is_second).await?;
    let attempts: Vec<Inbound> = transactions(room.peer.requests()).into_iter().skip(before).collect();
    match attempts.as_slice() {
        [first, again, ..] => expect_identical(first, again),
        _ => Err(fault("a transaction that was answered with an error is not sent again")),
    }
}

async fn retries_after_a_lost_connection(ctx: &Context) -> Result<(), Finding> {
    let mut room = hub_room(ctx).await?;
    alice_says(&room, "before").await?;
    until_message(&room, "before").await?;
    let gate = room.peer.hold(|request| request.is("send"));
    alice_says(&room, "first").await?;
    let lost = gate.until_arrived("send the first message").await?;
    room.peer.cut_off().await?;
    gate.until_more_within(LONG_PATIENCE, "send the transaction again", 1).await?;
    for again in gate.arrived() {
        expect_identical(&lost, &again)?;
    }
    gate.open();
    alice_says(&room, "second").await?;
    until_message(&room, "second").await
}

async fn unstable_path(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let is_final = |request: &Inbound| !request.target.starts_with(UNSTABLE_PREFIX);
    room.peer.answer_with(move |request| {
        (request.is("send") && is_final(request)).then(|| Response::error(404, "M_UNRECOGNIZED"))
    });
    alice_says(&room, "hello").await?;
    let arrives = |request: &Inbound| !is_final(request) && has_message(request, "hello");
    match room.peer.until_request("use the unstable path where there is no other", arrives).await {
        Ok(_) => Ok(()),
        Err(Finding::Fault(what)) => Err(Finding::Acceptable { reading: "R24", what }),
        Err(other) => Err(other),
    }
}
