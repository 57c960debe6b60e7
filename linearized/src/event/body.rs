//! An event's JSON object, which is there or is read again when somebody asks.
//!
//! A parsed object takes several times the memory of its text, and a room keeps the text anyway. Of the many events in a
//! large room's state few are ever looked into: what the rules ask of a membership event is its `membership`.

use std::sync::{Arc, OnceLock};

use crate::auth::Membership;
use crate::json::Object;

/// The object of an event.
#[derive(Debug, Clone)]
pub(super) struct Body {
    parsed: OnceLock<Object>,
    text: Option<Text>,
}

/// The canonical JSON that an object is read from again, and what is asked of it most.
#[derive(Debug, Clone)]
struct Text {
    bytes: Arc<[u8]>,
    membership: Option<Membership>,
}

impl Body {
    /// A body that stays parsed.
    pub(super) fn new(object: Object) -> Self {
        Self { parsed: OnceLock::from(object), text: None }
    }

    /// A body that is read from its canonical JSON when it is asked for. `membership` is the one in its `content`, if it
    /// is of a membership event and is a membership.
    pub(super) fn of_text(bytes: Arc<[u8]>, membership: Option<Membership>) -> Self {
        Self { parsed: OnceLock::new(), text: Some(Text { bytes, membership }) }
    }

    /// The object.
    pub(super) fn get(&self) -> &Object {
        // The text is canonical JSON that was written here of an object that had been read, so reading cannot fail.
        let read = || self.text.as_ref().and_then(|text| serde_json::from_slice(&text.bytes).ok());
        self.parsed.get_or_init(|| read().unwrap_or_default())
    }

    /// Changes the object. From then on it stays parsed.
    pub(super) fn change<T>(&mut self, change: impl FnOnce(&mut Object) -> T) -> T {
        self.get();
        let mut object = self.parsed.take().unwrap_or_default();
        let result = change(&mut object);
        *self = Self::new(object);
        result
    }

    /// The membership, if it is known without reading the object.
    pub(super) fn membership(&self) -> Option<Membership> {
        self.text.as_ref()?.membership
    }

    /// Whether the object is in memory beside its text.
    #[cfg(test)]
    pub(super) fn is_parsed(&self) -> bool {
        self.parsed.get().is_some()
    }
}
