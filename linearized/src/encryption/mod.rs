//! MLS beside membership: what the room makes of `m.mls.commit` (LM-04 §4).
//!
//! Rooms know users, MLS groups know devices. The checks here keep them in step: a commit is measured against the
//! room's memberships before it enters the list (LM-04 §4.3, readings R27 and R28). What has to be committed when
//! memberships or devices change, and by whom, says [`Upkeep`]; a device encrypts with a [`Clearance`], so that nothing
//! is sent while somebody could read it who should not (reading R36).

mod apart;
mod commit;
mod content;
mod devices;
mod room_device;
mod sending;
mod upkeep;

use mimi_mls::{GroupTracker, Suite};

pub use apart::{Apart, ApartContent, MESSAGE_APART, MessageDigest, Needs};
pub use commit::StagedCommit;
pub use content::{CommitContent, EncryptedContent, WelcomeMessage, commit_content};
pub use devices::{Devices, LeafOwner};
pub use room_device::{RoomDevice, Seen, Undecryptable};
pub use sending::{Clearance, Withheld};
pub use upkeep::{Barred, BarredMember, RoomView, Turn, Upkeep};

use crate::auth::Refusal;
use crate::event::Event;
use crate::room::Room;

/// How a room is encrypted; decided by its `m.room.create` for good (LM-04 §4).
#[derive(Debug)]
#[non_exhaustive]
pub enum Encryption {
    /// Not at all.
    None,
    /// With an algorithm that is not MLS as LM-04 has it, or a ciphersuite that is not implemented.
    Foreign(String),
    /// With MLS.
    Mls(Box<Group>),
}

/// A room's MLS group as a server sees it.
#[derive(Debug)]
pub struct Group {
    suite: Suite,
    tracker: Option<GroupTracker>,
}

impl Encryption {
    /// What an `m.room.create` event decides.
    pub(crate) fn of_create(create: &Event) -> Self {
        let algorithm = create.content().get("encryption").and_then(|encryption| encryption.get("algorithm"));
        match algorithm.and_then(serde_json::Value::as_str) {
            None => Self::None,
            Some(algorithm) => match Suite::from_room_algorithm(algorithm) {
                Some(suite) => Self::Mls(Box::new(Group { suite, tracker: None })),
                None => Self::Foreign(algorithm.to_owned()),
            },
        }
    }

    /// The epoch after the last accepted commit: 0 before the first. `None` in a room without encryption, or with a
    /// foreign one.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        match self {
            Self::Mls(group) => Some(group.tracker.as_ref().map_or(0, GroupTracker::epoch)),
            Self::None | Self::Foreign(_) => None,
        }
    }

    /// The cipher suite of the room's group. `None` in a room without encryption, or with a foreign one.
    #[must_use]
    pub fn suite(&self) -> Option<Suite> {
        match self {
            Self::Mls(group) => Some(group.suite),
            Self::None | Self::Foreign(_) => None,
        }
    }

    /// The group, if there is one and a commit was seen.
    #[must_use]
    pub fn tracker(&self) -> Option<&GroupTracker> {
        match self {
            Self::Mls(group) => group.tracker.as_ref(),
            Self::None | Self::Foreign(_) => None,
        }
    }

    /// Puts a group back as a snapshot of it had it. Does nothing in a room without MLS.
    pub fn restore(&mut self, tracker: GroupTracker) {
        if let Self::Mls(group) = self {
            group.tracker = Some(tracker);
        }
    }

    /// What an event needs beside itself to be judged (reading R35).
    pub(crate) fn needs(&self, event: &Event) -> Needs {
        match self {
            Self::Mls(group) => Needs::of(event, group.tracker.is_some()),
            Self::None | Self::Foreign(_) => Needs::default(),
        }
    }

    /// Checks a commit event against the group and the room.
    pub(crate) fn stage(
        &self,
        room: &Room,
        event: &Event,
        apart: &Apart,
    ) -> Result<Option<StagedCommit>, Refusal> {
        match self {
            Self::Mls(group) => {
                commit::stage(group.suite, group.tracker.as_ref(), room, event, apart).map(Some)
            }
            Self::None | Self::Foreign(_) => Ok(None),
        }
    }

    /// Takes a checked commit into the group.
    pub(crate) fn merge(&mut self, commit: StagedCommit) {
        if let Self::Mls(group) = self {
            commit.merge_into(&mut group.tracker);
        }
    }
}

#[cfg(test)]
mod tests;
