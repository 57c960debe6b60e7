//! What a message has besides the draft's own fields (draft-ietf-mimi-content-08 §4.3).

use std::collections::BTreeMap;

use super::cbor::{CborValue, MAX_KEY};

/// The key of the sender's URI.
const SENDER: u64 = 1;
/// The key of the room's URI.
const ROOM: u64 = 2;

/// The name of an extension.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExtensionName {
    /// A name that IANA gives away: from 1 to 2^53 − 1.
    Registered(u64),
    /// A private one, the number −1 − `n`, down to −(2^53 − 1).
    Private(u64),
    /// A private one, of 1 to 255 bytes.
    Text(String),
}

/// The extensions of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extensions {
    entries: BTreeMap<ExtensionName, CborValue>,
}

impl ExtensionName {
    /// The name that a value is, if it may be one.
    pub(super) fn read(key: CborValue) -> Option<Self> {
        match key {
            CborValue::Unsigned(n @ 1..=MAX_KEY) => Some(Self::Registered(n)),
            CborValue::Negative(n) if n < MAX_KEY => Some(Self::Private(n)),
            CborValue::Text(text) if (1..=255).contains(&text.len()) => Some(Self::Text(text)),
            _ => None,
        }
    }

    pub(super) fn value(&self) -> CborValue {
        match self {
            Self::Registered(n) => CborValue::Unsigned(*n),
            Self::Private(n) => CborValue::Negative(*n),
            Self::Text(text) => CborValue::Text(text.clone()),
        }
    }
}

impl Extensions {
    /// The sender as the message has it, to be compared with who sent it by MLS.
    #[must_use]
    pub fn sender_uri(&self) -> Option<&str> {
        self.text(SENDER)
    }

    /// The room as the message has it, to be compared with the room it came in.
    #[must_use]
    pub fn room_uri(&self) -> Option<&str> {
        self.text(ROOM)
    }

    /// Has the message name its sender and its room.
    #[must_use]
    pub fn with_uris(mut self, sender: &str, room: &str) -> Self {
        for (name, uri) in [(SENDER, sender), (ROOM, room)] {
            self.insert(ExtensionName::Registered(name), CborValue::Text(uri.to_owned()));
        }
        self
    }

    /// An extension by its name.
    #[must_use]
    pub fn get(&self, name: &ExtensionName) -> Option<&CborValue> {
        self.entries.get(name)
    }

    /// Adds an extension. What was there under its name is returned.
    pub fn insert(&mut self, name: ExtensionName, value: CborValue) -> Option<CborValue> {
        self.entries.insert(name, value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&ExtensionName, &CborValue)> {
        self.entries.iter()
    }

    /// The extensions that are neither the sender's nor the room's URI.
    pub fn others(&self) -> impl Iterator<Item = (&ExtensionName, &CborValue)> {
        self.iter().filter(|(name, _)| !matches!(name, ExtensionName::Registered(SENDER | ROOM)))
    }

    /// Whether the URIs, where they are there, are texts.
    pub(super) fn uris_are_texts(&self) -> bool {
        let is_text = |name: &u64| match self.get(&ExtensionName::Registered(*name)) {
            None | Some(CborValue::Text(_)) => true,
            Some(_) => false,
        };
        [SENDER, ROOM].iter().all(is_text)
    }

    fn text(&self, name: u64) -> Option<&str> {
        match self.get(&ExtensionName::Registered(name)) {
            Some(CborValue::Text(text)) => Some(text),
            _ => None,
        }
    }
}
