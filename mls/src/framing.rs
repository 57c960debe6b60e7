//! What is accepted as the bytes of an MLS message.
//!
//! Events and to-device messages carry an `MLSMessage`; the bare structure inside it is accepted as well. Nothing may
//! follow the structure, and only the one canonical encoding of it is accepted, so that two different events never
//! carry the same commit.

mod commit;
mod group_info;

use core::fmt;

use openmls::framing::{MlsMessageIn, PrivateMessageIn, PublicMessageIn};
use openmls::key_packages::KeyPackageIn;
use openmls::messages::Welcome;
use openmls::messages::group_info::VerifiableGroupInfo;
use thiserror::Error;
use tls_codec::{Deserialize, Serialize};

pub(crate) use self::commit::CommitView;
pub(crate) use self::group_info::{GroupInfoView, check_external_pub};
use crate::error::Source;

/// The largest message that is looked at, in bytes: what an event may hold at most (LM-04 §3.5), even though base64
/// lets less than that fit. Commits and Welcomes have limits of their own.
pub const MAX_MESSAGE_LEN: usize = 65_536;

/// The largest commit that is looked at, in bytes. What an event carries is smaller than [`MAX_MESSAGE_LEN`]; a commit
/// that stands apart from its event is not (reading R35).
pub const MAX_COMMIT_LEN: usize = 128 * MAX_MESSAGE_LEN;

/// The largest Welcome that is looked at, in bytes. A Welcome travels by to-device message, not by event, and it
/// carries the whole tree of the group.
pub const MAX_WELCOME_LEN: usize = 16 * MAX_MESSAGE_LEN;

/// What an `MLSMessage` can hold (RFC 9420 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageKind {
    /// A signed, unencrypted message: how commits are sent (LM-04 §4.3).
    PublicMessage,
    /// An encrypted message: how application data is sent (LM-04 §4.5.2).
    PrivateMessage,
    /// The message that lets an added device in (LM-04 §4.3).
    Welcome,
    /// The public state of a group (LM-04 §4.5.1).
    GroupInfo,
    /// The keys with which a device can be added (LM-04 §4.4).
    KeyPackage,
}

impl MessageKind {
    const ALL: [Self; 5] =
        [Self::PublicMessage, Self::PrivateMessage, Self::Welcome, Self::GroupInfo, Self::KeyPackage];

    /// The kind's number in the IANA registry of MLS wire formats.
    const fn wire_format(self) -> u16 {
        match self {
            Self::PublicMessage => 1,
            Self::PrivateMessage => 2,
            Self::Welcome => 3,
            Self::GroupInfo => 4,
            Self::KeyPackage => 5,
        }
    }

    /// The largest message of this kind that is looked at, in bytes.
    pub const fn max_len(self) -> usize {
        match self {
            Self::Welcome => MAX_WELCOME_LEN,
            Self::PublicMessage => MAX_COMMIT_LEN,
            Self::PrivateMessage | Self::GroupInfo | Self::KeyPackage => MAX_MESSAGE_LEN,
        }
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicMessage => "PublicMessage",
            Self::PrivateMessage => "PrivateMessage",
            Self::Welcome => "Welcome",
            Self::GroupInfo => "GroupInfo",
            Self::KeyPackage => "KeyPackage",
        })
    }
}

/// Why bytes are not the MLS message they should be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FramingError {
    /// There are too many bytes to look at them.
    #[error("a {kind} of {size} bytes is too large, the limit is {limit}")]
    TooLarge {
        /// What was expected.
        kind: MessageKind,
        /// The number of bytes.
        size: usize,
        /// The largest number that is accepted.
        limit: usize,
    },
    /// The bytes are not the structure, or something follows it.
    #[error("the bytes are not a {kind}")]
    Malformed {
        /// What was expected.
        kind: MessageKind,
        /// What the decoder says.
        #[source]
        source: Source,
    },
    /// The bytes decode, but encoding them again gives other bytes.
    #[error("the {kind} is not in its canonical encoding")]
    NotCanonical {
        /// What was expected.
        kind: MessageKind,
    },
    /// The bytes are an MLS message of another kind.
    #[error("a {expected} was expected, this is a {got}")]
    WrongKind {
        /// What was expected.
        expected: MessageKind,
        /// What it is.
        got: MessageKind,
    },
}

/// Checks that `bytes` are an MLS message of that kind, without looking at what it says.
///
/// # Errors
///
/// [`FramingError`], saying how they are not.
pub fn check(kind: MessageKind, bytes: &[u8]) -> Result<(), FramingError> {
    match kind {
        MessageKind::PublicMessage => read::<PublicMessageIn>(bytes).map(drop),
        MessageKind::PrivateMessage => read::<PrivateMessageIn>(bytes).map(drop),
        MessageKind::Welcome => read::<Welcome>(bytes).map(drop),
        MessageKind::GroupInfo => read::<VerifiableGroupInfo>(bytes).map(drop),
        MessageKind::KeyPackage => read::<KeyPackageIn>(bytes).map(drop),
    }
}

/// What a GroupInfo says of itself, before anything of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupInfoSummary {
    /// The group, which is a room id's bytes in LM-04 (§4).
    pub group_id: Vec<u8>,
    /// The group's epoch.
    pub epoch: u64,
    /// The ratchet tree, if the GroupInfo has it (RFC 9420 §12.4.3.3).
    pub ratchet_tree: Option<Vec<u8>>,
}

/// Reads what a GroupInfo says of itself. Nothing of it is verified.
///
/// # Errors
///
/// [`FramingError`] if the bytes are no GroupInfo.
pub fn group_info(bytes: &[u8]) -> Result<GroupInfoSummary, FramingError> {
    let group_info: VerifiableGroupInfo = read(bytes)?.value;
    let tree =
        group_info.extensions().ratchet_tree().map(|tree| tree.ratchet_tree().tls_serialize_detached());
    let malformed = |error: tls_codec::Error| FramingError::Malformed {
        kind: MessageKind::GroupInfo,
        source: error.into(),
    };
    Ok(GroupInfoSummary {
        group_id: group_info.group_id().to_vec(),
        epoch: group_info.epoch().as_u64(),
        ratchet_tree: tree.transpose().map_err(malformed)?,
    })
}

/// A structure that an `MLSMessage` can hold.
pub(crate) trait Body: Deserialize + Serialize {
    const KIND: MessageKind;
}

impl Body for PublicMessageIn {
    const KIND: MessageKind = MessageKind::PublicMessage;
}
impl Body for PrivateMessageIn {
    const KIND: MessageKind = MessageKind::PrivateMessage;
}
impl Body for Welcome {
    const KIND: MessageKind = MessageKind::Welcome;
}
impl Body for VerifiableGroupInfo {
    const KIND: MessageKind = MessageKind::GroupInfo;
}
impl Body for KeyPackageIn {
    const KIND: MessageKind = MessageKind::KeyPackage;
}

/// A structure that was read, and the bytes it was read from, without the frame around them.
#[derive(Clone, Debug)]
pub(crate) struct Framed<T> {
    pub(crate) value: T,
    pub(crate) bytes: Vec<u8>,
}

/// Reads a structure from an `MLSMessage`, or from its bare encoding.
pub(crate) fn read<T: Body>(bytes: &[u8]) -> Result<Framed<T>, FramingError> {
    let limit = T::KIND.max_len();
    if bytes.len() > limit {
        return Err(FramingError::TooLarge { kind: T::KIND, size: bytes.len(), limit });
    }
    read_own(bytes)
}

/// Like [`read`], for a message that was made here and may have any size.
pub(crate) fn read_own<T: Body>(bytes: &[u8]) -> Result<Framed<T>, FramingError> {
    let in_frame = match frame(bytes) {
        Some((wire_format, body)) if wire_format == T::KIND.wire_format() => match exact(body) {
            Ok(framed) => return Ok(framed),
            Err(error) => Some(error),
        },
        _ => None,
    };
    match exact(bytes) {
        Ok(framed) => Ok(framed),
        Err(bare) => Err(match kind_of(bytes) {
            Some(got) if got != T::KIND => FramingError::WrongKind { expected: T::KIND, got },
            _ => in_frame.unwrap_or(bare),
        }),
    }
}

/// Splits an `MLSMessage` of MLS 1.0 into its wire format and its body.
fn frame(bytes: &[u8]) -> Option<(u16, &[u8])> {
    match bytes {
        [0, 1, high, low, body @ ..] => Some((u16::from_be_bytes([*high, *low]), body)),
        _ => None,
    }
}

/// Decodes all of `bytes` as a `T`.
fn exact<T: Body>(bytes: &[u8]) -> Result<Framed<T>, FramingError> {
    let kind = T::KIND;
    // The readers of tls_codec are used and never its `DeserializeBytes`, which asserts in debug builds that the input
    // is long enough.
    let value = T::tls_deserialize_exact(bytes)
        .map_err(|error| FramingError::Malformed { kind, source: error.into() })?;
    match value.tls_serialize_detached() {
        Ok(again) if again == bytes => Ok(Framed { value, bytes: again }),
        _ => Err(FramingError::NotCanonical { kind }),
    }
}

/// The kind of a message that was not what it should be.
fn kind_of(bytes: &[u8]) -> Option<MessageKind> {
    // Without a frame, only an encrypted handshake message is worth telling apart: it is what whoever does not know
    // LM-04 would send.
    let Some((wire_format, _)) = frame(bytes) else {
        let private = PrivateMessageIn::tls_deserialize_exact(bytes).is_ok();
        return private.then_some(MessageKind::PrivateMessage);
    };
    let kind = MessageKind::ALL.into_iter().find(|kind| kind.wire_format() == wire_format)?;
    MlsMessageIn::tls_deserialize_exact(bytes).is_ok().then_some(kind)
}

#[cfg(test)]
mod tests;
