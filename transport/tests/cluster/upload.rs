//! Somebody who uploads all the time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use mimi_linearized::id::UserId;
use mimi_transport::media::{About, MediaId};
use mimi_transport::node::Node;
use tokio::task::JoinHandle;
use tokio::time::interval;

/// How long it breathes before each item.
const PACE: Duration = Duration::from_millis(500);

/// More than goes into one piece, in bytes.
const SIZE: usize = 300_000;

/// An item that was taken, and the SHA-256 of its content.
type Taken = (MediaId, [u8; 32]);

/// A task that uploads without an end.
pub(crate) struct Uploader {
    taken: Arc<Mutex<Vec<Taken>>>,
    task: JoinHandle<()>,
}

impl Uploader {
    pub(crate) fn start(node: Node, user: UserId) -> Self {
        let taken: Arc<Mutex<Vec<_>>> = Arc::default();
        let kept = Arc::clone(&taken);
        let task = tokio::spawn(async move {
            let mut pace = interval(PACE);
            for seed in (0..=u8::MAX).cycle() {
                pace.tick().await;
                let body = Body::from(content(seed));
                if let Ok(uploaded) = node.media.upload(&user, About::default(), body).await {
                    kept.lock().unwrap().push((uploaded.uri.id, uploaded.sha256));
                }
            }
        });
        Self { taken, task }
    }

    /// Ends it, and checks that a process of the server has all that was taken. Returns how many items these are.
    pub(crate) async fn all_are_at(self, node: &Node) -> usize {
        self.task.abort();
        let _ = self.task.await;
        node.store.catch_up().await.unwrap();
        let taken = self.taken.lock().unwrap().clone();
        for (id, sha256) in &taken {
            let served = node.media.own(id).await.map(|item| item.sha256());
            assert!(served.as_ref().is_ok_and(|served| served == sha256), "{id} was taken: {served:?}");
        }
        taken.len()
    }
}

fn content(seed: u8) -> Vec<u8> {
    (0..SIZE).map(|index| u8::try_from(index % 251).unwrap() ^ seed).collect()
}
