//! The make and send handshake, by which servers outside a room come in or turn away (LM-04 §12.7.1).

use std::sync::Arc;

use mimi_linearized::auth::Membership;
use mimi_linearized::event::{self, Draft, Lpdu, OutgoingLpdu, Pdu, RoomEvent, kind};
use mimi_linearized::id::{EventId, RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_linearized::participant::{Participant, Snapshot};
use mimi_linearized::version::RoomVersion;
use serde_json::{Value, json};

use super::hub::{Accepted, Provenance};
use super::past::{RememberedState, StateAt};
use super::view::Served;
use super::{Cell, Role, RoomError, Sent};
use crate::api::{make, send_join, send_knock, send_leave};
use crate::clock;
use crate::error::ErrCode;
use crate::node::Node;
use crate::store::{SnapshotEvent, StoredSnapshot};

/// The membership changes that have a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeKind {
    /// `make_join` and `send_join`.
    Join,
    /// `make_leave` and `send_leave`.
    Leave,
    /// `make_knock` and `send_knock`.
    Knock,
}

impl HandshakeKind {
    /// The handshake for a membership, if there is one.
    #[must_use]
    pub fn of(membership: Membership) -> Option<Self> {
        match membership {
            Membership::Join => Some(Self::Join),
            Membership::Leave => Some(Self::Leave),
            Membership::Knock => Some(Self::Knock),
            Membership::Invite | Membership::Ban => None,
        }
    }

    /// The membership it sets.
    #[must_use]
    pub fn membership(self) -> Membership {
        match self {
            Self::Join => Membership::Join,
            Self::Leave => Membership::Leave,
            Self::Knock => Membership::Knock,
        }
    }
}

/// What a hub hands out for the other server to complete (reading R22).
#[derive(Debug, Clone)]
pub struct Template {
    /// The partial LPDU.
    pub event: Object,
    /// The room's version.
    pub room_version: String,
}

/// What a hub tells a server whose user has joined.
#[derive(Debug)]
pub(crate) struct JoinedAs {
    pub(crate) event: Served,
    pub(crate) state: Vec<Served>,
    pub(crate) auth_chain: Vec<Served>,
}

/// The hub's side.
impl Node {
    /// A template for a user's membership change, if the rules would allow it now. `versions` are the caller's room
    /// versions, where the endpoint asks for them.
    pub(crate) async fn template(
        &self,
        kind: HandshakeKind,
        room_id: &RoomId,
        user: &UserId,
        origin: &ServerName,
        versions: Option<&[String]>,
    ) -> Result<Template, RoomError> {
        let cell = self.hub_cell(room_id).await?;
        let role = cell.lock().await;
        let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
        let version = room.version().id.as_str();
        if versions.is_some_and(|versions| !versions.iter().any(|known| known == version)) {
            return Err(RoomError::IncompatibleVersion(version.to_owned()));
        }
        if user.server() != *origin {
            return Err(RoomError::Forbidden("the user belongs to another server"));
        }
        self.policy.rooms().check_server(room, origin).map_err(RoomError::Forbidden)?;
        let membership = kind.membership();
        room.would_allow(user, user, membership)?;
        let template = json!({
            "type": kind::MEMBER,
            "state_key": user,
            "sender": user,
            "content": {"membership": membership.as_str()},
            "room_id": room_id,
            "hub_server": self.name,
        });
        let Value::Object(event) = template else { return Err(RoomError::OutOfStep) };
        Ok(Template { event, room_version: version.to_owned() })
    }

    /// A room of which this server is the hub.
    pub(crate) async fn hub_cell(&self, room_id: &RoomId) -> Result<Arc<Cell>, RoomError> {
        let cell = self.room(room_id).await?.ok_or(RoomError::UnknownRoom)?;
        let facts = cell.facts().await.ok_or(RoomError::UnknownRoom)?;
        if facts.hub == self.name { Ok(cell) } else { Err(RoomError::NotHub(facts.hub)) }
    }

    /// Takes the LPDU of a handshake. Returns the room and the event made of it, now or earlier.
    pub(crate) async fn accept_handshake(
        &self,
        kind: HandshakeKind,
        object: Object,
        from: Provenance,
    ) -> Result<(Arc<Cell>, EventId), RoomError> {
        let room_id = event::peek_room_id(&object)
            .map_err(|_| RoomError::BadRequest("`room_id` is missing or not a room id".to_owned()))?;
        let cell = self.hub_cell(&room_id).await?;
        let facts = cell.facts().await.ok_or(RoomError::UnknownRoom)?;
        let lpdu = Lpdu::from_object(object, &facts.version)?;
        let event = lpdu.event();
        let expected = kind.membership();
        if event.membership() != Some(expected.as_str()) {
            let what = format!("the event must be an m.room.member with membership {expected}");
            return Err(RoomError::BadRequest(what));
        }
        if from.origin.as_ref() != Some(event.sender_server()) {
            return Err(RoomError::Forbidden("the user belongs to another server"));
        }
        let proposal = self.verify_lpdu(lpdu, &from).await?;
        let id = match self.accept_into(&cell, proposal, &from).await? {
            Accepted::Now(event) => event.id().clone(),
            Accepted::Already(id) => id,
        };
        Ok((cell, id))
    }

    /// The state before a join, for the server that joined.
    pub(crate) async fn joined_as(&self, cell: &Cell, id: &EventId) -> Result<JoinedAs, RoomError> {
        let location = self.store.locate(id).await?.ok_or(RoomError::OutOfStep)?;
        let record = self.store.records(&cell.id, location.position, 1).await?.pop();
        let event = record.ok_or(RoomError::OutOfStep)?.bytes;
        let role = cell.lock().await;
        let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
        let before = RememberedState::before(room, location.position);
        drop(role);
        let StateAt { state, chain } = before.read(&*self.store, &cell.id).await?;
        let texts = |events: Vec<(EventId, Served)>| events.into_iter().map(|(_, text)| text).collect();
        Ok(JoinedAs { event, auth_chain: texts(chain), state: texts(state) })
    }
}

/// The outside server's side.
impl Node {
    /// Brings a local user into a room, or out of an invite or knock, through the room's hub.
    pub(super) async fn shake_hands(
        &self,
        kind: HandshakeKind,
        draft: Draft,
        via: &[ServerName],
    ) -> Result<Sent, RoomError> {
        let user = draft.sender.clone();
        let room_id = draft.room_id.clone();
        // Held to the end: what the hub sends meanwhile waits until the room is there.
        let cell = self.room_to_be(&room_id).await?;
        let mut role = cell.lock().await;
        let (hub, template) = self.find_hub(kind, &room_id, &user, via).await?;
        let version = self
            .versions
            .get(&template.room_version)
            .ok_or_else(|| RoomError::IncompatibleVersion(template.room_version.clone()))?;
        let lpdu = complete(draft, &template)?.into_lpdu(&hub, &self.key(), version)?;
        let sent = match kind {
            HandshakeKind::Join => self.join_through(&hub, &room_id, &lpdu, version, &mut role).await?,
            HandshakeKind::Leave => {
                send_leave::call(self, &hub, &lpdu).await?;
                Sent::Lpdu(lpdu.id)
            }
            HandshakeKind::Knock => {
                send_knock::call(self, &hub, &lpdu).await?;
                Sent::Lpdu(lpdu.id)
            }
        };
        drop(role);
        self.store.remove_invite(&room_id, &user).await?;
        Ok(sent)
    }

    /// Asks the servers that could be the hub for a template until one has it: those named, the one that sent an
    /// invite, and the one in the room id.
    async fn find_hub(
        &self,
        kind: HandshakeKind,
        room_id: &RoomId,
        user: &UserId,
        via: &[ServerName],
    ) -> Result<(ServerName, Template), RoomError> {
        let mut candidates = via.to_vec();
        candidates.extend(self.store.invite(room_id, user).await?.map(|invite| invite.hub));
        candidates.extend(ServerName::parse(room_id.namespace()));
        candidates.retain(|server| *server != self.name);
        let mut error = RoomError::NoHub;
        let mut asked: Vec<ServerName> = Vec::new();
        for server in candidates {
            if asked.contains(&server) {
                continue;
            }
            match make::call(self, kind, &server, room_id, user).await {
                Ok(template) => return Ok((server, template)),
                Err(refusal) if is_definite(&refusal) => return Err(refusal),
                Err(other) => error = other,
            }
            asked.push(server);
        }
        Err(error)
    }

    /// Sends the join, checks what the hub answers, and starts following the room.
    async fn join_through(
        &self,
        hub: &ServerName,
        room_id: &RoomId,
        lpdu: &OutgoingLpdu,
        version: &Arc<RoomVersion>,
        role: &mut Option<Role>,
    ) -> Result<Sent, RoomError> {
        let answer = send_join::call(self, hub, lpdu).await?;
        let unusable = |what: &str| RoomError::BadAnswer { server: hub.clone(), what: what.to_owned() };
        let pdus = |objects: Vec<Object>| -> Vec<Pdu> {
            objects.into_iter().filter_map(|object| Pdu::from_object(object, version).ok()).collect()
        };
        let join = Pdu::from_object(answer.event, version)?;
        if join.event().lpdu_id() != Some(&lpdu.id) {
            return Err(unusable("the event is not made of the LPDU that was sent"));
        }
        let join =
            self.verify_pdus(vec![join]).await.pop().ok_or_else(|| unusable("the event does not verify"))?;
        let id = join.event().id().clone();
        if let Some(Role::Participant(participant)) = role {
            let refusal = self.follow(participant, join, &from_hub(hub)).await?;
            return refusal.map_or(Ok(Sent::Event(id)), |refusal| Err(RoomError::Refused(refusal)));
        }
        let prev = join.event().prev_events().first().cloned();
        let prev = prev.ok_or_else(|| unusable("the event has no predecessor"))?;
        let damaged = |error| RoomError::Snapshot { server: hub.clone(), error };
        let (state, chain) =
            (self.verify_pdus(pdus(answer.state)).await, self.verify_pdus(pdus(answer.auth_chain)).await);
        let snapshot = Snapshot::new(room_id, state, chain, prev).map_err(damaged)?;
        let stored = to_store(hub, &snapshot);
        let mut participant = Participant::start(snapshot, hub, &self.versions).map_err(damaged)?;
        let extension = participant.judge_first(join).map_err(damaged)?;
        self.store.put_snapshot(room_id, stored).await?;
        self.extend(&mut participant, extension, &from_hub(hub)).await?;
        *role = Some(Role::Participant(participant));
        Ok(Sent::Event(id))
    }
}

fn from_hub(hub: &ServerName) -> Provenance {
    Provenance { origin: Some(hub.clone()), txn_id: None }
}

/// Whether another server could not answer better.
fn is_definite(error: &RoomError) -> bool {
    match error {
        RoomError::Peer { error, .. } => {
            matches!(error.code(), ErrCode::Forbidden | ErrCode::IncompatibleRoomVersion | ErrCode::BadJson)
        }
        _ => false,
    }
}

/// Completes a template to an event: four of its fields are taken, the rest is filled in here (reading R22). The
/// reason for the change is ours.
fn complete(draft: Draft, template: &Template) -> Result<Draft, RoomError> {
    let text = |field: &str| template.event.get(field).and_then(Value::as_str);
    let own = text("type") == Some(draft.kind.as_str())
        && text("state_key") == draft.state_key.as_deref()
        && text("sender") == Some(draft.sender.as_str());
    let content = template.event.get("content").and_then(Value::as_object);
    let (true, Some(content)) = (own, content) else {
        return Err(RoomError::BadRequest("the hub's template is for something else".to_owned()));
    };
    let mut content = content.clone();
    if content.get("membership") != draft.content.get("membership") {
        return Err(RoomError::BadRequest("the hub's template is for another membership".to_owned()));
    }
    content.extend(draft.content);
    Ok(Draft { content, origin_server_ts: clock::now_ms(), ..draft })
}

fn to_store(hub: &ServerName, snapshot: &Snapshot) -> StoredSnapshot {
    let events =
        |event: &RoomEvent| SnapshotEvent { event_id: event.id().clone(), bytes: Arc::clone(event.bytes()) };
    StoredSnapshot {
        hub: hub.clone(),
        prev: snapshot.prev().clone(),
        state: snapshot.state().map(events).collect(),
        chain: snapshot.chain().iter().map(events).collect(),
    }
}
