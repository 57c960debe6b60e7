//! Whether a server takes work, and how it comes to its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::clock;
use crate::node::Node;
use crate::store::{StoreError, StoredAnswer, TransactionKey};
use crate::telemetry::Waiting;

/// How long it is believed that the store can be written to once it was.
const BELIEVED: Duration = Duration::from_secs(5);
/// How long the store may take.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// Under which name it is written that the store can be written to.
const PROBE: &str = "ready";

/// Whether a server takes work.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    draining: AtomicBool,
    listening: AtomicBool,
    /// The requests under way that may change something.
    working: watch::Sender<usize>,
    written: Mutex<Option<Instant>>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            draining: AtomicBool::new(false),
            listening: AtomicBool::new(false),
            working: watch::Sender::new(0),
            written: Mutex::default(),
        }
    }
}

/// A request under way.
pub(crate) struct Working<'l>(Option<&'l Lifecycle>);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        if let Some(lifecycle) = self.0 {
            lifecycle.working.send_modify(|count| *count = count.saturating_sub(1));
        }
    }
}

impl Lifecycle {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Says whether the federation's listener is there.
    pub(crate) fn listening(&self, is: bool) {
        self.listening.store(is, Ordering::SeqCst);
    }

    /// Lets a request in, unless it may change something and the server is coming to its end.
    pub(crate) fn enter(&self, changes: bool) -> Option<Working<'_>> {
        if !changes {
            return Some(Working(None));
        }
        // Counted first: whoever begins to drain after that waits for it.
        self.working.send_modify(|count| *count = count.saturating_add(1));
        let working = Working(Some(self));
        (!self.is_draining()).then_some(working)
    }
}

/// Why a server is not ready for work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// It is coming to its end.
    #[error("the server is coming to its end")]
    Draining,
    /// Nobody can reach it.
    #[error("the federation's listener is not there")]
    NotListening,
    /// The store cannot be written to.
    #[error("the store cannot be written to: {0}")]
    Store(#[from] StoreError),
    /// The store does not answer.
    #[error("the store did not answer within {STORE_TIMEOUT:?}")]
    StoreTimeout,
}

impl Node {
    /// Whether the server takes work: it listens, is not coming to its end, and its store can be written to, which is
    /// tried, but not more often than every five seconds.
    ///
    /// # Errors
    /// [`NotReady`] says why not.
    pub async fn ready(&self) -> Result<(), NotReady> {
        if self.lifecycle.is_draining() {
            return Err(NotReady::Draining);
        }
        if !self.lifecycle.listening.load(Ordering::SeqCst) {
            return Err(NotReady::NotListening);
        }
        let mut written = self.lifecycle.written.lock().await;
        if written.is_some_and(|at| at.elapsed() < BELIEVED) {
            return Ok(());
        }
        *written = None;
        // An answer that nobody asks for, and that is the first to be forgotten.
        let txn_id = format!("{}", clock::now_ms());
        let key = TransactionKey { origin: self.name.clone(), endpoint: PROBE, txn_id };
        let answer = StoredAnswer { status: 200, body: b"{}".to_vec() };
        match timeout(STORE_TIMEOUT, self.store.remember(&key, answer, 0)).await {
            Ok(stored) => stored?,
            Err(_) => return Err(NotReady::StoreTimeout),
        }
        *written = Some(Instant::now());
        Ok(())
    }

    /// Comes to the end of its work: takes nothing new that changes anything, lets what is under way end, and gives the
    /// queues time to send what waits. Returns what was left, which a new start goes on with.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub async fn drain(&self, within: Duration) -> Result<Vec<Waiting>, StoreError> {
        self.lifecycle.draining.store(true, Ordering::SeqCst);
        let mut news = self.news();
        let emptied = async {
            let mut working = self.lifecycle.working.subscribe();
            // Whoever would say so is this node itself.
            let _ = working.wait_for(|count| *count == 0).await;
            loop {
                news.borrow_and_update();
                if self.store.destinations().await?.is_empty() {
                    return Ok::<(), StoreError>(());
                }
                if news.changed().await.is_err() {
                    return Ok(());
                }
            }
        };
        match timeout(within, emptied).await {
            Ok(done) => done?,
            Err(_) => tracing::warn!(?within, "the time for sending what waits is over"),
        }
        self.waiting().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_after_draining_began_is_not_let_in() {
        let lifecycle = Lifecycle::default();
        let first = lifecycle.enter(true).unwrap();
        let reads = lifecycle.enter(false).unwrap();
        assert_eq!(*lifecycle.working.borrow(), 1);
        lifecycle.draining.store(true, Ordering::SeqCst);
        assert!(lifecycle.enter(true).is_none());
        assert!(lifecycle.enter(false).is_some());
        assert_eq!(*lifecycle.working.borrow(), 1);
        drop((first, reads));
        assert_eq!(*lifecycle.working.borrow(), 0);
    }
}
