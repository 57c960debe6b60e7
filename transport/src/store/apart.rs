//! What stands apart from commit events, because an event has no room for it (reading R35).

use async_trait::async_trait;
use mimi_linearized::id::{RoomId, ServerName};
use mimi_linearized::room::Position;

use super::StoreError;

/// The name of a commit: its SHA-256.
pub type Sha256 = [u8; 32];

/// How many commits that no event names are kept of one server in one room: one that is about to be sent, and some that
/// lost a race or never were sent.
pub const WAITING: usize = 4;

/// How many ratchet trees are kept of a room, the newest ones, beside the first. Whoever was added further back than that
/// joins from outside. With the first, a server that came later follows the group anew if its snapshot is lost.
pub const TREES: usize = 16;

/// Commits and trees that stand apart.
#[async_trait]
pub trait ApartStore: Send + Sync + 'static {
    /// Keeps a commit of `origin`. As long as no event [names](Self::name_message) it, it is the first to go when there
    /// are more than [`WAITING`] of its kind. One that is there already stays as it is.
    async fn put_message(
        &self,
        room_id: &RoomId,
        origin: &ServerName,
        sha256: &Sha256,
        message: Vec<u8>,
    ) -> Result<(), StoreError>;

    /// Keeps a commit for good, since an event names it. Does nothing if it is not there.
    async fn name_message(&self, room_id: &RoomId, sha256: &Sha256) -> Result<(), StoreError>;

    /// A commit of the room.
    async fn message(&self, room_id: &RoomId, sha256: &Sha256) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps the ratchet tree after the commit at `position`; of each room the [`TREES`] at the highest positions, and the
    /// one at the lowest.
    async fn put_tree(&self, room_id: &RoomId, position: Position, tree: Vec<u8>) -> Result<(), StoreError>;

    /// The ratchet tree after the commit at `position`, if it is still kept.
    async fn tree(&self, room_id: &RoomId, position: Position) -> Result<Option<Vec<u8>>, StoreError>;
}
