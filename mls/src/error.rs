//! Whose fault a failure is, and which rule was broken.
//!
//! Three kinds are kept apart, because three different people act on them. A [`PeerFault`] is in the bytes somebody
//! sent: the layer above refuses an event for it and names the rule. A [`CallerFault`] is a call that makes no sense in
//! the present state. A [`LibraryFault`] is neither: something underneath failed that should not have.

mod openmls;

use core::fmt;

use thiserror::Error;

use crate::credential::{AddressError, CredentialError, DeviceAddress};
use crate::framing::{FramingError, MessageKind};
use crate::key_package::KeyPackageError;
use crate::suite::Suite;
use crate::tree::TreeError;

pub(crate) use self::openmls::{
    Epochs, build_error, create_error, external_join_error, finalize_error, from_external_error, is_lifetime,
    merge_error, process_error, process_public_error, welcome_error,
};

/// The error of a library underneath, kept for whoever debugs it.
pub type Source = Box<dyn core::error::Error + Send + Sync + 'static>;

/// Why a commit was not accepted by a [`GroupTracker`](crate::GroupTracker).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The commit, or the group state published with it, breaks a rule.
    #[error(transparent)]
    Peer(#[from] PeerFault),
    /// Checking it failed for a reason of our own.
    #[error(transparent)]
    Library(#[from] LibraryFault),
}

/// Why an operation of a device or of its groups failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes that were handed in, made by somebody else, break a rule.
    #[error(transparent)]
    Peer(#[from] PeerFault),
    /// The call does not fit the present state.
    #[error(transparent)]
    Caller(#[from] CallerFault),
    /// Something underneath failed.
    #[error(transparent)]
    Library(#[from] LibraryFault),
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Peer(fault) => Self::Peer(fault),
            CommitError::Library(fault) => Self::Library(fault),
        }
    }
}

/// What somebody else's message did wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// The bytes are too large, or not the MLS structure they should be (RFC 9420 §6).
    #[error(transparent)]
    Framing(FramingError),
    /// A commit is framed as something else than a PublicMessage, so that nobody but members can check it (LM-04 §4,
    /// §4.3).
    #[error("a commit must be a PublicMessage, this is a {got}")]
    NotPublicMessage {
        /// What it is.
        got: MessageKind,
    },
    /// A PublicMessage holds a proposal or application data instead of a commit (LM-04 §4.5.1).
    #[error("the PublicMessage does not hold a commit")]
    NotACommit,
    /// A PrivateMessage holds a handshake message instead of application data (LM-04 §4, §4.5.2).
    #[error("the PrivateMessage does not hold application data")]
    NotApplicationData,
    /// The message belongs to the group of another room: the group id is the room id (LM-04 §4).
    #[error("the message is of another group")]
    WrongGroup {
        /// The group id in the message.
        got: Vec<u8>,
    },
    /// The commit was made for an epoch that is over: another commit won, or this one was seen before (RFC 9420 §12.4).
    #[error("the commit is for epoch {got}, but the group is in epoch {expected}")]
    StaleEpoch {
        /// The group's epoch.
        expected: u64,
        /// The commit's epoch.
        got: u64,
    },
    /// The message is of an epoch that is still to come: a commit is missing.
    #[error("the message is of epoch {got}, but the group is in epoch {expected}")]
    EpochAhead {
        /// The group's epoch.
        expected: u64,
        /// The message's epoch.
        got: u64,
    },
    /// The epoch is beyond [`MAX_EPOCH`](crate::MAX_EPOCH), or it is 0 where a commit must have made it.
    #[error("epoch {epoch} is out of range")]
    EpochOutOfRange {
        /// The epoch that would be entered.
        epoch: u64,
    },
    /// The sender is not a member of the group (RFC 9420 §6.1).
    #[error("the sender is not a member of the group")]
    SenderNotInGroup,
    /// Only a member, or a new member by an external commit, may send a commit (RFC 9420 §12.4).
    #[error("a sender of this kind may not send a commit")]
    SenderMayNotCommit,
    /// A signature does not verify.
    #[error("the signature of the {signed} does not verify")]
    BadSignature {
        /// What is signed.
        signed: Signed,
    },
    /// The membership tag of a PublicMessage is wrong: its sender did not know the group's secrets (RFC 9420 §6.2).
    #[error("the membership tag is wrong")]
    BadMembershipTag,
    /// The confirmation tag of a commit is missing or wrong (RFC 9420 §12.4).
    #[error("the confirmation tag is missing or wrong")]
    BadConfirmationTag,
    /// The message uses another cipher suite than the room (LM-04 §4).
    #[error("cipher suite {got:#06x} is used where {expected} is required")]
    WrongSuite {
        /// The suite of the room, or of the key package that was asked for.
        expected: Suite,
        /// The number of the suite that is used.
        got: u16,
    },
    /// A commit refers to a proposal instead of containing it; proposals are never sent on their own (LM-04 §4.3).
    #[error("the commit contains a proposal by reference")]
    ProposalByReference,
    /// A commit contains a proposal that is neither an add, nor a remove, nor the external init of a joiner.
    #[error("the commit contains a proposal of type {proposal_type:#06x}")]
    UnsupportedProposal {
        /// The type's number in the IANA registry of MLS proposal types.
        proposal_type: u16,
    },
    /// A commit contains the same proposal twice (RFC 9420 §12.2).
    #[error("the commit contains a proposal twice")]
    RepeatedProposal,
    /// A leaf does not carry the credential of a device (LM-04 §4.1).
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The committer replaced its own leaf by that of another device (RFC 9420 §5.3.1).
    #[error("the committer was device {before} and would become device {after}")]
    IdentityChanged {
        /// Who the committer is before the commit.
        before: DeviceAddress,
        /// Who its new leaf says it is.
        after: DeviceAddress,
    },
    /// After the commit, one device would have two leaves (RFC 9420 §12.2).
    #[error("device {address} would be in the group twice")]
    DuplicateDevice {
        /// The device.
        address: DeviceAddress,
    },
    /// Two leaves would have the same signature key, or two nodes the same encryption key (RFC 9420 §7.3).
    #[error("a key would be in the group twice")]
    DuplicateKey,
    /// An external commit removes somebody else than the joining device itself (RFC 9420 §12.4.3.2).
    #[error("device {joiner} joins from outside and removes device {removed}")]
    RemovedByJoiner {
        /// The joining device.
        joiner: DeviceAddress,
        /// The one that would be removed.
        removed: DeviceAddress,
    },
    /// Nothing can be encrypted to a leaf's public key, so no member could commit any more.
    #[error("the encryption key of device {address} is not usable")]
    UnusableKey {
        /// Whose leaf it is.
        address: DeviceAddress,
    },
    /// The external init of a joiner is not an output of the suite's KEM (RFC 9420 §8.3).
    #[error("the external init is not usable")]
    UnusableExternalInit,
    /// The GroupInfo's external public key is one that nothing can be encrypted to (RFC 9420 §12.4.3.2).
    #[error("the external public key is not usable")]
    UnusableExternalPub,
    /// A key package is not valid.
    #[error(transparent)]
    KeyPackage(KeyPackageError),
    /// A leaf of the group may not be used yet, or not any more (RFC 9420 §7.3).
    #[error("a leaf is not within its lifetime")]
    Lifetime(#[source] Source),
    /// The GroupInfo has no ratchet tree, and none is known from elsewhere (RFC 9420 §12.4.3.3).
    #[error("the GroupInfo has no ratchet tree")]
    MissingRatchetTree,
    /// The ratchet tree that came apart from its GroupInfo is not the one (RFC 9420 §12.4.3.3).
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The GroupInfo has no external public key, so that nobody can join with it (RFC 9420 §12.4.3.2).
    #[error("the GroupInfo has no external public key")]
    MissingExternalPub,
    /// The tree is not a valid ratchet tree, or not the one the GroupInfo speaks of (RFC 9420 §7.8, §7.9).
    #[error("the ratchet tree is not valid")]
    InvalidTree(#[source] Source),
    /// The published group state is not that of the group after the commit (LM-04 §4.5.1).
    #[error("the published group state has another {part} than the group after the commit")]
    GroupStateMismatch {
        /// What differs.
        part: GroupStatePart,
    },
    /// The GroupInfo is signed by a leaf that is not in the group (RFC 9420 §12.4.3).
    #[error("the signer of the GroupInfo is not in the group")]
    UnknownGroupInfoSigner,
    /// The commit breaks another rule of RFC 9420 (§12.2 to §12.4).
    #[error("the commit is not valid")]
    InvalidCommit(#[source] Source),
    /// A commit by this device is not the one that is pending: it was given up, or somebody else holds the device's keys.
    #[error("the commit is by this device, which did not keep it")]
    UnknownOwnCommit,
    /// The Welcome is for none of the key packages this device still has.
    #[error("the Welcome is for no key package of this device")]
    NoMatchingKeyPackage,
    /// The Welcome is not valid (RFC 9420 §12.4.3.1).
    #[error("the Welcome is not valid")]
    InvalidWelcome(#[source] Source),
    /// The group of a Welcome does not have a room id as its id: it is not UTF-8 (LM-04 §4).
    #[error("the group id is not a room id")]
    GroupIdNotUtf8,
    /// The message was decrypted before, or its key is deleted because later messages of the sender were decrypted.
    #[error("the key of the message is used up")]
    KeyUsedUp,
    /// The message is of an epoch whose keys are deleted, or of one before this device joined.
    #[error("the keys of epoch {epoch} are gone")]
    EpochTooOld {
        /// The message's epoch.
        epoch: u64,
    },
    /// The message cannot be decrypted with the keys of its epoch.
    #[error("the message cannot be decrypted")]
    Undecryptable(#[source] Source),
}

impl From<FramingError> for PeerFault {
    fn from(error: FramingError) -> Self {
        match error {
            FramingError::WrongKind { expected: MessageKind::PublicMessage, got } => {
                Self::NotPublicMessage { got }
            }
            error => Self::Framing(error),
        }
    }
}

/// Something that carries a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signed {
    /// A commit, signed by its sender.
    Commit,
    /// A leaf of the tree, signed by the device it belongs to.
    Leaf,
    /// A GroupInfo, signed by a member.
    GroupInfo,
    /// An application message, signed by its sender.
    Message,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commit => "commit",
            Self::Leaf => "leaf",
            Self::GroupInfo => "GroupInfo",
            Self::Message => "message",
        })
    }
}

/// A part of the published group state that is compared with the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupStatePart {
    /// The group context: id, epoch, tree hash, transcript hash, extensions.
    Context,
    /// The confirmation tag.
    ConfirmationTag,
    /// The ratchet tree.
    RatchetTree,
    /// The leaf of the committer.
    Committer,
}

impl fmt::Display for GroupStatePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Context => "group context",
            Self::ConfirmationTag => "confirmation tag",
            Self::RatchetTree => "ratchet tree",
            Self::Committer => "committer",
        })
    }
}

/// What the caller asked for that does not fit the present state.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallerFault {
    /// An id is not one.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The device is in no group of that room.
    #[error("the device is not in a group of room {room_id}")]
    NoSuchRoom {
        /// The room.
        room_id: String,
    },
    /// The device is in the room's group already; it has to forget the room first.
    #[error("the device is in the group of room {room_id} already")]
    RoomExists {
        /// The room.
        room_id: String,
    },
    /// A commit of this device is pending in the room.
    #[error("a commit is pending")]
    CommitPending,
    /// No commit of this device is pending in the room.
    #[error("no commit is pending")]
    NoCommitPending,
    /// The external commit with which the device joins is pending: it is not a member yet.
    #[error("the device has not joined yet")]
    NotJoinedYet,
    /// There is nothing to commit.
    #[error("there is nothing to commit")]
    NothingToCommit,
    /// To join on its own again, the device needs the group state of the commit that won.
    #[error("the newest group state is needed to join again")]
    GroupStateNeeded,
    /// A device to be removed is not in the group.
    #[error("device {address} is not in the group")]
    NotAMember {
        /// The device.
        address: DeviceAddress,
    },
    /// A device to be added is in the group, and is not removed by the same commit.
    #[error("device {address} is in the group already")]
    AlreadyAMember {
        /// The device.
        address: DeviceAddress,
    },
    /// A device is to be added twice or removed twice by one commit.
    #[error("device {address} is listed twice")]
    ListedTwice {
        /// The device.
        address: DeviceAddress,
    },
    /// A device cannot remove itself (LM-04 §4.3, RFC 9420 §12.2).
    #[error("a device cannot remove itself")]
    CannotRemoveSelf,
    /// A key package or a group has another suite than the device or the group it should go with.
    #[error("suite {got} is used with suite {expected}")]
    SuiteMismatch {
        /// The suite of the device or the group.
        expected: Suite,
        /// The other one.
        got: Suite,
    },
    /// The group contains this device with another signature key, left over from before it lost its state. Somebody
    /// has to remove that leaf first.
    #[error("the group contains this device with another signature key")]
    StaleOwnLeaf,
    /// Nothing can be encrypted before the group's first commit is accepted.
    #[error("the group has no commit yet")]
    NoCommitYet,
    /// The commit does not fit into an event, and may not stand apart from it, or is too large even then. The commit is
    /// dropped.
    #[error("the commit and the group state after it have {size} bytes, of which {limit} fit")]
    CommitTooLarge {
        /// How many bytes they have: both, or the part alone that is too large.
        size: usize,
        /// How many fit.
        limit: usize,
    },
    /// The epoch is paired with another commit event already, or the event with another epoch.
    #[error("epoch {epoch} and event {event_id} are paired otherwise")]
    EpochTaken {
        /// The epoch.
        epoch: u64,
        /// The event.
        event_id: String,
    },
    /// A staged change was made for another state of the tracker.
    #[error("the change was staged in epoch {staged}, but the tracker is in epoch {tracker}")]
    StaleChange {
        /// The tracker's epoch.
        tracker: u64,
        /// The epoch in which the change was staged.
        staged: u64,
    },
    /// A staged change belongs to another tracker.
    #[error("the change was staged by another tracker")]
    ForeignChange,
}

/// A failure of something underneath that neither the caller nor a peer caused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LibraryFault {
    /// The MLS library failed.
    #[error("the MLS library failed")]
    Mls(#[source] Source),
    /// A cryptographic operation failed.
    #[error("a cryptographic operation failed")]
    Crypto(#[source] Source),
    /// Storing or loading the state of a group failed.
    #[error("the storage of a group failed")]
    Storage(#[source] Source),
    /// A value of our own could not be encoded.
    #[error("a value could not be encoded")]
    Encoding(#[source] Source),
    /// A part of the group's state that must be there is missing.
    #[error("a part of the group's state is missing")]
    MissingState,
}

impl LibraryFault {
    pub(crate) fn mls(error: impl Into<Source>) -> Self {
        Self::Mls(error.into())
    }

    pub(crate) fn crypto(error: impl Into<Source>) -> Self {
        Self::Crypto(error.into())
    }

    pub(crate) fn storage(error: impl Into<Source>) -> Self {
        Self::Storage(error.into())
    }

    pub(crate) fn encoding(error: impl Into<Source>) -> Self {
        Self::Encoding(error.into())
    }
}
