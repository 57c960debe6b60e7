//! Where OpenMLS keeps what a member has of one group, and what a device has for groups to come.
//!
//! While a group is in memory, OpenMLS writes much more than it reads. What it reads back are private keys: those of
//! the epoch whenever a commit is made, checked or merged, those of key packages when a Welcome comes. Everything else
//! is read only when the group is loaded. Two of these values are large: the ratchet tree, which is written with every
//! commit, and the message secrets, which are written with every message and hold a tree of secrets and a list of all
//! members for each past epoch that is kept. Encoding them each time would make a message cost time linear in the size
//! of the group, so the store only notes that they changed. They are encoded when somebody wants to save the group:
//! the tree can be had from the group at any time, and the message secrets are written again by a call that deletes
//! none of them ([`no_deletion`]).

mod provider;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use openmls::group::{GroupId, PastEpochDeletion};
use openmls_traits::storage::{CURRENT_VERSION, Entity, Key};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

pub(crate) use self::provider::Provider;
use super::proposals::Proposals;
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
    proposals: Proposals,
    own_leaf_nodes: Vec<Value>,
    /// The slots whose value is not the one that was saved last.
    changed: BTreeSet<Slot>,
    /// The keys that were written or deleted since they were saved last.
    changed_keys: BTreeSet<StoreKey>,
    /// What message secrets are appended to when they are written, if they are wanted.
    wanted: Option<Value>,
}

/// A storage provider for one group, or for the key packages of a device.
#[derive(Default)]
pub(crate) struct MemberStore {
    values: Mutex<Values>,
}

/// The argument with which OpenMLS, asked to delete message secrets, deletes none and writes them all.
pub(crate) fn no_deletion() -> PastEpochDeletion {
    PastEpochDeletion::before_timestamp(std::time::SystemTime::UNIX_EPOCH)
}

/// The values of a group that are small, to be saved together.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct SavedValues {
    pub(crate) slots: BTreeMap<Slot, Vec<u8>>,
    pub(crate) epoch_keys_of: Option<Vec<u8>>,
    pub(crate) keys: BTreeMap<StoreKey, Vec<u8>>,
}

impl Drop for SavedValues {
    fn drop(&mut self) {
        self.slots.values_mut().chain(self.keys.values_mut()).for_each(Zeroize::zeroize);
    }
}

/// What is needed to save and to load the values.
impl MemberStore {
    /// A store with the values of the group `group_id`.
    pub(crate) fn of_group(group_id: &GroupId, mut saved: SavedValues) -> Result<Self, StorageError> {
        let values = Values {
            group_id: Some(postcard::to_allocvec(group_id)?),
            slots: secret(core::mem::take(&mut saved.slots)),
            epoch_keys_of: saved.epoch_keys_of.take(),
            keys: secret(core::mem::take(&mut saved.keys)),
            ..Values::default()
        };
        Ok(Self { values: Mutex::new(values) })
    }

    /// A store with the keys of a device.
    pub(crate) fn of_device(keys: BTreeMap<StoreKey, Vec<u8>>) -> Self {
        Self { values: Mutex::new(Values { keys: secret(keys), ..Values::default() }) }
    }

    /// The slots that were written since this was asked last.
    pub(crate) fn take_changed(&self) -> BTreeSet<Slot> {
        core::mem::take(&mut self.values().changed)
    }

    /// Lets slots count as written since they were asked for last.
    pub(crate) fn set_changed(&self, slots: BTreeSet<Slot>) {
        self.values().changed.extend(slots);
    }

    /// Lets all keys count as written since they were asked for last.
    pub(crate) fn all_keys_changed(&self) {
        let values = &mut *self.values();
        values.changed_keys.extend(values.keys.keys().cloned());
    }

    /// The keys that were written or deleted since this was asked last, with the value of those that are there.
    pub(crate) fn take_changed_keys(&self) -> Vec<(StoreKey, Option<Value>)> {
        let mut values = self.values();
        let changed = core::mem::take(&mut values.changed_keys);
        changed.into_iter().map(|key| (key.clone(), values.keys.get(&key).cloned())).collect()
    }

    /// The encoded values but those in `without`.
    pub(crate) fn saved_values(&self, without: &[Slot]) -> SavedValues {
        let values = self.values();
        let slots = values.slots.iter().filter(|(slot, _)| !without.contains(slot));
        SavedValues {
            slots: slots.map(|(slot, value)| (*slot, value.to_vec())).collect(),
            epoch_keys_of: values.epoch_keys_of.clone(),
            keys: values.keys.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect(),
        }
    }

    /// The encoded value of a slot.
    pub(crate) fn slot(&self, slot: Slot) -> Option<Value> {
        self.values().slots.get(&slot).cloned()
    }

    /// Fills a slot with an encoded value.
    pub(crate) fn fill(&self, slot: Slot, value: Vec<u8>) {
        self.values().slots.insert(slot, Zeroizing::new(value));
    }

    /// Fills the slot of the configuration.
    pub(crate) fn configure(&self, config: &impl Serialize) -> Result<(), StorageError> {
        self.fill(Slot::Config, serde_json::to_vec(config)?);
        Ok(())
    }

    /// Takes the message secrets as `write` writes them, behind `start`.
    pub(crate) fn take_message_secrets<E>(
        &self,
        start: Value,
        write: impl FnOnce() -> Result<(), E>,
    ) -> Result<Option<Value>, E> {
        self.values().wanted = Some(start);
        let result = write();
        let mut values = self.values();
        values.wanted = None;
        values.changed.remove(&Slot::MessageSecrets);
        let secrets = values.slots.remove(&Slot::MessageSecrets);
        result.map(|()| secrets)
    }

    /// Lets go of the encoded values that the group in memory makes superfluous.
    pub(crate) fn drop_late(&self) {
        let mut values = self.values();
        values.slots.remove(&Slot::Tree);
        values.slots.remove(&Slot::MessageSecrets);
    }
}

fn secret<K: Ord>(values: BTreeMap<K, Vec<u8>>) -> BTreeMap<K, Value> {
    values.into_iter().map(|(key, value)| (key, Zeroizing::new(value))).collect()
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
            values.changed.insert(slot);
            if matches!(slot, Slot::Tree | Slot::MessageSecrets) {
                // What was loaded is not true any more.
                values.slots.remove(&slot);
                let Some(mut start) = values.wanted.take_if(|_| slot == Slot::MessageSecrets) else {
                    return Ok(());
                };
                let value = postcard::to_extend(value, core::mem::take(&mut *start))?;
                values.slots.insert(slot, Zeroizing::new(value));
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

#[cfg(test)]
mod tests {
    use openmls_traits::OpenMlsProvider as _;
    use openmls_traits::storage::StorageProvider as _;

    use super::*;

    #[test]
    fn large_values_are_not_encoded_when_they_are_written() {
        let (store, group) = (MemberStore::default(), GroupId::from_slice(b"group"));
        // Any entities will do; OpenMLS has none of these kinds that can be made here.
        store.write_slot(&group, Slot::Tree, &[1_u8; 100].as_slice()).unwrap();
        store.write_slot(&group, Slot::MessageSecrets, &[2_u8; 100].as_slice()).unwrap();
        store.write_slot(&group, Slot::Context, &3_u8).unwrap();
        assert!(store.slot(Slot::Tree).is_none() && store.slot(Slot::MessageSecrets).is_none());
        assert_eq!(**store.slot(Slot::Context).unwrap(), [3]);
        assert_eq!(store.take_changed(), BTreeSet::from([Slot::Tree, Slot::Context, Slot::MessageSecrets]));
        assert!(store.take_changed().is_empty());

        let write = || store.write_slot(&group, Slot::MessageSecrets, &7_u8);
        assert_eq!(**store.take_message_secrets(Zeroizing::new(vec![5]), write).unwrap().unwrap(), [5, 7]);
        assert!(store.slot(Slot::MessageSecrets).is_none());
        assert!(store.take_changed().is_empty(), "what was taken is saved");
        write().unwrap();
        assert!(store.slot(Slot::MessageSecrets).is_none());
    }

    #[test]
    fn what_was_loaded_is_not_kept_when_it_changes() {
        let (store, group) = (MemberStore::default(), GroupId::from_slice(b"group"));
        store.write_slot(&group, Slot::Context, &1_u8).unwrap();
        store.fill(Slot::Tree, vec![9]);
        assert_eq!(store.read_slot::<u8>(&group, Slot::Tree).unwrap(), Some(9));
        store.write_slot(&group, Slot::Tree, &8_u8).unwrap();
        assert_eq!(store.read_slot::<u8>(&group, Slot::Tree).unwrap(), None);
    }

    #[test]
    fn a_store_holds_one_group() {
        let (store, group) = (MemberStore::default(), GroupId::from_slice(b"group"));
        let other = GroupId::from_slice(b"other");
        store.write_slot(&group, Slot::Context, &1_u8).unwrap();
        assert_eq!(store.read_slot::<u8>(&other, Slot::Context).unwrap(), None);
        let written = store.write_slot(&other, Slot::Context, &2_u8);
        assert!(matches!(written, Err(StorageError::OtherGroup)));
        assert_eq!(store.read_slot::<u8>(&group, Slot::Context).unwrap(), Some(1));
    }

    #[test]
    fn the_keys_of_an_epoch_take_the_place_of_those_before() {
        let (store, group) = (MemberStore::default(), GroupId::from_slice(b"group"));
        let put = |epoch: u8, keys: &[u8]| {
            let of = postcard::to_allocvec(&(epoch, 3_u32)).unwrap();
            store.write_slot(&group, Slot::EpochKeys, &keys).unwrap();
            store.change(&group, |values| {
                values.epoch_keys_of = Some(of);
                Ok(())
            })
        };
        put(1, &[1, 2]).unwrap();
        put(2, &[3]).unwrap();
        let provider = Provider::new(store);
        let store = provider.storage();
        assert_eq!(**store.slot(Slot::EpochKeys).unwrap(), [1, 3]);
        // OpenMLS deletes the keys of the epoch before once those of the new one are written.
        store.delete_encryption_epoch_key_pairs(&group, &GroupEpochKey(1), 3).unwrap();
        assert!(store.slot(Slot::EpochKeys).is_some());
        store.delete_encryption_epoch_key_pairs(&group, &GroupEpochKey(2), 3).unwrap();
        assert!(store.slot(Slot::EpochKeys).is_none());
    }

    #[derive(Serialize)]
    struct GroupEpochKey(u8);

    impl Key<CURRENT_VERSION> for GroupEpochKey {}
    impl openmls_traits::storage::traits::EpochKey<CURRENT_VERSION> for GroupEpochKey {}

    #[test]
    fn keys_come_and_go_and_are_reported() {
        let store = MemberStore::default();
        store.write_key(KeyKind::KeyPackage, &1_u8, &11_u8).unwrap();
        store.write_key(KeyKind::Encryption, &1_u8, &12_u8).unwrap();
        assert_eq!(store.read_key::<u8>(KeyKind::KeyPackage, &1_u8).unwrap(), Some(11));
        assert_eq!(store.take_changed_keys().len(), 2);
        store.delete_key(KeyKind::KeyPackage, &1_u8).unwrap();
        store.delete_key(KeyKind::Psk, &1_u8).unwrap();
        let changed = store.take_changed_keys();
        assert_eq!(changed, [((KeyKind::KeyPackage, vec![1]), None)]);
        store.all_keys_changed();
        assert_eq!(
            store.take_changed_keys(),
            [((KeyKind::Encryption, vec![1]), Some(Zeroizing::new(vec![12])))]
        );
    }
}
