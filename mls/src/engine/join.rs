//! The ways of a device into a group.

use openmls::group::StagedWelcome;
use openmls::key_packages::KeyPackageBundle;
use openmls::messages::Welcome;
use openmls::prelude::KeyPackageRef;
use openmls_traits::OpenMlsProvider as _;
use openmls_traits::storage::StorageProvider as _;

use super::Engine;
use super::group::{RoomGroup, join_config};
use super::intent::Intent;
use super::message::{Joined, OutboundCommit};
use crate::carriage::Carriage;
use crate::crypto::ahead::Ahead;
use crate::crypto::{Layered, LayeredProvider};
use crate::epoch::MAX_EPOCH;
use crate::error::{Error, LibraryFault, PeerFault, welcome_error};
use crate::framing;
use crate::roster::Roster;
use crate::tree::UnverifiedTree;

impl Engine {
    /// Joins a group with a Welcome, which came with the id of the commit event that added this device (LM-04 §4.3).
    ///
    /// The key package it uses up is gone afterwards, unless it is one of last resort; if the Welcome is not valid, it
    /// is kept. Neither that the room is one the device's user is joined to, nor that the event is what the sender says,
    /// can be checked here.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] with what is wrong with the Welcome, [`Error::Caller`] if the device has to do with the group
    /// already.
    pub fn join(&mut self, welcome: &[u8], commit_event_id: &str) -> Result<Joined, Error> {
        self.join_with_tree(welcome, commit_event_id, None)
    }

    /// Joins like [`join`](Self::join) with a Welcome whose GroupInfo leaves the ratchet tree out, which is then `tree`:
    /// the one after the commit event, from the hub (reading R35). If the GroupInfo has the tree, `tree` is not looked
    /// at.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join), with [`PeerFault::Tree`] if `tree` is not the one that the GroupInfo speaks of. Without
    /// a tree where one is needed it is [`PeerFault::MissingRatchetTree`]; the Welcome can be tried again.
    pub fn join_with_tree(
        &mut self,
        welcome: &[u8],
        commit_event_id: &str,
        tree: Option<&[u8]>,
    ) -> Result<Joined, Error> {
        let welcome: Welcome = framing::read(welcome).map_err(PeerFault::from)?.value;
        // OpenMLS deletes the key package it finds before it knows whether the Welcome is any good, and anybody can
        // make a bad one that names it.
        let storage = self.device.provider().storage();
        let mut kept: Vec<(KeyPackageRef, KeyPackageBundle)> = Vec::new();
        for secret in welcome.secrets() {
            let reference = secret.new_member();
            if let Some(bundle) = storage.key_package(&reference).map_err(LibraryFault::storage)? {
                kept.push((reference, bundle));
            }
        }
        let result = self.join_with(welcome, commit_event_id, tree);
        if result.is_err() {
            let storage = self.device.provider().storage();
            for (reference, bundle) in &kept {
                storage.write_key_package(reference, bundle).map_err(LibraryFault::storage)?;
            }
        }
        result
    }

    fn join_with(
        &mut self,
        welcome: Welcome,
        commit_event_id: &str,
        tree: Option<&[u8]>,
    ) -> Result<Joined, Error> {
        let crypto = Layered::<Ahead>::default();
        let provider = LayeredProvider::new(&crypto, self.device.provider());
        let mut staged =
            StagedWelcome::build_from_welcome(&provider, &join_config(0), welcome).map_err(welcome_error)?;
        let last_resort = staged
            .processed_welcome()
            .own_key_package()
            .is_some_and(openmls::key_packages::KeyPackage::last_resort);
        let group_info = staged.processed_welcome().unverified_group_info();
        let suite = self.device.suite();
        let unverified = match (group_info.extensions().ratchet_tree(), tree) {
            (Some(within), _) => Some(UnverifiedTree::within(within.ratchet_tree())?),
            (None, Some(apart)) => {
                Some(UnverifiedTree::read(apart, suite, group_info.group_context().tree_hash())?)
            }
            (None, None) => None,
        };
        if let Some(UnverifiedTree { tree, nodes }) = unverified {
            if let Some(nodes) = nodes {
                crypto.verify_leaves(&nodes, suite, group_info.group_id().as_slice());
            }
            staged = staged.with_ratchet_tree(tree);
        }
        // A leaf may well be older than the lifetime of the key package it came from.
        let staged = staged.skip_lifetime_validation().build().map_err(welcome_error)?;
        let context = staged.group_context();
        let room_id =
            String::from_utf8(context.group_id().to_vec()).map_err(|_| PeerFault::GroupIdNotUtf8)?;
        let epoch = context.epoch().as_u64();
        if epoch == 0 || epoch > MAX_EPOCH {
            return Err(PeerFault::EpochOutOfRange { epoch }.into());
        }
        let roster = Roster::read(staged.members())?;
        let added_by =
            roster.member(staged.welcome_sender_index()).ok_or(PeerFault::UnknownGroupInfoSigner)?.clone();
        self.check_vacant(&room_id)?;
        let group = RoomGroup::join(staged, roster, commit_event_id)?;
        self.rooms.insert(room_id.clone(), group);
        self.intents.remove(&room_id);
        Ok(Joined { room_id, epoch, added_by, last_resort })
    }

    /// Makes an external commit with which the device joins the room's group on its own, from the group state that the
    /// commit event `commit_event_id` published. The device is not a member before the commit is
    /// [`accepted`](Self::accepted).
    ///
    /// If the group contains this device with the same signature key, the old leaf is removed by the same commit. To
    /// replace a group that is out of step, [`forget`](Self::forget) it first.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] with what is wrong with the group state, [`Error::Caller`] if the device has to do with the group
    /// already, or is in it with another signature key.
    pub fn join_external(
        &mut self,
        room_id: &str,
        group_info: &[u8],
        commit_event_id: &str,
    ) -> Result<OutboundCommit, Error> {
        self.join_external_with_tree(room_id, group_info, commit_event_id, None, Carriage::default())
    }

    /// Joins like [`join_external`](Self::join_external) from a group state that leaves the ratchet tree out, which is
    /// then `tree`: the one after the commit event, from the hub (reading R35). If the group state has the tree, `tree`
    /// is not looked at. `carriage` says what may stand apart from the event of the commit that this makes.
    ///
    /// # Errors
    ///
    /// As [`join_external`](Self::join_external), with [`PeerFault::Tree`] if `tree` is not the one that the group state
    /// speaks of, [`PeerFault::MissingRatchetTree`] without a tree where one is needed, and
    /// [`CallerFault::CommitTooLarge`](crate::CallerFault::CommitTooLarge).
    pub fn join_external_with_tree(
        &mut self,
        room_id: &str,
        group_info: &[u8],
        commit_event_id: &str,
        tree: Option<&[u8]>,
        carriage: Carriage,
    ) -> Result<OutboundCommit, Error> {
        self.check_vacant(room_id)?;
        let group =
            RoomGroup::join_external(&self.device, room_id, group_info, commit_event_id, tree, carriage)?;
        let outbound = group.pending().cloned().ok_or(LibraryFault::MissingState)?;
        self.intents.insert(room_id.to_owned(), Intent::join(group.is_resync(), carriage));
        self.rooms.insert(room_id.to_owned(), group);
        Ok(outbound)
    }
}
