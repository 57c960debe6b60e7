//! What one asker can set off.

use super::*;

fn named(number: usize) -> ServerName {
    ServerName::parse(&format!("x{number}.org")).unwrap()
}

fn address(last: u8) -> Asker {
    Asker::at([192, 0, 2, last].into())
}

#[tokio::test]
async fn one_asker_can_cause_so_many_fetches_and_no_more() {
    let limits = KeyLimits { burst: 3, interval: Duration::from_millis(100), ..KeyLimits::default() };
    let (keys, source, hands) = setup(NoKeyStore, limits);
    let asker = address(1);
    let asked = keys.on_behalf_of(asker.clone());
    for number in 0..3 {
        let found = asked.ring_for_requests(&named(number), &[id(1)], NOW).await;
        assert!(matches!(found.unavailable()[&named(number)], KeyFetchError::Client(_)));
    }
    for number in 3..20 {
        let found = asked.ring_for_requests(&named(number), &[id(1)], NOW).await;
        assert_eq!(found.unavailable()[&named(number)], KeyFetchError::TooMany(asker.clone()));
        let found = asked.ring_for_events(&[(named(number), NOW, vec![id(1)])]).await;
        assert_eq!(found.unavailable()[&named(number)], KeyFetchError::TooMany(asker.clone()));
        assert!(asked.responses(&named(number), &KeyCriteria::All(NOW)).await.is_empty());
    }
    assert_eq!(source.count(), 3);
    // Others, we ourselves, and servers that have shown who they are, have what is theirs.
    keys.on_behalf_of(address(2)).ring_for_requests(&named(3), &[id(1)], NOW).await;
    keys.on_behalf_of(Asker::Server(server())).ring_for_requests(&named(4), &[id(1)], NOW).await;
    keys.ring_for_requests(&named(5), &[id(1)], NOW).await;
    assert_eq!(source.count(), 6);
    hands.advance(100);
    asked.ring_for_requests(&named(6), &[id(1)], NOW).await;
    asked.ring_for_requests(&named(7), &[id(1)], NOW).await;
    assert_eq!(source.count(), 7);
}

#[tokio::test]
async fn what_is_known_costs_an_asker_nothing() {
    let limits = KeyLimits { burst: 1, ..KeyLimits::default() };
    let (keys, source, _) = setup(NoKeyStore, limits);
    source.set(response(&server(), 1, NOW + 5_000));
    let asked = keys.on_behalf_of(address(1));
    for _ in 0..10 {
        assert_eq!(for_request(&asked, 1, NOW).await, valid(1));
    }
    // Many key ids of one server are one fetch in two seconds, whoever asks.
    for version in 2..30 {
        let asked = keys.on_behalf_of(address(version));
        assert_eq!(for_request(&asked, version, NOW).await, (KeyStanding::Unknown, true));
    }
    assert_eq!(source.count(), 1);
}

#[tokio::test]
async fn those_who_have_not_shown_who_they_are_get_half_of_the_fetches() {
    let limits = KeyLimits { fetches: 4, fetch: Duration::from_secs(3_600), ..KeyLimits::default() };
    let (keys, source, _) = setup(NoKeyStore, limits);
    source.shut.store(true, Ordering::SeqCst);
    let mut waiting = JoinSet::new();
    let mut ask = |asker: Option<Asker>, number: usize| {
        let keys = keys.on_behalf_of(asker);
        waiting.spawn(async move { keys.ring_for_requests(&named(number), &[id(1)], NOW).await });
    };
    let until = async |count: usize| {
        let fetched = async {
            while source.count() < count {
                source.asked.notified().await;
            }
        };
        timeout(Duration::from_secs(60), fetched).await.expect("fetches begin");
    };
    (0..10).for_each(|number| ask(Some(address(1)), number));
    until(2).await;
    // All of the ten have been at work by now, as this is one thread and nothing else waits.
    (10..12).for_each(|number| ask(None, number));
    until(4).await;
    assert_eq!(source.count(), 4);
    assert_eq!(keys.inner.unproved.available_permits(), 0, "the other eight wait");
}
