//! What a device reads of a message before its MLS library sees it (RFC 9420 §6).

use mimi_mls::PeerFault;
use mimi_mls::framing::{FramingError, MessageKind};
use tls_codec::{Deserialize as _, VLBytes};

/// The content types of RFC 9420 §6.
const APPLICATION: u8 = 1;
const COMMIT: u8 = 3;

/// Who sent a PublicMessage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The member in that leaf.
    Member(u32),
    /// Somebody who joins by the message.
    NewMemberCommit,
    /// Somebody who may not commit.
    Other,
}

/// The beginning of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommitHeader {
    pub(crate) group_id: Vec<u8>,
    pub(crate) epoch: u64,
    pub(crate) sender: Sender,
}

/// The beginning of an application message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ApplicationHeader {
    pub(crate) group_id: Vec<u8>,
    pub(crate) epoch: u64,
}

const fn wire_format(kind: MessageKind) -> Option<u8> {
    match kind {
        MessageKind::PublicMessage => Some(1),
        MessageKind::PrivateMessage => Some(2),
        MessageKind::Welcome => Some(3),
        MessageKind::GroupInfo => Some(4),
        MessageKind::KeyPackage => Some(5),
        _ => None,
    }
}

const KINDS: [MessageKind; 5] = [
    MessageKind::PublicMessage,
    MessageKind::PrivateMessage,
    MessageKind::Welcome,
    MessageKind::GroupInfo,
    MessageKind::KeyPackage,
];

/// The bytes as an `MLSMessage` of that kind; a bare structure gets its frame.
pub(crate) fn framed(kind: MessageKind, bytes: &[u8]) -> Result<Vec<u8>, PeerFault> {
    let limit = kind.max_len();
    if bytes.len() > limit {
        return Err(FramingError::TooLarge { kind, size: bytes.len(), limit }.into());
    }
    let format = wire_format(kind).unwrap_or_default();
    if let [0, 1, 0, found, ..] = bytes {
        if *found == format {
            return Ok(bytes.to_vec());
        }
        // A bare GroupInfo or KeyPackage begins like a frame: with the version, and the suite where the format would be.
        let bare = matches!(kind, MessageKind::GroupInfo | MessageKind::KeyPackage);
        if let Some(got) = KINDS.into_iter().find(|kind| wire_format(*kind) == Some(*found))
            && !bare
        {
            return Err(FramingError::WrongKind { expected: kind, got }.into());
        }
    }
    Ok([&[0, 1, 0, format], bytes].concat())
}

/// The body of a message that [`framed`] returned.
fn body(framed: &[u8]) -> &[u8] {
    framed.get(4..).unwrap_or_default()
}

pub(crate) fn malformed(kind: MessageKind, source: impl Into<mimi_mls::Source>) -> PeerFault {
    FramingError::Malformed { kind, source: source.into() }.into()
}

/// Reads the beginning of a PublicMessage that must hold a commit.
pub(crate) fn commit_header(framed: &[u8]) -> Result<CommitHeader, PeerFault> {
    let (header, content_type) =
        public(body(framed)).map_err(|error| malformed(MessageKind::PublicMessage, error))?;
    if content_type == COMMIT { Ok(header) } else { Err(PeerFault::NotACommit) }
}

fn public(mut bytes: &[u8]) -> Result<(CommitHeader, u8), tls_codec::Error> {
    let reader = &mut bytes;
    let group_id = VLBytes::tls_deserialize(reader)?.into();
    let epoch = u64::tls_deserialize(reader)?;
    let sender = match u8::tls_deserialize(reader)? {
        1 => Sender::Member(u32::tls_deserialize(reader)?),
        2 => {
            u32::tls_deserialize(reader)?;
            Sender::Other
        }
        4 => Sender::NewMemberCommit,
        _ => Sender::Other,
    };
    let _authenticated_data = VLBytes::tls_deserialize(reader)?;
    let content_type = u8::tls_deserialize(reader)?;
    Ok((CommitHeader { group_id, epoch, sender }, content_type))
}

/// Reads the beginning of a PrivateMessage that must hold application data.
pub(crate) fn application_header(framed: &[u8]) -> Result<ApplicationHeader, PeerFault> {
    let (header, content_type) =
        private(body(framed)).map_err(|error| malformed(MessageKind::PrivateMessage, error))?;
    if content_type == APPLICATION { Ok(header) } else { Err(PeerFault::NotApplicationData) }
}

fn private(mut bytes: &[u8]) -> Result<(ApplicationHeader, u8), tls_codec::Error> {
    let reader = &mut bytes;
    let group_id = VLBytes::tls_deserialize(reader)?.into();
    let epoch = u64::tls_deserialize(reader)?;
    let content_type = u8::tls_deserialize(reader)?;
    Ok((ApplicationHeader { group_id, epoch }, content_type))
}

/// The suite, the id and the epoch of the group that a GroupInfo is of.
pub(crate) fn group_info_header(framed: &[u8]) -> Result<(u16, Vec<u8>, u64), PeerFault> {
    let parse = |mut bytes: &[u8]| {
        let reader = &mut bytes;
        let _version = u16::tls_deserialize(reader)?;
        let suite = u16::tls_deserialize(reader)?;
        let group_id = VLBytes::tls_deserialize(reader)?.into();
        Ok((suite, group_id, u64::tls_deserialize(reader)?))
    };
    parse(body(framed)).map_err(|error: tls_codec::Error| malformed(MessageKind::GroupInfo, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT_OF_LEAF_2: &[u8] = b"\0\x01\0\x01\x02!r\0\0\0\0\0\0\0\x07\x01\0\0\0\x02\0\x03rest";

    #[test]
    fn the_beginning_of_a_commit_is_read() {
        let bytes = framed(MessageKind::PublicMessage, COMMIT_OF_LEAF_2).unwrap();
        assert_eq!(bytes, COMMIT_OF_LEAF_2);
        let header = CommitHeader { group_id: b"!r".to_vec(), epoch: 7, sender: Sender::Member(2) };
        assert_eq!(commit_header(&bytes).unwrap(), header);
        // The bare structure is the same message.
        let bare = framed(MessageKind::PublicMessage, COMMIT_OF_LEAF_2.get(4..).unwrap()).unwrap();
        assert_eq!(bare, bytes);
        for len in 4..19 {
            assert!(matches!(commit_header(bytes.get(..len).unwrap()), Err(PeerFault::Framing(_))), "{len}");
        }
    }

    #[test]
    fn other_messages_are_not_taken_for_a_commit() {
        let mut proposal = COMMIT_OF_LEAF_2.to_vec();
        *proposal.get_mut(21).unwrap() = 2;
        assert!(matches!(commit_header(&proposal), Err(PeerFault::NotACommit)));
        assert!(matches!(
            framed(MessageKind::PublicMessage, b"\0\x01\0\x02..."),
            Err(PeerFault::NotPublicMessage { got: MessageKind::PrivateMessage })
        ));
        let private = b"\0\x01\0\x02\x02!r\0\0\0\0\0\0\0\x07\x03";
        assert!(matches!(application_header(private), Err(PeerFault::NotApplicationData)));
    }

    #[test]
    fn messages_that_are_too_large_are_not_looked_at() {
        let bytes = vec![0; mimi_mls::framing::MAX_COMMIT_LEN + 1];
        assert!(matches!(
            framed(MessageKind::PublicMessage, &bytes),
            Err(PeerFault::Framing(FramingError::TooLarge { .. }))
        ));
    }
}
