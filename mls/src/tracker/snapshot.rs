//! A tracker as bytes.

use std::sync::Arc;

use openmls::group::{GroupId, PublicGroup};
use serde::{Deserialize, Serialize};

use super::GroupTracker;
use crate::epoch::MAX_EPOCH;
use crate::error::LibraryFault;
use crate::roster::Roster;
use crate::snapshot::{SnapshotError, open, seal};
use crate::storage::{GroupStore, StoredGroup};
use crate::suite::Suite;

/// What a snapshot holds, [sealed](seal): this, and behind it the tree, both in postcard's encoding.
#[derive(Serialize, Deserialize)]
struct Content {
    room_id: String,
    suite: u16,
    stored: StoredGroup,
}

impl GroupTracker {
    /// The tracker as bytes, from which [`restore`](Self::restore) makes it again without verifying every leaf, and
    /// after any leaf's lifetime. A snapshot is for whoever made it: its digest shows damage, not forgery.
    ///
    /// # Errors
    ///
    /// [`LibraryFault`] if encoding fails.
    pub fn snapshot(&self) -> Result<Vec<u8>, LibraryFault> {
        let content =
            Content { room_id: self.room_id.clone(), suite: self.suite.code(), stored: self.stored.clone() };
        let content = postcard::to_allocvec(&content).map_err(LibraryFault::encoding)?;
        let content = postcard::to_extend(self.group.treesync(), content).map_err(LibraryFault::encoding)?;
        seal(b"", &content)
    }

    /// Makes a tracker from a snapshot.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if the bytes are not a whole, undamaged snapshot of a version that is known.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let content = open(b"", bytes)?;
        let (Content { room_id, suite: code, stored }, tree) =
            postcard::take_from_bytes(content).map_err(|error| SnapshotError::Unreadable(error.into()))?;
        let suite = Suite::from_code(code).ok_or(SnapshotError::UnknownSuite { code })?;
        let store = GroupStore::new(stored);
        store.put_tree(tree.to_vec());
        let group = PublicGroup::load(&store, &GroupId::from_slice(room_id.as_bytes()))
            .map_err(|error| SnapshotError::Unreadable(error.into()))?
            .ok_or(SnapshotError::Incomplete)?;
        let context = group.group_context();
        if context.group_id().as_slice() != room_id.as_bytes()
            || context.ciphersuite() != suite.ciphersuite()
            || context.epoch().as_u64() > MAX_EPOCH
        {
            return Err(SnapshotError::Inconsistent);
        }
        store.drop_tree();
        let roster = Arc::new(Roster::read(group.members()).map_err(SnapshotError::Group)?);
        Ok(Self { room_id, suite, group, stored: store.into_inner(), roster })
    }
}

#[cfg(test)]
mod tests;
