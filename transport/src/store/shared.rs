//! What a store says of the other processes that share it.

use std::time::Duration;

use async_trait::async_trait;
use mimi_linearized::id::{RoomId, ServerName};
use tokio::sync::broadcast;

use super::{Identity, SharedMedia};

/// Something that another process of the same server did. It comes after it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It appended to a room's list.
    Appended {
        /// The room.
        room_id: RoomId,
        /// The servers that the event goes to.
        to: Vec<ServerName>,
    },
    /// It put something into a queue, or a transaction of its own arrived.
    Queue(ServerName),
    /// It put something where a local user finds it.
    Inbox,
    /// Processes came or went: queues have changed hands.
    Processes,
}

/// What a store says of the other processes that share it. A store of one process says nothing.
#[async_trait]
pub trait SharedStore: Send + Sync + 'static {
    /// Whether other processes may change what is stored.
    fn is_shared(&self) -> bool {
        false
    }

    /// What other processes do from now on. Who cannot keep up is told that it lags, and has to look at everything.
    fn changes(&self) -> Option<broadcast::Receiver<Change>> {
        None
    }

    /// Whether it is this process that sends to a destination. Two may believe so for a moment while processes come and
    /// go; the transaction in flight, of which there is one, keeps what they send the same.
    fn sends_to(&self, destination: &ServerName) -> bool {
        let _ = destination;
        true
    }

    /// How many other processes of this server are alive, as far as this one knows.
    fn others(&self) -> usize {
        0
    }

    /// Takes note of the key that this server signs with from now on, so that no process starts with another.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError) if that cannot be stored.
    async fn rekey(&self, identity: Identity) -> Result<(), super::StoreError> {
        let _ = identity;
        Ok(())
    }

    /// The media that all processes have; `None` if each server has but one, whose folder of media is enough.
    fn media(&self) -> Option<&dyn SharedMedia> {
        None
    }

    /// Waits until everything can be read that any process has stored before this was called.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError) if that cannot be found out.
    async fn catch_up(&self) -> Result<(), super::StoreError> {
        Ok(())
    }

    /// The same together with whoever else wants it, and not longer than this: a store that does not answer leaves what is
    /// read as it is.
    async fn freshen(&self, within: Duration) {
        let _ = within;
    }
}
