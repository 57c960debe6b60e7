//! Invites to servers outside a room (LM-04 §12.7.2, reading R23).

use std::sync::Arc;

use mimi_linearized::auth::Membership;
use mimi_linearized::event::{self, Draft, Event, Lpdu, Pdu, Recorded, RoomEvent, StrippedEvent, hash};
use mimi_linearized::hub::{CountersignError, INVITE_RESERVE, Proposal, Sealed};
use mimi_linearized::id::{EventId, KeyId, ServerName, UserId};
use mimi_linearized::json::{Object, canonical};
use mimi_linearized::version::RoomVersion;
use serde_json::{Value, json};

use super::hub::{Accepted, Provenance};
use super::others::Part;
use super::receive::keys_of;
use super::{Cell, Role, RoomError, Sent, send, settle};
use crate::api::invite as endpoint;
use crate::clock;
use crate::node::Node;
use crate::store::InviteRecord;

/// How often an invite is sealed anew because the room moved on while the target answered (reading R23).
const ATTEMPTS: usize = 3;

/// The body of an invite request.
#[derive(Debug, Clone)]
pub struct InviteRequest {
    /// The event: an LPDU to the hub, a PDU from it.
    pub event: Object,
    /// Stripped state, as the sender has it.
    pub invite_room_state: Vec<Value>,
    /// The room's version, as the sender has it.
    pub room_version: String,
}

/// Who proposes an invite, so that it can be proposed again.
enum Proposer {
    /// A local user.
    Own(Draft),
    /// A participant, with this LPDU.
    Lpdu(Arc<[u8]>, Provenance),
}

impl Node {
    /// A local user invites somebody whose server is outside the room: as the hub, or through the hub.
    pub(super) async fn invite_outside(&self, cell: &Arc<Cell>, draft: Draft) -> Result<Sent, RoomError> {
        let facts = cell.facts().await.ok_or(RoomError::UnknownRoom)?;
        if facts.hub == self.name {
            let event = self.invite_as_hub(cell, &Proposer::Own(draft)).await?;
            return Ok(Sent::Event(event.id().clone()));
        }
        let state = {
            let role = cell.lock().await;
            let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
            room.stripped_state()
        };
        let lpdu = draft.into_lpdu(&facts.hub, &self.key(), &facts.version)?;
        let request = json!({
            "event": serde_json::from_slice::<Value>(&lpdu.bytes).unwrap_or_default(),
            "invite_room_state": state,
            "room_version": facts.version.id,
        });
        let pdu = endpoint::call(self, &facts.hub, &lpdu.id, &request).await?;
        let pdu = Pdu::from_object(pdu, &facts.version)?;
        Ok(Sent::Event(pdu.event().id().clone()))
    }

    /// An invite request of another server: from a participant to the hub with an LPDU, or from the hub with a PDU.
    /// Returns the PDU to answer with.
    pub(crate) async fn receive_invite(
        &self,
        request: InviteRequest,
        from: Provenance,
    ) -> Result<Object, RoomError> {
        let whole = ["auth_events", "prev_events"].iter().any(|field| request.event.contains_key(*field));
        if whole {
            self.receive_invite_pdu(request, from).await
        } else {
            self.receive_invite_lpdu(request, from).await
        }
    }

    /// A participant's invite, at the hub.
    async fn receive_invite_lpdu(
        &self,
        request: InviteRequest,
        from: Provenance,
    ) -> Result<Object, RoomError> {
        let room_id = event::peek_room_id(&request.event)
            .map_err(|_| RoomError::BadRequest("`room_id` is missing or not a room id".to_owned()))?;
        let cell = self.hub_cell(&room_id).await?;
        let facts = cell.facts().await.ok_or(RoomError::UnknownRoom)?;
        let lpdu = Lpdu::from_object(request.event, &facts.version)?;
        invited(lpdu.event())?;
        let bytes = canonical::object_to_vec(lpdu.event().as_object()).into();
        let event = self.invite_as_hub(&cell, &Proposer::Lpdu(bytes, from)).await?;
        Ok(event.event().as_object().clone())
    }

    /// Takes an invite through the hub's path: sealed, signed by the target's server if that is outside the room, and
    /// appended. No lock is held while the target's server answers.
    async fn invite_as_hub(
        &self,
        cell: &Arc<Cell>,
        proposer: &Proposer,
    ) -> Result<Arc<RoomEvent>, RoomError> {
        for _ in 0..ATTEMPTS {
            let (proposal, from) = self.propose(cell, proposer).await?;
            let target = invited(proposal.event())?;
            let sealed = {
                let mut role = cell.lock().await;
                let Some(hub) = role.as_mut().and_then(Role::as_hub) else {
                    return Err(RoomError::OutOfStep);
                };
                if !self.is_outside(hub.room(), &target) {
                    let result = self.accept_plain(hub, proposal, &from).await;
                    return match settle(&mut role, result)? {
                        Accepted::Now(event) => Ok(event),
                        Accepted::Already(id) => self.read_event(cell, &mut role, &id).await,
                    };
                }
                if let Some(id) = self.sealed_before(hub, &proposal).await? {
                    return self.read_event(cell, &mut role, &id).await;
                }
                self.check_invite(proposal.event()).await?;
                let policy = self.policy.rooms();
                policy.check_event(hub.room(), proposal.event()).map_err(RoomError::Forbidden)?;
                let version = Arc::clone(hub.room().version());
                let sealed =
                    hub.authorise(proposal)?.seal(&self.name, &self.key(), &version, INVITE_RESERVE)?;
                let state = hub.room().stripped_state();
                drop(role);
                self.ask_target(sealed, &target.server(), &state, &version).await?
            };
            let mut role = cell.lock().await;
            let Some(hub) = role.as_mut().and_then(Role::as_hub) else { return Err(RoomError::OutOfStep) };
            if sealed.after() != Some(hub.room().head()) {
                continue;
            }
            let result = self.append(hub, sealed, &from).await;
            if self.is_overtaken(&result) {
                let result = self.advance(Part::Hub(hub)).await;
                settle(&mut role, result)?;
                continue;
            }
            return settle(&mut role, result);
        }
        Err(RoomError::Busy)
    }

    async fn propose(&self, cell: &Cell, proposer: &Proposer) -> Result<(Proposal, Provenance), RoomError> {
        let facts = cell.facts().await.ok_or(RoomError::UnknownRoom)?;
        match proposer {
            Proposer::Own(draft) => {
                Ok((Proposal::of_own(draft.clone(), &facts.version)?, Provenance::default()))
            }
            Proposer::Lpdu(bytes, from) => {
                let lpdu = Lpdu::parse(bytes, &facts.version)?;
                Ok((self.verify_lpdu(lpdu, from).await?, from.clone()))
            }
        }
    }

    /// An event of a room that is locked.
    async fn read_event(
        &self,
        cell: &Cell,
        role: &mut Option<Role>,
        id: &EventId,
    ) -> Result<Arc<RoomEvent>, RoomError> {
        let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
        let location = self.store.locate(id).await?.ok_or(RoomError::OutOfStep)?;
        let record =
            self.store.records(&cell.id, location.position, 1).await?.pop().ok_or(RoomError::OutOfStep)?;
        let recorded = Recorded::read(&record.bytes, id, room.version())?;
        Ok(Arc::new(recorded.into_event()))
    }

    /// Sends a sealed invite to the target's server and takes its signature, and nothing else, from the answer.
    async fn ask_target(
        &self,
        sealed: Sealed,
        target: &ServerName,
        state: &[StrippedEvent],
        version: &RoomVersion,
    ) -> Result<Sealed, RoomError> {
        let event = sealed.event();
        let request = json!({"event": event.event().as_object(), "invite_room_state": state, "room_version": version.id});
        let answer = endpoint::call(self, target, event.id(), &request).await?;
        let unusable = |what: String| RoomError::BadAnswer { server: target.clone(), what };
        let signatures = answer.get("signatures").and_then(|signatures| signatures.get(target.as_str()));
        let signatures =
            signatures.ok_or_else(|| unusable("it has not signed the invite".to_owned()))?.clone();
        let ids = signatures.as_object().into_iter().flat_map(Object::keys);
        let ids = ids.filter_map(|id| KeyId::parse(id).ok()).collect();
        let now = clock::now_ms();
        let ring = self.keys.ring_for_events(&[(target.clone(), now, ids)]).await;
        sealed.countersign(target, &signatures, &ring, now).map_err(|error| match error {
            CountersignError::Refused(refusal) => RoomError::Refused(refusal),
            error => unusable(error.to_string()),
        })
    }

    /// The hub's invite of a local user. Returns the event with this server's signature added.
    async fn receive_invite_pdu(
        &self,
        request: InviteRequest,
        from: Provenance,
    ) -> Result<Object, RoomError> {
        let version = self.versions.get(&request.room_version);
        let version = version.ok_or_else(|| RoomError::IncompatibleVersion(request.room_version.clone()))?;
        let pdu = Pdu::from_object(request.event, version)?;
        let fields = pdu.event().event();
        let target = invited(fields)?;
        if !self.is_local(&target) {
            return Err(RoomError::Forbidden("the invited user belongs to another server"));
        }
        // Only the hub sends whole events: it named itself in the event, or it is the sender's server.
        let hub = fields.hub_server().unwrap_or(fields.sender_server()).clone();
        if from.origin.as_ref() != Some(&hub) {
            return Err(RoomError::Forbidden("the invite is not from the hub of the room"));
        }
        let keys = self.keys.on_behalf_of(from.asker());
        let ring = keys.ring_for_events(&keys_of(std::slice::from_ref(&pdu))).await;
        let event = pdu.verify(&ring)?.into_event();
        self.check_invite(event.event()).await?;
        let record = InviteRecord {
            room_id: event.event().room_id().clone(),
            user_id: target.clone(),
            hub,
            room_version: request.room_version.clone(),
            event_id: event.id().clone(),
        };
        let object = self.countersign(event.event(), version);
        let item = send::invite_item(
            &target,
            &object,
            event.id(),
            &request.invite_room_state,
            &request.room_version,
        );
        self.store.put_invite(record).await?;
        self.store.deliver(vec![item]).await?;
        self.news.tell();
        Ok(object)
    }

    /// An event with this server's signature over it added (LM-04 §6.1).
    fn countersign(&self, event: &Event, version: &RoomVersion) -> Object {
        let mut object = event.as_object().clone();
        let key = self.key();
        let signature = key.sign(&hash::signing_bytes(&object, &version.redaction)).to_base64();
        if let Some(Value::Object(signatures)) = object.get_mut("signatures") {
            let own = signatures.entry(self.name.to_string()).or_insert_with(|| json!({}));
            if let Value::Object(own) = own {
                own.insert(key.id().to_string(), Value::String(signature));
            }
        }
        object
    }
}

/// The user whom an event invites.
fn invited(event: &Event) -> Result<UserId, RoomError> {
    let bad = |what: &str| RoomError::BadRequest(what.to_owned());
    if event.membership() != Some(Membership::Invite.as_str()) {
        return Err(bad("`event` must be an m.room.member with membership invite"));
    }
    let target = event.state_key().and_then(|key| UserId::parse(key).ok());
    target.ok_or_else(|| bad("`state_key` must be the user to be invited"))
}
