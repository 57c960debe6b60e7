//! Stripped state: what somebody outside a room is shown of it (LM-04 §3.5.2.1).

use serde_json::{Value, json};

use crate::case::{Finding, check, fault};

/// Settings of a room that has everything stripped state should show.
pub(in crate::cases) fn telling_settings() -> Value {
    let state = |kind: &str, content: Value| json!({"type": kind, "state_key": "", "content": content});
    json!({
        "room_version": "I.1",
        "join_rule": "knock",
        "name": "a name",
        "topic": "a topic",
        "initial_state": [
            state("m.room.avatar", json!({"url": "mxc://example.org/avatar"})),
            state("m.room.canonical_alias", json!({"alias": "#alias:example.org"})),
            state("org.example.private", json!({"nobody's": "business"})),
        ],
    })
}

/// What stripped state should show of such a room (LM-04 §3.5.2.1).
pub(in crate::cases) const STRIPPED: [&str; 6] = [
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
];

/// Stripped state has no members but the four it is made of.
pub(in crate::cases) fn expect_stripped(state: &Value, what: &str) -> Result<(), Finding> {
    let events = state.as_array().ok_or_else(|| fault(format!("{what} is {state} and no array")))?;
    for event in events {
        let fields = event.as_object().ok_or_else(|| fault(format!("{what} has {event}")))?;
        for name in ["sender", "type", "state_key", "content"] {
            check!(fields.contains_key(name), "an event of {what} lacks `{name}`: {event}");
        }
        check!(fields.len() == 4, "an event of {what} has more than stripped state has: {event}");
    }
    Ok(())
}

/// The types of the events of stripped state.
pub(in crate::cases) fn types(state: &Value) -> Vec<&str> {
    let events = state.as_array().into_iter().flatten();
    events.filter_map(|event| event.get("type").and_then(Value::as_str)).collect()
}
