//! Giving out others' keys as a notary.

use mimi_linearized::json::{Object, Value};
use mimi_linearized::signing::{ServerKeyRing, check_object, sign_object};

use super::*;

const DAY: i64 = 24 * 60 * 60 * 1000;

fn own() -> ServerName {
    ServerName::parse("own.org").unwrap()
}

async fn ask(keys: &RemoteKeys, server: &ServerName, criteria: KeyCriteria) -> Vec<Object> {
    let notary = Notary { name: &own(), own: &key(9).into(), keys: keys.clone() };
    let objects = notary.answer([(server.clone(), criteria)].into()).await;
    objects.iter().map(|object| serde_json::from_slice(object).unwrap()).collect()
}

fn ids(wanted: &[(u8, i64)]) -> KeyCriteria {
    KeyCriteria::Ids(wanted.iter().map(|(version, minimum)| (id(*version).to_string(), *minimum)).collect())
}

fn versions(objects: &[Object]) -> Vec<&str> {
    objects
        .iter()
        .flat_map(|object| object["verify_keys"].as_object().unwrap().keys())
        .map(|id| &id[8..])
        .collect()
}

fn ring() -> ServerKeyRing {
    let mut ring = ServerKeyRing::new();
    ring.insert(&own(), &id(9), key(9).verify_key(), i64::MAX);
    ring.insert(&server(), &id(1), key(1).verify_key(), i64::MAX);
    ring
}

/// `LM-04/12.4.1.3/3`, `LM-04/12.4.1.3/6`
#[tokio::test]
async fn what_is_given_out_is_signed_by_the_server_and_by_the_notary_alone() {
    let (keys, source, _) = setup(NoKeyStore, KeyLimits::default());
    let mut published = ServerKeys::publish(&server(), &key(1), NOW + 5_000).as_object().clone();
    // Somebody else's signature, and one that claims to be the notary's.
    sign_object(&mut published, &ServerName::parse("b.org").unwrap(), &key(3));
    sign_object(&mut published, &own(), &key(4));
    source.set(Bytes::from(serde_json::to_vec(&published).unwrap()));
    let given = ask(&keys, &server(), KeyCriteria::All(NOW)).await;
    let [object] = given.as_slice() else { panic!("{given:?}") };
    check_object(object, &server(), &ring(), NOW).unwrap();
    check_object(object, &own(), &ring(), NOW).unwrap();
    let signatures = object["signatures"].as_object().unwrap();
    assert_eq!(signatures.keys().collect::<Vec<_>>(), ["a.org", "own.org"]);
    assert_eq!(signatures["own.org"].as_object().unwrap().len(), 1);
    for (field, value) in &published {
        assert!(field == "signatures" || object[field] == *value, "{field}");
    }
}

/// `LM-04/12.4.1.2/10`
#[tokio::test]
async fn an_answer_is_given_out_for_half_of_its_life_without_asking() {
    let (keys, source, hands) = setup(NoKeyStore, KeyLimits::default());
    source.set(response(&server(), 1, NOW + 2 * DAY));
    let all = KeyCriteria::All(NOW);
    assert_eq!(versions(&ask(&keys, &server(), all.clone()).await), ["1"]);
    hands.advance(DAY);
    assert_eq!(versions(&ask(&keys, &server(), all.clone()).await), ["1"]);
    assert_eq!(source.count(), 1);
    hands.advance(1);
    source.set(response(&server(), 2, NOW + 3 * DAY));
    assert_eq!(versions(&ask(&keys, &server(), all.clone()).await), ["1", "2"], "the first one is valid too");
    assert_eq!(source.count(), 2);
    // `LM-04/12.4.1.3/1`: what is there, if the server does not answer.
    source.set(None);
    hands.advance(DAY);
    assert_eq!(versions(&ask(&keys, &server(), all).await), ["1", "2"]);
    assert_eq!(source.count(), 3);
}

/// `LM-04/12.4.1.2/13`, `LM-04/12.4.1.3/5`, `LM-04/12.4.1.4/5`, `LM-04/12.4.1.4/6`
#[tokio::test]
async fn criteria_decide_what_is_given_out() {
    let store = Memory::default();
    for (version, at) in [(1, NOW), (2, NOW + 10)] {
        let (keys, source, hands) = setup(store.clone(), KeyLimits::default());
        hands.set(at);
        source.set(response(&server(), version, at + 5_000));
        assert_eq!(for_request(&keys, version, at).await, valid(version));
    }
    // The server is gone, and what it said is no longer valid; nor is a restart of ours the end of it.
    let (keys, _, hands) = setup(store, KeyLimits::default());
    hands.set(NOW + DAY);
    for (criteria, expected) in [
        (KeyCriteria::All(NOW + DAY), vec![]),
        (KeyCriteria::All(NOW + 5_011), vec![]),
        (KeyCriteria::All(NOW + 5_010), vec!["2"]),
        (KeyCriteria::All(NOW + 5_000), vec!["1", "2"]),
        (ids(&[(1, NOW)]), vec!["1"]),
        (ids(&[(1, NOW + 5_001)]), vec![]),
        (ids(&[(1, NOW + 5_001), (2, NOW)]), vec!["2"]),
        (ids(&[(1, NOW), (2, NOW), (3, NOW)]), vec!["1", "2"]),
        (ids(&[(3, 0)]), vec![]),
    ] {
        assert_eq!(versions(&ask(&keys, &server(), criteria.clone()).await), expected, "{criteria:?}");
    }
}

/// `LM-04/12.4.1.1/2`
#[tokio::test]
async fn nobody_is_promised_more_than_seven_days() {
    let (keys, source, _) = setup(NoKeyStore, KeyLimits::default());
    source.set(response(&server(), 1, NOW + 70 * DAY));
    assert_eq!(versions(&ask(&keys, &server(), KeyCriteria::All(NOW + 7 * DAY)).await), ["1"]);
    assert!(ask(&keys, &server(), KeyCriteria::All(NOW + 7 * DAY + 1)).await.is_empty());
    assert_eq!(source.count(), 1, "a fetch would not change that");
}

/// `LM-04/12.4.1.3/4`
#[tokio::test]
async fn nothing_is_known_of_a_server_that_never_answered() {
    let (keys, source, _) = setup(NoKeyStore, KeyLimits::default());
    assert!(ask(&keys, &server(), KeyCriteria::All(0)).await.is_empty());
    source.set(response(&ServerName::parse("b.org").unwrap(), 1, NOW + 5_000));
    assert!(ask(&keys, &server(), KeyCriteria::All(0)).await.is_empty(), "nor of one that answers nonsense");
}

#[tokio::test]
async fn a_notary_has_its_own_keys() {
    let (keys, source, _) = setup(NoKeyStore, KeyLimits::default());
    let now = crate::clock::now_ms();
    let given = ask(&keys, &own(), KeyCriteria::All(now)).await;
    let [object] = given.as_slice() else { panic!("{given:?}") };
    ServerKeys::parse(Value::Object(object.clone())).unwrap();
    assert_eq!(versions(&given), ["9"]);
    assert_eq!(versions(&ask(&keys, &own(), ids(&[(9, now)])).await), ["9"]);
    assert!(ask(&keys, &own(), ids(&[(8, now)])).await.is_empty());
    assert!(ask(&keys, &own(), KeyCriteria::All(now + DAY)).await.is_empty());
    assert_eq!(source.count(), 0);
}

#[tokio::test]
async fn a_server_cannot_fill_the_memory_with_large_responses() {
    let (keys, source, hands) = setup(NoKeyStore, KeyLimits::default());
    for version in 1..=6 {
        let mut published = ServerKeys::publish(&server(), &key(version), NOW + DAY).as_object().clone();
        published.insert("padding".to_owned(), Value::String("x".repeat(40_000)));
        sign_object(&mut published, &server(), &key(version));
        source.set(Bytes::from(serde_json::to_vec(&published).unwrap()));
        hands.advance(PAUSE_AFTER_SUCCESS_MS);
        assert_eq!(for_request(&keys, version, NOW).await, valid(version));
    }
    assert_eq!(versions(&ask(&keys, &server(), KeyCriteria::All(NOW)).await), ["4", "5", "6"]);
    assert_eq!(for_event(&keys, 1, NOW).await, valid(1), "the keys themselves are still known");
}
