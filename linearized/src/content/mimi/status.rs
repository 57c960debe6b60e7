//! What became of messages at a recipient (draft-mahy-mimi-message-status-01).

use super::cbor::{Reader, Writer};
use super::error::{MimiError, MimiFault};
use super::id::MessageId;
use super::read::message_id;

/// What a member of a room tells the others of messages. Each is told of by its id, which is of that room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusReport(pub Vec<(MessageId, MessageStatus)>);

/// What became of a message at the sender of the report (§3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MessageStatus {
    /// Not read, or not any more: 0.
    Unread,
    /// A client of the user has it: 1.
    Delivered,
    /// Read: 2.
    Read,
    /// Its time was over: 3.
    Expired,
    /// Deleted, by the user or for everybody: 4.
    Deleted,
    /// Put away: 5.
    Hidden,
    /// It could not be received: 6.
    Error,
    /// One that this library does not know, from 7 on.
    Other(u8),
}

impl MessageStatus {
    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Unread,
            1 => Self::Delivered,
            2 => Self::Read,
            3 => Self::Expired,
            4 => Self::Deleted,
            5 => Self::Hidden,
            6 => Self::Error,
            other => Self::Other(other),
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Unread => 0,
            Self::Delivered => 1,
            Self::Read => 2,
            Self::Expired => 3,
            Self::Deleted => 4,
            Self::Hidden => 5,
            Self::Error => 6,
            Self::Other(number) => number,
        }
    }
}

impl StatusReport {
    /// Reads a report. The draft asks for no particular encoding; lengths have to be definite.
    ///
    /// # Errors
    /// [`MimiError`] with the place of what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, MimiError> {
        let mut reader = Reader::new(bytes);
        let count = reader.array("MessageStatusReport")?;
        let mut report = Vec::new();
        for _ in 0..count {
            let at = reader.offset();
            let found = reader.array("PerMessageStatus")?;
            if found != 2 {
                return Err(MimiFault::Length { field: "PerMessageStatus", found, wanted: "2" }.at(at));
            }
            let at = reader.offset();
            let id = message_id(reader.bytes("messageId")?, "messageId", at)?;
            let status = reader.unsigned("status", "a number up to 255").map(MessageStatus::from_number)?;
            report.push((id, status));
        }
        let at = reader.offset();
        if at < bytes.len() { Err(MimiFault::Trailing.at(at)) } else { Ok(Self(report)) }
    }

    /// The report, encoded deterministically.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(self.0.len());
        for (id, status) in &self.0 {
            writer.array(2);
            writer.bytes(id.as_bytes());
            writer.unsigned(status.number());
        }
        writer.bytes
    }
}
