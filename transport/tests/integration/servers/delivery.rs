//! What is delivered late, or again (LM-04 §12.2.5, §12.5.1, §12.6.4).

use std::time::Duration;

use http::Method;
use mimi_transport::api::send;
use mimi_transport::limits::{Limits, Rate, RateLimits, RequestLimits};
use mimi_transport::rooms::GapLimits;
use mimi_transport::store::sqlite::SqliteStore;
use mimi_transport::store::{DeliveryStore as _, Flight, FlightRange};
use serde_json::{Value, json};

use super::{Place, World, assert_same_end};

/// Makes a hub that is away believe that a destination has been sent all of a room.
async fn forget_to_send(hub: &Place, destination: &Place, room: &mimi_linearized::id::RoomId) {
    let store = SqliteStore::open(&hub.data.path().join("store.sqlite3")).unwrap();
    let begun = store.flight(&destination.name).await.unwrap();
    let txn_id = begun.map_or_else(|| "none".to_owned(), |flight| flight.txn_id);
    let all = FlightRange { room_id: room.clone(), from: 0, to: u64::MAX };
    let flight = Flight { txn_id, ranges: vec![all], items: Vec::new() };
    store.arrive(&destination.name, &flight, Vec::new()).await.unwrap();
    assert!(store.lagging_cursors(&destination.name).await.unwrap().is_empty());
    store.close().await.unwrap();
}

/// Has a participant miss `missed` events, and the hub say one more.
async fn miss(world: &World, gaps: GapLimits, missed: usize) -> (Place, Place, mimi_linearized::id::RoomId) {
    let mut hub = world.server().await;
    let mut b = world.server_within(Limits { gaps, ..Limits::default() }).await;
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    b.go_away().await;
    for number in 0..missed {
        hub.say(&room, "alice", &format!("missed {number}")).await;
    }
    hub.go_away().await;
    forget_to_send(&hub, &b, &room).await;
    world.come_back(&mut hub).await;
    world.come_back(&mut b).await;
    hub.say(&room, "alice", "after").await;
    (hub, b, room)
}

/// Most pages are fetched twice: on the way back for where they begin, and on the way forwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_gap_is_filled_page_by_page() {
    let world = World::new();
    let gaps = GapLimits { page: 3, pages: 100, kept_pages: 2, ..GapLimits::default() };
    let (hub, b, room) = miss(&world, gaps, 40).await;
    b.until_heard(&room, "after").await;
    assert_eq!(b.words(&room).await.len(), 41);
    assert_same_end(&room, &hub, &b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_beyond_the_bound_is_not_filled() {
    let world = World::new();
    let gaps = GapLimits { page: 3, pages: 4, kept_pages: 2, ..GapLimits::default() };
    let (hub, b, room) = miss(&world, gaps, 40).await;
    // The event is rejected, and answered: the queue goes on.
    while !hub.node().store.lagging_cursors(&b.name).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(b.words(&room).await, [""; 0]);
}

/// A hub that always asks to wait does not make a room wait for it longer than this server has patience.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_gives_nothing_is_not_waited_for_without_end() {
    let world = World::new();
    let rates = RateLimits { reads: Rate::new(1, Duration::from_secs(100_000), 1), ..RateLimits::default() };
    let mut hub = world.server_within(Limits { rates, ..Limits::default() }).await;
    let gaps = GapLimits { patience: Duration::from_millis(200), ..GapLimits::default() };
    let mut b = world.server_within(Limits { gaps, ..Limits::default() }).await;
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    b.go_away().await;
    hub.say(&room, "alice", "missed").await;
    hub.go_away().await;
    forget_to_send(&hub, &b, &room).await;
    world.come_back(&mut hub).await;
    world.come_back(&mut b).await;
    // The one read that the hub allows.
    let path = format!("/_matrix/federation/v2/event/%24{}", "A".repeat(43));
    b.node().client.request(&hub.name, &Method::GET, &path, None).await.unwrap();
    hub.say(&room, "alice", "after").await;
    let gone_on = async || {
        let lagging = hub.node().store.lagging_cursors(&b.name).await.unwrap();
        lagging.is_empty().then_some(())
    };
    hub.until("the queue going on, as the event is answered", gone_on).await;
    assert_eq!(b.words(&room).await, [""; 0]);
}

/// An answer is remembered through a restart, and nothing is processed again.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_transaction_gets_its_answer_after_a_restart() {
    let world = World::new();
    let (mut hub, b) = (world.server().await, world.server().await);
    let event = json!({"room_id": format!("!none:{}", hub.name), "type": "m.room.message"});
    let put = async |hub: &Place, txn_id: &str, pdus: &[Value]| {
        let (path, body) = (send::paths(txn_id).stable, json!({"pdus": pdus, "edus": []}));
        let answer = b.node().client.request(&hub.name, &Method::PUT, &path, &body).await.unwrap();
        answer.json_ok().unwrap()
    };
    let first = put(&hub, "one", std::slice::from_ref(&event)).await;
    assert_eq!(first["failed_pdus"].as_object().unwrap().len(), 1, "{first}");
    hub.go_away().await;
    world.come_back(&mut hub).await;
    // Were it processed, another body would have another answer.
    assert_eq!(put(&hub, "one", &[]).await, first);
    assert_eq!(put(&hub, "two", &[]).await, json!({"failed_pdus": {}}));
}

/// A server that takes no more than so many bytes at once.
fn narrow(body_bytes: usize) -> Limits {
    let requests = RequestLimits { body_bytes, ..RequestLimits::default() };
    Limits { requests, ..Limits::default() }
}

/// A server behind something that takes less at once than the draft's fifty events may have.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_at_once_goes_in_smaller_transactions() {
    let world = World::new();
    let mut hub = world.server_within(narrow(8 * 1024)).await;
    let mut b = world.server_within(narrow(8 * 1024)).await;
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    let long = |name: &str, number: usize| format!("{name} {number} {}", "x".repeat(1_500));
    b.go_away().await;
    for number in 0..30 {
        hub.say(&room, "alice", &long("alice", number)).await;
    }
    hub.go_away().await;
    world.come_back(&mut b).await;
    for number in 0..30 {
        b.say(&room, "bob", &long("bob", number)).await;
    }
    world.come_back(&mut hub).await;
    b.until_heard(&room, &long("bob", 29)).await;
    b.until_heard(&room, &long("alice", 29)).await;
    assert_eq!(b.words(&room).await.len(), 60);
    assert_same_end(&room, &hub, &b).await;
}

/// What a server never takes holds nothing else up: it can ask for an event, and the sender of an LPDU is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_alone_is_given_up_in_the_end() {
    let world = World::new();
    let (hub, b) = (world.server_within(narrow(3_000)).await, world.server_within(narrow(3_000)).await);
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    let large = "x".repeat(4_000);
    hub.say(&room, "alice", &large).await;
    hub.say(&room, "alice", "after").await;
    b.say(&room, "bob", &large).await;
    b.say(&room, "bob", "after bob").await;
    // Each hears of the other all the time, so that the pauses are short.
    let signs = async |from: &Place, to: &Place| loop {
        let path = format!("/_matrix/federation/v2/event/%24{}", "A".repeat(43));
        let _ = from.node().client.request(&to.name, &Method::GET, &path, None).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let heard = async {
        b.until_heard(&room, "after").await;
        b.until_heard(&room, "after bob").await;
        b.until_inbox(&b.user("bob"), "a rejection", |item| item["type"] == "rejected").await
    };
    let notice = tokio::select! {
        notice = heard => notice,
        never = signs(&hub, &b) => never,
        never = signs(&b, &hub) => never,
    };
    assert!(notice["error"].as_str().unwrap().contains("M_TOO_LARGE"), "{notice}");
    let mut words = b.words(&room).await;
    words.sort_by_key(String::len);
    assert_eq!(words.pop().map(|words| words.len()), Some(large.len()), "the event was asked for");
    assert_eq!(words, ["after", "after bob"]);
    assert_same_end(&room, &hub, &b).await;
}
