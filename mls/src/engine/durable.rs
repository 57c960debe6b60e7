//! An engine that survives the process it runs in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::Engine;
use super::group::{Parts, RoomGroup};
use super::intent::Intent;
use super::record::{Batch, Record, RecordKey, open, room_prefix};
use crate::credential::DeviceAddress;
use crate::device::Device;
use crate::error::LibraryFault;
use crate::snapshot::{SnapshotError, seal};
use crate::storage::{StoreKey, Value, decode};

/// An engine whose state is kept in storage of its owner's.
///
/// Every operation leaves records to be stored, and its outcome can be had only by saying that they are: see
/// [`Unsaved`]. What depends on that is much. If a message leaves the device and the ratchet that encrypted it is not
/// stored, the device will use the same key and nonce for another message after a crash, and whoever has both learns
/// their difference and can forge more. If a commit leaves and is accepted, and the keys it made are not stored, the
/// device is locked out of its own room. If a key package is published and its private half is lost, nobody can add
/// the device with it.
///
/// Records have to be stored in the order in which they come, those of one operation together or not at all. What is
/// restored must be what was stored last: an older copy (a backup, a disk image, a second process) brings back used
/// keys, and nothing in the records can tell. A [`Record`] costs what it changes: a message some dozens of bytes, or
/// its own size if it was received; a commit the tree and the epoch's secrets. After 64 messages of an epoch or 64 KiB
/// of received ones, the message secrets are stored as well. Until then, the keys of those messages can be had from the
/// storage, though not any more from the memory.
///
/// After a restart everything goes on as it was: the window of past epochs, the commit that is pending, the recognition
/// of its echo and what is wanted if it loses, key packages that were not used. A message that was decrypted before is not decrypted
/// again.
#[derive(Debug)]
pub struct DurableEngine {
    engine: Engine,
    batch: Batch,
    /// The rooms of which something is stored or about to be.
    rooms: BTreeSet<String>,
    /// What is stored, or about to be, of what the device wants of rooms' groups.
    wanted: BTreeMap<String, Vec<u8>>,
    /// Whether a change could not be made into records, so that what is stored and what is here have parted.
    failed: bool,
}

/// The outcome of an operation whose records are not stored yet.
///
/// The engine can do nothing else before it is dropped. If it is dropped without [`stored`](Self::stored), the outcome
/// is gone, but what the operation did to the engine is not: the records come again with those of the next operation.
#[derive(Debug)]
#[must_use = "the outcome may be used once the records are stored"]
pub struct Unsaved<'a, T> {
    batch: &'a mut Batch,
    outcome: T,
}

impl<T> Unsaved<'_, T> {
    /// What has to be stored, all of it together or none.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.batch.records()
    }

    /// Whether there is nothing to store.
    pub fn is_stored(&self) -> bool {
        self.batch.is_empty()
    }

    /// The outcome. Whoever calls this says that the records are stored and will outlive a crash.
    pub fn stored(self) -> T {
        self.batch.stored();
        self.outcome
    }
}

impl DurableEngine {
    /// An engine of which nothing is stored yet. The first operation's records hold all of it.
    pub fn new(mut engine: Engine) -> Self {
        engine.device.nothing_is_saved();
        engine.rooms.values_mut().for_each(RoomGroup::nothing_is_saved);
        let (rooms, wanted) = (BTreeSet::new(), BTreeMap::new());
        Self { engine, batch: Batch::default(), rooms, wanted, failed: false }
    }

    /// Does something with the engine: `durable.run(|engine| engine.encrypt(room_id, data))`. To make a key package is
    /// an operation like any other.
    ///
    /// An operation that fails leaves nothing to store that could not wait for the next one.
    ///
    /// # Errors
    ///
    /// That of the operation; [`LibraryFault`] if the changes could not be made into records, now or before. Then the
    /// engine is of no use any more and has to be [restored](Self::restore).
    pub fn run<T, E: From<LibraryFault>>(
        &mut self,
        operation: impl FnOnce(&mut Engine) -> Result<T, E>,
    ) -> Result<Unsaved<'_, T>, E> {
        if self.failed {
            return Err(LibraryFault::MissingState.into());
        }
        let outcome = operation(&mut self.engine)?;
        self.failed = true;
        self.collect()?;
        self.failed = false;
        Ok(Unsaved { batch: &mut self.batch, outcome })
    }

    /// Whose device it is.
    pub fn address(&self) -> &DeviceAddress {
        self.engine.device.address()
    }

    /// Makes the engine again from the keys and values that are stored, in any order.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if a record is damaged or missing, or if they are not all of one moment.
    pub fn restore(records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self, SnapshotError> {
        let mut identity: Option<Value> = None;
        let mut keys: BTreeMap<StoreKey, Vec<u8>> = BTreeMap::new();
        let mut parts: BTreeMap<String, Parts> = BTreeMap::new();
        let mut wanted: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut stored = BTreeSet::new();
        for (key, mut value) in records {
            let content = open(&key, &value)?;
            match RecordKey::decode(&key).ok_or(SnapshotError::Damaged)? {
                RecordKey::Device => identity = Some(Zeroizing::new(content.to_vec())),
                RecordKey::Key(id) => drop(keys.insert(id, content.to_vec())),
                RecordKey::Intent { room_id } => drop(wanted.insert(room_id.to_owned(), content.to_vec())),
                RecordKey::Room { room_id, part } => {
                    parts.entry(room_id.to_owned()).or_default().insert(part, content)?;
                }
            }
            value.zeroize();
            stored.insert(key);
        }
        let identity = identity.ok_or(SnapshotError::Incomplete)?;
        let device = Device::from_saved(&identity, keys)?;
        let mut rooms = BTreeMap::new();
        for (room_id, parts) in parts {
            let group = RoomGroup::restore(&device, &room_id, parts)?;
            rooms.insert(room_id, group);
        }
        let saved = rooms.keys().cloned().collect();
        let intents = wanted.iter().map(|(room_id, intent)| {
            Ok::<_, SnapshotError>((room_id.clone(), Intent::from_saved(intent, device.suite())?))
        });
        let intents = intents.collect::<Result<_, _>>()?;
        let engine = Engine { device, rooms, intents };
        Ok(Self { engine, batch: Batch::after(stored), rooms: saved, wanted, failed: false })
    }

    /// Adds what changed to the batch.
    fn collect(&mut self) -> Result<(), LibraryFault> {
        let Engine { device, rooms, intents } = &mut self.engine;
        if !self.batch.has(&RecordKey::Device.encode()) {
            self.batch.put(RecordKey::Device.encode(), &device.saved_identity()?)?;
        }
        for (id, value) in device.take_changed_keys() {
            let key = RecordKey::Key(id).encode();
            match value {
                Some(value) => self.batch.put(key, &value)?,
                None => self.batch.delete(key),
            }
        }
        let gone = self.rooms.iter().filter(|room_id| rooms.get(*room_id).is_none_or(RoomGroup::is_new));
        for room_id in gone {
            self.batch.delete_all(&room_prefix(room_id));
        }
        self.rooms.retain(|room_id| rooms.contains_key(room_id));
        for (room_id, group) in rooms {
            group.save(room_id, &mut self.batch)?;
            if !self.rooms.contains(room_id) {
                self.rooms.insert(room_id.clone());
            }
        }
        for room_id in self.wanted.keys().filter(|room_id| !intents.contains_key(*room_id)) {
            self.batch.delete(RecordKey::Intent { room_id }.encode());
        }
        self.wanted.retain(|room_id, _| intents.contains_key(room_id));
        for (room_id, intent) in intents {
            let saved = intent.saved()?;
            if self.wanted.get(room_id) != Some(&saved) {
                self.batch.put(RecordKey::Intent { room_id }.encode(), &saved)?;
                self.wanted.insert(room_id.clone(), saved);
            }
        }
        Ok(())
    }
}

impl Engine {
    /// Puts the whole engine into bytes, from which [`resume`](Self::resume) makes it again, once. There is no engine
    /// left that could go on and use the keys that the bytes hold; that nobody resumes the same bytes twice is up to
    /// whoever keeps them. To store an engine while it is used, see [`DurableEngine`].
    ///
    /// # Errors
    ///
    /// [`LibraryFault`] if encoding fails.
    pub fn suspend(self) -> Result<Vec<u8>, LibraryFault> {
        let mut durable = DurableEngine::new(self);
        let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for Record { key, value } in durable.run(|_| Ok::<_, LibraryFault>(()))?.records() {
            records.extend(value.map(|value| (key, value.as_slice().to_vec())));
        }
        let content =
            Zeroizing::new(postcard::to_allocvec(&Suspended { records }).map_err(LibraryFault::encoding)?);
        seal(b"", &content)
    }

    /// Makes an engine from what [`suspend`](Self::suspend) gave.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if the bytes are not a whole, undamaged snapshot of a version that is known.
    pub fn resume(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let Suspended { records } = decode(crate::snapshot::open(b"", bytes)?)
            .map_err(|error| SnapshotError::Unreadable(error.into()))?;
        Ok(DurableEngine::restore(records)?.engine)
    }
}

#[derive(Serialize, Deserialize)]
struct Suspended {
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

#[cfg(test)]
mod tests;
