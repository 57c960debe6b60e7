//! OpenMLS's view of a [`MemberStore`].

use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};

use super::{KeyKind, MemberStore, Slot, encode};
use crate::storage::{StorageError, decode};

/// The cryptography and the storage of one group, or of a device.
#[derive(Debug, Default)]
pub(crate) struct Provider {
    crypto: RustCrypto,
    store: MemberStore,
}

impl Provider {
    /// A provider with a store that has values already.
    pub(crate) fn new(store: MemberStore) -> Self {
        Self { crypto: RustCrypto::default(), store }
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = MemberStore;

    fn storage(&self) -> &MemberStore {
        &self.store
    }

    fn crypto(&self) -> &RustCrypto {
        &self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        &self.crypto
    }
}

impl StorageProvider<CURRENT_VERSION> for MemberStore {
    type Error = StorageError;

    fn write_mls_join_config<GroupId, Value>(
        &self,
        group_id: &GroupId,
        value: &Value,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::MlsGroupJoinConfig<CURRENT_VERSION>,
    {
        self.write_slot(group_id, Slot::Config, value)
    }

    fn mls_group_join_config<GroupId, Value>(&self, group_id: &GroupId) -> Result<Option<Value>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::MlsGroupJoinConfig<CURRENT_VERSION>,
    {
        self.read_slot(group_id, Slot::Config)
    }

    fn delete_group_config<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.delete_slot(group_id, Slot::Config)
    }

    fn write_tree<GroupId, Value>(&self, group_id: &GroupId, value: &Value) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::TreeSync<CURRENT_VERSION>,
    {
        self.write_slot(group_id, Slot::Tree, value)
    }

    fn tree<GroupId, Value>(&self, group_id: &GroupId) -> Result<Option<Value>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::TreeSync<CURRENT_VERSION>,
    {
        self.read_slot(group_id, Slot::Tree)
    }

    fn delete_tree<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.delete_slot(group_id, Slot::Tree)
    }

    fn write_interim_transcript_hash<GroupId, Value>(
        &self,
        group_id: &GroupId,
        value: &Value,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::InterimTranscriptHash<CURRENT_VERSION>,
    {
        self.write_slot(group_id, Slot::InterimTranscriptHash, value)
    }

    fn interim_transcript_hash<GroupId, Value>(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<Value>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::InterimTranscriptHash<CURRENT_VERSION>,
    {
        self.read_slot(group_id, Slot::InterimTranscriptHash)
    }

    fn delete_interim_transcript_hash<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.delete_slot(group_id, Slot::InterimTranscriptHash)
    }

    fn write_context<GroupId, Value>(&self, group_id: &GroupId, value: &Value) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::GroupContext<CURRENT_VERSION>,
    {
        self.write_slot(group_id, Slot::Context, value)
    }

    fn group_context<GroupId, Value>(&self, group_id: &GroupId) -> Result<Option<Value>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::GroupContext<CURRENT_VERSION>,
    {
        self.read_slot(group_id, Slot::Context)
    }

    fn delete_context<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.delete_slot(group_id, Slot::Context)
    }

    fn write_confirmation_tag<GroupId, Value>(
        &self,
        group_id: &GroupId,
        value: &Value,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::ConfirmationTag<CURRENT_VERSION>,
    {
        self.write_slot(group_id, Slot::ConfirmationTag, value)
    }

    fn confirmation_tag<GroupId, Value>(&self, group_id: &GroupId) -> Result<Option<Value>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::ConfirmationTag<CURRENT_VERSION>,
    {
        self.read_slot(group_id, Slot::ConfirmationTag)
    }

    fn delete_confirmation_tag<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.delete_slot(group_id, Slot::ConfirmationTag)
    }

    fn write_group_state<Value, GroupId>(&self, group_id: &GroupId, value: &Value) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::GroupState<CURRENT_VERSION>,
    {
        self.write_slot(group_id, Slot::State, value)
    }

    fn group_state<Value, GroupId>(&self, group_id: &GroupId) -> Result<Option<Value>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::GroupState<CURRENT_VERSION>,
    {
        self.read_slot(group_id, Slot::State)
    }

    fn delete_group_state<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.delete_slot(group_id, Slot::State)
    }

    fn write_message_secrets<GroupId, Value>(
        &self,
        group_id: &GroupId,
        value: &Value,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::MessageSecrets<CURRENT_VERSION>,
    {
        self.write_slot(group_id, Slot::MessageSecrets, value)
    }

    fn message_secrets<GroupId, Value>(&self, group_id: &GroupId) -> Result<Option<Value>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::MessageSecrets<CURRENT_VERSION>,
    {
        self.read_slot(group_id, Slot::MessageSecrets)
    }

    fn delete_message_secrets<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.delete_slot(group_id, Slot::MessageSecrets)
    }

    fn write_resumption_psk_store<GroupId, Value>(
        &self,
        group_id: &GroupId,
        value: &Value,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::ResumptionPskStore<CURRENT_VERSION>,
    {
        self.write_slot(group_id, Slot::ResumptionPsks, value)
    }

    fn resumption_psk_store<GroupId, Value>(&self, group_id: &GroupId) -> Result<Option<Value>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::ResumptionPskStore<CURRENT_VERSION>,
    {
        self.read_slot(group_id, Slot::ResumptionPsks)
    }

    fn delete_all_resumption_psk_secrets<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.delete_slot(group_id, Slot::ResumptionPsks)
    }

    fn write_own_leaf_index<GroupId, Value>(
        &self,
        group_id: &GroupId,
        value: &Value,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::LeafNodeIndex<CURRENT_VERSION>,
    {
        self.write_slot(group_id, Slot::OwnLeaf, value)
    }

    fn own_leaf_index<GroupId, Value>(&self, group_id: &GroupId) -> Result<Option<Value>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::LeafNodeIndex<CURRENT_VERSION>,
    {
        self.read_slot(group_id, Slot::OwnLeaf)
    }

    fn delete_own_leaf_index<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.delete_slot(group_id, Slot::OwnLeaf)
    }

    fn write_group_epoch_secrets<GroupId, Value>(
        &self,
        group_id: &GroupId,
        value: &Value,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::GroupEpochSecrets<CURRENT_VERSION>,
    {
        self.write_slot(group_id, Slot::EpochSecrets, value)
    }

    fn group_epoch_secrets<GroupId, Value>(&self, group_id: &GroupId) -> Result<Option<Value>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Value: traits::GroupEpochSecrets<CURRENT_VERSION>,
    {
        self.read_slot(group_id, Slot::EpochSecrets)
    }

    fn delete_group_epoch_secrets<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.delete_slot(group_id, Slot::EpochSecrets)
    }

    fn append_own_leaf_node<GroupId, LeafNode>(
        &self,
        group_id: &GroupId,
        leaf_node: &LeafNode,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNode: traits::LeafNode<CURRENT_VERSION>,
    {
        let leaf_node = encode(leaf_node)?;
        self.change(group_id, |values| {
            values.own_leaf_nodes.push(leaf_node);
            Ok(())
        })
    }

    fn own_leaf_nodes<GroupId, LeafNode>(&self, group_id: &GroupId) -> Result<Vec<LeafNode>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNode: traits::LeafNode<CURRENT_VERSION>,
    {
        self.look(group_id, |values| values.own_leaf_nodes.iter().map(|node| decode(node)).collect())
    }

    fn delete_own_leaf_nodes<GroupId>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
    {
        self.change(group_id, |values| {
            values.own_leaf_nodes.clear();
            Ok(())
        })
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
        self.change(group_id, |values| values.proposals.put(proposal_ref, proposal))
    }

    fn queued_proposal_refs<GroupId, ProposalRef>(
        &self,
        group_id: &GroupId,
    ) -> Result<Vec<ProposalRef>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    {
        self.look(group_id, |values| values.proposals.references())
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
        self.look(group_id, |values| values.proposals.all())
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
        self.change(group_id, |values| values.proposals.remove(proposal_ref))
    }

    fn clear_proposal_queue<GroupId, ProposalRef>(&self, group_id: &GroupId) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    {
        self.change(group_id, |values| {
            values.proposals.clear();
            Ok(())
        })
    }

    fn write_encryption_epoch_key_pairs<GroupId, EpochKey, HpkeKeyPair>(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
        key_pairs: &[HpkeKeyPair],
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    {
        let of = postcard::to_allocvec(&(epoch, leaf_index))?;
        self.write_slot(group_id, Slot::EpochKeys, &key_pairs)?;
        self.change(group_id, |values| {
            values.epoch_keys_of = Some(of);
            Ok(())
        })
    }

    fn encryption_epoch_key_pairs<GroupId, EpochKey, HpkeKeyPair>(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<Vec<HpkeKeyPair>, StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    {
        let of = postcard::to_allocvec(&(epoch, leaf_index))?;
        self.look(group_id, |values| match values.slots.get(&Slot::EpochKeys) {
            Some(keys) if values.epoch_keys_of.as_ref() == Some(&of) => decode(keys),
            _ => Ok(Vec::new()),
        })
    }

    fn delete_encryption_epoch_key_pairs<GroupId, EpochKey>(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<(), StorageError>
    where
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
    {
        let of = postcard::to_allocvec(&(epoch, leaf_index))?;
        self.change(group_id, |values| {
            // The keys of the epoch before are gone already: those of the new epoch took their place.
            if values.epoch_keys_of.as_ref() == Some(&of) {
                values.epoch_keys_of = None;
                values.slots.remove(&Slot::EpochKeys);
                values.changed.insert(Slot::EpochKeys);
            }
            Ok(())
        })
    }

    fn write_signature_key_pair<Id, Value>(&self, id: &Id, value: &Value) -> Result<(), StorageError>
    where
        Id: traits::SignaturePublicKey<CURRENT_VERSION>,
        Value: traits::SignatureKeyPair<CURRENT_VERSION>,
    {
        self.write_key(KeyKind::Signature, id, value)
    }

    fn signature_key_pair<Id, Value>(&self, id: &Id) -> Result<Option<Value>, StorageError>
    where
        Id: traits::SignaturePublicKey<CURRENT_VERSION>,
        Value: traits::SignatureKeyPair<CURRENT_VERSION>,
    {
        self.read_key(KeyKind::Signature, id)
    }

    fn delete_signature_key_pair<Id>(&self, id: &Id) -> Result<(), StorageError>
    where
        Id: traits::SignaturePublicKey<CURRENT_VERSION>,
    {
        self.delete_key(KeyKind::Signature, id)
    }

    fn write_encryption_key_pair<Id, Value>(&self, id: &Id, value: &Value) -> Result<(), StorageError>
    where
        Id: traits::EncryptionKey<CURRENT_VERSION>,
        Value: traits::HpkeKeyPair<CURRENT_VERSION>,
    {
        self.write_key(KeyKind::Encryption, id, value)
    }

    fn encryption_key_pair<Value, Id>(&self, id: &Id) -> Result<Option<Value>, StorageError>
    where
        Id: traits::EncryptionKey<CURRENT_VERSION>,
        Value: traits::HpkeKeyPair<CURRENT_VERSION>,
    {
        self.read_key(KeyKind::Encryption, id)
    }

    fn delete_encryption_key_pair<Id>(&self, id: &Id) -> Result<(), StorageError>
    where
        Id: traits::EncryptionKey<CURRENT_VERSION>,
    {
        self.delete_key(KeyKind::Encryption, id)
    }

    fn write_key_package<Id, Value>(&self, id: &Id, value: &Value) -> Result<(), StorageError>
    where
        Id: traits::HashReference<CURRENT_VERSION>,
        Value: traits::KeyPackage<CURRENT_VERSION>,
    {
        self.write_key(KeyKind::KeyPackage, id, value)
    }

    fn key_package<Id, Value>(&self, id: &Id) -> Result<Option<Value>, StorageError>
    where
        Id: traits::HashReference<CURRENT_VERSION>,
        Value: traits::KeyPackage<CURRENT_VERSION>,
    {
        self.read_key(KeyKind::KeyPackage, id)
    }

    fn delete_key_package<Id>(&self, id: &Id) -> Result<(), StorageError>
    where
        Id: traits::HashReference<CURRENT_VERSION>,
    {
        self.delete_key(KeyKind::KeyPackage, id)
    }

    fn write_psk<Id, Value>(&self, id: &Id, value: &Value) -> Result<(), StorageError>
    where
        Id: traits::PskId<CURRENT_VERSION>,
        Value: traits::PskBundle<CURRENT_VERSION>,
    {
        self.write_key(KeyKind::Psk, id, value)
    }

    fn psk<Value, Id>(&self, id: &Id) -> Result<Option<Value>, StorageError>
    where
        Id: traits::PskId<CURRENT_VERSION>,
        Value: traits::PskBundle<CURRENT_VERSION>,
    {
        self.read_key(KeyKind::Psk, id)
    }

    fn delete_psk<Id>(&self, id: &Id) -> Result<(), StorageError>
    where
        Id: traits::PskId<CURRENT_VERSION>,
    {
        self.delete_key(KeyKind::Psk, id)
    }
}
