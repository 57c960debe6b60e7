//! What is SQLite's own; the rest is in the suite.

mod batches;
mod damage;

use std::fs;
use std::path::PathBuf;

use super::super::suite::{
    Backend, after, device, event, fill, head_moved, json, notice, record, room, server, store_suite, user,
};
use super::super::{
    AppendError, DeliveryStore, DeviceStore, ExpectedHead, Flight, KeyStore, Outgoing, RoomStore,
    TransactionKey, TransactionStore,
};
use super::*;

/// A folder of its own with one database.
struct SqliteFiles(tempfile::TempDir);

impl SqliteFiles {
    fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    /// The database, or one of its companions.
    fn file(&self, suffix: &str) -> PathBuf {
        self.0.path().join(format!("store.db{suffix}"))
    }

    /// A connection past the store, for whatever the store itself never does.
    fn raw(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON").unwrap();
        connection
    }

    fn error(&self) -> StoreError {
        SqliteStore::open(&self.path()).unwrap_err()
    }
}

impl Backend for SqliteFiles {
    type Store = SqliteStore;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path()).unwrap()
    }
}

store_suite!(SqliteFiles);

fn edu() -> Outgoing {
    Outgoing::Edu { bytes: json("edu") }
}

#[tokio::test]
async fn a_commit_is_synced() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    for (pragma, expected) in
        [("journal_mode", "wal"), ("synchronous", "2"), ("fullfsync", "1"), ("foreign_keys", "1")]
    {
        let value = store.writer.run(move |connection| -> Result<_, StoreError> {
            let sql = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
            Ok(connection.query_row(&sql, [], |row| row.get::<_, String>(0))?)
        });
        assert_eq!(value.await.unwrap(), expected, "{pragma}");
    }
}

#[tokio::test]
async fn readers_cannot_write() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let write = store.readers.run(|connection| Ok(connection.execute("DELETE FROM rooms", [])?));
    assert!(matches!(write.await, Err(StoreError::Database(_))));
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_a_new_database() {
    use std::os::unix::fs::PermissionsExt;

    let files = SqliteFiles::new();
    let store = files.open().await;
    fill(&store, &room("r"), [record("a")]).await;
    for suffix in ["", "-wal", "-shm", "-lock"] {
        let mode = fs::metadata(files.file(suffix)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    drop(store);
    // A choice that was made afterwards stands.
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o640)).unwrap();
    files.open().await.close().await.unwrap();
    assert_eq!(fs::metadata(files.path()).unwrap().permissions().mode() & 0o777, 0o640);
}

#[tokio::test]
async fn a_second_store_is_refused() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let resolved = files.path().canonicalize().unwrap();
    assert!(matches!(files.error(), StoreError::InUse { path } if path == resolved));
    #[cfg(unix)]
    {
        let link = files.0.path().join("link");
        std::os::unix::fs::symlink(files.path(), &link).unwrap();
        assert!(matches!(SqliteStore::open(&link), Err(StoreError::InUse { .. })), "one file by two names");
    }
    // The refusal has done the first one no harm.
    fill(&store, &room("r"), [record("a")]).await;
    assert!(matches!(files.error(), StoreError::InUse { .. }));
    drop(store);
    assert_eq!(files.open().await.length(&room("r")).await.unwrap(), 1);
    assert_eq!(files.open().await.length(&room("r")).await.unwrap(), 1);
}

#[tokio::test]
async fn a_folder_that_is_missing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing/store.db"), PathBuf::from("/"), PathBuf::new()] {
        assert!(matches!(SqliteStore::open(&path), Err(StoreError::Database(_))), "{}", path.display());
    }
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let files = SqliteFiles::new();
    drop(files.open().await);
    files.raw().pragma_update(None, "user_version", 4).unwrap();
    let before = fs::read(files.path()).unwrap();
    assert!(matches!(files.error(), StoreError::Format { found: 4, known: 3 }));
    assert_eq!(fs::read(files.path()).unwrap(), before);
    // It was not kept locked, and is as good as before.
    files.raw().pragma_update(None, "user_version", 3).unwrap();
    files.open().await.close().await.unwrap();
}

#[tokio::test]
async fn files_of_others_are_refused() {
    let spoil = [
        "CREATE TABLE theirs (x)",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 1",
        "PRAGMA application_id = 0x4d494d49",
        "PRAGMA application_id = 0x4d494d49; PRAGMA user_version = -1",
    ];
    for sql in spoil {
        let files = SqliteFiles::new();
        files.raw().execute_batch(sql).unwrap();
        let before = fs::read(files.path()).unwrap();
        let error = files.error();
        assert!(matches!(error, StoreError::Malformed { what: "database", .. }), "{sql}: {error}");
        assert_eq!(fs::read(files.path()).unwrap(), before, "{sql}");
    }
    let files = SqliteFiles::new();
    fs::write(files.path(), "a text that is long enough to be taken for something else ".repeat(40)).unwrap();
    assert!(matches!(files.error(), StoreError::Malformed { what: "database file", .. }));
    // What a crash right after making the file leaves behind.
    fs::write(files.path(), "").unwrap();
    files.open().await.close().await.unwrap();
}

/// What is on the disk when the process is gone, without its leave: the lock and the shared memory mean nothing then.
#[tokio::test]
async fn what_was_answered_outlives_the_process() {
    let (files, after_crash) = (SqliteFiles::new(), SqliteFiles::new());
    let store = files.open().await;
    fill(&store, &room("r"), [record("a"), record("b")]).await;
    store.deliver(vec![notice(&user("alice"), "n", None)]).await.unwrap();
    for suffix in ["", "-wal"] {
        fs::copy(files.file(suffix), after_crash.file(suffix)).unwrap();
    }
    let revived = after_crash.open().await;
    assert_eq!(
        revived.records(&room("r"), 0, 9).await.unwrap(),
        store.records(&room("r"), 0, 9).await.unwrap()
    );
    assert_eq!(revived.append(&room("r"), after("b"), record("c")).await.unwrap(), 2);
    revived.deliver(vec![notice(&user("alice"), "m", None)]).await.unwrap();
    assert_eq!(revived.inbox(&user("alice"), 0, 9).await.unwrap(), [(0, json("n")), (1, json("m"))]);
    assert_eq!(store.length(&room("r")).await.unwrap(), 2, "the other one is another database");
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    fill(&store, &room("r"), [record("a")]).await;
    store.close().await.unwrap();
    assert!(matches!(store.close().await, Err(StoreError::Closed)));
    assert!(matches!(store.length(&room("r")).await, Err(StoreError::Closed)));
    assert!(matches!(store.enqueue(&server("x"), edu()).await, Err(StoreError::Closed)));
    let append = store.append(&room("r"), after("a"), record("b")).await;
    assert!(matches!(append, Err(AppendError::Store(StoreError::Closed))));
    assert!(!files.file("-wal").exists(), "the last connection has emptied the log");
    // The file is free although the store still exists.
    assert_eq!(files.open().await.length(&room("r")).await.unwrap(), 1);
}

#[tokio::test]
async fn numbers_that_do_not_fit_are_refused() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let put = store.put_group(&room("r"), u64::MAX, Vec::new()).await;
    assert!(matches!(put, Err(StoreError::OutOfRange { what: "position", number: u64::MAX })));
    assert_eq!(store.group(&room("r")).await.unwrap(), None);
}

/// The cost of a look-up must not grow with what is stored: the plans search and do not sort. Only to find all
/// destinations every cursor is looked at, and one row for each destination with a queue or a flight.
#[tokio::test]
async fn look_ups_search() {
    let files = SqliteFiles::new();
    let store = files.open().await;
    let statements = [
        (list::RECORDS, &[][..]),
        (list::RECORD_OF_LPDU, &[]),
        (list::TEXT_IN_LIST, &[]),
        (list::TEXT_IN_SNAPSHOT, &[]),
        (rooms::EVIDENCE, &[]),
        (delivery::LAGGING_CURSORS, &[]),
        (delivery::ROOM_DESTINATIONS, &[]),
        (delivery::WAITING, &[]),
        (delivery::ITEM, &[]),
        (delivery::DESTINATIONS, &["SCAN queues", "USE TEMP B-TREE", "SCAN flights", "SCAN cursors"]),
        (devices::OLDEST_ONE_TIME, &[]),
        (devices::LAST_RESORT, &[]),
        (devices::REMAINING, &[]),
        (inbox::PUT, &[]),
        (inbox::READ, &[]),
    ];
    for (sql, known) in statements {
        let plan = store.readers.run(move |connection| {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let nothing = vec![rusqlite::types::Null; statement.parameter_count()];
            let steps =
                statement.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3))?;
            Ok(steps.collect::<Result<Vec<_>, _>>()?)
        });
        let plan = plan.await.unwrap();
        let costs = plan.iter().filter(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE"));
        let unexpected: Vec<_> =
            costs.filter(|step| !known.iter().any(|known| step.starts_with(known))).collect();
        assert!(unexpected.is_empty(), "{sql}\n{plan:#?}");
    }
}
