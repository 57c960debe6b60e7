//! The proposals that wait for a commit. Rooms have none, as everything is committed by value, but OpenMLS may ask.

use openmls_traits::storage::{CURRENT_VERSION, Entity, Key};
use serde::{Deserialize, Serialize};

use super::{StorageError, decode};

/// Encoded references, each once, and proposals, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Proposals(Vec<(Vec<u8>, Vec<u8>)>);

impl Proposals {
    pub(super) fn put(
        &mut self,
        reference: &impl Key<CURRENT_VERSION>,
        proposal: &impl Serialize,
    ) -> Result<(), StorageError> {
        let (reference, proposal) = (postcard::to_allocvec(reference)?, postcard::to_allocvec(proposal)?);
        self.0.retain(|(other, _)| *other != reference);
        self.0.push((reference, proposal));
        Ok(())
    }

    pub(super) fn remove(&mut self, reference: &impl Key<CURRENT_VERSION>) -> Result<(), StorageError> {
        let reference = postcard::to_allocvec(reference)?;
        self.0.retain(|(other, _)| *other != reference);
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn references<R: Entity<CURRENT_VERSION>>(&self) -> Result<Vec<R>, StorageError> {
        self.0.iter().map(|(reference, _)| decode(reference)).collect()
    }

    pub(super) fn all<R, P>(&self) -> Result<Vec<(R, P)>, StorageError>
    where
        R: Entity<CURRENT_VERSION>,
        P: Entity<CURRENT_VERSION>,
    {
        self.0.iter().map(|(reference, proposal)| Ok((decode(reference)?, decode(proposal)?))).collect()
    }
}
