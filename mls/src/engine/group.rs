//! One room's group, from inside.

mod application;
mod commit;
mod log;
mod saved;
mod tracked;

use core::fmt;

use openmls::framing::{MlsMessageOut, ProcessedMessageContent, PublicMessageIn, Sender};
use openmls::group::{
    GroupId, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
    ProcessMessageError, StagedWelcome,
};
use openmls::key_packages::Lifetime;
use openmls::prelude::SenderRatchetConfiguration;
use openmls_traits::OpenMlsProvider as _;
use tls_codec::Serialize as _;

use self::log::Log;
pub(in crate::engine) use self::saved::Parts;
use self::saved::Sizes;
use self::tracked::Tracked;
use super::message::{OutboundCommit, Received};
use crate::change::{Change, own_change};
use crate::crypto::undated::Undated;
use crate::crypto::{Layered, LayeredProvider};
use crate::device::Device;
use crate::epoch::{EpochMap, MAX_EPOCH};
use crate::error::{
    CallerFault, Epochs, Error, LibraryFault, PeerFault, Signed, is_lifetime, merge_error, process_error,
    welcome_error,
};
use crate::framing::{self, CommitView, Framed};
use crate::roster::Roster;
use crate::storage::{Provider, StorageError};
use crate::tree::Nodes;

/// How many epochs back messages can still be decrypted.
///
/// A sender encrypts for the newest commit it knows. The hub may list one or two commits before the message reaches it,
/// so that much has to be kept; more would keep old keys around for little gain.
const MAX_PAST_EPOCHS: usize = 2;

/// How many messages of one sender may overtake a message of the same sender and epoch. The list of a room keeps their
/// order, but a device may read it in pieces: the newest first, then what it missed.
const OUT_OF_ORDER_TOLERANCE: u32 = 64;

/// How many messages of one sender may be missing before one that is decrypted.
const MAX_FORWARD_DISTANCE: u32 = 1000;

fn sender_ratchet() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER_TOLERANCE, MAX_FORWARD_DISTANCE)
}

/// How the device takes part in a group, and to multiples of what its next message is padded.
pub(super) fn join_config(padding: usize) -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .max_past_epochs(MAX_PAST_EPOCHS)
        .sender_ratchet_configuration(sender_ratchet())
        .padding_size(padding)
        .build()
}

fn create_config(device: &Device) -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(device.suite().ciphersuite())
        .capabilities(device.capabilities())
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .max_past_epochs(MAX_PAST_EPOCHS)
        .sender_ratchet_configuration(sender_ratchet())
        // None: the first commit brings another leaf.
        .lifetime(Lifetime::init(0, 0))
        .build()
}

/// A group the device is a member of, or will be once its external commit is accepted.
pub(super) struct RoomGroup {
    /// The group's own store, so that forgetting the group is dropping it.
    provider: Provider,
    group: MlsGroup,
    /// The members, as the group has them.
    roster: Roster,
    epochs: Tracked<EpochMap>,
    /// The epoch in which the device came in. It has no keys of those before.
    first_epoch: u64,
    pending: Tracked<Option<Pending>>,
    /// Whether the device is a member. If it is not, its external commit is pending, while OpenMLS is in the epoch
    /// that commit makes already.
    joined: Tracked<bool>,
    log: Log,
    /// How often the message secrets were saved.
    checkpoint: u64,
    sizes: Sizes,
}

/// A commit of this device that waits for the hub.
struct Pending {
    outbound: OutboundCommit,
    /// The commit without its frame, to recognise it in whatever frame it comes back.
    bytes: Vec<u8>,
    /// Whether it removes somebody.
    removes: bool,
}

impl Pending {
    fn new(outbound: OutboundCommit) -> Result<Self, LibraryFault> {
        let message: Framed<PublicMessageIn> =
            framing::read_own(&outbound.message).map_err(LibraryFault::encoding)?;
        let removes = CommitView::read(&message).map_err(LibraryFault::encoding)?.removes();
        Ok(Self { outbound, bytes: message.bytes, removes })
    }

    fn is(&self, message: &Framed<PublicMessageIn>) -> bool {
        self.bytes == message.bytes
    }
}

impl RoomGroup {
    pub(super) fn create(device: &Device, room_id: &str) -> Result<Self, Error> {
        let provider = Provider::default();
        let group = MlsGroup::new_with_group_id(
            &provider,
            device.signer(),
            &create_config(device),
            GroupId::from_slice(room_id.as_bytes()),
            device.with_key(),
        )
        .map_err(LibraryFault::mls)?;
        let roster = Roster::read(group.members())?;
        Ok(Self::new(provider, group, roster, EpochMap::new(), 0, None, true))
    }

    /// Enters the group of a Welcome that was checked.
    pub(super) fn join(staged: StagedWelcome, roster: Roster, commit_event_id: &str) -> Result<Self, Error> {
        let provider = Provider::default();
        let group = staged.into_group(&provider).map_err(welcome_error)?;
        let first_epoch = group.epoch().as_u64();
        let mut epochs = EpochMap::new();
        epochs.record(first_epoch, commit_event_id)?;
        Ok(Self::new(provider, group, roster, epochs, first_epoch, None, true))
    }

    fn new(
        provider: Provider,
        group: MlsGroup,
        roster: Roster,
        epochs: EpochMap,
        first_epoch: u64,
        pending: Option<Pending>,
        joined: bool,
    ) -> Self {
        let (epochs, pending, joined) = (Tracked::new(epochs), Tracked::new(pending), Tracked::new(joined));
        Self {
            provider,
            group,
            roster,
            epochs,
            first_epoch,
            pending,
            joined,
            log: Log::default(),
            checkpoint: 0,
            sizes: Sizes::default(),
        }
    }

    pub(super) fn is_joined(&self) -> bool {
        *self.joined
    }

    pub(super) fn epoch(&self) -> u64 {
        self.group.epoch().as_u64()
    }

    /// The epoch for which a commit is wanted next.
    fn base_epoch(&self) -> u64 {
        if *self.joined { self.epoch() } else { self.epoch().saturating_sub(1) }
    }

    pub(super) fn epochs(&self) -> &EpochMap {
        &self.epochs
    }

    pub(super) fn pending(&self) -> Option<&OutboundCommit> {
        self.pending.as_ref().map(|pending| &pending.outbound)
    }

    pub(super) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Whether the pending commit is an external one that replaces a leaf of this device.
    pub(super) fn is_resync(&self) -> bool {
        !*self.joined && self.pending.as_ref().is_some_and(|pending| pending.removes)
    }

    /// The ratchet tree, encoded.
    pub(super) fn ratchet_tree(&self) -> Result<Vec<u8>, LibraryFault> {
        self.group.export_ratchet_tree().tls_serialize_detached().map_err(LibraryFault::encoding)
    }

    /// The nodes of the ratchet tree, and the device's leaf.
    pub(super) fn nodes(&self) -> Result<(Nodes, usize), LibraryFault> {
        let nodes = Nodes::parse(&self.ratchet_tree()?).map_err(LibraryFault::encoding)?;
        Ok((nodes, self.group.own_leaf_index().usize()))
    }

    pub(super) fn accept(&mut self, event_id: &str) -> Result<u64, Error> {
        let pending = self.pending.as_ref().ok_or(CallerFault::NoCommitPending)?;
        let epoch = pending.outbound.epoch;
        self.epochs.check(epoch, event_id)?;
        if *self.joined {
            let commit = self.group.pending_commit().ok_or(LibraryFault::MissingState)?;
            let change = own_change(&self.roster, self.group.own_leaf_index(), commit)?;
            self.group.merge_pending_commit(&self.provider).map_err(LibraryFault::mls)?;
            self.roster.follow(change, self.group.public_group())?;
        }
        *self.pending = None;
        *self.joined = true;
        self.epochs.record(epoch, event_id)?;
        Ok(epoch)
    }

    /// Drops the pending commit of a member.
    pub(super) fn refuse(&mut self) -> Result<(), Error> {
        if self.pending.is_none() {
            return Err(CallerFault::NoCommitPending.into());
        }
        self.group.clear_pending_commit(self.provider.storage()).map_err(LibraryFault::storage)?;
        *self.pending = None;
        Ok(())
    }

    pub(super) fn receive(
        &mut self,
        device: &Device,
        message: Framed<PublicMessageIn>,
        view: &CommitView,
        event_id: &str,
    ) -> Result<Received, Error> {
        let epoch = next_epoch(view.epoch)?;
        if self.epochs.epoch(event_id).is_some() {
            self.epochs.check(epoch, event_id)?;
            return Ok(Received::Known { epoch });
        }
        let (expected, got) = (self.base_epoch(), view.epoch);
        if got < expected {
            return Err(PeerFault::StaleEpoch { expected, got }.into());
        }
        if got > expected && *self.joined {
            return Err(PeerFault::EpochAhead { expected, got }.into());
        }
        if self.pending.as_ref().is_some_and(|pending| pending.is(&message)) {
            return Ok(Received::Own { epoch: self.accept(event_id)? });
        }
        if !*self.joined {
            return Ok(Received::JoinLost);
        }
        if matches!(view.sender, Sender::Member(leaf) if self.roster.member(leaf).is_none()) {
            return Err(PeerFault::SenderNotInGroup.into());
        }
        let epochs = Epochs { group: expected, message: got };
        let (processed, undated) = match self.group.process_message(&self.provider, message.value) {
            // It was judged when the hub took the commit, which may be long ago.
            Err(ProcessMessageError::ValidationError(error)) if is_lifetime(&error) => {
                let error = || ProcessMessageError::ValidationError(error);
                let (undated, shown) = Undated::show(&message.bytes)?
                    .ok_or_else(|| process_error::<StorageError>(error(), epochs, Signed::Commit))?;
                let crypto = Layered::new(undated);
                let provider = LayeredProvider::new(&crypto, &self.provider);
                (self.group.process_message(&provider, shown), Some(crypto.layer))
            }
            processed => (processed, None),
        };
        let processed = processed.map_err(|error| process_error(error, epochs, Signed::Commit))?;
        let sender = processed.sender().clone();
        let mut commit = match processed.into_content() {
            ProcessedMessageContent::StagedCommitMessage(commit) => commit,
            // The same commit, though not the same bytes.
            ProcessedMessageContent::OwnPendingCommit => {
                return Ok(Received::Own { epoch: self.accept(event_id)? });
            }
            _ => return Err(PeerFault::NotACommit.into()),
        };
        if let Some(undated) = undated {
            commit = undated.mean(&commit)?;
        }
        let (change, roster_change) = Change::read(device.suite(), &self.roster, &sender, &commit)?;
        self.epochs.check(epoch, event_id)?;
        let removed = commit.self_removed();
        self.group.merge_staged_commit(&self.provider, *commit).map_err(merge_error)?;
        let lost_race = self.pending.take().is_some();
        if removed {
            return Ok(Received::Removed { change, lost_race });
        }
        self.roster.follow(roster_change, self.group.public_group())?;
        self.epochs.record(epoch, event_id)?;
        Ok(Received::Applied { change, lost_race })
    }
}

impl fmt::Debug for RoomGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomGroup")
            .field("epoch", &self.epoch())
            .field("pending", &self.pending.is_some())
            .finish_non_exhaustive()
    }
}

fn next_epoch(epoch: u64) -> Result<u64, PeerFault> {
    match epoch.checked_add(1) {
        Some(next) if next <= MAX_EPOCH => Ok(next),
        _ => Err(PeerFault::EpochOutOfRange { epoch: epoch.saturating_add(1) }),
    }
}

fn encode(message: &MlsMessageOut) -> Result<Vec<u8>, LibraryFault> {
    message.tls_serialize_detached().map_err(LibraryFault::encoding)
}
