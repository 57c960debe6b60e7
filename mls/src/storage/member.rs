//! Where OpenMLS keeps what a member has of one group, and what a device has for groups to come.
//!
//! While a group is in memory, OpenMLS writes much more than it reads. What it reads back are private keys: those of
//! the epoch whenever a commit is made, checked or merged, those of key packages when a Welcome comes. Everything else
//! is read only when the group is loaded. Two of these values are large: the ratchet tree, which is written with every
//! commit, and the message secrets, which are written with every message and hold a tree of secrets and a list of all
//! members for each past epoch that is kept. Encoding them each time would make a message cost time linear in the size
//! of the group, so the store only notes that they changed. They are encoded when somebody wants to save the group:
//! the tree can be had from the group at any time, and the message secrets are written again by a call that deletes
//! none of them.

mod provider;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use openmls_traits::storage::{CURRENT_VERSION, Entity, Key};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub(crate) use self::provider::Provider;
use super::{StorageError, decode};

/// An encoded value. Most of them are secret.
pub(crate) type Value = Zeroizing<Vec<u8>>;

/// The values of a group of which there is one each. The tree and the message secrets are encoded when they are asked
/// for; the others are small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Slot {
    /// The public tree.
    Tree,
    /// The group context.
    Context,
    /// The hash of the transcript with the last confirmation tag.
    InterimTranscriptHash,
    /// The confirmation tag of the last commit.
    ConfirmationTag,
    /// Whether a commit is pending, and which.
    State,
    /// The secrets of messages: of the present epoch and of those before it that are kept.
    MessageSecrets,
    /// Resumption secrets of past epochs.
    ResumptionPsks,
    /// The member's own leaf.
    OwnLeaf,
    /// The epoch's secrets.
    EpochSecrets,
    /// The private keys of the epoch on the member's path.
    EpochKeys,
    /// How the member takes part. Our own constants: not to be saved.
    Config,
}

/// What a key of a [`MemberStore`] leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum KeyKind {
    /// A signature key pair.
    Signature,
    /// The key pair of a leaf.
    Encryption,
    /// A key package with its private keys.
    KeyPackage,
    /// A pre-shared key.
    Psk,
}

/// A kind and an encoded key of it.
pub(crate) type StoreKey = (KeyKind, Vec<u8>);

#[derive(Default)]
struct Values {
    group_id: Option<Vec<u8>>,
    slots: BTreeMap<Slot, Value>,
    /// The epoch and the leaf that the epoch's keys are for, encoded.
    epoch_keys_of: Option<Vec<u8>>,
    keys: BTreeMap<StoreKey, Value>,
    /// Encoded references and proposals.
    proposals: Vec<(Vec<u8>, Value)>,
    own_leaf_nodes: Vec<Value>,
    /// The slots whose value is not the one that was saved last.
    changed: BTreeSet<Slot>,
    /// The keys that were written or deleted since they were saved last.
    changed_keys: BTreeSet<StoreKey>,
    /// Whether message secrets are encoded when they are written.
    encoding: bool,
}

/// A storage provider for one group, or for the key packages of a device.
#[derive(Default)]
pub(crate) struct MemberStore {
    values: Mutex<Values>,
}

impl MemberStore {
    fn values(&self) -> MutexGuard<'_, Values> {
        // No code that holds the lock can panic half-way through a change.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the values of the group `group_id`, which becomes the store's group if it has none.
    fn change<T>(
        &self,
        group_id: &impl Key<CURRENT_VERSION>,
        change: impl FnOnce(&mut Values) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let group_id = postcard::to_allocvec(group_id)?;
        let mut values = self.values();
        match &values.group_id {
            Some(own) if *own != group_id => return Err(StorageError::OtherGroup),
            Some(_) => {}
            None => values.group_id = Some(group_id),
        }
        change(&mut values)
    }

    /// Reads from the values of the group `group_id`; of another group there are none.
    fn look<T: Default>(
        &self,
        group_id: &impl Key<CURRENT_VERSION>,
        look: impl FnOnce(&Values) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let group_id = postcard::to_allocvec(group_id)?;
        let values = self.values();
        if values.group_id.as_ref() == Some(&group_id) { look(&values) } else { Ok(T::default()) }
    }

    fn write_slot(
        &self,
        group_id: &impl Key<CURRENT_VERSION>,
        slot: Slot,
        value: &impl Serialize,
    ) -> Result<(), StorageError> {
        self.change(group_id, |values| {
            let late = match slot {
                Slot::Tree => true,
                Slot::MessageSecrets => !values.encoding,
                _ => false,
            };
            values.changed.insert(slot);
            if late {
                // What was loaded is not true any more.
                values.slots.remove(&slot);
                return Ok(());
            }
            let value = match slot {
                // OpenMLS decodes its configuration in a way that needs a self-describing format.
                Slot::Config => Zeroizing::new(serde_json::to_vec(value)?),
                _ => encode(value)?,
            };
            values.slots.insert(slot, value);
            Ok(())
        })
    }

    fn read_slot<T: Entity<CURRENT_VERSION>>(
        &self,
        group_id: &impl Key<CURRENT_VERSION>,
        slot: Slot,
    ) -> Result<Option<T>, StorageError> {
        self.look(group_id, |values| {
            let Some(value) = values.slots.get(&slot) else { return Ok(None) };
            match slot {
                Slot::Config => Ok(Some(serde_json::from_slice(value)?)),
                _ => decode(value).map(Some),
            }
        })
    }

    fn delete_slot(&self, group_id: &impl Key<CURRENT_VERSION>, slot: Slot) -> Result<(), StorageError> {
        self.change(group_id, |values| {
            values.slots.remove(&slot);
            values.changed.insert(slot);
            Ok(())
        })
    }

    fn write_key(
        &self,
        kind: KeyKind,
        key: &impl Serialize,
        value: &impl Serialize,
    ) -> Result<(), StorageError> {
        let (key, value) = ((kind, postcard::to_allocvec(key)?), encode(value)?);
        let mut values = self.values();
        values.changed_keys.insert(key.clone());
        values.keys.insert(key, value);
        Ok(())
    }

    fn read_key<T: Entity<CURRENT_VERSION>>(
        &self,
        kind: KeyKind,
        key: &impl Serialize,
    ) -> Result<Option<T>, StorageError> {
        let key = (kind, postcard::to_allocvec(key)?);
        self.values().keys.get(&key).map(|value| decode(value)).transpose()
    }

    fn delete_key(&self, kind: KeyKind, key: &impl Serialize) -> Result<(), StorageError> {
        let key = (kind, postcard::to_allocvec(key)?);
        let mut values = self.values();
        if values.keys.remove(&key).is_some() {
            values.changed_keys.insert(key);
        }
        Ok(())
    }
}

fn encode(value: &impl Serialize) -> Result<Value, StorageError> {
    Ok(Zeroizing::new(postcard::to_allocvec(value)?))
}

impl core::fmt::Debug for MemberStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MemberStore").finish_non_exhaustive()
    }
}
