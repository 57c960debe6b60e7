//! The connections that read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{StoreError, broken, file, set_up};

/// The most reads at a time.
const READERS: u32 = 4;

/// A few read-only connections. They are opened with the store, so that a busy server that runs out of files does not
/// fail in the middle.
#[derive(Debug)]
pub(super) struct Readers {
    pool: Arc<Pool>,
    /// One permit for each read at a time.
    permits: Arc<Semaphore>,
}

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let pool = Pool { path: path.to_owned(), idle: Mutex::default() };
        for _ in 0..READERS {
            pool.idle().push(pool.connect()?);
        }
        Ok(Self { pool: Arc::new(pool), permits: Arc::new(Semaphore::new(READERS as usize)) })
    }

    /// Reads on a thread that may block. All that `work` sees is of one moment.
    pub(super) async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let pool = Arc::clone(&self.pool);
        let read = move || {
            let outcome = pool.read(work);
            // It goes with the read, not with the future, which may be dropped before the read ends.
            drop(permit);
            outcome
        };
        tokio::task::spawn_blocking(read).await.map_err(broken)?
    }

    /// Refuses further reads, waits for those under way, and closes the connections.
    pub(super) async fn close(&self) {
        let all = self.permits.acquire_many(READERS).await;
        self.permits.close();
        self.pool.idle().clear();
        drop(all);
    }
}

impl Pool {
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut connection = self.take()?;
        let outcome = {
            // Never committed: there is nothing to commit.
            let transaction = connection.transaction()?;
            work(&transaction)
        };
        if connection.is_autocommit() {
            self.idle().push(connection);
        }
        outcome
    }

    /// A connection that nobody uses. A read that panics takes its own with it, and is replaced here.
    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle().pop();
        idle.map_or_else(|| self.connect(), Ok)
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let connection = file::connect_to_read(&self.path)?;
        set_up(&connection)?;
        Ok(connection)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
