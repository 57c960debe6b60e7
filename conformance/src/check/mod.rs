//! Checking events, LPDUs, whole rooms, published keys, evidence and messages without any server.

mod content;
mod event;
mod evidence;
mod explain;
mod keys;
mod room;

use mimi_linearized::json::strict::{self, JsonError};
use mimi_linearized::participant::evidence::{self as proof, DocumentError};
use mimi_linearized::signing::{ServerKeyRing, ServerKeys, ServerKeysError};
use mimi_linearized::version::RoomVersion;
use serde::Serialize;
use serde_json::Value;

/// What a document is taken to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Whatever it looks like: `verify_keys` or `server_keys` is keys, the evidence's `kind` evidence, any other array or
    /// an object with `events` a room, `auth_events` an event, `type` and `content` alone a message, any other object an
    /// LPDU; CBOR is a message
    Auto,
    /// A whole event, as a hub made it
    Event,
    /// A partial event, as a participant sends it to the hub
    Lpdu,
    /// A room: the list of its events from m.room.create on
    Room,
    /// Evidence that a hub misbehaved, as a participant makes it
    Evidence,
    /// Published keys: an answer to GET /_matrix/key/v2/server, an array of them, or a notary's answer
    Keys,
    /// A message: an object with `type` and `content`, as it is inside an encrypted event, or MIMI content
    Content,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It breaks a rule.
    Fault,
    /// It is worth knowing.
    Note,
}

/// Something that was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Remark {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// Which event it is about, by its place in the file, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
    /// Which event it is about, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event_id: Option<String>,
    /// What kind of event that is, and whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<String>,
    /// Where in the document, or in that event, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    /// What was found.
    pub(crate) what: String,
    /// The rule that refuses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    /// The requirement or reading behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requirement: Option<String>,
    /// What would have been accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accepted: Option<String>,
    /// What follows, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
}

/// The outcome of a check.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    /// What the document was taken to be.
    pub(crate) kind: Kind,
    /// Whether nothing breaks a rule.
    pub(crate) ok: bool,
    /// The room version that the events were read by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room_version: Option<String>,
    /// How many events, or answers with keys, were checked: none if the document could not be read.
    pub(crate) events: usize,
    /// The ids of the events that were read, in order.
    pub(crate) event_ids: Vec<String>,
    /// Everything that was found.
    pub(crate) remarks: Vec<Remark>,
}

/// Why a check cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// The keys are in none of the forms that answers come in.
    #[error(
        "the keys must be an answer to GET /_matrix/key/v2/server, an array of them, or a notary's answer"
    )]
    KeysForm,
    /// There are no keys.
    #[error("there is no key response in the keys")]
    NoKeys,
    /// The keys are not JSON.
    #[error("the keys cannot be read: {0}")]
    KeysJson(#[source] JsonError),
    /// One of the answers is unusable.
    #[error("entry {index} of the keys is unusable: {error}")]
    Key {
        /// Which, from 0.
        index: usize,
        /// Why.
        error: ServerKeysError,
    },
    /// A room cannot be checked without keys.
    #[error("a room cannot be checked without --keys: its events are signed by several servers")]
    RoomWithoutKeys,
    /// Evidence cannot be checked without keys.
    #[error("evidence cannot be checked without --keys: those of the hub are needed")]
    EvidenceWithoutKeys,
    /// The document is no evidence.
    #[error("{0}")]
    Evidence(#[source] DocumentError),
    /// The document is not what it is said to be.
    #[error("{0}")]
    Form(&'static str),
}

/// Reads key responses: one, an array of them, or a notary's answer.
pub(crate) fn read_keys(bytes: &[u8]) -> Result<ServerKeyRing, CheckError> {
    let value = strict::parse(bytes).map_err(CheckError::KeysJson)?;
    let responses = keys::responses(value).map_err(|_| CheckError::KeysForm)?;
    if responses.is_empty() {
        return Err(CheckError::NoKeys);
    }
    let mut ring = ServerKeyRing::new();
    for (index, response) in responses.into_iter().enumerate() {
        ring.add(&ServerKeys::parse(response).map_err(|error| CheckError::Key { index, error })?);
    }
    Ok(ring)
}

/// Checks a document. A single event or LPDU is read by the rules of `version`; a room and evidence name their own.
pub(crate) fn check(
    bytes: &[u8],
    kind: Kind,
    keys: Option<&ServerKeyRing>,
    version: &RoomVersion,
) -> Result<Checked, CheckError> {
    if matches!(kind, Kind::Auto | Kind::Content) && content::is_mimi(bytes) {
        return Ok(content::check_mimi(bytes));
    }
    let value = match strict::parse(bytes) {
        Ok(value) => value,
        Err(error) => return Ok(Checked::unreadable(kind, &error)),
    };
    let is_keys = |value: &Value| value.get("verify_keys").is_some() || value.get("server_keys").is_some();
    let kind = match (kind, &value) {
        (Kind::Auto, Value::Array(list)) if list.first().is_some_and(is_keys) => Kind::Keys,
        (Kind::Auto, value) if is_keys(value) => Kind::Keys,
        (Kind::Auto, Value::Array(_)) => Kind::Room,
        (Kind::Auto, Value::Object(object)) if object.get("kind") == Some(&Value::from(proof::KIND)) => {
            Kind::Evidence
        }
        (Kind::Auto, Value::Object(object)) if object.contains_key("events") => Kind::Room,
        (Kind::Auto, Value::Object(object)) if object.contains_key("auth_events") => Kind::Event,
        (Kind::Auto, Value::Object(object))
            if object.keys().all(|key| ["type", "content"].contains(&key.as_str())) && object.len() == 2 =>
        {
            Kind::Content
        }
        (Kind::Auto, Value::Object(_)) => Kind::Lpdu,
        (Kind::Auto, _) => {
            return Err(CheckError::Form("an event is an object, a room is an array of events"));
        }
        (kind, _) => kind,
    };
    match (kind, value) {
        (Kind::Keys, value) => keys::check(value),
        (Kind::Content, value) => content::check(&value),
        (Kind::Room, Value::Array(events)) => room::check(events, keys.ok_or(CheckError::RoomWithoutKeys)?),
        (Kind::Room, Value::Object(mut object)) => match object.remove("events") {
            Some(Value::Array(events)) => room::check(events, keys.ok_or(CheckError::RoomWithoutKeys)?),
            _ => Err(CheckError::Form("a room is an array of events, from m.room.create on")),
        },
        (Kind::Evidence, value) => evidence::check(value, keys.ok_or(CheckError::EvidenceWithoutKeys)?),
        (Kind::Event, Value::Object(object)) => Ok(event::check_pdu(&object, keys, version)),
        (Kind::Lpdu, Value::Object(object)) => Ok(event::check_lpdu(&object, keys, version)),
        (Kind::Room, _) => Err(CheckError::Form("a room is an array of events, from m.room.create on")),
        _ => Err(CheckError::Form("an event is a JSON object")),
    }
}

/// So many of something, in words.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Remark {
    fn new(severity: Severity, what: impl Into<String>) -> Self {
        Self {
            severity,
            index: None,
            event_id: None,
            event: None,
            at: None,
            what: what.into(),
            rule: None,
            requirement: None,
            accepted: None,
            help: None,
        }
    }

    fn fault(what: impl Into<String>) -> Self {
        Self::new(Severity::Fault, what)
    }

    fn note(what: impl Into<String>) -> Self {
        Self::new(Severity::Note, what)
    }

    fn requires(mut self, requirement: impl Into<String>) -> Self {
        self.requirement = Some(requirement.into());
        self
    }

    fn at(mut self, pointer: String) -> Self {
        self.at = Some(pointer);
        self
    }

    fn accepts(mut self, accepted: impl Into<String>) -> Self {
        self.accepted = Some(accepted.into());
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Checked {
    fn of(kind: Kind, event_ids: Vec<String>, events: usize, remarks: Vec<Remark>) -> Self {
        let ok = remarks.iter().all(|remark| remark.severity != Severity::Fault);
        Self { kind, ok, room_version: None, events, event_ids, remarks }
    }

    /// Says by which room version the events were read.
    fn by(mut self, version: &RoomVersion) -> Self {
        self.room_version = Some(version.id.to_string());
        self
    }

    fn unreadable(kind: Kind, error: &JsonError) -> Self {
        Self::of(kind, Vec::new(), 0, vec![explain::unreadable(error)])
    }
}

#[cfg(test)]
mod tests;
