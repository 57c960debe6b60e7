//! The suite against a NATS server that the tests start themselves, and what is this store's own.

#[path = "../../../tests/cluster/nats.rs"]
mod server;

mod media;

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use self::server::{NatsServer, Setting};
use super::super::command::{Message, encode};
use super::super::sqlite::view::Stamp;
use super::super::suite::{
    Backend, after, all_at_once, claim_notice, device, event, head_moved, json, record, room, server as peer,
    store_suite, user,
};
use super::super::{
    ApartStore, DeviceStore, ExpectedHead, NewKeyPackage, NewRecord, RoomStore, StoredAnswer, TransactionKey,
    TransactionStore,
};
use super::*;

/// A NATS server on its own, with a folder of its own.
struct Alone {
    server: NatsServer,
    _folder: TempDir,
}

impl Alone {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let setting = Setting { name: "alone".to_owned(), ..Setting::default() };
        Self { server: NatsServer::start(folder.path(), &setting), _folder: folder }
    }
}

/// The server that tests which run at the same time share.
fn shared_server() -> Arc<Alone> {
    static SERVER: Mutex<Weak<Alone>> = Mutex::new(Weak::new());
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    server.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Alone::start());
        *server = Arc::downgrade(&started);
        started
    })
}

/// A stream of its own. Every store that is opened has a new view, so that whatever one has left is read from the stream.
struct Streams {
    server: Arc<Alone>,
    prefix: String,
    folder: TempDir,
    views: AtomicU64,
}

impl Streams {
    fn config(&self) -> NatsConfig {
        let address = self.server.server.address();
        format!("nats://{address}?replicas=1&prefix={}", self.prefix).parse().unwrap()
    }

    /// A process with the view of this name.
    async fn process(&self, view: &str) -> NatsStore {
        NatsStore::open(&self.config(), &self.folder.path().join(view)).await.unwrap()
    }
}

impl Backend for Streams {
    type Store = NatsStore;

    fn is_here() -> bool {
        server::is_here()
    }

    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self {
            server: shared_server(),
            prefix: format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed)),
            folder: tempfile::tempdir().unwrap(),
            views: AtomicU64::new(0),
        }
    }

    async fn open(&self) -> NatsStore {
        let view = self.views.fetch_add(1, Ordering::Relaxed);
        self.process(&format!("view-{view}")).await
    }
}

store_suite!(Streams);

/// Two processes on a stream, or nothing if there is no NATS server.
async fn two() -> Option<(Streams, Arc<NatsStore>, Arc<NatsStore>)> {
    if !Streams::is_here() {
        return None;
    }
    let streams = Streams::new();
    let (one, other) = (streams.process("one").await, streams.process("other").await);
    Some((streams, Arc::new(one), Arc::new(other)))
}

fn key(txn_id: &str) -> TransactionKey {
    TransactionKey { origin: peer("far"), endpoint: "send", txn_id: txn_id.to_owned() }
}

fn answer(body: &str) -> StoredAnswer {
    StoredAnswer { status: 200, body: body.as_bytes().to_vec() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_make_one_list() {
    let Some((_streams, one, other)) = two().await else { return };
    let r = room("r");
    one.append(&r, ExpectedHead::Empty, record("a")).await.unwrap();
    let mut changes = other.changes().unwrap();
    // Both append to the same head.
    let results = [one.append(&r, after("a"), record("b")), other.append(&r, after("a"), record("c"))];
    let [first, second] = results.map(|append| append);
    let (first, second) = tokio::join!(first, second);
    assert_eq!(
        [&first, &second].into_iter().filter(|result| head_moved(result)).count(),
        1,
        "{first:?} {second:?}"
    );
    // Whoever was refused has what was faster.
    for store in [&one, &other] {
        store.catch_up().await.unwrap();
    }
    assert_eq!(one.records(&r, 0, 9).await.unwrap(), other.records(&r, 0, 9).await.unwrap());

    let line = (0..20).map(|i| {
        let (store, r) = (Arc::clone(if i % 2 == 0 { &one } else { &other }), r.clone());
        async move {
            loop {
                store.catch_up().await.unwrap();
                let head = store.records(&r, 0, 99).await.unwrap().pop().unwrap().event_id;
                let record = NewRecord { queue_for: vec![peer("x")], ..record(&format!("e{i}")) };
                match store.append(&r, ExpectedHead::Event(head), record).await {
                    Ok(position) => return position,
                    result => assert!(head_moved(&result), "{result:?}"),
                }
            }
        }
    });
    let mut positions = all_at_once(line).await;
    positions.sort_unstable();
    assert_eq!(positions, (2..22).collect::<Vec<_>>());
    let told = async {
        loop {
            if let Change::Appended { room_id, to } = changes.recv().await.unwrap()
                && to == [peer("x")]
            {
                return room_id;
            }
        }
    };
    assert_eq!(told.await, r, "the other process is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_give_out_each_key_package_once() {
    let Some((_streams, one, other)) = two().await else { return };
    let (alice, d) = (user("alice"), device("d"));
    let package = |i: usize| NewKeyPackage {
        algorithm: "a".to_owned(),
        key: format!("k{i}"),
        last_resort: false,
        expires: i64::MAX,
    };
    one.put_device(&alice, &d, b"{}".to_vec(), (0..12).map(package).collect()).await.unwrap();
    let claims = (0..14).map(|i| {
        let (store, alice, d) =
            (Arc::clone(if i % 2 == 0 { &one } else { &other }), alice.clone(), d.clone());
        async move { store.claim(&alice, &d, "a", 0, claim_notice).await.unwrap() }
    });
    let mut keys: Vec<_> =
        all_at_once(claims).await.into_iter().flatten().map(|claimed| claimed.key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 12);
    other.catch_up().await.unwrap();
    let notices = other.inbox(&alice, 0, 99).await.unwrap();
    let texts: Vec<_> = notices.into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(texts, (0..12).rev().map(|left| json(&format!("d {left}"))).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_processed_by_one_process() {
    let Some((_streams, one, other)) = two().await else { return };
    assert_eq!(one.begin(&key("t")).await.unwrap(), None);
    assert_eq!(one.begin(&key("t")).await.unwrap(), None, "it is at it itself");
    let waiting = tokio::spawn({
        let other = Arc::clone(&other);
        async move { other.begin(&key("t")).await.unwrap() }
    });
    // The other one has asked: everything it puts into the log is something new in this one's view.
    let before = *one.log.applied.borrow();
    one.log.applied.subscribe().wait_for(|applied| *applied > before).await.unwrap();
    assert!(!waiting.is_finished());
    one.remember(&key("t"), answer("first"), 0).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Some(answer("first")));

    assert_eq!(one.begin(&key("u")).await.unwrap(), None);
    one.abandon(&key("u")).await.unwrap();
    assert_eq!(other.begin(&key("u")).await.unwrap(), None, "nobody is at it any more");

    assert_eq!(one.begin(&key("v")).await.unwrap(), None);
    one.close().await.unwrap();
    assert_eq!(other.begin(&key("v")).await.unwrap(), None, "who was at it is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_large_goes_in_pieces() {
    let Some((streams, one, other)) = two().await else { return };
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[i as usize % 3]).collect();
    one.put_tree(&room("r"), 7, large.clone()).await.unwrap();
    assert!(*one.log.applied.borrow() > 5, "it took several messages");
    let record = NewRecord { bytes: large.clone().into(), ..record("a") };
    one.append(&room("r"), ExpectedHead::Empty, record).await.unwrap();
    for store in [&*other, &streams.process("late").await] {
        store.catch_up().await.unwrap();
        assert!(store.tree(&room("r"), 7).await.unwrap().unwrap() == large);
        assert!(*store.records(&room("r"), 0, 1).await.unwrap()[0].bytes == *large);
    }
    assert!(head_moved(
        &other.append(&room("r"), ExpectedHead::Empty, super::super::suite::record("b")).await
    ));
}

#[tokio::test]
async fn a_server_that_wants_a_password_gets_it() {
    if !server::is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let login = Some(("mimi".to_owned(), "s3 cret".to_owned()));
    let nats =
        NatsServer::start(folder.path(), &Setting { name: "locked".to_owned(), login, ..Setting::default() });
    let open = async |login: &str| {
        let config = format!("nats://{login}{}?replicas=1", nats.address()).parse().unwrap();
        NatsStore::open(&config, &folder.path().join("view")).await
    };
    for login in ["", "mimi:wrong@"] {
        let error = open(login).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("authorization")), "{error}");
    }
    open("mimi:s3%20cret@").await.unwrap().close().await.unwrap();
}

/// A mark in a view that a view made anew does not have.
async fn mark(store: &NatsStore) {
    store.log.view.mark().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_goes_on_from_where_it_was() {
    let Some((streams, one, other)) = two().await else { return };
    one.append(&room("r"), ExpectedHead::Empty, record("a")).await.unwrap();
    mark(&one).await;
    one.close().await.unwrap();
    drop(one);
    other.catch_up().await.unwrap();
    other.append(&room("r"), after("a"), record("b")).await.unwrap();
    let again = streams.process("one").await;
    assert!(again.log.view.is_marked().await.unwrap(), "it was not made anew");
    assert_eq!(again.length(&room("r")).await.unwrap(), 2);
    again.close().await.unwrap();
    drop(again);

    // Another stream's, a damaged one, and one that knows more than the stream.
    let elsewhere = Streams::new();
    let view = elsewhere.folder.path().join("view");
    fs::copy(streams.folder.path().join("one"), &view).unwrap();
    let moved = NatsStore::open(&elsewhere.config(), &view).await.unwrap();
    assert!(!moved.log.view.is_marked().await.unwrap());
    assert_eq!(moved.length(&room("r")).await.unwrap(), 0);
    moved.close().await.unwrap();
    drop(moved);
    let damaged = streams.folder.path().join("one");
    fs::write(&damaged, "no database at all, and long enough for one ".repeat(50)).unwrap();
    // What SQLite may have left beside it would make it whole again.
    let _ = fs::remove_file(streams.folder.path().join("one-wal"));
    let healed = streams.process("one").await;
    assert_eq!(healed.length(&room("r")).await.unwrap(), 2);
    let next = *healed.log.applied.borrow() + 1;
    let stray = Message::Part { of: "x".to_owned(), index: 0, bytes: Vec::new() };
    let stamp = Stamp { sequence: next, at: 0, id: "never".to_owned() };
    let applied = healed.log.view.submit_message(stamp, encode(&stray).unwrap()).await.unwrap();
    applied.await.unwrap().unwrap();
    mark(&healed).await;
    healed.close().await.unwrap();
    drop(healed);
    other.append(&room("r"), after("b"), record("c")).await.unwrap();
    let again = streams.process("one").await;
    assert!(!again.log.view.is_marked().await.unwrap(), "its last message is another one in the stream");
    assert_eq!(again.records(&room("r"), 2, 1).await.unwrap()[0].event_id, event("c"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_again_changes_nothing() {
    let Some((_streams, one, _other)) = two().await else { return };
    let view = &one.log.view;
    let next = *one.log.applied.borrow() + 1;
    let command = Command::Deliver(vec![super::super::suite::notice(&user("alice"), "n", None)]);
    let payload = encode(&Message::Whole(Box::new(command))).unwrap();
    for (sequence, is_new) in [(next, true), (next + 1, false)] {
        let stamp = Stamp { sequence, at: 0, id: "same".to_owned() };
        let applied = view.submit_message(stamp, payload.clone()).await.unwrap().await.unwrap().unwrap();
        assert_eq!(applied.outcome.is_some(), is_new);
    }
    assert_eq!(view.inbox(&user("alice"), 0, 9).await.unwrap().len(), 1);
    let gap = Stamp { sequence: next + 3, at: 0, id: "gap".to_owned() };
    assert!(view.submit_message(gap, payload).await.unwrap().await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_has_one_owner() {
    let Some((streams, one, other)) = two().await else { return };
    let identity = |server: &str, key: &str| Identity {
        server_name: peer(server),
        key_id: format!("ed25519:{key}"),
        verify_key: key.to_owned(),
    };
    assert_eq!(one.identity().await.unwrap(), None);
    one.introduce(identity("a", "1")).await.unwrap();
    other.introduce(identity("a", "1")).await.unwrap();
    assert_eq!(other.identity().await.unwrap(), Some(identity("a", "1")));
    for wrong in [identity("b", "1"), identity("a", "2")] {
        let refused = other.introduce(wrong.clone()).await;
        assert!(matches!(refused, Err(StoreError::NotOurs(_))), "{wrong:?}: {refused:?}");
    }
    one.close().await.unwrap();
    other.close().await.unwrap();
    // Nobody is there who would sign with the former key.
    let alone = streams.process("alone").await;
    assert!(matches!(alone.introduce(identity("b", "2")).await, Err(StoreError::NotOurs(_))));
    alone.introduce(identity("a", "2")).await.unwrap();
    assert_eq!(alone.identity().await.unwrap(), Some(identity("a", "2")));
    alone.rekey(identity("a", "3")).await.unwrap();
    let late = streams.process("late").await;
    let former = late.introduce(identity("a", "2")).await;
    assert!(matches!(former, Err(StoreError::NotOurs(_))), "{former:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_sends_to_each_destination() {
    let Some((_streams, one, other)) = two().await else { return };
    for store in [&one, &other] {
        let mut changes = store.changes().unwrap();
        while store.members.others() == 0 {
            changes.recv().await.unwrap();
        }
    }
    let servers: Vec<_> = (0..100).map(|i| peer(&format!("s{i}"))).collect();
    assert!(servers.iter().all(|server| one.sends_to(server) != other.sends_to(server)));
    let mut changes = other.changes().unwrap();
    one.close().await.unwrap();
    while other.members.others() > 0 {
        changes.recv().await.unwrap();
    }
    assert!(servers.iter().all(|server| other.sends_to(server)), "nobody else is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_too_slow_gets_a_turn() {
    let Some((_streams, one, other)) = two().await else { return };
    let r = room("r");
    one.append(&r, ExpectedHead::Empty, record("a")).await.unwrap();
    other.catch_up().await.unwrap();
    // The other one counts on a head that is not there any more.
    for _ in 0..3 {
        assert!(head_moved(&other.append(&r, ExpectedHead::Empty, record("z")).await));
    }
    one.catch_up().await.unwrap();
    assert_eq!(one.log.view.turn(&r).await.unwrap().as_deref(), Some(other.members.own()));
    let command = Command::Append {
        room_id: r.clone(),
        expected: after("a"),
        record: record("b"),
        process: one.members.own().to_owned(),
    };
    let at_once = one.log.run(command).await.unwrap();
    if at_once == Outcome::NotItsTurn {
        other.catch_up().await.unwrap();
        assert_eq!(other.append(&r, after("a"), record("c")).await.unwrap(), 1);
        one.catch_up().await.unwrap();
        assert_eq!(one.log.view.turn(&r).await.unwrap(), None);
        assert_eq!(one.append(&r, after("c"), record("d")).await.unwrap(), 2);
    } else {
        // It took so long to ask that the turn was over.
        assert_eq!(at_once, Outcome::Appended(1));
    }
}
