//! The one view that everybody has of a room's messages.
//!
//! A [`Timeline`] is given events with their places in the room's list, and receipts, in whatever order they arrive or
//! become readable, and [`Timeline::rows`] says what there is to show: each message with its last edit, its reactions, its
//! votes and who has read it. The rows depend on the list alone: not on when an event arrived, and not on whether a
//! redacted event was seen before it was redacted. Times that senders claim decide nothing (reading R55).
//!
//! First it is settled what is redacted; then the events that are left count in list order:
//!
//! - An **edit** counts if its sender and event type are the original's, neither is a state event, the original is no edit
//!   itself and comes before it, and its new content matches the form of its type. The last one counts. A poll is not
//!   edited once somebody has voted, or votes would be for what nobody chose.
//! - A **reaction** counts once for each sender and key.
//! - A **vote** counts if the poll is open at its place in the list; of each user the last one. What a vote is worth is
//!   up to [`super::tally`].
//! - A poll is **closed** by the first event of its creator, or of somebody who may redact, that says so (reading R56).
//! - A **reply** is to an earlier event and a **thread** begins with one that has no relation by type, so that neither
//!   goes in circles.
//! - A **receipt** only ever moves forward in the list.

mod fold;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use fold::Fold;
pub use rows::{Poll, Row};

use crate::id::{EventId, UserId};
use crate::json::Object;

/// How many receipts of one user for events that are not known are kept, until the events are.
const MAX_WAITING: usize = 64;

/// An event of a room's list, as far as a timeline needs it, after decryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub event_id: EventId,
    /// Its sender.
    pub sender: UserId,
    /// Its event type; of an encrypted event that of its plaintext, once that is known.
    pub event_type: String,
    /// Its content; likewise.
    pub content: Object,
    /// Whether it has a state key.
    pub is_state: bool,
    /// Whether its sender has the level for redactions at its place in the list.
    pub may_redact: bool,
}

/// Why an event that is about another has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ignored {
    /// The event it is about is not before it in the list, as far as it is known.
    #[error("it is about no earlier event that is known")]
    NoTarget,
    /// The event it is about was redacted.
    #[error("it is about an event that was redacted")]
    Redacted,
    /// An edit of somebody else's message.
    #[error("only the author of a message edits it")]
    NotTheAuthor,
    /// An edit of another type than the original.
    #[error("an edit has the event type of its original")]
    OtherType,
    /// An edit of an edit.
    #[error("an edit is of a message that is no edit")]
    EditOfEdit,
    /// An edit that is a state event, or of one, or of something that is no message.
    #[error("only messages are edited")]
    NotAMessage,
    /// What it brings does not match the form of its type.
    #[error("its content is malformed")]
    Malformed,
    /// An edit of a poll in which somebody has voted.
    #[error("a poll is not edited once somebody has voted")]
    HasVotes,
    /// A vote in something, or the close of something, that is no poll.
    #[error("it is about no poll")]
    NotAPoll,
    /// A vote in a closed poll, or closing one again.
    #[error("the poll is closed")]
    Closed,
    /// Closing a poll of somebody else.
    #[error("only the creator of a poll, or who may redact, closes it")]
    MayNotClose,
    /// A redaction without the level for it.
    #[error("the sender may not redact the event")]
    MayNotRedact,
}

/// Why an event cannot be put into a timeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimelineError {
    /// Another event has the place.
    #[error("the place {0} in the list has the event {1}")]
    Taken(u64, EventId),
    /// The event has another place.
    #[error("the event {1} has the place {0} in the list")]
    Moved(u64, EventId),
}

/// The messages of a room, or of a part of its list.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    entries: BTreeMap<u64, Entry>,
    places: BTreeMap<EventId, u64>,
    /// By user and thread: the events that receipts named.
    receipts: BTreeMap<(UserId, Option<EventId>), BTreeSet<EventId>>,
    fully_read: BTreeSet<EventId>,
    fold: Fold,
    /// Whether `fold` has to be made anew.
    stale: bool,
}

impl Timeline {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an event at its place in the room's list. An event that is there already is replaced: it has been decrypted,
    /// or is now known to be redacted.
    ///
    /// # Errors
    /// [`TimelineError`] if place or event is taken, which a list with one order does not do.
    pub fn insert(&mut self, place: u64, entry: Entry) -> Result<(), TimelineError> {
        if let Some(there) = self.entries.get(&place).filter(|there| there.event_id != entry.event_id) {
            return Err(TimelineError::Taken(place, there.event_id.clone()));
        }
        if let Some(other) = self.places.get(&entry.event_id).filter(|other| **other != place) {
            return Err(TimelineError::Moved(*other, entry.event_id));
        }
        let is_last = self.entries.last_key_value().is_none_or(|(last, _)| *last < place);
        self.places.insert(entry.event_id.clone(), place);
        // What comes at the end is added to what is there, unless it takes something away that has had effects.
        let adds = is_last && !self.stale && self.fold.add(place, &entry, &self.entries, &self.places);
        self.stale |= !adds;
        self.entries.insert(place, entry);
        Ok(())
    }

    /// Notes that a user has read up to an event, in a thread or outside of threads. A receipt for an earlier event than
    /// one before does nothing.
    pub fn receipt(&mut self, user: &UserId, thread: Option<&EventId>, event: &EventId) {
        let receipts = self.receipts.entry((user.clone(), thread.cloned())).or_default();
        note(receipts, event, &self.places);
    }

    /// Notes that the user of this device has put the marker at an event (`m.fully_read`).
    pub fn mark_fully_read(&mut self, event: &EventId) {
        note(&mut self.fully_read, event, &self.places);
    }

    /// Up to where the marker is, if that is known.
    #[must_use]
    pub fn fully_read(&self) -> Option<&EventId> {
        self.furthest(&self.fully_read).map(|(_, event)| event)
    }

    /// What there is to show, in list order.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = match self.stale {
            false => rows::rows(&self.fold, &self.entries, &self.places),
            true => rows::rows(&Fold::whole(&self.entries, &self.places), &self.entries, &self.places),
        };
        for ((user, _), events) in &self.receipts {
            let Some((place, _)) = self.furthest(events) else { continue };
            // What is read is the last row up to there.
            let after = rows.partition_point(|row| row.place <= place);
            if let Some(row) = after.checked_sub(1).and_then(|index| rows.get_mut(index)) {
                row.read_by.insert(user.clone());
            }
        }
        rows
    }

    /// The events that are about others and have no effect, and why.
    #[must_use]
    pub fn ignored(&self) -> BTreeMap<EventId, Ignored> {
        match self.stale {
            false => self.fold.ignored.clone(),
            true => Fold::whole(&self.entries, &self.places).ignored,
        }
    }

    /// Brings what [`Timeline::rows`] is made of up to date, so that later calls need not do it.
    pub fn settle(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.fold = Fold::whole(&self.entries, &self.places);
        }
    }

    fn furthest<'e>(&self, events: &'e BTreeSet<EventId>) -> Option<(u64, &'e EventId)> {
        events
            .iter()
            .filter_map(|event| Some((*self.places.get(event)?, event)))
            .max_by_key(|(place, _)| *place)
    }
}

/// Adds an event to those that were read; of those whose place is known only the last is kept.
fn note(events: &mut BTreeSet<EventId>, event: &EventId, places: &BTreeMap<EventId, u64>) {
    let waiting = events.iter().filter(|event| !places.contains_key(*event)).count();
    if places.contains_key(event) || waiting < MAX_WAITING {
        events.insert(event.clone());
    }
    let last = events.iter().filter_map(|event| places.get(event)).max().copied();
    events.retain(|event| places.get(event).copied().is_none_or(|place| Some(place) == last));
}

#[cfg(test)]
mod tests;
