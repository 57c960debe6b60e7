//! A group as somebody sees it who is not in it.

mod published;
mod snapshot;
mod start;
mod tree;

use std::sync::Arc;

use openmls::framing::{ProcessedMessageContent, PublicMessageIn, Sender};
use openmls::group::{PublicGroup, PublicProcessMessageError, StagedCommit};
use openmls_rust_crypto::RustCrypto;
use tls_codec::Serialize as _;

use self::published::{check_context, check_group_info, read_group_info};
use crate::change::{Change, member_of};
use crate::credential::{DeviceAddress, DeviceCredential};
use crate::crypto::Layered;
use crate::crypto::undated::Undated;
use crate::epoch::MAX_EPOCH;
use crate::error::{
    CallerFault, CommitError, Epochs, GroupStatePart, LibraryFault, PeerFault, is_lifetime, merge_error,
    process_public_error,
};
use crate::framing::{self, CommitView, Framed};
use crate::key_package::{check_lifetime, encryption_key};
use crate::roster::{Member, Roster, RosterChange};
use crate::storage::{GroupStore, StoredGroup};
use crate::suite::Suite;
use crate::tree::UnverifiedTree;

/// The public state of a room's group, followed commit by commit: what a hub knows of it, and a participant that checks
/// the hub (LM-04 §4.3).
///
/// A tracker has none of the group's secrets. It cannot check membership tags, whether a confirmation tag is the right
/// one rather than just the one that the signed GroupInfo repeats, whether a path is encrypted to those who should read
/// it, and whether the external public key is the group's. Members check all of these but the last.
///
/// Checking a commit takes time linear in the size of the group, most of it in looking for keys that are there twice.
#[derive(Debug)]
pub struct GroupTracker {
    room_id: String,
    suite: Suite,
    group: PublicGroup,
    /// The same state, encoded as OpenMLS stores it, without the tree.
    stored: StoredGroup,
    roster: Arc<Roster>,
}

/// A commit that was checked against a [`GroupTracker`] and not applied yet.
#[derive(Debug)]
#[must_use = "a staged change has no effect until it is merged"]
pub struct StagedChange {
    room_id: String,
    change: Change,
    /// The epoch and the confirmation tag of the state that the commit was checked against.
    base: (u64, Vec<u8>),
    commit: Box<StagedCommit>,
    before: Arc<Roster>,
    roster_change: RosterChange,
}

impl StagedChange {
    /// What the commit does.
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// The members after the commit, in the order of their leaves.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.before.members_after(&self.roster_change)
    }
}

impl GroupTracker {
    /// Starts with the first commit that is seen: that with which the creator of the room makes its group, or for
    /// somebody who comes later any other (LM-04 §4.2).
    ///
    /// `group_info` is the group's state after the commit. It must carry the ratchet tree; if it does not, see
    /// [`start_with_tree`](Self::start_with_tree). Its signature, the tree's
    /// hash, the group id, the suite and every leaf are checked. `message` must be a commit of this group that makes
    /// the epoch of `group_info`, with the same confirmation tag, and of somebody who is in the tree; what it says
    /// besides cannot be checked without the state before it, and is taken on trust. A leaf's lifetime may be over, if
    /// the group has an external public key.
    ///
    /// The change that is returned has everybody in the group as added.
    ///
    /// # Errors
    ///
    /// [`CommitError::Peer`] with what is wrong with either message.
    pub fn start(
        room_id: &str,
        suite: Suite,
        message: &[u8],
        group_info: &[u8],
    ) -> Result<(Self, Change), CommitError> {
        Self::start_with_tree(room_id, suite, message, group_info, None)
    }

    /// Starts like [`start`](Self::start) with a group state that leaves the ratchet tree out, which is then `tree`: the
    /// one after the commit, from the hub (reading R35). If the group state has the tree, `tree` is not looked at.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), with [`PeerFault::Tree`] if `tree` is not the one that the group state speaks of, and
    /// [`PeerFault::MissingRatchetTree`] without a tree where one is needed.
    pub fn start_with_tree(
        room_id: &str,
        suite: Suite,
        message: &[u8],
        group_info: &[u8],
        tree: Option<&[u8]>,
    ) -> Result<(Self, Change), CommitError> {
        let message = read_commit(message)?;
        let commit = CommitView::read(&message)?;
        commit.check(room_id.as_bytes(), suite)?;
        let (group_info, info) = read_group_info(room_id, suite, group_info)?;
        let epoch = info.context.epoch().as_u64();
        if epoch == 0 || epoch > MAX_EPOCH {
            return Err(PeerFault::EpochOutOfRange { epoch }.into());
        }
        check_epoch(epoch - 1, commit.epoch)?;
        if message.value.confirmation_tag() != Some(&info.confirmation_tag) {
            return Err(mismatch(GroupStatePart::ConfirmationTag));
        }
        let tree = match (group_info.value.extensions().ratchet_tree(), tree) {
            (Some(within), _) => UnverifiedTree::within(within.ratchet_tree())?,
            (None, Some(apart)) => UnverifiedTree::read(apart, suite, info.context.tree_hash())?,
            (None, None) => return Err(PeerFault::MissingRatchetTree.into()),
        };

        let (group, stored) = start::load(suite, tree, group_info.value, &info)?;
        for (_, leaf) in group.treesync().full_leaves() {
            member_of(suite, leaf)?;
        }
        let roster = Arc::new(Roster::read(group.members())?);
        let tracker = Self { room_id: room_id.to_owned(), suite, group, stored, roster };

        let committer = tracker.first_committer(&commit)?;
        let external = commit.sender == Sender::NewMemberCommit;
        let change = Change {
            epoch,
            committer,
            added: tracker.members().cloned().collect(),
            removed: Vec::new(),
            external,
            resync: external && commit.removes(),
            new_signature_key: false,
        };
        Ok((tracker, change))
    }

    /// Who sent the commit that made the present state, as far as the state shows it.
    fn first_committer(&self, commit: &CommitView) -> Result<Member, CommitError> {
        let member = match (&commit.sender, &commit.path_leaf) {
            (Sender::Member(leaf), path) => {
                let member = self.roster.member(*leaf).ok_or(PeerFault::SenderNotInGroup)?;
                if let Some(path) = path {
                    let leaf = self.group.leaf(*leaf).ok_or(LibraryFault::MissingState)?;
                    if encryption_key(leaf)? != path.encryption_key
                        || member.signature_key != path.signature_key
                    {
                        return Err(mismatch(GroupStatePart::Committer));
                    }
                }
                member.clone()
            }
            (Sender::NewMemberCommit, Some(path)) => {
                let mut leaves = self.group.members();
                let leaf = leaves
                    .find(|leaf| {
                        leaf.encryption_key == path.encryption_key
                            && leaf.signature_key == path.signature_key
                            && leaf.credential == path.credential
                    })
                    .ok_or(mismatch(GroupStatePart::Committer))?;
                DeviceCredential::of_leaf(&leaf.credential, &leaf.signature_key)
                    .map_err(PeerFault::from)?
                    .into()
            }
            _ => return Err(mismatch(GroupStatePart::Committer)),
        };
        Ok(member)
    }

    /// Checks a commit against the present state, without changing anything.
    ///
    /// `message` must be a PublicMessage that holds a valid commit for the present epoch. Its proposals must be adds,
    /// removes, or what an external commit consists of, each by value. Every leaf that is added must hold the credential
    /// of a device, with the leaf's own key in it, and the committer must stay the device it is. `group_info` must be
    /// the group's state after the commit, signed by a member: with the same context and confirmation tag, and, if it
    /// carries a ratchet tree, the same tree.
    ///
    /// The key packages of devices that are added must be within their lifetimes by the system's clock; to hand in
    /// another time there is [`stage_at`](Self::stage_at). Who may add or remove whom is not judged here;
    /// [`StagedChange::change`] has what is needed for that.
    ///
    /// # Errors
    ///
    /// [`CommitError::Peer`] with what is wrong with either message.
    pub fn stage(&self, message: &[u8], group_info: &[u8]) -> Result<StagedChange, CommitError> {
        self.stage_when(message, group_info, None)
    }

    /// Checks a commit like [`stage`](Self::stage), as at the time `now` in Unix seconds. No clock plays a part then, so
    /// that a list of commits can be checked at any later time, each as at its own.
    ///
    /// # Errors
    ///
    /// As [`stage`](Self::stage), with [`PeerFault::KeyPackage`] for a device that is added with a key package which
    /// could not be used at that time.
    pub fn stage_at(&self, message: &[u8], group_info: &[u8], now: u64) -> Result<StagedChange, CommitError> {
        self.stage_when(message, group_info, Some(now))
    }

    fn stage_when(
        &self,
        message: &[u8],
        group_info: &[u8],
        now: Option<u64>,
    ) -> Result<StagedChange, CommitError> {
        let message = read_commit(message)?;
        let commit = CommitView::read(&message)?;
        commit.check(self.room_id.as_bytes(), self.suite)?;
        check_epoch(self.epoch(), commit.epoch)?;
        if self.epoch() >= MAX_EPOCH {
            return Err(PeerFault::EpochOutOfRange { epoch: MAX_EPOCH + 1 }.into());
        }
        if matches!(commit.sender, Sender::Member(leaf) if self.roster.member(leaf).is_none()) {
            return Err(PeerFault::SenderNotInGroup.into());
        }
        let (group_info, info) = read_group_info(&self.room_id, self.suite, group_info)?;
        let tag = message.value.confirmation_tag().cloned();

        let epochs = Epochs { group: self.epoch(), message: commit.epoch };
        let (processed, undated) = match self.group.process_message(&RustCrypto::default(), message.value) {
            Err(PublicProcessMessageError::ValidationError(error))
                if now.is_some() && is_lifetime(&error) =>
            {
                let error = || PublicProcessMessageError::ValidationError(error);
                let (undated, shown) =
                    Undated::show(&message.bytes)?.ok_or_else(|| process_public_error(error(), epochs))?;
                let crypto = Layered::new(undated);
                (self.group.process_message(&crypto, shown), Some(crypto.layer))
            }
            processed => (processed, None),
        };
        let processed = processed.map_err(|error| process_public_error(error, epochs))?;
        let sender = processed.sender().clone();
        let ProcessedMessageContent::StagedCommitMessage(mut commit) = processed.into_content() else {
            return Err(PeerFault::NotACommit.into());
        };
        if let Some(undated) = undated {
            commit = undated.mean(&commit)?;
        }
        if let Some(now) = now {
            for add in commit.add_proposals() {
                check_lifetime(add.add_proposal().key_package(), now)?;
            }
        }
        let (change, roster_change) = Change::read(self.suite, &self.roster, &sender, &commit)?;
        if tag.as_ref() != Some(&info.confirmation_tag) {
            // The context says more about what went wrong, if that differs as well.
            check_context(&commit, &info)?;
            return Err(mismatch(GroupStatePart::ConfirmationTag));
        }
        let signer = self.roster.member_after(&roster_change, info.signer);
        check_group_info(&commit, signer, self.suite, &group_info, &info)?;
        Ok(StagedChange {
            room_id: self.room_id.clone(),
            change,
            base: self.state()?,
            commit,
            before: Arc::clone(&self.roster),
            roster_change,
        })
    }

    /// Applies a change that was staged in the present state.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`](crate::Error::Caller) if the change was staged by another tracker or in another state; the
    /// tracker is unchanged then.
    pub fn merge(&mut self, staged: StagedChange) -> Result<Change, crate::Error> {
        let StagedChange { room_id, change, base, commit, before, roster_change } = staged;
        let here = self.state()?;
        if room_id != self.room_id {
            return Err(CallerFault::ForeignChange.into());
        }
        if base.0 != here.0 {
            return Err(CallerFault::StaleChange { tracker: here.0, staged: base.0 }.into());
        }
        if base != here {
            return Err(CallerFault::ForeignChange.into());
        }
        drop(before);
        let store = GroupStore::new(self.stored.clone());
        self.group.merge_commit(&store, *commit).map_err(merge_error)?;
        self.stored = store.into_inner();
        Arc::make_mut(&mut self.roster).follow(roster_change, &self.group)?;
        Ok(change)
    }

    /// What tells the present state from any other: the epoch and the confirmation tag, which covers all that happened
    /// before.
    fn state(&self) -> Result<(u64, Vec<u8>), LibraryFault> {
        let tag = self.group.confirmation_tag().tls_serialize_detached().map_err(LibraryFault::encoding)?;
        Ok((self.epoch(), tag))
    }

    #[cfg(test)]
    pub(crate) fn public_group(&self) -> &PublicGroup {
        &self.group
    }

    /// The room whose group it is.
    pub fn room_id(&self) -> &str {
        &self.room_id
    }

    /// The group's cipher suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The group's epoch: 1 after the room's first commit.
    pub fn epoch(&self) -> u64 {
        self.group.group_context().epoch().as_u64()
    }

    /// The ratchet tree of the present epoch, as whoever joins the group needs it beside a GroupInfo that leaves it out
    /// (RFC 9420 §12.4.3.3).
    ///
    /// # Errors
    ///
    /// [`LibraryFault`] if encoding fails.
    pub fn ratchet_tree(&self) -> Result<Vec<u8>, LibraryFault> {
        self.group.export_ratchet_tree().tls_serialize_detached().map_err(LibraryFault::encoding)
    }

    /// The members, in the order of their leaves.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.roster.members()
    }

    /// The member that is the device at `address`.
    pub fn member(&self, address: &DeviceAddress) -> Option<&Member> {
        self.roster.members().find(|member| member.address == *address)
    }
}

fn mismatch(part: GroupStatePart) -> CommitError {
    PeerFault::GroupStateMismatch { part }.into()
}

fn read_commit(bytes: &[u8]) -> Result<Framed<PublicMessageIn>, PeerFault> {
    Ok(framing::read(bytes)?)
}

fn check_epoch(expected: u64, got: u64) -> Result<(), PeerFault> {
    match got.cmp(&expected) {
        core::cmp::Ordering::Less => Err(PeerFault::StaleEpoch { expected, got }),
        core::cmp::Ordering::Equal => Ok(()),
        core::cmp::Ordering::Greater => Err(PeerFault::EpochAhead { expected, got }),
    }
}

#[cfg(test)]
mod tests;
