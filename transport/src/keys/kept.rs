//! Key responses in this server's store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use mimi_linearized::id::ServerName;

use super::{KeyStore, StoredKeys};
use crate::store::{self, Store};

/// Of how many servers keys are kept. As many more as [`BETWEEN_LOOKS`] may be there for a while.
const MAX_SERVERS: u64 = 100_000;
/// How many responses are stored between two looks at whether there are too many.
const BETWEEN_LOOKS: u64 = 10_000;

/// Keeps other servers' keys in the store of this one.
#[derive(Debug)]
pub struct KeptKeys {
    store: Arc<dyn Store>,
    /// How many responses were stored.
    saved: AtomicU64,
}

impl KeptKeys {
    /// Keeps them in this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, saved: AtomicU64::new(0) }
    }
}

#[async_trait]
impl KeyStore for KeptKeys {
    async fn load(&self, server: &ServerName) -> Vec<StoredKeys> {
        match self.store.server_keys(server).await {
            Ok(kept) => kept
                .into_iter()
                .map(|keys| StoredKeys { response: keys.response, fetched_at_ms: keys.fetched_at })
                .collect(),
            Err(error) => {
                tracing::error!(%server, %error, "kept keys cannot be read");
                Vec::new()
            }
        }
    }

    async fn save(&self, server: &ServerName, key_set: &str, keys: StoredKeys) {
        let keys = store::StoredKeys {
            key_set: key_set.to_owned(),
            response: keys.response,
            fetched_at: keys.fetched_at_ms,
        };
        if let Err(error) = self.store.put_server_keys(server, keys).await {
            tracing::error!(%server, %error, "keys cannot be kept");
        }
        // At the first one too, as nobody knows how many there were before.
        if self.saved.fetch_add(1, Ordering::Relaxed).is_multiple_of(BETWEEN_LOOKS)
            && let Err(error) = self.store.forget_server_keys(MAX_SERVERS).await
        {
            tracing::error!(%error, "old keys cannot be forgotten");
        }
    }
}
