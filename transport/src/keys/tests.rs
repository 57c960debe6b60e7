mod asking;
mod bounds;
mod giving;

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use async_trait::async_trait;
use mimi_linearized::signing::{KeyRing as _, KeyStanding, SigningKey};
use tokio::sync::Notify;

use super::*;
use crate::client::ClientError;
use crate::clock::ManualClock;
use crate::error::ApiError;

const NOW: i64 = 1_700_000_000_000;

fn server() -> ServerName {
    ServerName::parse("a.org").unwrap()
}

fn id(version: u8) -> KeyId {
    KeyId::ed25519(&version.to_string()).unwrap()
}

fn key(version: u8) -> SigningKey {
    SigningKey::from_seed(id(version), &[version; 32])
}

fn response(name: &ServerName, version: u8, valid_until: i64) -> Bytes {
    let keys = ServerKeys::publish(name, &key(version), valid_until);
    serde_json::to_vec(keys.as_object()).unwrap().into()
}

/// Answers with what was put in last, or with 500; counts; waits at the gate if it is shut.
#[derive(Default)]
struct Source {
    answer: Mutex<Option<Bytes>>,
    /// What single servers answer instead.
    answers: Mutex<HashMap<ServerName, Bytes>>,
    /// What notaries answer.
    objects: Mutex<HashMap<ServerName, Bytes>>,
    /// Which notary was asked, for whom, and for which validity.
    queries: Mutex<Vec<(ServerName, ServerName, i64)>>,
    fetches: AtomicUsize,
    shut: AtomicBool,
    asked: Notify,
    opened: Notify,
}

impl Source {
    fn set(&self, answer: impl Into<Option<Bytes>>) {
        *self.answer.lock().unwrap() = answer.into();
    }

    fn set_for(&self, server: &ServerName, answer: Bytes) {
        self.answers.lock().unwrap().insert(server.clone(), answer);
    }

    fn count(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

struct Shared(Arc<Source>);

#[async_trait]
impl KeySource for Shared {
    async fn fetch(&self, server: &ServerName) -> Result<Bytes, ClientError> {
        self.0.fetches.fetch_add(1, Ordering::SeqCst);
        self.0.asked.notify_one();
        if self.0.shut.load(Ordering::SeqCst) {
            self.0.opened.notified().await;
        }
        let own = self.0.answers.lock().unwrap().get(server).cloned();
        own.or_else(|| self.0.answer.lock().unwrap().clone()).ok_or_else(down)
    }

    async fn query(&self, notary: &ServerName, server: &ServerName, at: i64) -> Result<Bytes, ClientError> {
        self.0.queries.lock().unwrap().push((notary.clone(), server.clone(), at));
        self.0.objects.lock().unwrap().get(notary).cloned().ok_or_else(down)
    }
}

fn down() -> ClientError {
    let error = ApiError::unknown("down");
    ClientError::Api { status: error.status(), error }
}

/// Keeps everything in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<(ServerName, String, StoredKeys)>>>);

#[async_trait]
impl KeyStore for Memory {
    async fn load(&self, server: &ServerName) -> Vec<StoredKeys> {
        let all = self.0.lock().unwrap();
        // Latest first: the order does not matter.
        all.iter().rev().filter(|(name, ..)| name == server).map(|(_, _, keys)| keys.clone()).collect()
    }

    async fn save(&self, server: &ServerName, key_set: &str, keys: StoredKeys) {
        let mut all = self.0.lock().unwrap();
        all.retain(|(name, set, _)| name != server || set != key_set);
        all.push((server.clone(), key_set.to_owned(), keys));
    }
}

fn setup(store: impl KeyStore, limits: KeyLimits) -> (RemoteKeys, Arc<Source>, ManualClock) {
    let source = Arc::new(Source::default());
    let (clock, hands) = Clock::manual(NOW);
    let keys = RemoteKeys::new(Shared(Arc::clone(&source)), store, clock, limits);
    (keys, source, hands)
}

async fn for_request(keys: &RemoteKeys, version: u8, now: i64) -> (KeyStanding, bool) {
    let found = keys.ring_for_requests(&server(), &[id(version)], now).await;
    (found.standing(&server(), &id(version), now), found.unavailable().is_empty())
}

async fn for_event(keys: &RemoteKeys, version: u8, at: i64) -> (KeyStanding, bool) {
    let found = keys.ring_for_events(&[(server(), at, vec![id(version)])]).await;
    (found.standing(&server(), &id(version), at), found.unavailable().is_empty())
}

fn valid(version: u8) -> (KeyStanding, bool) {
    (KeyStanding::Valid(key(version).verify_key()), true)
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_when_they_expire() {
    let (keys, source, hands) = setup(NoKeyStore, KeyLimits::default());
    source.set(response(&server(), 1, NOW + 5_000));
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    assert_eq!(for_request(&keys, 1, NOW + 5_000).await, valid(1));
    assert_eq!(for_event(&keys, 1, NOW - 1_000_000).await, valid(1));
    assert_eq!(source.count(), 1);
    hands.set(NOW + 5_001);
    source.set(response(&server(), 1, NOW + 90_000));
    assert_eq!(for_request(&keys, 1, NOW + 5_001).await, valid(1));
    assert_eq!(source.count(), 2);
    // Still expired after the fetch.
    hands.set(NOW + 100_000);
    assert_eq!(for_request(&keys, 1, NOW + 100_000).await, (KeyStanding::Expired, true));
    assert_eq!(source.count(), 3);
    assert_eq!(for_event(&keys, 1, NOW + 90_000).await, valid(1), "it was good at the time of the event");
}

#[tokio::test]
async fn a_validity_of_months_ends_after_seven_days() {
    let (keys, source, hands) = setup(NoKeyStore, KeyLimits::default());
    source.set(response(&server(), 1, NOW + 100 * MAX_VALIDITY_MS));
    assert_eq!(for_request(&keys, 1, NOW + MAX_VALIDITY_MS).await, valid(1));
    source.set(None);
    hands.set(NOW + MAX_VALIDITY_MS + 1);
    assert_eq!(for_request(&keys, 1, NOW + MAX_VALIDITY_MS + 1).await, (KeyStanding::Expired, false));
}

#[tokio::test]
async fn a_retired_or_dropped_key_checks_events_but_not_requests() {
    let (keys, source, hands) = setup(NoKeyStore, KeyLimits::default());
    source.set(response(&server(), 1, NOW + 5_000));
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    hands.advance(PAUSE_AFTER_SUCCESS_MS);
    source.set(response(&server(), 2, NOW + 5_000));
    assert_eq!(for_request(&keys, 2, NOW).await, valid(2), "an unknown key makes for a fetch");
    assert_eq!(for_request(&keys, 1, NOW).await, (KeyStanding::Unknown, true));
    assert_eq!(for_event(&keys, 1, NOW).await, valid(1));
    assert_eq!(for_event(&keys, 2, NOW).await, valid(2));
    let all = keys.responses(&server(), &KeyCriteria::All(NOW)).await;
    assert_eq!(all.len(), 2);
    assert!(all[1].keys.verify_keys().contains_key(&id(2)), "the latest is last");
}

#[tokio::test]
async fn fetches_after_an_answer_are_two_seconds_apart() {
    let (keys, source, hands) = setup(NoKeyStore, KeyLimits::default());
    source.set(response(&server(), 1, NOW + 50_000));
    for version in 2..20 {
        assert_eq!(for_request(&keys, version, NOW).await, (KeyStanding::Unknown, true));
        assert_eq!(for_event(&keys, version, NOW).await, (KeyStanding::Unknown, true));
    }
    assert_eq!(source.count(), 1);
    hands.advance(PAUSE_AFTER_SUCCESS_MS - 1);
    for_request(&keys, 2, NOW).await;
    assert_eq!(source.count(), 1);
    hands.advance(1);
    for_request(&keys, 2, NOW).await;
    assert_eq!(source.count(), 2);
}

#[tokio::test]
async fn fetches_after_failures_are_ever_further_apart() {
    let (keys, source, hands) = setup(NoKeyStore, KeyLimits::default());
    for (failures, pause) in
        [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000].into_iter().enumerate()
    {
        let found = keys.ring_for_requests(&server(), &[id(1)], NOW).await;
        assert!(matches!(found.unavailable()[&server()], KeyFetchError::Client(_)));
        assert_eq!(source.count(), failures + 1);
        hands.advance(pause - 1);
        assert_eq!(for_request(&keys, 1, NOW).await, (KeyStanding::Unknown, false), "still unavailable");
        assert_eq!(source.count(), failures + 1);
        hands.advance(1);
    }
    source.set(response(&server(), 1, NOW + 1_000_000));
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
}

#[tokio::test]
async fn old_keys_are_used_while_the_server_is_down() {
    let store = Memory::default();
    let (keys, source, hands) = setup(store.clone(), KeyLimits::default());
    source.set(response(&server(), 1, NOW + 5_000));
    assert_eq!(for_event(&keys, 1, NOW).await, valid(1));
    hands.advance(PAUSE_AFTER_SUCCESS_MS);
    assert_eq!(for_event(&keys, 2, NOW).await, (KeyStanding::Unknown, true));
    assert_eq!(source.count(), 2);
    assert_eq!(store.0.lock().unwrap().len(), 1, "the same keys are stored once");
    // Another run, long after.
    let (keys, source, hands) = setup(store, KeyLimits::default());
    hands.set(NOW + 1_000_000_000);
    assert_eq!(for_event(&keys, 1, NOW).await, valid(1));
    assert_eq!(source.count(), 0, "what is stored is enough");
    assert_eq!(for_request(&keys, 1, NOW + 1_000_000_000).await, (KeyStanding::Expired, false));
    assert_eq!(for_event(&keys, 2, NOW).await, (KeyStanding::Unknown, false));
    assert_eq!(for_event(&keys, 1, NOW).await, valid(1));
    let asked = async |minimum| keys.responses(&server(), &KeyCriteria::All(minimum)).await.len();
    assert_eq!(asked(NOW + 5_000).await, 1, "a notary gives out the last one");
    assert_eq!(asked(NOW + 1_000_000_000).await, 0, "unless it is to be valid for longer");
}

#[tokio::test]
async fn what_is_stored_is_taken_in_the_order_it_was_fetched() {
    let store = Memory::default();
    for (response, fetched_at_ms) in [
        (Bytes::from_static(b"rubbish"), NOW),
        (response(&server(), 1, NOW + 500), NOW + 1),
        (response(&server(), 2, NOW + 500), NOW + 2),
    ] {
        let keys = StoredKeys { response: response.to_vec(), fetched_at_ms };
        store.save(&server(), &fetched_at_ms.to_string(), keys).await;
    }
    let (keys, source, _) = setup(store, KeyLimits::default());
    assert_eq!(for_request(&keys, 2, NOW).await, valid(2));
    assert_eq!(source.count(), 0);
    assert_eq!(for_event(&keys, 1, NOW).await, valid(1));
}

#[tokio::test]
async fn responses_that_cannot_be_trusted_are_refused() {
    let other = ServerName::parse("b.org").unwrap();
    let mut forged = ServerKeys::publish(&server(), &key(1), NOW + 5_000).as_object().clone();
    forged.insert("valid_until_ts".to_owned(), serde_json::json!(NOW + 6_000));
    for (answer, wanted) in [
        (response(&other, 1, NOW + 5_000), "is that of b.org"),
        (Bytes::from_static(b"<html>"), "not JSON"),
        (Bytes::from_static(b"{\"a\":1,\"a\":1}"), "twice"),
        (Bytes::from_static(b"{}"), "server_name"),
        (serde_json::to_vec(&forged).unwrap().into(), "does not verify"),
    ] {
        let (keys, source, _) = setup(NoKeyStore, KeyLimits::default());
        source.set(answer);
        let found = keys.ring_for_requests(&server(), &[id(1)], NOW).await;
        let error = found.unavailable()[&server()].to_string();
        assert!(error.contains(wanted), "{error}");
        assert_eq!(found.standing(&server(), &id(1), NOW), KeyStanding::Unknown);
    }
}

#[tokio::test]
async fn one_fetch_serves_all_who_wait_for_it() {
    let (keys, source, _) = setup(NoKeyStore, KeyLimits::default());
    source.shut.store(true, Ordering::SeqCst);
    source.set(response(&server(), 1, NOW + 5_000));
    let mut waiting = JoinSet::new();
    for _ in 0..20 {
        let keys = keys.clone();
        waiting.spawn(async move { for_request(&keys, 1, NOW).await });
    }
    source.asked.notified().await;
    source.shut.store(false, Ordering::SeqCst);
    source.opened.notify_waiters();
    source.opened.notify_one();
    while let Some(found) = waiting.join_next().await {
        assert_eq!(found.unwrap(), valid(1));
    }
    assert_eq!(source.count(), 1);
}

#[tokio::test]
async fn what_is_known_is_had_while_something_else_is_being_fetched() {
    let (keys, source, hands) = setup(NoKeyStore, KeyLimits::default());
    source.set(response(&server(), 1, NOW + 50_000));
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    hands.advance(PAUSE_AFTER_SUCCESS_MS);
    source.asked.notified().await;
    source.shut.store(true, Ordering::SeqCst);
    let stuck = tokio::spawn({
        let keys = keys.clone();
        async move { for_request(&keys, 2, NOW).await }
    });
    source.asked.notified().await;
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    assert!(!stuck.is_finished());
    // Whoever goes away leaves the fetch to go on.
    stuck.abort();
    assert!(stuck.await.unwrap_err().is_cancelled());
    source.set(response(&server(), 3, NOW + 50_000));
    source.shut.store(false, Ordering::SeqCst);
    source.opened.notify_one();
    assert_eq!(for_request(&keys, 3, NOW).await, valid(3));
    assert_eq!(source.count(), 2);
}

#[tokio::test]
async fn a_fetch_that_never_ends_is_given_up() {
    let limits = KeyLimits { fetch: Duration::from_millis(1), ..KeyLimits::default() };
    let (keys, source, _) = setup(NoKeyStore, limits);
    source.shut.store(true, Ordering::SeqCst);
    let found = keys.ring_for_requests(&server(), &[id(1)], NOW).await;
    assert_eq!(found.unavailable()[&server()], KeyFetchError::TimedOut);
}

#[tokio::test]
async fn trusted_keys_need_no_fetch() {
    let (keys, source, _) = setup(NoKeyStore, KeyLimits::default());
    keys.trust(&server(), &id(1), key(1).verify_key(), i64::MAX);
    keys.trust(&server(), &id(2), key(2).verify_key(), NOW - 1);
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    assert_eq!(for_event(&keys, 1, NOW).await, valid(1));
    assert_eq!(for_event(&keys, 2, NOW).await, (KeyStanding::Expired, true));
    assert_eq!(for_event(&keys, 3, NOW).await, (KeyStanding::Unknown, true));
    assert_eq!(source.count(), 0);
}

#[tokio::test]
async fn several_servers_are_asked_for_one_ring() {
    let (keys, source, _) = setup(NoKeyStore, KeyLimits::default());
    source.set(response(&server(), 1, NOW + 5_000));
    let other = ServerName::parse("b.org").unwrap();
    let needed =
        [(server(), NOW, vec![id(1)]), (other.clone(), NOW, vec![id(1)]), (server(), NOW + 1, vec![id(1)])];
    let found = keys.ring_for_events(&needed).await;
    assert_eq!(found.standing(&server(), &id(1), NOW), KeyStanding::Valid(key(1).verify_key()));
    // The source answers with the keys of `a.org` whoever is asked for.
    assert_eq!(found.unavailable()[&other], KeyFetchError::WrongServer(server()));
    assert_eq!(found.unavailable().len(), 1);
    assert_eq!(source.count(), 2);
}

#[tokio::test]
async fn servers_without_keys_are_forgotten_first() {
    let limits = KeyLimits { servers: 20, ..KeyLimits::default() };
    let (keys, source, _) = setup(NoKeyStore, limits);
    source.set(response(&server(), 1, NOW + 5_000));
    let own = ServerName::parse("own.org").unwrap();
    keys.trust(&own, &id(9), key(9).verify_key(), i64::MAX);
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    for number in 0..100 {
        let nobody = ServerName::parse(&format!("x{number}.org")).unwrap();
        keys.ring_for_requests(&nobody, &[id(1)], NOW).await;
        assert!(keys.servers().len() <= 20);
    }
    assert_eq!(source.count(), 101);
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    assert_eq!(source.count(), 101, "it is still known");
    assert!(keys.servers().contains_key(&own));
}

#[tokio::test]
async fn our_own_keys_are_never_forgotten() {
    let limits = KeyLimits { servers: 2, ..KeyLimits::default() };
    let (keys, source, _) = setup(NoKeyStore, limits);
    source.set(response(&server(), 1, NOW + 5_000));
    let own = ServerName::parse("own.org").unwrap();
    keys.trust(&own, &id(9), key(9).verify_key(), i64::MAX);
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    keys.ring_for_requests(&ServerName::parse("b.org").unwrap(), &[id(1)], NOW).await;
    assert!(keys.servers().contains_key(&own) && !keys.servers().contains_key(&server()));
}
