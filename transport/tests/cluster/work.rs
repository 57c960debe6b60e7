//! Somebody who speaks all the time, and how long nobody could.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mimi_linearized::id::{EventId, RoomId, UserId};
use mimi_linearized::json::Object;
use mimi_transport::node::Node;
use mimi_transport::rooms::{NewRoom, Sent};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

use super::hub::say;

/// A room that everybody may join.
pub(crate) async fn room(node: &Node, creator: &UserId) -> RoomId {
    let room = NewRoom {
        creator: creator.clone(),
        room_version: None,
        join_rule: Some("public".to_owned()),
        history_visibility: None,
        name: None,
        topic: None,
        encryption: None,
        power_levels: Object::new(),
        initial_state: Vec::new(),
        room_type: None,
    };
    node.create_room(room).await.unwrap()
}

/// How long whoever speaks without an end breathes before each message.
pub(crate) const PACE: Duration = Duration::from_millis(20);

/// A task that speaks in a room without an end.
pub(crate) struct Speaker {
    sent: Arc<Mutex<Vec<EventId>>>,
    task: JoinHandle<()>,
}

impl Speaker {
    pub(crate) fn start(node: Node, room: RoomId, user: UserId) -> Self {
        let sent: Arc<Mutex<Vec<EventId>>> = Arc::default();
        let kept = Arc::clone(&sent);
        let task = tokio::spawn(async move {
            let mut pace = interval(PACE);
            for number in 0.. {
                pace.tick().await;
                if let Ok(Sent::Event(id)) = say(&node, &room, &user, &format!("here {number}")).await {
                    kept.lock().unwrap().push(id);
                }
            }
        });
        Self { sent, task }
    }

    fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// Waits until it and somebody else have said so many more messages. Returns how long it took until both had said
    /// the first.
    pub(crate) async fn speaks_on(
        &self,
        more: usize,
        patience: Duration,
        other: impl Fn() -> usize,
    ) -> Duration {
        let begun = Instant::now();
        let (here, there) = (self.count(), other());
        let mut resumed = None;
        loop {
            let (now_here, now_there) = (self.count(), other());
            if now_here > here && (now_there > there || there == usize::MAX) {
                resumed.get_or_insert_with(|| begun.elapsed());
            }
            if now_here >= here + more && (there == usize::MAX || now_there >= there + more) {
                return resumed.unwrap_or_default();
            }
            assert!(
                begun.elapsed() < patience,
                "after {patience:?} {} messages came from here and {} from the other process",
                now_here - here,
                now_there.saturating_sub(there)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it. Returns what was acknowledged.
    pub(crate) async fn stop(self) -> Vec<EventId> {
        self.task.abort();
        let _ = self.task.await;
        self.sent.lock().unwrap().clone()
    }
}

/// A folder that is removed in the end, unless `MIMI_CLUSTER_KEEP` says where folders are kept.
pub(crate) fn folder(what: &str) -> TempDir {
    let mut builder = tempfile::Builder::new();
    let prefix = format!("{what}-");
    builder.prefix(&prefix);
    match std::env::var_os("MIMI_CLUSTER_KEEP") {
        Some(kept) => builder.disable_cleanup(true).tempdir_in(kept).unwrap(),
        None => builder.tempdir().unwrap(),
    }
}

/// Logs what `MIMI_LOG` says, if it is set.
pub(crate) fn log() {
    if let Ok(filter) = std::env::var("MIMI_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}

/// Says what a fault came to, where it is seen.
pub(crate) fn note(round: usize, fault: &str, away: Duration) {
    let _ = writeln!(std::io::stderr(), "round {round}: {fault}: {:.1} s", away.as_secs_f64());
}

/// Says how much there was.
pub(crate) fn count(events: usize, here: usize, there: usize, items: usize) {
    let _ = writeln!(
        std::io::stderr(),
        "{events} events; {here} acknowledged by one process and {there} by the last of the others; {items} items of media"
    );
}
