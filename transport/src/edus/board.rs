//! What local users have not looked at yet: the newest of each kind by each user, whatever their number.
//!
//! A note is on the board once, not once for each reader. When somebody looks into their inbox, what is new on the board
//! and concerns them is put there: so an inbox grows with what its owner reads, not with what others say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mimi_linearized::auth::Membership;
use mimi_linearized::id::{RoomId, UserId};

use super::newest::{Newest, Note};
use crate::node::Node;
use crate::rooms::{Role, RoomError};
use crate::store::InboxItem;

/// How many notes are on the board. Beyond that, the oldest goes.
const BOUND: usize = 10_000;
/// Of how many users it is remembered how far they have looked. Beyond that all are forgotten, and see again what is
/// still there.
const MAX_READERS: usize = 100_000;

/// What local users have not looked at yet.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    newest: Newest,
    /// The place after what each user has looked at.
    seen: HashMap<UserId, u64>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Notes> {
        // The notes are whole whenever the lock is free.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, note: Note) {
        self.lock().newest.put(note, BOUND);
    }

    /// What somebody else said since this user looked last.
    fn look(&self, user: &UserId) -> Vec<Note> {
        let mut notes = self.lock();
        let Notes { newest, seen } = &mut *notes;
        let end = newest.end();
        if seen.len() >= MAX_READERS && !seen.contains_key(user) {
            seen.clear();
        }
        let from = seen.insert(user.clone(), end).unwrap_or(0);
        newest.since(from).filter(|note| note.sender != *user).cloned().collect()
    }
}

impl Node {
    /// A local user's inbox from a place on, at most `limit` items, each with its place. What is ephemeral, such as typing
    /// notices, is put there now, as far as it is new and concerns the user.
    ///
    /// # Errors
    /// [`RoomError`] if the store fails.
    pub async fn inbox(
        &self,
        user: &UserId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Arc<[u8]>)>, RoomError> {
        let mut joined = HashMap::new();
        let mut items = Vec::new();
        for Note { sender, said, at, rooms } in self.board.look(user) {
            if self.is_in_any(user, &rooms, &mut joined).await? {
                let bytes = said.item(&sender, at.elapsed()).to_string().into_bytes().into();
                items.push(InboxItem { user_id: user.clone(), bytes, once: None });
            }
        }
        if !items.is_empty() {
            self.store.deliver(items).await?;
        }
        Ok(self.store.inbox(user, from, limit).await?)
    }

    async fn is_in_any(
        &self,
        user: &UserId,
        rooms: &[RoomId],
        known: &mut HashMap<RoomId, bool>,
    ) -> Result<bool, RoomError> {
        for room in rooms {
            let joined = match known.get(room) {
                Some(joined) => *joined,
                None => {
                    let joined = self.is_joined(room, user).await?;
                    known.insert(room.clone(), joined);
                    joined
                }
            };
            if joined {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a user is joined to a room that this server knows.
    pub(super) async fn is_joined(&self, room: &RoomId, user: &UserId) -> Result<bool, RoomError> {
        let Some(cell) = self.room(room).await? else { return Ok(false) };
        let role = cell.lock().await;
        Ok(role.as_ref().map(Role::room).is_some_and(|room| room.membership(user) == Membership::Join))
    }

    /// Lets local users know, once they look.
    pub(super) fn post(&self, sender: &UserId, said: super::Ephemeral, rooms: Vec<RoomId>) {
        self.board.put(Note { sender: sender.clone(), said, at: Instant::now(), rooms });
        self.news.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ephemeral, Typing};
    use super::*;

    fn typing(sender: &UserId, room: usize) -> Note {
        let room_id = RoomId::parse(&format!("!{room}:a.example")).unwrap();
        let said = Ephemeral::Typing(Typing { room_id: room_id.clone(), typing: true });
        Note { sender: sender.clone(), said, at: Instant::now(), rooms: vec![room_id] }
    }

    #[test]
    fn everybody_sees_what_is_new_of_others() {
        let user = |name: &str| UserId::parse(&format!("@{name}:a.example")).unwrap();
        let (board, alice, bob) = (Board::default(), user("alice"), user("bob"));
        board.put(typing(&bob, 1));
        assert_eq!(board.look(&bob).len(), 0, "it is his own");
        assert_eq!(board.look(&alice).len(), 1);
        assert_eq!(board.look(&alice).len(), 0);
        board.put(typing(&bob, 1));
        board.put(typing(&bob, 2));
        board.put(typing(&alice, 2));
        assert_eq!((board.look(&alice).len(), board.look(&bob).len()), (2, 1));
    }

    #[test]
    fn what_nobody_reads_is_bounded() {
        let (board, bob) = (Board::default(), UserId::parse("@bob:a.example").unwrap());
        for room in 0..2 * BOUND {
            board.put(typing(&bob, room));
        }
        assert_eq!(board.look(&UserId::parse("@alice:a.example").unwrap()).len(), BOUND);
    }
}
