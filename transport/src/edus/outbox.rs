//! What waits for a transaction to each destination and is not stored: the newest of each kind by each user.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mimi_linearized::id::ServerName;

use super::newest::{Newest, Note};
use crate::node::Node;
use crate::store::{Outgoing, OutgoingItem, StoreError};

/// How much may wait for one destination. Beyond that, the oldest goes.
const BOUND: usize = 1_000;
/// For how many destinations something may wait. Nothing is kept for more.
const MAX_DESTINATIONS: usize = 10_000;

/// What waits for each destination.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Mutex<HashMap<ServerName, Newest>>);

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, HashMap<ServerName, Newest>> {
        // The map is whole whenever the lock is free.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a note wait for a destination.
    pub(super) fn put(&self, destination: &ServerName, note: Note) {
        let mut waiting = self.lock();
        if !waiting.contains_key(destination) && waiting.len() >= MAX_DESTINATIONS {
            tracing::warn!(%destination, "too much waits for other destinations; let something ephemeral go");
            return;
        }
        waiting.entry(destination.clone()).or_default().put(note, BOUND);
    }

    /// Takes up to `limit` notes for a destination, the oldest first.
    fn take(&self, destination: &ServerName, limit: usize) -> Vec<Note> {
        let mut waiting = self.lock();
        let Some(notes) = waiting.get_mut(destination) else { return Vec::new() };
        let taken = std::iter::from_fn(|| notes.pop()).take(limit).collect();
        if notes.is_empty() {
            waiting.remove(destination);
        }
        taken
    }
}

impl Node {
    /// What goes into the next transaction to a destination beside what is stored, up to `limit` EDUs. It is stored from
    /// now on: a transaction that was begun has the same body for ever (LM-04 §12.5.1).
    pub(crate) async fn take_ephemeral(
        &self,
        destination: &ServerName,
        limit: usize,
    ) -> Result<Vec<OutgoingItem>, StoreError> {
        let mut items = Vec::new();
        for note in self.outbox.take(destination, limit) {
            let edu = note.said.edu(&note.sender, note.at.elapsed());
            let outgoing = Outgoing::Edu { bytes: edu.to_string().into_bytes().into() };
            let sequence = self.store.enqueue(destination, outgoing.clone()).await?;
            items.push(OutgoingItem { sequence, outgoing });
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use mimi_linearized::id::{RoomId, UserId};

    use super::super::{Ephemeral, Typing};
    use super::*;

    fn note(room: usize) -> Note {
        let room_id = RoomId::parse(&format!("!{room}:a.example")).unwrap();
        Note {
            sender: UserId::parse("@alice:a.example").unwrap(),
            said: Ephemeral::Typing(Typing { room_id, typing: true }),
            at: Instant::now(),
            rooms: Vec::new(),
        }
    }

    #[test]
    fn a_destination_that_takes_nothing_has_a_bounded_queue() {
        let (outbox, dead) = (Outbox::default(), ServerName::parse("dead.example").unwrap());
        for round in 0..5_000 {
            outbox.put(&dead, note(round % 3));
        }
        assert_eq!(outbox.take(&dead, 2).len(), 2);
        assert_eq!(outbox.take(&dead, 100).len(), 1);
        assert!(outbox.lock().is_empty());
        for round in 0..5_000 {
            outbox.put(&dead, note(round));
        }
        assert_eq!(outbox.take(&dead, usize::MAX).len(), BOUND);
    }

    #[test]
    fn there_is_a_bound_on_destinations() {
        let outbox = Outbox::default();
        for number in 0..=MAX_DESTINATIONS {
            outbox.put(&ServerName::parse(&format!("s{number}.example")).unwrap(), note(1));
        }
        assert_eq!(outbox.lock().len(), MAX_DESTINATIONS);
    }
}
