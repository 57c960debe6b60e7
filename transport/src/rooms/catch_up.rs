//! Events from the hub that could not be judged when they came, and are asked for again.
//!
//! An event is dropped if a key to check it with cannot be had, and rejected if what it follows cannot be. Neither says
//! anything about the event, and the hub does not send it again. The next event of the room would bring it, as what is
//! missing before it; but there may be none for long, so that the room is asked for by itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mimi_linearized::id::{EventId, RoomId, ServerName};
use tokio::sync::Notify;

use super::{Provenance, Role, RoomError, settle};
use crate::node::Node;

/// The pause before the first attempt, doubled after each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How often a room is asked for: for about four days.
const ATTEMPTS: u32 = 100;
/// How many rooms are asked for at the same time. What is missing from more comes with their next events.
const MAX_ROOMS: usize = 1_000;

/// The rooms that lack something.
#[derive(Debug, Default)]
pub(crate) struct Behind(Mutex<HashMap<RoomId, Lack>>);

/// What a room lacks.
#[derive(Debug)]
struct Lack {
    /// The latest event that came and is not in the list.
    wanted: EventId,
    /// The servers whose keys are wanted.
    servers: BTreeSet<ServerName>,
    /// One of them is there again.
    alive: Arc<Notify>,
}

impl Behind {
    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Lack>> {
        // The map is whole whenever the lock is free.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what a room lacks. Returns what wakes whoever is to ask for it, if nobody is asking yet.
    fn note(&self, room: &RoomId, wanted: EventId, servers: BTreeSet<ServerName>) -> Option<Arc<Notify>> {
        let mut rooms = self.lock();
        if let Some(lack) = rooms.get_mut(room) {
            lack.wanted = wanted;
            lack.servers.extend(servers);
            return None;
        }
        if rooms.len() >= MAX_ROOMS {
            return None;
        }
        let alive = Arc::new(Notify::new());
        rooms.insert(room.clone(), Lack { wanted, servers, alive: Arc::clone(&alive) });
        Some(alive)
    }

    fn wanted(&self, room: &RoomId) -> Option<EventId> {
        self.lock().get(room).map(|lack| lack.wanted.clone())
    }

    /// Ends asking for a room, unless something else is wanted by now.
    fn done(&self, room: &RoomId, had: &EventId) -> bool {
        let mut rooms = self.lock();
        let done = rooms.get(room).is_none_or(|lack| lack.wanted == *had);
        if done {
            rooms.remove(room);
        }
        done
    }

    /// A server is there: its keys can be had.
    pub(crate) fn heard_from(&self, server: &ServerName) {
        for lack in self.lock().values().filter(|lack| lack.servers.contains(server)) {
            lack.alive.notify_one();
        }
    }
}

impl Node {
    /// Asks the hub again, later, for an event and what is missing before it. `servers` are those whose keys are wanted.
    pub(super) fn catch_up(&self, room: &RoomId, wanted: EventId, servers: BTreeSet<ServerName>) {
        let Some(alive) = self.behind.note(room, wanted, servers) else { return };
        tracing::info!(%room, "an event cannot be judged now, and will be asked for again");
        let (node, room) = (self.clone(), room.clone());
        tokio::spawn(async move {
            let mut stopped = node.stopped();
            tokio::select! {
                () = node.ask_until_caught_up(&room, &alive) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        });
    }

    async fn ask_until_caught_up(&self, room: &RoomId, alive: &Notify) {
        let mut pause = FIRST_PAUSE;
        for _ in 0..ATTEMPTS {
            // Whether it is time, or the server is there, does not matter.
            let _ = tokio::time::timeout(pause, alive.notified()).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            let Some(wanted) = self.behind.wanted(room) else { return };
            match self.ask_for(room, &wanted).await {
                Ok(true) if self.behind.done(room, &wanted) => return,
                Ok(_) => {}
                Err(error) => tracing::warn!(%room, %error, "what a room lacks could not be asked for"),
            }
        }
        tracing::warn!(%room, "gave up asking for what the room lacks");
        self.behind.lock().remove(room);
    }

    /// Asks the hub for an event and what is missing before it. Returns whether it is there now.
    async fn ask_for(&self, room: &RoomId, wanted: &EventId) -> Result<bool, RoomError> {
        let Some(cell) = self.room(room).await? else { return Ok(true) };
        let mut role = cell.lock().await;
        let Some(participant) = role.as_mut().and_then(Role::as_participant) else { return Ok(true) };
        if self.store.locate(wanted).await?.is_none() {
            let from = Provenance { origin: Some(participant.room().hub().clone()), txn_id: None };
            let result = self.try_fill_gap(participant, wanted.clone(), &from).await;
            settle(&mut role, result)?;
        }
        Ok(self.store.locate(wanted).await?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_asked_for_by_one_task_until_it_has_the_latest() {
        let (behind, room) = (Behind::default(), RoomId::parse("!r:a.example").unwrap());
        let event = |id: &str| EventId::parse(id).unwrap();
        assert!(behind.note(&room, event("$1"), BTreeSet::new()).is_some());
        assert!(behind.note(&room, event("$2"), BTreeSet::new()).is_none(), "somebody is asking");
        assert!(!behind.done(&room, &event("$1")), "something later is wanted");
        assert_eq!(behind.wanted(&room), Some(event("$2")));
        assert!(behind.done(&room, &event("$2")));
        assert_eq!(behind.wanted(&room), None);
    }

    #[test]
    fn there_is_a_bound_on_rooms() {
        let (behind, event) = (Behind::default(), EventId::parse("$1").unwrap());
        for number in 0..=MAX_ROOMS {
            let room = RoomId::parse(&format!("!{number}:a.example")).unwrap();
            let asks = behind.note(&room, event.clone(), BTreeSet::new()).is_some();
            assert_eq!(asks, number < MAX_ROOMS);
        }
    }
}
