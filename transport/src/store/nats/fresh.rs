//! How far the log goes, asked once for all who want to know at the same time.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// Lets one look do for everybody who came before it began.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    begun: AtomicU64,
    /// The number of the last look that ended.
    ended: Mutex<u64>,
}

impl Fresh {
    /// Looks, unless a look that began after this was called has ended.
    pub(super) async fn look(&self, look: impl Future<Output = ()>) {
        let before = self.begun.load(Ordering::SeqCst);
        let mut ended = self.ended.lock().await;
        if *ended > before {
            return;
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        // Whoever looks may go away meanwhile: then it has not ended.
        look.await;
        *ended = number;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn who_comes_during_a_look_shares_the_next() {
        let (fresh, looks, go) =
            (Arc::new(Fresh::default()), Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let start = || {
            let (fresh, looks, go) = (Arc::clone(&fresh), Arc::clone(&looks), Arc::clone(&go));
            tokio::spawn(async move {
                let look = async {
                    looks.fetch_add(1, Ordering::SeqCst);
                    go.acquire().await.unwrap().forget();
                };
                fresh.look(look).await;
            })
        };
        let first = start();
        while looks.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (0..5).map(|_| start()).collect();
        // They have come, and wait.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        go.add_permits(2);
        first.await.unwrap();
        for other in others {
            other.await.unwrap();
        }
        assert_eq!(looks.load(Ordering::SeqCst), 2);

        // A look that was broken off does for nobody.
        let broken = start();
        while looks.load(Ordering::SeqCst) == 2 {
            tokio::task::yield_now().await;
        }
        let waiting = start();
        broken.abort();
        go.add_permits(1);
        waiting.await.unwrap();
        assert_eq!(looks.load(Ordering::SeqCst), 4);
    }
}
