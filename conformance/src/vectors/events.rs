//! Servers, users and events that the vectors are made of.

use serde_json::{Value, json};

use super::chance::Chance;
use super::oracle::{self, Server, canonical};

/// 2023-11-14T22:13:20Z
pub(super) const TS: i64 = 1_700_000_000_000;

/// The people of a room, and their servers.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    /// The hub, server of the creator.
    pub(super) hub: Server,
    /// A participant.
    pub(super) second: Server,
    /// Another participant.
    pub(super) third: Server,
    pub(super) room: String,
    /// Alice, who creates the room.
    pub(super) alice: String,
    /// Bob, of the second server.
    pub(super) bob: String,
    /// Carol, of the third.
    pub(super) carol: String,
}

impl Cast {
    /// A cast whose keys and names come from the seed.
    pub(super) fn new(chance: &mut Chance) -> Self {
        let mut server = |name: &str| Server::new(&format!("{name}.example"), "1", chance.bytes());
        let (hub, second, third) = (server("hub"), server("second"), server("third"));
        let room = format!("!{}:{}", chance.word(10), hub.name);
        let mut user = |name: &str, server: &Server| format!("@{name}-{}:{}", chance.word(4), server.name);
        let (alice, bob, carol) = (user("alice", &hub), user("bob", &second), user("carol", &third));
        Self { hub, second, third, room, alice, bob, carol }
    }

    /// The server of one of the three users.
    pub(super) fn server_of(&self, user: &str) -> &Server {
        let named = |server: &&Server| user.ends_with(&format!(":{}", server.name));
        [&self.second, &self.third].into_iter().find(named).unwrap_or(&self.hub)
    }

    /// The fields that the maker of an event chooses.
    pub(super) fn draft(&self, sender: &str, kind: &str, state_key: Option<&str>, content: Value) -> Value {
        let event = json!({
            "room_id": self.room,
            "type": kind,
            "sender": sender,
            "origin_server_ts": TS,
        });
        let event = oracle::with(&event, "content", content);
        match state_key {
            Some(key) => oracle::with(&event, "state_key", json!(key)),
            None => event,
        }
    }

    pub(super) fn create(&self) -> Value {
        self.draft(&self.alice, "m.room.create", Some(""), json!({"room_version": "I.1"}))
    }

    pub(super) fn member(&self, sender: &str, target: &str, membership: &str) -> Value {
        self.draft(sender, "m.room.member", Some(target), json!({"membership": membership}))
    }

    pub(super) fn join_rules(&self, rule: &str) -> Value {
        self.draft(&self.alice, "m.room.join_rules", Some(""), json!({"join_rule": rule}))
    }

    pub(super) fn levels(&self, sender: &str, content: Value) -> Value {
        self.draft(sender, "m.room.power_levels", Some(""), content)
    }

    pub(super) fn message(&self, sender: &str, body: &str) -> Value {
        self.draft(sender, "m.room.message", None, json!({"body": body}))
    }

    /// The keys of all three as an input gives them.
    pub(super) fn keys(&self) -> Value {
        let entry = |server: &Server| key_entry(server, TS + 3_600_000);
        json!([entry(&self.hub), entry(&self.second), entry(&self.third)])
    }
}

/// A public key as an input gives it.
pub(super) fn key_entry(server: &Server, valid_until_ts: i64) -> Value {
    json!({
        "server_name": server.name,
        "key_id": server.key_id,
        "public_key": server.public(),
        "valid_until_ts": valid_until_ts,
    })
}

/// Whether a number with a fraction is in a value: some may refuse that (reading R07).
pub(super) fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number.fract() != 0.0),
        Value::Array(elements) => elements.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}

/// State events, each a PDU with hashes and without signatures, in the order in which they came about.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) events: Vec<Value>,
}

impl State {
    /// A room with nothing but its create event.
    pub(super) fn created(cast: &Cast) -> Self {
        Self { events: vec![oracle::placed(&bare(&cast.create()), &[], &[])] }
    }

    /// A room that Alice has joined.
    pub(super) fn joined(cast: &Cast) -> Self {
        Self::created(cast).and(&cast.member(&cast.alice, &cast.alice, "join"))
    }

    /// The state with one more event.
    pub(super) fn and(&self, draft: &Value) -> Self {
        let mut events = self.events.clone();
        events.push(self.place(draft));
        Self { events }
    }

    /// A draft as an event that follows this state's last event and cites what it has to.
    pub(super) fn place(&self, draft: &Value) -> Value {
        self.place_citing(draft, &self.selection(draft))
    }

    /// The same, citing something else.
    pub(super) fn place_citing(&self, draft: &Value, cited: &[String]) -> Value {
        let prev: Vec<String> = self.events.last().map(oracle::event_id).into_iter().collect();
        oracle::placed(&bare(draft), cited, &prev)
    }

    /// What an event has to cite.
    pub(super) fn selection(&self, draft: &Value) -> Vec<String> {
        oracle::selection(draft, &self.events)
    }

    /// The current event of each type and state key, as an input gives them.
    pub(super) fn texts(&self) -> Vec<String> {
        let slot = |event: &Value| (event.get("type").cloned(), event.get("state_key").cloned());
        let current = |index: usize, event: &Value| {
            !self.events.iter().skip(index.saturating_add(1)).any(|later| slot(later) == slot(event))
        };
        let events = self.events.iter().enumerate();
        events.filter(|(index, event)| current(*index, event)).map(|(_, event)| canonical(event)).collect()
    }

    /// The events that are not current any more.
    pub(super) fn past_texts(&self) -> Vec<String> {
        let current = self.texts();
        self.events.iter().map(canonical).filter(|text| !current.contains(text)).collect()
    }
}

/// An event with room for signatures, which rules about state do not look at.
fn bare(draft: &Value) -> Value {
    oracle::with(draft, "signatures", json!({}))
}
