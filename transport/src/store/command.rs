//! Changes as data, for a store that is a log of them.
//!
//! Variants and fields are only ever added at the end of an enum, with a new [`FORMAT`]: what is in a log stays there.

use mimi_linearized::id::{DeviceId, RoomId, ServerName, UserId};
use mimi_linearized::room::Position;
use mimi_linearized::signing::SigningKey;
use serde::{Deserialize, Serialize};

use super::apart::Sha256;
use super::{
    Claimed, Evidence, ExpectedHead, Flight, InboxItem, InviteRecord, NewKeyPackage, NewRecord, Outgoing,
    SharedItem, StoreError, StoredAnswer, StoredKeys, StoredSnapshot, TransactionKey, encoding,
};

/// The newest format of a message. Each message begins with the oldest format that has all of it, in one byte, so that
/// processes of an older version go on until they meet what they do not know.
pub(super) const FORMAT: u8 = 2;

/// What can be put into the log.
pub(super) trait Written: Serialize {
    /// The oldest format that has it.
    fn format(&self) -> u8;
}

/// What a message of the log holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// A change.
    Whole(Box<Command>),
    /// A piece of a change that is too large for one message.
    Part {
        /// What the pieces of one change have in common.
        of: String,
        /// Its place among them, from 0.
        index: u32,
        /// Its bytes.
        #[serde(with = "encoding::bytes")]
        bytes: Vec<u8>,
    },
    /// A change that came in so many pieces: the encoded [`Command`], which is made here.
    Parts {
        /// What its pieces have in common.
        of: String,
        /// How many there are.
        count: u32,
    },
}

/// A transaction's key as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrittenKey {
    pub(super) origin: ServerName,
    pub(super) endpoint: String,
    pub(super) txn_id: String,
}

impl Outcome {
    /// Whether nothing of what was done is to stay.
    pub(super) fn undoes(&self) -> bool {
        matches!(self, Self::HeadMoved | Self::NotItsTurn)
    }
}

impl From<&TransactionKey> for WrittenKey {
    fn from(key: &TransactionKey) -> Self {
        let TransactionKey { origin, endpoint, txn_id } = key.clone();
        Self { origin, endpoint: endpoint.to_owned(), txn_id }
    }
}

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The server's name.
    pub server_name: ServerName,
    /// The id of the key that it signs with.
    pub key_id: String,
    /// The public half of that key, in base64.
    pub verify_key: String,
}

impl Identity {
    /// A server with its key.
    pub(crate) fn of(name: &ServerName, key: &SigningKey) -> Self {
        let (key_id, verify_key) = (key.id().to_string(), key.verify_key().to_base64());
        Self { server_name: name.clone(), key_id, verify_key }
    }
}

/// A change. Each is a method of the store's traits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Command {
    Append {
        room_id: RoomId,
        expected: ExpectedHead,
        record: NewRecord,
        process: String,
    },
    /// Gives a process the next turn in a room where others were faster again and again.
    Reserve {
        room_id: RoomId,
        process: String,
    },
    PutSnapshot {
        room_id: RoomId,
        snapshot: StoredSnapshot,
    },
    PutGroup {
        room_id: RoomId,
        position: Position,
        #[serde(with = "encoding::bytes")]
        snapshot: Vec<u8>,
    },
    PutEvidence(Evidence),
    PutInvite(InviteRecord),
    RemoveInvite {
        room_id: RoomId,
        user_id: UserId,
    },
    PutMessage {
        room_id: RoomId,
        origin: ServerName,
        sha256: Sha256,
        #[serde(with = "encoding::bytes")]
        message: Vec<u8>,
    },
    NameMessage {
        room_id: RoomId,
        sha256: Sha256,
    },
    PutTree {
        room_id: RoomId,
        position: Position,
        #[serde(with = "encoding::bytes")]
        tree: Vec<u8>,
    },
    /// A process begins a transaction. `gone` is another one that no longer lives.
    Begin {
        key: WrittenKey,
        holder: String,
        gone: Option<String>,
    },
    Abandon {
        key: WrittenKey,
        holder: String,
    },
    Remember {
        key: WrittenKey,
        answer: StoredAnswer,
        now: i64,
    },
    ForgetAnswers {
        before: i64,
    },
    Enqueue {
        destination: ServerName,
        outgoing: Outgoing,
    },
    Depart {
        destination: ServerName,
        flight: Flight,
    },
    Arrive {
        destination: ServerName,
        flight: Flight,
        notices: Vec<InboxItem>,
    },
    PutDevice {
        user_id: UserId,
        device_id: DeviceId,
        #[serde(with = "encoding::bytes")]
        object: Vec<u8>,
        key_packages: Vec<NewKeyPackage>,
    },
    RemoveDevice {
        user_id: UserId,
        device_id: DeviceId,
    },
    /// Gives out the key package that is `claimed`, if it is still its turn, with a notice that was written for it.
    Claim {
        user_id: UserId,
        device_id: DeviceId,
        algorithm: String,
        now: i64,
        claimed: Claimed,
        #[serde(with = "encoding::bytes")]
        notice: Vec<u8>,
    },
    Deliver(Vec<InboxItem>),
    PutServerKeys {
        server: ServerName,
        keys: StoredKeys,
    },
    ForgetServerKeys {
        servers: u64,
    },
    /// Says whose log it is; the first one to say so is right, unless it is to be `replaced`.
    Introduce {
        identity: Identity,
        replaced: bool,
    },
    PutInvitePermissions {
        user_id: UserId,
        #[serde(with = "encoding::bytes")]
        permissions: Vec<u8>,
    },
    /// Adds an item, unless its owner's would have more than `quota` bytes then. Since format 2.
    AddMedia {
        item: SharedItem,
        quota: u64,
    },
    /// Since format 2.
    DeleteMedia {
        owner: UserId,
        id: String,
    },
}

impl Written for Command {
    fn format(&self) -> u8 {
        match self {
            Self::AddMedia { .. } | Self::DeleteMedia { .. } => 2,
            _ => 1,
        }
    }
}

impl Written for Message {
    fn format(&self) -> u8 {
        match self {
            Self::Whole(command) => command.format(),
            // What the pieces are of says so itself.
            Self::Part { .. } | Self::Parts { .. } => 1,
        }
    }
}

/// What a change came to. It follows from the changes before it, and is the same in every process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was made; there is nothing to say.
    Done,
    /// An event has this position.
    Appended(Position),
    /// An event was not appended: the list ends elsewhere.
    HeadMoved,
    /// An item has this place in its queue.
    Queued(i64),
    /// This flight is under way, which may be another one; none if what it carries has arrived.
    Flying(Option<Flight>),
    /// Whether a device existed.
    Removed(bool),
    /// A key package was given out.
    Claimed,
    /// It was not this key package's turn, or this process's.
    NotItsTurn,
    /// A transaction is the asker's to process.
    Begun,
    /// A transaction was answered before.
    Answered(StoredAnswer),
    /// A process with this id is processing a transaction.
    Elsewhere(String),
    /// Whose log it is.
    Introduced(Identity),
    /// Whether an item was added.
    Added(bool),
}

/// Writes a message, or a command that goes in pieces.
pub(super) fn encode<T: Written>(value: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_extend(value, vec![value.format()]).map_err(|error| StoreError::Database(Box::new(error)))
}

/// Reads what [`encode`] wrote.
pub(super) fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((1..=FORMAT, rest)) => postcard::from_bytes(rest).map_err(|error| malformed(&error)),
        Some((&format, _)) => Err(StoreError::Format { found: i64::from(format), known: i64::from(FORMAT) }),
        None => Err(malformed(&"it is empty")),
    }
}

fn malformed(why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Malformed { what: "message", detail: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let room_id = RoomId::parse("!r:a.example").unwrap();
        let command = Command::PutTree { room_id, position: 7, tree: vec![0, 1, 255] };
        let message = Message::Whole(Box::new(command));
        assert_eq!(decode::<Message>(&encode(&message).unwrap()).unwrap(), message);
    }

    #[test]
    fn only_what_an_older_version_does_not_know_has_a_newer_format() {
        let owner = UserId::parse("@alice:a.example").unwrap();
        let new = Message::Whole(Box::new(Command::DeleteMedia { owner, id: "x".to_owned() }));
        let old = Message::Whole(Box::new(Command::ForgetAnswers { before: 7 }));
        for (message, format) in [(new, 2), (old, 1)] {
            let written = encode(&message).unwrap();
            assert_eq!(written.first(), Some(&format));
            assert_eq!(decode::<Message>(&written).unwrap(), message);
        }
    }

    #[test]
    fn a_newer_format_is_named() {
        let newer = decode::<Message>(&[FORMAT + 1, 0]);
        assert!(matches!(newer, Err(StoreError::Format { found: 3, known: 2 })), "{newer:?}");
        for bytes in [&[][..], &[FORMAT], &[FORMAT, 9]] {
            assert!(matches!(decode::<Message>(bytes), Err(StoreError::Malformed { .. })), "{bytes:?}");
        }
    }
}
