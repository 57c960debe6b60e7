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
) -> Arc<KeyResponse> {
    let mut object = ServerKeys::publish(&server(), current, valid_until).as_object().clone();
    object.remove("signatures");
    for (key, expired_ts) in old {
        object["old_verify_keys"][key.id().as_str()] =
            json!({"key": key.verify_key().to_base64(), "expired_ts": expired_ts});
    }
    sign_object(&mut object, &server(), current);
    let keys = ServerKeys::parse(Value::Object(object)).unwrap();
    Arc::new(KeyResponse::new(keys, fetched, 1_000))
}

fn standing(state: &ServerState, version: &str, at: i64) -> KeyStanding {
    let mut ring = ServerKeyRing::new();
    state.add_all_to(&mut ring, &server());
    ring.standing(&server(), &id(version), at)
}

fn ids(wanted: &[(&str, i64)]) -> KeyCriteria {
    KeyCriteria::Ids(wanted.iter().map(|(id, minimum)| ((*id).to_owned(), *minimum)).collect())
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
    let set = |response: Arc<KeyResponse>| response.key_set();
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
        (Need::Notary(KeyCriteria::All(NOW + 10)), false),
        (Need::Notary(KeyCriteria::All(NOW + 11)), true),
        (Need::Notary(KeyCriteria::All(NOW + 7 * DAY)), true),
        (Need::Notary(KeyCriteria::All(NOW + 7 * DAY + 1)), false),
        (Need::Notary(ids(&[("ed25519:1", NOW + 10), ("ed25519:2", NOW)])), false),
        (Need::Notary(ids(&[("ed25519:1", NOW + 11)])), true),
        (Need::Notary(ids(&[("ed25519:1", NOW), ("ed25519:3", NOW)])), true),
    ] {
        assert_eq!(state.lacks(&need, NOW), lacking, "{need:?}");
    }
    assert!(!state.lacks(&Need::Notary(KeyCriteria::All(NOW)), NOW + 5));
    assert!(state.lacks(&Need::Notary(KeyCriteria::All(NOW)), NOW + 6), "half of its life is over");
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
        let keys = ServerKeys::publish(&server(), &key, fetched + 5);
        state.add(Arc::new(KeyResponse::new(keys, fetched, 1_000)));
    }
    assert_eq!(state.known.len(), MAX_KEYS);
    assert_eq!(state.responses.len(), MAX_RESPONSES);
    assert!(
        !state.known.contains_key(&id("k9")) && state.known.contains_key(&id("k10")),
        "the oldest go first"
    );
    assert!(matches!(standing(&state, "k1033", NOW), KeyStanding::Valid(_)));
}
