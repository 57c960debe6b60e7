//! Commits against memberships (LM-04 §4.3, reading R28).

use mimi_mls::{
    Change, CommitError, DeviceAddress, GroupTracker, KeyPackageError, Member, PeerFault, StagedChange, Suite,
};

use super::apart::whole_content;
use super::{Apart, Devices, LeafOwner};
use crate::auth::{Because, Membership, MlsRule, Refusal};
use crate::event::Event;
use crate::id::{DeviceId, UserId};
use crate::room::Room;
use crate::version::Authorization;

/// A commit that fits the group and the room, not yet taken into the group.
#[derive(Debug)]
pub struct StagedCommit {
    suite: Suite,
    rules: Authorization,
    staged: Staged,
}

#[derive(Debug)]
enum Staged {
    First(Box<(GroupTracker, Change)>),
    Later(Box<StagedChange>),
}

impl StagedCommit {
    /// What the commit does to the group.
    #[must_use]
    pub fn change(&self) -> &Change {
        match &self.staged {
            Staged::First(first) => &first.1,
            Staged::Later(staged) => staged.change(),
        }
    }

    /// The cipher suite of the room's group.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The leaves that are new with this commit: of the devices that come in, and of a committer with a new signature
    /// key.
    pub fn new_leaves(&self) -> impl Iterator<Item = &Member> {
        let change = self.change();
        change.added.iter().chain(change.new_signature_key.then_some(&change.committer))
    }

    /// The devices of new leaves of which nothing is known: their users' servers have to be asked before
    /// [`check_devices`](Self::check_devices).
    pub fn unknown_devices<'s>(&'s self, devices: &'s Devices) -> impl Iterator<Item = &'s DeviceAddress> {
        let unknown = self.new_leaves().filter(|leaf| devices.owner(self.suite, leaf) == LeafOwner::Unknown);
        unknown.map(|leaf| &leaf.address)
    }

    /// Checks that every new leaf is of the device it names (LM-04 §4.1, reading R39): a hub does that before it seals
    /// the event. A device of which nothing is known is refused too: its user's server could not be asked.
    ///
    /// # Errors
    /// [`MlsRule::Credential`], with the leaf and what is wrong with it.
    pub fn check_devices(&self, devices: &Devices) -> Result<(), Refusal> {
        self.refuse(devices, |owner| owner != LeafOwner::Owned)
    }

    /// As [`check_devices`](Self::check_devices), but devices of which nothing is known are passed by. A participant does
    /// that with its own users' devices, and notes what it finds; the commit stands, as what it knows is not what the
    /// hub knew, and both have to come to the same group (reading R40).
    ///
    /// # Errors
    /// [`MlsRule::Credential`], with the leaf and what is wrong with it.
    pub fn check_known_devices(&self, devices: &Devices) -> Result<(), Refusal> {
        self.refuse(devices, |owner| !matches!(owner, LeafOwner::Owned | LeafOwner::Unknown))
    }

    fn refuse(&self, devices: &Devices, refused: impl Fn(LeafOwner) -> bool) -> Result<(), Refusal> {
        for leaf in self.new_leaves() {
            let owner = devices.owner(self.suite, leaf);
            if refused(owner) {
                let because = Because::Leaf { device: leaf.address.to_string(), owner };
                self.rules.confirm::<()>(Err(Refusal::new(MlsRule::Credential, because)))?;
            }
        }
        Ok(())
    }

    pub(super) fn merge_into(self, tracker: &mut Option<GroupTracker>) {
        match (self.staged, tracker) {
            (Staged::First(first), slot) => *slot = Some(first.0),
            (Staged::Later(change), Some(tracker)) => {
                // The room hands over only commits staged against this very tracker, one at a time.
                let merged = tracker.merge(*change);
                debug_assert!(merged.is_ok(), "a commit was staged for another epoch: {merged:?}");
            }
            (Staged::Later(_), None) => debug_assert!(false, "a later commit without a group"),
        }
    }
}

/// Checks a commit event: its form, then MLS, then the memberships.
pub(super) fn stage(
    suite: Suite,
    tracker: Option<&GroupTracker>,
    room: &Room,
    event: &Event,
    apart: &Apart,
) -> Result<StagedCommit, Refusal> {
    let content = whole_content(event, apart)?;
    let rules = room.version().authorization;
    match tracker {
        None => {
            let (message, state) = (&content.message, &content.public_group_state);
            let tree = apart.tree.as_deref();
            let (tracker, change) =
                GroupTracker::start_with_tree(room.id().as_str(), suite, message, state, tree)
                    .map_err(|error| refusal(&error))?;
            check_committer(&change, event)?;
            if room.is_whole() && change.epoch != FIRST_EPOCH {
                // Whoever was added in the epochs before would be judged by nobody.
                let (found, expected) = (change.epoch.to_string(), FIRST_EPOCH.to_string());
                let because = Because::Differs { what: "the epoch of the first commit", found, expected };
                return Err(Refusal::new(MlsRule::Epoch, because));
            }
            // A participant that comes later finds a group whose members it cannot judge one by one: who left may
            // still wait to be removed.
            if change.epoch == FIRST_EPOCH {
                check_added(&change, room)?;
            }
            Ok(StagedCommit { suite, rules, staged: Staged::First(Box::new((tracker, change))) })
        }
        Some(tracker) => {
            let staged = tracker
                .stage(&content.message, &content.public_group_state)
                .map_err(|error| refusal(&error))?;
            check_committer(staged.change(), event)?;
            check_added(staged.change(), room)?;
            check_removed(staged.change(), room)?;
            Ok(StagedCommit { suite, rules, staged: Staged::Later(Box::new(staged)) })
        }
    }
}

/// The epoch that a room's first commit makes (reading R28).
const FIRST_EPOCH: u64 = 1;

/// The event's sender is the committer's user.
fn check_committer(change: &Change, event: &Event) -> Result<(), Refusal> {
    let committer = change.committer.address.user_id();
    if *event.sender() == *committer {
        return Ok(());
    }
    let because = Because::Differs {
        what: "the sender",
        found: event.sender().to_string(),
        expected: committer.to_owned(),
    };
    Err(Refusal::new(MlsRule::Committer, because))
}

/// Every device that comes in belongs to a joined user, unless anybody may read the room.
fn check_added(change: &Change, room: &Room) -> Result<(), Refusal> {
    let may_come = |user: &str| {
        UserId::parse(user)
            .is_ok_and(|user| room.is_world_readable() || room.membership(&user) == Membership::Join)
    };
    for member in &change.added {
        // Nobody could ask for such a device, or send it anything.
        if DeviceId::parse(member.address.device_id()).is_err() {
            return Err(Refusal::new(MlsRule::Credential, device(&member.address, room)));
        }
    }
    match change.added.iter().find(|member| !may_come(member.address.user_id())) {
        Some(member) => Err(Refusal::new(MlsRule::AddedNotJoined, device(&member.address, room))),
        None => Ok(()),
    }
}

/// Every device that goes is the committer's user's own, or its user is not joined any more.
fn check_removed(change: &Change, room: &Room) -> Result<(), Refusal> {
    let may_go = |user: &str| {
        user == change.committer.address.user_id()
            || !UserId::parse(user).is_ok_and(|user| room.membership(&user) == Membership::Join)
    };
    match change.removed.iter().find(|address| !may_go(address.user_id())) {
        Some(address) => Err(Refusal::new(MlsRule::RemovedIllegally, device(address, room))),
        None => Ok(()),
    }
}

fn device(address: &DeviceAddress, room: &Room) -> Because {
    let (user, device) = (address.user_id().to_owned(), address.device_id().to_owned());
    let is = UserId::parse(&user).map_or(Membership::Leave, |user| room.membership(&user));
    Because::Device { user, device, is }
}

/// Names the rule that an MLS error breaks.
fn refusal(error: &CommitError) -> Refusal {
    let rule = match error {
        CommitError::Peer(fault) => rule(fault),
        _ => MlsRule::Malformed,
    };
    Refusal::new(rule, Because::Mls(error.to_string()))
}

fn rule(fault: &PeerFault) -> MlsRule {
    match fault {
        PeerFault::NotPublicMessage { .. } | PeerFault::NotACommit => MlsRule::NotPublic,
        PeerFault::WrongGroup { .. } => MlsRule::OtherGroup,
        PeerFault::WrongSuite { .. } => MlsRule::OtherSuite,
        PeerFault::StaleEpoch { .. } | PeerFault::EpochAhead { .. } | PeerFault::EpochOutOfRange { .. } => {
            MlsRule::Epoch
        }
        PeerFault::SenderNotInGroup
        | PeerFault::SenderMayNotCommit
        | PeerFault::BadSignature { .. }
        | PeerFault::IdentityChanged { .. } => MlsRule::Committer,
        PeerFault::ProposalByReference
        | PeerFault::UnsupportedProposal { .. }
        | PeerFault::RepeatedProposal => MlsRule::Proposals,
        PeerFault::Lifetime(_)
        | PeerFault::KeyPackage(KeyPackageError::Expired { .. } | KeyPackageError::NotYetValid { .. }) => {
            MlsRule::Lifetime
        }
        PeerFault::Credential(_)
        | PeerFault::DuplicateDevice { .. }
        | PeerFault::DuplicateKey
        | PeerFault::UnusableKey { .. }
        | PeerFault::KeyPackage(_) => MlsRule::Credential,
        PeerFault::RemovedByJoiner { .. } => MlsRule::RemovedIllegally,
        PeerFault::Tree(_) => MlsRule::Apart,
        PeerFault::MissingRatchetTree
        | PeerFault::MissingExternalPub
        | PeerFault::InvalidTree(_)
        | PeerFault::GroupStateMismatch { .. }
        | PeerFault::UnknownGroupInfoSigner => MlsRule::GroupState,
        _ => MlsRule::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use mimi_mls::framing::MessageKind;
    use mimi_mls::{CredentialError, TreeError};

    use super::*;

    /// The rooms of [`super::super::tests`] show most of these; some need a peer that breaks MLS itself, which `mimi-mls`
    /// has in its own tests.
    #[test]
    fn faults_have_their_rules() {
        let address = |device: &str| DeviceAddress::new("@bob:b.example", device).unwrap();
        for (fault, expected) in [
            (PeerFault::NotPublicMessage { got: MessageKind::PrivateMessage }, MlsRule::NotPublic),
            (PeerFault::NotACommit, MlsRule::NotPublic),
            (PeerFault::WrongGroup { got: Vec::new() }, MlsRule::OtherGroup),
            (
                PeerFault::WrongSuite { expected: Suite::DhKemX25519Aes128GcmSha256Ed25519, got: 3 },
                MlsRule::OtherSuite,
            ),
            (PeerFault::StaleEpoch { expected: 2, got: 1 }, MlsRule::Epoch),
            (PeerFault::EpochAhead { expected: 1, got: 2 }, MlsRule::Epoch),
            (PeerFault::SenderNotInGroup, MlsRule::Committer),
            (PeerFault::SenderMayNotCommit, MlsRule::Committer),
            (PeerFault::IdentityChanged { before: address("A"), after: address("B") }, MlsRule::Committer),
            (PeerFault::ProposalByReference, MlsRule::Proposals),
            (PeerFault::UnsupportedProposal { proposal_type: 4 }, MlsRule::Proposals),
            (PeerFault::RepeatedProposal, MlsRule::Proposals),
            (PeerFault::KeyPackage(KeyPackageError::Expired { not_after: 0, now: 1 }), MlsRule::Lifetime),
            (PeerFault::Credential(CredentialError::NotCanonical), MlsRule::Credential),
            (PeerFault::DuplicateDevice { address: address("A") }, MlsRule::Credential),
            (PeerFault::DuplicateKey, MlsRule::Credential),
            (
                PeerFault::RemovedByJoiner { joiner: address("A"), removed: address("B") },
                MlsRule::RemovedIllegally,
            ),
            (PeerFault::Tree(TreeError::WrongTree), MlsRule::Apart),
            (PeerFault::MissingRatchetTree, MlsRule::GroupState),
            (PeerFault::UnknownGroupInfoSigner, MlsRule::GroupState),
            (PeerFault::BadConfirmationTag, MlsRule::Malformed),
        ] {
            assert_eq!(rule(&fault), expected, "{fault}");
        }
    }
}
