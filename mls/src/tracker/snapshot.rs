//! A tracker as bytes.

use openmls::group::{GroupId, PublicGroup};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::storage::CURRENT_VERSION;
use openmls_traits::types::HashType;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::GroupTracker;
use crate::epoch::MAX_EPOCH;
use crate::error::{LibraryFault, PeerFault, Source};
use crate::roster::Roster;
use crate::storage::{GroupStore, StoredGroup, decode};
use crate::suite::Suite;

/// The version of the layout below.
const VERSION: u8 = 1;

/// The length of a SHA-256 digest.
const DIGEST_LEN: usize = 32;

/// What a snapshot holds, after the version (1 byte), the version of OpenMLS's storage format (2 bytes, big endian) and
/// the SHA-256 digest of all the rest (32 bytes): this, in postcard's encoding.
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
        let mut bytes = vec![VERSION];
        bytes.extend(CURRENT_VERSION.to_be_bytes());
        bytes.extend(digest(&content)?);
        bytes.extend(content);
        Ok(bytes)
    }

    /// Makes a tracker from a snapshot.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if the bytes are not a whole, undamaged snapshot of a version that is known.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (&version, rest) = bytes.split_first().ok_or(SnapshotError::Damaged)?;
        if version != VERSION {
            return Err(SnapshotError::UnknownVersion { version });
        }
        let (&format, rest) = rest.split_first_chunk().ok_or(SnapshotError::Damaged)?;
        let format = u16::from_be_bytes(format);
        if format != CURRENT_VERSION {
            return Err(SnapshotError::UnknownFormat { format });
        }
        let (expected, content) = rest.split_first_chunk::<DIGEST_LEN>().ok_or(SnapshotError::Damaged)?;
        if digest(content)? != expected {
            return Err(SnapshotError::Damaged);
        }
        let Content { room_id, suite: code, stored } =
            decode(content).map_err(|error| SnapshotError::Unreadable(error.into()))?;
        let suite = Suite::from_code(code).ok_or(SnapshotError::UnknownSuite { code })?;
        let store = GroupStore::new(stored);
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
        let roster = Roster::read(group.members()).map_err(SnapshotError::Group)?;
        Ok(Self { room_id, suite, group, stored: store.into_inner(), roster })
    }
}

fn digest(bytes: &[u8]) -> Result<Vec<u8>, LibraryFault> {
    RustCrypto::default().hash(HashType::Sha2_256, bytes).map_err(LibraryFault::crypto)
}

/// Why bytes are not a tracker.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The snapshot is of a version this crate does not know.
    #[error("snapshots of version {version} are not known")]
    UnknownVersion {
        /// The version.
        version: u8,
    },
    /// The snapshot was made with another storage format of the MLS library.
    #[error("the storage format {format} is not known")]
    UnknownFormat {
        /// The format's version.
        format: u16,
    },
    /// Bytes are missing, added or changed.
    #[error("the snapshot is damaged")]
    Damaged,
    /// The content is whole, but it does not decode: another build of the MLS library made it.
    #[error("the snapshot cannot be read")]
    Unreadable(#[source] Source),
    /// A part of the group's state is not there.
    #[error("the snapshot is not complete")]
    Incomplete,
    /// The group's state is not that of the room the snapshot is of.
    #[error("the parts of the snapshot do not belong together")]
    Inconsistent,
    /// The group is of a suite this crate does not have.
    #[error("cipher suite {code:#06x} is not known")]
    UnknownSuite {
        /// The suite's number.
        code: u16,
    },
    /// The members of the group are not as they must be.
    #[error("the group in the snapshot is not valid")]
    Group(#[source] PeerFault),
    /// Checking failed for a reason of our own.
    #[error(transparent)]
    Library(#[from] LibraryFault),
}

#[cfg(test)]
mod tests;
