//! What is known of one server's keys, and when it may be asked for them again. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::signing::{ServerKeyRing, ServerKeys, VerifyKey};

use super::{KeyCriteria, KeyFetchError, KeyResponse};

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
/// The most bytes of one server's responses that are kept; the latest response is, whatever its size.
const MAX_BYTES: usize = 128 * 1024;

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
    /// To give responses out as a notary.
    Notary(KeyCriteria),
}

impl Need {
    /// How long keys from a notary have to be valid to be of use. `None` if nobody else is to be asked.
    pub(super) fn minimum(&self) -> Option<i64> {
        match self {
            Self::Events(events) => events.iter().map(|(at, _)| (*at).max(0)).min(),
            Self::Request(at, _) => Some(*at),
            Self::Notary(_) => None,
        }
    }
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
            Need::Notary(criteria) => {
                let lifetime = latest.valid_until_ms().saturating_sub(latest.fetched_at_ms);
                now > latest.fetched_at_ms.saturating_add(lifetime / 2)
                    || criteria.lacks(&self.responses, now)
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
    pub(super) fn add(&mut self, response: Arc<KeyResponse>) {
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
        // A response with other keys does not displace an older one (`LM-04/12.4.1.2/14`).
        self.responses.retain(|older| !older.has_keys_of(&response));
        self.responses.push(response);
        self.keep_within_bounds();
    }

    /// Takes in a response that a notary gave at `now`. Returns it as it is to be kept, if it brings anything.
    ///
    /// When the server made it nobody knows, so that it counts as the latest only if its validity says so: if that ends
    /// later than what is known, and not so late that the server may have promised it at any time before.
    pub(super) fn add_given(&mut self, keys: ServerKeys, now: i64, bytes: usize) -> Option<Arc<KeyResponse>> {
        let end = keys.valid_until_ts();
        let Some(latest) = self.responses.last() else {
            let response = Arc::new(KeyResponse::new(keys, now, bytes));
            self.add(Arc::clone(&response));
            return Some(response);
        };
        if end > latest.keys.valid_until_ts() && end <= now.saturating_add(MAX_VALIDITY_MS) {
            let response = Arc::new(KeyResponse::new(keys, now, bytes));
            self.add(Arc::clone(&response));
            return Some(response);
        }
        let before = latest.fetched_at_ms.saturating_sub(1);
        let response = Arc::new(KeyResponse::new(keys, before, bytes));
        if self.responses.iter().any(|known| known.has_keys_of(&response)) {
            return None;
        }
        for (id, key) in response.keys.verify_keys() {
            let until = response.valid_until_ms();
            match self.known.get_mut(id) {
                None => {
                    self.known.insert(id.clone(), KnownKey { key: *key, until, retired: false });
                }
                Some(known) if known.key == *key && !known.retired => known.until = known.until.max(until),
                Some(_) => {}
            }
        }
        for (id, old) in response.keys.old_verify_keys() {
            let until = response.clamp(old.expired_ts);
            self.known.entry(id.clone()).or_insert(KnownKey { key: old.key, until, retired: true });
        }
        let place = self.responses.len().saturating_sub(1);
        self.responses.insert(place, Arc::clone(&response));
        self.keep_within_bounds();
        Some(response)
    }

    /// Forgets the keys whose validity ended first, and the oldest responses.
    fn keep_within_bounds(&mut self) {
        while self.known.len() > MAX_KEYS {
            let Some(first) =
                self.known.iter().min_by_key(|(_, known)| known.until).map(|(id, _)| id.clone())
            else {
                break;
            };
            self.known.remove(&first);
        }
        let bytes = |responses: &[Arc<KeyResponse>]| responses.iter().map(|one| one.bytes()).sum::<usize>();
        while self.responses.len() > MAX_RESPONSES
            || (self.responses.len() > 1 && bytes(&self.responses) > MAX_BYTES)
        {
            self.responses.remove(0);
        }
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
mod tests;
