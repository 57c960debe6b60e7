//! One room's group as records, and back.

use std::collections::BTreeMap;

use openmls::group::{GroupId, MlsGroup};
use openmls_traits::OpenMlsProvider as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::message::{OutboundCommit, OutboundWelcome};
use super::super::record::{Batch, RecordKey, RoomPart};
use super::log::{Entry, Log};
use super::tracked::Tracked;
use super::{Pending, RoomGroup, join_config};
use crate::credential::DeviceAddress;
use crate::device::Device;
use crate::epoch::{EpochMap, MAX_EPOCH};
use crate::error::{LibraryFault, Source};
use crate::roster::Roster;
use crate::snapshot::{SnapshotError, unsealed};
use crate::storage::{MemberStore, Provider, SavedValues, Slot, decode, no_deletion};
use crate::suite::Suite;

/// The slots that are not saved with the epoch's other values.
const APART: [Slot; 4] = [Slot::Tree, Slot::MessageSecrets, Slot::State, Slot::Config];

/// The most bytes that a header takes.
const HEADERS: usize = 20;

/// How large the large records were the last time, so that the next are made in one piece.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    tree: usize,
    secrets: usize,
}

/// How large a record may have become, with room for a batch of devices that were added.
fn grown(len: usize) -> usize {
    len.saturating_add(len / 8)
}

/// What a commit changes besides the tree.
#[derive(Serialize, Deserialize)]
struct SavedEpoch {
    epoch: u64,
    values: SavedValues,
}

/// What the device itself is about to do.
#[derive(Serialize, Deserialize)]
struct SavedPending {
    epoch: u64,
    first_epoch: u64,
    joined: bool,
    /// OpenMLS's state of the group: with the commit that is pending, if one is.
    state: Vec<u8>,
    outbound: Option<SavedCommit>,
}

#[derive(Serialize, Deserialize)]
struct SavedCommit {
    message: Vec<u8>,
    apart: bool,
    public_group_state: Vec<u8>,
    welcome: Option<SavedWelcome>,
    epoch: u64,
    prev_commit_event_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SavedWelcome {
    message: Vec<u8>,
    /// The users and the devices it is for.
    to: Vec<(String, String)>,
}

/// What comes before the tree, which is large and follows in its encoding.
#[derive(Serialize, Deserialize)]
struct TreeHeader {
    /// The epoch that the commit made after which the tree is this.
    epoch: u64,
}

/// What comes before the message secrets as they were once, which are large and follow in their encoding.
#[derive(Serialize, Deserialize)]
struct RatchetsHeader {
    epoch: u64,
    checkpoint: u64,
}

/// One use of the ratchets since.
#[derive(Serialize, Deserialize)]
struct SavedEntry {
    checkpoint: u64,
    entry: Entry,
}

/// The records of one room.
#[derive(Default)]
pub(in crate::engine) struct Parts {
    tree: Option<Vec<u8>>,
    epoch: Option<Vec<u8>>,
    pending: Option<Vec<u8>>,
    ratchets: Option<Vec<u8>>,
    log: BTreeMap<u64, Vec<u8>>,
    events: EpochMap,
}

impl Parts {
    /// Takes in the content of a record.
    pub(in crate::engine) fn insert(&mut self, part: RoomPart, content: &[u8]) -> Result<(), SnapshotError> {
        match part {
            RoomPart::Tree => self.tree = Some(content.to_vec()),
            RoomPart::Epoch => self.epoch = Some(content.to_vec()),
            RoomPart::Pending => self.pending = Some(content.to_vec()),
            RoomPart::Ratchets => self.ratchets = Some(content.to_vec()),
            RoomPart::Log(place) => drop(self.log.insert(place, content.to_vec())),
            RoomPart::Event(epoch) => {
                let event_id = core::str::from_utf8(content).map_err(unreadable)?;
                self.events.record(epoch, event_id).map_err(unreadable)?;
            }
        }
        Ok(())
    }
}

fn unreadable(error: impl Into<Source>) -> SnapshotError {
    SnapshotError::Unreadable(error.into())
}

fn encode(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, LibraryFault> {
    postcard::to_allocvec(value).map(Zeroizing::new).map_err(LibraryFault::encoding)
}

/// Starts the content of a record with a header. `len` is about how much will follow.
fn start(header: &impl Serialize, len: usize) -> Result<Vec<u8>, LibraryFault> {
    postcard::to_extend(header, unsealed(len.saturating_add(HEADERS))).map_err(LibraryFault::encoding)
}

/// Reads a header and what follows it.
fn read_large<T: for<'de> Deserialize<'de>>(content: Option<Vec<u8>>) -> Result<(T, Vec<u8>), SnapshotError> {
    let mut content = content.ok_or(SnapshotError::Incomplete)?;
    let (header, rest) = postcard::take_from_bytes(&content).map_err(unreadable)?;
    let from = content.len().saturating_sub(rest.len());
    content.drain(..from);
    Ok((header, content))
}

fn read<T: for<'de> Deserialize<'de>>(content: Option<&Vec<u8>>) -> Result<T, SnapshotError> {
    decode(content.ok_or(SnapshotError::Incomplete)?).map_err(unreadable)
}

impl RoomGroup {
    /// Whether the group was never saved.
    pub(in crate::engine) fn is_new(&self) -> bool {
        self.checkpoint == 0
    }

    /// Forgets that the group was ever saved.
    pub(in crate::engine) fn nothing_is_saved(&mut self) {
        self.checkpoint = 0;
        self.epochs.set_changed();
    }

    /// Adds the records of what changed since this was called last.
    pub(in crate::engine) fn save(&mut self, room_id: &str, batch: &mut Batch) -> Result<(), LibraryFault> {
        let key = |part| RecordKey::Room { room_id, part }.encode();
        let changed = self.provider.storage().take_changed();
        let epoch = self.epoch();
        let new_epoch = self.is_new() || changed.contains(&Slot::EpochSecrets);
        if new_epoch || changed.contains(&Slot::Tree) {
            let start = start(&TreeHeader { epoch }, grown(self.sizes.tree))?;
            let tree = postcard::to_extend(self.group.public_group().treesync(), start)
                .map_err(LibraryFault::encoding)?;
            self.sizes.tree = tree.len();
            batch.put_public(key(RoomPart::Tree), tree)?;
        }
        if new_epoch || changed.iter().any(|slot| !APART.contains(slot)) {
            let values = self.provider.storage().saved_values(&APART);
            batch.put(key(RoomPart::Epoch), &encode(&SavedEpoch { epoch, values })?)?;
        }
        let pending = self.pending.take_changed() | self.joined.take_changed();
        if new_epoch || pending || changed.contains(&Slot::State) {
            let state = self.provider.storage().slot(Slot::State).ok_or(LibraryFault::MissingState)?;
            let saved = SavedPending {
                epoch,
                first_epoch: self.first_epoch,
                joined: *self.joined,
                state: state.to_vec(),
                outbound: self.pending().map(SavedCommit::new),
            };
            batch.put(key(RoomPart::Pending), &encode(&saved)?)?;
        }
        if new_epoch || self.log.is_full() {
            self.checkpoint = self.checkpoint.saturating_add(1);
            let header = RatchetsHeader { epoch, checkpoint: self.checkpoint };
            let start = Zeroizing::new(start(&header, grown(self.sizes.secrets))?);
            let (provider, group) = (&self.provider, &mut self.group);
            let secrets = provider
                .storage()
                .take_message_secrets(start, || group.delete_past_epoch_secrets(provider, no_deletion()))
                .map_err(LibraryFault::mls)?
                .ok_or(LibraryFault::MissingState)?;
            self.sizes.secrets = secrets.len();
            batch.put_secret(key(RoomPart::Ratchets), secrets)?;
            for place in 0..self.log.clear() {
                batch.delete(key(RoomPart::Log(place as u64)));
            }
        }
        for (place, entry) in self.log.take_unsaved() {
            let saved = SavedEntry { checkpoint: self.checkpoint, entry: entry.clone() };
            batch.put(key(RoomPart::Log(place as u64)), &encode(&saved)?)?;
        }
        if self.epochs.take_changed() {
            for (epoch, event_id) in self.epochs.iter() {
                batch.put_new(key(RoomPart::Event(epoch)), event_id.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Makes the group again from its records.
    pub(in crate::engine) fn restore(
        device: &Device,
        room_id: &str,
        mut parts: Parts,
    ) -> Result<Self, SnapshotError> {
        let (TreeHeader { epoch }, tree) = read_large(parts.tree.take())?;
        let saved_epoch: SavedEpoch = read(parts.epoch.as_ref())?;
        let pending: SavedPending = read(parts.pending.as_ref())?;
        let (ratchets, secrets): (RatchetsHeader, _) = read_large(parts.ratchets.take())?;
        let sizes = Sizes { tree: tree.len(), secrets: secrets.len() };
        if [saved_epoch.epoch, pending.epoch, ratchets.epoch] != [epoch; 3] || epoch > MAX_EPOCH {
            return Err(SnapshotError::Inconsistent);
        }
        let group_id = GroupId::from_slice(room_id.as_bytes());
        let store = MemberStore::of_group(&group_id, saved_epoch.values).map_err(unreadable)?;
        store.fill(Slot::Tree, tree);
        store.fill(Slot::MessageSecrets, secrets);
        store.fill(Slot::State, pending.state);
        store.configure(&join_config(0)).map_err(unreadable)?;
        let provider = Provider::new(store);
        let group = MlsGroup::load(provider.storage(), &group_id)
            .map_err(unreadable)?
            .ok_or(SnapshotError::Incomplete)?;
        provider.storage().drop_late();
        let own_leaf = group.own_leaf_node().ok_or(SnapshotError::Inconsistent)?;
        if *group.group_id() != group_id
            || group.epoch().as_u64() != epoch
            || group.ciphersuite() != device.suite().ciphersuite()
            || own_leaf.signature_key().as_slice() != device.credential().signature_key()
        {
            return Err(SnapshotError::Inconsistent);
        }
        let outbound = pending.outbound.map(|saved| saved.into_outbound(device.suite())).transpose()?;
        if outbound.is_none() && !pending.joined {
            return Err(SnapshotError::Inconsistent);
        }
        let roster = Roster::read(group.members()).map_err(SnapshotError::Group)?;
        let mut room = Self {
            provider,
            group,
            roster,
            epochs: Tracked::saved(core::mem::take(&mut parts.events)),
            first_epoch: pending.first_epoch,
            pending: Tracked::saved(outbound.map(Pending::new).transpose()?),
            joined: Tracked::saved(pending.joined),
            log: Log::default(),
            checkpoint: ratchets.checkpoint,
            sizes,
        };
        room.repeat(device, &parts.log)?;
        Ok(room)
    }

    /// Does again what the log says.
    fn repeat(&mut self, device: &Device, log: &BTreeMap<u64, Vec<u8>>) -> Result<(), SnapshotError> {
        let mut entries = Vec::new();
        for (expected, (place, content)) in (0_u64..).zip(log) {
            let SavedEntry { checkpoint, entry } = decode(content).map_err(unreadable)?;
            if *place != expected || checkpoint != self.checkpoint {
                return Err(SnapshotError::Inconsistent);
            }
            match &entry {
                Entry::Encrypted => {
                    // The key is used up; what it encrypts now is thrown away.
                    self.group
                        .create_message(&self.provider, device.signer(), b"")
                        .map_err(|_| SnapshotError::Inconsistent)?;
                }
                Entry::Decrypted(message) => {
                    self.decrypt(message).map_err(|_| SnapshotError::Inconsistent)?;
                }
            }
            entries.push(entry);
        }
        self.log = Log::saved(entries);
        Ok(())
    }
}

impl SavedCommit {
    fn new(outbound: &OutboundCommit) -> Self {
        // Every field is named, so that none is forgotten that comes later.
        let OutboundCommit { message, apart, public_group_state, welcome, epoch, prev_commit_event_id } =
            outbound;
        let welcome = welcome.as_ref().map(|OutboundWelcome { message, algorithm: _, to }| {
            let to = to.iter().map(|to| (to.user_id().to_owned(), to.device_id().to_owned()));
            SavedWelcome { message: message.clone(), to: to.collect() }
        });
        Self {
            message: message.clone(),
            apart: *apart,
            public_group_state: public_group_state.clone(),
            welcome,
            epoch: *epoch,
            prev_commit_event_id: prev_commit_event_id.clone(),
        }
    }

    fn into_outbound(self, suite: Suite) -> Result<OutboundCommit, SnapshotError> {
        let welcome = match self.welcome {
            None => None,
            Some(SavedWelcome { message, to }) => {
                let to = to.into_iter().map(|(user_id, device_id)| DeviceAddress::new(user_id, device_id));
                let to = to.collect::<Result<_, _>>().map_err(unreadable)?;
                Some(OutboundWelcome { message, algorithm: suite.welcome_algorithm(), to })
            }
        };
        Ok(OutboundCommit {
            message: self.message,
            apart: self.apart,
            public_group_state: self.public_group_state,
            welcome,
            epoch: self.epoch,
            prev_commit_event_id: self.prev_commit_event_id,
        })
    }
}
