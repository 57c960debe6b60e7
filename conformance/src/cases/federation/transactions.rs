//! Transactions that the target receives (LM-04 §12.2.5, §12.5, §12.5.1, reading R19).

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use mimi_linearized::id::RoomId;
use mimi_transport::keys::KEY_PATH;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::case::{Case, Finding, case, check, driven_case, fault};
use crate::cases::steps::guest::guest_room;
use crate::cases::steps::key_responses::{KeyResponse, further_key};
use crate::cases::steps::paths;
use crate::cases::steps::{HubRoom, hub_room, not_reported, reference_id, remade, resigned};
use crate::context::Context;
use crate::peer::{Gate, Peer, Sent, lpdu_hash};
use crate::wire::Reply;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "12.2.5/any-id",
        "any transaction id will do, and under another id a request is processed anew",
        ["LM-04/12.2.5/1", "R19"],
        any_id
    ),
    driven_case!(
        Must,
        Hub,
        "12.2.5/replay",
        "a repeated transaction gets the answer it got before, and has no effect a second time",
        ["LM-04/12.2.5/2", "LM-04/12.2.5/3", "R19"],
        replay
    ),
    driven_case!(
        Must,
        Hub,
        "12.2.5/replay-of-a-handshake",
        "a repeated handshake gets the answer it got before, a refusal included",
        ["LM-04/12.2.5/2", "LM-04/12.2.5/3", "R19"],
        replay_of_a_handshake
    ),
    driven_case!(
        Must,
        Hub,
        "12.2.5/two-senders",
        "the same transaction id of two servers belongs to two transactions",
        ["LM-04/12.2.5/4", "R19", "FW-01/2/8"],
        two_senders
    ),
    driven_case!(
        Must,
        Hub,
        "12.2.5/two-endpoints",
        "the same transaction id on two endpoints belongs to two transactions",
        ["LM-04/12.2.5/5", "R19"],
        two_endpoints
    ),
    driven_case!(
        Must,
        Hub,
        "12.5/mixed-rooms",
        "a transaction may mix rooms of which the receiver is the hub with rooms of which it is a participant",
        ["LM-04/12.5/1", "LM-04/12.5.1/6", "LM-04/12.5.1/9", "LM-04/12.5.1/12", "R13"],
        mixed_rooms
    ),
    case!(
        Must,
        Server,
        "12.5.1/missing-members",
        "a transaction without EDUs, or without events, may leave the member out",
        ["LM-04/12.5.1/2", "R19", "TR-00/3/53"],
        missing_members
    ),
    case!(
        Must,
        Server,
        "12.5.1/at-most-100-edus",
        "a transaction of 100 EDUs is taken, and one of 101 is malformed",
        ["LM-04/12.5.1/3", "R19", "TR-00/3/54"],
        at_most_100_edus
    ),
    case!(
        Must,
        Server,
        "12.5.1/at-most-50-pdus",
        "a transaction of 50 events is taken, and one of 51 is malformed",
        ["LM-04/12.5.1/4", "R19", "FW-01/6/11", "TR-00/3/52"],
        at_most_50_pdus
    ),
    driven_case!(
        Must,
        Hub,
        "12.5.1/oversize-has-no-effect",
        "nothing of a transaction with too many events is processed",
        ["LM-04/12.5.1/4", "R19"],
        oversize_has_no_effect
    ),
    driven_case!(
        Must,
        Hub,
        "12.5.1/one-bad-event",
        "events that are rejected or dropped do not keep the others from being accepted",
        [
            "LM-04/12.5.1/5",
            "LM-04/12.5.1/11",
            "LM-04/12.5.1/12",
            "LM-04/12.5.1/22",
            "R19",
            "TR-00/3/42",
            "TR-00/3/55"
        ],
        one_bad_event
    ),
    case!(
        Must,
        Server,
        "12.5.1/unknown-room",
        "an event of an unknown room is reported under the id of what was sent",
        ["LM-04/12.5.1/6", "LM-04/12.5.1/7", "LM-04/12.5.1/19", "LM-04/12.5.1/20", "LM-04/12.5.1/21", "R20",],
        unknown_room
    ),
    driven_case!(
        Must,
        Participant,
        "12.5.1/lpdu-to-a-participant",
        "a participant drops LPDUs, and does not pass them on",
        ["LM-04/12.5.1/10", "LM-04/12.5.1/22", "R13"],
        lpdu_to_a_participant
    ),
    driven_case!(
        Should,
        Hub,
        "12.5.1/does-not-wait-for-others",
        "a transaction is answered although another server in the room does not take its events",
        ["LM-04/12.5.1/14", "FW-01/2.1/1", "TR-00/3/18"],
        does_not_wait_for_others
    ),
    driven_case!(
        Must,
        Hub,
        "12.5.1/in-flight",
        "while a transaction is processed it is not answered, and another one of its sender is answered 400 M_BAD_STATE",
        ["LM-04/12.5.1/13", "LM-04/12.5.1/16", "LM-04/12.2.5/2", "LM-04/12.2.5/4", "R19"],
        in_flight
    ),
    driven_case!(
        Should,
        Hub,
        "12.5.1/sender-hangs-up",
        "a transaction whose sender has hung up is processed to its end, once",
        ["LM-04/12.5.1/17", "LM-04/12.5.1/18", "R19"],
        sender_hangs_up
    ),
];

/// How long a target is given until it asks again for the keys of a server.
const KEY_PATIENCE: Duration = Duration::from_secs(70);
/// How long it is left alone in between.
const OFFER_AGAIN: Duration = Duration::from_millis(250);

/// Sends a transaction, whatever else of this server is in flight.
async fn put(peer: &Peer, txn_id: &str, body: &Value) -> Result<Reply, Finding> {
    peer.request(Method::PUT, &paths::send(txn_id), Some(body)).await
}

/// A state event that `bob` may not send before his level is raised.
fn name_by_bob(room: &HubRoom<'_>) -> Result<Value, Finding> {
    room.peer.lpdu(&room.state("m.room.name", "", json!({"name": "set by bob"})))
}

/// Lets `bob` send state events.
async fn raise_bob(room: &HubRoom<'_>) -> Result<(), Finding> {
    let alice = room.ctx.user("alice")?;
    let levels = json!({"users": {alice.as_str(): 100, room.bob.as_str(): 100}});
    room.ctx.send_as_alice(&room.id, "m.room.power_levels", Some(""), levels).await.map(drop)
}

/// How often the event made of an LPDU is in a room's list.
async fn times_listed(room: &HubRoom<'_>, lpdu: &Value) -> Result<usize, Finding> {
    let hash = lpdu_hash(lpdu);
    let events = room.ctx.events(&room.id).await?;
    Ok(events.iter().filter(|event| lpdu_hash(event) == hash).count())
}

/// Two answers are the same one.
fn expect_same(first: &Reply, second: &Reply, what: &str) -> Result<(), Finding> {
    let show = |reply: &Reply| format!("{} {}", reply.status.as_u16(), reply.body);
    let same = first.status == second.status && first.body == second.body;
    check!(same, "{what} is answered {} and then {}", show(first), show(second));
    Ok(())
}

async fn any_id(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let long = "x".repeat(200);
    for id in ["0", "a b", "../etc", "%2F", "$a:b+c=d/e?f#g", "Ωμέγα🦀", "null", &long] {
        // A former run may have used the same ids for the same server.
        let id = format!("{id}{}", room.peer.txn_id());
        let lpdu = room.peer.lpdu(&room.message(&id))?;
        let body = json!({"pdus": [lpdu], "edus": []});
        let sent = Sent(put(&room.peer, &id, &body).await?);
        sent.expect_accepted()?;
        room.peer.until_echo(&lpdu).await?;
    }
    Ok(())
}

async fn replay(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (message, name) = (room.peer.lpdu(&room.message("once"))?, name_by_bob(&room)?);
    let (txn_id, body) = (room.peer.txn_id(), json!({"pdus": [message, name], "edus": []}));
    let first = put(&room.peer, &txn_id, &body).await?;
    Sent(first.clone()).expect_rejected(&reference_id(&name), "a state event below its level")?;
    room.peer.until_echo(&message).await?;
    // From now on the same body would be judged otherwise.
    raise_bob(&room).await?;
    for _ in 0..2 {
        let again = put(&room.peer, &txn_id, &body).await?;
        expect_same(&first, &again, "a repeated transaction")?;
    }
    let times = times_listed(&room, &message).await?;
    check!(times == 1, "a message of a repeated transaction is in the list {times} times");
    room.is_not_listed(&name, "an event that was rejected when its transaction was processed").await
}

async fn replay_of_a_handshake(ctx: &Context) -> Result<(), Finding> {
    let id = ctx.create_room(json!({})).await?;
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    let lpdu = peer.lpdu(&peer.member(&id, &bob, &bob, "join"))?;
    let (txn_id, other) = (peer.txn_id(), peer.txn_id());
    let join = async |txn_id: &str| {
        peer.request(Method::POST, &paths::send_change("join", txn_id), Some(&lpdu)).await
    };
    let refused = join(&txn_id).await?;
    refused.expect_error("a join without an invite", 403, "M_FORBIDDEN")?;
    ctx.as_alice(&id, &bob, "invite").await?;
    expect_same(&refused, &join(&txn_id).await?, "a repeated join")?;
    let membership = ctx.room(&id).await?.membership(&bob).to_owned();
    check!(membership == "invite", "repeating a join that was refused made the user {membership}");
    let taken = join(&other).await?;
    taken.expect_ok("the same join under another transaction id, with an invite,")?;
    ctx.send_as_alice(&id, "m.room.topic", Some(""), json!({"topic": "changed meanwhile"})).await?;
    expect_same(&taken, &join(&other).await?, "a repeated join")?;
    let joins = ctx.events(&id).await?.iter().filter(|event| lpdu_hash(event) == lpdu_hash(&lpdu)).count();
    check!(joins == 1, "a repeated join is in the list {joins} times");
    Ok(())
}

async fn two_senders(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let other = ctx.peer().await?;
    let dave = other.user("dave")?;
    other.join(&room.id, &dave).await?;
    let first = room.peer.lpdu(&room.message("from one server"))?;
    let content = json!({"body": "from another server"});
    let second = other.lpdu(&other.draft(&room.id, &dave, "m.room.message", content))?;
    let id = format!("the-same-{}", room.peer.txn_id());
    room.peer.send_as(&id, std::slice::from_ref(&first), &[]).await?.expect_accepted()?;
    other.send_as(&id, std::slice::from_ref(&second), &[]).await?.expect_accepted()?;
    room.peer.until_echo(&first).await?;
    other.until_echo(&second).await.map(drop)
}

async fn two_endpoints(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let carol = room.peer.user("carol")?;
    let join = room.peer.lpdu(&room.peer.member(&room.id, &carol, &carol, "join"))?;
    let id = room.peer.txn_id();
    let path = paths::send_change("join", &id);
    room.peer.request(Method::POST, &path, Some(&join)).await?.expect_ok("send_join")?;
    let message = room.peer.lpdu(&room.message("on another endpoint"))?;
    room.peer.send_as(&id, std::slice::from_ref(&message), &[]).await?.expect_accepted()?;
    room.peer.until_echo(&message).await?;
    let leave = room.peer.lpdu(&room.peer.member(&room.id, &carol, &carol, "leave"))?;
    let path = paths::send_change("leave", &id);
    room.peer.request(Method::POST, &path, Some(&leave)).await?.expect_ok("send_leave")?;
    let membership = ctx.room(&room.id).await?.membership(&carol).to_owned();
    check!(membership == "leave", "a leave under the id of a join left the user in {membership}");
    Ok(())
}

async fn mixed_rooms(ctx: &Context) -> Result<(), Finding> {
    let guest = guest_room(ctx).await?;
    let bob = guest.peer.user("bob")?;
    let mut pdus = Vec::new();
    for n in 0..2_u32 {
        let id = ctx.public_room().await?;
        guest.peer.join(&id, &bob).await?;
        pdus.push(guest.peer.lpdu(&guest.peer.draft(&id, &bob, "m.room.message", json!({"n": n})))?);
    }
    let whole = guest.host_appends("from the hub of another room")?;
    pdus.insert(1, whole.clone());
    guest.peer.send(&pdus, &[]).await?.expect_accepted()?;
    for lpdu in [pdus.first(), pdus.last()].into_iter().flatten() {
        let echo = guest.peer.until_echo(lpdu).await?;
        check!(echo.get("room_id") == lpdu.get("room_id"), "an event came back in another room");
    }
    let is = |event: &Value| *event == whole;
    guest.until_listed("the hub's event is in the participant's list", is).await.map(drop)
}

async fn missing_members(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let reply = put(&peer, &peer.txn_id(), &json!({"pdus": []})).await?;
    Sent(reply).expect_accepted()?;
    for body in [json!({"edus": []}), json!({})] {
        let reply = put(&peer, &peer.txn_id(), &body).await?;
        if reply.is_refusal() {
            let what = format!("the body {body}, which has no `pdus`, is refused");
            return Err(Finding::Acceptable { reading: "R19", what });
        }
        Sent(reply).expect_accepted()?;
    }
    Ok(())
}

/// A transaction with too many entries is malformed.
fn expect_malformed(reply: &Reply, what: &str) -> Result<(), Finding> {
    if reply.is(400, "M_BAD_JSON") {
        return Ok(());
    }
    let got = format!("{what} is answered {} {}", reply.status.as_u16(), reply.errcode());
    if reply.is_refusal() && reply.status.as_u16() != 401 {
        return Err(Finding::Acceptable { reading: "R19", what: got });
    }
    Err(fault(format!("{got} instead of 400 M_BAD_JSON")))
}

async fn at_most_100_edus(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let sender = peer.user("bob")?;
    let edu = |n: u32| json!({"type": "org.example.nothing", "sender": sender, "content": {"n": n}});
    let mut edus: Vec<Value> = (0..100).map(edu).collect();
    peer.send(&[], &edus).await?.expect_accepted()?;
    edus.push(edu(100));
    expect_malformed(&peer.send(&[], &edus).await?.0, "a transaction of 101 EDUs")
}

/// LPDUs for a room that nobody knows.
fn for_no_room(ctx: &Context, peer: &Peer, count: u32) -> Result<Vec<Value>, Finding> {
    let room = RoomId::parse(&format!("!none:{}", ctx.environment.target.name));
    let room = room.map_err(|error| Finding::Suite(error.to_string()))?;
    let bob = peer.user("bob")?;
    (0..count).map(|n| peer.lpdu(&peer.draft(&room, &bob, "m.room.message", json!({"n": n})))).collect()
}

async fn at_most_50_pdus(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    peer.send(&for_no_room(ctx, &peer, 50)?, &[]).await?.expect_processed()?;
    let reply = peer.send(&for_no_room(ctx, &peer, 51)?, &[]).await?.0;
    expect_malformed(&reply, "a transaction of 51 events")
}

async fn oversize_has_no_effect(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let lpdus: Result<Vec<Value>, Finding> =
        (0..51_u32).map(|n| room.peer.lpdu(&room.message(&format!("one of too many: {n}")))).collect();
    let lpdus = lpdus?;
    let refused = expect_malformed(&room.peer.send(&lpdus, &[]).await?.0, "a transaction of 51 events");
    if matches!(refused, Err(Finding::Fault(_))) {
        return refused;
    }
    room.accepts(&room.message("sound")).await?;
    for lpdu in &lpdus {
        room.is_not_listed(lpdu, "an event of a malformed transaction").await?;
    }
    let all = room.peer.send(lpdus.get(..50).unwrap_or_default(), &[]).await?;
    all.expect_accepted()?;
    refused
}

async fn one_bad_event(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let sound = |n: u32| room.peer.lpdu(&room.message(&format!("sound {n}")));
    let (first, second, third) = (sound(1)?, sound(2)?, sound(3)?);
    let rejected = name_by_bob(&room)?;
    let mut forged = room.peer.lpdu(&room.message("forged"))?;
    if let Some(forged) = forged.as_object_mut() {
        forged.insert("origin_server_ts".to_owned(), json!(1));
    }
    let shapeless = resigned(&room.peer, &sound(4)?, |event| drop(event.remove("type")));
    let pdus = [first, rejected, second, forged, shapeless, third];
    let sent = room.peer.send(&pdus, &[]).await?;
    let [first, rejected, second, forged, shapeless, third] = &pdus;
    sent.expect_rejected(&reference_id(rejected), "a state event below its level")?;
    let failed = sent.expect_processed()?;
    check!(failed.len() == 1, "of one rejected event `failed_pdus` holds {}", Value::Object(failed));
    for sound in [first, second, third] {
        room.peer.until_echo(sound).await?;
    }
    room.is_not_listed(rejected, "a rejected event").await?;
    room.is_not_listed(forged, "an event with a wrong signature").await?;
    room.is_not_listed(shapeless, "an event without a type").await
}

async fn unknown_room(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let unknown = for_no_room(ctx, &peer, 1)?.pop().unwrap_or_default();
    let no_room = remade(&peer, &unknown, |event| drop(event.insert("room_id".to_owned(), json!("none"))));
    let mut unreported = Vec::new();
    for (what, lpdu) in [("an event of an unknown room", unknown), ("an event of no room", no_room)] {
        let sent = peer.send(std::slice::from_ref(&lpdu), &[]).await?;
        let failed = sent.expect_processed()?;
        if failed.is_empty() {
            unreported.push(what);
        } else {
            sent.expect_rejected(&reference_id(&lpdu), what)?;
            check!(failed.len() == 1, "for one event `failed_pdus` holds {}", Value::Object(failed));
        }
    }
    if unreported.is_empty() {
        return Ok(());
    }
    let what = format!("{} is dropped without being reported", unreported.join(", and also "));
    Err(Finding::Acceptable { reading: "R20", what })
}

async fn lpdu_to_a_participant(ctx: &Context) -> Result<(), Finding> {
    let guest = guest_room(ctx).await?;
    let host = guest.peer.user("host")?;
    let draft = |body: &str| guest.peer.draft(&guest.room.id, &host, "m.room.message", json!({"body": body}));
    let for_target = guest.peer.lpdu(&draft("an LPDU for the target as the hub"))?;
    let for_hub = remade(&guest.peer, &guest.peer.lpdu(&draft("an LPDU for the hub"))?, |event| {
        event.insert("hub_server".to_owned(), json!(guest.peer.name));
    });
    let sound = guest.host_appends("sound")?;
    let sent = guest.peer.send(&[for_target.clone(), sound.clone(), for_hub.clone()], &[]).await?;
    not_reported(&sent, "an LPDU at a participant")?;
    // What the target passes on to its hub, it passes on before what is sent later.
    guest.carol_says("later").await?;
    let is_later = |pdu: &Value| pdu.pointer("/content/body").and_then(Value::as_str) == Some("later");
    guest.peer.until_pdu("send its user's message to the hub", is_later).await?;
    let passed_on = guest.peer.pdus();
    let lpdus = [&for_target, &for_hub];
    let is_one = |event: &Value| lpdus.iter().any(|lpdu| lpdu_hash(event) == lpdu_hash(lpdu));
    check!(!passed_on.iter().any(is_one), "a participant passed an LPDU on");
    guest.until_listed("the hub's event is in the list", |event| *event == sound).await?;
    check!(!ctx.events(&guest.room.id).await?.iter().any(is_one), "an LPDU is in a participant's list");
    Ok(())
}

async fn does_not_wait_for_others(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let slow = ctx.peer().await?;
    slow.join(&room.id, &slow.user("dave")?).await?;
    let gate = slow.hold(|request| request.is("send"));
    room.accepts(&room.message("first")).await?;
    gate.until_arrived("send the event to the other server").await?;
    let second = room.peer.lpdu(&room.message("second"))?;
    room.peer.send(std::slice::from_ref(&second), &[]).await?.expect_accepted()?;
    room.peer.until_echo(&second).await?;
    gate.open();
    slow.until_echo(&second).await.map(drop)
}

/// A transaction that the target cannot finish for now.
struct Waiting<'r> {
    gate: Gate,
    txn_id: String,
    body: Value,
    /// The last event of the transaction.
    last: Value,
    answer: Pin<Box<dyn Future<Output = Result<Reply, Finding>> + Send + 'r>>,
}

/// Sends a transaction with an event of `bob` whose signature the target cannot check before it has asked for a new key
/// of his server, and for which it has to wait; then a sound message and these events. A target need not ask again soon
/// after it has asked for keys, and drops the event then: it is offered another one, until it asks.
async fn until_waiting<'r>(room: &'r HubRoom<'_>, further: &[Value]) -> Result<Waiting<'r>, Finding> {
    let second = further_key(&room.peer, &room.peer.txn_id().replace('-', "_"))?;
    let response = KeyResponse::of(&room.peer);
    let response = response.with_key(second.id().as_str(), &second.verify_key().to_base64());
    room.peer.publish_response(response.signed_by(&room.peer, &[&room.peer.key, &second]));
    let gate = room.peer.hold(|request| request.target.starts_with(KEY_PATH));
    let deadline = Instant::now() + KEY_PATIENCE;
    while Instant::now() < deadline {
        let slow = room.peer.lpdu_by(&room.message("slow"), &second)?;
        let last = room.peer.lpdu(&room.message("after the slow one"))?;
        let pdus: Vec<&Value> = [&slow, &last].into_iter().chain(further).collect();
        let (txn_id, body) = (room.peer.txn_id(), json!({"pdus": pdus, "edus": []}));
        let mut answer = Box::pin({
            let (txn_id, body) = (txn_id.clone(), body.clone());
            async move { put(&room.peer, &txn_id, &body).await }
        });
        let seen = gate.arrived().len();
        tokio::select! {
            arrived = gate.until_more("ask for the key of an event's sender", seen) => {
                arrived?;
                return Ok(Waiting { gate, txn_id, body, last, answer });
            }
            answer = &mut answer => drop(Sent(answer?).expect_processed()?),
        }
        tokio::time::sleep(OFFER_AGAIN).await;
    }
    let what =
        "the target does not ask for a key of a server whose keys it knows, so that no transaction waits";
    Err(Finding::Untried(what.to_owned()))
}

async fn in_flight(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let other = ctx.peer().await?;
    other.join(&room.id, &other.user("dave")?).await?;
    let Waiting { gate, txn_id, body, last, answer } = until_waiting(&room, &[]).await?;
    let next = room.peer.lpdu(&room.message("in the next transaction"))?;
    let (next_id, next_body) = (room.peer.txn_id(), json!({"pdus": [next], "edus": []}));

    let is_answered = AtomicBool::new(false);
    let first = async {
        let reply = answer.await;
        is_answered.store(true, Ordering::SeqCst);
        reply
    };
    let meanwhile = async {
        let reply = put(&room.peer, &next_id, &next_body).await?;
        reply.expect_error("a transaction while another one is processed", 400, "M_BAD_STATE")?;
        // Without events, as a hub may process those of a room one after the other.
        other.send(&[], &[]).await?.expect_accepted()?;
        let answered = is_answered.load(Ordering::SeqCst);
        check!(!answered, "a transaction is answered before all of its events are processed");
        Ok(())
    };
    let meanwhile = async {
        let seen = meanwhile.await;
        gate.open();
        seen
    };
    let repeat = put(&room.peer, &txn_id, &body);
    let (first, repeat, meanwhile) = tokio::join!(first, repeat, meanwhile);
    meanwhile?;
    let first = first?;
    Sent(first.clone()).expect_accepted()?;
    expect_same(&first, &repeat?, "a transaction that is repeated while it is processed")?;
    room.peer.until_echo(&last).await?;
    // The refusal is not remembered: the transaction is taken now.
    Sent(put(&room.peer, &next_id, &next_body).await?).expect_accepted()?;
    room.peer.until_echo(&next).await.map(drop)
}

async fn sender_hangs_up(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let name = name_by_bob(&room)?;
    let Waiting { gate, txn_id, body, last, answer } =
        until_waiting(&room, std::slice::from_ref(&name)).await?;
    drop(answer);
    // The request was given up with that. This one comes after it on the same connection, so that when it is answered
    // the target has seen as much.
    room.peer.request(Method::GET, &paths::event("$none"), None).await?;
    gate.open();
    room.peer.until_echo(&last).await?;
    // From now on the same body would be judged otherwise.
    raise_bob(&room).await?;
    let again = Sent(put(&room.peer, &txn_id, &body).await?);
    again.expect_rejected(&reference_id(&name), "an event that was rejected when it was processed first")?;
    let times = times_listed(&room, &last).await?;
    check!(times == 1, "an event of a repeated transaction is in the list {times} times");
    room.is_not_listed(&name, "an event that was rejected when it was processed first").await
}
