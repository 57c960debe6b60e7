//! Many changes in one commit.

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::Poll;

use tokio::sync::oneshot;

use super::super::super::{FlightRange, NewRecord};
use super::super::writer::{BATCH, QUEUE};
use super::*;

/// Holds up the writer inside a change that changes nothing, until it is dropped.
struct Gate {
    bar: mpsc::Sender<()>,
    passed: oneshot::Receiver<Result<(), StoreError>>,
    reached: oneshot::Receiver<()>,
}

impl Gate {
    async fn put(store: &SqliteStore) -> Self {
        let (bar, gone) = mpsc::channel();
        let (here, reached) = oneshot::channel();
        let passed = store.writer.submit(move |_| {
            let _ = here.send(());
            // Fails as soon as the other end is gone.
            let _ = gone.recv();
            Ok(())
        });
        Self { bar, passed: passed.await.unwrap(), reached }
    }

    /// A gate that the writer stands at.
    async fn shut(store: &SqliteStore) -> Self {
        let mut gate = Self::put(store).await;
        gate.reach().await;
        gate
    }

    async fn reach(&mut self) {
        (&mut self.reached).await.unwrap();
    }

    /// Opens it. Returns what its own change came to.
    async fn open(self) -> Result<(), StoreError> {
        drop(self.bar);
        self.passed.await.unwrap()
    }
}

type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

/// Puts a change into the queue, without waiting for its answer.
async fn submit<T: Send + 'static>(
    store: &SqliteStore,
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> Answer<T> {
    store.writer.submit(work).await.unwrap()
}

async fn submit_item(store: &SqliteStore, text: &'static str) -> Answer<()> {
    submit(store, move |connection| inbox::put(connection, &[notice(&user("alice"), text, None)])).await
}

async fn items(store: &SqliteStore) -> Vec<Arc<[u8]>> {
    store.inbox(&user("alice"), 0, usize::MAX).await.unwrap().into_iter().map(|(_, bytes)| bytes).collect()
}

/// The number of commits in the write-ahead log: the frames that carry the size of the database after a commit, and the
/// salt of the log's present round. SQLite syncs the log once for each.
fn commits(files: &SqliteFiles) -> usize {
    let log = fs::read(files.file("-wal")).unwrap();
    let (header, frames) = log.split_at(32);
    let page_size = u32::from_be_bytes(header[8..12].try_into().unwrap()) as usize;
    let is_commit = |frame: &&[u8]| frame[4..8] != [0; 4] && frame[8..16] == header[16..24];
    frames.chunks_exact(24 + page_size).filter(is_commit).count()
}

#[tokio::test]
async fn what_waits_is_committed_together() {
    let files = SqliteFiles::new();
    let store = Arc::new(files.open().await);
    let before = commits(&files);
    for i in 0..3 {
        fill(&*store, &room(&format!("alone{i}")), [record(&format!("alone{i}"))]).await;
    }
    assert_eq!(commits(&files) - before, 3, "one after the other, one commit each");

    let before = commits(&files);
    let gate = Gate::shut(&store).await;
    let appends = (0..64).map(|i| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let (room, record) = (room(&format!("r{i}")), record(&format!("e{i}")));
            store.append(&room, ExpectedHead::Empty, record).await
        })
    });
    let appends: Vec<_> = appends.collect();
    while store.writer.waiting() < 64 {
        tokio::task::yield_now().await;
    }
    gate.open().await.unwrap();
    for append in appends {
        assert_eq!(append.await.unwrap().unwrap(), 0);
    }
    assert_eq!(commits(&files) - before, 1);
}

#[tokio::test]
async fn a_batch_is_bounded() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let before = commits(&files);
    let gate = Gate::shut(&store).await;
    let mut answers = Vec::new();
    for _ in 0..BATCH + 10 {
        answers.push(submit_item(&store, "x").await);
    }
    gate.open().await.unwrap();
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    // The gate counts as one of the first.
    assert_eq!(commits(&files) - before, 2);
}

#[tokio::test]
async fn nobody_is_answered_before_the_commit() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let first = Gate::shut(&store).await;
    let mut answer = submit_item(&store, "a").await;
    let mut second = Gate::put(&store).await;
    drop(first.bar);
    second.reach().await;
    // The change is made, and one commit away from being one.
    assert!(matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
    assert!(items(&store).await.is_empty());
    second.open().await.unwrap();
    answer.await.unwrap().unwrap();
    assert_eq!(items(&store).await, [json("a")]);
}

#[tokio::test]
async fn a_failing_change_spares_its_neighbours() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let before = commits(&files);
    let gate = Gate::shut(&store).await;
    let good = submit_item(&store, "a").await;
    let refused: Answer<()> = submit(&store, |connection| {
        inbox::put(connection, &[notice(&user("alice"), "never", None)])?;
        Err(StoreError::OutOfRange { what: "patience", number: 0 })
    })
    .await;
    let broken: Answer<()> = submit(&store, |connection| {
        inbox::put(connection, &[notice(&user("alice"), "never", None)])?;
        Ok(connection.execute_batch("INSERT INTO inbox SELECT * FROM inbox")?)
    })
    .await;
    let panicking: Answer<()> = submit(&store, |connection| {
        inbox::put(connection, &[notice(&user("alice"), "never", None)])?;
        let mut statement = connection.prepare_cached("SELECT place FROM inbox")?;
        let mut rows = statement.query([])?;
        rows.next()?;
        // Like a panic, without the noise.
        std::panic::resume_unwind(Box::new("a fault"))
    })
    .await;
    let also_good = submit_item(&store, "b").await;
    gate.open().await.unwrap();
    good.await.unwrap().unwrap();
    assert!(matches!(refused.await.unwrap(), Err(StoreError::OutOfRange { what: "patience", .. })));
    assert!(matches!(broken.await.unwrap(), Err(StoreError::Database(_))));
    let Err(StoreError::Database(panic)) = panicking.await.unwrap() else { panic!("it failed") };
    assert!(panic.is::<writer::Panicked>());
    also_good.await.unwrap().unwrap();
    assert_eq!(commits(&files) - before, 1);
    assert_eq!(items(&store).await, [json("a"), json("b")]);
}

#[tokio::test]
async fn a_change_sees_those_before_it() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let gate = Gate::shut(&store).await;
    let mut answers = Vec::new();
    for (name, head) in [("a", ExpectedHead::Empty), ("b", ExpectedHead::Empty), ("c", after("a"))] {
        let append =
            store.writer.submit(move |connection| list::append(connection, &room("r"), &head, &record(name)));
        answers.push(append.await.unwrap());
    }
    gate.open().await.unwrap();
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await.unwrap());
    }
    assert!(matches!(outcomes[..], [Ok(0), _, Ok(1)]) && head_moved(&outcomes[1]), "{outcomes:?}");
}

/// Also a refusal is taken back: it may rest on a change that was not made.
#[tokio::test]
async fn a_failed_commit_fails_all() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    // A reference to nothing that SQLite looks at only when it commits; a transaction that is over too early.
    let spoil =
        ["PRAGMA defer_foreign_keys = ON; INSERT INTO cursors VALUES ('x.example', 99, 0)", "ROLLBACK"];
    for sql in spoil {
        let gate = Gate::shut(&store).await;
        let good = submit_item(&store, "a").await;
        let refused: Answer<()> =
            submit(&store, |_| Err(StoreError::OutOfRange { what: "patience", number: 0 })).await;
        let spoiling = submit(&store, move |connection| Ok(connection.execute_batch(sql)?)).await;
        for outcome in
            [gate.open().await, good.await.unwrap(), refused.await.unwrap(), spoiling.await.unwrap()]
        {
            assert!(matches!(outcome, Err(StoreError::Database(_))), "{sql}: {outcome:?}");
        }
        assert!(items(&store).await.is_empty(), "{sql}");
    }
    submit_item(&store, "b").await.await.unwrap().unwrap();
    assert_eq!(items(&store).await, [json("b")]);
    assert!(store.destinations().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_transaction_that_cannot_begin_is_an_error() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let patience = |connection: &Connection| Ok(connection.busy_timeout(Duration::ZERO)?);
    submit(&store, patience).await.await.unwrap().unwrap();
    let outsider = files.raw();
    outsider.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(submit_item(&store, "a").await.await.unwrap(), Err(StoreError::Database(_))));
    assert!(items(&store).await.is_empty(), "reads go on");
    outsider.execute_batch("ROLLBACK").unwrap();
    submit_item(&store, "b").await.await.unwrap().unwrap();
    assert_eq!(items(&store).await, [json("b")]);
}

#[tokio::test]
async fn a_full_disk_is_an_error() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    // To the database, a limit of its size is what the end of the disk is.
    let limit = async |sql: &'static str| {
        let set =
            move |connection: &Connection| Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?);
        submit(&store, set).await.await.unwrap().unwrap()
    };
    limit("PRAGMA max_page_count = 1").await;
    let put = store.put_group(&room("r"), 0, vec![7; 1 << 20]).await;
    assert!(matches!(put, Err(StoreError::Database(_))), "{put:?}");
    assert_eq!(store.group(&room("r")).await.unwrap(), None);
    limit("PRAGMA max_page_count = 1000000").await;
    store.put_group(&room("r"), 0, vec![7; 1 << 20]).await.unwrap();
}

#[tokio::test]
async fn an_arrival_is_all_or_nothing() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let x = server("x");
    fill(&store, &room("r"), [NewRecord { queue_for: vec![x.clone()], ..record("a") }]).await;
    let place = store.enqueue(&x, edu()).await.unwrap();
    let range = FlightRange { room_id: room("r"), from: 0, to: 1 };
    let flight = Flight { txn_id: "t".to_owned(), ranges: vec![range], items: vec![place] };
    store.depart(&x, &flight).await.unwrap();
    let set = async |sql: &'static str| {
        submit(&store, move |connection| Ok(connection.execute_batch(sql)?)).await.await.unwrap().unwrap();
    };
    set("CREATE TRIGGER full BEFORE INSERT ON inbox WHEN new.place = 1 BEGIN SELECT RAISE(ABORT, 'full'); END").await;
    let notices = || vec![notice(&user("alice"), "a", None), notice(&user("alice"), "b", None)];
    assert!(matches!(store.arrive(&x, &flight, notices()).await, Err(StoreError::Database(_))));
    assert!(store.deliver(notices()).await.is_err());
    assert_eq!(store.lagging_cursors(&x).await.unwrap().len(), 1);
    assert_eq!(store.flight(&x).await.unwrap(), Some(flight.clone()));
    assert_eq!(store.items(&x, &[place]).await.unwrap().len(), 1);
    assert!(items(&store).await.is_empty());

    set("DROP TRIGGER full").await;
    store.arrive(&x, &flight, notices()).await.unwrap();
    assert!(store.destinations().await.unwrap().is_empty());
    assert_eq!(items(&store).await, [json("a"), json("b")]);
}

#[tokio::test]
async fn a_full_queue_makes_others_wait() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let gate = Gate::shut(&store).await;
    let mut answers = Vec::new();
    for _ in 0..QUEUE {
        answers.push(submit_item(&store, "x").await);
    }
    let mut late = pin!(tokio::task::unconstrained(submit_item(&store, "late")));
    let waits = std::future::poll_fn(|context| Poll::Ready(late.as_mut().poll(context).is_pending()));
    assert!(waits.await);
    gate.open().await.unwrap();
    late.await.await.unwrap().unwrap();
    assert_eq!(items(&store).await.len(), QUEUE + 1);
}

#[tokio::test]
async fn closing_writes_what_was_handed_in() {
    let files = SqliteFiles::new();
    for by_dropping in [false, true] {
        let store = files.open().await;
        let gate = Gate::shut(&store).await;
        let answer = submit_item(&store, "a").await;
        let forgotten = submit_item(&store, "b").await;
        drop(forgotten);
        if by_dropping {
            // The thread that drops the store waits, so another one opens the gate.
            let opening = std::thread::spawn(move || drop(gate));
            drop(store);
            opening.join().unwrap();
        } else {
            let mut closing = pin!(tokio::task::unconstrained(store.close()));
            let waits =
                std::future::poll_fn(|context| Poll::Ready(closing.as_mut().poll(context).is_pending()));
            assert!(waits.await, "there is something to write");
            assert!(matches!(store.deliver(Vec::new()).await, Err(StoreError::Closed)));
            drop(gate);
            closing.await.unwrap();
        }
        answer.await.unwrap().unwrap();
    }
    assert_eq!(items(&files.open().await).await, ["a", "b", "a", "b"].map(json));
}

#[tokio::test]
async fn a_read_sees_one_moment() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let (reached, proceed) = (oneshot::channel(), mpsc::channel::<()>());
    let reading = store.readers.run(move |connection| {
        let before = inbox::read(connection, &user("alice"), 0, 9)?.len();
        let _ = reached.0.send(());
        let _ = proceed.1.recv();
        Ok((before, inbox::read(connection, &user("alice"), 0, 9)?.len()))
    });
    let writing = async {
        reached.1.await.unwrap();
        submit_item(&store, "a").await.await.unwrap().unwrap();
        assert_eq!(items(&store).await.len(), 1);
        drop(proceed.0);
    };
    assert_eq!(tokio::join!(reading, writing).0.unwrap(), (0, 0));
}

#[tokio::test]
async fn a_read_that_panics_spares_the_next() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    for _ in 0..10 {
        let read = store
            .readers
            .run(|_| -> Result<(), StoreError> { std::panic::resume_unwind(Box::new("a fault")) });
        assert!(matches!(read.await, Err(StoreError::Database(_))));
    }
    assert!(items(&store).await.is_empty());
}

#[tokio::test]
async fn the_log_does_not_stay_long() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let size = || fs::metadata(files.file("-wal")).unwrap().len();
    let long = vec![7; 70 << 20];
    store.put_group(&room("r"), 0, long.clone()).await.unwrap();
    // What comes next is written when the log has been looked at.
    submit_item(&store, "a").await.await.unwrap().unwrap();
    assert!(size() < 1 << 20, "{}", size());
    assert_eq!(store.group(&room("r")).await.unwrap(), Some((0, long)));
}

#[tokio::test]
async fn a_reader_holds_the_log_up_only_while_it_reads() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    submit_item(&store, "a").await.await.unwrap().unwrap();
    let size = || fs::metadata(files.file("-wal")).unwrap().len();
    let (mut reader, writer) = (files.raw(), files.raw());
    writer.busy_timeout(Duration::ZERO).unwrap();
    let reading = reader.transaction().unwrap();
    assert_eq!(reading.query_row("SELECT count(*) FROM inbox", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    submit_item(&store, "b").await.await.unwrap().unwrap();
    assert!(!writer::empty_log(&writer).unwrap());
    assert!(size() > 0);
    drop(reading);
    assert!(writer::empty_log(&writer).unwrap());
    assert_eq!(size(), 0);
    assert_eq!(items(&store).await, [json("a"), json("b")]);
}
