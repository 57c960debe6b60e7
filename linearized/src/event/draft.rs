//! Events that are to be sent.

use std::sync::Arc;

use serde_json::{Value, json};

use super::hash;
use super::shape::{self, ShapeError};
use super::{Event, kind};
use crate::auth::Membership;
use crate::base64;
use crate::id::{EventId, RoomId, ServerName, UserId};
use crate::json::{Object, as_integer, canonical};
use crate::signing::{SigningKey, signature_entry};
use crate::version::{OwnEvents, RoomVersion};

/// What somebody wants to send to a room.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The room.
    pub room_id: RoomId,
    /// The event type, at most 255 bytes.
    pub kind: String,
    /// The state key, for a state event; at most 255 bytes.
    pub state_key: Option<String>,
    /// Who sends it.
    pub sender: UserId,
    /// The content.
    pub content: Object,
    /// Now, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
}

/// An LPDU made and signed here, ready for the hub.
#[derive(Debug, Clone)]
pub struct OutgoingLpdu {
    /// The LPDU's id: the reference hash of the LPDU.
    pub id: EventId,
    /// The content hash under `hashes.lpdu.sha256`, by which the echo is recognised. Where the room version has none,
    /// the echo is recognised by `id`.
    pub lpdu_hash: Option<String>,
    /// Its canonical JSON.
    pub bytes: Arc<[u8]>,
}

impl Draft {
    /// A change of somebody's membership.
    #[must_use]
    pub fn member(
        room_id: RoomId,
        sender: &UserId,
        target: &UserId,
        membership: Membership,
        origin_server_ts: i64,
    ) -> Self {
        let mut content = Object::new();
        content.insert("membership".to_owned(), json!(membership.as_str()));
        let state_key = Some(target.to_string());
        Self {
            room_id,
            kind: kind::MEMBER.to_owned(),
            state_key,
            sender: sender.clone(),
            content,
            origin_server_ts,
        }
    }

    fn into_object(self) -> Result<Object, ShapeError> {
        if self.content.values().any(has_inexact_number) {
            return Err(ShapeError::InexactNumber);
        }
        let mut object = Object::new();
        object.insert("room_id".to_owned(), json!(self.room_id));
        object.insert("type".to_owned(), Value::String(self.kind));
        if let Some(state_key) = self.state_key {
            object.insert("state_key".to_owned(), Value::String(state_key));
        }
        object.insert("sender".to_owned(), json!(self.sender));
        object.insert("origin_server_ts".to_owned(), json!(self.origin_server_ts));
        object.insert("content".to_owned(), Value::Object(self.content));
        Ok(object)
    }

    /// An event of the hub's own, without a place yet. Whether it has `hub_server` is for the version to say
    /// (reading R04).
    pub(crate) fn into_event(self, version: &RoomVersion) -> Result<Event, ShapeError> {
        let hub = self.sender.server();
        let mut object = self.into_object()?;
        match version.format.own_events {
            OwnEvents::WithoutHub => {}
            OwnEvents::WithHub => drop(object.insert("hub_server".to_owned(), json!(hub))),
        }
        Event::check(object, version)
    }

    /// Makes the LPDU that the sender's server sends to `hub` (LM-04 §3.5.1): hashed, where the room version hashes
    /// LPDUs, and signed with `key`.
    ///
    /// # Errors
    /// [`ShapeError`] if the draft does not fit the room version.
    pub fn into_lpdu(
        self,
        hub: &ServerName,
        key: &SigningKey,
        version: &RoomVersion,
    ) -> Result<OutgoingLpdu, ShapeError> {
        let server = self.sender.server();
        let mut object = self.into_object()?;
        object.insert("hub_server".to_owned(), json!(hub));
        let lpdu_hash =
            version.hashing.covers_lpdu().then(|| base64::encode(&hash::lpdu_content_hash(&object)));
        if let Some(hash) = &lpdu_hash {
            object.insert("hashes".to_owned(), json!({"lpdu": {"sha256": hash}}));
        }
        let mut event = Event::check(object, version)?;
        let signing_bytes = hash::signing_bytes(event.as_object(), &version.redaction);
        let signature = signature_entry(key.id().as_str(), &key.sign(&signing_bytes));
        event.body.change(|object| {
            object.insert("signatures".to_owned(), json!({server.as_str(): signature}));
        });
        let bytes: Arc<[u8]> = canonical::object_to_vec(event.as_object()).into();
        shape::event_fits(bytes.len(), &version.limits)?;
        Ok(OutgoingLpdu { id: EventId::from_reference_hash(&hash::sha256(&signing_bytes)), lpdu_hash, bytes })
    }
}

/// Whether a value holds a number that is no integer which every reader has exactly.
fn has_inexact_number(value: &Value) -> bool {
    match value {
        Value::Number(_) => as_integer(value).is_none(),
        Value::Array(elements) => elements.iter().any(has_inexact_number),
        Value::Object(members) => members.values().any(has_inexact_number),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}
