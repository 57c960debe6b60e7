//! One at a time for each of many things.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Turns at things. What nobody waits for takes no memory.
#[derive(Debug)]
pub(super) struct Turns<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq> Turns<K> {
    /// Waits until nobody else is at it.
    pub(super) async fn take(&self, key: K) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(key).or_default())
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_is_waited_for() {
        let turns = Arc::new(Turns::default());
        let first = turns.take("a").await;
        let _other = turns.take("b").await;
        let waiting = Arc::clone(&turns);
        let second = tokio::spawn(async move { waiting.take("a").await });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        drop(second.await.unwrap());
        let _third = turns.take("c").await;
        assert_eq!(turns.0.lock().unwrap().len(), 2);
    }
}
