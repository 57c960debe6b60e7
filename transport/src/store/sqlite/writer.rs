//! The thread that makes all changes, many in one commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::file::DatabaseFile;
use super::{StoreError, broken};

/// The most changes in one commit; it bounds how long the first of them waits for its answer.
pub(super) const BATCH: usize = 256;

/// The size of the write-ahead log, in bytes, at which it is emptied.
const LOG_LIMIT: u64 = 64 << 20;

/// The number of changes that can wait; whoever comes later waits for a place.
pub(super) const QUEUE: usize = 2 * BATCH;

/// The queue to the thread that makes changes.
#[derive(Debug)]
pub(super) struct Writer {
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    queue: mpsc::Sender<Box<dyn Change>>,
    thread: Closing,
}

/// A thread that ends once its queue is closed and empty.
#[derive(Debug)]
pub(super) struct Closing(JoinHandle<()>);

impl Closing {
    /// Waits for the end, on this thread.
    pub(super) fn wait(self) {
        if self.0.join().is_err() {
            tracing::error!("the thread that writes to the store panicked");
        }
    }
}

impl Writer {
    /// Starts the thread. It keeps the file locked until it has closed the connection.
    pub(super) fn start(connection: Connection, file: DatabaseFile) -> Result<Self, StoreError> {
        let (queue, changes) = mpsc::channel(QUEUE);
        let work = move || {
            make_changes(&connection, &file, changes);
            if let Err((_, error)) = connection.close() {
                tracing::warn!(path = %file.path().display(), %error, "the database did not close cleanly");
            }
            // The next store may come only now.
            drop(file);
        };
        let thread =
            std::thread::Builder::new().name("store-writer".to_owned()).spawn(work).map_err(broken)?;
        Ok(Self { open: Mutex::new(Some(Open { queue, thread: Closing(thread) })) })
    }

    /// Makes a change. `work` sees the effects of the changes before it; if it fails or panics, none of its own stay.
    pub(super) async fn run<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.submit(work).await?.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Puts a change into the queue, waiting for a place. The answer comes once the change is committed, or not made.
    pub(super) async fn submit<T, E, W>(&self, work: W) -> Result<oneshot::Receiver<Result<T, E>>, StoreError>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let queue = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.as_ref().ok_or(StoreError::Closed)?.queue.clone()
        };
        let (answer, answered) = oneshot::channel();
        let change: Box<dyn Change> = Box::new(Asked { work, answer });
        queue.send(change).await.map_err(|_| StoreError::Closed)?;
        Ok(answered)
    }

    /// The number of changes in the queue.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        let open = self.open.lock().unwrap();
        open.as_ref().map_or(0, |open| QUEUE - open.queue.capacity())
    }

    /// Closes the queue: what is in it is still written, and what waits for a place in it too.
    pub(super) fn close(&self) -> Result<Closing, StoreError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        open.map(|open| open.thread).ok_or(StoreError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Ok(thread) = self.close() {
            thread.wait();
        }
    }
}

/// A change that was asked for.
trait Change: Send {
    /// Makes it. The answer says whether it is to be kept.
    fn make(self: Box<Self>, connection: &Connection) -> Box<dyn Answer>;

    /// Answers that it was not made.
    fn refuse(self: Box<Self>, why: NotCommitted);
}

/// What came of a change, held back until it is certain.
trait Answer {
    /// Whether the change succeeded and is to be kept.
    fn keeps(&self) -> bool;

    /// Answers whoever asked. What a change said counts only if the commit did: also a refusal can rest on what another
    /// change in the same commit had done.
    fn give(self: Box<Self>, committed: Result<(), NotCommitted>);
}

/// Why none of the changes of a commit was made; each of them is told.
#[derive(Debug, Clone, thiserror::Error)]
#[error("nothing was committed: {0}")]
struct NotCommitted(#[source] Arc<rusqlite::Error>);

impl From<rusqlite::Error> for NotCommitted {
    fn from(error: rusqlite::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// The code of a change panicked.
#[derive(Debug, thiserror::Error)]
#[error("a change panicked and was not made")]
pub(super) struct Panicked;

struct Asked<T, E, W> {
    work: W,
    answer: oneshot::Sender<Result<T, E>>,
}

struct Made<T, E> {
    outcome: Result<T, E>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, W> Change for Asked<T, E, W>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    W: FnOnce(&Connection) -> Result<T, E> + Send,
{
    fn make(self: Box<Self>, connection: &Connection) -> Box<dyn Answer> {
        let Self { work, answer } = *self;
        // Unwinding leaves nothing behind that is used again: statements are reset when they are dropped, and the
        // savepoint is rolled back.
        let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)))
            .unwrap_or_else(|_| Err(broken(Panicked).into()));
        Box::new(Made { outcome, answer })
    }

    fn refuse(self: Box<Self>, why: NotCommitted) {
        // Whoever asked may have gone away.
        let _ = self.answer.send(Err(broken(why).into()));
    }
}

impl<T, E: From<StoreError>> Answer for Made<T, E> {
    fn keeps(&self) -> bool {
        self.outcome.is_ok()
    }

    fn give(self: Box<Self>, committed: Result<(), NotCommitted>) {
        let outcome = match committed {
            Ok(()) => self.outcome,
            Err(why) => Err(broken(why).into()),
        };
        // Whoever asked may have gone away.
        let _ = self.answer.send(outcome);
    }
}

/// Makes changes until the queue is closed and empty.
fn make_changes(connection: &Connection, file: &DatabaseFile, mut changes: mpsc::Receiver<Box<dyn Change>>) {
    let mut limit = LOG_LIMIT;
    while let Some(first) = changes.blocking_recv() {
        commit_batch(connection, first, &mut changes);
        let size = file.log_size();
        if size > limit {
            let emptied = empty_log(connection).unwrap_or_else(|error| {
                tracing::warn!(%error, "the write-ahead log cannot be emptied");
                false
            });
            // Somebody who reads for long, such as a backup, is not waited for again at once.
            limit = if emptied { LOG_LIMIT } else { size.saturating_add(LOG_LIMIT) };
        }
    }
}

/// Moves the write-ahead log's content into the database and empties it, unless somebody reads for longer than the busy
/// timeout. By itself SQLite starts the log over only at a moment without reads, which under a steady load may never
/// come; this waits for each reader to pass.
pub(super) fn empty_log(connection: &Connection) -> rusqlite::Result<bool> {
    let mut checkpoint = connection.prepare_cached("PRAGMA wal_checkpoint(TRUNCATE)")?;
    checkpoint.query_row([], |row| Ok(row.get::<_, i64>(0)? == 0))
}

/// Makes one change and those that are waiting by then, commits them together, and answers.
fn commit_batch(
    connection: &Connection,
    first: Box<dyn Change>,
    changes: &mut mpsc::Receiver<Box<dyn Change>>,
) {
    if let Err(error) = statement(connection, "BEGIN IMMEDIATE") {
        return first.refuse(error.into());
    }
    let mut answers = Vec::new();
    let mut next = Some(first);
    let mut made = Ok(());
    while let Some(change) = next {
        made = make_apart(connection, change, &mut answers);
        if made.is_err() {
            break;
        }
        next = if answers.len() < BATCH { changes.try_recv().ok() } else { None };
    }
    let committed = made.and_then(|()| Ok(statement(connection, "COMMIT")?));
    if let Err(error) = &committed {
        tracing::error!(%error, changes = answers.len(), "changes were not committed");
        // SQLite may have done it by itself.
        if !connection.is_autocommit()
            && let Err(error) = statement(connection, "ROLLBACK")
        {
            tracing::error!(%error, "a failed transaction could not be rolled back");
        }
    }
    for answer in answers {
        answer.give(committed.clone());
    }
}

/// Makes a change inside its own savepoint. An error concerns the whole transaction; that of the change is in its
/// answer.
fn make_apart(
    connection: &Connection,
    change: Box<dyn Change>,
    answers: &mut Vec<Box<dyn Answer>>,
) -> Result<(), NotCommitted> {
    if let Err(error) = statement(connection, "SAVEPOINT change") {
        let error = NotCommitted::from(error);
        change.refuse(error.clone());
        return Err(error);
    }
    let answer = change.make(connection);
    let keeps = answer.keeps();
    answers.push(answer);
    // A full disk or an I/O error can make SQLite end the whole transaction, the changes of the others with it. Then
    // there is no savepoint any more, and this fails.
    if !keeps {
        statement(connection, "ROLLBACK TO change")?;
    }
    Ok(statement(connection, "RELEASE change")?)
}

fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
