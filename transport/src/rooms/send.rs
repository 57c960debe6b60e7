//! Local users' events: appended where this server is the hub, sent to the hub where it is not.

use std::sync::Arc;

use mimi_linearized::auth::Membership;
use mimi_linearized::event::{Draft, RoomEvent, StrippedEvent, kind};
use mimi_linearized::hub::Proposal;
use mimi_linearized::id::{EventId, RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_linearized::room::Room;
use serde_json::{Value, json};

use super::hub::{Accepted, Provenance};
use super::{Cell, HandshakeKind, Role, RoomError};
use crate::clock;
use crate::node::Node;
use crate::store::{InboxItem, Outgoing};

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// An event that is in the room's list.
    Event(EventId),
    /// An LPDU that is on its way to the hub.
    Lpdu(EventId),
}

impl Node {
    /// Sends an event to a room that this server knows.
    ///
    /// # Errors
    /// [`RoomError`] if the sender is not local, the room is not known, or the hub, which may be this server, refuses.
    pub async fn send_event(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        kind: &str,
        state_key: Option<String>,
        content: Object,
    ) -> Result<Sent, RoomError> {
        self.check_local(sender)?;
        let cell = self.room(room_id).await?.ok_or(RoomError::UnknownRoom)?;
        let draft = Draft {
            room_id: room_id.clone(),
            kind: kind.to_owned(),
            state_key,
            sender: sender.clone(),
            content,
            origin_server_ts: clock::now_ms(),
        };
        self.send_draft(&cell, draft).await
    }

    /// Changes a user's membership, by whichever of `/send`, `/invite` and the handshakes applies (LM-04 §12.7).
    ///
    /// # Errors
    /// [`RoomError`] as for any event, and what the hub or the invited user's server answers.
    pub async fn change_membership(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        target: &UserId,
        membership: Membership,
        reason: Option<String>,
        via: &[ServerName],
    ) -> Result<Sent, RoomError> {
        self.check_local(sender)?;
        let mut draft = Draft::member(room_id.clone(), sender, target, membership, clock::now_ms());
        if let Some(reason) = reason {
            draft.content.insert("reason".to_owned(), json!(reason));
        }
        let inside = match self.room(room_id).await? {
            None => None,
            Some(cell) => {
                let role = cell.lock().await;
                let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
                let takes_part = *room.hub() == self.name || room.presence().is_joined(&self.name);
                let invites_outside = membership == Membership::Invite && self.is_outside(room, target);
                drop(role);
                takes_part.then_some((cell, invites_outside))
            }
        };
        match (inside, HandshakeKind::of(membership)) {
            (Some((cell, true)), _) => self.invite_outside(&cell, draft).await,
            (Some((cell, false)), _) => self.send_draft(&cell, draft).await,
            (None, Some(kind)) if sender == target => self.shake_hands(kind, draft, via).await,
            (None, _) => Err(RoomError::UnknownRoom),
        }
    }

    pub(crate) fn check_local(&self, sender: &UserId) -> Result<(), RoomError> {
        if self.is_local(sender) {
            Ok(())
        } else {
            Err(RoomError::Forbidden("the sender is a user of another server"))
        }
    }

    /// Whether a user's server is neither the hub nor in the room, so that an invite goes over `/invite`
    /// (reading R23).
    pub(super) fn is_outside(&self, room: &Room, target: &UserId) -> bool {
        let server = target.server();
        server != *room.hub() && server != self.name && !room.presence().is_joined(&server)
    }

    async fn send_draft(&self, cell: &Arc<Cell>, draft: Draft) -> Result<Sent, RoomError> {
        let role = cell.lock().await;
        match role.as_ref() {
            Some(Role::Hub(hub)) => {
                let version = Arc::clone(hub.room().version());
                drop(role);
                let proposal = Proposal::of_own(draft, &version)?;
                match self.accept_into(cell, proposal, &Provenance::default()).await? {
                    Accepted::Now(event) => Ok(Sent::Event(event.id().clone())),
                    Accepted::Already(_) => Err(RoomError::OutOfStep),
                }
            }
            Some(Role::Participant(participant)) => {
                let room = participant.room();
                let (hub, version) = (room.hub().clone(), Arc::clone(room.version()));
                drop(role);
                let (room_id, sender) = (draft.room_id.clone(), draft.sender.clone());
                let lpdu = draft.into_lpdu(&hub, &self.key(), &version)?;
                let outgoing =
                    Outgoing::Lpdu { room_id, sender, lpdu_id: lpdu.id.clone(), bytes: lpdu.bytes };
                self.store.enqueue(&hub, outgoing).await?;
                self.wake(&hub);
                Ok(Sent::Lpdu(lpdu.id))
            }
            None => Err(RoomError::OutOfStep),
        }
    }

    /// What else an event that was just appended means to this server.
    pub(super) async fn applied(&self, room: &Room, event: &RoomEvent) {
        self.metrics.accepted();
        self.keep_invites(room, event).await;
        self.news.tell();
    }

    async fn keep_invites(&self, room: &Room, event: &RoomEvent) {
        if event.event().kind() != kind::MEMBER {
            return;
        }
        let member = event.event().state_key().and_then(|key| UserId::parse(key).ok());
        let Some(member) = member else { return };
        if !self.is_local(&member) {
            self.devices_may_have_changed(&member);
            return;
        }
        let done = if event.event().membership() == Some(Membership::Invite.as_str()) {
            self.tell_invited(room, event, &member).await
        } else {
            self.store.remove_invite(room.id(), &member).await
        };
        if let Err(error) = done {
            tracing::warn!(room = %room.id(), %member, %error, "an invite could not be kept up to date");
        }
    }

    /// Tells a local user of an invite to a room that this server is in.
    async fn tell_invited(
        &self,
        room: &Room,
        event: &RoomEvent,
        member: &UserId,
    ) -> Result<(), crate::store::StoreError> {
        let state: Vec<Value> = room.stripped_state().iter().map(StrippedEvent::to_json).collect();
        let version = room.version().id.as_str();
        let item = invite_item(member, event.event().as_object(), event.id(), &state, version);
        self.store.deliver(vec![item]).await
    }
}

/// The inbox item of an invite.
pub(super) fn invite_item(
    user_id: &UserId,
    event: &Object,
    event_id: &EventId,
    invite_room_state: &[Value],
    room_version: &str,
) -> InboxItem {
    let item = json!({
        "type": "invite",
        "room_id": event.get("room_id"),
        "event": event,
        "invite_room_state": invite_room_state,
        "room_version": room_version,
    });
    InboxItem {
        user_id: user_id.clone(),
        bytes: item.to_string().into_bytes().into(),
        once: Some(format!("invite {event_id}")),
    }
}
