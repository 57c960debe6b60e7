//! Delivery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mimi_linearized::id::ServerName;
use proptest::prelude::*;

use super::super::{
    Cursor, DeliveryStore, ExpectedHead, Flight, FlightRange, NewRecord, Outgoing, RoomStore, Store,
};
use super::{
    Backend, after, all_at_once, check_model, event, fill, head_moved, inbox, json, notice, record, room,
    server, user,
};

/// A record that goes to some servers.
fn bound_for(name: &str, destinations: &[&str]) -> NewRecord {
    NewRecord { queue_for: destinations.iter().map(|name| server(name)).collect(), ..record(name) }
}

fn lpdu(name: &str) -> Outgoing {
    Outgoing::Lpdu { room_id: room("r"), sender: user("alice"), lpdu_id: event(name), bytes: json(name) }
}

fn edu(name: &str) -> Outgoing {
    Outgoing::Edu { bytes: json(name) }
}

fn flight(txn_id: &str, ranges: &[(&str, u64, u64)], items: &[i64]) -> Flight {
    let ranges =
        ranges.iter().map(|(name, from, to)| FlightRange { room_id: room(name), from: *from, to: *to });
    Flight { txn_id: txn_id.to_owned(), ranges: ranges.collect(), items: items.to_vec() }
}

fn cursor(name: &str, position: u64, length: u64) -> Cursor {
    Cursor { room_id: room(name), position, length }
}

async fn lagging(store: &dyn Store, destination: &ServerName) -> Vec<Cursor> {
    let mut cursors = store.lagging_cursors(destination).await.unwrap();
    cursors.sort_by(|a, b| a.room_id.cmp(&b.room_id));
    cursors
}

async fn destinations(store: &dyn Store) -> Vec<ServerName> {
    let mut destinations = store.destinations().await.unwrap();
    destinations.sort();
    destinations
}

async fn waiting(
    store: &dyn Store,
    destination: &ServerName,
    lpdus: usize,
    edus: usize,
) -> Vec<(i64, Outgoing)> {
    let items = store.waiting(destination, lpdus, edus).await.unwrap();
    items.into_iter().map(|item| (item.sequence, item.outgoing)).collect()
}

pub(crate) async fn cursors_start_where_they_are_wanted<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let list = [
        bound_for("a", &[]),
        bound_for("b", &["x"]),
        bound_for("c", &["y", "x"]),
        bound_for("d", &["y", "y"]),
    ];
    fill(&store, &room("r"), list).await;
    fill(&store, &room("s"), [bound_for("e", &["x"])]).await;
    assert_eq!(lagging(&store, &server("x")).await, [cursor("r", 1, 4), cursor("s", 0, 1)]);
    assert_eq!(lagging(&store, &server("y")).await, [cursor("r", 2, 4)]);
    assert!(lagging(&store, &server("z")).await.is_empty());
    let mut of_room = store.room_destinations(&room("r")).await.unwrap();
    of_room.sort();
    assert_eq!(of_room, [server("x"), server("y")]);
    assert_eq!(store.room_destinations(&room("s")).await.unwrap(), [server("x")]);
    assert!(store.room_destinations(&room("t")).await.unwrap().is_empty());
}

pub(crate) async fn a_refused_append_makes_no_cursor<B: Backend>(backend: &B) {
    let store = backend.open().await;
    fill(&store, &room("r"), [record("a")]).await;
    assert!(head_moved(&store.append(&room("r"), ExpectedHead::Empty, bound_for("b", &["x"])).await));
    assert!(store.append(&room("r"), after("a"), bound_for("a", &["x"])).await.is_err());
    assert!(store.room_destinations(&room("r")).await.unwrap().is_empty());
}

pub(crate) async fn arriving_moves_cursors_and_never_back<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let list = (0..6).map(|i| bound_for(&format!("e{i}"), &["x", "y"]));
    fill(&store, &room("r"), list).await;
    fill(&store, &room("s"), [bound_for("s0", &["x"]), bound_for("s1", &[])]).await;
    let x = server("x");
    let arrive = async |ranges: &[(&str, u64, u64)]| {
        store.arrive(&x, &flight("t", ranges, &[]), Vec::new()).await.unwrap();
        lagging(&store, &x).await
    };
    assert_eq!(arrive(&[("r", 0, 4), ("s", 0, 1)]).await, [cursor("r", 4, 6), cursor("s", 1, 2)]);
    assert_eq!(arrive(&[("r", 0, 3), ("s", 0, 0)]).await, [cursor("r", 4, 6), cursor("s", 1, 2)]);
    assert_eq!(arrive(&[("s", 1, 2)]).await, [cursor("r", 4, 6)]);
    assert_eq!(arrive(&[("r", 4, 6)]).await, []);
    assert_eq!(
        lagging(&store, &server("y")).await,
        [cursor("r", 0, 6)],
        "another destination's cursor stays"
    );
    // It goes on from there; the cursor is still one of the room's.
    store.append(&room("r"), after("e5"), bound_for("e6", &["x"])).await.unwrap();
    assert_eq!(lagging(&store, &x).await, [cursor("r", 6, 7)]);
}

pub(crate) async fn a_cursor_stops_at_the_end<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let x = server("x");
    fill(&store, &room("r"), [bound_for("a", &["x"])]).await;
    for beyond in [2, u64::MAX] {
        // Neither an unknown room nor one without a cursor stands in the way.
        let ranges = [("r", 0, beyond), ("unknown", 0, 1)];
        store.arrive(&x, &flight("t", &ranges, &[]), Vec::new()).await.unwrap();
    }
    assert!(lagging(&store, &x).await.is_empty());
    store.append(&room("r"), after("a"), record("b")).await.unwrap();
    assert_eq!(lagging(&store, &x).await, [cursor("r", 1, 2)]);
}

pub(crate) async fn flights_are_kept_until_they_arrive<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let (x, y) = (server("x"), server("y"));
    assert_eq!(store.flight(&x).await.unwrap(), None);
    let first = flight("t1", &[("r", 0, 2), ("s", u64::MAX - 1, u64::MAX)], &[3, i64::MAX]);
    assert_eq!(store.depart(&x, &first).await.unwrap(), Some(first.clone()));
    store.depart(&y, &flight("t1", &[], &[])).await.unwrap();
    assert_eq!(store.flight(&x).await.unwrap(), Some(first.clone()));
    let second = flight("t2", &[("r", 0, 1)], &[]);
    assert_eq!(store.depart(&x, &second).await.unwrap(), Some(first.clone()), "one at a time");
    assert_eq!(store.flight(&x).await.unwrap(), Some(first.clone()));
    store.arrive(&x, &first, Vec::new()).await.unwrap();
    assert_eq!(store.depart(&x, &second).await.unwrap(), Some(second.clone()));
    assert_eq!(store.flight(&x).await.unwrap(), Some(second.clone()));
    store.arrive(&x, &second, Vec::new()).await.unwrap();
    assert_eq!(store.flight(&x).await.unwrap(), None);
    assert_eq!(store.flight(&y).await.unwrap(), Some(flight("t1", &[], &[])));
}

pub(crate) async fn a_late_arrival_spares_the_next_flight<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let x = server("x");
    let place = store.enqueue(&x, edu("a")).await.unwrap();
    let first = flight("t1", &[], &[place]);
    store.depart(&x, &first).await.unwrap();
    store.arrive(&x, &first, Vec::new()).await.unwrap();
    let place = store.enqueue(&x, edu("b")).await.unwrap();
    let second = flight("t2", &[], &[place]);
    store.depart(&x, &second).await.unwrap();
    store.arrive(&x, &first, Vec::new()).await.unwrap();
    assert_eq!(store.flight(&x).await.unwrap(), Some(second));
    assert_eq!(waiting(&store, &x, 9, 9).await, [(place, edu("b"))]);
}

pub(crate) async fn what_has_arrived_does_not_depart_again<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let x = server("x");
    fill(&store, &room("r"), [bound_for("a", &["x"]), record("b"), record("c")]).await;
    let places = [store.enqueue(&x, edu("e")).await.unwrap(), store.enqueue(&x, edu("f")).await.unwrap()];
    let first = flight("t1", &[("r", 0, 2)], &places[..1]);
    store.depart(&x, &first).await.unwrap();
    store.arrive(&x, &first, Vec::new()).await.unwrap();
    // Whoever made these had not heard of the arrival.
    for late in
        [flight("t2", &[("r", 0, 2)], &[]), flight("t2", &[("r", 1, 3)], &[]), flight("t2", &[], &places)]
    {
        assert_eq!(store.depart(&x, &late).await.unwrap(), None, "{late:?}");
        assert_eq!(store.flight(&x).await.unwrap(), None);
    }
    let next = flight("t3", &[("r", 2, 3)], &places[1..]);
    assert_eq!(store.depart(&x, &next).await.unwrap(), Some(next));
}

pub(crate) async fn queues_keep_their_order<B: Backend>(backend: &B) {
    let store = backend.open_shared().await;
    let (x, y) = (server("x"), server("y"));
    let mut expected = Vec::new();
    for i in 0..10 {
        let outgoing = if i % 3 == 0 { lpdu(&format!("i{i}")) } else { edu(&format!("i{i}")) };
        expected.push((store.enqueue(&x, outgoing.clone()).await.unwrap(), outgoing));
        store.enqueue(&y, edu("to another")).await.unwrap();
    }
    assert!(expected.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(waiting(&*store, &x, 100, 100).await, expected);

    let places = all_at_once((0..20).map(|i| {
        let (store, x) = (Arc::clone(&store), x.clone());
        async move { (store.enqueue(&x, edu(&format!("c{i}"))).await.unwrap(), edu(&format!("c{i}"))) }
    }))
    .await;
    expected.extend(places.into_iter().collect::<BTreeMap<_, _>>());
    assert_eq!(waiting(&*store, &x, usize::MAX, usize::MAX).await, expected);
}

pub(crate) async fn waiting_is_limited_by_kind<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let x = server("x");
    for outgoing in [edu("a"), lpdu("b"), edu("c"), edu("d"), lpdu("e"), lpdu("f")] {
        store.enqueue(&x, outgoing).await.unwrap();
    }
    let kinds = async |lpdus, edus| {
        waiting(&store, &x, lpdus, edus).await.into_iter().map(|(_, outgoing)| outgoing).collect::<Vec<_>>()
    };
    assert_eq!(kinds(1, 2).await, [edu("a"), lpdu("b"), edu("c")]);
    assert_eq!(kinds(2, 1).await, [edu("a"), lpdu("b"), lpdu("e")]);
    assert_eq!(kinds(0, 9).await, [edu("a"), edu("c"), edu("d")]);
    assert_eq!(kinds(9, 0).await, [lpdu("b"), lpdu("e"), lpdu("f")]);
    assert_eq!(kinds(0, 0).await, []);
}

pub(crate) async fn items_that_are_gone_are_left_out<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let (x, y) = (server("x"), server("y"));
    let mut places = Vec::new();
    for name in ["a", "b", "c", "d"] {
        places.push(store.enqueue(&x, lpdu(name)).await.unwrap());
    }
    let of_another = store.enqueue(&y, edu("e")).await.unwrap();
    // One's own items are removed; another destination's are not one's to remove.
    store.arrive(&x, &flight("t", &[], &[places[1], of_another, 1_000_000]), Vec::new()).await.unwrap();
    let names = async |sequences: &[i64]| {
        let items = store.items(&x, sequences).await.unwrap();
        items.into_iter().map(|item| (item.sequence, item.outgoing)).collect::<Vec<_>>()
    };
    let asked = [places[3], of_another, places[1], -1, places[0], i64::MAX];
    assert_eq!(names(&asked).await, [(places[0], lpdu("a")), (places[3], lpdu("d"))]);
    assert_eq!(names(&[]).await, []);
    assert_eq!(waiting(&store, &x, 9, 9).await.len(), 3);
    assert_eq!(waiting(&store, &y, 9, 9).await, [(of_another, edu("e"))]);
}

pub(crate) async fn places_are_never_given_again<B: Backend>(backend: &B) {
    let x = server("x");
    let mut last = i64::MIN;
    for _ in 0..3 {
        let store = backend.open().await;
        for _ in 0..2 {
            let place = store.enqueue(&x, edu("a")).await.unwrap();
            assert!(place > last);
            last = place;
            store.arrive(&x, &flight("t", &[], &[place]), Vec::new()).await.unwrap();
        }
    }
}

pub(crate) async fn arriving_delivers_notices<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let (x, alice, bob) = (server("x"), user("alice"), user("bob"));
    let departed = flight("t", &[], &[]);
    store.depart(&x, &departed).await.unwrap();
    // A repetition after a lost answer puts marked notices nowhere twice.
    for _ in 0..2 {
        let notices = vec![notice(&alice, "refused", Some("lpdu")), notice(&bob, "hello", Some("b"))];
        store.arrive(&x, &departed, notices).await.unwrap();
    }
    assert_eq!(inbox(&store, &alice).await, [(0, json("refused"))]);
    assert_eq!(inbox(&store, &bob).await, [(0, json("hello"))]);
}

pub(crate) async fn destinations_have_something_to_do<B: Backend>(backend: &B) {
    let store = backend.open().await;
    assert!(destinations(&store).await.is_empty());
    fill(&store, &room("r"), [bound_for("a", &["cursor", "all"])]).await;
    store.depart(&server("flight"), &flight("t1", &[], &[])).await.unwrap();
    let mut places = Vec::new();
    for destination in ["edu", "lpdu", "edu", "all"] {
        let outgoing = if destination == "lpdu" { lpdu("l") } else { edu("e") };
        places.push(store.enqueue(&server(destination), outgoing).await.unwrap());
    }
    let all = flight("t2", &[("r", 0, 1)], &[places[3]]);
    store.depart(&server("all"), &all).await.unwrap();
    assert_eq!(destinations(&store).await, ["all", "cursor", "edu", "flight", "lpdu"].map(server));

    store.arrive(&server("all"), &all, Vec::new()).await.unwrap();
    store.arrive(&server("cursor"), &flight("t3", &[("r", 0, 1)], &[]), Vec::new()).await.unwrap();
    store.arrive(&server("edu"), &flight("t4", &[], &places[..1]), Vec::new()).await.unwrap();
    assert_eq!(destinations(&store).await, ["edu", "flight", "lpdu"].map(server));
    store.arrive(&server("edu"), &flight("t5", &[], &places[2..3]), Vec::new()).await.unwrap();
    store.arrive(&server("flight"), &flight("t1", &[], &[]), Vec::new()).await.unwrap();
    assert_eq!(destinations(&store).await, ["lpdu"].map(server));
    store.append(&room("r"), after("a"), record("b")).await.unwrap();
    assert_eq!(destinations(&store).await, ["all", "cursor", "lpdu"].map(server));
}

pub(crate) async fn delivery_survives_reopening<B: Backend>(backend: &B) {
    let x = server("x");
    let store = backend.open().await;
    fill(&store, &room("r"), [bound_for("a", &["x"]), record("b")]).await;
    let places = [store.enqueue(&x, lpdu("l")).await.unwrap(), store.enqueue(&x, edu("e")).await.unwrap()];
    let departed = flight("t", &[("r", 0, 1)], &places[..1]);
    store.depart(&x, &departed).await.unwrap();
    drop(store);

    let store = backend.open().await;
    assert_eq!(destinations(&store).await, [server("x")]);
    assert_eq!(store.flight(&x).await.unwrap(), Some(departed.clone()));
    assert_eq!(store.items(&x, &departed.items).await.unwrap()[0].outgoing, lpdu("l"));
    store.arrive(&x, &departed, vec![notice(&user("alice"), "n", None)]).await.unwrap();
    drop(store);

    let store = backend.open().await;
    assert_eq!(store.flight(&x).await.unwrap(), None);
    assert_eq!(lagging(&store, &x).await, [cursor("r", 1, 2)]);
    assert_eq!(waiting(&store, &x, 9, 9).await, [(places[1], edu("e"))]);
    assert_eq!(inbox(&store, &user("alice")).await, [(0, json("n"))]);
}

const ROOMS: [&str; 3] = ["r0", "r1", "r2"];
const DESTINATIONS: [&str; 3] = ["d0", "d1", "d2"];

#[derive(Debug, Clone)]
enum Step {
    Append { room: usize, queue_for: Vec<&'static str> },
    Arrive { destination: &'static str, room: usize, to: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let queue_for = prop::sample::subsequence(&DESTINATIONS[..], 0..=3);
    let append = (0..ROOMS.len(), queue_for).prop_map(|(room, queue_for)| Step::Append { room, queue_for });
    let arrive = (prop::sample::select(&DESTINATIONS[..]), 0..ROOMS.len(), 0_u64..8)
        .prop_map(|(destination, room, to)| Step::Arrive { destination, room, to });
    prop::collection::vec(prop_oneof![3 => append, 2 => arrive], 1..24)
}

pub(crate) async fn cursors_follow_a_model<B: Backend>(_: &B) {
    check_model(&steps(), async |steps| {
        let backend = B::new();
        let store = backend.open().await;
        let mut lengths = [0_u64; ROOMS.len()];
        let mut cursors: BTreeMap<(&str, usize), u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Append { room: number, queue_for } => {
                    let length = lengths[number];
                    let name = |position| format!("{}-{position}", ROOMS[number]);
                    let head = length.checked_sub(1).map_or(ExpectedHead::Empty, |last| after(&name(last)));
                    let new = bound_for(&name(length), &queue_for);
                    let position = store.append(&room(ROOMS[number]), head, new).await.unwrap();
                    prop_assert_eq!(position, length);
                    lengths[number] += 1;
                    for destination in queue_for {
                        cursors.entry((destination, number)).or_insert(length);
                    }
                }
                Step::Arrive { destination, room: number, to } => {
                    let arrived = flight("t", &[(ROOMS[number], 0, to)], &[]);
                    store.arrive(&server(destination), &arrived, Vec::new()).await.unwrap();
                    if let Some(position) = cursors.get_mut(&(destination, number)) {
                        *position = (*position).max(to.min(lengths[number]));
                    }
                }
            }
            let mut behind = BTreeSet::new();
            for destination in DESTINATIONS {
                let expected: Vec<_> = cursors
                    .iter()
                    .filter(|((of, number), position)| *of == destination && **position < lengths[*number])
                    .map(|((_, number), position)| cursor(ROOMS[*number], *position, lengths[*number]))
                    .collect();
                if !expected.is_empty() {
                    behind.insert(server(destination));
                }
                prop_assert_eq!(lagging(&store, &server(destination)).await, expected);
            }
            prop_assert_eq!(destinations(&store).await, behind.into_iter().collect::<Vec<_>>());
        }
        Ok(())
    });
}
