//! Inboxes.

use std::sync::Arc;

use super::super::DeviceStore;
use super::{Backend, all_at_once, inbox, json, notice, user};

pub(crate) async fn items_have_places_from_zero<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let (alice, bob) = (user("alice"), user("bob"));
    assert!(inbox(&store, &alice).await.is_empty());
    store
        .deliver(vec![notice(&alice, "a", None), notice(&bob, "b", None), notice(&alice, "c", None)])
        .await
        .unwrap();
    store.deliver(Vec::new()).await.unwrap();
    store.deliver(vec![notice(&alice, "a", None)]).await.unwrap();
    drop(store);
    let store = backend.open().await;
    store.deliver(vec![notice(&alice, "d", None)]).await.unwrap();

    let all = [(0, json("a")), (1, json("c")), (2, json("a")), (3, json("d"))];
    assert_eq!(inbox(&store, &alice).await, all);
    assert_eq!(inbox(&store, &alice).await, all, "reading does not consume");
    assert_eq!(inbox(&store, &bob).await, [(0, json("b"))]);
    assert_eq!(store.inbox(&alice, 1, 2).await.unwrap(), all[1..3]);
    assert_eq!(store.inbox(&alice, 3, 2).await.unwrap(), all[3..]);
    for (from, limit) in [(4, 10), (u64::MAX, 10), (0, 0)] {
        assert!(store.inbox(&alice, from, limit).await.unwrap().is_empty());
    }
}

pub(crate) async fn a_mark_is_delivered_once<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let items = || {
        vec![
            notice(&alice, "a", Some("m")),
            notice(&alice, "b", Some("m")),
            notice(&alice, "c", Some("n")),
            notice(&bob, "d", Some("m")),
        ]
    };
    store.deliver(items()).await.unwrap();
    drop(store);
    let store = backend.open().await;
    store.deliver(items()).await.unwrap();
    store.deliver(vec![notice(&alice, "e", None)]).await.unwrap();
    assert_eq!(inbox(&store, &alice).await, [(0, json("a")), (1, json("c")), (2, json("e"))]);
    assert_eq!(inbox(&store, &bob).await, [(0, json("d"))]);
}

pub(crate) async fn concurrent_deliveries_leave_no_gap<B: Backend>(backend: &B) {
    let store = backend.open_shared().await;
    let alice = user("alice");
    all_at_once((0..20).map(|i| {
        let (store, alice) = (Arc::clone(&store), alice.clone());
        async move {
            let own = notice(&alice, &format!("own {i}"), None);
            let mark = notice(&alice, "marked", Some("m"));
            store.deliver(vec![own.clone(), mark, own]).await.unwrap();
        }
    }))
    .await;
    let items = inbox(&*store, &alice).await;
    assert_eq!(items.iter().map(|(place, _)| *place).collect::<Vec<_>>(), (0..41).collect::<Vec<_>>());
    assert_eq!(items.iter().filter(|(_, bytes)| *bytes == json("marked")).count(), 1);
    // What is delivered together stands together.
    let unmarked: Vec<_> = items.iter().filter(|(_, bytes)| *bytes != json("marked")).collect();
    assert!(unmarked.chunks(2).all(|pair| pair[0].1 == pair[1].1));
}
