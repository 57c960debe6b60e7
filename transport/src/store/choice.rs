//! Which store a server has.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use mimi_linearized::id::ServerName;
use mimi_linearized::signing::SigningKey;

use super::nats::{AddressError, NatsConfig, NatsStore};
use super::sqlite::SqliteStore;
use super::{Identity, Store, StoreError};

/// Which store a server has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreChoice {
    /// A database in its data folder.
    #[default]
    Embedded,
    /// A log in NATS JetStream, which several processes of the server share.
    Nats(NatsConfig),
}

impl FromStr for StoreChoice {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == "embedded" { Ok(Self::Embedded) } else { text.parse().map(Self::Nats) }
    }
}

/// A store that is open.
#[derive(Debug, Clone)]
pub(crate) enum OpenStore {
    Embedded(Arc<SqliteStore>),
    Nats(Arc<NatsStore>),
}

impl OpenStore {
    /// Opens what was chosen, and looks for damage first, if that is wanted. The folder must exist.
    pub(crate) async fn open(choice: &StoreChoice, folder: &Path, check: bool) -> Result<Self, StoreError> {
        match choice {
            StoreChoice::Embedded => {
                let path = folder.join("store.sqlite3");
                let open =
                    move || if check { SqliteStore::open_checked(&path) } else { SqliteStore::open(&path) };
                let opened = tokio::task::spawn_blocking(open).await;
                let opened = opened.unwrap_or_else(|error| Err(StoreError::Database(Box::new(error))));
                Ok(Self::Embedded(Arc::new(opened?)))
            }
            StoreChoice::Nats(config) => {
                let store = NatsStore::open(config, &folder.join("view.sqlite3")).await?;
                // A key that is made here would be another one than the other processes have.
                if !folder.join("signing.key").exists()
                    && let Some(Identity { server_name, .. }) = store.identity().await?
                {
                    let why = format!(
                        "it is a store of {server_name}, of which another process has the signing key: \
                         put its `signing.key` into {}",
                        folder.display()
                    );
                    return Err(StoreError::NotOurs(why));
                }
                Ok(Self::Nats(Arc::new(store)))
            }
        }
    }

    /// Makes sure that the store is this server's.
    pub(crate) async fn introduce(&self, name: &ServerName, key: &SigningKey) -> Result<(), StoreError> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Nats(store) => store.introduce(Identity::of(name, key)).await,
        }
    }

    /// The store as everything else knows it.
    pub(crate) fn shared(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => Arc::<SqliteStore>::clone(store),
            Self::Nats(store) => Arc::<NatsStore>::clone(store),
        }
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.close().await,
            Self::Nats(store) => store.close().await,
        }
    }
}
