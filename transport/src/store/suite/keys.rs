//! Other servers' keys.

use super::super::{KeyStore, StoredKeys};
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
