//! Other servers' keys: fetching, checking, keeping them (LM-04 §12.4.1).
//!
//! Checks of signatures do no I/O. Whoever wants one asks [`RemoteKeys`] for a ring of the keys it needs first, and
//! that fetches what is missing, as far as it may: from the server the keys belong to (`LM-04/12.4.1/2`), one fetch
//! for each server at a time, and not sooner than 2 s after an answer or 1, 2, 4, … 60 s after a failure
//! (`LM-04/12.4.1.2/12`).

mod cache;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::json::strict;
use mimi_linearized::signing::{KeyRing, KeyStanding, ServerKeyRing, ServerKeys, ServerKeysError, VerifyKey};
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::cache::{Need, ServerState};
use crate::client::{Attempts, CallLimits, ClientError, FederationClient, Retry};
use crate::clock::Clock;

pub use cache::{FIRST_PAUSE_MS, KeyResponse, LONGEST_PAUSE_MS, MAX_VALIDITY_MS, PAUSE_AFTER_SUCCESS_MS};
pub use store::{KeyStore, NoKeyStore, StoredKeys};

/// Where a server publishes its keys (LM-04 §12.4.1.2).
pub const KEY_PATH: &str = "/_matrix/key/v2/server";

/// The largest key response that is read, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Where key responses come from. [`FederationClient`] fetches them from the servers themselves.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// The body of the answer 200 to `GET /_matrix/key/v2/server` of `server`, not checked yet.
    ///
    /// # Errors
    /// Why there is none.
    async fn fetch(&self, server: &ServerName) -> Result<Bytes, ClientError>;
}

#[async_trait]
impl KeySource for FederationClient {
    async fn fetch(&self, server: &ServerName) -> Result<Bytes, ClientError> {
        let limits = CallLimits { response_bytes: MAX_RESPONSE_BYTES, ..CallLimits::default() };
        // A connection that is cut says nothing about the server, and every request signed with its keys is refused
        // until they are there. A server that is not there at all is left alone instead.
        let mut attempts = Attempts::new(Retry::default(), limits);
        loop {
            match self.get_unsigned(server, KEY_PATH, attempts.limits()).await {
                Ok(response) => return response.ok().cloned(),
                Err(error) if error.is_cut() => attempts.failed(error).await?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Why a server's keys were not fetched.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFetchError {
    /// There is no answer, or it is an error.
    #[error(transparent)]
    Client(Arc<ClientError>),
    /// The answer is not JSON that everybody reads alike.
    #[error("the key response: {0}")]
    Json(Arc<strict::JsonError>),
    /// The answer is no key response, or its keys have not signed it (`LM-04/12.4.1.2/2`).
    #[error("the key response: {0}")]
    Keys(#[from] ServerKeysError),
    /// The answer is another server's (`LM-04/12.4.1.2/3`).
    #[error("the key response is that of {0}")]
    WrongServer(ServerName),
    /// There was no answer in time.
    #[error("the keys did not arrive in time")]
    TimedOut,
    /// The attempt was broken off, or is still under way.
    #[error("fetching the keys was interrupted")]
    Interrupted,
}

impl PartialEq for KeyFetchError {
    /// Errors of the network are equal only if they are the same one.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Client(a), Self::Client(b)) => Arc::ptr_eq(a, b),
            (Self::Json(a), Self::Json(b)) => Arc::ptr_eq(a, b),
            (Self::Keys(a), Self::Keys(b)) => a == b,
            (Self::WrongServer(a), Self::WrongServer(b)) => a == b,
            (Self::TimedOut, Self::TimedOut) | (Self::Interrupted, Self::Interrupted) => true,
            _ => false,
        }
    }
}

/// The bounds of [`RemoteKeys`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLimits {
    /// How long one fetch may take. 10 s unless set. Reading and writing the store are bounded by the same time.
    pub fetch: Duration,
    /// How many fetches there are at the same time, from all servers together. 64 unless set.
    pub fetches: usize,
    /// How many servers are remembered. 10,000 unless set. Beyond that, those without any keys are forgotten first,
    /// then those that were not asked for longest; what the store has of them stays.
    pub servers: usize,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self { fetch: Duration::from_secs(10), fetches: 64, servers: 10_000 }
    }
}

/// The keys that were asked for, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct FetchedKeys {
    ring: ServerKeyRing,
    unavailable: BTreeMap<ServerName, KeyFetchError>,
}

impl FetchedKeys {
    /// The keys.
    #[must_use]
    pub fn ring(&self) -> &ServerKeyRing {
        &self.ring
    }

    /// The keys, for who does not need to know what is unavailable.
    #[must_use]
    pub fn into_ring(self) -> ServerKeyRing {
        self.ring
    }

    /// The servers of which a key was wanted that is not known, and which could not be asked for it. A check that fails
    /// for want of their keys says nothing about the signature. A server that answered without the key is not here.
    #[must_use]
    pub fn unavailable(&self) -> &BTreeMap<ServerName, KeyFetchError> {
        &self.unavailable
    }
}

impl KeyRing for FetchedKeys {
    fn standing(&self, server: &ServerName, key: &KeyId, at: i64) -> KeyStanding {
        self.ring.standing(server, key, at)
    }
}

/// Other servers' keys. Clones share what they know.
#[derive(Clone)]
pub struct RemoteKeys(Arc<Inner>);

struct Inner {
    source: Box<dyn KeySource>,
    store: Box<dyn KeyStore>,
    clock: Clock,
    limits: KeyLimits,
    fetches: Semaphore,
    servers: Mutex<HashMap<ServerName, Arc<Entry>>>,
    /// Counts uses of entries; what is larger is later.
    ticks: AtomicU64,
}

/// One server.
#[derive(Default)]
struct Entry {
    state: Mutex<ServerState>,
    /// Held while the store or the server is being asked. What is known can be read meanwhile.
    asking: Arc<tokio::sync::Mutex<()>>,
    last_used: AtomicU64,
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, ServerState> {
        // No code that holds this lock panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteKeys").field("servers", &self.servers().len()).finish_non_exhaustive()
    }
}

impl RemoteKeys {
    /// Knows nothing yet. Fetches from `source`, keeps what it got in `store`.
    #[must_use]
    pub fn new(source: impl KeySource, store: impl KeyStore, clock: Clock, limits: KeyLimits) -> Self {
        Self(Arc::new(Inner {
            source: Box::new(source),
            store: Box::new(store),
            clock,
            limits,
            fetches: Semaphore::new(limits.fetches.max(1)),
            servers: Mutex::default(),
            ticks: AtomicU64::new(1),
        }))
    }

    /// Lets a key of `server` count until `valid_until`, in milliseconds since the Unix epoch, without any fetch. This
    /// is for our own server, whose keys are at hand: a server with a trusted key is never asked. Trusted keys count
    /// for events and for requests.
    pub fn trust(&self, server: &ServerName, id: &KeyId, key: VerifyKey, valid_until: i64) {
        self.entry(server).state().trust(id, key, valid_until);
    }

    /// The keys for checking events: for each server, the time of an event in milliseconds since the Unix epoch
    /// (`origin_server_ts`) and the ids of the keys that signed it.
    ///
    /// The ring has every key ever seen of these servers, retired ones included, each until the end of its validity
    /// (`LM-04/12.4.1.1/4`). A server is asked if a key named is not known, or if its validity ends before the event
    /// and asking may prolong it (`LM-04/12.4.1.1/1`, `LM-04/6.3/8`).
    pub async fn ring_for_events(&self, needed: &[(ServerName, i64, Vec<KeyId>)]) -> FetchedKeys {
        let mut by_server: BTreeMap<ServerName, Vec<(i64, Vec<KeyId>)>> = BTreeMap::new();
        for (server, at, ids) in needed {
            by_server.entry(server.clone()).or_default().push((*at, ids.clone()));
        }
        let mut asking = JoinSet::new();
        for (server, events) in by_server {
            let this = self.clone();
            asking.spawn(async move {
                let obtained = this.obtain(&server, Need::Events(events)).await;
                (server, obtained)
            });
        }
        let mut keys = FetchedKeys::default();
        while let Some(asked) = asking.join_next().await {
            // A task that panicked leaves its server out, which makes checks fail for want of a key.
            let Ok((server, (entry, failure))) = asked else { continue };
            entry.state().add_all_to(&mut keys.ring, &server);
            keys.unavailable.extend(failure.map(|failure| (server, failure)));
        }
        keys
    }

    /// The keys for checking a request of `origin` that is signed with the keys named, at `now` in milliseconds since
    /// the Unix epoch.
    ///
    /// The ring has the current `verify_keys` of the server's latest response and no others (`LM-04/12.4.1.2/9`). The
    /// server is asked if that has expired, or lacks a key named.
    pub async fn ring_for_requests<'k>(
        &self,
        origin: &ServerName,
        ids: impl IntoIterator<Item = &'k KeyId>,
        now: i64,
    ) -> FetchedKeys {
        let need = Need::Request(now, ids.into_iter().cloned().collect());
        let (entry, failure) = self.obtain(origin, need).await;
        let mut keys = FetchedKeys::default();
        entry.state().add_current_to(&mut keys.ring, origin);
        keys.unavailable.extend(failure.map(|failure| (origin.clone(), failure)));
        keys
    }

    /// The responses of a server for being given out as a notary, those with different keys each, the latest last
    /// (`LM-04/12.4.1.2/14`). The server is asked if the latest is past half of its life (`LM-04/12.4.1.2/10`), or not
    /// valid as long as `minimum_valid_until`, in milliseconds since the Unix epoch. If it does not answer, what is
    /// there is returned (`LM-04/12.4.1.2/13`).
    pub async fn responses(&self, server: &ServerName, minimum_valid_until: i64) -> Vec<Arc<KeyResponse>> {
        let (entry, _) = self.obtain(server, Need::Notary(minimum_valid_until)).await;
        entry.state().responses()
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<ServerName, Arc<Entry>>> {
        // The map is whole whenever the lock is free.
        self.0.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, server: &ServerName) -> Arc<Entry> {
        let mut servers = self.servers();
        if !servers.contains_key(server) && servers.len() >= self.0.limits.servers.max(1) {
            forget_some(&mut servers);
        }
        let entry = servers.entry(server.clone()).or_default();
        entry.last_used.store(self.0.ticks.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Arc::clone(entry)
    }

    /// Sees to it that the need is met, if it can be, and returns what is known then. If it is not met because the
    /// server could not be asked, also why.
    async fn obtain(&self, server: &ServerName, need: Need) -> (Arc<Entry>, Option<KeyFetchError>) {
        let entry = self.entry(server);
        let clock = &self.0.clock;
        if !entry.state().lacks(&need, clock.now_ms()) {
            return (entry, None);
        }
        // Whoever is asking meanwhile may bring what is needed.
        let turn = Arc::clone(&entry.asking).lock_owned().await;
        // A task of its own, so that a caller who goes away neither ends the fetch nor evades its bounds.
        let asking = self.clone().ask(server.clone(), Arc::clone(&entry), need.clone(), turn);
        let _ = tokio::spawn(asking).await;
        let failure = {
            let state = entry.state();
            state.lacks(&need, clock.now_ms()).then(|| state.failure()).flatten()
        };
        (entry, failure)
    }

    /// Asks the store, if it was not asked before, and then the server, if that is still needed and allowed.
    async fn ask(self, server: ServerName, entry: Arc<Entry>, need: Need, _turn: OwnedMutexGuard<()>) {
        let Inner { store, clock, limits, .. } = &*self.0;
        if !entry.state().loaded {
            let stored = timeout(limits.fetch, store.load(&server)).await.unwrap_or_else(|_| {
                tracing::warn!(%server, "the key store does not answer");
                Vec::new()
            });
            let mut responses: Vec<_> =
                stored.into_iter().filter_map(|keys| read_stored(&server, &keys)).collect();
            responses.sort_by_key(|response| response.fetched_at_ms);
            let mut state = entry.state();
            state.loaded = true;
            responses.into_iter().for_each(|response| state.add(response));
        }
        {
            let now = clock.now_ms();
            let mut state = entry.state();
            if !state.lacks(&need, now) || !state.may_fetch(now) {
                return;
            }
            state.begin(now);
        }
        let fetched = self.fetch(&server).await;
        let now = clock.now_ms();
        match fetched {
            Ok((body, keys)) => {
                let response = KeyResponse { keys, fetched_at_ms: now };
                let key_set = response.key_set();
                {
                    let mut state = entry.state();
                    state.add(response);
                    state.succeeded(now);
                }
                let stored = StoredKeys { response: body.to_vec(), fetched_at_ms: now };
                if timeout(limits.fetch, store.save(&server, &key_set, stored)).await.is_err() {
                    tracing::warn!(%server, "the key store does not take a response");
                }
            }
            Err(error) => {
                tracing::debug!(%server, %error, "fetching keys");
                entry.state().failed(now, error);
            }
        }
    }

    async fn fetch(&self, server: &ServerName) -> Result<(Bytes, ServerKeys), KeyFetchError> {
        let Inner { source, fetches, limits, .. } = &*self.0;
        let fetching = async {
            // The semaphore is never closed, so that there is a permit as soon as one is free.
            let _permit = fetches.acquire().await;
            source.fetch(server).await
        };
        let body = timeout(limits.fetch, fetching).await.map_err(|_| KeyFetchError::TimedOut)?;
        let body = body.map_err(|error| KeyFetchError::Client(Arc::new(error)))?;
        let keys = read(server, &body)?;
        Ok((body, keys))
    }
}

/// Reads and checks a response (`LM-04/12.4.1.2/2`, `LM-04/12.4.1.2/3`).
fn read(server: &ServerName, body: &[u8]) -> Result<ServerKeys, KeyFetchError> {
    let value = strict::parse(body).map_err(|error| KeyFetchError::Json(Arc::new(error)))?;
    let keys = ServerKeys::parse(value)?;
    if keys.server_name() == server {
        Ok(keys)
    } else {
        Err(KeyFetchError::WrongServer(keys.server_name().clone()))
    }
}

fn read_stored(server: &ServerName, stored: &StoredKeys) -> Option<KeyResponse> {
    match read(server, &stored.response) {
        Ok(keys) => Some(KeyResponse { keys, fetched_at_ms: stored.fetched_at_ms }),
        Err(error) => {
            tracing::warn!(%server, %error, "a stored key response cannot be used");
            None
        }
    }
}

/// Forgets a tenth of the servers, but none that is in use or trusted.
fn forget_some(servers: &mut HashMap<ServerName, Arc<Entry>>) {
    let mut idle: Vec<_> = servers
        .iter()
        .filter(|(_, entry)| Arc::strong_count(entry) == 1)
        .filter_map(|(server, entry)| {
            let state = entry.state();
            let rank = (!state.is_empty(), entry.last_used.load(Ordering::Relaxed));
            (!state.is_trusted()).then(|| (rank, server.clone()))
        })
        .collect();
    idle.sort_unstable();
    for (_, server) in idle.into_iter().take(servers.len().div_ceil(10)) {
        servers.remove(&server);
    }
}

#[cfg(test)]
mod tests;
