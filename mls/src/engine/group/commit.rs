//! The commits a device makes.

use std::collections::BTreeSet;

use openmls::group::{CommitMessageBundle, MlsGroup};
use openmls::key_packages::KeyPackage as MlsKeyPackage;
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{LeafNodeIndex, LeafNodeParameters, RatchetTreeIn};
use openmls_traits::OpenMlsProvider as _;
use openmls_traits::signatures::Signer;

use super::super::message::{Changes, OutboundCommit, OutboundWelcome};
use super::{Pending, RoomGroup, encode, join_config, next_epoch};
use crate::carriage::Carriage;
use crate::credential::DeviceAddress;
use crate::crypto::ahead::Ahead;
use crate::crypto::undated::{Meaning, Undated};
use crate::crypto::{Layer, Layered, LayeredProvider};
use crate::device::Device;
use crate::epoch::EpochMap;
use crate::error::{
    CallerFault, Error, LibraryFault, PeerFault, build_error, create_error, external_join_error,
    finalize_error,
};
use crate::framing::{self, Framed, GroupInfoView};
use crate::key_package::KeyPackage;
use crate::roster::Roster;
use crate::storage::{Provider, Slot, Value, no_deletion};
use crate::suite::Suite;
use crate::tree::UnverifiedTree;

impl RoomGroup {
    pub(in crate::engine) fn commit(
        &mut self,
        device: &Device,
        changes: Changes,
        judged: bool,
    ) -> Result<OutboundCommit, Error> {
        if self.pending.is_some() {
            return Err(CallerFault::CommitPending.into());
        }
        let epoch = next_epoch(self.epoch())?;
        let Changes { add, remove, update, carriage } = changes;
        if add.is_empty() && remove.is_empty() && !update {
            return Err(CallerFault::NothingToCommit.into());
        }
        let roster = self.roster();
        let mut leaves = BTreeSet::new();
        for address in remove {
            if address == *device.address() {
                return Err(CallerFault::CannotRemoveSelf.into());
            }
            let Some(leaf) = roster.leaf_of(&address) else {
                return Err(CallerFault::NotAMember { address }.into());
            };
            if !leaves.insert(leaf) {
                return Err(CallerFault::ListedTwice { address }.into());
            }
        }
        let staying: BTreeSet<_> = roster.without(&leaves).map(|member| &member.address).collect();
        let mut to = Vec::with_capacity(add.len());
        for key_package in &add {
            let address = key_package.address().clone();
            if key_package.suite() != device.suite() {
                let (expected, got) = (device.suite(), key_package.suite());
                return Err(CallerFault::SuiteMismatch { expected, got }.into());
            }
            if staying.contains(&address) {
                return Err(CallerFault::AlreadyAMember { address }.into());
            }
            if to.contains(&address) {
                return Err(CallerFault::ListedTwice { address }.into());
            }
            to.push(address);
        }

        // The leaf that OpenMLS makes for a new group has a lifetime. With a path nobody ever sees it.
        let update = update || self.epoch() == 0;
        let prev = self.epochs.event(self.epoch()).map(str::to_owned);
        let add: Vec<_> = add.into_iter().map(KeyPackage::into_inner).collect();
        let attempts = carriage.attempts(roster.members().count(), self.epoch() == 0);
        let (last, others) = attempts.split_last().ok_or(LibraryFault::MissingState)?;
        let attempts = others.iter().map(|tree| (*tree, false)).chain([(*last, true)]);
        let mut failure = Error::from(LibraryFault::MissingState);
        for (with_tree, last) in attempts {
            let content = Content { add: &add, remove: &leaves, update, with_tree };
            let staged = self.stage(&Layered::<()>::default(), device.signer(), content);
            let staged = match staged {
                Err(Error::Peer(PeerFault::Lifetime(_))) if judged => self.stage_undated(device, content),
                staged => staged,
            };
            let outbound = outbound(staged?, device.suite(), epoch, prev.clone(), to.clone());
            let pending = place(outbound, carriage, last)
                .map_err(Error::from)
                .and_then(|outbound| Ok(Pending::new(outbound)?));
            match pending {
                Ok(pending) => return Ok(self.pending.insert(pending).outbound.clone()),
                Err(error) => failure = error,
            }
            self.group.clear_pending_commit(self.provider.storage()).map_err(LibraryFault::storage)?;
            if !matches!(failure, Error::Caller(CallerFault::CommitTooLarge { .. })) {
                break;
            }
        }
        Err(failure)
    }

    /// Makes a commit and keeps it as the pending one.
    fn stage(
        &mut self,
        crypto: &Layered<impl Layer>,
        signer: &impl Signer,
        content: Content<'_>,
    ) -> Result<Messages, Error> {
        let provider = LayeredProvider::new(crypto, &self.provider);
        let bundle = self
            .group
            .commit_builder()
            .consume_proposal_store(false)
            .force_self_update(content.update)
            .propose_adds(content.add.iter().cloned())
            .propose_removals(content.remove.iter().copied())
            .load_psks(provider.storage())
            .map_err(LibraryFault::mls)?
            .use_ratchet_tree_extension(content.with_tree)
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .map_err(build_error)?
            .stage_commit(&provider)
            .map_err(create_error)?;
        let messages = Messages::of(bundle);
        if messages.is_err() {
            self.group.clear_pending_commit(provider.storage()).map_err(LibraryFault::storage)?;
        }
        Ok(messages?)
    }

    /// Makes a commit with key packages that are over, or not valid yet, by the system's clock.
    fn stage_undated(&mut self, device: &Device, content: Content<'_>) -> Result<Messages, Error> {
        let (undated, shown) = Undated::show_all(content.add)?;
        let crypto = Layered::new(undated);
        let undated = &crypto.layer;
        let signer = Meaning { signer: device.signer(), undated };
        let messages = self.stage(&crypto, &signer, Content { add: &shown, ..content })?;
        let meant = self.mean_pending(undated);
        if let Err(fault) = meant {
            self.group.clear_pending_commit(self.provider.storage()).map_err(LibraryFault::storage)?;
            return Err(fault.into());
        }
        Ok(Messages {
            commit: undated.means(&messages.commit).into_owned(),
            group_info: undated.means(&messages.group_info).into_owned(),
            ..messages
        })
    }

    /// Makes the pending commit the one that is meant. OpenMLS keeps it to itself, so the group is loaded again.
    fn mean_pending(&mut self, undated: &Undated) -> Result<(), LibraryFault> {
        let (storage, group) = (self.provider.storage(), &mut self.group);
        let state = storage.slot(Slot::State).ok_or(LibraryFault::MissingState)?;
        let tree = postcard::to_allocvec(group.public_group().treesync()).map_err(LibraryFault::encoding)?;
        let changed = storage.take_changed();
        let secrets = storage
            .take_message_secrets(Value::default(), || {
                group.delete_past_epoch_secrets(&self.provider, no_deletion())
            })
            .map_err(LibraryFault::mls)?
            .ok_or(LibraryFault::MissingState)?;
        storage.fill(Slot::State, undated.mean_stored(&state).to_vec());
        storage.fill(Slot::Tree, tree);
        storage.fill(Slot::MessageSecrets, secrets.to_vec());
        storage.set_changed(changed);
        let loaded = MlsGroup::load(storage, group.group_id()).map_err(LibraryFault::storage);
        storage.drop_late();
        self.group = loaded?.ok_or(LibraryFault::MissingState)?;
        Ok(())
    }

    /// Makes the external commit with which the device joins on its own.
    pub(in crate::engine) fn join_external(
        device: &Device,
        room_id: &str,
        group_info: &[u8],
        commit_event_id: &str,
        tree: Option<&[u8]>,
        carriage: Carriage,
    ) -> Result<Self, Error> {
        let group_info: Framed<VerifiableGroupInfo> = framing::read(group_info).map_err(PeerFault::from)?;
        let view = GroupInfoView::read(&group_info).map_err(PeerFault::from)?;
        let group_info = group_info.value;
        if group_info.group_id().as_slice() != room_id.as_bytes() {
            return Err(PeerFault::WrongGroup { got: group_info.group_id().to_vec() }.into());
        }
        let got = group_info.ciphersuite();
        if got != device.suite().ciphersuite() {
            return Err(PeerFault::WrongSuite { expected: device.suite(), got: got.into() }.into());
        }
        framing::check_external_pub(&group_info, device.suite())?;
        let base = group_info.epoch().as_u64();
        if base == 0 {
            return Err(PeerFault::EpochOutOfRange { epoch: base }.into());
        }
        next_epoch(base)?;
        let UnverifiedTree { tree, nodes } = match (group_info.extensions().ratchet_tree(), tree) {
            (Some(within), _) => UnverifiedTree::within(within.ratchet_tree())?,
            (None, Some(apart)) => UnverifiedTree::read(apart, device.suite(), view.context.tree_hash())?,
            (None, None) => return Err(PeerFault::MissingRatchetTree.into()),
        };
        let crypto = Layered::<Ahead>::default();
        if let Some(nodes) = nodes {
            crypto.verify_leaves(&nodes, device.suite(), room_id.as_bytes());
        }
        let attempts = carriage.attempts(tree.leaves().count(), false);
        let (last, others) = attempts.split_last().ok_or(LibraryFault::MissingState)?;
        for with_tree in others {
            let attempt = Self::try_external(
                device,
                &crypto,
                &group_info,
                commit_event_id,
                tree.clone(),
                (*with_tree, false),
                carriage,
            );
            if !matches!(attempt, Err(Error::Caller(CallerFault::CommitTooLarge { .. }))) {
                return attempt;
            }
        }
        Self::try_external(device, &crypto, &group_info, commit_event_id, tree, (*last, true), carriage)
    }

    fn try_external(
        device: &Device,
        crypto: &Layered<Ahead>,
        group_info: &VerifiableGroupInfo,
        commit_event_id: &str,
        tree: RatchetTreeIn,
        (with_tree, last): (bool, bool),
        carriage: Carriage,
    ) -> Result<Self, Error> {
        let base = group_info.epoch().as_u64();
        let epoch = next_epoch(base)?;
        let provider = Provider::default();
        let leaf = LeafNodeParameters::builder().with_capabilities(device.capabilities()).build();
        let builder = MlsGroup::external_commit_builder()
            .with_config(join_config(0))
            // A leaf may well be older than the lifetime of the key package it came from.
            .skip_lifetime_validation()
            .with_ratchet_tree(tree);
        let (group, bundle) = builder
            .build_group(&LayeredProvider::new(crypto, &provider), group_info.clone(), device.with_key())
            .map_err(external_join_error)?
            .leaf_node_parameters(leaf)
            .load_psks(provider.storage())
            .map_err(LibraryFault::mls)?
            .use_ratchet_tree_extension(with_tree)
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), device.signer(), |_| true)
            .map_err(build_error)?
            .finalize(&provider)
            .map_err(finalize_error)?;
        let roster = match Roster::read(group.members()) {
            Ok(roster) => roster,
            Err(PeerFault::DuplicateDevice { address }) if address == *device.address() => {
                return Err(CallerFault::StaleOwnLeaf.into());
            }
            Err(fault) => return Err(fault.into()),
        };
        let prev = Some(commit_event_id.to_owned());
        let outbound = outbound(Messages::of(bundle)?, device.suite(), epoch, prev, Vec::new());
        let pending = Pending::new(place(outbound, carriage, last)?)?;
        let mut epochs = EpochMap::new();
        epochs.record(base, commit_event_id)?;
        Ok(Self::new(provider, group, roster, epochs, epoch, Some(pending), false))
    }
}

/// Decides whether a commit stands apart from its event.
fn place(commit: OutboundCommit, carriage: Carriage, last: bool) -> Result<OutboundCommit, CallerFault> {
    let apart = carriage.place(commit.message.len(), commit.public_group_state.len(), last)?;
    Ok(OutboundCommit { apart, ..commit })
}

/// What a commit of a member is to do.
#[derive(Clone, Copy)]
struct Content<'a> {
    add: &'a [MlsKeyPackage],
    remove: &'a BTreeSet<LeafNodeIndex>,
    update: bool,
    with_tree: bool,
}

/// What a commit consists of, encoded.
struct Messages {
    commit: Vec<u8>,
    welcome: Option<Vec<u8>>,
    group_info: Vec<u8>,
}

impl Messages {
    fn of(bundle: CommitMessageBundle) -> Result<Self, LibraryFault> {
        let (commit, welcome, group_info) = bundle.into_messages();
        let group_info = group_info.ok_or(LibraryFault::MissingState)?;
        Ok(Self {
            commit: encode(&commit)?,
            welcome: welcome.as_ref().map(encode).transpose()?,
            group_info: encode(&group_info)?,
        })
    }
}

fn outbound(
    messages: Messages,
    suite: Suite,
    epoch: u64,
    prev_commit_event_id: Option<String>,
    to: Vec<DeviceAddress>,
) -> OutboundCommit {
    let algorithm = suite.welcome_algorithm();
    OutboundCommit {
        message: messages.commit,
        apart: false,
        public_group_state: messages.group_info,
        welcome: messages.welcome.map(|message| OutboundWelcome { message, algorithm, to }),
        epoch,
        prev_commit_event_id,
    }
}
