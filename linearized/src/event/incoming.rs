//! Telling LPDUs and PDUs apart (reading R01).

use serde_json::Value;

use super::hash;
use super::shape::ShapeError;
use super::{Lpdu, Pdu};
use crate::id::{EventId, IdError, RoomId};
use crate::json::Object;
use crate::version::RoomVersion;

/// What an entry of `pdus` turned out to be.
#[derive(Debug)]
pub enum Incoming {
    /// A partial event, for the hub.
    Lpdu(Lpdu),
    /// A whole event, from the hub.
    Pdu(Pdu),
}

impl Incoming {
    /// Checks an object's shape: without `auth_events` and `prev_events` it is an LPDU, with both a PDU.
    ///
    /// # Errors
    /// [`ShapeError`]: the event is to be dropped.
    pub fn from_object(object: Object, version: &RoomVersion) -> Result<Self, ShapeError> {
        match (object.contains_key("auth_events"), object.contains_key("prev_events")) {
            (false, false) => Lpdu::from_object(object, version).map(Self::Lpdu),
            (true, true) => Pdu::from_object(object, version).map(Self::Pdu),
            (true, false) => Err(ShapeError::Half("auth_events", "prev_events")),
            (false, true) => Err(ShapeError::Half("prev_events", "auth_events")),
        }
    }
}

/// The room an object says it is for, before anything else is looked at (LM-04 §12.5.1 step 1).
///
/// # Errors
/// `Some` with the fault if `room_id` is there and no room id; `None` if there is none.
pub fn peek_room_id(object: &Object) -> Result<RoomId, Option<IdError>> {
    let text = object.get("room_id").and_then(Value::as_str).ok_or(None)?;
    RoomId::parse(text).map_err(Some)
}

/// The id under which an object is reported back to whoever sent it: `$` and the reference hash of what was
/// received, whatever it is (reading R20).
#[must_use]
pub fn reference_id(object: &Object, version: &RoomVersion) -> EventId {
    EventId::from_reference_hash(&hash::sha256(&hash::signing_bytes(object, &version.redaction)))
}
