//! Notaries are asked about servers that do not answer.

use mimi_linearized::json::{Object, Value};
use mimi_linearized::signing::sign_object;
use serde_json::json;

use super::*;

const DAY: i64 = 24 * 60 * 60 * 1000;

fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

fn notary() -> ServerName {
    name("notary.org")
}

/// The keys of `a.org`, signed by itself.
fn object(version: u8, valid_until: i64) -> Object {
    ServerKeys::publish(&server(), &key(version), valid_until).as_object().clone()
}

/// Signed by the notary too, whose key is 9.
fn notarised(mut object: Object) -> Object {
    sign_object(&mut object, &notary(), &key(9));
    object
}

fn answer(objects: &[Object]) -> Bytes {
    json!({"server_keys": objects}).to_string().into()
}

/// Nobody answers but the notary, whose keys are known, and which gives out these objects.
fn setup_with(store: impl KeyStore, given: Bytes) -> (RemoteKeys, Arc<Source>, ManualClock) {
    let (keys, source, hands) = setup(store, KeyLimits::default());
    source.set_for(&notary(), response(&notary(), 9, NOW + 10 * DAY));
    source.objects.lock().unwrap().insert(notary(), given);
    (keys.with_notaries([notary()]), source, hands)
}

#[tokio::test]
async fn a_notary_is_asked_about_a_server_that_does_not_answer() {
    let (keys, source, hands) = setup_with(NoKeyStore, answer(&[notarised(object(1, NOW + 5_000))]));
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    assert_eq!(*source.queries.lock().unwrap(), [(notary(), server(), NOW)]);
    // For events it is asked for keys of the time of the events.
    hands.advance(LONGEST_PAUSE_MS);
    assert_eq!(for_event(&keys, 2, NOW - 7).await, (KeyStanding::Unknown, false));
    assert_eq!(source.queries.lock().unwrap().last(), Some(&(notary(), server(), NOW - 7)));
}

#[tokio::test]
async fn no_notary_is_asked_about_a_server_that_answers() {
    let (keys, source, _) = setup_with(NoKeyStore, answer(&[notarised(object(2, NOW + 5_000))]));
    source.set(response(&server(), 1, NOW + 5_000));
    assert_eq!(for_request(&keys, 2, NOW).await, (KeyStanding::Unknown, true));
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    assert!(source.queries.lock().unwrap().is_empty());
}

/// `LM-04/12.4.1.3/7`
#[tokio::test]
async fn objects_without_sound_signatures_are_not_used() {
    let good = || object(1, NOW + 5_000);
    let unsigned = |mut object: Object| {
        object.insert("signatures".to_owned(), json!({}));
        object
    };
    let changed = |mut object: Object| {
        object.insert("valid_until_ts".to_owned(), json!(NOW + 6_000));
        object
    };
    let mut by_other_key = good();
    sign_object(&mut by_other_key, &notary(), &key(8));
    let mut forged = good();
    sign_object(&mut forged, &notary(), &SigningKey::from_seed(id(9), &[8; 32]));
    let other = ServerKeys::publish(&name("b.org"), &key(1), NOW + 5_000).as_object().clone();
    let cut = answer(&[notarised(good())]).slice(1..);
    for given in [
        answer(&[good()]),
        answer(&[by_other_key]),
        answer(&[forged]),
        answer(&[notarised(unsigned(good()))]),
        answer(&[notarised(changed(good()))]),
        answer(&[changed(notarised(good()))]),
        answer(&[notarised(other)]),
        answer(&[]),
        Bytes::from_static(b"{}"),
        Bytes::from_static(b"{\"server_keys\":[7]}"),
        cut,
    ] {
        let text = String::from_utf8_lossy(&given).into_owned();
        let (keys, source, _) = setup_with(NoKeyStore, given);
        assert_eq!(for_request(&keys, 1, NOW).await, (KeyStanding::Unknown, false), "{text}");
        assert_eq!(source.queries.lock().unwrap().len(), 1);
    }
}

/// `LM-04/12.4.1.4/7`
#[tokio::test]
async fn what_was_not_asked_for_is_left_aside() {
    let other = ServerKeys::publish(&name("b.org"), &key(1), NOW + 5_000).as_object().clone();
    let given = answer(&[notarised(other), object(3, NOW + 5_000), notarised(object(1, NOW + 5_000))]);
    let (keys, _, _) = setup_with(NoKeyStore, given);
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    let of_other = keys.inner.servers.lock().unwrap().contains_key(&name("b.org"));
    assert!(!of_other, "nobody asked about it");
}

#[tokio::test]
async fn the_next_notary_is_asked_if_one_does_not_help() {
    let (keys, source, _) = setup_with(NoKeyStore, answer(&[notarised(object(1, NOW + 5_000))]));
    let gone = name("gone.org");
    let keys = keys.with_notaries([gone.clone(), notary()]);
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    assert_eq!(*source.queries.lock().unwrap(), [(gone, server(), NOW), (notary(), server(), NOW)]);
}

#[tokio::test]
async fn nobody_is_asked_about_a_notary_or_for_whom_we_are_one() {
    let (keys, source, _) = setup_with(NoKeyStore, answer(&[notarised(object(1, NOW + 5_000))]));
    source.answers.lock().unwrap().clear();
    keys.ring_for_requests(&notary(), &[id(9)], NOW).await;
    assert!(keys.responses(&server(), &KeyCriteria::All(NOW)).await.is_empty());
    assert!(source.queries.lock().unwrap().is_empty());
    assert_eq!(source.count(), 2);
}

#[tokio::test]
async fn a_notary_does_not_bring_old_keys_back() {
    let (keys, source, hands) = setup_with(NoKeyStore, answer(&[notarised(object(1, NOW + 5_000))]));
    source.set(response(&server(), 2, NOW + 90_000));
    assert_eq!(for_request(&keys, 2, NOW).await, valid(2));
    source.set(None);
    hands.advance(PAUSE_AFTER_SUCCESS_MS);
    // What the notary has ends before what is known, so that it is older: it counts for events alone.
    assert_eq!(for_event(&keys, 1, NOW).await, valid(1));
    assert_eq!(source.queries.lock().unwrap().len(), 1);
    assert_eq!(for_request(&keys, 2, NOW).await, valid(2));
    assert_eq!(for_request(&keys, 1, NOW).await.0, KeyStanding::Unknown);
    // A validity beyond seven days says nothing about when it was made.
    source.objects.lock().unwrap().insert(notary(), answer(&[notarised(object(3, NOW + 70 * DAY))]));
    hands.advance(LONGEST_PAUSE_MS);
    assert_eq!(for_request(&keys, 3, NOW).await.0, KeyStanding::Unknown);
    assert_eq!(for_event(&keys, 3, NOW).await, valid(3));
    assert_eq!(for_request(&keys, 2, NOW).await, valid(2));
    // One that ends later, and soon, is newer.
    source.objects.lock().unwrap().insert(notary(), answer(&[notarised(object(4, NOW + 95_000))]));
    hands.advance(LONGEST_PAUSE_MS);
    assert_eq!(for_request(&keys, 4, NOW).await, valid(4));
    assert_eq!(for_request(&keys, 2, NOW).await.0, KeyStanding::Unknown);
}

#[tokio::test]
async fn what_a_notary_gave_is_kept_in_its_place() {
    let store = Memory::default();
    let (keys, source, hands) = setup_with(store.clone(), answer(&[notarised(object(1, NOW + 5_000))]));
    source.set(response(&server(), 2, NOW + 90_000));
    assert_eq!(for_request(&keys, 2, NOW).await, valid(2));
    source.set(None);
    hands.advance(PAUSE_AFTER_SUCCESS_MS);
    assert_eq!(for_event(&keys, 1, NOW).await, valid(1));
    // Another run, in which nobody answers.
    let (keys, source, _) = setup(store, KeyLimits::default());
    assert_eq!(for_event(&keys, 1, NOW).await, valid(1));
    assert_eq!(for_request(&keys, 2, NOW).await, valid(2));
    assert_eq!(source.count(), 0);
    let all = keys.responses(&server(), &KeyCriteria::All(0)).await;
    assert!(all.last().unwrap().keys.verify_keys().contains_key(&id(2)), "the server's own is the latest");
}

#[tokio::test]
async fn a_server_that_is_down_is_not_asked_more_often_for_the_notary_that_helps() {
    let (keys, source, hands) = setup_with(NoKeyStore, answer(&[notarised(object(1, NOW + 500))]));
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    assert_eq!(source.count(), 2, "the server and the notary's own keys");
    hands.advance(FIRST_PAUSE_MS - 1);
    assert_eq!(for_request(&keys, 1, NOW + 999).await, (KeyStanding::Expired, false));
    assert_eq!((source.count(), source.queries.lock().unwrap().len()), (2, 1));
    hands.advance(1);
    for_request(&keys, 1, NOW + 1_000).await;
    assert_eq!((source.count(), source.queries.lock().unwrap().len()), (3, 2));
}

#[tokio::test]
async fn what_a_notary_gave_is_stored_as_it_was_given() {
    let store = Memory::default();
    let (keys, _, _) = setup_with(store.clone(), answer(&[notarised(object(1, NOW + 5_000))]));
    assert_eq!(for_request(&keys, 1, NOW).await, valid(1));
    let kept = store.0.lock().unwrap().iter().find(|(name, ..)| *name == server()).unwrap().2.clone();
    let value: Value = serde_json::from_slice(&kept.response).unwrap();
    assert_eq!(value, Value::Object(notarised(object(1, NOW + 5_000))));
    assert_eq!(kept.fetched_at_ms, NOW);
}
