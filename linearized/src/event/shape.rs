//! The schema of events (LM-04 §3.5, §3.5.1; §5.1 step 1).

use serde_json::Value;

use crate::id::{EventId, IdError};
use crate::json::Object;
use crate::json::strict::{Fault, JsonError};
use crate::version::EventLimits;

/// Why JSON is not an event. Such an event is dropped (LM-04 §5.1 step 1).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// Not JSON, or JSON that readers would disagree on.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not a JSON object.
    #[error("an event is a JSON object")]
    NotAnObject,
    /// Larger than an event may be, as canonical JSON with all signatures.
    #[error("the event has {bytes} bytes; {limit} are allowed")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A field is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field has another type than it should have.
    #[error("`{field}` must be {expected}")]
    Type {
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A field holds no valid identifier.
    #[error("`{field}` is not valid: {error}")]
    Id {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        error: IdError,
    },
    /// A field is too long.
    #[error("`{field}` has {bytes} bytes; {limit} are allowed")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// One of `auth_events` and `prev_events` is there without the other: neither an LPDU nor a PDU (reading R01).
    #[error("`{0}` without `{1}` makes neither an LPDU nor a PDU")]
    Half(&'static str, &'static str),
    /// An LPDU was wanted, and this field is of PDUs alone (LM-04 §3.5.1).
    #[error("an LPDU has no `{0}`")]
    NotAnLpdu(&'static str),
    /// An LPDU with another hash than `lpdu` (LM-04 §3.5.1).
    #[error("an LPDU may not have the hash `{0}`")]
    LpduExtraHash(String),
    /// An LPDU with `hashes` in a room version whose LPDUs have none.
    #[error("an LPDU of this room version has no `hashes`")]
    LpduHashed,
    /// An event with an LPDU hash in a room version whose LPDUs have none.
    #[error("an event of this room version has no `hashes.lpdu`")]
    LpduHashUnknown,
    /// An event without `hub_server` that has an LPDU hash (LM-04 §3.5).
    #[error("`hashes.lpdu` needs `hub_server`")]
    LpduHashWithoutHub,
    /// A number with a fraction, or beyond 2^53 − 1, in an event that we are asked to create (reading R07).
    #[error("numbers with a fraction or beyond 2^53 - 1 are not used in events made here")]
    InexactNumber,
}

impl ShapeError {
    /// The requirement that the event breaks, as the catalogue or the list of readings names it.
    #[must_use]
    pub fn requirement(&self) -> &'static str {
        match self {
            Self::Json(_) => "LM-04/7/2",
            Self::NotAnObject => "LM-04/5.1/4",
            Self::TooLarge { .. } => "LM-04/3.5/25",
            Self::Half("auth_events", _) | Self::NotAnLpdu("auth_events") => "LM-04/3.5.1/2",
            Self::Half(..) | Self::NotAnLpdu(_) => "LM-04/3.5.1/3",
            Self::LpduExtraHash(_) | Self::LpduHashed => "LM-04/3.5.1/4",
            Self::LpduHashUnknown => "LM-04/3.5/15",
            Self::LpduHashWithoutHub => "LM-04/3.5/17",
            Self::InexactNumber => "R07",
            Self::TooLong { field: "type", .. } => "LM-04/3.5/5",
            Self::TooLong { .. } => "LM-04/3.5/7",
            Self::Missing("hashes.lpdu" | "hashes.lpdu.sha256") => "LM-04/3.5/16",
            Self::Missing(field) | Self::Type { field, .. } | Self::Id { field, .. } => match *field {
                "room_id" => "LM-04/3.5/2",
                "type" => "LM-04/3.5/3",
                "state_key" => "LM-04/3.5/6",
                "sender" => "LM-04/3.5/8",
                "origin_server_ts" => "LM-04/3.5/9",
                "hub_server" => "LM-04/3.5/11",
                "content" => "LM-04/3.5/13",
                "signatures" => "LM-04/3.5/18",
                "auth_events" => "LM-04/3.5/19",
                "prev_events" => "LM-04/3.5/20",
                _ => "LM-04/3.5/15",
            },
        }
    }
}

impl From<Fault> for ShapeError {
    fn from(fault: Fault) -> Self {
        Self::Json(fault.into())
    }
}

/// A required string.
pub(super) fn string<'o>(object: &'o Object, field: &'static str) -> Result<&'o str, ShapeError> {
    optional_string(object, field)?.ok_or(ShapeError::Missing(field))
}

/// A string that may be missing.
pub(super) fn optional_string<'o>(
    object: &'o Object,
    field: &'static str,
) -> Result<Option<&'o str>, ShapeError> {
    match object.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ShapeError::Type { field, expected: "a string" }),
    }
}

/// A required identifier.
pub(super) fn id<T>(
    object: &Object,
    field: &'static str,
    parse: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<T, ShapeError> {
    parse(string(object, field)?).map_err(|error| ShapeError::Id { field, error })
}

/// A required object.
pub(super) fn object<'o>(object: &'o Object, field: &'static str) -> Result<&'o Object, ShapeError> {
    match object.get(field) {
        None => Err(ShapeError::Missing(field)),
        Some(Value::Object(inner)) => Ok(inner),
        Some(_) => Err(ShapeError::Type { field, expected: "an object" }),
    }
}

/// A required array of event ids.
pub(super) fn event_ids(object: &Object, field: &'static str) -> Result<Vec<EventId>, ShapeError> {
    let wrong = ShapeError::Type { field, expected: "an array of event ids" };
    match object.get(field) {
        None => Err(ShapeError::Missing(field)),
        Some(Value::Array(elements)) => elements
            .iter()
            .map(|element| match element {
                Value::String(text) => EventId::parse(text).map_err(|error| ShapeError::Id { field, error }),
                _ => Err(ShapeError::Type { field, expected: "an array of event ids" }),
            })
            .collect(),
        Some(_) => Err(wrong),
    }
}

/// Checks a text's length in bytes.
pub(super) fn at_most(field: &'static str, text: &str, limit: usize) -> Result<(), ShapeError> {
    if text.len() > limit { Err(ShapeError::TooLong { field, bytes: text.len(), limit }) } else { Ok(()) }
}

/// Checks the size of a whole event.
pub(super) fn event_fits(bytes: usize, limits: &EventLimits) -> Result<(), ShapeError> {
    if bytes > limits.event { Err(ShapeError::TooLarge { bytes, limit: limits.event }) } else { Ok(()) }
}

/// `signatures`: entity to key id to base64 (LM-04 §3.5).
pub(super) fn signatures(event: &Object) -> Result<(), ShapeError> {
    let wrong = || ShapeError::Type { field: "signatures", expected: "an object of objects of strings" };
    for entry in object(event, "signatures")?.values() {
        if !entry.as_object().ok_or_else(wrong)?.values().all(Value::is_string) {
            return Err(wrong());
        }
    }
    Ok(())
}

/// What an event's `hashes` hold.
pub(super) struct Hashes<'o> {
    pub(super) sha256: Option<&'o str>,
    pub(super) lpdu_sha256: Option<&'o str>,
    pub(super) other: Option<&'o str>,
}

/// `hashes`: algorithm to base64, and `lpdu` to the same (LM-04 §3.5).
pub(super) fn hashes(event: &Object) -> Result<Hashes<'_>, ShapeError> {
    let mut found = Hashes { sha256: None, lpdu_sha256: None, other: None };
    for (name, value) in object(event, "hashes")? {
        match (name.as_str(), value) {
            ("lpdu", Value::Object(lpdu)) if lpdu.values().all(Value::is_string) => {
                let hash = lpdu.get("sha256").and_then(Value::as_str);
                found.lpdu_sha256 = Some(hash.ok_or(ShapeError::Missing("hashes.lpdu.sha256"))?);
            }
            ("lpdu", _) => {
                return Err(ShapeError::Type { field: "hashes.lpdu", expected: "an object of strings" });
            }
            ("sha256", Value::String(hash)) => found.sha256 = Some(hash),
            (_, Value::String(_)) => found.other = Some(name),
            _ => return Err(ShapeError::Type { field: "hashes", expected: "an object of strings" }),
        }
    }
    Ok(found)
}
