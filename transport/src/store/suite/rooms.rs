//! Rooms.

use std::sync::Arc;

use mimi_linearized::room::{Effect, Place};

use super::super::{
    AppendError, Evidence, ExpectedHead, InviteRecord, Location, NewRecord, Record, RoomStore, SnapshotEvent,
    Store, StoreError, StoredSnapshot,
};
use super::{Backend, after, all_at_once, event, fill, head_moved, json, record, room, server, user};

/// The record that is read for one that was appended.
fn stored(position: u64, new: NewRecord) -> Record {
    let NewRecord { event_id, lpdu_id, effect, bytes, origin, txn_id, queue_for: _ } = new;
    Record { position, event_id, lpdu_id, effect, bytes, origin, txn_id }
}

pub(crate) async fn records_come_back_whole_and_in_order<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let id = room("r");
    let full = NewRecord {
        lpdu_id: Some(event("lpdu")),
        effect: Effect::SoftFailed,
        bytes: vec![0, 255, b'\'', 0].into(),
        origin: Some(server("far")),
        txn_id: Some("a/b ü%".to_owned()),
        queue_for: vec![server("far"), server("near")],
        ..record("b")
    };
    let rejected = NewRecord { effect: Effect::Rejected, bytes: Arc::new([]), ..record("c") };
    assert_eq!(store.append(&id, ExpectedHead::Empty, record("a")).await.unwrap(), 0);
    assert_eq!(store.append(&id, after("a"), full.clone()).await.unwrap(), 1);
    assert_eq!(store.append(&id, after("b"), rejected.clone()).await.unwrap(), 2);
    let all = store.records(&id, 0, 10).await.unwrap();
    assert_eq!(all, [stored(0, record("a")), stored(1, full), stored(2, rejected)]);
    assert_eq!(store.length(&id).await.unwrap(), 3);
    assert_eq!(store.length(&room("other")).await.unwrap(), 0);
}

pub(crate) async fn records_come_in_pages<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let id = room("r");
    fill(&store, &id, (0..5).map(|i| record(&format!("e{i}")))).await;
    // A second room's records lie between in whatever order the store keeps.
    fill(&store, &room("s"), (0..5).map(|i| record(&format!("s{i}")))).await;
    let page = async |from, limit| {
        let records = store.records(&id, from, limit).await.unwrap();
        records.into_iter().map(|record| record.position).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 2).await, [0, 1]);
    assert_eq!(page(2, 2).await, [2, 3]);
    assert_eq!(page(4, 2).await, [4]);
    assert_eq!(page(0, usize::MAX).await, [0, 1, 2, 3, 4]);
    for nothing in [page(5, 2).await, page(0, 0).await, page(u64::MAX, 2).await] {
        assert!(nothing.is_empty());
    }
    assert!(store.records(&room("other"), 0, 10).await.unwrap().is_empty());
}

pub(crate) async fn an_append_needs_the_head<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let id = room("r");
    assert!(head_moved(&store.append(&id, after("a"), record("b")).await));
    fill(&store, &id, [record("a"), record("b")]).await;
    fill(&store, &room("s"), [record("x")]).await;
    for stale in [ExpectedHead::Empty, after("a"), after("x"), after("c")] {
        assert!(head_moved(&store.append(&id, stale, record("c")).await));
    }
    assert_eq!(store.length(&id).await.unwrap(), 2);
    assert_eq!(store.locate(&event("c")).await.unwrap(), None);
    assert_eq!(store.append(&id, after("b"), record("c")).await.unwrap(), 2);
    // The answer to a successful append may get lost; doing it again is told apart from a failure of the store.
    assert!(head_moved(&store.append(&id, after("b"), record("c")).await));
}

pub(crate) async fn one_of_many_appends_to_a_head_wins<B: Backend>(backend: &B) {
    let store = backend.open_shared().await;
    let id = room("r");
    let mut head = ExpectedHead::Empty;
    for round in 0..4_u64 {
        let outcomes = all_at_once((0..24).map(|i| {
            let (store, id, head) = (Arc::clone(&store), id.clone(), head.clone());
            async move { store.append(&id, head, record(&format!("r{round}-{i}"))).await }
        }))
        .await;
        let winners: Vec<_> = (0..24).zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).collect();
        let [(winner, Ok(position))] = winners.as_slice() else { panic!("{outcomes:?}") };
        assert_eq!(*position, round);
        assert_eq!(outcomes.iter().filter(|outcome| head_moved(outcome)).count(), 23);
        head = after(&format!("r{round}-{winner}"));
        assert_eq!(store.length(&id).await.unwrap(), round + 1);
    }
}

pub(crate) async fn concurrent_appends_make_one_line<B: Backend>(backend: &B) {
    const TASKS: u64 = 8;
    const EACH: u64 = 6;
    let store = backend.open_shared().await;
    let appending = (0..TASKS).map(|task| {
        let store = Arc::clone(&store);
        async move { append_repeatedly(&*store, task, EACH).await }
    });
    all_at_once(appending).await;

    let records = store.records(&room("r"), 0, usize::MAX).await.unwrap();
    assert_eq!(records.len() as u64, TASKS * EACH);
    let mut head = json("nothing");
    for (position, record) in (0..).zip(records) {
        assert_eq!(record.position, position);
        assert_eq!(record.bytes, head, "it says what it follows");
        head = json(record.event_id.as_str());
    }
}

/// Appends events to a room, each saying in its bytes what it follows, and reads the head again whenever it has moved.
async fn append_repeatedly(store: &dyn Store, task: u64, events: u64) {
    let id = room("r");
    let mut appended = 0;
    while appended < events {
        let length = store.length(&id).await.unwrap();
        let last = match length.checked_sub(1) {
            Some(last) => store.records(&id, last, 1).await.unwrap().pop(),
            None => None,
        };
        let (head, bytes) = match last {
            Some(last) => (ExpectedHead::Event(last.event_id.clone()), json(last.event_id.as_str())),
            None => (ExpectedHead::Empty, json("nothing")),
        };
        let new = NewRecord { bytes, ..record(&format!("t{task}-{appended}")) };
        match store.append(&id, head, new).await {
            Ok(position) => {
                assert_eq!(position, length);
                appended += 1;
            }
            Err(AppendError::HeadMoved) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn an_event_is_appended_once<B: Backend>(backend: &B) {
    let store = backend.open().await;
    fill(&store, &room("r"), [record("a"), record("b")]).await;
    // The head is right and the event is there: no list that follows its hashes can want this.
    for (id, head) in [(room("r"), after("b")), (room("s"), ExpectedHead::Empty)] {
        let outcome = store.append(&id, head, record("a")).await;
        let refused = matches!(outcome, Err(AppendError::Store(StoreError::Malformed { .. })));
        assert!(refused, "{outcome:?}");
    }
    assert_eq!(store.length(&room("r")).await.unwrap(), 2);
    assert_eq!(store.length(&room("s")).await.unwrap(), 0);
    assert_eq!(store.locate(&event("a")).await.unwrap(), Some(Location { room_id: room("r"), position: 0 }));
}

pub(crate) async fn events_are_located<B: Backend>(backend: &B) {
    let store = backend.open().await;
    fill(&store, &room("r"), [record("a"), record("b")]).await;
    fill(&store, &room("s"), [record("c")]).await;
    for (name, in_room, position) in [("a", "r", 0), ("b", "r", 1), ("c", "s", 0)] {
        let found = store.locate(&event(name)).await.unwrap();
        assert_eq!(found, Some(Location { room_id: room(in_room), position }));
    }
    assert_eq!(store.locate(&event("A")).await.unwrap(), None, "ids are case sensitive");
}

pub(crate) async fn records_are_found_by_lpdu<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let of = |name: &str, lpdu: &str| NewRecord { lpdu_id: Some(event(lpdu)), ..record(name) };
    fill(&store, &room("r"), [of("a", "l1"), of("b", "l2"), record("c"), of("d", "l2")]).await;
    fill(&store, &room("s"), [of("e", "l1")]).await;
    let found = async |in_room: &str, lpdu: &str| {
        let record = store.record_of_lpdu(&room(in_room), &event(lpdu)).await.unwrap();
        record.map(|record| (record.position, record.event_id))
    };
    assert_eq!(found("r", "l1").await, Some((0, event("a"))));
    assert_eq!(found("r", "l2").await, Some((1, event("b"))), "the first of two");
    assert_eq!(found("s", "l1").await, Some((0, event("e"))));
    assert_eq!(found("s", "l2").await, None);
    assert_eq!(found("r", "a").await, None, "an event's own id is none of an LPDU");
    assert_eq!(found("t", "l1").await, None);
}

fn snapshot(state: &[&str], chain: &[&str]) -> StoredSnapshot {
    let events = |names: &[&str]| {
        names.iter().map(|name| SnapshotEvent { event_id: event(name), bytes: json(name) }).collect()
    };
    StoredSnapshot { hub: server("hub"), prev: event("prev"), state: events(state), chain: events(chain) }
}

pub(crate) async fn snapshots_are_replaced<B: Backend>(backend: &B) {
    let store = backend.open().await;
    assert_eq!(store.snapshot(&room("r")).await.unwrap(), None);
    let first = snapshot(&["c", "a", "b"], &["z", "y"]);
    store.put_snapshot(&room("r"), first.clone()).await.unwrap();
    store.put_snapshot(&room("s"), first.clone()).await.unwrap();
    assert_eq!(store.snapshot(&room("r")).await.unwrap(), Some(first.clone()));
    let second = StoredSnapshot { hub: server("new"), prev: event("later"), ..snapshot(&["d"], &[]) };
    store.put_snapshot(&room("r"), second.clone()).await.unwrap();
    assert_eq!(store.snapshot(&room("r")).await.unwrap(), Some(second));
    assert_eq!(store.snapshot(&room("s")).await.unwrap(), Some(first));
}

pub(crate) async fn events_are_read_back_from_where_they_are<B: Backend>(backend: &B) {
    let store = backend.open().await;
    fill(&store, &room("r"), [record("a"), record("b")]).await;
    fill(&store, &room("s"), [record("c")]).await;
    store.put_snapshot(&room("r"), snapshot(&["d", "f"], &["e", "f"])).await.unwrap();
    let read = |in_room: &str, wanted: &[(&str, Place)]| {
        let wanted = wanted.iter().map(|(name, place)| (event(name), *place)).collect();
        let (store, in_room) = (&store, room(in_room));
        async move { store.read_back(&in_room, wanted).await }
    };
    let (first, second) = (Place::List(0), Place::List(1));
    assert!(read("r", &[]).await.unwrap().is_empty());
    assert!(read("unknown", &[]).await.unwrap().is_empty());
    let wanted = [("b", second), ("e", Place::Snapshot), ("a", first), ("d", Place::Snapshot), ("b", second)];
    let texts = ["b", "e", "a", "d", "b"].map(json);
    assert_eq!(read("r", &wanted).await.unwrap(), texts);
    assert_eq!(read("r", &[("f", Place::Snapshot)]).await.unwrap(), [json("f")]);
    for (in_room, missing) in [
        ("r", ("a", second)),
        ("r", ("a", Place::Snapshot)),
        ("r", ("d", first)),
        ("r", ("c", first)),
        ("s", ("e", Place::Snapshot)),
        ("unknown", ("a", first)),
    ] {
        let error = read(in_room, &[missing]).await.unwrap_err();
        assert!(matches!(error, StoreError::Malformed { what: "event", .. }), "{missing:?}: {error}");
    }
}

pub(crate) async fn rooms_have_a_list_or_a_snapshot<B: Backend>(backend: &B) {
    let store = backend.open().await;
    assert!(store.rooms().await.unwrap().is_empty());
    fill(&store, &room("list"), [record("a")]).await;
    store.put_snapshot(&room("snapshot"), snapshot(&["b"], &[])).await.unwrap();
    fill(&store, &room("both"), [record("c"), record("d")]).await;
    store.put_snapshot(&room("both"), snapshot(&["b"], &[])).await.unwrap();
    store.put_group(&room("group"), 0, vec![1]).await.unwrap();
    store.put_evidence(evidence("evidence", "x")).await.unwrap();
    store.put_invite(invite("invite", "alice", "i")).await.unwrap();
    assert!(head_moved(&store.append(&room("refused"), after("a"), record("e")).await));
    let mut rooms = store.rooms().await.unwrap();
    rooms.sort();
    assert_eq!(rooms, [room("both"), room("list"), room("snapshot")]);
}

pub(crate) async fn the_group_that_went_furthest_is_kept<B: Backend>(backend: &B) {
    let store = backend.open().await;
    assert_eq!(store.group(&room("r")).await.unwrap(), None);
    for (position, bytes, kept) in [(3, 1, (3, 1)), (5, 2, (5, 2)), (4, 3, (5, 2)), (5, 4, (5, 4))] {
        store.put_group(&room("r"), position, vec![bytes]).await.unwrap();
        assert_eq!(store.group(&room("r")).await.unwrap(), Some((kept.0, vec![kept.1])));
    }
    store.put_group(&room("s"), 0, Vec::new()).await.unwrap();
    assert_eq!(store.group(&room("s")).await.unwrap(), Some((0, Vec::new())));
    assert_eq!(store.group(&room("r")).await.unwrap(), Some((5, vec![4])));
}

fn evidence(in_room: &str, name: &str) -> Evidence {
    Evidence {
        room_id: room(in_room),
        event_id: event(name),
        origin: server("far"),
        rule: "auth 5.3.2".to_owned(),
        detail: format!("about {name}"),
        bytes: json(name),
    }
}

pub(crate) async fn evidence_is_kept_once_and_in_order<B: Backend>(backend: &B) {
    let store = backend.open().await;
    for name in ["z", "a", "m"] {
        store.put_evidence(evidence("r", name)).await.unwrap();
        store.put_evidence(evidence("s", name)).await.unwrap();
    }
    let again = Evidence { rule: "another".to_owned(), ..evidence("r", "z") };
    store.put_evidence(again).await.unwrap();
    let all = [evidence("r", "z"), evidence("r", "a"), evidence("r", "m")];
    assert_eq!(store.evidence(&room("r"), 10).await.unwrap(), all);
    assert_eq!(store.evidence(&room("r"), 2).await.unwrap(), all[..2]);
    assert_eq!(store.evidence(&room("s"), 1).await.unwrap(), [evidence("s", "z")]);
    assert!(store.evidence(&room("t"), 10).await.unwrap().is_empty());
}

fn invite(to: &str, of: &str, name: &str) -> InviteRecord {
    InviteRecord {
        room_id: room(to),
        user_id: user(of),
        hub: server("hub"),
        room_version: "I.1".to_owned(),
        event_id: event(name),
    }
}

pub(crate) async fn invites_are_replaced<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let get = async |to: &str, of: &str| store.invite(&room(to), &user(of)).await.unwrap();
    store.remove_invite(&room("r"), &user("alice")).await.unwrap();
    for (to, of, name) in [("r", "alice", "a"), ("r", "bob", "b"), ("s", "alice", "c")] {
        assert_eq!(get(to, of).await, None);
        store.put_invite(invite(to, of, name)).await.unwrap();
        assert_eq!(get(to, of).await, Some(invite(to, of, name)));
    }
    let newer =
        InviteRecord { hub: server("new"), room_version: "x".to_owned(), ..invite("r", "alice", "d") };
    store.put_invite(newer.clone()).await.unwrap();
    assert_eq!(get("r", "alice").await, Some(newer));
    store.remove_invite(&room("r"), &user("alice")).await.unwrap();
    assert_eq!(get("r", "alice").await, None);
    assert_eq!(get("r", "bob").await, Some(invite("r", "bob", "b")));
    assert_eq!(get("s", "alice").await, Some(invite("s", "alice", "c")));
}

pub(crate) async fn rooms_survive_reopening<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let new = NewRecord { lpdu_id: Some(event("l")), origin: Some(server("far")), ..record("b") };
    fill(&store, &room("r"), [record("a"), new.clone()]).await;
    store.put_snapshot(&room("r"), snapshot(&["s"], &["t"])).await.unwrap();
    store.put_group(&room("r"), 2, vec![1, 2]).await.unwrap();
    store.put_evidence(evidence("r", "x")).await.unwrap();
    store.put_invite(invite("i", "alice", "y")).await.unwrap();
    drop(store);

    let store = backend.open().await;
    assert_eq!(
        store.records(&room("r"), 0, 10).await.unwrap(),
        [stored(0, record("a")), stored(1, new.clone())]
    );
    assert_eq!(store.record_of_lpdu(&room("r"), &event("l")).await.unwrap(), Some(stored(1, new)));
    assert_eq!(store.snapshot(&room("r")).await.unwrap(), Some(snapshot(&["s"], &["t"])));
    assert_eq!(store.group(&room("r")).await.unwrap(), Some((2, vec![1, 2])));
    assert_eq!(store.evidence(&room("r"), 10).await.unwrap(), [evidence("r", "x")]);
    assert_eq!(store.invite(&room("i"), &user("alice")).await.unwrap(), Some(invite("i", "alice", "y")));
    assert!(head_moved(&store.append(&room("r"), after("a"), record("c")).await));
    assert_eq!(store.append(&room("r"), after("b"), record("c")).await.unwrap(), 2);
}
