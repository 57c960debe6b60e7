//! A room: an append-only list of events with the state they make (LM-04 §3.2, §3.5.2).
//!
//! A [`Room`] keeps the state, where each event that ever was in the state stands, and the head of the list. It does not
//! keep the list: whoever embeds it stores events before they are applied, and reads them back from there, through a
//! [`Log`].

mod log;
mod presence;
mod redaction;
mod state;
mod visibility;

use std::sync::Arc;

pub use log::{Log, MemoryLog, NotLogged, PastEvent, Place, StateEntry};
pub use presence::{Members, Presence};
pub use redaction::{NoEffect, Redaction};
pub use state::State;
pub use visibility::Visibility;

use crate::auth::{self, AuthRule, Because, HubRule, Membership, Refusal, RoomRule, Rule, SelectedState};
use crate::encryption::{Apart, Encryption, Needs, StagedCommit};
use crate::event::{Draft, Event, RoomEvent, Share, StrippedEvent, kind};
use crate::id::{EventId, RoomId, ServerName, UserId};
use crate::version::{HubSelection, RoomVersion};

/// A place in a room's list as this server holds it, from 0.
pub type Position = u64;

/// The state that stripped state shows (LM-04 §3.5.2.1).
const STRIPPED: [&str; 6] =
    [kind::CREATE, kind::NAME, kind::AVATAR, kind::TOPIC, kind::JOIN_RULES, kind::CANONICAL_ALIAS];

/// The last event of a room's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its id.
    pub event_id: EventId,
    /// The number of events in the list up to and including it.
    pub length: u64,
}

/// What an event in the list does to the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is a full member of the list.
    Applied,
    /// It is in the list and in the state, but not shown to clients (LM-04 §2, soft failure).
    SoftFailed,
    /// It is in the list only because a later event follows it: no state, not shown (reading R13).
    Rejected,
}

/// The names that a room has in memory already.
struct Names<'r> {
    state: &'r State,
    presence: &'r Presence,
    hub: &'r ServerName,
}

impl Share for Names<'_> {
    fn event_id(&self, id: &EventId) -> EventId {
        self.state.by_id(id).map_or(id, StateEntry::id).clone()
    }

    fn server(&self, name: &ServerName) -> ServerName {
        if name == self.hub { self.hub } else { self.presence.known(name).unwrap_or(name) }.clone()
    }
}

/// The hub that a room begins with (LM-04 §11).
pub(crate) fn first_hub(create: &Event, version: &RoomVersion) -> ServerName {
    match version.hub_selection {
        HubSelection::Creator | HubSelection::StateEvent => create.sender_server().clone(),
    }
}

/// A room as one server sees it.
#[derive(Debug)]
pub struct Room {
    id: RoomId,
    version: Arc<RoomVersion>,
    hub: ServerName,
    create: Arc<RoomEvent>,
    state: State,
    presence: Presence,
    encryption: Encryption,
    head: Head,
    /// Whether the list begins with the room, and not with a snapshot from later.
    whole: bool,
    disputed: bool,
}

impl Room {
    /// A room that begins with its `m.room.create` at position 0.
    pub(crate) fn begin(create: RoomEvent, version: Arc<RoomVersion>) -> Self {
        let head = Head { event_id: create.id().clone(), length: 1 };
        let create = Arc::new(create);
        let mut state = State::default();
        state.put(Some(0), &create);
        Self { whole: true, ..Self::new(create, version, state, Presence::default(), head) }
    }

    /// A room as it was before the event that a participant's list starts with (reading R13). `prev` is what that
    /// event follows.
    pub(crate) fn from_snapshot(
        create: RoomEvent,
        version: Arc<RoomVersion>,
        others: impl IntoIterator<Item = RoomEvent>,
        chain: impl IntoIterator<Item = RoomEvent>,
        prev: EventId,
    ) -> Self {
        let create = Arc::new(create);
        let mut state = State::default();
        let mut presence = Presence::default();
        let room_id = create.event().room_id().clone();
        let compact = |event: RoomEvent, state: &State, presence: &Presence| {
            Arc::new(event.compact(&room_id, &Names { state, presence, hub: create.event().sender_server() }))
        };
        for event in chain {
            state.remember(&compact(event, &state, &presence));
        }
        state.put(None, &create);
        for event in others {
            if event.event().kind() == kind::MEMBER {
                presence.change(None, event.event(), Membership::Leave);
            }
            let event = compact(event, &state, &presence);
            state.put(None, &event);
        }
        Self::new(create, version, state, presence, Head { event_id: prev, length: 0 })
    }

    fn new(
        create: Arc<RoomEvent>,
        version: Arc<RoomVersion>,
        state: State,
        presence: Presence,
        head: Head,
    ) -> Self {
        let named = match version.hub_selection {
            HubSelection::Creator => None,
            HubSelection::StateEvent => {
                state.current(kind::HUB, "").and_then(|event| event.event().next_hub())
            }
        };
        let hub = named.unwrap_or_else(|| first_hub(create.event(), &version));
        let encryption = Encryption::of_create(create.event());
        let id = create.event().room_id().clone();
        Self { id, version, hub, create, state, presence, encryption, head, whole: false, disputed: false }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &RoomId {
        &self.id
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &Arc<RoomVersion> {
        &self.version
    }

    /// Its hub: the server that seals the next event (LM-04 §11).
    #[must_use]
    pub fn hub(&self) -> &ServerName {
        &self.hub
    }

    /// The end of its list. While a participant's list is still empty, `length` is 0 and `event_id` is what the first
    /// event has to follow.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The event that began it.
    #[must_use]
    pub fn create(&self) -> &RoomEvent {
        &self.create
    }

    /// Its state and the history of its state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Which servers have users in it, and had.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Its encryption.
    #[must_use]
    pub fn encryption(&self) -> &Encryption {
        &self.encryption
    }

    /// The encryption, to restore a group from a snapshot.
    pub fn encryption_mut(&mut self) -> &mut Encryption {
        &mut self.encryption
    }

    /// Whether commits can be judged here: the group is known, or was never begun, or there is none.
    pub(crate) fn knows_its_group(&self) -> bool {
        self.whole || self.encryption.epoch().is_none() || self.encryption.tracker().is_some()
    }

    /// Whether the list begins with the room's `m.room.create`, so that nothing in it was missed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the hub went on from an event that this server rejects (reading R13).
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        self.disputed
    }

    /// A user's membership.
    #[must_use]
    pub fn membership(&self, user: &UserId) -> Membership {
        auth::membership_of(self.state.current(kind::MEMBER, user.as_str()))
    }

    /// Whether anybody may read the room (LM-04 §4.3).
    #[must_use]
    pub fn is_world_readable(&self) -> bool {
        visibility::setting(self.state.current(kind::HISTORY_VISIBILITY, ""))
            == visibility::Setting::WorldReadable
    }

    /// The stripped state to show with an invite or a knock (LM-04 §3.5.2.1).
    #[must_use]
    pub fn stripped_state(&self) -> Vec<StrippedEvent> {
        STRIPPED.iter().filter_map(|kind| StrippedEvent::of(self.state.current(kind, "")?.event())).collect()
    }

    /// The state that decides about `event` if it comes next.
    pub(crate) fn select<'s>(&'s self, event: &Event) -> SelectedState<'s> {
        let follows_create = self.head.event_id == *self.create.id();
        let selected = SelectedState::select(event, &self.create, follows_create, |kind, key| {
            self.state.current(kind, key)
        });
        let hub = self.may_transfer(event).then(|| self.state.current(kind::HUB, "")).flatten();
        SelectedState { hub, ..selected }
    }

    /// Whether an event is about the hub, in a room version in which events are.
    fn may_transfer(&self, event: &Event) -> bool {
        match self.version.hub_selection {
            HubSelection::Creator => false,
            HubSelection::StateEvent => event.kind() == kind::HUB,
        }
    }

    /// Decides about an event that comes next, with the state selected for it (LM-04 §5.2.3, reading R32).
    pub(crate) fn authorise(&self, event: &Event, state: &SelectedState<'_>) -> Result<AuthRule, Refusal> {
        let allowed_by = self.version.authorization.authorise(event, state)?;
        if self.may_transfer(event) {
            auth::authorise_transfer(event, state, &self.hub, |server| self.presence.is_joined(server))?;
        }
        Ok(allowed_by)
    }

    /// Checks that an event is of this room. Its signatures cover its room, so that nobody can move it elsewhere.
    pub(crate) fn check_room(&self, event: &Event) -> Result<(), Refusal> {
        if *event.room_id() == self.id {
            return Ok(());
        }
        let (found, expected) = (event.room_id().to_string(), self.id.to_string());
        let because = Because::Differs { what: "the room id", found, expected };
        self.version.authorization.confirm(Err(Refusal::new(RoomRule::OtherRoom, because)))
    }

    /// Checks that an event that comes next was sealed by the room's hub. Where the hub never changes, an event
    /// without `hub_server` passes (reading R10).
    pub(crate) fn check_sealer(&self, event: &Event) -> Result<(), Refusal> {
        let (rule, what, found): (Rule, _, _) = match self.version.hub_selection {
            HubSelection::Creator => (RoomRule::OtherHub.into(), "hub_server", event.hub_server()),
            HubSelection::StateEvent => {
                (HubRule::OtherSealer.into(), "the hub that sealed it", Some(event.sealer()))
            }
        };
        match found.filter(|found| **found != self.hub) {
            None => Ok(()),
            Some(found) => {
                let (found, expected) = (found.to_string(), self.hub.to_string());
                let refusal = Refusal::new(rule, Because::Differs { what, found, expected });
                self.version.authorization.confirm(Err(refusal))
            }
        }
    }

    /// Decides whether somebody could change a user's membership now, as a template for it needs to know
    /// (LM-04 §12.7.1). Nothing is promised: the state may change before the event is sent.
    ///
    /// # Errors
    /// [`Refusal`] names the rule.
    pub fn would_allow(
        &self,
        sender: &UserId,
        target: &UserId,
        membership: Membership,
    ) -> Result<AuthRule, Refusal> {
        let event = Draft::member(self.id.clone(), sender, target, membership, 0).into_event(&self.version);
        let event =
            event.map_err(|_| Refusal::new(AuthRule::MemberMalformed, Because::Field("state_key")))?;
        self.authorise(&event, &self.select(&event))
    }

    /// What an event needs beside itself to be judged, if it comes next (reading R35).
    #[must_use]
    pub fn needs(&self, event: &Event) -> Needs {
        self.encryption.needs(event)
    }

    /// Checks what an event does to the room's MLS group (LM-04 §4.3): `None` if it does nothing.
    ///
    /// # Errors
    /// [`Refusal`] names the rule.
    pub(crate) fn stage_commit(&self, event: &Event, apart: &Apart) -> Result<Option<StagedCommit>, Refusal> {
        if event.kind() != kind::MLS_COMMIT || event.state_key().is_some() {
            return Ok(None);
        }
        self.version.authorization.confirm(self.encryption.stage(self, event, apart))
    }

    /// Appends an event that follows the head.
    pub(crate) fn apply(
        &mut self,
        event: RoomEvent,
        effect: Effect,
        commit: Option<StagedCommit>,
    ) -> Arc<RoomEvent> {
        let event = Arc::new(event);
        let position = self.head.length;
        self.head = Head { event_id: event.id().clone(), length: position.saturating_add(1) };
        if effect == Effect::Rejected {
            self.disputed = true;
            return event;
        }
        if event.event().state_key().is_some() {
            if event.event().kind() == kind::MEMBER {
                let before = auth::membership_of(
                    self.state.current(kind::MEMBER, event.event().state_key().unwrap_or_default()),
                );
                self.presence.change(Some(position), event.event(), before);
            }
            let names = Names { state: &self.state, presence: &self.presence, hub: &self.hub };
            let compact = Arc::new(event.compact(&self.id, &names));
            self.state.put(Some(position), &compact);
            if self.may_transfer(event.event())
                && let Some(next) = event.event().next_hub()
            {
                self.hub = next;
            }
        }
        if let Some(commit) = commit {
            self.encryption.merge(commit);
        }
        event
    }
}

#[cfg(test)]
mod tests;
