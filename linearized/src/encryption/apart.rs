//! Commits and trees that stand apart from their event, because an event has no room for them (reading R35).
//!
//! Nothing is fetched here. A room says what an event [needs](crate::room::Room::needs); whoever embeds it gets that
//! from the hub, or out of its store, and hands it in as [`Apart`]. What is handed in is checked: the commit against the
//! hash and the size in the event, the tree against the hash that the group state signs.

use mimi_mls::framing::{self, MAX_COMMIT_LEN};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::CommitContent;
use super::content::{bytes, event_id_or_none};
use crate::auth::{Because, MlsRule, Refusal};
use crate::base64;
use crate::event::{Event, kind};
use crate::id::EventId;
use crate::json::{Object, as_integer};

/// The member of the content of an `m.mls.commit` that stands for a `message` apart.
pub const MESSAGE_APART: &str = "org.mimi-interop.message_apart";

/// What names a commit that stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageDigest {
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// How many bytes it has: [`MAX_COMMIT_LEN`] at most.
    pub size: usize,
}

impl MessageDigest {
    /// The digest of a commit.
    #[must_use]
    pub fn of(message: &[u8]) -> Self {
        Self { sha256: Sha256::digest(message).into(), size: message.len() }
    }

    /// Reads a digest: an object with `sha256`, in base64, and `size`. `None` if it is none, or of something too large.
    #[must_use]
    pub fn parse(value: &Value) -> Option<Self> {
        let sha256 = base64::decode(value.get("sha256")?.as_str()?).ok()?;
        let size = usize::try_from(as_integer(value.get("size")?)?).ok()?;
        (size <= MAX_COMMIT_LEN).then_some(Self { sha256: sha256.try_into().ok()?, size })
    }

    /// The digest as JSON.
    #[must_use]
    pub fn to_json(self) -> Value {
        json!({"sha256": base64::encode(&self.sha256), "size": self.size})
    }

    /// Checks that `message` is the commit that is named.
    ///
    /// # Errors
    /// [`Refusal`] by [`MlsRule::Apart`].
    pub fn check(&self, message: &[u8]) -> Result<(), Refusal> {
        let found = Self::of(message);
        let differs = |what, found: String, expected: String| {
            Err(Refusal::new(MlsRule::Apart, Because::Differs { what, found, expected }))
        };
        if found.size != self.size {
            return differs("the size of the commit apart", found.size.to_string(), self.size.to_string());
        }
        if found.sha256 != self.sha256 {
            let (found, expected) = (base64::encode(&found.sha256), base64::encode(&self.sha256));
            return differs("the hash of the commit apart", found, expected);
        }
        Ok(())
    }
}

/// The content of an `m.mls.commit` whose message stands apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApartContent {
    /// What names the commit.
    pub message: MessageDigest,
    /// The `GroupInfo` after the commit (reading R27).
    pub public_group_state: Vec<u8>,
    /// The commit before it, if there is one.
    pub prev_commit_event_id: Option<EventId>,
}

impl ApartContent {
    /// Reads the content; `None` if it has a `message` of its own, which is what counts then, or nothing in place of it.
    ///
    /// # Errors
    /// The name of the field that is missing or malformed.
    pub fn parse(content: &Object) -> Result<Option<Self>, &'static str> {
        let Some(apart) = content.get(MESSAGE_APART).filter(|_| !content.contains_key("message")) else {
            return Ok(None);
        };
        Ok(Some(Self {
            message: MessageDigest::parse(apart).ok_or(MESSAGE_APART)?,
            public_group_state: bytes(content, "public_group_state")?,
            prev_commit_event_id: event_id_or_none(content, "prev_commit_event_id")?,
        }))
    }

    /// The content as JSON.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let Self { message, public_group_state, prev_commit_event_id } = self;
        let mut content = Object::new();
        content.insert(MESSAGE_APART.to_owned(), message.to_json());
        content.insert("public_group_state".to_owned(), json!(base64::encode(public_group_state)));
        if let Some(id) = prev_commit_event_id {
            content.insert("prev_commit_event_id".to_owned(), json!(id));
        }
        content
    }
}

/// What belongs to an event and came beside it. Without what an event needs, its commit is refused; what it does not
/// need is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apart {
    /// The commit that the event names.
    pub message: Option<Vec<u8>>,
    /// The ratchet tree after the commit.
    pub tree: Option<Vec<u8>>,
}

/// What an event needs beside itself to be judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// The commit with this digest.
    pub message: Option<MessageDigest>,
    /// The ratchet tree after the commit.
    pub tree: bool,
}

impl Needs {
    /// Whether it needs anything at all.
    #[must_use]
    pub fn any(&self) -> bool {
        self.message.is_some() || self.tree
    }

    /// What a commit event needs; the tree only if the group is not known yet.
    pub(super) fn of(event: &Event, group_is_known: bool) -> Self {
        if event.kind() != kind::MLS_COMMIT || event.state_key().is_some() {
            return Self::default();
        }
        let content = event.content();
        let (message, state) = match ApartContent::parse(content) {
            Ok(Some(apart)) => (Some(apart.message), apart.public_group_state),
            Ok(None) => match CommitContent::parse(content) {
                Ok(commit) => (None, commit.public_group_state),
                Err(_) => return Self::default(),
            },
            Err(_) => return Self::default(),
        };
        let leaves_tree_out = || framing::group_info(&state).is_ok_and(|info| info.ratchet_tree.is_none());
        Self { message, tree: !group_is_known && leaves_tree_out() }
    }
}

/// The content of a commit event, with the message from wherever it is.
pub(super) fn whole_content(event: &Event, apart: &Apart) -> Result<CommitContent, Refusal> {
    let malformed = |field| Refusal::new(MlsRule::Malformed, Because::Field(field));
    let Some(content) = ApartContent::parse(event.content()).map_err(malformed)? else {
        return CommitContent::parse(event.content()).map_err(malformed);
    };
    let missing = || Refusal::new(MlsRule::Apart, Because::NotHere("the commit apart"));
    let message = apart.message.as_ref().ok_or_else(missing)?;
    content.message.check(message)?;
    Ok(CommitContent {
        message: message.clone(),
        public_group_state: content.public_group_state,
        prev_commit_event_id: content.prev_commit_event_id,
    })
}

#[cfg(test)]
mod tests;
