//! MIMI content: what a message says inside MLS, as the MIMI working group has it.
//!
//! The version followed is draft-ietf-mimi-content-08; reports about messages are those of
//! draft-mahy-mimi-message-status-01. `docs/mimi-content.md` tells what becomes of it in events, and the other way.
//!
//! ```
//! use mimi_linearized::content::mimi::{MimiContent, NestedPart};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The salt is the caller's: 16 random bytes.
//! let content = MimiContent::new([7; 16], NestedPart::text("Hello"));
//! let bytes = content.to_bytes()?;
//! assert_eq!(MimiContent::parse(&bytes)?, content);
//! let id = content.message_id("mimi://example.org/u/alice", "mimi://example.org/r/garden")?;
//! assert_eq!(id.as_bytes()[0], 1);
//! # Ok(())
//! # }
//! ```

mod cbor;
mod error;
mod extensions;
mod external;
mod id;
mod part;
mod read;
mod status;
pub mod uri;
mod write;

pub use cbor::CborValue;
pub use error::{MimiError, MimiFault};
pub use extensions::{ExtensionName, Extensions};
pub use external::{Aead, ExternalError, SealedPart};
pub use id::MessageId;
pub use part::{Disposition, ExternalPart, NestedPart, Part, PartIndex, PartSemantics};
pub use status::{MessageStatus, StatusReport};

/// The media type of MIMI content.
pub const MEDIA_TYPE: &str = "application/mimi-content";
/// The media type of a [`StatusReport`].
pub const STATUS_MEDIA_TYPE: &str = "application/mimi-message-status";
/// The media type of a plain text, which everybody can show (§7.1).
pub const PLAIN: &str = "text/plain;charset=utf-8";
/// The media type of a text in HTML (§7.1).
pub const HTML: &str = "text/html;charset=utf-8";
/// The media type of a text in the Markdown that everybody can show, if only as it is (§7.1).
pub const MARKDOWN: &str = "text/markdown;variant=GFM-MIMI";

/// How many parts a message may have at most (§9.1).
pub const MAX_PARTS: usize = 1024;
/// How many levels of parts a message may have at most, the body being the first (§6.3).
pub const MAX_PART_DEPTH: usize = 4;
/// How many levels of maps, arrays and tags the extensions may have at most, their own map being the first (§6.3).
pub const MAX_EXTENSION_DEPTH: usize = 4;
/// How long a topic's id may be at most, in bytes (§9.1).
pub const MAX_TOPIC_ID_LEN: usize = 4096;

/// A message (§4).
#[derive(Debug, Clone, PartialEq)]
pub struct MimiContent {
    /// Random bytes, so that no two messages have the same id and an id tells nothing of its message.
    pub salt: [u8; 16],
    /// The message that this one takes the place of: the first version of what it edits, or what it takes back.
    pub replaces: Option<MessageId>,
    /// What messages of one topic have in common; empty if there is none.
    pub topic_id: Vec<u8>,
    /// When recipients should forget it.
    pub expires: Option<Expiration>,
    /// The message that this one answers or reacts to, in just that version.
    pub in_reply_to: Option<MessageId>,
    /// What else there is.
    pub extensions: Extensions,
    /// What it says.
    pub body: NestedPart,
}

/// When a message should be forgotten (§4.1). Nobody can be held to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiration {
    /// So many seconds after it was read.
    After(u32),
    /// At that time, in seconds since the Unix epoch.
    At(u32),
}

impl MimiContent {
    /// A message of its own: it replaces and answers none.
    #[must_use]
    pub fn new(salt: [u8; 16], body: NestedPart) -> Self {
        Self {
            salt,
            replaces: None,
            topic_id: Vec::new(),
            expires: None,
            in_reply_to: None,
            extensions: Extensions::default(),
            body,
        }
    }

    /// The message's id, in the room `room` and sent by `sender`, both URIs (§3.3).
    ///
    /// # Errors
    /// Those of [`to_bytes`](Self::to_bytes); [`MimiFault::LongUri`].
    pub fn message_id(&self, sender: &str, room: &str) -> Result<MessageId, MimiError> {
        MessageId::of(sender, room, &self.to_bytes()?, &self.salt)
    }

    /// Whether it takes back the message that it replaces: a body of nothing (§5.6, §5.7).
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        self.replaces.is_some() && self.body.part == Part::Null
    }
}

#[cfg(test)]
mod tests;
