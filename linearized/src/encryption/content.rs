//! The contents of MLS events and messages (LM-04 §4.3, §4.5).

use mimi_mls::{OutboundCommit, OutboundWelcome, Suite};
use serde_json::{Value, json};

use super::{ApartContent, MessageDigest};
use crate::base64;
use crate::id::{EventId, IdError};
use crate::json::Object;

/// The content of `m.mls.commit` (LM-04 §4.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitContent {
    /// The commit: an MLS `PublicMessage`.
    pub message: Vec<u8>,
    /// The `GroupInfo` after the commit (reading R27).
    pub public_group_state: Vec<u8>,
    /// The commit before it, if there is one.
    pub prev_commit_event_id: Option<EventId>,
}

impl CommitContent {
    /// Reads the content.
    ///
    /// # Errors
    /// The name of the field that is missing or malformed.
    pub fn parse(content: &Object) -> Result<Self, &'static str> {
        let prev_commit_event_id = event_id_or_none(content, "prev_commit_event_id")?;
        Ok(Self {
            message: bytes(content, "message")?,
            public_group_state: bytes(content, "public_group_state")?,
            prev_commit_event_id,
        })
    }

    /// The content as JSON.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let mut content = Object::new();
        content.insert("message".to_owned(), json!(base64::encode(&self.message)));
        content.insert("public_group_state".to_owned(), json!(base64::encode(&self.public_group_state)));
        if let Some(id) = &self.prev_commit_event_id {
            content.insert("prev_commit_event_id".to_owned(), json!(id));
        }
        content
    }
}

/// The content of the event that brings a commit to the hub: [`CommitContent`], or [`ApartContent`] if the commit is to
/// stand apart, which the hub is given before.
///
/// # Errors
/// [`IdError`] if the commit before was told to the engine under an id that is none.
pub fn commit_content(commit: &OutboundCommit) -> Result<Object, IdError> {
    let prev_commit_event_id = commit.prev_commit_event_id.as_deref().map(EventId::parse).transpose()?;
    let public_group_state = commit.public_group_state.clone();
    Ok(if commit.apart {
        let message = MessageDigest::of(&commit.message);
        ApartContent { message, public_group_state, prev_commit_event_id }.to_json()
    } else {
        let message = commit.message.clone();
        CommitContent { message, public_group_state, prev_commit_event_id }.to_json()
    })
}

/// The content of `m.room.encrypted` as a room event (LM-04 §4.5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedContent {
    /// The algorithm, which has to be the room's.
    pub algorithm: String,
    /// An MLS application message.
    pub ciphertext: Vec<u8>,
    /// The commit that began the epoch it is encrypted in.
    pub commit_event_id: EventId,
}

/// The `message` of a to-device message that carries a Welcome (LM-04 §4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WelcomeMessage {
    /// The ciphersuite.
    pub suite: Suite,
    /// The MLS Welcome.
    pub welcome: Vec<u8>,
    /// The commit it belongs to.
    pub commit_event_id: EventId,
}

impl EncryptedContent {
    /// Reads the content.
    ///
    /// # Errors
    /// The name of the field that is missing or malformed.
    pub fn parse(content: &Object) -> Result<Self, &'static str> {
        Ok(Self {
            algorithm: text(content, "algorithm")?.to_owned(),
            ciphertext: bytes(content, "ciphertext")?,
            commit_event_id: event_id(content, "commit_event_id")?,
        })
    }

    /// The content as JSON.
    #[must_use]
    pub fn to_json(&self) -> Object {
        envelope(&self.algorithm, &self.ciphertext, &self.commit_event_id)
    }
}

impl WelcomeMessage {
    /// The message for the devices that a commit has added, once it is listed as the event `commit_event_id`. `None` if
    /// the Welcome is of no known ciphersuite.
    #[must_use]
    pub fn of(welcome: &OutboundWelcome, commit_event_id: EventId) -> Option<Self> {
        let suite = Suite::from_welcome_algorithm(welcome.algorithm)?;
        Some(Self { suite, welcome: welcome.message.clone(), commit_event_id })
    }

    /// Reads the message.
    ///
    /// # Errors
    /// The name of the field that is missing or malformed; `algorithm` if it is not a Welcome of a known ciphersuite.
    pub fn parse(message: &Object) -> Result<Self, &'static str> {
        Ok(Self {
            suite: Suite::from_welcome_algorithm(text(message, "algorithm")?).ok_or("algorithm")?,
            welcome: bytes(message, "ciphertext")?,
            commit_event_id: event_id(message, "commit_event_id")?,
        })
    }

    /// The message as JSON.
    #[must_use]
    pub fn to_json(&self) -> Object {
        envelope(self.suite.welcome_algorithm(), &self.welcome, &self.commit_event_id)
    }
}

/// What encrypted events and Welcomes have in common.
fn envelope(algorithm: &str, ciphertext: &[u8], commit: &EventId) -> Object {
    let mut object = Object::new();
    object.insert("algorithm".to_owned(), json!(algorithm));
    object.insert("ciphertext".to_owned(), json!(base64::encode(ciphertext)));
    object.insert("commit_event_id".to_owned(), json!(commit));
    object
}

fn text<'o>(object: &'o Object, field: &'static str) -> Result<&'o str, &'static str> {
    object.get(field).and_then(Value::as_str).ok_or(field)
}

pub(super) fn bytes(object: &Object, field: &'static str) -> Result<Vec<u8>, &'static str> {
    base64::decode(text(object, field)?).map_err(|_| field)
}

pub(super) fn event_id_or_none(
    object: &Object,
    field: &'static str,
) -> Result<Option<EventId>, &'static str> {
    let parse = |id: &Value| id.as_str().and_then(|id| EventId::parse(id).ok()).ok_or(field);
    object.get(field).map(parse).transpose()
}

fn event_id(object: &Object, field: &'static str) -> Result<EventId, &'static str> {
    EventId::parse(text(object, field)?).map_err(|_| field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> EventId {
        EventId::parse("$abc").unwrap()
    }

    #[test]
    fn contents_read_back() {
        let commit = CommitContent {
            message: vec![1, 2],
            public_group_state: vec![3],
            prev_commit_event_id: Some(id()),
        };
        assert_eq!(CommitContent::parse(&commit.to_json()), Ok(commit));
        let encrypted = EncryptedContent {
            algorithm: "m.mls.v1.x".to_owned(),
            ciphertext: vec![9],
            commit_event_id: id(),
        };
        assert_eq!(EncryptedContent::parse(&encrypted.to_json()), Ok(encrypted));
        let welcome = WelcomeMessage { suite: Suite::MANDATORY, welcome: vec![7; 9], commit_event_id: id() };
        assert_eq!(welcome.to_json()["algorithm"], "m.mls.v1.welcome.dhkemx25519-aes128gcm-sha256-ed25519");
        assert_eq!(WelcomeMessage::parse(&welcome.to_json()), Ok(welcome));
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let good = CommitContent { message: vec![], public_group_state: vec![], prev_commit_event_id: None }
            .to_json();
        for (field, value) in
            [("message", json!(1)), ("public_group_state", json!("!")), ("prev_commit_event_id", json!("x"))]
        {
            let mut content = good.clone();
            content.insert(field.to_owned(), value);
            assert_eq!(CommitContent::parse(&content), Err(field));
        }
    }
}
