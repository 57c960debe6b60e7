//! Two events in one place: what a participant has when a list forks (reading R13).

use super::Rejected;
use crate::event::RoomEvent;
use crate::id::{EventId, ServerName};

/// Two events that follow the same one. Only one of them can be in the list: either one hub sealed both, or a server
/// sealed one that was not the hub. Both are signed, so together they prove it to anybody.
#[derive(Debug, Clone, Copy)]
pub struct TwoHeads<'e> {
    /// What both follow.
    pub predecessor: &'e EventId,
    /// The one in the list.
    pub listed: &'e RoomEvent,
    /// The one that was rejected.
    pub other: &'e RoomEvent,
}

impl TwoHeads<'_> {
    /// The server that sealed both, if it was one.
    #[must_use]
    pub fn one_sealer(&self) -> Option<&ServerName> {
        let sealer = self.listed.event().sealer();
        (sealer == self.other.event().sealer()).then_some(sealer)
    }
}

impl Rejected {
    /// Holds the rejected event against one in the list; `None` if they are not two events in one place. For a
    /// refusal as a fork, the one in the list is that which follows the event which the refusal names.
    #[must_use]
    pub fn beside<'e>(&'e self, listed: &'e RoomEvent) -> Option<TwoHeads<'e>> {
        let differ = listed.id() != self.event.id();
        let same_room = listed.event().room_id() == self.event.event().room_id();
        let predecessor = listed.prev_events().iter().find(|id| self.event.prev_events().contains(id))?;
        (differ && same_room).then_some(TwoHeads { predecessor, listed, other: &self.event })
    }
}
