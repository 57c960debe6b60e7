//! Other servers' keys.

use super::super::{KeyStore, MAX_KEY_RESPONSES, StoredKeys};
use super::{Backend, server};

fn keys(key_set: &str, response: &str, fetched_at: i64) -> StoredKeys {
    StoredKeys { key_set: key_set.to_owned(), response: response.as_bytes().to_vec(), fetched_at }
}

pub(crate) async fn responses_are_replaced_by_key_set<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let (a, b) = (server("a"), server("b"));
    assert!(store.server_keys(&a).await.unwrap().is_empty());
    store.put_server_keys(&a, keys("k1", "first", 10)).await.unwrap();
    store.put_server_keys(&a, keys("k2", "second", 20)).await.unwrap();
    store.put_server_keys(&b, keys("k1", "of another", 5)).await.unwrap();
    assert_eq!(store.server_keys(&a).await.unwrap(), [keys("k1", "first", 10), keys("k2", "second", 20)]);
    // Fetched again, the older keys are the newer response.
    store.put_server_keys(&a, keys("k1", "third", 30)).await.unwrap();
    store.put_server_keys(&a, keys("k3", "at the same time", 30)).await.unwrap();
    // An answer of a notary can be older than what is known already.
    store.put_server_keys(&a, keys("k0", "late", 15)).await.unwrap();
    drop(store);
    let store = backend.open().await;
    let all = [
        keys("k0", "late", 15),
        keys("k2", "second", 20),
        keys("k1", "third", 30),
        keys("k3", "at the same time", 30),
    ];
    assert_eq!(store.server_keys(&a).await.unwrap(), all);
    assert_eq!(store.server_keys(&b).await.unwrap(), [keys("k1", "of another", 5)]);
}

pub(crate) async fn the_latest_responses_are_kept<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let a = server("a");
    let most = i64::from(MAX_KEY_RESPONSES);
    for n in 0..most {
        store.put_server_keys(&a, keys(&format!("k{n}"), "one of many", 10 + n)).await.unwrap();
    }
    assert_eq!(store.server_keys(&a).await.unwrap().len(), MAX_KEY_RESPONSES as usize);
    store.put_server_keys(&a, keys("late", "older than all", 1)).await.unwrap();
    let kept = store.server_keys(&a).await.unwrap();
    assert!(kept.len() == MAX_KEY_RESPONSES as usize && kept[0].key_set == "k0");
    store.put_server_keys(&a, keys("newest", "newer than all", 10 + most)).await.unwrap();
    let kept = store.server_keys(&a).await.unwrap();
    assert!(kept.len() == MAX_KEY_RESPONSES as usize && kept[0].key_set == "k1");
    assert_eq!(kept.last().unwrap().key_set, "newest");
}

pub(crate) async fn servers_that_were_not_asked_for_longest_are_forgotten<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let [a, b, c] = ["a", "b", "c"].map(server);
    for (server, at) in [(&a, 10), (&b, 20), (&c, 30), (&a, 40)] {
        store.put_server_keys(server, keys(&at.to_string(), "one", at)).await.unwrap();
    }
    store.forget_server_keys(3).await.unwrap();
    assert_eq!(store.server_keys(&b).await.unwrap().len(), 1);
    store.forget_server_keys(2).await.unwrap();
    assert!(store.server_keys(&b).await.unwrap().is_empty());
    assert_eq!(store.server_keys(&a).await.unwrap().len(), 2, "all of a server that is kept is kept");
    assert_eq!(store.server_keys(&c).await.unwrap().len(), 1);
    store.forget_server_keys(0).await.unwrap();
    assert!(store.server_keys(&a).await.unwrap().is_empty());
}
