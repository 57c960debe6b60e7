//! What each kind has of its own: how its forms are brought into the one that ruma reads, and the rules that its types
//! do not have.

pub(super) mod call;
pub(super) mod file;
pub(super) mod image;
pub(super) mod legacy;
pub(super) mod location;
pub(super) mod message;
pub(super) mod poll;
pub(super) mod presence;
pub(super) mod reaction;
pub(super) mod sound;
pub(super) mod sticker;
pub(super) mod video;

use serde_json::Value;

use super::blocks::normalise;
use super::names::Name;
use super::{ContentError, Kind};
use crate::json::Object;

/// The content without its relations, which are read apart: a malformed one is ignored, and the event is shown by
/// itself (MF-01 §2).
fn without_relations(content: &Object) -> Object {
    let mut content = content.clone();
    content.remove("m.relates_to");
    content.remove("m.new_content");
    content
}

/// Puts the text where ruma's types for extensible events have it.
///
/// # Errors
/// [`ContentError::NoText`] if there is none, [`ContentError::Text`] if it is malformed.
fn need_text(kind: Kind, content: &mut Object, name: &str) -> Result<(), ContentError> {
    match normalise(content, name) {
        Ok(true) => Ok(()),
        Ok(false) => Err(ContentError::NoText { kind }),
        Err(fault) => Err(ContentError::Text { kind, fault }),
    }
}

/// The same for a part of the content that has a text of its own.
fn part_with_text(kind: Kind, content: &mut Object, part: Name) -> Result<(), ContentError> {
    part.to_unstable(content);
    match content.get_mut(part.unstable).and_then(|part| part.as_object_mut()) {
        Some(part) => need_text(kind, part, super::names::TEXT.unstable),
        None => Ok(()),
    }
}

/// Holds the type of the relation against the one that the kind needs: ruma's types read it and do not look at it.
fn need_relation(kind: Kind, content: &Object, rel_type: &str) -> Result<(), ContentError> {
    match content
        .get("m.relates_to")
        .and_then(|relates_to| relates_to.get("rel_type"))
        .and_then(Value::as_str)
    {
        Some(found) if found == rel_type => Ok(()),
        _ => Err(ContentError::Rule {
            kind,
            field: "m.relates_to",
            rule: "is not of the type that the kind needs",
        }),
    }
}
