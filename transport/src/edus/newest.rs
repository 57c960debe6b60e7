//! What is newest of each kind, in the order of its coming, up to a bound.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use mimi_linearized::id::{RoomId, UserId};

use super::Ephemeral;

/// Whose it is, and what it is about: of two with the same key, the newer one counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Who said it.
    pub(super) sender: UserId,
    /// About what.
    pub(super) topic: Topic,
}

/// What something ephemeral is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    /// Writing in a room.
    Typing(RoomId),
    /// How far a room, or a thread of it, has been read.
    Receipt(RoomId, Option<String>),
    /// Presence.
    Presence,
}

/// Something ephemeral that waits.
#[derive(Debug, Clone)]
pub(super) struct Note {
    /// Who said it.
    pub(super) sender: UserId,
    /// What was said.
    pub(super) said: Ephemeral,
    /// When.
    pub(super) at: Instant,
    /// In which rooms it is to be seen, where that matters.
    pub(super) rooms: Vec<RoomId>,
}

/// Notes in order, one for each key.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// The place of the next note.
    next: u64,
    places: HashMap<Key, u64>,
    notes: BTreeMap<u64, (Key, Note)>,
}

impl Newest {
    /// Puts a note at the end, in place of an earlier one with its key. Beyond `bound`, the oldest note goes.
    pub(super) fn put(&mut self, note: Note, bound: usize) {
        let key = Key { sender: note.sender.clone(), topic: note.said.topic() };
        let place = self.next;
        self.next = self.next.saturating_add(1);
        if let Some(earlier) = self.places.insert(key.clone(), place) {
            self.notes.remove(&earlier);
        }
        self.notes.insert(place, (key, note));
        while self.notes.len() > bound {
            self.pop();
        }
    }

    /// Takes the oldest note.
    pub(super) fn pop(&mut self) -> Option<Note> {
        let (_, (key, note)) = self.notes.pop_first()?;
        self.places.remove(&key);
        Some(note)
    }

    /// The notes from a place on.
    pub(super) fn since(&self, place: u64) -> impl Iterator<Item = &Note> {
        self.notes.range(place..).map(|(_, (_, note))| note)
    }

    /// The place after the last note.
    pub(super) fn end(&self) -> u64 {
        self.next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Typing;
    use super::*;

    fn note(sender: &str, room: u32, typing: bool) -> Note {
        let room_id = RoomId::parse(&format!("!{room}:a.example")).unwrap();
        Note {
            sender: UserId::parse(&format!("@{sender}:b.example")).unwrap(),
            said: Ephemeral::Typing(Typing { room_id: room_id.clone(), typing }),
            at: Instant::now(),
            rooms: vec![room_id],
        }
    }

    fn said(notes: &Newest, since: u64) -> Vec<(String, String, bool)> {
        let say = |note: &Note| {
            let Ephemeral::Typing(typing) = &note.said else { panic!() };
            (note.sender.localpart().to_owned(), typing.room_id.to_string(), typing.typing)
        };
        notes.since(since).map(say).collect()
    }

    #[test]
    fn the_newest_of_each_is_kept_and_comes_last() {
        let mut notes = Newest::default();
        for (sender, room, typing) in
            [("bob", 1, true), ("bob", 2, true), ("eve", 1, true), ("bob", 1, false)]
        {
            notes.put(note(sender, room, typing), 10);
        }
        let row = |sender: &str, room: &str, typing| (sender.to_owned(), room.to_owned(), typing);
        let expected = [
            row("bob", "!2:a.example", true),
            row("eve", "!1:a.example", true),
            row("bob", "!1:a.example", false),
        ];
        assert_eq!(said(&notes, 0), expected);
        assert_eq!(said(&notes, 3), expected[2..]);
        assert_eq!(notes.end(), 4);
    }

    #[test]
    fn beyond_the_bound_the_oldest_goes_and_is_forgotten() {
        let mut notes = Newest::default();
        for room in 0..1_000 {
            notes.put(note("bob", room, true), 10);
        }
        assert_eq!(said(&notes, 0).len(), 10);
        assert_eq!(notes.places.len(), 10);
        assert_eq!(said(&notes, 0)[0].1, "!990:a.example");
        while notes.pop().is_some() {}
        assert!(notes.is_empty() && notes.places.is_empty());
    }
}
