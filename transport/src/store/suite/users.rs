//! What local users have decided.

use super::super::UserStore;
use super::{Backend, user};

pub(crate) async fn permissions_are_replaced_and_stay<B: Backend>(backend: &B) {
    let (alice, bob) = (user("alice"), user("bob"));
    let store = backend.open().await;
    assert_eq!(store.invite_permissions(&alice).await.unwrap(), None);
    store.put_invite_permissions(&alice, b"first".to_vec()).await.unwrap();
    store.put_invite_permissions(&bob, b"of another".to_vec()).await.unwrap();
    store.put_invite_permissions(&alice, b"second".to_vec()).await.unwrap();
    drop(store);
    let store = backend.open().await;
    assert_eq!(store.invite_permissions(&alice).await.unwrap(), Some(b"second".to_vec()));
    assert_eq!(store.invite_permissions(&bob).await.unwrap(), Some(b"of another".to_vec()));
}
