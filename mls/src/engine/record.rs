//! What an engine is saved as: records, each a key and a value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::LibraryFault;
use crate::snapshot::{SnapshotError, seal, seal_in_place};
use crate::storage::{StoreKey, Value, decode};

/// A change to what is stored of an engine.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Content>,
}

/// What is stored under a key. It is shared, as it may be large.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// What everybody knows.
    Public(Arc<Vec<u8>>),
    Secret(Arc<Value>),
}

impl Content {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Public(bytes) => bytes,
            Self::Secret(bytes) => bytes,
        }
    }
}

impl Record {
    /// What the value is stored under. The key is opaque and not secret, but it names rooms.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value that takes the place of any that is stored under the key, or nothing if what is stored is to be
    /// deleted. It is secret: whoever has the records of a device is that device.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_ref().map(Content::as_slice)
    }
}

impl core::fmt::Debug for Record {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let len = self.value().map(<[u8]>::len);
        f.debug_struct("Record").field("key", &self.key).field("value_len", &len).finish()
    }
}

/// A part of what is saved of a room's group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoomPart {
    Tree,
    Epoch,
    Pending,
    Ratchets,
    Log(u64),
    Event(u64),
}

/// What a record is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordKey<'a> {
    /// Who the device is.
    Device,
    /// A key package of the device.
    Key(StoreKey),
    /// What the device wants of a room's group.
    Intent { room_id: &'a str },
    /// A part of a room's group.
    Room { room_id: &'a str, part: RoomPart },
}

const DEVICE: u8 = 0;
const KEY: u8 = 1;
const ROOM: u8 = 2;
const INTENT: u8 = 3;

impl<'a> RecordKey<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Device => vec![DEVICE],
            Self::Key((kind, key)) => [&[KEY, *kind as u8], &key[..]].concat(),
            Self::Intent { room_id } => [&[INTENT], room_id.as_bytes()].concat(),
            Self::Room { room_id, part } => {
                let mut bytes = room_prefix(room_id);
                let (tag, number) = match part {
                    RoomPart::Tree => (0, None),
                    RoomPart::Epoch => (1, None),
                    RoomPart::Pending => (2, None),
                    RoomPart::Ratchets => (3, None),
                    RoomPart::Log(place) => (4, Some(place)),
                    RoomPart::Event(epoch) => (5, Some(epoch)),
                };
                bytes.push(tag);
                bytes.extend(number.map(|number| number.to_be_bytes()).into_iter().flatten());
                bytes
            }
        }
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&tag, rest) = bytes.split_first()?;
        match tag {
            DEVICE => rest.is_empty().then_some(Self::Device),
            KEY => {
                let (kind, key) = rest.split_first()?;
                // The kind's number is its encoding.
                Some(Self::Key((decode(&[*kind]).ok()?, key.to_vec())))
            }
            INTENT => Some(Self::Intent { room_id: core::str::from_utf8(rest).ok()? }),
            ROOM => {
                let (len, rest) = rest.split_first_chunk()?;
                let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
                let (room_id, rest) = rest.split_at_checked(len)?;
                let room_id = core::str::from_utf8(room_id).ok()?;
                let (&tag, number) = rest.split_first()?;
                let number = match number {
                    [] => None,
                    number => Some(u64::from_be_bytes(number.try_into().ok()?)),
                };
                let part = match (tag, number) {
                    (0, None) => RoomPart::Tree,
                    (1, None) => RoomPart::Epoch,
                    (2, None) => RoomPart::Pending,
                    (3, None) => RoomPart::Ratchets,
                    (4, Some(place)) => RoomPart::Log(place),
                    (5, Some(epoch)) => RoomPart::Event(epoch),
                    _ => return None,
                };
                Some(Self::Room { room_id, part })
            }
            _ => None,
        }
    }
}

/// What the keys of all records of a room begin with, and no others.
pub(super) fn room_prefix(room_id: &str) -> Vec<u8> {
    // A room id that is too long for this is too long for any event.
    let len = u32::try_from(room_id.len()).unwrap_or(u32::MAX);
    [&[ROOM], &len.to_be_bytes()[..], room_id.as_bytes()].concat()
}

/// Records to be stored together, and the keys of those that are stored already.
#[derive(Default)]
pub(super) struct Batch {
    stored: BTreeSet<Vec<u8>>,
    changes: BTreeMap<Vec<u8>, Option<Content>>,
}

impl Batch {
    /// Nothing to store yet, with these keys stored already.
    pub(super) fn after(stored: BTreeSet<Vec<u8>>) -> Self {
        Self { stored, changes: BTreeMap::new() }
    }

    pub(super) fn put(&mut self, key: Vec<u8>, content: &[u8]) -> Result<(), LibraryFault> {
        let value = Zeroizing::new(seal(&key, content)?);
        self.changes.insert(key, Some(Content::Secret(Arc::new(value))));
        Ok(())
    }

    /// Puts what is appended to what [`unsealed`](crate::snapshot::unsealed) gave, and is secret.
    pub(super) fn put_secret(&mut self, key: Vec<u8>, mut bytes: Value) -> Result<(), LibraryFault> {
        seal_in_place(&key, &mut bytes)?;
        self.changes.insert(key, Some(Content::Secret(Arc::new(bytes))));
        Ok(())
    }

    /// Puts what is appended to what [`unsealed`](crate::snapshot::unsealed) gave, and is not secret.
    pub(super) fn put_public(&mut self, key: Vec<u8>, mut bytes: Vec<u8>) -> Result<(), LibraryFault> {
        seal_in_place(&key, &mut bytes)?;
        self.changes.insert(key, Some(Content::Public(Arc::new(bytes))));
        Ok(())
    }

    /// Puts what never changes once it is there.
    pub(super) fn put_new(&mut self, key: Vec<u8>, content: &[u8]) -> Result<(), LibraryFault> {
        if self.has(&key) { Ok(()) } else { self.put(key, content) }
    }

    /// Whether something is stored, or about to be, under the key.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.changes.get(key).map_or_else(|| self.stored.contains(key), Option::is_some)
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }

    /// Deletes everything that is stored, or about to be, under a key that begins with `prefix`.
    pub(super) fn delete_all(&mut self, prefix: &[u8]) {
        let begins = |key: &&Vec<u8>| key.starts_with(prefix);
        let stored = self.stored.range(prefix.to_vec()..).take_while(begins);
        let new = self.changes.range(prefix.to_vec()..).map(|(key, _)| key).take_while(begins);
        let keys: Vec<_> = stored.chain(new).cloned().collect();
        keys.into_iter().for_each(|key| self.delete(key));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.changes.iter().map(|(key, value)| Record { key: key.clone(), value: value.clone() })
    }

    /// Notes that the records are stored.
    pub(super) fn stored(&mut self) {
        for (key, value) in core::mem::take(&mut self.changes) {
            match value {
                Some(_) => drop(self.stored.insert(key)),
                None => drop(self.stored.remove(&key)),
            }
        }
    }
}

impl core::fmt::Debug for Batch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Batch")
            .field("stored", &self.stored.len())
            .field("changes", &self.changes.len())
            .finish_non_exhaustive()
    }
}

/// What a value holds that is stored under `key`.
pub(super) fn open<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], SnapshotError> {
    crate::snapshot::open(key, value)
}
