//! Other processes of the same server, which append to the same rooms.
//!
//! A room in memory is brought up to date when it is taken up, and once more when an append shows that it was not: then
//! what was to be appended is judged again, as the room is now.

use mimi_linearized::hub::Hub;
use mimi_linearized::id::RoomId;
use mimi_linearized::participant::Participant;
use mimi_linearized::room::Room;
use tokio::sync::broadcast::error::RecvError;

use super::{Role, RoomError, load};
use crate::node::Node;
use crate::store::Change;

/// How often an event is judged again because other processes were faster.
pub(super) const ATTEMPTS: usize = 100;

/// A room that is being worked on.
pub(super) enum Part<'r> {
    Hub(&'r mut Hub),
    Participant(&'r mut Participant),
}

impl<'r> Part<'r> {
    pub(super) fn of(role: &'r mut Role) -> Self {
        match role {
            Role::Hub(hub) => Self::Hub(hub),
            Role::Participant(participant) => Self::Participant(participant),
        }
    }

    pub(super) fn room(&self) -> &Room {
        match self {
            Self::Hub(hub) => hub.room(),
            Self::Participant(participant) => participant.room(),
        }
    }
}

impl Node {
    /// Reads a room back if it is not in memory, and what other processes appended if it is. It stays empty if it is not
    /// known.
    pub(super) async fn bring_up_to_date(
        &self,
        id: &RoomId,
        role: &mut Option<Role>,
    ) -> Result<(), RoomError> {
        if let Some(known) = role.as_mut().filter(|_| self.store.is_shared())
            && let Err(error) = self.advance(Part::of(known)).await
        {
            tracing::warn!(room = %id, %error, "what other processes appended does not follow; the room is read anew");
            *role = None;
        }
        if role.is_none() {
            *role = load::load(self, id).await?;
        }
        if role.is_none() && self.store.is_shared() {
            // Another process may have created or joined it just now.
            self.store.catch_up().await?;
            *role = load::load(self, id).await?;
        }
        Ok(())
    }

    /// Adds what other processes have appended so far to a room in memory.
    pub(super) async fn advance(&self, mut part: Part<'_>) -> Result<(), RoomError> {
        let id = part.room().id().clone();
        // Not more than there is now: they may append faster than this process follows.
        let length = self.store.length(&id).await?;
        while part.room().head().length < length {
            for record in self.store.records(&id, part.room().head().length, load::PAGE).await? {
                load::replay(self, &mut part, &record, true).await?;
            }
        }
        Ok(())
    }

    /// Whether an operation is to be tried again, as another process was faster.
    pub(super) fn is_overtaken<T>(&self, result: &Result<T, RoomError>) -> bool {
        self.store.is_shared() && matches!(result, Err(RoomError::Overtaken))
    }

    /// Passes on what other processes do to whoever waits here, for as long as it is polled. Ends if there are none.
    pub(crate) async fn follow_others(&self) {
        let Some(mut changes) = self.store.changes() else { return };
        loop {
            match changes.recv().await {
                Ok(Change::Appended { to, .. }) => to.iter().for_each(|server| self.wake(server)),
                Ok(Change::Queue(destination)) => self.wake(&destination),
                Ok(Change::Inbox) => {}
                Ok(Change::Processes) | Err(RecvError::Lagged(_)) => {
                    if let Err(error) = self.resume().await {
                        tracing::error!(%error, "queues of other processes cannot be taken over");
                    }
                }
                Err(RecvError::Closed) => return,
            }
            self.news.tell();
        }
    }
}
