//! Where key responses are kept.

use async_trait::async_trait;
use mimi_linearized::id::ServerName;

/// A key response as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKeys {
    /// The body of the answer.
    pub response: Vec<u8>,
    /// When it was fetched, in milliseconds since the Unix epoch.
    pub fetched_at_ms: i64,
}

/// Keeps key responses from one run to the next, so that old events can still be checked when their server is gone.
///
/// A response is saved after each fetch, mostly with the same keys as the one before.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// All responses of a server, in any order. A store that cannot be read logs that and returns none.
    async fn load(&self, server: &ServerName) -> Vec<StoredKeys>;

    /// Adds a response. `key_set` is the same text for responses of a server that list the same keys: a response takes
    /// the place of an earlier one with that text, and of no other (`LM-04/12.4.1.2/14`). A store that cannot be
    /// written logs that.
    async fn save(&self, server: &ServerName, key_set: &str, keys: StoredKeys);
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoKeyStore;

#[async_trait]
impl KeyStore for NoKeyStore {
    async fn load(&self, _server: &ServerName) -> Vec<StoredKeys> {
        Vec::new()
    }

    async fn save(&self, _server: &ServerName, _key_set: &str, _keys: StoredKeys) {}
}
