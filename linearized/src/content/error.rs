//! What is wrong with a content.

use super::Kind;
use crate::json::strict;

/// Content that does not match the form of its event type. The sender is at fault in every case; a client shows what
/// [`fn@super::render`] makes of the event nevertheless.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Nesting deeper than an event can have.
    #[error("nesting deeper than {}", strict::MAX_DEPTH)]
    TooDeep,
    /// A kind that has to have a text has none (MSC1767).
    #[error("{kind} without a text: none of `m.text`, `m.html` and `m.message`")]
    NoText {
        /// What the event type says it is.
        kind: Kind,
    },
    /// A text that is malformed.
    #[error("the text of {kind}: {fault}")]
    Text {
        /// What the event type says it is.
        kind: Kind,
        /// What is wrong with it.
        #[source]
        fault: TextFault,
    },
    /// A member is missing, or of the wrong type.
    #[error("{kind} does not match its schema: {source}")]
    Schema {
        /// What the event type says it is.
        kind: Kind,
        /// The member and what is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A rule that no schema has.
    #[error("{kind}: `{field}` {rule}")]
    Rule {
        /// What the event type says it is.
        kind: Kind,
        /// The member.
        field: &'static str,
        /// What it has to be, as the end of a sentence.
        rule: &'static str,
    },
}

/// A text block that is none (MSC1767, reading R54).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextFault {
    /// `m.text` is neither a string nor an array.
    #[error("`m.text` is neither a string nor an array")]
    Text,
    /// `m.html` is no string.
    #[error("`m.html` is no string")]
    Html,
    /// `m.message` is no array.
    #[error("`m.message` is no array")]
    Message,
    /// A representation is no object.
    #[error("representation {0} is no object")]
    Representation(usize),
    /// A representation without a string `body`.
    #[error("representation {0} has no string `body`")]
    Body(usize),
    /// A representation whose `mimetype` is no string.
    #[error("the `mimetype` of representation {0} is no string")]
    MimeType(usize),
}
