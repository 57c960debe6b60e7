//! The way of an event into MLS and out of it.
//!
//! What is encrypted is the event's `type` and `content`, as one JSON object; around it is an `m.room.encrypted`, which
//! has the ciphertext and so much of the event's relation as others have to see (LM-04 §4.5.2, reading R57;
//! `docs/encrypted-content.md`). A group may also speak [MIMI content](super::mimi): by the first byte a reader tells
//! which of the two a plaintext is.

use serde_json::{Value, json};
use thiserror::Error;

use super::mimi::{MimiContent, MimiError};
use crate::encryption::EncryptedContent;
use crate::event::kind;
use crate::json::strict::{self, JsonError};
use crate::json::{Object, canonical};

/// The member that has an event's relation.
const RELATES_TO: &str = "m.relates_to";
/// The members of a relation that are visible: which event it is about and how, and what it answers.
const VISIBLE: [&str; 4] = ["rel_type", "event_id", "m.in_reply_to", "is_falling_back"];

/// An event as it is inside: before it is encrypted, or after.
#[derive(Debug, Clone, PartialEq)]
pub struct InnerEvent {
    /// Its type, such as `m.message`.
    pub kind: String,
    /// Its content, with the whole of its relation.
    pub content: Object,
}

/// An event that is ready to be encrypted.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// What is encrypted.
    pub plaintext: Vec<u8>,
    /// What is visible of its relation: the `m.relates_to` beside the ciphertext.
    pub relates_to: Option<Object>,
}

/// What was inside.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Plaintext {
    /// An event.
    Event {
        /// The event, with the relation that counts.
        event: InnerEvent,
        /// What is to be thought of that relation.
        relation: SettledRelation,
    },
    /// A message in MIMI content.
    Mimi(Box<MimiContent>),
}

/// What a relation outside and inside the ciphertext make together (reading R57).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettledRelation {
    /// There is none.
    None,
    /// Both say the same, so the device that encrypted the event vouches for it.
    Same,
    /// It is outside only, as Matrix has it: it counts, and the servers on the way could have put it there.
    Outside,
    /// It is inside only: it does not count.
    Inside,
    /// They differ: none counts, and the event is shown by itself.
    Different,
}

/// An event that does not belong inside a message. The caller is at fault where it is encrypted, the sender where it is
/// decrypted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotInside {
    /// Servers have to see events of this type, or it is an encrypted event already.
    #[error("events of type {0} are not encrypted")]
    Type(String),
    /// It is a state event, and servers have to see those.
    #[error("state events are not encrypted")]
    State,
}

/// A plaintext that cannot be read. The sender is at fault.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlaintextError {
    /// It begins like neither an event nor MIMI content.
    #[error("it is neither an event nor MIMI content")]
    Unknown,
    /// It begins like an event and is not JSON that everybody reads alike.
    #[error(transparent)]
    Json(JsonError),
    /// It is an object, and this member of an event is missing or of another type.
    #[error("its `{0}` is missing or malformed")]
    Malformed(&'static str),
    /// It is not what belongs inside.
    #[error(transparent)]
    NotInside(#[from] NotInside),
    /// It begins like MIMI content and is none.
    #[error(transparent)]
    Mimi(#[from] MimiError),
}

/// Whether events of a type are what a message can have inside. Servers have to see commits and redactions, and what is
/// encrypted is not encrypted again.
#[must_use]
pub fn belongs_inside(kind: &str) -> bool {
    !matches!(kind, kind::ENCRYPTED | kind::MLS_COMMIT | kind::REDACTION)
}

impl InnerEvent {
    /// Makes the event ready to be encrypted.
    ///
    /// # Errors
    /// [`NotInside::Type`] of a type that servers have to see.
    pub fn prepare(&self) -> Result<Prepared, NotInside> {
        if !belongs_inside(&self.kind) {
            return Err(NotInside::Type(self.kind.clone()));
        }
        let plaintext = canonical::to_vec(&json!({"type": self.kind, "content": self.content}));
        let relates_to = self.content.get(RELATES_TO).and_then(Value::as_object);
        Ok(Prepared { plaintext, relates_to: relates_to.map(visible).filter(|visible| !visible.is_empty()) })
    }
}

impl Prepared {
    /// The content of the `m.room.encrypted` event around the ciphertext of [`plaintext`](Self::plaintext).
    #[must_use]
    pub fn around(self, encrypted: &EncryptedContent) -> Object {
        let mut content = encrypted.to_json();
        if let Some(relates_to) = self.relates_to {
            content.insert(RELATES_TO.to_owned(), Value::Object(relates_to));
        }
        content
    }
}

impl Plaintext {
    /// Reads what an `m.room.encrypted` event with the content `outside` had inside.
    ///
    /// # Errors
    /// [`PlaintextError`] of what nobody can show.
    pub fn read(plaintext: &[u8], outside: &Object) -> Result<Self, PlaintextError> {
        match plaintext.first() {
            Some(b'{') => read_event(plaintext, outside),
            // An array of seven elements, as MIMI content begins.
            Some(0x87) => Ok(Self::Mimi(Box::new(MimiContent::parse(plaintext)?))),
            _ => Err(PlaintextError::Unknown),
        }
    }
}

fn read_event(plaintext: &[u8], outside: &Object) -> Result<Plaintext, PlaintextError> {
    let Value::Object(mut object) = strict::parse(plaintext).map_err(PlaintextError::Json)? else {
        return Err(PlaintextError::Unknown);
    };
    let Some(Value::String(kind)) = object.remove("type") else {
        return Err(PlaintextError::Malformed("type"));
    };
    let Some(Value::Object(mut content)) = object.remove("content") else {
        return Err(PlaintextError::Malformed("content"));
    };
    if object.contains_key("state_key") {
        return Err(NotInside::State.into());
    }
    if !belongs_inside(&kind) {
        return Err(NotInside::Type(kind).into());
    }
    let relation = settle(&mut content, outside.get(RELATES_TO));
    Ok(Plaintext::Event { event: InnerEvent { kind, content }, relation })
}

/// Leaves in the content the relation that counts.
fn settle(content: &mut Object, outside: Option<&Value>) -> SettledRelation {
    let outside = outside.and_then(Value::as_object);
    let inside = content.remove(RELATES_TO);
    let inside = inside.as_ref().and_then(Value::as_object);
    let (counts, relation) = match (inside, outside) {
        (None, None) => (None, SettledRelation::None),
        (Some(_), None) => (None, SettledRelation::Inside),
        (None, Some(outside)) => (Some(outside), SettledRelation::Outside),
        (Some(inside), Some(outside)) if visible(inside) == *outside => (Some(inside), SettledRelation::Same),
        (Some(_), Some(_)) => (None, SettledRelation::Different),
    };
    if let Some(counts) = counts {
        content.insert(RELATES_TO.to_owned(), Value::Object(counts.clone()));
    }
    relation
}

/// What is visible of a relation: nothing that the event says, such as the emoji of a reaction.
fn visible(relates_to: &Object) -> Object {
    let shown = |(name, value): (&String, &Value)| {
        let value = match (name.as_str(), value) {
            ("m.in_reply_to", Value::Object(answered)) => json!({"event_id": answered.get("event_id")?}),
            (_, value) => value.clone(),
        };
        Some((name.clone(), value))
    };
    relates_to.iter().filter(|(name, _)| VISIBLE.contains(&name.as_str())).filter_map(shown).collect()
}

#[cfg(test)]
mod tests;
