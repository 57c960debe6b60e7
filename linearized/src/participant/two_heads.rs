//! Two events in one place: what a participant has when a list forks (reading R13).

use super::Rejected;
use super::evidence::is_tentative;
use crate::event::RoomEvent;
use crate::id::{EventId, ServerName};

/// Two events that follow the same one, so that only one of them can be in the list.
///
/// That is a fault of somebody: one hub sealed both, or a server sealed one that was not the hub. There is one exception
/// ([`Self::is_tentative`]): a hub seals an invite before the invited user's server has signed it, and seals it anew if
/// the room has moved on meanwhile.
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
    /// Whether one of the two is an invite that its hub may have given up (LM-04 §12.7.2, reading R23). An honest hub
    /// seals such two. If it sealed both, they show a fault only with an event of its own that follows the invite.
    #[must_use]
    pub fn is_tentative(&self) -> bool {
        [self.listed, self.other].into_iter().any(|event| is_tentative(event.event(), event.event().sealer()))
    }

    /// The server that sealed both and should not have, if it was one; `None` also if the two are
    /// [tentative](Self::is_tentative). An event without `hub_server` counts as sealed by its sender's server: that
    /// this was the hub of the place is for the caller to know.
    #[must_use]
    pub fn one_sealer(&self) -> Option<&ServerName> {
        let sealer = self.listed.event().sealer();
        (sealer == self.other.event().sealer() && !self.is_tentative()).then_some(sealer)
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
