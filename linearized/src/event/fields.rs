//! What every event has, with or without a place in a room.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::body::Body;
use super::hash::{self, Hash};
use super::kind;
use super::shape::{self, ShapeError};
use crate::auth::Membership;
use crate::id::{EventId, RoomId, ServerName, UserId};
use crate::json::{Object, as_integer};
use crate::version::RoomVersion;

/// An event's fields, checked for shape (LM-04 §3.5). `content` is not: it may hold anything (LM-04 §3.5, `content`).
#[derive(Debug, Clone)]
pub struct Event {
    pub(super) body: Body,
    room_id: RoomId,
    kind: Box<str>,
    state_key: Option<Box<str>>,
    sender: UserId,
    sender_server: ServerName,
    origin_server_ts: i64,
    hub_server: Option<ServerName>,
}

/// Names that are in memory already.
pub(crate) trait Share {
    /// This event id, or the one that is in memory already.
    fn event_id(&self, id: &EventId) -> EventId;
    /// This server name, or the one that is in memory already.
    fn server(&self, name: &ServerName) -> ServerName;
}

/// What stands for `content` where there is none; no event that passed the shape check lacks it.
static EMPTY: LazyLock<Object> = LazyLock::new(Object::new);

impl Event {
    /// Checks the fields that LPDUs and PDUs share. `unsigned`, which nothing covers, is dropped (reading R02).
    pub(super) fn check(mut object: Object, version: &RoomVersion) -> Result<Self, ShapeError> {
        let limits = &version.limits;
        object.remove("unsigned");
        let room_id = shape::id(&object, "room_id", RoomId::parse)?;
        let kind: Box<str> = shape::string(&object, "type")?.into();
        shape::at_most("type", &kind, limits.kind)?;
        let state_key: Option<Box<str>> = shape::optional_string(&object, "state_key")?.map(Into::into);
        if let Some(state_key) = &state_key {
            shape::at_most("state_key", state_key, limits.state_key)?;
        }
        let sender = shape::id(&object, "sender", |text| version.identifiers.user_id(text))?;
        let origin_server_ts = match object.get("origin_server_ts") {
            None => return Err(ShapeError::Missing("origin_server_ts")),
            Some(value) => as_integer(value).ok_or(ShapeError::Type {
                field: "origin_server_ts",
                expected: "an integer within ±(2^53 - 1)",
            })?,
        };
        let hub_server = match object.get("hub_server") {
            None => None,
            Some(_) => Some(shape::id(&object, "hub_server", ServerName::parse)?),
        };
        shape::object(&object, "content")?;
        let sender_server = sender.server();
        let body = Body::new(object);
        Ok(Self { body, room_id, kind, state_key, sender, sender_server, origin_server_ts, hub_server })
    }

    /// The room it is for.
    #[must_use]
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// Its `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its `state_key`, if it is a state event.
    #[must_use]
    pub fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    /// Who sent it.
    #[must_use]
    pub fn sender(&self) -> &UserId {
        &self.sender
    }

    /// The server of its sender.
    #[must_use]
    pub fn sender_server(&self) -> &ServerName {
        &self.sender_server
    }

    /// When its sender's server made it, in milliseconds since the Unix epoch, by that server's word.
    #[must_use]
    pub fn origin_server_ts(&self) -> i64 {
        self.origin_server_ts
    }

    /// The hub it went through, if it did (LM-04 §3.5).
    #[must_use]
    pub fn hub_server(&self) -> Option<&ServerName> {
        self.hub_server.as_ref()
    }

    /// Its `content`.
    #[must_use]
    pub fn content(&self) -> &Object {
        self.as_object().get("content").and_then(Value::as_object).unwrap_or(&EMPTY)
    }

    /// A string in its `content`.
    #[must_use]
    pub fn content_str(&self, key: &str) -> Option<&str> {
        self.content().get(key).and_then(Value::as_str)
    }

    /// All its fields.
    #[must_use]
    pub fn as_object(&self) -> &Object {
        self.body.get()
    }

    /// Gives the event its place in a room, as its hub does (LM-04 §5.1).
    pub(crate) fn set_place(&mut self, auth_events: &[EventId], prev_events: &[EventId]) {
        self.body.change(|object| {
            object.insert("auth_events".to_owned(), json!(auth_events));
            object.insert("prev_events".to_owned(), json!(prev_events));
        });
    }

    /// Sets the content hash of the whole event; of other hashes only the LPDU's stays (LM-04 §9.1).
    pub(crate) fn set_content_hash(&mut self, hash: &Hash) {
        self.body.change(|object| {
            let hashes = object.get_mut("hashes").and_then(Value::as_object_mut);
            let lpdu = hashes.and_then(|hashes| hashes.remove("lpdu"));
            let mut hashes = Object::new();
            hashes.insert("sha256".to_owned(), hash::entry(hash));
            if let Some(lpdu) = lpdu {
                hashes.insert("lpdu".to_owned(), lpdu);
            }
            object.insert("hashes".to_owned(), Value::Object(hashes));
        });
    }

    /// Sets what stands under a server's name in `signatures`.
    pub(crate) fn set_signature(&mut self, server: &ServerName, entry: Value) {
        self.body.change(|object| {
            let signatures = object.entry("signatures").or_insert_with(|| Value::Object(Object::new()));
            if let Value::Object(signatures) = signatures {
                signatures.insert(server.to_string(), entry);
            }
        });
    }

    /// Drops every signature but the sender's server's: no other counts before the hub's own (LM-04 §5.1 step 2).
    pub(crate) fn keep_only_sender_signature(&mut self) {
        let sender = self.sender_server.clone();
        self.body.change(|object| {
            if let Some(Value::Object(signatures)) = object.get_mut("signatures") {
                signatures.retain(|server, _| *server == *sender.as_str());
            }
        });
    }

    /// The same event with its object left in its canonical JSON, and names that others have too shared with them.
    pub(super) fn compact(&self, bytes: &Arc<[u8]>, room_id: &RoomId, share: &dyn Share) -> Self {
        let membership = self.membership().and_then(Membership::parse);
        Self {
            body: Body::of_text(Arc::clone(bytes), membership),
            room_id: if self.room_id == *room_id { room_id.clone() } else { self.room_id.clone() },
            kind: self.kind.clone(),
            state_key: self.state_key.clone(),
            sender: self.sender.clone(),
            sender_server: share.server(&self.sender_server),
            origin_server_ts: self.origin_server_ts,
            hub_server: self.hub_server.as_ref().map(|hub| share.server(hub)),
        }
    }

    /// The server that sealed it: the hub it went through, or else its sender's.
    #[must_use]
    pub fn sealer(&self) -> &ServerName {
        self.hub_server.as_ref().unwrap_or(&self.sender_server)
    }

    /// The event that an `m.room.redaction` names (reading R31).
    #[must_use]
    pub fn redacts(&self) -> Option<EventId> {
        let names = (*self.kind == *kind::REDACTION).then(|| self.content_str("redacts")).flatten();
        names.and_then(|id| EventId::parse(id).ok())
    }

    /// The hub that an `m.room.hub` state event names (reading R32).
    #[must_use]
    pub fn next_hub(&self) -> Option<ServerName> {
        let names = self.is_state(kind::HUB, "").then(|| self.content_str("hub_server")).flatten();
        names.and_then(|name| ServerName::parse(name).ok())
    }

    /// Whether it is a state event with this type and state key.
    #[must_use]
    pub fn is_state(&self, kind: &str, state_key: &str) -> bool {
        *self.kind == *kind && self.state_key.as_deref() == Some(state_key)
    }

    /// Whether `signatures` has an entry of this server. Nothing is said of its being valid.
    #[must_use]
    pub fn is_signed_by(&self, server: &ServerName) -> bool {
        let signatures = self.as_object().get("signatures").and_then(Value::as_object);
        signatures.is_some_and(|signatures| signatures.contains_key(server.as_str()))
    }

    /// The `membership` that a membership event sets.
    #[must_use]
    pub fn membership(&self) -> Option<&str> {
        if let Some(membership) = self.body.membership() {
            return Some(membership.as_str());
        }
        (*self.kind == *kind::MEMBER).then(|| self.content_str("membership")).flatten()
    }
}
