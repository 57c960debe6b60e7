//! What evidence proves, or why it proves nothing.

use std::fmt;

use crate::auth::{AuthRule, Refusal, RoomRule, Rule};
use crate::event::ShapeError;
use crate::id::{EventId, RoomId, ServerName};
use crate::signing::SignatureError;

/// What a hub did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It sealed two events that follow the same one.
    Fork {
        /// The one they follow; `None` if both are beginnings.
        after: Option<EventId>,
        /// The two.
        events: [EventId; 2],
    },
    /// It sealed one LPDU as two events.
    SealedTwice {
        /// The LPDU.
        lpdu: EventId,
        /// The two.
        events: [EventId; 2],
    },
    /// It sealed an event that what it cites does not allow.
    Forbidden {
        /// The event.
        event: EventId,
        /// The rule, and what it compared.
        refusal: Refusal,
    },
    /// It sealed an event that does not cite the state before it.
    IgnoredState {
        /// The event.
        event: EventId,
        /// The state event that it does not cite.
        state: EventId,
    },
}

/// What evidence proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The room.
    pub room_id: RoomId,
    /// The hub that did it.
    pub hub: ServerName,
    /// What it did.
    pub fault: Fault,
}

impl Proved {
    /// The rule that the hub broke.
    #[must_use]
    pub fn rule(&self) -> Rule {
        match &self.fault {
            Fault::Fork { .. } => RoomRule::Fork.into(),
            Fault::SealedTwice { .. } => RoomRule::SealedTwice.into(),
            Fault::Forbidden { refusal, .. } => refusal.rule,
            Fault::IgnoredState { .. } => AuthRule::CitedWrongly.into(),
        }
    }

    /// The events that the hub sealed and should not have.
    #[must_use]
    pub fn events(&self) -> &[EventId] {
        match &self.fault {
            Fault::Fork { events, .. } | Fault::SealedTwice { events, .. } => events,
            Fault::Forbidden { event, .. } | Fault::IgnoredState { event, .. } => std::slice::from_ref(event),
        }
    }
}

impl fmt::Display for Proved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { room_id, hub, fault } = self;
        write!(f, "{hub}, the hub of {room_id}, ")?;
        match fault {
            Fault::Fork { after: Some(after), events: [one, other] } => {
                write!(f, "sealed {one} and {other}, which both follow {after}")
            }
            Fault::Fork { after: None, events: [one, other] } => {
                write!(f, "began the room twice, with {one} and with {other}")
            }
            Fault::SealedTwice { lpdu, events: [one, other] } => {
                write!(f, "sealed the LPDU {lpdu} twice, as {one} and as {other}")
            }
            Fault::Forbidden { event, refusal } => {
                write!(f, "sealed {event}, which is not allowed by what it cites: {}", refusal.because)
            }
            Fault::IgnoredState { event, state } => {
                write!(f, "sealed {event}, which does not cite {state}, in force before it")
            }
        }
    }
}

/// Why evidence proves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The room's beginning is for no room version that is implemented.
    #[error("`create` is for a room version that is not implemented")]
    Version,
    /// The room's hub can change, and one hub's signatures do not show whose an event's place was (reading R32).
    #[error("the hub of a room of this version can change: nothing is proved about such a room")]
    HubChanges,
    /// The room's beginning is not allowed.
    #[error("`create` is no beginning of a room: {0}")]
    Create(#[source] Refusal),
    /// The claim is about another number of events.
    #[error("the claim is about {expected} events, and {found} are there")]
    Count {
        /// How many it is about.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A document is not an event.
    #[error("one of the documents is no event: {0}")]
    Shape(#[from] ShapeError),
    /// The hub has not signed an event.
    #[error("that the hub sealed {event} is not shown: {error}")]
    Signature {
        /// The event.
        event: EventId,
        /// What is wrong with the signature.
        error: SignatureError,
    },
    /// An event is of another room.
    #[error("{0} is an event of another room")]
    OtherRoom(EventId),
    /// An event was sealed by another server than the room's hub.
    #[error("{event} names {sealer} as its hub, and the hub is {hub}")]
    OtherHub {
        /// The event.
        event: EventId,
        /// The server that sealed it by its own word.
        sealer: ServerName,
        /// The hub.
        hub: ServerName,
    },
    /// Both events are the same.
    #[error("both are the same event, {0}")]
    SameEvent(EventId),
    /// The events do not follow one and the same event.
    #[error("the events do not both follow one and the same event")]
    OtherPlaces,
    /// The events are not made of one LPDU.
    #[error("the events are not made of one LPDU")]
    OtherLpdus,
    /// LPDUs of the room's version have no hash of their contents, and the events are redacted or have others.
    #[error("{0} is the id of LPDUs with other contents as well, and the events do not show the same ones")]
    ContentsNotTold(EventId),
    /// An invite that the hub may have sealed without listing it.
    #[error(
        "{0} invites a user of another server, and no event by the hub follows it: it may never have been listed"
    )]
    Tentative(EventId),
    /// An event that is needed is not there.
    #[error("{0} is needed and not there")]
    Lacks(EventId),
    /// An event that is not needed is there.
    #[error("{0} does not belong there")]
    Stray(EventId),
    /// An event's contents are needed and were redacted.
    #[error("the contents of {0} are needed, and it is redacted")]
    Redacted(EventId),
    /// The event cites another beginning of the room.
    #[error("the event cites another m.room.create, {0}")]
    OtherCreate(EventId),
    /// The event is allowed by what it cites.
    #[error("what it cites allows the event, by {0}")]
    Allowed(Rule),
    /// Whether the event is allowed depends on more than it cites.
    #[error("whether the event is allowed depends on the join rules, which it does not cite")]
    Undecided,
    /// The list between a state event and the event has a hole.
    #[error("the list that is shown does not lead to {0}")]
    Broken(EventId),
    /// The state event need not be cited.
    #[error("{0} need not be cited")]
    NotSelected(EventId),
    /// The state event is cited.
    #[error("{0} is cited")]
    Cited(EventId),
    /// The state event was replaced by a later one.
    #[error("{0} was not in force any more: {1} replaced it")]
    Replaced(EventId, EventId),
}
