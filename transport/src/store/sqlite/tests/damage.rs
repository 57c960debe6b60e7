//! Files that somebody, or a disk, has changed.

use mimi_linearized::room::Place;
use proptest::prelude::*;

use super::super::super::suite::{check_model, claim_notice, inbox};
use super::super::super::{
    Evidence, FlightRange, InviteRecord, NewKeyPackage, NewRecord, SnapshotEvent, StoredAnswer, StoredKeys,
    StoredSnapshot,
};
use super::*;

const ALGORITHM: &str = "m.mls.v1.key_package";

fn key() -> TransactionKey {
    TransactionKey { origin: server("far"), endpoint: "send", txn_id: "t".to_owned() }
}

fn flight() -> Flight {
    let ranges = vec![FlightRange { room_id: room("r"), from: 1, to: 2 }];
    Flight { txn_id: "t".to_owned(), ranges, items: vec![1] }
}

fn package(key: &str, last_resort: bool) -> NewKeyPackage {
    NewKeyPackage { algorithm: ALGORITHM.to_owned(), key: key.to_owned(), last_resort, expires: 100 }
}

/// A database with something of everything, closed.
async fn filled() -> SqliteFiles {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let x = server("x");
    let full = NewRecord {
        lpdu_id: Some(event("lpdu")),
        origin: Some(server("far")),
        txn_id: Some("t".to_owned()),
        queue_for: vec![x.clone()],
        ..record("b")
    };
    fill(&store, &room("r"), [record("a"), full, record("c")]).await;
    let events = |name: &str| vec![SnapshotEvent { event_id: event(name), bytes: json(name) }];
    let snapshot =
        StoredSnapshot { hub: server("hub"), prev: event("prev"), state: events("s"), chain: events("t") };
    store.put_snapshot(&room("r"), snapshot).await.unwrap();
    store.put_group(&room("r"), 3, b"group".to_vec()).await.unwrap();
    let evidence = Evidence {
        room_id: room("r"),
        event_id: event("e"),
        origin: server("far"),
        rule: "rule".to_owned(),
        detail: "detail".to_owned(),
        bytes: json("e"),
    };
    store.put_evidence(evidence).await.unwrap();
    let invite = InviteRecord {
        room_id: room("i"),
        user_id: user("alice"),
        hub: server("hub"),
        room_version: "I.1".to_owned(),
        event_id: event("i"),
    };
    store.put_invite(invite).await.unwrap();
    store.remember(&key(), StoredAnswer { status: 200, body: b"{}".to_vec() }, 0).await.unwrap();
    let lpdu =
        Outgoing::Lpdu { room_id: room("r"), sender: user("alice"), lpdu_id: event("l"), bytes: json("l") };
    store.enqueue(&x, lpdu).await.unwrap();
    store.enqueue(&x, edu()).await.unwrap();
    store.depart(&x, &flight()).await.unwrap();
    let packages = vec![package("k", false), package("l", true)];
    store.put_device(&user("alice"), &device("d"), b"object".to_vec(), packages).await.unwrap();
    store
        .deliver(vec![notice(&user("alice"), "a", Some("m")), notice(&user("alice"), "b", None)])
        .await
        .unwrap();
    let keys = StoredKeys { key_set: "k".to_owned(), response: b"{}".to_vec(), fetched_at: 0 };
    store.put_server_keys(&x, keys).await.unwrap();
    store.close().await.unwrap();
    files
}

/// Asks for everything, and changes something of every kind. Returns the calls that failed.
async fn use_everything(store: &SqliteStore) -> Vec<(&'static str, StoreError)> {
    let (r, alice, d, x) = (room("r"), user("alice"), device("d"), server("x"));
    let append = match store.append(&r, after("c"), record("d")).await {
        Err(AppendError::Store(error)) => Some(error),
        Ok(_) | Err(AppendError::HeadMoved) => None,
    };
    let reads = [
        ("rooms", store.rooms().await.err()),
        ("records", store.records(&r, 0, 100).await.err()),
        ("length", store.length(&r).await.err()),
        ("locate", store.locate(&event("b")).await.err()),
        ("record_of_lpdu", store.record_of_lpdu(&r, &event("lpdu")).await.err()),
        ("read_back", store.read_back(&r, vec![(event("b"), Place::List(1))]).await.err()),
        ("snapshot", store.snapshot(&r).await.err()),
        ("group", store.group(&r).await.err()),
        ("evidence", store.evidence(&r, 100).await.err()),
        ("invite", store.invite(&room("i"), &alice).await.err()),
        ("answer", store.answer(&key()).await.err()),
        ("destinations", store.destinations().await.err()),
        ("lagging_cursors", store.lagging_cursors(&x).await.err()),
        ("room_destinations", store.room_destinations(&r).await.err()),
        ("waiting", store.waiting(&x, 100, 100).await.err()),
        ("items", store.items(&x, &[1, 2]).await.err()),
        ("flight", store.flight(&x).await.err()),
        ("device", store.device(&alice, &d).await.err()),
        ("devices", store.devices(&alice).await.err()),
        ("inbox", store.inbox(&alice, 0, 100).await.err()),
        ("server_keys", store.server_keys(&x).await.err()),
    ];
    let writes = [
        ("append", append),
        ("put_group", store.put_group(&r, 4, Vec::new()).await.err()),
        ("remove_invite", store.remove_invite(&room("i"), &alice).await.err()),
        ("forget_answers", store.forget_answers(10).await.err()),
        ("enqueue", store.enqueue(&x, edu()).await.err()),
        ("arrive", store.arrive(&x, &flight(), vec![notice(&alice, "c", Some("m"))]).await.err()),
        ("claim", store.claim(&alice, &d, ALGORITHM, 0, claim_notice).await.err()),
        ("claim", store.claim(&alice, &d, ALGORITHM, 0, claim_notice).await.err()),
        ("put_device", store.put_device(&alice, &d, Vec::new(), vec![package("n", false)]).await.err()),
        ("remove_device", store.remove_device(&alice, &d).await.err()),
        ("deliver", store.deliver(vec![notice(&alice, "d", None)]).await.err()),
    ];
    reads.into_iter().chain(writes).filter_map(|(call, error)| Some((call, error?))).collect()
}

#[tokio::test]
async fn an_undamaged_file_has_no_errors() {
    let files = filled().await;
    let errors = use_everything(&files.open().await).await;
    assert!(errors.is_empty(), "{errors:?}");
}

/// Each change, the call that finds it, what it reports as malformed, and where.
const DAMAGE: [(&str, &str, &str, &str); 37] = [
    ("UPDATE rooms SET room_id = 'nonsense'", "rooms", "room id", "the rooms"),
    ("UPDATE rooms SET room_id = 'nonsense'", "locate", "room id", "event $b"),
    ("UPDATE rooms SET room_id = 'nonsense'", "lagging_cursors", "room id", "the cursors of x.example"),
    ("UPDATE rooms SET length = -1", "length", "length", "room !r:hub.example"),
    ("UPDATE rooms SET length = 4", "records", "list", "room !r:hub.example: record 3 is missing"),
    ("UPDATE rooms SET length = 4", "append", "list", "room !r:hub.example: record 3 is missing"),
    ("DELETE FROM records WHERE position = 0", "records", "list", "record 0 is missing"),
    ("DELETE FROM records WHERE position = 1", "records", "list", "record 1 is missing"),
    ("DELETE FROM records WHERE position = 2", "append", "list", "record 2 is missing"),
    ("DELETE FROM records WHERE position = 2", "records", "list", "record 2 is missing"),
    (
        "UPDATE records SET event_id = 'nonsense' WHERE position = 1",
        "records",
        "event id",
        "record 1 of !r:hub.example",
    ),
    (
        "UPDATE records SET event_id = 'nonsense' WHERE position = 2",
        "append",
        "event id",
        "record 2 of !r:hub.example",
    ),
    (
        "UPDATE records SET event_id = CAST(x'24ff' AS TEXT) WHERE position = 1",
        "records",
        "event id",
        "record 1 of",
    ),
    (
        "UPDATE records SET effect = 7 WHERE position = 2",
        "records",
        "effect",
        "record 2 of !r:hub.example: 7",
    ),
    (
        "UPDATE records SET lpdu_id = '$' WHERE position = 0",
        "records",
        "LPDU id",
        "record 0 of !r:hub.example",
    ),
    ("UPDATE records SET origin = '127.0.0.1'", "records", "origin", "record 0 of !r:hub.example"),
    (
        "UPDATE records SET txn_id = CAST(x'ff' AS TEXT)",
        "records",
        "transaction id",
        "record 0 of !r:hub.example",
    ),
    (
        "UPDATE records SET position = -1 WHERE event_id = '$b'",
        "locate",
        "position",
        "event $b: -1 is out of range",
    ),
    (
        "UPDATE records SET lpdu_id = '$lpdu', effect = 9",
        "record_of_lpdu",
        "effect",
        "record 0 of !r:hub.example",
    ),
    ("UPDATE snapshots SET hub = ''", "snapshot", "hub", "the snapshot of !r:hub.example"),
    (
        "UPDATE snapshot_events SET part = 2 WHERE part = 1",
        "snapshot",
        "part of a snapshot",
        "the snapshot of !r:hub.example: 2",
    ),
    ("UPDATE mls_groups SET position = -5", "group", "position", "the MLS group of !r:hub.example: -5"),
    ("UPDATE evidence SET origin = '1'", "evidence", "origin", "the evidence of !r:hub.example"),
    (
        "UPDATE invites SET event_id = 'i'",
        "invite",
        "event id",
        "the invite of @alice:hub.example to !i:hub.example",
    ),
    ("UPDATE answers SET status = 65536", "answer", "status", "the answer to"),
    ("UPDATE cursors SET position = -1", "lagging_cursors", "position", "the cursors of x.example: -1"),
    (
        "UPDATE cursors SET destination = 'a b'",
        "room_destinations",
        "destination",
        "the cursors in !r:hub.example",
    ),
    ("UPDATE cursors SET destination = 'a b'", "destinations", "destination", "the destinations"),
    (
        "UPDATE outgoing SET sender = 'alice' WHERE kind = 0",
        "waiting",
        "sender",
        "item 1 of the queue to x.example",
    ),
    ("UPDATE outgoing SET kind = 0", "waiting", "room id", "item 2 of the queue to x.example"),
    ("UPDATE outgoing SET kind = 5", "items", "kind of item", "item 1 of the queue to x.example: 5"),
    ("UPDATE flights SET carries = '{\"ranges\":[]}'", "flight", "flight", "the flight to x.example"),
    ("UPDATE devices SET device_id = 'a b'", "devices", "device id", "the devices of @alice:hub.example"),
    (
        "UPDATE key_packages SET key = CAST(x'ff' AS TEXT) WHERE NOT last_resort",
        "claim",
        "key package",
        "@alice:hub.example's device d",
    ),
    (
        "UPDATE inbox SET place = 7 WHERE place = 0",
        "inbox",
        "inbox",
        "the inbox of @alice:hub.example: item 0 is missing",
    ),
    (
        "UPDATE inbox SET place = 7 WHERE place = 1",
        "inbox",
        "inbox",
        "the inbox of @alice:hub.example: item 1 is missing",
    ),
    (
        "UPDATE server_keys SET key_set = CAST(x'ff' AS TEXT)",
        "server_keys",
        "key set",
        "the keys of x.example",
    ),
];

#[tokio::test]
async fn damaged_values_are_reported() {
    let files = filled().await;
    for (sql, call, expected, place) in DAMAGE {
        let damaged = SqliteFiles::new();
        fs::copy(files.path(), damaged.path()).unwrap();
        assert!(damaged.raw().execute(sql, []).unwrap() > 0, "{sql}");
        let errors = use_everything(&damaged.open().await).await;
        let found = errors.iter().any(|(failed, error)| {
            let StoreError::Malformed { what, detail } = error else { return false };
            (*failed, *what) == (call, expected) && detail.contains(place)
        });
        assert!(found, "{sql}: {call}: {errors:?}");
    }
}

#[tokio::test]
async fn a_key_package_that_cannot_be_read_is_not_used_up() {
    let files = filled().await;
    files.raw().execute("UPDATE key_packages SET key = CAST(x'ff' AS TEXT) WHERE key = 'k'", []).unwrap();
    let store = files.open().await;
    for _ in 0..2 {
        let claim = store.claim(&user("alice"), &device("d"), ALGORITHM, 0, claim_notice).await;
        assert!(matches!(claim, Err(StoreError::Malformed { what: "key package", .. })));
    }
}

#[tokio::test]
async fn a_key_package_whose_notice_cannot_be_written_is_not_used_up() {
    let files = filled().await;
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON inbox BEGIN SELECT RAISE(ABORT, 'full'); END";
    files.raw().execute_batch(refuse).unwrap();
    let claim = async |store: &SqliteStore| {
        store.claim(&user("alice"), &device("d"), ALGORITHM, 0, claim_notice).await
    };
    let store = files.open().await;
    let before = inbox(&store, &user("alice")).await;
    for _ in 0..2 {
        assert!(claim(&store).await.is_err());
    }
    drop(store);
    files.raw().execute_batch("DROP TRIGGER refuse").unwrap();
    let store = files.open().await;
    assert_eq!(inbox(&store, &user("alice")).await, before);
    assert_eq!(claim(&store).await.unwrap().unwrap().key, "k");
    assert_eq!(inbox(&store, &user("alice")).await.len(), before.len() + 1);
}

/// Whether somewhere below an error there was a panic.
fn is_panic(error: &StoreError) -> bool {
    let StoreError::Database(source) = error else { return false };
    source.is::<writer::Panicked>()
        || source.downcast_ref::<tokio::task::JoinError>().is_some_and(tokio::task::JoinError::is_panic)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bytes_never_panic() {
    let files = filled().await;
    let original = fs::read(files.path()).unwrap();
    // Most of a small database is empty space.
    let used: Vec<_> =
        original.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
    let flips = prop::collection::vec((prop::sample::select(used), 1_u8..), 1..40);
    check_model(&flips, async |flips| {
        let mut bytes = original.clone();
        for (at, by) in flips {
            bytes[at] ^= by;
        }
        let damaged = SqliteFiles::new();
        fs::write(damaged.path(), bytes).unwrap();
        let errors = match SqliteStore::open(&damaged.path()) {
            Ok(store) => use_everything(&store).await,
            Err(error) => vec![("open", error)],
        };
        prop_assert!(!errors.iter().any(|(_, error)| is_panic(error)), "{:?}", errors);
        Ok(())
    });
}
