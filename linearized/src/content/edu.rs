//! Typing notices, receipts and presence, as servers tell each other and as clients are told.
//!
//! Between servers each is the content of an EDU (LM-04 §12.9, reading R46), about the one user who sent it. Clients of
//! Matrix have other forms for the same (client-server API of Matrix 1.4): typing is all users of a room at once, a
//! receipt is found by its event, and presence does not repeat whose it is. Those forms are what
//! [`Content`](super::Content) reads. A read-up-to marker goes to nobody else, so that there is no EDU of it.
//!
//! ```
//! use mimi_linearized::content::edu;
//! use mimi_linearized::id::UserId;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bob = UserId::parse("@bob:b.example")?;
//! let content = r#"{"room_id": "!r:a.example", "user_id": "@bob:b.example", "typing": true}"#;
//! let told = edu::for_clients("m.typing", &bob, &serde_json::from_str(content)?);
//! assert_eq!(told[0].room.as_ref().map(|room| room.as_str()), Some("!r:a.example"));
//! assert_eq!(serde_json::to_string(&told[0].content)?, r#"{"user_ids":["@bob:b.example"]}"#);
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Kind;
use crate::id::{EventId, RoomId, UserId};
use crate::json::{Object, as_integer};

/// The most events that a receipt between servers names (reading R46).
const MAX_RECEIPT_EVENTS: usize = 16;
/// The most rooms that are read of one EDU.
const MAX_ROOMS: usize = 100;

/// What a client is told of an EDU.
#[derive(Debug, Clone, PartialEq)]
pub struct ForClients {
    /// The room that it is about; presence is about none.
    pub room: Option<RoomId>,
    /// The event type.
    pub event_type: &'static str,
    /// The content, about the sender of the EDU alone: what others said is the caller's to put together.
    pub content: Object,
}

/// What clients are told of an EDU of a type, by `sender`. Nothing of a type that has no form for clients; what is
/// malformed, or about another user than the sender, is left out. At most 100 rooms are read of a receipt.
#[must_use]
pub fn for_clients(edu_type: &str, sender: &UserId, content: &Object) -> Vec<ForClients> {
    match Kind::of(edu_type) {
        Kind::Typing => typing(sender, content).into_iter().collect(),
        Kind::Receipt => content
            .iter()
            .take(MAX_ROOMS)
            .filter_map(|(room, receipts)| receipt(sender, room, receipts))
            .collect(),
        Kind::Presence => presence(sender, content).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The contents of the EDUs that tell other servers what a client's form says of `sender`: of a receipt one for every
/// thread and time, and nothing of one that is private. `room` is the room that the form is about.
///
/// It is empty for a kind that is told no other server, for one of a room without `room`, and for what is malformed.
#[must_use]
pub fn for_servers(
    event_type: &str,
    sender: &UserId,
    room: Option<&RoomId>,
    content: &Object,
) -> Vec<Object> {
    match (Kind::of(event_type), room) {
        (Kind::Typing, Some(room)) => {
            let Some(users) = content.get("user_ids").and_then(Value::as_array) else { return Vec::new() };
            let typing = users.iter().any(|user| user == sender.as_str());
            vec![object(json!({"room_id": room, "user_id": sender, "typing": typing}))]
        }
        (Kind::Receipt, Some(room)) => receipts(sender, room, content),
        (Kind::Presence, _) => entry(content)
            .map(|mut entry| {
                entry.insert("user_id".to_owned(), json!(sender));
                object(json!({"push": [entry]}))
            })
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

/// What a client is told of all who write in a room: an `m.typing` of these users.
#[must_use]
pub fn typing_users<'u>(users: impl IntoIterator<Item = &'u UserId>) -> Object {
    let users: BTreeSet<&str> = users.into_iter().map(UserId::as_str).collect();
    object(json!({"user_ids": users}))
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn typing(sender: &UserId, content: &Object) -> Option<ForClients> {
    if content.get("user_id")?.as_str()? != sender.as_str() {
        return None;
    }
    let room = RoomId::parse(content.get("room_id")?.as_str()?).ok()?;
    let typing = content.get("typing")?.as_bool()?;
    let content = typing_users(typing.then_some(sender));
    Some(ForClients { room: Some(room), event_type: "m.typing", content })
}

fn receipt(sender: &UserId, room: &str, receipts: &Value) -> Option<ForClients> {
    let room = RoomId::parse(room).ok()?;
    let receipt = receipts.get("m.read")?.get(sender.as_str())?;
    let data = receipt.get("data").and_then(Value::as_object)?;
    let mut told = object(json!({"ts": data.get("ts").and_then(as_integer)?}));
    if let Some(thread) = data.get("thread_id") {
        told.insert("thread_id".to_owned(), json!(thread.as_str()?));
    }
    let events = receipt.get("event_ids")?.as_array()?;
    if !(1..=MAX_RECEIPT_EVENTS).contains(&events.len()) {
        return None;
    }
    let mut content = Object::new();
    for event in events {
        let event = EventId::parse(event.as_str()?).ok()?;
        content.insert(event.as_str().to_owned(), json!({"m.read": {sender.as_str(): told}}));
    }
    Some(ForClients { room: Some(room), event_type: "m.receipt", content })
}

/// The public receipts of a user, which may be of several events, threads and times.
fn receipts(sender: &UserId, room: &RoomId, content: &Object) -> Vec<Object> {
    let mut groups: BTreeMap<(Option<&str>, i64), Vec<EventId>> = BTreeMap::new();
    for (event, receipts) in content {
        let data = receipts.get("m.read").and_then(|users| users.get(sender.as_str()));
        let ts = data.and_then(|data| data.get("ts")).and_then(as_integer);
        let thread = data.and_then(|data| data.get("thread_id")).map(Value::as_str);
        // A thread that is no text is none that anybody knows.
        if let (Ok(event), Some(ts), None | Some(Some(_))) = (EventId::parse(event), ts, thread) {
            groups.entry((thread.flatten(), ts)).or_default().push(event);
        }
    }
    let mut edus = Vec::new();
    for ((thread, ts), events) in groups {
        let mut data = object(json!({"ts": ts}));
        data.extend(thread.map(|thread| ("thread_id".to_owned(), json!(thread))));
        for events in events.chunks(MAX_RECEIPT_EVENTS) {
            let receipt = json!({"data": data, "event_ids": events});
            edus.push(object(json!({room.as_str(): {"m.read": {sender.as_str(): receipt}}})));
        }
    }
    edus
}

/// The first entry that is about the sender.
fn presence(sender: &UserId, content: &Object) -> Option<ForClients> {
    let push = content.get("push")?.as_array()?;
    let of_sender = |entry: &&Object| entry.get("user_id").and_then(Value::as_str) == Some(sender.as_str());
    let found = push.iter().filter_map(Value::as_object).find(of_sender)?;
    Some(ForClients { room: None, event_type: "m.presence", content: entry(found)? })
}

/// The members that both forms have.
fn entry(content: &Object) -> Option<Object> {
    let state = content.get("presence")?.as_str()?;
    if !matches!(state, "online" | "offline" | "unavailable") {
        return None;
    }
    // Servers always say it, clients need not be told.
    let ago = match content.get("last_active_ago") {
        None => 0,
        Some(ago) => as_integer(ago).filter(|ago| *ago >= 0)?,
    };
    let mut entry = object(json!({"presence": state, "last_active_ago": ago}));
    for (name, is_sound) in
        [("status_msg", Value::is_string as fn(&Value) -> bool), ("currently_active", Value::is_boolean)]
    {
        match content.get(name) {
            Some(value) if is_sound(value) => drop(entry.insert(name.to_owned(), value.clone())),
            Some(_) => return None,
            None => {}
        }
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;

    fn bob() -> UserId {
        UserId::parse("@bob:b.example").unwrap()
    }

    fn room() -> RoomId {
        RoomId::parse("!r:a.example").unwrap()
    }

    fn told(edu_type: &str, content: Value) -> Vec<ForClients> {
        let told = for_clients(edu_type, &bob(), &object(content));
        for one in &told {
            assert!(Content::parse(one.event_type, one.content.clone()).is_ok(), "{one:?}");
        }
        told
    }

    fn servers(event_type: &str, content: Value) -> Vec<Value> {
        let edus = for_servers(event_type, &bob(), Some(&room()), &object(content));
        edus.into_iter().map(Value::Object).collect()
    }

    /// Each form of each kind, there and back.
    #[test]
    fn each_form_says_what_the_other_says() {
        let read = |data: Value, events: Value| json!({"!r:a.example": {"m.read": {"@bob:b.example": {"data": data, "event_ids": events}}}});
        let presence = json!({
            "presence": "unavailable", "last_active_ago": 5_000, "status_msg": "away", "currently_active": false,
        });
        let mut entry = presence.clone();
        entry["user_id"] = json!("@bob:b.example");
        for (kind, edu, client) in [
            (
                "m.typing",
                json!({"room_id": "!r:a.example", "user_id": "@bob:b.example", "typing": true}),
                json!({"user_ids": ["@bob:b.example"]}),
            ),
            (
                "m.typing",
                json!({"room_id": "!r:a.example", "user_id": "@bob:b.example", "typing": false}),
                json!({"user_ids": []}),
            ),
            (
                "m.receipt",
                read(json!({"ts": 5}), json!(["$a", "$b"])),
                json!({"$a": {"m.read": {"@bob:b.example": {"ts": 5}}}, "$b": {"m.read": {"@bob:b.example": {"ts": 5}}}}),
            ),
            (
                "m.receipt",
                read(json!({"ts": 5, "thread_id": "$root"}), json!(["$a"])),
                json!({"$a": {"m.read": {"@bob:b.example": {"ts": 5, "thread_id": "$root"}}}}),
            ),
            ("m.presence", json!({"push": [entry]}), presence),
        ] {
            let told = told(kind, edu.clone());
            assert_eq!(told.len(), 1, "{edu}");
            assert_eq!(Value::Object(told[0].content.clone()), client);
            assert_eq!((told[0].event_type, told[0].room.is_some()), (kind, kind != "m.presence"));
            assert_eq!(servers(kind, client), [edu]);
        }
    }

    #[test]
    fn only_what_is_the_senders_and_sound_is_told() {
        let carol = json!({"room_id": "!r:a.example", "user_id": "@carol:b.example", "typing": true});
        assert_eq!(told("m.typing", carol), []);
        for bad in [
            json!({"user_id": "@bob:b.example", "typing": true}),
            json!({"room_id": "r", "user_id": "@bob:b.example", "typing": true}),
            json!({"room_id": "!r:a.example", "user_id": "@bob:b.example", "typing": 1}),
        ] {
            assert_eq!(told("m.typing", bad), []);
        }
        let of = |receipt: Value| json!({"!r:a.example": {"m.read": {"@bob:b.example": receipt}}});
        let data = json!({"ts": 1});
        assert_eq!(told("m.receipt", of(json!({"data": data, "event_ids": ["$a"]}))).len(), 1);
        for bad in [
            of(json!({"data": data, "event_ids": []})),
            of(json!({"data": data, "event_ids": vec!["$a"; MAX_RECEIPT_EVENTS + 1]})),
            of(json!({"data": data, "event_ids": ["$a", "b"]})),
            of(json!({"data": {"ts": "1"}, "event_ids": ["$a"]})),
            of(json!({"data": {"ts": 1, "thread_id": 2}, "event_ids": ["$a"]})),
            json!({"!r:a.example": {"m.read": {"@carol:b.example": {"data": data, "event_ids": ["$a"]}}}}),
            json!({"!r:a.example": {"m.read.private": {"@bob:b.example": {"data": data, "event_ids": ["$a"]}}}}),
            json!({"r": {"m.read": {"@bob:b.example": {"data": data, "event_ids": ["$a"]}}}}),
        ] {
            assert_eq!(told("m.receipt", bad.clone()), [], "{bad}");
        }
        let online = json!({"user_id": "@bob:b.example", "presence": "online", "last_active_ago": 1});
        let mut carol = online.clone();
        (carol["user_id"], carol["presence"]) = (json!("@carol:b.example"), json!("offline"));
        let seen = told("m.presence", json!({"push": [7, carol, online]}));
        assert_eq!(seen[0].content["presence"], "online");
        for (member, value) in [
            ("presence", json!("busy")),
            ("last_active_ago", json!(-1)),
            ("status_msg", json!(1)),
            ("currently_active", json!("yes")),
        ] {
            let mut bad = online.clone();
            bad[member] = value;
            assert_eq!(told("m.presence", json!({"push": [bad]})), [], "{member}");
        }
        assert_eq!(told("m.fully_read", json!({"event_id": "$a"})), []);
        assert_eq!(told("m.direct_to_device", json!({})), []);
    }

    #[test]
    fn of_what_clients_have_only_the_senders_own_and_public_is_sent() {
        let mut events = Object::new();
        for number in 0..20 {
            events.insert(format!("$e{number}"), json!({"m.read": {"@bob:b.example": {"ts": 1}}}));
        }
        events.insert("$t".to_owned(), json!({"m.read": {"@bob:b.example": {"ts": 1, "thread_id": "main"}}}));
        events.insert("$o".to_owned(), json!({"m.read": {"@carol:b.example": {"ts": 1}}}));
        events.insert("$p".to_owned(), json!({"m.read.private": {"@bob:b.example": {"ts": 1}}}));
        events.insert("$x".to_owned(), json!({"m.read": {"@bob:b.example": {"ts": 1, "thread_id": 3}}}));
        let sent = servers("m.receipt", Value::Object(events));
        let named: Vec<usize> = sent
            .iter()
            .map(|edu| edu["!r:a.example"]["m.read"]["@bob:b.example"]["event_ids"].as_array().unwrap().len())
            .collect();
        assert_eq!(named, [16, 4, 1]);
        assert!(sent.iter().all(|edu| told("m.receipt", edu.clone()).len() == 1));

        let others = json!({"user_ids": ["@carol:b.example"]});
        assert_eq!(servers("m.typing", others)[0]["typing"], false);
        assert_eq!(servers("m.typing", json!({"user_ids": "@bob:b.example"})), Vec::<Value>::new());
        assert_eq!(servers("m.presence", json!({"presence": "online"}))[0]["push"][0]["last_active_ago"], 0);
        assert_eq!(servers("m.fully_read", json!({"event_id": "$a"})), Vec::<Value>::new());
        assert!(for_servers("m.typing", &bob(), None, &object(json!({"user_ids": []}))).is_empty());

        let carol = UserId::parse("@carol:b.example").unwrap();
        let all = Value::Object(typing_users([&carol, &bob(), &carol]));
        assert_eq!(all, json!({"user_ids": ["@bob:b.example", "@carol:b.example"]}));
    }

    #[test]
    fn no_more_rooms_are_read_than_are_bounded() {
        let good = json!({"m.read": {"@bob:b.example": {"data": {"ts": 1}, "event_ids": ["$e"]}}});
        let content: Object =
            (0..=MAX_ROOMS).map(|number| (format!("!r{number}:a.example"), good.clone())).collect();
        assert_eq!(told("m.receipt", Value::Object(content)).len(), MAX_ROOMS);
    }
}
