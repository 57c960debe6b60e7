//! Events to MIMI content, and MIMI content to events.
//!
//! Where the one has a counterpart of the other, a bridge can carry messages between clients that speak either. What is
//! lost on the way is told with every message, as [`Loss`]es; [`LOSSES`] is what there can be, and
//! `docs/mimi-content.md` has the same table.
//!
//! Messages refer to others by different ids. The bridge knows which event is which message ([`Ids`]): the id of a MIMI
//! message is a hash that any member can compute, that of an event another.

mod from_mimi;
mod loss;
mod to_mimi;

use thiserror::Error;

use super::mimi::MessageId;
use crate::id::EventId;
use crate::json::Object;

pub use from_mimi::from_mimi;
pub use loss::{Direction, LOSSES, Loss};
pub use to_mimi::to_mimi;

/// Which event is which message.
pub trait Ids {
    /// The id, as MIMI content has it, of an event.
    fn message_of(&self, event: &EventId) -> Option<MessageId>;
    /// The event of a message.
    fn event_of(&self, message: &MessageId) -> Option<EventId>;
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

#[cfg(test)]
mod tests;
