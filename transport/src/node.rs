//! One server: everything that its endpoints, its rooms and its queues share.

use std::sync::Arc;

use mimi_linearized::id::{ServerName, UserId};
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RoomVersions;

use crate::client::FederationClient;
use crate::delivery::Delivery;
use crate::devices::RemoteDevices;
use crate::edus::{Board, Outbox};
use crate::keys::{OwnKeys, OwnKeysError, RemoteKeys, Rotation};
use crate::lifecycle::Lifecycle;
use crate::limits::{Gate, Limits};
use crate::media::Media;
use crate::news::News;
use crate::policy::FederationPolicy;
use crate::rooms::{Behind, Registry};
use crate::store::{Identity, Store};
use crate::telemetry::Metrics;
use crate::transactions::Transactions;

/// A server that takes part in rooms, as their hub or as a participant. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Node(Arc<Parts>);

/// On which terms a server deals with others.
#[derive(Debug)]
pub struct Terms<'a> {
    /// How much it takes from others. The limits of connections are not its own but the listener's.
    pub limits: &'a Limits,
    /// Which servers it has to do with.
    pub policy: FederationPolicy,
    /// The media it has.
    pub media: Media,
    /// What it counts with.
    pub metrics: Metrics,
}

/// What a [`Node`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// Its name.
    pub name: ServerName,
    /// Its keys.
    pub own_keys: OwnKeys,
    /// The room versions it implements.
    pub versions: RoomVersions,
    /// What it remembers.
    pub store: Arc<dyn Store>,
    /// How it asks other servers.
    pub client: FederationClient,
    /// Other servers' keys.
    pub keys: RemoteKeys,
    /// Which servers it has to do with.
    pub policy: FederationPolicy,
    /// Its media.
    pub media: Media,
    /// Its rooms.
    pub(crate) rooms: Registry,
    /// The rooms that lack events.
    pub(crate) behind: Behind,
    /// Its queues to other servers.
    pub(crate) delivery: Delivery,
    /// What is said in passing and waits to be sent.
    pub(crate) outbox: Outbox,
    /// What is said in passing and waits to be read.
    pub(crate) board: Board,
    /// Tells whoever waits that something has happened.
    pub(crate) news: News,
    /// Other servers' users' devices.
    pub(crate) devices: RemoteDevices,
    /// Transactions being processed.
    pub(crate) transactions: Transactions,
    /// How much it takes from others.
    pub(crate) gate: Gate,
    /// Whether it takes work.
    pub(crate) lifecycle: Lifecycle,
    /// What it counts.
    pub metrics: Metrics,
}

impl std::ops::Deref for Node {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Node {
    /// Puts a server together. Nothing runs yet: see [`Node::resume`].
    #[must_use]
    pub fn new(
        name: ServerName,
        own_keys: impl Into<OwnKeys>,
        versions: RoomVersions,
        store: Arc<dyn Store>,
        client: FederationClient,
        keys: RemoteKeys,
        terms: Terms<'_>,
    ) -> Self {
        Self(Arc::new(Parts {
            name,
            own_keys: own_keys.into(),
            versions,
            store,
            client,
            keys,
            policy: terms.policy,
            media: terms.media,
            rooms: Registry::default(),
            behind: Behind::default(),
            delivery: Delivery::default(),
            outbox: Outbox::default(),
            board: Board::default(),
            news: News::default(),
            devices: RemoteDevices::default(),
            transactions: Transactions::default(),
            gate: Gate::new(terms.limits),
            lifecycle: Lifecycle::default(),
            metrics: terms.metrics,
        }))
    }

    /// The key to sign with now.
    #[must_use]
    pub fn key(&self) -> Arc<SigningKey> {
        self.own_keys.current()
    }

    /// Puts a new key in the place of the one in use, which is published as an old one from now on (LM-04 §12.4.1.2).
    /// `tell` is called with what was done.
    ///
    /// # Errors
    /// [`OwnKeysError`] if the new key cannot be written down, or other processes of this server are running.
    pub async fn rotate_key<T: Send + 'static>(
        &self,
        tell: impl FnOnce(Rotation<'_>) -> T + Send + 'static,
    ) -> Result<T, OwnKeysError> {
        match self.store.others() {
            0 => {}
            others => return Err(OwnKeysError::Shared(others)),
        }
        let (node, span) = (self.clone(), tracing::Span::current());
        let rotating = tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            node.own_keys.rotate(|rotation| {
                let Rotation { new, old, retired } = rotation;
                // What is signed with it is checked here too.
                node.keys.trust(&node.name, new.id(), new.verify_key(), i64::MAX);
                node.keys.trust(&node.name, old, retired.key, retired.expired_ts);
                node.client.sign_with([new.clone()]);
                tell(rotation)
            })
        });
        match rotating.await {
            Ok(Ok(rotated)) => {
                self.store.rekey(Identity::of(&self.name, &self.key())).await?;
                Ok(rotated)
            }
            Ok(Err(error)) => Err(error),
            // Nothing in it panics, and nothing cancels it.
            Err(error) => Err(OwnKeysError::Interrupted(error)),
        }
    }

    /// Whether a user belongs to this server.
    #[must_use]
    pub fn is_local(&self, user: &UserId) -> bool {
        user.server_str() == self.name.as_str()
    }
}
