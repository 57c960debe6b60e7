//! Events to MIMI content, and MIMI content to events.
//!
//! Where the one has a counterpart of the other, a bridge can carry messages between clients that speak either. What is
//! lost on the way is told with every message, as [`Loss`]es; [`LOSSES`] is what there can be, and
//! `docs/mimi-content.md` has the same table.
//!
//! Messages refer to others by different ids. The bridge knows which event is which message ([`Ids`]): the id of a MIMI
//! message is a hash that any member can compute, that of an event another. Files cannot stay where they are, nor be
//! decrypted on the other side: a bridge that brings them over decrypts them ([`ExternalPart::open`],
//! [`EncryptedFile::decrypt`](super::attachment::EncryptedFile::decrypt)), encrypts them anew ([`super::attachment`],
//! [`Aead::seal`](super::mimi::Aead::seal)), uploads them, and says where they are.

mod from_mimi;
mod loss;
mod to_mimi;

use thiserror::Error;

use super::mimi::{ExternalPart, MARKDOWN, MessageId};
use super::render::markdown;
use crate::id::EventId;
use crate::json::Object;

pub use from_mimi::from_mimi;
pub use loss::{Direction, LOSSES, Loss};
pub use to_mimi::to_mimi;

/// Which event is which message, and where files are on either side.
pub trait Ids {
    /// The id, as MIMI content has it, of an event.
    fn message_of(&self, event: &EventId) -> Option<MessageId>;
    /// The event of a message.
    fn event_of(&self, message: &MessageId) -> Option<EventId>;

    /// Where a file is for clients that read events, if the bridge has brought it there: the `url`, an `mxc://` URI,
    /// and if it is encrypted the other members of an [`EncryptedFile`](super::attachment::EncryptedFile). What else an
    /// event says of a file is taken from the part.
    fn file_of(&self, part: &ExternalPart) -> Option<Object> {
        let _ = part;
        None
    }

    /// Where a file is for clients that read MIMI content, if the bridge has brought it there. `file` is what the event
    /// says of it: an `m.file`, the `file` of an older message, or its `url` alone. Media type, size, name and
    /// description are taken from the event.
    fn part_of(&self, file: &Object) -> Option<ExternalPart> {
        let _ = file;
        None
    }
}

/// What became of a message, and what was lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted<T> {
    /// The message in the other format.
    pub value: T,
    /// What it does not have any more, each once, in the order of [`LOSSES`].
    pub losses: Vec<Loss>,
}

/// An event to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Its type.
    pub event_type: String,
    /// Its content. A redaction has `redacts` in it.
    pub content: Object,
}

/// A message that the other format has nothing for. Nobody is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoCounterpart {
    /// Nothing in MIMI content is like events of this type, and they have no text to show instead.
    #[error("there is no message like an event of type {0}")]
    EventType(String),
    /// The event or message that it is about, and without which it is nothing, has no counterpart.
    #[error("what it is about is not known")]
    Unknown,
    /// It says nothing, and takes nothing back.
    #[error("it says nothing")]
    Empty,
}

/// The renderings of a text in Markdown that an event has: itself, and what it looks like to whoever does not know it.
fn of_markdown(source: &str) -> Vec<(&'static str, String)> {
    let mut renderings = vec![(MARKDOWN, source.to_owned())];
    match (markdown::to_html(source), markdown::to_text(source)) {
        (Some(html), Some(text)) => renderings.extend([("text/html", html), ("text/plain", text)]),
        // What is too large to be shown is read as it is written.
        _ => renderings.push(("text/plain", source.to_owned())),
    }
    renderings
}

#[cfg(test)]
mod tests;
