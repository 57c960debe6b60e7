//! Events on their way to being sealed.

use serde_json::Value;

use crate::auth::AuthRule;
use crate::encryption::StagedCommit;
use crate::event::{Draft, Event, ShapeError, VerifiedLpdu, lpdu_key};
use crate::id::{EventId, ServerName};
use crate::room::Head;
use crate::version::RoomVersion;

/// An event that its sender's server vouches for, proposed to the hub.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub(super) event: Event,
    pub(super) lpdu_id: Option<EventId>,
}

impl Proposal {
    /// An LPDU of a participant.
    #[must_use]
    pub fn of_lpdu(lpdu: VerifiedLpdu) -> Self {
        let mut event = lpdu.event;
        event.keep_only_sender_signature();
        Self { event, lpdu_id: Some(lpdu.id) }
    }

    /// An event of one of the hub's own users, which has no LPDU hash, and in most room versions no
    /// `hub_server` (reading R04).
    ///
    /// # Errors
    /// [`ShapeError`] if the draft does not fit the room version.
    pub fn of_own(draft: Draft, version: &RoomVersion) -> Result<Self, ShapeError> {
        Ok(Self { event: draft.into_event(version)?, lpdu_id: None })
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The LPDU's id; `None` for an event of the hub's own.
    #[must_use]
    pub fn lpdu_id(&self) -> Option<&EventId> {
        self.lpdu_id.as_ref()
    }
}

impl Proposal {
    /// What tells the LPDU apart from others of the room (see [`RoomEvent::lpdu_key`](crate::event::RoomEvent::lpdu_key)); `None` for an event of the hub's
    /// own.
    #[must_use]
    pub fn lpdu_key(&self, version: &RoomVersion) -> Option<EventId> {
        self.lpdu_id.as_ref().map(|id| lpdu_key(id, &self.event, version.hashing))
    }
}

/// An event that may follow the head it was authorised for.
#[derive(Debug)]
pub struct Authorised {
    pub(super) proposal: Proposal,
    pub(super) after: Option<Head>,
    pub(super) auth_events: Vec<EventId>,
    pub(super) allowed_by: AuthRule,
    pub(super) commit: Option<StagedCommit>,
    pub(super) consent: Consent,
}

/// What another server has to say to an event before it is sealed.
#[derive(Debug)]
pub(super) enum Consent {
    /// Nothing.
    NotNeeded,
    /// This server's consent is needed, since the event makes it the hub (reading R32).
    Needed(ServerName),
    /// What stands under the server's name in `signatures`.
    Given(ServerName, Value),
}

impl Authorised {
    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.proposal.event
    }

    /// The rule that allows it.
    #[must_use]
    pub fn allowed_by(&self) -> AuthRule {
        self.allowed_by
    }

    /// What it does to the room's MLS group, if it is a commit. The hub looks up the devices of the
    /// [new leaves](StagedCommit::new_leaves) and [checks](StagedCommit::check_devices) them; where it has to ask other
    /// servers first, it proposes the event again afterwards (reading R39).
    #[must_use]
    pub fn commit(&self) -> Option<&StagedCommit> {
        self.commit.as_ref()
    }
}
