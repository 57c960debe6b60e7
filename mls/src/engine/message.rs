//! What goes into an engine and what comes out of it.

use core::fmt;

use crate::carriage::Carriage;
use crate::change::Change;
use crate::credential::DeviceAddress;
use crate::key_package::KeyPackage;
use crate::roster::Member;

/// What a commit is to do. The default is nothing at all.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Key packages of the devices to be added.
    pub add: Vec<KeyPackage>,
    /// The devices to be removed.
    pub remove: Vec<DeviceAddress>,
    /// Whether the committer's own leaf gets a fresh key in any case. A commit that removes somebody does that anyway.
    pub update: bool,
    /// What may stand apart from the commit's event.
    pub carriage: Carriage,
}

/// A commit to be sent to the hub (LM-04 §4.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboundCommit {
    /// The event's `message`: a PublicMessage, in an `MLSMessage`.
    pub message: Vec<u8>,
    /// Whether the message is to stand apart: the hub is given it beforehand, and the event has its hash and its size
    /// (reading R35).
    pub apart: bool,
    /// The event's `public_group_state`: the GroupInfo after the commit, in an `MLSMessage`, with the external public
    /// key and, unless that stands apart, the ratchet tree.
    pub public_group_state: Vec<u8>,
    /// What the devices that are added need, to be sent to them once the commit is accepted.
    pub welcome: Option<OutboundWelcome>,
    /// The epoch the commit makes.
    pub epoch: u64,
    /// The event's `prev_commit_event_id`: the commit event this one follows, unless it is the group's first.
    pub prev_commit_event_id: Option<String>,
}

/// A Welcome, the same for everybody who is added by a commit (LM-04 §4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboundWelcome {
    /// The Welcome, in an `MLSMessage`.
    pub message: Vec<u8>,
    /// The algorithm of the to-device message that carries it.
    pub algorithm: &'static str,
    /// The devices it is for.
    pub to: Vec<DeviceAddress>,
}

/// What a commit that came from the room was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// Somebody else's commit, applied.
    Applied {
        /// What it does.
        change: Change,
        /// Whether a commit of this device was pending for the same epoch; it is dropped.
        lost_race: bool,
    },
    /// Somebody else's commit that removes this device. The group is forgotten.
    Removed {
        /// What it does.
        change: Change,
        /// Whether a commit of this device was pending for the same epoch.
        lost_race: bool,
    },
    /// The commit of this device that was pending. It is applied, as if it had been
    /// [`accepted`](crate::Engine::accepted).
    Own {
        /// The epoch it made.
        epoch: u64,
    },
    /// A commit that was applied before, by the same event.
    Known {
        /// The epoch it made.
        epoch: u64,
    },
    /// Somebody else's commit for the epoch at which this device wanted to join. The join is dropped and can be tried
    /// again from the new group state. The commit itself is not verified, since this device is no member.
    JoinLost,
}

/// A group that was joined with a Welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// The room whose group it is, according to the group.
    pub room_id: String,
    /// The group's epoch.
    pub epoch: u64,
    /// The member who made the Welcome.
    pub added_by: Member,
    /// Whether a key package of last resort was used. The leaf's key is then in other groups too, and should be replaced
    /// soon by a commit that [updates](Changes::update) it.
    pub last_resort: bool,
}

/// Application data, encrypted (LM-04 §4.5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Encrypted {
    /// The event's `ciphertext`: a PrivateMessage, in an `MLSMessage`.
    pub ciphertext: Vec<u8>,
    /// The event's `commit_event_id`: the event of the commit that made the epoch.
    pub commit_event_id: String,
    /// The event's `algorithm`.
    pub algorithm: &'static str,
}

/// What became of a PrivateMessage.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decrypted {
    /// It was decrypted, and its signature verifies.
    Message {
        /// Who sent it.
        sender: DeviceAddress,
        /// What was encrypted.
        plaintext: Vec<u8>,
        /// The epoch it was sent in.
        epoch: u64,
        /// The event of the commit that made that epoch, to be compared with the `commit_event_id` beside the message.
        commit_event_id: Option<String>,
    },
    /// It is by this device, and MLS does not let a device decrypt what it sent.
    Own {
        /// The epoch it was sent in.
        epoch: u64,
    },
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { sender, plaintext, epoch, commit_event_id } => f
                .debug_struct("Message")
                .field("sender", sender)
                .field("plaintext", &format_args!("{} bytes", plaintext.len()))
                .field("epoch", epoch)
                .field("commit_event_id", commit_event_id)
                .finish(),
            Self::Own { epoch } => f.debug_struct("Own").field("epoch", epoch).finish(),
        }
    }
}
