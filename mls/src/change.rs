//! What a commit does to a group, and the rules every commit in a room must keep.
//!
//! A hub and the members judge commits by the same code, so that members follow whatever an honest hub lets through and
//! refuse what a dishonest one should not have.

use std::collections::BTreeSet;

use openmls::framing::Sender;
use openmls::group::StagedCommit;
use openmls::messages::proposals::{Proposal, ProposalOrRefType};
use openmls::prelude::LeafNodeIndex;
use openmls::treesync::LeafNode;

use crate::credential::{DeviceAddress, DeviceCredential};
use crate::error::{CommitError, LibraryFault, PeerFault};
use crate::key_package::{self, encryption_key};
use crate::roster::{Member, Roster, RosterChange};
use crate::suite::Suite;

/// What a commit does to a group. Whether it may is for the layer above to say: it knows who is joined to the room
/// (LM-04 §4.3), and which key each device has published ([`VerifiedDevice::owns_leaf`](crate::VerifiedDevice)).
/// Nothing in here proves that a leaf is of the device it names but that key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The epoch the commit makes.
    pub epoch: u64,
    /// Who committed, with the signature key of its leaf after the commit.
    pub committer: Member,
    /// The devices that come in, in the order of the commit. That of an external commit is among them; the first
    /// commit a tracker sees adds everybody.
    pub added: Vec<Member>,
    /// The devices that go, in the order of the commit. If the joiner of an external commit was in the group before, it
    /// is among them as well as among those that come in.
    pub removed: Vec<DeviceAddress>,
    /// Whether the committer joins by this very commit (RFC 9420 §12.4.3.2).
    pub external: bool,
    /// Whether the committer of an external commit was in the group before and takes the place of its old leaf.
    pub resync: bool,
    /// Whether a committer who was a member signs with another key from now on.
    pub new_signature_key: bool,
}

impl Change {
    /// Reads what a commit does, and checks what OpenMLS leaves to the application: that the proposals are of the kinds
    /// rooms use and by value, that every new leaf is a device's and usable, that the committer stays who it is, and
    /// that nobody ends up in the group twice.
    ///
    /// `before` is who was in the group, `sender` who sent the commit, according to its verified signature.
    ///
    /// What is returned second is the same as far as it concerns a roster.
    pub(crate) fn read(
        suite: Suite,
        before: &Roster,
        sender: &Sender,
        commit: &StagedCommit,
    ) -> Result<(Self, RosterChange), CommitError> {
        let mut added: Vec<Member> = Vec::new();
        let mut removed = Vec::new();
        let mut removed_leaves = BTreeSet::new();
        for queued in commit.queued_proposals() {
            if queued.proposal_or_ref_type() != ProposalOrRefType::Proposal {
                return Err(PeerFault::ProposalByReference.into());
            }
            match queued.proposal() {
                Proposal::Add(add) => added.push(key_package::check(add.key_package(), suite)?.into()),
                Proposal::Remove(remove) => {
                    let member = before.member(remove.removed()).ok_or(LibraryFault::MissingState)?;
                    removed.push(member.address.clone());
                    removed_leaves.insert(remove.removed());
                }
                Proposal::ExternalInit(_) => {}
                other => {
                    let proposal_type = other.proposal_type().into();
                    return Err(PeerFault::UnsupportedProposal { proposal_type }.into());
                }
            }
        }
        let mut roster_change = RosterChange { removed: removed_leaves.clone(), ..RosterChange::default() };
        let new_leaf = commit.update_path_leaf_node().map(|leaf| member_of(suite, leaf)).transpose()?;
        let (committer, earlier) = match sender {
            Sender::Member(leaf) => {
                let earlier = before.member(*leaf).ok_or(PeerFault::SenderNotInGroup)?;
                removed_leaves.insert(*leaf);
                let committer = new_leaf.unwrap_or_else(|| earlier.clone());
                if committer != *earlier {
                    roster_change.replaced = Some((*leaf, committer.clone()));
                }
                (committer, Some(earlier))
            }
            Sender::NewMemberCommit => (new_leaf.ok_or(PeerFault::SenderNotInGroup)?, None),
            Sender::External(_) | Sender::NewMemberProposal => {
                return Err(PeerFault::SenderMayNotCommit.into());
            }
        };
        if let Some(earlier) = earlier
            && earlier.address != committer.address
        {
            let (before, after) = (earlier.address.clone(), committer.address);
            return Err(PeerFault::IdentityChanged { before, after }.into());
        }
        let external = earlier.is_none();
        if external && let Some(other) = removed.iter().find(|address| **address != committer.address) {
            let (joiner, removed) = (committer.address, other.clone());
            return Err(PeerFault::RemovedByJoiner { joiner, removed }.into());
        }
        before.check_coming(&removed_leaves, added.iter().chain([&committer]))?;
        if external {
            added.push(committer.clone());
        }
        roster_change.added.clone_from(&added);
        Ok((Self::new(commit.epoch().as_u64(), committer, earlier, added, removed), roster_change))
    }
}

/// What a commit of our own does to the roster. It was checked when it was made.
pub(crate) fn own_change(
    before: &Roster,
    own_leaf: LeafNodeIndex,
    commit: &StagedCommit,
) -> Result<RosterChange, PeerFault> {
    let mut change = RosterChange::default();
    for queued in commit.queued_proposals() {
        match queued.proposal() {
            Proposal::Add(add) => {
                let leaf = add.key_package().leaf_node();
                let credential =
                    DeviceCredential::of_leaf(leaf.credential(), leaf.signature_key().as_slice())?;
                change.added.push(credential.into());
            }
            Proposal::Remove(remove) => drop(change.removed.insert(remove.removed())),
            _ => {}
        }
    }
    if let Some(leaf) = commit.update_path_leaf_node() {
        let credential = DeviceCredential::of_leaf(leaf.credential(), leaf.signature_key().as_slice())?;
        let member = Member::from(credential);
        if before.member(own_leaf) != Some(&member) {
            change.replaced = Some((own_leaf, member));
        }
    }
    Ok(change)
}

/// Whose leaf it is, if something can be encrypted to it.
pub(crate) fn member_of(suite: Suite, leaf: &LeafNode) -> Result<Member, CommitError> {
    let credential = DeviceCredential::of_leaf(leaf.credential(), leaf.signature_key().as_slice())
        .map_err(PeerFault::from)?;
    if suite.can_encrypt_to(&encryption_key(leaf)?) {
        Ok(credential.into())
    } else {
        Err(PeerFault::UnusableKey { address: credential.address().clone() }.into())
    }
}
