//! Redaction (LM-04 §8).

use serde_json::{Map, Value};

use crate::json::Object;
use crate::json::canonical::{Node, View};
use crate::version::{Keep, RedactionRules};

/// What stays of the content of an event of this type.
fn kept_content(rules: &RedactionRules, kind: &str) -> Keep {
    rules.content.iter().find(|(name, _)| *name == kind).map_or(Keep::Keys(&[]), |(_, keep)| *keep)
}

/// Strips an event down to what redaction keeps. Redacting twice changes nothing more.
pub fn redact(event: &mut Object, rules: &RedactionRules) {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let keep = kept_content(rules, kind);
    event.retain(|field, _| rules.fields.contains(&field.as_str()));
    match (event.get_mut("content"), keep) {
        (Some(Value::Object(content)), Keep::Keys(keys)) => {
            content.retain(|key, _| keys.contains(&key.as_str()));
        }
        (Some(Value::Object(_)), Keep::All) | (None, _) => {}
        (Some(content), _) => *content = Value::Object(Map::new()),
    }
}

/// The redacted event without its signatures: what is signed, and what the event id is the hash of
/// (LM-04 §6.1, §9.2).
pub(super) fn signing_view<'e>(event: &'e Object, rules: &RedactionRules) -> View<'e> {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let mut view = View::of(event, |field| field != "signatures" && rules.fields.contains(&field));
    if let Some(content) = event.get("content") {
        let kept = match (content, kept_content(rules, kind)) {
            (Value::Object(_), Keep::All) => Node::Value(content),
            (Value::Object(content), Keep::Keys(keys)) => {
                Node::Object(View::of(content, |key| keys.contains(&key)))
            }
            _ => Node::Object(View::new()),
        };
        view.set("content", kept);
    }
    view
}
