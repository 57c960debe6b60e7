//! How an event relates to others: `m.relates_to`.
//!
//! A relation that is malformed is ignored, and the event shown by itself (MF-01 §2). So reading never fails; what was
//! ignored can be asked for.

use serde_json::Value;

use crate::id::EventId;
use crate::json::Object;

/// What `m.relates_to` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Relations {
    /// The relation by `rel_type`.
    pub relation: Option<Relation>,
    /// The event answered, by `m.in_reply_to`.
    pub in_reply_to: Option<EventId>,
    /// What was ignored.
    pub ignored: Option<IgnoredRelation>,
}

/// A relation by `rel_type`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Relation {
    /// `m.replace`: an edit, with the content that takes the original's place.
    Replace {
        /// The original.
        event: EventId,
        /// `m.new_content`.
        new_content: Object,
    },
    /// `m.thread`.
    Thread {
        /// The thread's first event.
        root: EventId,
        /// Whether `m.in_reply_to` is there only for clients that know replies and no threads.
        is_falling_back: bool,
    },
    /// `m.reference`: votes, the close of a poll, positions of a shared place.
    Reference {
        /// The event referred to.
        event: EventId,
    },
    /// `m.annotation`: a reaction.
    Annotation {
        /// The event annotated.
        event: EventId,
        /// The mark.
        key: String,
    },
    /// A type that no specification here knows.
    Other {
        /// Its name.
        rel_type: String,
        /// The event it is to.
        event: EventId,
    },
}

/// Why a relation does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IgnoredRelation {
    /// `m.relates_to` is no object.
    #[error("`m.relates_to` is no object")]
    NotAnObject,
    /// `rel_type` is no string.
    #[error("`rel_type` is no string")]
    Type,
    /// `event_id` is missing or no event id.
    #[error("`event_id` is no event id")]
    EventId,
    /// An edit without an object `m.new_content`.
    #[error("an edit without `m.new_content`")]
    NoNewContent,
    /// An annotation without a string `key`.
    #[error("an annotation without `key`")]
    NoKey,
    /// `m.in_reply_to` is no object with an event id.
    #[error("`m.in_reply_to` names no event")]
    InReplyTo,
}

impl Relation {
    /// The event that it is to.
    #[must_use]
    pub fn event(&self) -> &EventId {
        match self {
            Self::Replace { event, .. }
            | Self::Thread { root: event, .. }
            | Self::Reference { event }
            | Self::Annotation { event, .. }
            | Self::Other { event, .. } => event,
        }
    }
}

impl Relations {
    /// Reads `m.relates_to` of a content.
    #[must_use]
    pub fn read(content: &Object) -> Self {
        let mut relations = Self::default();
        let Some(relates_to) = content.get("m.relates_to") else { return relations };
        let Some(relates_to) = relates_to.as_object() else {
            relations.ignored = Some(IgnoredRelation::NotAnObject);
            return relations;
        };
        match relation(relates_to, content) {
            Ok(relation) => relations.relation = relation,
            Err(ignored) => relations.ignored = Some(ignored),
        }
        if let Some(reply) = relates_to.get("m.in_reply_to") {
            match reply.as_object().and_then(event_id) {
                Some(event) => relations.in_reply_to = Some(event),
                None => relations.ignored = Some(IgnoredRelation::InReplyTo),
            }
        }
        relations
    }

    /// The event answered, if that is what the reply is for: not one that only stands in for a thread.
    #[must_use]
    pub fn answered(&self) -> Option<&EventId> {
        match self.relation {
            Some(Relation::Thread { is_falling_back: true, .. }) => None,
            _ => self.in_reply_to.as_ref(),
        }
    }
}

fn relation(relates_to: &Object, content: &Object) -> Result<Option<Relation>, IgnoredRelation> {
    let rel_type = match relates_to.get("rel_type") {
        None => return Ok(None),
        Some(Value::String(rel_type)) => rel_type.as_str(),
        Some(_) => return Err(IgnoredRelation::Type),
    };
    let event = event_id(relates_to).ok_or(IgnoredRelation::EventId)?;
    Ok(Some(match rel_type {
        "m.replace" => {
            let new_content = content.get("m.new_content").and_then(Value::as_object);
            Relation::Replace {
                event,
                new_content: new_content.ok_or(IgnoredRelation::NoNewContent)?.clone(),
            }
        }
        "m.thread" => {
            let is_falling_back = relates_to.get("is_falling_back").and_then(Value::as_bool).unwrap_or(false);
            Relation::Thread { root: event, is_falling_back }
        }
        "m.reference" => Relation::Reference { event },
        "m.annotation" => {
            let key = relates_to.get("key").and_then(Value::as_str).ok_or(IgnoredRelation::NoKey)?;
            Relation::Annotation { event, key: key.to_owned() }
        }
        other => Relation::Other { rel_type: other.to_owned(), event },
    }))
}

fn event_id(object: &Object) -> Option<EventId> {
    EventId::parse(object.get("event_id")?.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(content: Value) -> Relations {
        let Value::Object(content) = content else { panic!("{content}") };
        Relations::read(&content)
    }

    fn id(text: &str) -> EventId {
        EventId::parse(text).unwrap()
    }

    #[test]
    fn relations_are_read() {
        let edit =
            json!({"m.relates_to": {"rel_type": "m.replace", "event_id": "$a"}, "m.new_content": {"x": 1}});
        let new_content = json!({"x": 1}).as_object().unwrap().clone();
        assert_eq!(read(edit).relation, Some(Relation::Replace { event: id("$a"), new_content }));
        let relates_to = json!({"rel_type": "m.thread", "event_id": "$r", "is_falling_back": true, "m.in_reply_to": {"event_id": "$l"}});
        let thread = read(json!({"m.relates_to": relates_to}));
        assert_eq!(thread.relation, Some(Relation::Thread { root: id("$r"), is_falling_back: true }));
        assert_eq!((thread.in_reply_to.clone(), thread.answered()), (Some(id("$l")), None));
        let mark = json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": "$a", "key": "👍"}});
        assert_eq!(read(mark).relation, Some(Relation::Annotation { event: id("$a"), key: "👍".to_owned() }));
        let reply = read(json!({"m.relates_to": {"m.in_reply_to": {"event_id": "$a"}}}));
        assert_eq!((reply.relation.clone(), reply.answered()), (None, Some(&id("$a"))));
        let other = read(json!({"m.relates_to": {"rel_type": "org.example.x", "event_id": "$a"}}));
        assert_eq!(other.relation.unwrap().event(), &id("$a"));
    }

    #[test]
    fn what_is_malformed_is_ignored_with_its_reason() {
        for (content, why) in [
            (json!({"m.relates_to": "$a"}), IgnoredRelation::NotAnObject),
            (json!({"m.relates_to": {"rel_type": 1, "event_id": "$a"}}), IgnoredRelation::Type),
            (json!({"m.relates_to": {"rel_type": "m.thread", "event_id": "a"}}), IgnoredRelation::EventId),
            (
                json!({"m.relates_to": {"rel_type": "m.replace", "event_id": "$a"}}),
                IgnoredRelation::NoNewContent,
            ),
            (json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": "$a"}}), IgnoredRelation::NoKey),
            (json!({"m.relates_to": {"m.in_reply_to": {"event_id": 5}}}), IgnoredRelation::InReplyTo),
        ] {
            let relations = read(content);
            assert_eq!(
                (relations.ignored, relations.relation, relations.in_reply_to),
                (Some(why), None, None)
            );
        }
    }
}
