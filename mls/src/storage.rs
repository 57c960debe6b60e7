//! Where OpenMLS keeps the public state of one group, and in `member` what a member has of it.
//!
//! OpenMLS hands over its values as serde types and wants them back. They are kept in postcard's encoding: binary,
//! compact, and without names of fields, which suits values of which a tree has thousands. It is not self-describing;
//! a snapshot therefore says which version of OpenMLS's storage format it was written with.

mod member;
mod proposals;

use std::cell::RefCell;

use openmls_traits::public_storage::PublicStorageProvider;
use openmls_traits::storage::{CURRENT_VERSION, Entity, Key, traits};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use self::member::{MemberStore, Provider, SavedValues, Slot, StoreKey, Value, no_deletion};
use self::proposals::Proposals;

/// The stored values of one group, each encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredGroup {
    group_id: Option<Vec<u8>>,
    /// Only while a group is loaded. It is as large as the group, and is saved apart.
    #[serde(skip)]
    tree: Option<Vec<u8>>,
    context: Option<Vec<u8>>,
    interim_transcript_hash: Option<Vec<u8>>,
    confirmation_tag: Option<Vec<u8>>,
    proposals: Proposals,
}

/// A storage provider for one group.
#[derive(Debug, Default)]
pub(crate) struct GroupStore {
    // OpenMLS writes through a shared reference. A store lives no longer than one call, so no lock is needed.
    group: RefCell<StoredGroup>,
}

/// Why a value of a group could not be stored or loaded.
#[derive(Debug, Error)]
pub(crate) enum StorageError {
    /// The value could not be encoded or decoded.
    #[error("a stored value cannot be encoded or decoded")]
    Codec(#[from] postcard::Error),
    /// The configuration could not be encoded or decoded.
    #[error("the configuration of a group cannot be encoded or decoded")]
    Config(#[from] serde_json::Error),
    /// The store holds another group.
    #[error("the store holds another group")]
    OtherGroup,
}

impl GroupStore {
    pub(crate) fn new(group: StoredGroup) -> Self {
        Self { group: RefCell::new(group) }
    }

    /// Puts an encoded tree in, to be loaded.
    pub(crate) fn put_tree(&self, tree: Vec<u8>) {
        self.group.borrow_mut().tree = Some(tree);
    }

    /// Lets go of the encoded tree.
    pub(crate) fn drop_tree(&self) {
        self.group.borrow_mut().tree = None;
    }

    pub(crate) fn into_inner(self) -> StoredGroup {
        self.group.into_inner()
    }

    /// Changes the stored values of the group `group_id`, which becomes the store's group if it has none.
    fn write<T>(
        &self,
        group_id: &impl Key<CURRENT_VERSION>,
        change: impl FnOnce(&mut StoredGroup) -> T,
    ) -> Result<T, StorageError> {
        let group_id = postcard::to_allocvec(group_id)?;
        let mut group = self.group.borrow_mut();
        match &group.group_id {
            Some(own) if *own != group_id => return Err(StorageError::OtherGroup),
            Some(_) => {}
            None => group.group_id = Some(group_id),
        }
        Ok(change(&mut group))
    }

    /// Reads from the stored values of the group `group_id`; of another group there are none.
    fn read<T: Default>(
        &self,
        group_id: &impl Key<CURRENT_VERSION>,
        read: impl FnOnce(&StoredGroup) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let group_id = postcard::to_allocvec(group_id)?;
        let group = self.group.borrow();
        if group.group_id.as_ref() == Some(&group_id) { read(&group) } else { Ok(T::default()) }
    }
}

fn encode(value: &impl Serialize) -> Result<Option<Vec<u8>>, StorageError> {
    Ok(Some(postcard::to_allocvec(value)?))
}

/// Decodes a value. Nothing may be left over.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StorageError> {
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        _ => Err(postcard::Error::DeserializeBadEncoding.into()),
    }
}

fn decode_opt<T: Entity<CURRENT_VERSION>>(bytes: Option<&Vec<u8>>) -> Result<Option<T>, StorageError> {
    bytes.map(|bytes| decode(bytes)).transpose()
}

impl PublicStorageProvider<CURRENT_VERSION> for GroupStore {
    type PublicError = StorageError;

    fn write_tree<GroupId, TreeSync>(&self, group_id: &GroupId, tree: &TreeSync) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        TreeSync: traits::TreeSync<CURRENT_VERSION>,
    {
        // Who saves the group encodes the tree then; nobody reads it before.
        let _ = tree;
        self.write(group_id, |group| group.tree = None)
    }

    fn write_interim_transcript_hash<GroupId, InterimTranscriptHash>(
        &self,
        group_id: &GroupId,
        interim_transcript_hash: &InterimTranscriptHash,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        InterimTranscriptHash: traits::InterimTranscriptHash<CURRENT_VERSION>,
    {
        let hash = encode(interim_transcript_hash)?;
        self.write(group_id, |group| group.interim_transcript_hash = hash)
    }

    fn write_context<GroupId, GroupContext>(
        &self,
        group_id: &GroupId,
        group_context: &GroupContext,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        GroupContext: traits::GroupContext<CURRENT_VERSION>,
    {
        let context = encode(group_context)?;
        self.write(group_id, |group| group.context = context)
    }

    fn write_confirmation_tag<GroupId, ConfirmationTag>(
        &self,
        group_id: &GroupId,
        confirmation_tag: &ConfirmationTag,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ConfirmationTag: traits::ConfirmationTag<CURRENT_VERSION>,
    {
        let tag = encode(confirmation_tag)?;
        self.write(group_id, |group| group.confirmation_tag = tag)
    }

    fn queue_proposal<GroupId, ProposalRef, QueuedProposal>(
        &self,
        group_id: &GroupId,
        proposal_ref: &ProposalRef,
        proposal: &QueuedProposal,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    {
        self.write(group_id, |group| group.proposals.put(proposal_ref, proposal))?
    }

    fn queued_proposals<GroupId, ProposalRef, QueuedProposal>(
        &self,
        group_id: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    {
        self.read(group_id, |group| group.proposals.all())
    }

    fn tree<GroupId, TreeSync>(&self, group_id: &GroupId) -> Result<Option<TreeSync>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        TreeSync: traits::TreeSync<CURRENT_VERSION>,
    {
        self.read(group_id, |group| decode_opt(group.tree.as_ref()))
    }

    fn group_context<GroupId, GroupContext>(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<GroupContext>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        GroupContext: traits::GroupContext<CURRENT_VERSION>,
    {
        self.read(group_id, |group| decode_opt(group.context.as_ref()))
    }

    fn interim_transcript_hash<GroupId, InterimTranscriptHash>(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<InterimTranscriptHash>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        InterimTranscriptHash: traits::InterimTranscriptHash<CURRENT_VERSION>,
    {
        self.read(group_id, |group| decode_opt(group.interim_transcript_hash.as_ref()))
    }

    fn confirmation_tag<GroupId, ConfirmationTag>(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<ConfirmationTag>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ConfirmationTag: traits::ConfirmationTag<CURRENT_VERSION>,
    {
        self.read(group_id, |group| decode_opt(group.confirmation_tag.as_ref()))
    }

    fn delete_tree<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.write(group_id, |group| group.tree = None)
    }

    fn delete_confirmation_tag<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.write(group_id, |group| group.confirmation_tag = None)
    }

    fn delete_context<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.write(group_id, |group| group.context = None)
    }

    fn delete_interim_transcript_hash<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.write(group_id, |group| group.interim_transcript_hash = None)
    }

    fn remove_proposal<GroupId, ProposalRef>(
        &self,
        group_id: &GroupId,
        proposal_ref: &ProposalRef,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    {
        self.write(group_id, |group| group.proposals.remove(proposal_ref))?
    }

    fn clear_proposal_queue<GroupId, ProposalRef>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    {
        self.write(group_id, |group| group.proposals.clear())
    }
}

#[cfg(test)]
mod tests {
    use openmls::framing::ProcessedMessageContent;
    use openmls::group::{GroupId, PublicGroup};
    use openmls_rust_crypto::RustCrypto;

    use super::*;
    use crate::GroupTracker;
    use crate::suite::Suite;
    use crate::testing::{ROOM, Rogue, public_message};

    /// The stored state of a group of two, and a proposal of one of them that comes next.
    fn group() -> (StoredGroup, Vec<u8>) {
        let (mut alice, mut bob) = (Rogue::new("alice", "A"), Rogue::new("bob", "B"));
        alice.create(ROOM);
        let added = bob.key_package();
        let event = alice.commit(|builder| builder.propose_adds([added]));
        bob.join(&event.welcome.unwrap());
        let (tracker, _) =
            GroupTracker::start(ROOM, Suite::MANDATORY, &event.message, &event.group_info).unwrap();
        let snapshot = tracker.snapshot().unwrap();
        // The content of a snapshot: the room, the suite, the stored group, and its tree.
        let ((_, _, stored), tree): ((String, u16, StoredGroup), _) =
            postcard::take_from_bytes(&snapshot[35..]).unwrap();
        (StoredGroup { tree: Some(tree.to_vec()), ..stored }, bob.propose_update())
    }

    fn load(store: &GroupStore) -> Option<PublicGroup> {
        PublicGroup::load(store, &GroupId::from_slice(ROOM.as_bytes())).unwrap()
    }

    #[test]
    fn a_group_comes_back_as_it_was() {
        let (stored, _) = group();
        let store = GroupStore::new(stored.clone());
        let group = load(&store).unwrap();
        assert_eq!(group.members().count(), 2);
        assert_eq!(store.into_inner(), stored);
    }

    #[test]
    fn proposals_are_kept_until_they_are_taken_away() {
        let (stored, proposal) = group();
        let store = GroupStore::new(stored.clone());
        let mut group = load(&store).unwrap();
        let processed =
            group.process_message(&RustCrypto::default(), public_message(&proposal).value).unwrap();
        let ProcessedMessageContent::ProposalMessage(proposal) = processed.into_content() else { panic!() };
        for _ in 0..2 {
            group.add_proposal(&store, (*proposal).clone()).unwrap();
            assert_eq!(load(&store).unwrap().queued_proposals(&store).unwrap().len(), 1);
        }
        let (reference, queued) = group.queued_proposals(&store).unwrap().remove(0);
        assert_eq!(queued, *proposal);
        group.remove_proposal(&store, &reference).unwrap();
        assert!(group.queued_proposals(&store).unwrap().is_empty());
        assert_eq!(store.into_inner(), stored);
    }

    #[test]
    fn a_store_holds_one_group() {
        let (stored, _) = group();
        let store = GroupStore::new(stored.clone());
        let other = GroupId::from_slice(b"!other:example.org");
        assert!(PublicGroup::load(&store, &other).unwrap().is_none());
        assert!(matches!(PublicGroup::delete(&store, &other), Err(StorageError::OtherGroup)));
        assert_eq!(store.into_inner(), stored);
    }

    #[test]
    fn what_is_deleted_is_gone() {
        let store = GroupStore::new(group().0);
        PublicGroup::delete(&store, &GroupId::from_slice(ROOM.as_bytes())).unwrap();
        assert!(load(&store).is_none());
        let empty = StoredGroup { group_id: None, ..store.into_inner() };
        assert_eq!(empty, StoredGroup::default());
    }

    #[test]
    fn a_value_must_be_all_of_its_bytes() {
        let bytes = encode(&7_u32).unwrap().unwrap();
        assert_eq!(decode::<u32>(&bytes).unwrap(), 7);
        assert!(decode::<u32>(&[&bytes[..], &[0]].concat()).is_err());
        assert!(decode::<u32>(&[]).is_err());
    }
}
