//! Answers to transactions.

use std::sync::Arc;

use super::super::{StoredAnswer, TransactionKey, TransactionStore};
use super::{Backend, all_at_once, server};

fn key(origin: &str, endpoint: &'static str, txn_id: &str) -> TransactionKey {
    TransactionKey { origin: server(origin), endpoint, txn_id: txn_id.to_owned() }
}

fn answer(status: u16, body: &str) -> StoredAnswer {
    StoredAnswer { status, body: body.as_bytes().to_vec() }
}

pub(crate) async fn the_first_answer_stays<B: Backend>(backend: &B) {
    let store = backend.open_shared().await;
    let key = key("a", "send", "1");
    assert_eq!(store.answer(&key).await.unwrap(), None);
    all_at_once((0..16_u16).map(|i| {
        let (store, key) = (Arc::clone(&store), key.clone());
        async move { store.remember(&key, answer(200 + i, "{}"), i64::from(i)).await.unwrap() }
    }))
    .await;
    let first = store.answer(&key).await.unwrap().unwrap();
    store.remember(&key, answer(u16::MAX, "other"), 100).await.unwrap();
    assert_eq!(store.answer(&key).await.unwrap(), Some(first.clone()));
    drop(store);
    assert_eq!(backend.open().await.answer(&key).await.unwrap(), Some(first));
}

pub(crate) async fn answers_belong_to_one_transaction<B: Backend>(backend: &B) {
    let store = backend.open().await;
    store.remember(&key("a", "send", "1"), answer(200, "first"), 0).await.unwrap();
    for other in [key("b", "send", "1"), key("a", "send_join", "1"), key("a", "send", "2")] {
        assert_eq!(store.answer(&other).await.unwrap(), None);
        store.remember(&other, answer(403, &other.txn_id), 0).await.unwrap();
        assert_eq!(store.answer(&other).await.unwrap(), Some(answer(403, &other.txn_id)));
    }
    assert_eq!(store.answer(&key("a", "send", "1")).await.unwrap(), Some(answer(200, "first")));
}

pub(crate) async fn old_answers_are_forgotten<B: Backend>(backend: &B) {
    let store = backend.open().await;
    for (txn_id, now) in [("1", i64::MIN), ("2", 99), ("3", 100), ("4", i64::MAX)] {
        store.remember(&key("a", "send", txn_id), answer(200, txn_id), now).await.unwrap();
    }
    store.forget_answers(100).await.unwrap();
    for (txn_id, known) in [("1", false), ("2", false), ("3", true), ("4", true)] {
        assert_eq!(store.answer(&key("a", "send", txn_id)).await.unwrap().is_some(), known, "{txn_id}");
    }
    // What was forgotten is new again.
    store.remember(&key("a", "send", "1"), answer(403, "again"), 200).await.unwrap();
    assert_eq!(store.answer(&key("a", "send", "1")).await.unwrap(), Some(answer(403, "again")));
}
