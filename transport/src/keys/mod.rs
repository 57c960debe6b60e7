//! Other servers' keys: fetching, checking, keeping them, and giving them out as a notary (LM-04 §12.4.1).
//!
//! Checks of signatures do no I/O. Whoever wants one asks [`RemoteKeys`] for a ring of the keys it needs first, and
//! that fetches what is missing, as far as it may: from the server the keys belong to (`LM-04/12.4.1/2`), one fetch
//! for each server at a time, and not sooner than 2 s after an answer or 1, 2, 4, … 60 s after a failure
//! (`LM-04/12.4.1.2/12`). A server that does not answer is asked for at the notaries that are configured.
//!
//! | file | subject |
//! |---|---|
//! | `cache.rs`, `response.rs` | what is known of one server, and when it may be asked; no I/O |
//! | `asker.rs`, `limits.rs` | how much one asker may set off |
//! | `source.rs` | the wire |
//! | `store.rs`, `kept.rs` | what outlasts a run |
//! | `perspective.rs` | asking notaries |
//! | `notary.rs` | being one |
//! | `own.rs` | this server's own keys, and replacing them |
//!
//! A key is decoded when it is fetched, or read from the store, and never again: a request is checked with the point of
//! the curve that is in memory.

mod asker;
mod cache;
mod error;
mod fetched;
mod kept;
mod limits;
mod notary;
mod own;
mod perspective;
mod response;
mod source;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::json::strict;
use mimi_linearized::signing::{ServerKeys, VerifyKey};
use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument as _;

use self::asker::Budgets;
use self::cache::{Need, ServerState};
use crate::clock::Clock;

pub use asker::Asker;
pub use cache::{FIRST_PAUSE_MS, LONGEST_PAUSE_MS, MAX_VALIDITY_MS, PAUSE_AFTER_SUCCESS_MS};
pub use error::KeyFetchError;
pub use fetched::FetchedKeys;
pub use kept::KeptKeys;
pub use limits::KeyLimits;
pub use notary::Notary;
pub use own::{OwnKeys, OwnKeysError, Rotation};
pub use response::{KeyCriteria, KeyResponse};
pub use source::KeySource;
pub use store::{KeyStore, NoKeyStore, StoredKeys};

/// Where a server publishes its keys (LM-04 §12.4.1.2).
pub const KEY_PATH: &str = "/_matrix/key/v2/server";

/// Other servers' keys. Clones share what they know.
#[derive(Clone)]
pub struct RemoteKeys {
    inner: Arc<Inner>,
    notaries: Arc<[ServerName]>,
    /// On whose behalf this handle fetches; our own, if there is nobody.
    asker: Option<Asker>,
}

struct Inner {
    source: Box<dyn KeySource>,
    store: Box<dyn KeyStore>,
    clock: Clock,
    limits: KeyLimits,
    fetches: Semaphore,
    /// What of these is for askers who have not shown who they are.
    unproved: Semaphore,
    budgets: Budgets,
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
        let inner = Inner {
            source: Box::new(source),
            store: Box::new(store),
            clock,
            limits,
            fetches: Semaphore::new(limits.fetches.max(1)),
            unproved: Semaphore::new((limits.fetches / 2).max(1)),
            budgets: Budgets::new(limits.burst, limits.interval),
            servers: Mutex::default(),
            ticks: AtomicU64::new(1),
        };
        Self { inner: Arc::new(inner), notaries: Arc::default(), asker: None }
    }

    /// Asks these servers, in this order, for the keys of servers that do not answer.
    #[must_use]
    pub fn with_notaries(self, notaries: impl IntoIterator<Item = ServerName>) -> Self {
        Self { notaries: notaries.into_iter().collect(), ..self }
    }

    /// The same keys, fetched on behalf of somebody, who may cause only so many fetches ([`KeyLimits::burst`]). `None`
    /// is this server itself, which is not limited.
    #[must_use]
    pub fn on_behalf_of(&self, asker: impl Into<Option<Asker>>) -> Self {
        Self { asker: asker.into(), ..self.clone() }
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
    /// (`LM-04/12.4.1.2/14`). The server is asked if the latest is past half of its life (`LM-04/12.4.1.2/10`), or if
    /// none is what is asked for. If it does not answer, what is there is returned (`LM-04/12.4.1.2/13`).
    pub async fn responses(&self, server: &ServerName, criteria: &KeyCriteria) -> Vec<Arc<KeyResponse>> {
        let (entry, _) = self.obtain(server, Need::Notary(criteria.clone())).await;
        let mut responses = entry.state().responses();
        responses.retain(|response| criteria.admits(response));
        responses
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<ServerName, Arc<Entry>>> {
        // The map is whole whenever the lock is free.
        self.inner.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, server: &ServerName) -> Arc<Entry> {
        let mut servers = self.servers();
        if !servers.contains_key(server) && servers.len() >= self.inner.limits.servers.max(1) {
            forget_some(&mut servers);
        }
        let entry = servers.entry(server.clone()).or_default();
        entry.last_used.store(self.inner.ticks.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Arc::clone(entry)
    }

    /// Sees to it that the need is met, if it can be, and returns what is known then. If it is not met because the
    /// server could not be asked, also why.
    async fn obtain(&self, server: &ServerName, need: Need) -> (Arc<Entry>, Option<KeyFetchError>) {
        let entry = self.entry(server);
        let clock = &self.inner.clock;
        if !entry.state().lacks(&need, clock.now_ms()) {
            return (entry, None);
        }
        // Whoever is asking meanwhile may bring what is needed.
        let turn = Arc::clone(&entry.asking).lock_owned().await;
        // A task of its own, so that a caller who goes away neither ends the fetch nor evades its bounds.
        let asking = self.clone().ask(server.clone(), Arc::clone(&entry), need.clone(), turn);
        let refused = tokio::spawn(asking.in_current_span()).await.ok().and_then(Result::err);
        let failure = {
            let state = entry.state();
            state.lacks(&need, clock.now_ms()).then(|| refused.or_else(|| state.failure())).flatten()
        };
        (entry, failure)
    }

    /// Asks the store, if it was not asked before, and then the server, if that is still needed and allowed, and then
    /// the notaries. An error is that the asker may not cause any more fetches.
    async fn ask(
        self,
        server: ServerName,
        entry: Arc<Entry>,
        need: Need,
        _turn: OwnedMutexGuard<()>,
    ) -> Result<(), KeyFetchError> {
        let Inner { clock, budgets, .. } = &*self.inner;
        if !entry.state().loaded {
            self.load(&server, &entry).await;
        }
        {
            let now = clock.now_ms();
            let mut state = entry.state();
            if !state.lacks(&need, now) || !state.may_fetch(now) {
                return Ok(());
            }
            if let Some(asker) = self.asker.as_ref().filter(|asker| !budgets.take(asker, now)) {
                return Err(KeyFetchError::TooMany(asker.clone()));
            }
            state.begin(now);
        }
        let fetched = self.fetch(&server).await;
        let now = clock.now_ms();
        match fetched {
            Ok((body, keys)) => {
                let response = Arc::new(KeyResponse::new(keys, now, body.len()));
                {
                    let mut state = entry.state();
                    state.add(Arc::clone(&response));
                    state.succeeded(now);
                }
                self.save(&server, &response, &body).await;
            }
            Err(error) => {
                tracing::debug!(%server, %error, "fetching keys");
                entry.state().failed(now, error);
                self.ask_notaries(&server, &entry, &need).await;
            }
        }
        Ok(())
    }

    /// Takes in what the store has.
    async fn load(&self, server: &ServerName, entry: &Entry) {
        let Inner { store, limits, .. } = &*self.inner;
        let stored = timeout(limits.fetch, store.load(server)).await.unwrap_or_else(|_| {
            tracing::warn!(%server, "the key store does not answer");
            Vec::new()
        });
        let mut responses: Vec<_> =
            stored.into_iter().filter_map(|keys| read_stored(server, &keys)).collect();
        responses.sort_by_key(|response| response.fetched_at_ms);
        let mut state = entry.state();
        state.loaded = true;
        responses.into_iter().for_each(|response| state.add(Arc::new(response)));
    }

    async fn save(&self, server: &ServerName, response: &KeyResponse, body: &[u8]) {
        let Inner { store, limits, .. } = &*self.inner;
        let stored = StoredKeys { response: body.to_vec(), fetched_at_ms: response.fetched_at_ms };
        if timeout(limits.fetch, store.save(server, &response.key_set(), stored)).await.is_err() {
            tracing::warn!(%server, "the key store does not take a response");
        }
    }

    /// Waits for its turn to use the network. The semaphores are never closed.
    async fn permits(&self) -> [Option<SemaphorePermit<'_>>; 2] {
        let Inner { fetches, unproved, .. } = &*self.inner;
        let place = match &self.asker {
            Some(asker) if !asker.is_proved() => unproved.acquire().await.ok(),
            _ => None,
        };
        [place, fetches.acquire().await.ok()]
    }

    async fn fetch(&self, server: &ServerName) -> Result<(Bytes, ServerKeys), KeyFetchError> {
        let Inner { source, limits, .. } = &*self.inner;
        let fetching = async {
            let _permits = self.permits().await;
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
        Ok(keys) => Some(KeyResponse::new(keys, stored.fetched_at_ms, stored.response.len())),
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
