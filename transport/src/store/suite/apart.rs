//! What stands apart from commit events.

use super::super::apart::{ApartStore as _, TREES, WAITING};
use super::{Backend, room, server};

fn name(number: usize) -> [u8; 32] {
    let mut name = [0; 32];
    name[0] = u8::try_from(number).unwrap();
    name
}

pub(crate) async fn messages_that_are_named_stay<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let (id, near) = (room("r"), server("near"));
    store.put_message(&id, &near, &name(0), vec![0, 255, 0]).await.unwrap();
    // Again, with other bytes: the first stay.
    store.put_message(&id, &near, &name(0), vec![1]).await.unwrap();
    assert_eq!(store.message(&id, &name(0)).await.unwrap(), Some(vec![0, 255, 0]));
    store.name_message(&id, &name(0)).await.unwrap();
    store.name_message(&id, &name(200)).await.unwrap();
    for number in 1..=WAITING + 2 {
        store.put_message(&id, &near, &name(number), vec![1]).await.unwrap();
    }
    // Those of other servers and rooms are not counted.
    store.put_message(&id, &server("far"), &name(100), vec![2]).await.unwrap();
    store.put_message(&room("s"), &near, &name(1), vec![3]).await.unwrap();
    drop(store);
    let store = backend.open().await;
    let there = async |number| store.message(&id, &name(number)).await.unwrap().is_some();
    let mut kept = Vec::new();
    for number in 0..=WAITING + 2 {
        if there(number).await {
            kept.push(number);
        }
    }
    let newest: Vec<_> = [0].into_iter().chain(3..=WAITING + 2).collect();
    assert_eq!(kept, newest);
    assert!(there(100).await && !there(200).await);
    assert_eq!(store.message(&room("s"), &name(1)).await.unwrap(), Some(vec![3]));
    assert_eq!(store.message(&room("none"), &name(1)).await.unwrap(), None);
}

pub(crate) async fn the_newest_trees_and_the_first_are_kept<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let id = room("r");
    let count = u64::try_from(TREES).unwrap() + 3;
    // In an order in which they may well come.
    for position in (1..count).chain([0]) {
        store.put_tree(&id, position, vec![u8::try_from(position).unwrap()]).await.unwrap();
    }
    store.put_tree(&room("s"), 7, vec![99]).await.unwrap();
    store.put_tree(&id, count - 1, vec![77]).await.unwrap();
    let mut kept = Vec::new();
    for position in 0..count {
        kept.extend(store.tree(&id, position).await.unwrap().map(|tree| (position, tree)));
    }
    assert_eq!(kept.len(), TREES + 1);
    assert_eq!(kept[0], (0, vec![0]));
    assert_eq!(kept[1], (3, vec![3]));
    assert_eq!(kept[TREES], (count - 1, vec![77]));
    assert_eq!(store.tree(&room("s"), 7).await.unwrap(), Some(vec![99]));
    assert_eq!(store.tree(&room("none"), 7).await.unwrap(), None);
}
