//! The plaintext of encrypted events.

use serde_json::{Value, json};

use super::{accepted, by_r57};
use crate::vectors::{Group, Vector};

/// What is inside and outside, both as text.
fn input(plaintext: &str, outside: &Value) -> Value {
    json!({"plaintext": plaintext, "content": outside.to_string()})
}

/// An event that is read, with the relation that counts.
fn event(inside: &Value, outside: &Value, counts: Value, comment: &str) -> Vector {
    let kind = inside.get("type").cloned().unwrap_or_default();
    let mut expected = json!({"format": "event", "type": kind});
    if let Some(members) = expected.as_object_mut() {
        members.insert("relates_to".to_owned(), counts);
    }
    let expected = accepted(expected);
    by_r57(input(&inside.to_string(), outside), Some(expected), comment)
}

fn refused(plaintext: &str, comment: &str) -> Vector {
    by_r57(input(plaintext, &json!({})), None, comment)
}

fn relations() -> Vec<Vector> {
    let with = |relation: Value| json!({"m.relates_to": relation});
    let inside = |content: Value| json!({"type": "m.reaction", "content": content});
    let about = |id: &str| json!({"rel_type": "m.annotation", "event_id": id});
    let reaction = json!({"rel_type": "m.annotation", "event_id": "$a", "key": "\u{1f41f}"});
    let reply = json!({"m.in_reply_to": {"event_id": "$a"}});
    let quoting = json!({"m.in_reply_to": {"event_id": "$a", "org.example.quote": "x"}});
    let thread = json!({
        "rel_type": "m.thread", "event_id": "$a", "is_falling_back": true, "m.in_reply_to": {"event_id": "$b"},
    });
    vec![
        event(&inside(json!({})), &json!({}), Value::Null, "no relation"),
        event(&inside(with(reaction.clone())), &with(about("$a")), reaction.clone(), "a reaction"),
        event(&inside(with(reply.clone())), &with(reply.clone()), reply.clone(), "a reply"),
        event(&inside(with(quoting.clone())), &with(reply.clone()), quoting, "a reply that says more inside"),
        event(&inside(with(thread.clone())), &with(thread.clone()), thread, "a message of a thread"),
        event(&inside(json!({})), &with(reply.clone()), reply.clone(), "a reply that is outside alone"),
        event(&inside(with(reply.clone())), &json!({}), Value::Null, "a reply that is inside alone"),
        event(&inside(with(reaction.clone())), &with(about("$b")), Value::Null, "a reaction to two events"),
        event(
            &inside(with(reaction.clone())),
            &with(reaction),
            Value::Null,
            "a reaction whose key is outside too",
        ),
        event(&inside(with(json!(1))), &with(json!([])), Value::Null, "relations that are none"),
    ]
}

fn forms() -> Vec<Vector> {
    let plain = |text: &str, comment: &str| {
        let inside: Value = serde_json::from_str(text).unwrap_or_default();
        let kind = inside.get("type").cloned().unwrap_or_default();
        let expected = accepted(json!({"format": "event", "type": kind, "relates_to": null}));
        by_r57(input(text, &json!({})), Some(expected), comment)
    };
    vec![
        plain(r#"{"content":{},"type":"m.message"}"#, "the members in canonical order"),
        plain(
            r#"{ "type": "org.example.any", "content": {"m.text": "x"}, "room_id": "!r" }"#,
            "white space, and a member more",
        ),
        refused("", "nothing"),
        refused("hello", "a text that is no JSON"),
        refused("[]", "an array"),
        refused(" {\"type\":\"m.message\",\"content\":{}}", "white space before the object"),
        refused(r#"{"type":"m.message","content":{}"#, "an object cut short"),
        refused(r#"{"type":"m.message","type":"m.emote","content":{}}"#, "a key twice"),
        refused(r#"{"content":{}}"#, "no type"),
        refused(r#"{"type":1,"content":{}}"#, "a type that is a number"),
        refused(r#"{"type":"m.message"}"#, "no content"),
        refused(r#"{"type":"m.message","content":[]}"#, "content that is an array"),
        refused(r#"{"type":"m.room.name","content":{},"state_key":""}"#, "a state event"),
        refused(r#"{"type":"m.room.redaction","content":{"redacts":"$a"}}"#, "a redaction"),
        refused(r#"{"type":"m.mls.commit","content":{}}"#, "a commit"),
        refused(r#"{"type":"m.room.encrypted","content":{}}"#, "an encrypted event"),
    ]
}

pub(super) fn group() -> Group {
    let tests = [relations(), forms()].into_iter().flatten().collect();
    let about = "`plaintext` was inside an `m.room.encrypted` whose content is `content`. It is `accepted` if it is an event \
                 that belongs inside (R57). `type` is the event's, and `relates_to` its relation that counts, `null` if \
                 none does. `format` is `event`.";
    Group::new("plaintext", about, tests)
}
