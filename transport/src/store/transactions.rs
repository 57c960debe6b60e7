//! Answers to transactions, so that a repeated one gets the same answer (LM-04 §12.2.5, reading R19).

use async_trait::async_trait;
use mimi_linearized::id::ServerName;

use super::StoreError;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Vec<u8>,
}

/// Answers to transactions.
#[async_trait]
pub trait TransactionStore: Send + Sync + 'static {
    /// The answer that was given to a transaction.
    async fn answer(&self, key: &TransactionKey) -> Result<Option<StoredAnswer>, StoreError>;

    /// Remembers an answer. The first one for a key stays. `now` is in milliseconds since the Unix epoch.
    async fn remember(&self, key: &TransactionKey, answer: StoredAnswer, now: i64) -> Result<(), StoreError>;

    /// Forgets answers given before `before`, in milliseconds since the Unix epoch, and of each sender all but its
    /// newest [`ANSWERS_OF_ONE_SENDER`].
    async fn forget_answers(&self, before: i64) -> Result<(), StoreError>;
}
