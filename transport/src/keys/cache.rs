//! What is known of one server's keys, and when it may be asked for them again. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::signing::{ServerKeyRing, ServerKeys, VerifyKey};

use super::KeyFetchError;

/// How far ahead a key response is relied on, whatever it says: 7 days, in milliseconds (`LM-04/12.4.1.1/2`).
pub const MAX_VALIDITY_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How long a server is not asked again after an answer, in milliseconds (`LM-04/12.4.1.2/12`).
pub const PAUSE_AFTER_SUCCESS_MS: i64 = 2_000;
/// How long a server is not asked again after the first failure, in milliseconds; each further one doubles it.
pub const FIRST_PAUSE_MS: i64 = 1_000;
/// How long a server is not asked again at most, in milliseconds.
pub const LONGEST_PAUSE_MS: i64 = 60_000;

/// The most responses with different keys that are kept of one server, and the most keys. A server that changes its
/// keys more often than that loses the oldest ones.
const MAX_RESPONSES: usize = 64;
const MAX_KEYS: usize = 1024;

/// A server's key response as it was fetched.
#[derive(Debug)]
pub struct KeyResponse {
    /// The response, which its own keys have signed.
    pub keys: ServerKeys,
    /// When it was fetched, in milliseconds since the Unix epoch.
    pub fetched_at_ms: i64,
}

impl KeyResponse {
    /// Until when it is relied on: what it says, but no longer than seven days after it was fetched
    /// (`LM-04/12.4.1.1/2`). In milliseconds since the Unix epoch.
    #[must_use]
    pub fn valid_until_ms(&self) -> i64 {
        self.clamp(self.keys.valid_until_ts())
    }

    fn clamp(&self, end: i64) -> i64 {
        end.min(self.fetched_at_ms.saturating_add(MAX_VALIDITY_MS))
    }

    /// The keys, written so that two responses of a server with the same keys, current and retired, have the same
    /// text, whatever else they differ in.
    #[must_use]
    pub fn key_set(&self) -> String {
        let current = self.keys.verify_keys().iter().map(|(id, key)| format!("{id} {}", key.to_base64()));
        let old = self.keys.old_verify_keys().iter();
        let old = old.map(|(id, old)| format!("{id} {} until {}", old.key.to_base64(), old.expired_ts));
        current.chain(old).collect::<Vec<_>>().join(", ")
    }

    fn has_keys_of(&self, other: &Self) -> bool {
        self.keys.verify_keys() == other.keys.verify_keys()
            && self.keys.old_verify_keys() == other.keys.old_verify_keys()
    }
}

/// One key, as all responses together have it.
#[derive(Debug, Clone, Copy)]
struct KnownKey {
    key: VerifyKey,
    /// The end of its validity.
    until: i64,
    /// Whether the server has retired it, so that asking again will not prolong it.
    retired: bool,
}

/// What somebody wants keys for.
#[derive(Debug, Clone)]
pub(super) enum Need {
    /// Events: the keys with these ids, each at a time.
    Events(Vec<(i64, Vec<KeyId>)>),
    /// A request, at this time, signed with these keys.
    Request(i64, Vec<KeyId>),
    /// To give the response out as a notary, valid until this time.
    Notary(i64),
}

/// All that is known of one server's keys.
#[derive(Debug, Default)]
pub(super) struct ServerState {
    /// Whether the store was asked.
    pub(super) loaded: bool,
    /// With different keys each; the latest last.
    responses: Vec<Arc<KeyResponse>>,
    known: BTreeMap<KeyId, KnownKey>,
    /// Keys that count without having been fetched, with the end of their validity.
    trusted: BTreeMap<KeyId, (VerifyKey, i64)>,
    failures: u32,
    /// Before this time the server is not asked.
    not_before: i64,
    /// Why the last attempt failed, if it did.
    failure: Option<KeyFetchError>,
}

impl ServerState {
    /// Whether a fetch may help with the need.
    pub(super) fn lacks(&self, need: &Need, now: i64) -> bool {
        if !self.trusted.is_empty() {
            return false;
        }
        let Some(latest) = self.responses.last() else { return true };
        match need {
            Need::Events(events) => {
                events.iter().any(|(at, ids)| ids.iter().any(|id| self.is_lacking(id, *at, now)))
            }
            Need::Request(at, ids) => {
                latest.valid_until_ms() < *at
                    || ids.iter().any(|id| !latest.keys.verify_keys().contains_key(id))
            }
            // Half of its lifetime it is given out without asking again (`LM-04/12.4.1.2/10`).
            Need::Notary(minimum) => {
                let lifetime = latest.valid_until_ms().saturating_sub(latest.fetched_at_ms);
                latest.valid_until_ms() < *minimum || now > latest.fetched_at_ms.saturating_add(lifetime / 2)
            }
        }
    }

    fn is_lacking(&self, id: &KeyId, at: i64, now: i64) -> bool {
        match self.known.get(id) {
            None => true,
            Some(known) if known.retired || known.until >= at => false,
            // A response fetched now is relied on for seven days, so that a later time is out of its reach.
            Some(_) => at <= now.saturating_add(MAX_VALIDITY_MS),
        }
    }

    /// Takes in a response that is later than all others.
    pub(super) fn add(&mut self, response: KeyResponse) {
        let end = response.valid_until_ms();
        let (current, old) = (response.keys.verify_keys(), response.keys.old_verify_keys());
        for (id, key) in current {
            let until = match self.known.get(id) {
                Some(known) if known.key == *key => end.max(known.until),
                _ => end,
            };
            self.known.insert(id.clone(), KnownKey { key: *key, until, retired: false });
        }
        for (id, old) in old {
            // An id under which there is another key now speaks for that one.
            if current.get(id).is_none_or(|key| *key == old.key) {
                // Retirement overrides what earlier responses promised (`LM-04/12.4.1.2/8`).
                let until = response.clamp(old.expired_ts);
                self.known.insert(id.clone(), KnownKey { key: old.key, until, retired: true });
            }
        }
        while self.known.len() > MAX_KEYS {
            let Some(first) =
                self.known.iter().min_by_key(|(_, known)| known.until).map(|(id, _)| id.clone())
            else {
                break;
            };
            self.known.remove(&first);
        }
        // A response with other keys does not displace an older one (`LM-04/12.4.1.2/14`).
        self.responses.retain(|older| !older.has_keys_of(&response));
        if self.responses.len() >= MAX_RESPONSES {
            self.responses.remove(0);
        }
        self.responses.push(Arc::new(response));
    }

    /// Lets a key count without a fetch, and stops all fetches from this server.
    pub(super) fn trust(&mut self, id: &KeyId, key: VerifyKey, until: i64) {
        self.trusted.insert(id.clone(), (key, until));
    }

    /// Whether nothing is lost by forgetting the server.
    pub(super) fn is_empty(&self) -> bool {
        self.responses.is_empty() && self.trusted.is_empty()
    }

    pub(super) fn is_trusted(&self) -> bool {
        !self.trusted.is_empty()
    }

    /// The responses with different keys; the latest last.
    pub(super) fn responses(&self) -> Vec<Arc<KeyResponse>> {
        self.responses.clone()
    }

    /// Every key ever seen, each until the end of its validity.
    pub(super) fn add_all_to(&self, ring: &mut ServerKeyRing, server: &ServerName) {
        for (id, known) in &self.known {
            ring.insert(server, id, known.key, known.until);
        }
        self.add_trusted_to(ring, server);
    }

    /// The current keys of the latest response, and no others (`LM-04/12.4.1.2/9`).
    pub(super) fn add_current_to(&self, ring: &mut ServerKeyRing, server: &ServerName) {
        if let Some(latest) = self.responses.last() {
            for (id, key) in latest.keys.verify_keys() {
                let retired = latest.keys.old_verify_keys().get(id).filter(|old| old.key == *key);
                let until = retired.map_or(i64::MAX, |old| old.expired_ts).min(latest.valid_until_ms());
                ring.insert(server, id, *key, until);
            }
        }
        self.add_trusted_to(ring, server);
    }

    fn add_trusted_to(&self, ring: &mut ServerKeyRing, server: &ServerName) {
        for (id, (key, until)) in &self.trusted {
            ring.insert(server, id, *key, *until);
        }
    }

    /// Whether the server may be asked now.
    pub(super) fn may_fetch(&self, now: i64) -> bool {
        let wait = self.not_before.saturating_sub(now);
        // A longer wait than there can be is a clock that was set back.
        wait <= 0 || wait > LONGEST_PAUSE_MS
    }

    /// Notes that the server is being asked. Until the outcome is known it counts as a failure, so that an attempt
    /// that is broken off is one.
    pub(super) fn begin(&mut self, now: i64) {
        self.failures = self.failures.saturating_add(1);
        self.failed(now, KeyFetchError::Interrupted);
    }

    /// Notes that the attempt begun failed.
    pub(super) fn failed(&mut self, now: i64, failure: KeyFetchError) {
        let doublings = self.failures.saturating_sub(1).min(16);
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << doublings).min(LONGEST_PAUSE_MS);
        self.not_before = now.saturating_add(pause);
        self.failure = Some(failure);
    }

    /// Notes that the attempt begun succeeded.
    pub(super) fn succeeded(&mut self, now: i64) {
        self.failures = 0;
        self.not_before = now.saturating_add(PAUSE_AFTER_SUCCESS_MS);
        self.failure = None;
    }

    /// Why the last attempt failed, if it did.
    pub(super) fn failure(&self) -> Option<KeyFetchError> {
        self.failure.clone()
    }
}

#[cfg(test)]
mod tests {
    use mimi_linearized::json::Value;
    use mimi_linearized::signing::{KeyRing as _, KeyStanding, SigningKey, sign_object};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn server() -> ServerName {
        ServerName::parse("a.org").unwrap()
    }

    fn id(version: &str) -> KeyId {
        KeyId::ed25519(version).unwrap()
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(id(&seed.to_string()), &[seed; 32])
    }

    /// A response with one current key and some retired ones.
    fn response(
        current: &SigningKey,
        old: &[(&SigningKey, i64)],
        valid_until: i64,
        fetched: i64,
    ) -> KeyResponse {
        let mut object = ServerKeys::publish(&server(), current, valid_until).as_object().clone();
        object.remove("signatures");
        for (key, expired_ts) in old {
            object["old_verify_keys"][key.id().as_str()] =
                json!({"key": key.verify_key().to_base64(), "expired_ts": expired_ts});
        }
        sign_object(&mut object, &server(), current);
        KeyResponse { keys: ServerKeys::parse(Value::Object(object)).unwrap(), fetched_at_ms: fetched }
    }

    fn standing(state: &ServerState, version: &str, at: i64) -> KeyStanding {
        let mut ring = ServerKeyRing::new();
        state.add_all_to(&mut ring, &server());
        ring.standing(&server(), &id(version), at)
    }

    fn events(at: i64, version: &str) -> Need {
        Need::Events(vec![(at, vec![id(version)])])
    }

    #[test]
    fn validity_is_at_most_seven_days() {
        assert_eq!(response(&key(1), &[], NOW + DAY, NOW).valid_until_ms(), NOW + DAY);
        assert_eq!(response(&key(1), &[], NOW + 70 * DAY, NOW).valid_until_ms(), NOW + 7 * DAY);
        let mut state = ServerState::default();
        state.add(response(&key(1), &[(&key(2), NOW + 70 * DAY)], NOW + 70 * DAY, NOW));
        for version in ["1", "2"] {
            assert!(matches!(standing(&state, version, NOW + 7 * DAY), KeyStanding::Valid(_)));
            assert_eq!(standing(&state, version, NOW + 7 * DAY + 1), KeyStanding::Expired);
        }
    }

    #[test]
    fn later_responses_prolong_and_retire() {
        let mut state = ServerState::default();
        state.add(response(&key(1), &[], NOW + 5, NOW));
        state.add(response(&key(1), &[], NOW + 3, NOW));
        assert!(matches!(standing(&state, "1", NOW + 5), KeyStanding::Valid(_)), "what was promised holds");
        state.add(response(&key(1), &[], NOW + 9, NOW));
        assert!(matches!(standing(&state, "1", NOW + 9), KeyStanding::Valid(_)));
        assert_eq!(state.responses.len(), 1, "all had the same keys");
        let set = |response: KeyResponse| response.key_set();
        assert_eq!(set(response(&key(1), &[], NOW, NOW)), set(response(&key(1), &[], NOW + 9, NOW + 1)));
        assert_ne!(set(response(&key(1), &[], NOW, NOW)), set(response(&key(2), &[], NOW, NOW)));
        let old = |until| set(response(&key(1), &[(&key(2), until)], NOW, NOW));
        assert!(old(1) != old(2) && old(1) != set(response(&key(1), &[], NOW, NOW)));
        state.add(response(&key(2), &[(&key(1), NOW + 2)], NOW + 9, NOW));
        assert!(matches!(standing(&state, "1", NOW + 2), KeyStanding::Valid(_)));
        assert_eq!(standing(&state, "1", NOW + 3), KeyStanding::Expired, "retirement overrides the promise");
        // A key that is dropped without being retired keeps its validity.
        state.add(response(&key(3), &[], NOW + 20, NOW));
        assert!(matches!(standing(&state, "2", NOW + 9), KeyStanding::Valid(_)));
        assert_eq!(state.responses.len(), 3, "responses with other keys are kept");
        assert_eq!(state.responses().last().unwrap().keys.verify_keys().len(), 1);
    }

    #[test]
    fn an_id_speaks_for_its_current_key() {
        let reused = SigningKey::from_seed(id("1"), &[7; 32]);
        let mut state = ServerState::default();
        state.add(response(&reused, &[(&key(1), NOW - 5)], NOW + 5, NOW));
        assert_eq!(standing(&state, "1", NOW + 5), KeyStanding::Valid(reused.verify_key()));
    }

    #[test]
    fn a_request_counts_only_the_current_keys_of_the_latest_response() {
        let mut state = ServerState::default();
        state.add(response(&key(1), &[], NOW + DAY, NOW));
        state.add(response(&key(2), &[(&key(3), NOW + DAY)], NOW + 5, NOW));
        let mut ring = ServerKeyRing::new();
        state.add_current_to(&mut ring, &server());
        assert!(matches!(ring.standing(&server(), &id("2"), NOW + 5), KeyStanding::Valid(_)));
        assert_eq!(ring.standing(&server(), &id("2"), NOW + 6), KeyStanding::Expired);
        for version in ["1", "3"] {
            assert_eq!(ring.standing(&server(), &id(version), NOW), KeyStanding::Unknown);
        }
        // One that is listed as retired as well ends with its retirement.
        state.add(response(&key(2), &[(&key(2), NOW + 1)], NOW + 5, NOW));
        let mut ring = ServerKeyRing::new();
        state.add_current_to(&mut ring, &server());
        assert_eq!(ring.standing(&server(), &id("2"), NOW + 2), KeyStanding::Expired);
    }

    #[test]
    fn a_fetch_is_needed_only_if_it_may_help() {
        let mut state = ServerState::default();
        assert!(state.lacks(&events(NOW, "1"), NOW), "nothing is known");
        state.add(response(&key(1), &[(&key(2), NOW - 5)], NOW + 10, NOW));
        for (need, lacking) in [
            (events(NOW, "1"), false),
            (events(NOW - 400 * DAY, "1"), false),
            (events(NOW + 11, "1"), true),
            (events(NOW + 7 * DAY, "1"), true),
            (events(NOW + 7 * DAY + 1, "1"), false),
            (events(NOW, "2"), false),
            (events(NOW, "3"), true),
            (Need::Request(NOW + 10, vec![id("1")]), false),
            (Need::Request(NOW + 11, vec![id("1")]), true),
            (Need::Request(NOW, vec![id("1"), id("2")]), true),
            (Need::Notary(NOW + 10), false),
            (Need::Notary(NOW + 11), true),
        ] {
            assert_eq!(state.lacks(&need, NOW), lacking, "{need:?}");
        }
        assert!(!state.lacks(&Need::Notary(NOW), NOW + 5));
        assert!(state.lacks(&Need::Notary(NOW), NOW + 6), "half of its life is over");
        state.trust(&id("9"), key(9).verify_key(), i64::MAX);
        assert!(!state.lacks(&events(NOW, "3"), NOW), "a trusted server is not asked");
    }

    #[test]
    fn fetches_are_bounded() {
        let mut state = ServerState::default();
        assert!(state.may_fetch(NOW));
        state.begin(NOW);
        state.succeeded(NOW + 10);
        assert!(!state.may_fetch(NOW + 2_009));
        assert!(state.may_fetch(NOW + 2_010));
        assert!(state.may_fetch(NOW - DAY), "a clock that was set back blocks nothing for long");
        assert_eq!(state.failure(), None);
        let mut now = NOW + DAY;
        for pause in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            state.begin(now);
            assert!(!state.may_fetch(now));
            state.failed(now, KeyFetchError::TimedOut);
            assert_eq!(state.failure(), Some(KeyFetchError::TimedOut));
            assert!(!state.may_fetch(now + pause - 1));
            now += pause;
            assert!(state.may_fetch(now));
        }
        state.begin(now);
        state.succeeded(now);
        state.begin(now + 2_000);
        assert_eq!(state.failure(), Some(KeyFetchError::Interrupted), "until the outcome is known");
        assert!(state.may_fetch(now + 3_000), "the count of failures began anew");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut state = ServerState::default();
        for index in 0..u32::try_from(MAX_KEYS + 10).unwrap() {
            let mut seed = [0; 32];
            seed[..4].copy_from_slice(&index.to_be_bytes());
            let key = SigningKey::from_seed(id(&format!("k{index}")), &seed);
            let fetched = NOW + i64::from(index);
            state.add(KeyResponse {
                keys: ServerKeys::publish(&server(), &key, fetched + 5),
                fetched_at_ms: fetched,
            });
        }
        assert_eq!(state.known.len(), MAX_KEYS);
        assert_eq!(state.responses.len(), MAX_RESPONSES);
        assert!(
            !state.known.contains_key(&id("k9")) && state.known.contains_key(&id("k10")),
            "the oldest go first"
        );
        assert!(matches!(standing(&state, "k1033", NOW), KeyStanding::Valid(_)));
    }
}
