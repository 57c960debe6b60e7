//! Answers to transactions, so that a repeated one gets the same answer (LM-04 §12.2.5, reading R19).

use async_trait::async_trait;
use mimi_linearized::id::ServerName;
use serde::{Deserialize, Serialize};

use super::{StoreError, encoding};

/// How many answers to one sender are remembered. Whoever has had so many later ones is not waiting for an older one.
pub const ANSWERS_OF_ONE_SENDER: u32 = 100_000;

/// What makes a transaction one and the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TransactionKey {
    /// Who sent it.
    pub origin: ServerName,
    /// The endpoint; its final and unstable paths are one.
    pub endpoint: &'static str,
    /// The id in the path.
    pub txn_id: String,
}

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    #[serde(with = "encoding::bytes")]
    pub body: Vec<u8>,
}

/// Answers to transactions.
#[async_trait]
pub trait TransactionStore: Send + Sync + 'static {
    /// The answer that was given to a transaction.
    async fn answer(&self, key: &TransactionKey) -> Result<Option<StoredAnswer>, StoreError>;

    /// Begins a transaction, or says how it was answered. Where several processes are one server, one of them processes
    /// it: this waits while another one does. A process that is gone is not waited for, nor one that takes longer than
    /// half a minute, so that a transaction can be begun twice; what it appends is recognised then.
    async fn begin(&self, key: &TransactionKey) -> Result<Option<StoredAnswer>, StoreError> {
        self.answer(key).await
    }

    /// Gives up a transaction that was [begun](Self::begin) and ended without an answer to remember.
    async fn abandon(&self, key: &TransactionKey) -> Result<(), StoreError> {
        let _ = key;
        Ok(())
    }

    /// Remembers an answer. The first one for a key stays. `now` is in milliseconds since the Unix epoch.
    async fn remember(&self, key: &TransactionKey, answer: StoredAnswer, now: i64) -> Result<(), StoreError>;

    /// Forgets answers given before `before`, in milliseconds since the Unix epoch, and of each sender all but its
    /// newest [`ANSWERS_OF_ONE_SENDER`].
    async fn forget_answers(&self, before: i64) -> Result<(), StoreError>;
}
