//! The contents of messages: MF-01 (draft-ralston-mimi-matrix-message-format-01) and the extensible events of Matrix
//! that it stands on.
//!
//! Servers carry contents unread. What is here is for clients, bridges and the suite: a [`Content`] is a typed [`View`]
//! beside the JSON object that it was read from. The object is what is written back, so that no member is lost that this
//! library does not know. The types are ruma's; our own reader only brings what ruma does not know into their form: a
//! text that is a string, the names of members in and out of proposals, and the polls of MF-01 (reading R54).
//!
//! | module | what it has |
//! |---|---|
//! | [`kind`] | every kind of message, as data |
//! | [`blocks`] | texts, in several media types |
//! | [`relation`] | edits, replies, threads, reactions: how an event is about another |
//! | [`mod@render`] | what a client shows of an event |
//! | [`convert`] | from and to `m.room.message` |
//! | [`inside`] | into an encrypted event and out of it |
//! | [`attachment`] | files, encrypted before they are uploaded |
//! | [`mimi`] | MIMI content |
//! | [`edu`] | typing, receipts and presence between servers |
//! | [`timeline`] | what the events of a list come to |
//! | [`bridge`] | events to MIMI content, and back |
//!
//! ```
//! use mimi_linearized::content::{Content, Kind, View};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let written = r#"{"m.text": "i am a fish", "m.html": "i am a <b>fish</b>", "org.example.mood": "wet"}"#;
//! let content = Content::parse("m.message", serde_json::from_str(written)?)?;
//! assert_eq!(content.kind(), Kind::Message);
//! let View::Message(message) = content.view() else { return Err("no message".into()) };
//! assert_eq!(message.text.find_plain(), Some("i am a fish"));
//! assert_eq!(content.original().get("org.example.mood").and_then(|mood| mood.as_str()), Some("wet"));
//! # Ok(())
//! # }
//! ```

pub mod attachment;
pub mod blocks;
pub mod bridge;
pub mod convert;
pub mod edu;
mod error;
pub mod inside;
pub mod kind;
mod kinds;
pub mod mimi;
mod names;
pub mod relation;
pub mod render;
pub mod timeline;
mod view;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use blocks::{Blocks, TextForm};
pub use convert::ConvertError;
pub use error::{ContentError, TextFault};
pub use kind::{Carriage, Facts, KINDS, Kind, Secrecy};
pub use kinds::legacy::Legacy;
pub use kinds::poll::{PollText, Vote, tally};
pub use kinds::reaction::{Mark, Reaction};
pub use kinds::sticker::Sticker;
pub use relation::{IgnoredRelation, Relation, Relations};
pub use render::{Capabilities, Rendering, Shown, html, markdown, render, render_mimi};
/// The types of the views.
pub use ruma_events as ruma;
pub use timeline::Timeline;
pub use view::View;

use crate::json::{Object, strict};

/// A content that matches the form of its event type.
#[derive(Debug, Clone)]
pub struct Content {
    event_type: String,
    kind: Kind,
    original: Object,
    view: View,
    relations: Relations,
    text: Option<Blocks>,
}

impl Content {
    /// Reads a content by its event type.
    ///
    /// Members that are not known are kept and judge nothing. An event type that is not known has a content too: its
    /// representations may be known.
    ///
    /// # Errors
    /// [`ContentError`] if the content does not match the form of a type that is known.
    pub fn parse(event_type: &str, content: Object) -> Result<Self, ContentError> {
        if content.values().any(|value| is_deeper_than(value, strict::MAX_DEPTH - 1)) {
            return Err(ContentError::TooDeep);
        }
        let kind = Kind::of(event_type);
        let view = view::read(kind, &content)?;
        let text = match Blocks::read(&content) {
            Ok(text) => text,
            // A type that defines no text may have a member of that name.
            Err(_) if !kind.is_shown() => None,
            Err(fault) => return Err(ContentError::Text { kind, fault }),
        };
        let relations = Relations::read(&content);
        Ok(Self { event_type: event_type.to_owned(), kind, original: content, view, relations, text })
    }

    /// The event type, as it was given.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// What the event type says that it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The typed value.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The object it was read from, which is also what is written back.
    #[must_use]
    pub fn original(&self) -> &Object {
        &self.original
    }

    /// The object it was read from.
    #[must_use]
    pub fn into_original(self) -> Object {
        self.original
    }

    /// How it is about other events.
    #[must_use]
    pub fn relations(&self) -> &Relations {
        &self.relations
    }

    /// The text, for those who know no more of the kind.
    #[must_use]
    pub fn text(&self) -> Option<&Blocks> {
        self.text.as_ref()
    }
}

/// Reads a value of ruma's from an object in the form that ruma knows.
fn schema<T: DeserializeOwned>(kind: Kind, content: &Object) -> Result<Box<T>, ContentError> {
    let fault = |source| ContentError::Schema { kind, source };
    // Through text: some of the types keep raw JSON, which they cannot be given from a value in every place.
    let text = serde_json::to_string(content).map_err(fault)?;
    serde_json::from_str(&text).map(Box::new).map_err(fault)
}

/// Whether a value has more than `depth` containers inside each other. Goes no deeper than that.
fn is_deeper_than(value: &Value, depth: usize) -> bool {
    let Some(below) = depth.checked_sub(1) else { return value.is_array() || value.is_object() };
    match value {
        Value::Array(elements) => elements.iter().any(|element| is_deeper_than(element, below)),
        Value::Object(members) => members.values().any(|member| is_deeper_than(member, below)),
        _ => false,
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
