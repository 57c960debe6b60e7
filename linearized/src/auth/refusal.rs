//! A refusal: the rule, and what it compared.

use std::fmt;

use serde_json::Value;

use super::Rule;
use crate::encryption::LeafOwner;
use crate::id::{EventId, ServerName, UserId};
use crate::signing::SignatureError;

/// A user's membership of a room (LM-04 §3.5.3.3). A user without a membership event has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Membership {
    /// Not participating.
    Leave,
    /// Participating.
    Join,
    /// Asking for an invite.
    Knock,
    /// Invited.
    Invite,
    /// Shut out.
    Ban,
}

impl Membership {
    /// The membership with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "leave" => Self::Leave,
            "join" => Self::Join,
            "knock" => Self::Knock,
            "invite" => Self::Invite,
            "ban" => Self::Ban,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Join => "join",
            Self::Knock => "knock",
            Self::Invite => "invite",
            Self::Ban => "ban",
        }
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a rule compared when it refused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Because {
    /// A user's membership.
    Membership {
        /// Whose.
        user: UserId,
        /// What it is.
        is: Membership,
    },
    /// A power level below what is needed.
    Level {
        /// The sender's level.
        have: i64,
        /// The level needed.
        need: i64,
    },
    /// The sender's level is not above the target's.
    NotAbove {
        /// The sender's level.
        sender: i64,
        /// The target's level.
        target: i64,
    },
    /// A level in a power levels event is above the sender's.
    LevelOf {
        /// Which entry.
        entry: String,
        /// The level found there.
        level: i64,
        /// The sender's level.
        sender: i64,
    },
    /// A field that is missing or malformed.
    Field(&'static str),
    /// A value that is not what it has to be.
    Malformed {
        /// Where it stands.
        entry: String,
        /// The value as JSON, cut short if it is long.
        found: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// The room's join rule.
    JoinRule(String),
    /// The room's join rule does not admit a user of this membership.
    NotAdmitted {
        /// The join rule.
        join_rule: String,
        /// Who wants to join.
        user: UserId,
        /// That user's membership.
        is: Membership,
    },
    /// A membership that does not exist.
    UnknownMembership(String),
    /// Sender and state key differ.
    NotSelf {
        /// The sender.
        sender: UserId,
        /// The state key.
        state_key: String,
    },
    /// A second `m.room.create`.
    SecondCreate,
    /// Two names that ought to be the same.
    Differs {
        /// What is compared.
        what: &'static str,
        /// What was found.
        found: String,
        /// What it should have been.
        expected: String,
    },
    /// A room version that is not implemented.
    RoomVersion(Option<String>),
    /// A cited event that should not be cited.
    Cited(EventId),
    /// A second cited event for one type and state key.
    CitedTwice {
        /// The second one.
        event: EventId,
        /// The type of both.
        kind: String,
        /// The state key of both.
        state_key: String,
    },
    /// An event that should be cited and is not.
    NotCited(EventId),
    /// A device of an MLS group.
    Device {
        /// Its user.
        user: String,
        /// Its id.
        device: String,
        /// The membership of its user.
        is: Membership,
    },
    /// A leaf that is not of the device it names.
    Leaf {
        /// The device.
        device: String,
        /// What is wrong with it.
        owner: LeafOwner,
    },
    /// What the MLS engine says.
    Mls(String),
    /// Something that has to be handed in beside the event.
    NotHere(&'static str),
    /// A size, in bytes.
    Size {
        /// How large the event would be.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The event it conflicts with.
    Event(EventId),
    /// A server without a joined user.
    NotInRoom(ServerName),
    /// A server that the sender belongs to.
    OwnServer(ServerName),
    /// A signature that is needed.
    Signature(SignatureError),
    /// The rule says it all.
    Nothing,
}

/// The most of a malformed value that a refusal repeats, in bytes.
const SHOWN: usize = 64;

impl Because {
    /// A value that is not what it has to be.
    pub(crate) fn malformed(entry: impl Into<String>, found: &Value, expected: &'static str) -> Self {
        let mut found = found.to_string();
        if found.len() > SHOWN {
            found.truncate(found.floor_char_boundary(SHOWN));
            found.push('…');
        }
        Self::Malformed { entry: entry.into(), found, expected }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Membership { user, is } => write!(f, "the membership of {user} is {is}"),
            Self::Level { have, need } => write!(f, "the sender's level is {have}, and {need} is needed"),
            Self::NotAbove { sender, target } => {
                write!(f, "the sender's level {sender} is not above the target's {target}")
            }
            Self::LevelOf { entry, level, sender } => {
                write!(f, "{entry} is {level}, above the sender's level {sender}")
            }
            Self::Field(field) => write!(f, "`{field}` is missing or malformed"),
            Self::Malformed { entry, found, expected } => {
                write!(f, "{entry} is {found}, and has to be {expected}")
            }
            Self::JoinRule(rule) => write!(f, "the join rule is {rule}"),
            Self::NotAdmitted { join_rule, user, is } => {
                write!(f, "the join rule is {join_rule}, and the membership of {user} is {is}")
            }
            Self::UnknownMembership(membership) => write!(f, "there is no membership {membership:?}"),
            Self::NotSelf { sender, state_key } => {
                write!(f, "the sender is {sender}, the state key {state_key:?}")
            }
            Self::SecondCreate => f.write_str("the room has an m.room.create already"),
            Self::Differs { what, found, expected } => {
                write!(f, "{what} is {found:?} and should be {expected:?}")
            }
            Self::RoomVersion(Some(version)) => write!(f, "the room version {version:?} is not implemented"),
            Self::RoomVersion(None) => f.write_str("it names no room version"),
            Self::Cited(id) => write!(f, "it cites {id}, which does not belong among its auth events"),
            Self::CitedTwice { event, kind, state_key } => {
                write!(f, "{event} is the second {kind} with the state key {state_key:?} that it cites")
            }
            Self::NotCited(id) => write!(f, "it does not cite {id}"),
            Self::Device { user, device, is } => {
                write!(f, "the device {device:?} of {user}, whose membership is {is}")
            }
            Self::Leaf { device, owner } => write!(f, "the leaf of device {device}: {owner}"),
            Self::NotHere(what) => write!(f, "{what} is not here"),
            Self::Mls(detail) => f.write_str(detail),
            Self::Size { bytes, limit } => write!(f, "it would have {bytes} bytes; {limit} are allowed"),
            Self::Event(id) => write!(f, "because of {id}"),
            Self::NotInRoom(server) => write!(f, "no user of {server} is joined"),
            Self::OwnServer(server) => write!(f, "the sender is a user of {server}"),
            Self::Signature(error) => write!(f, "{error}"),
            Self::Nothing => f.write_str("it is not allowed"),
        }
    }
}

/// An event is refused: by which rule, and because of what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {because}")]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// What it compared.
    pub because: Because,
}

impl Refusal {
    /// A refusal by a rule.
    #[must_use]
    pub fn new(rule: impl Into<Rule>, because: Because) -> Self {
        Self { rule: rule.into(), because }
    }
}
