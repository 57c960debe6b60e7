//! The commits a device makes.

use std::collections::BTreeSet;

use openmls::group::{CommitMessageBundle, MlsGroup};
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{LeafNodeParameters, RatchetTreeIn};
use openmls_traits::OpenMlsProvider as _;

use super::super::message::{Changes, OutboundCommit, OutboundWelcome};
use super::{Pending, RoomGroup, encode, join_config, next_epoch};
use crate::carriage::Carriage;
use crate::credential::DeviceAddress;
use crate::crypto::ahead::Ahead;
use crate::crypto::{Layered, LayeredProvider};
use crate::device::Device;
use crate::epoch::EpochMap;
use crate::error::{
    CallerFault, Error, LibraryFault, PeerFault, build_error, create_error, external_join_error,
    finalize_error,
};
use crate::framing::{self, Framed, GroupInfoView};
use crate::key_package::KeyPackage;
use crate::roster::Roster;
use crate::storage::Provider;
use crate::suite::Suite;
use crate::tree::UnverifiedTree;

impl RoomGroup {
    pub(in crate::engine) fn commit(
        &mut self,
        device: &Device,
        changes: Changes,
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

        // The leaf of a group that was just made has a lifetime like that of a key package, by the system's clock. With a
        // path nobody ever sees it.
        let update = update || self.epoch() == 0;
        let prev = self.epochs.event(self.epoch()).map(str::to_owned);
        let add: Vec<_> = add.into_iter().map(KeyPackage::into_inner).collect();
        let attempts = carriage.attempts(roster.members().count(), self.epoch() == 0);
        let (last, others) = attempts.split_last().ok_or(LibraryFault::MissingState)?;
        let attempts = others.iter().map(|tree| (*tree, false)).chain([(*last, true)]);
        let mut failure = Error::from(LibraryFault::MissingState);
        for (with_tree, last) in attempts {
            let bundle = self
                .group
                .commit_builder()
                .consume_proposal_store(false)
                .force_self_update(update)
                .propose_adds(add.iter().cloned())
                .propose_removals(leaves.iter().copied())
                .load_psks(self.provider.storage())
                .map_err(LibraryFault::mls)?
                .use_ratchet_tree_extension(with_tree)
                .create_group_info(true)
                .build(self.provider.rand(), self.provider.crypto(), device.signer(), |_| true)
                .map_err(build_error)?
                .stage_commit(&self.provider)
                .map_err(create_error)?;
            let outbound = outbound(bundle, device.suite(), epoch, prev.clone(), to.clone());
            let pending = outbound
                .map_err(Error::from)
                .and_then(|outbound| Ok(Pending::new(place(outbound, carriage, last)?)?));
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
            .with_config(join_config())
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
        let outbound = outbound(bundle, device.suite(), epoch, prev, Vec::new())?;
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

fn outbound(
    bundle: CommitMessageBundle,
    suite: Suite,
    epoch: u64,
    prev_commit_event_id: Option<String>,
    to: Vec<DeviceAddress>,
) -> Result<OutboundCommit, LibraryFault> {
    let (message, welcome, group_info) = bundle.into_messages();
    let group_info = group_info.ok_or(LibraryFault::MissingState)?;
    let welcome = match welcome {
        Some(welcome) => {
            Some(OutboundWelcome { message: encode(&welcome)?, algorithm: suite.welcome_algorithm(), to })
        }
        None => None,
    };
    Ok(OutboundCommit {
        message: encode(&message)?,
        apart: false,
        public_group_state: encode(&group_info)?,
        welcome,
        epoch,
        prev_commit_event_id,
    })
}
