//! What a group did with its ratchets since its message secrets were saved.
//!
//! The message secrets of a group are one value, as large as the group. Saving them with every message would make a
//! message cost time and bytes linear in the size of the group. What a message does to them is small, though, and can be
//! done again: to encrypt moves the own ratchet by one, to decrypt moves that of a sender, in a way that only the
//! message itself can bring about. So the secrets are saved now and then, and in between what happened is logged.

use serde::{Deserialize, Serialize};

/// How many messages are logged before the message secrets are saved again.
pub(super) const MAX_ENTRIES: usize = 64;

/// How many bytes of messages are logged before the message secrets are saved again.
const MAX_BYTES: usize = 65_536;

/// One use of a ratchet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    /// A message was encrypted, in the epoch the group is in. Its key must never be used again.
    Encrypted,
    /// This message was decrypted.
    Decrypted(Vec<u8>),
}

/// The uses of ratchets since the message secrets were saved, as far as it is worth keeping them.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
    bytes: usize,
    /// How many of the entries are saved.
    saved: usize,
    full: bool,
}

impl Log {
    /// A log as it was saved.
    pub(super) fn saved(entries: Vec<Entry>) -> Self {
        let mut log = Self::default();
        entries.into_iter().for_each(|entry| log.push(entry));
        log.saved = log.entries.len();
        log
    }

    /// Notes a use of a ratchet. A log that has become too long lets go of all: the secrets have to be saved then.
    pub(super) fn push(&mut self, entry: Entry) {
        if self.full {
            return;
        }
        if let Entry::Decrypted(message) = &entry {
            self.bytes = self.bytes.saturating_add(message.len());
        }
        if self.entries.len() >= MAX_ENTRIES || self.bytes > MAX_BYTES {
            self.full = true;
            self.entries = Vec::new();
        } else {
            self.entries.push(entry);
        }
    }

    /// Whether the message secrets have to be saved.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The entries that are not saved, with the place of each. They count as saved from here on.
    pub(super) fn take_unsaved(&mut self) -> impl Iterator<Item = (usize, &Entry)> {
        let from = self.saved;
        if !self.full {
            self.saved = self.entries.len();
        }
        self.entries.iter().enumerate().skip(from)
    }

    /// Forgets everything, because the message secrets were saved. Returns how many entries had been saved.
    pub(super) fn clear(&mut self) -> usize {
        core::mem::take(self).saved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_gives_what_is_new_and_gives_up_when_it_is_long() {
        let mut log = Log::default();
        log.push(Entry::Encrypted);
        log.push(Entry::Decrypted(vec![1]));
        let places: Vec<_> = log.take_unsaved().map(|(place, _)| place).collect();
        assert_eq!(places, [0, 1]);
        assert_eq!(log.take_unsaved().count(), 0);
        for _ in 2..MAX_ENTRIES {
            log.push(Entry::Encrypted);
        }
        assert!(!log.is_full());
        assert_eq!(log.take_unsaved().count(), MAX_ENTRIES - 2);
        log.push(Entry::Encrypted);
        assert!(log.is_full());
        assert_eq!(log.take_unsaved().count(), 0);
        assert_eq!(log.clear(), MAX_ENTRIES);
        assert!(!log.is_full());
    }

    #[test]
    fn large_messages_fill_it_sooner() {
        let mut log = Log::default();
        log.push(Entry::Decrypted(vec![0; MAX_BYTES]));
        assert!(!log.is_full());
        log.push(Entry::Decrypted(vec![0]));
        assert!(log.is_full());
    }
}
