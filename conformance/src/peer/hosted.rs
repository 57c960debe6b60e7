//! Rooms that a peer is the hub of.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use mimi_linearized::event::{Draft, Lpdu, RoomEvent, StrippedEvent};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{EventId, RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_linearized::room::StateEntry;
use mimi_linearized::signing::{ServerKeyRing, ServerKeys, SigningKey};
use mimi_linearized::version::RoomVersion;
use serde_json::{Value, json};

use super::serve::Response;
use super::{Inner, Peer};
use crate::case::Finding;

/// How many events a transaction may have (LM-04 §12.5.1).
const MOST_PDUS: usize = 50;

/// A room that a peer is the hub of.
#[derive(Debug)]
pub(crate) struct HostedRoom {
    /// Its id.
    pub(crate) id: RoomId,
    name: ServerName,
    version: Arc<RoomVersion>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keys: ServerKeyRing,
    hub: Hub,
    list: Vec<Arc<RoomEvent>>,
}

impl State {
    /// Events of the list, whole.
    fn read(&self, entries: Vec<StateEntry<'_>>) -> Vec<Arc<RoomEvent>> {
        let listed = |entry: StateEntry<'_>| self.list.iter().find(|event| event.id() == entry.id()).cloned();
        entries.into_iter().filter_map(listed).collect()
    }
}

impl HostedRoom {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last event of the list.
    pub(crate) fn head(&self) -> EventId {
        self.lock().hub.room().head().event_id.clone()
    }

    /// The whole list.
    pub(crate) fn list(&self) -> Vec<Value> {
        self.lock().list.iter().map(|event| to_json(event)).collect()
    }

    /// The id of the state event in a slot.
    pub(crate) fn state_id(&self, kind: &str, state_key: &str) -> Option<EventId> {
        self.lock().hub.room().state().current(kind, state_key).map(|event| event.id().clone())
    }

    /// The events that an event of this user cites, if it is no membership event (LM-04 §5.2.1).
    pub(crate) fn cites(&self, sender: &UserId) -> Vec<EventId> {
        let slots = [("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", sender.as_str())];
        slots.into_iter().filter_map(|(kind, key)| self.state_id(kind, key)).collect()
    }

    /// Takes another server of the suite for a participant, whose signatures count.
    pub(crate) fn admit(&self, participant: &Peer) {
        let key = &participant.key;
        self.lock().keys.insert(&participant.name, key.id(), key.verify_key(), i64::MAX);
    }

    /// Takes these keys for a server's, whose signatures count from now on.
    pub(super) fn know(&self, keys: &ServerKeys) {
        self.lock().keys.add(keys);
    }

    /// The servers with a user in the room, but for the hub.
    pub(crate) fn servers(&self) -> Vec<ServerName> {
        let room = self.lock();
        room.hub.room().presence().joined().filter(|server| **server != self.name).cloned().collect()
    }

    /// Appends an event of the hub's own user, as the rules allow it.
    pub(crate) fn append(&self, draft: Draft, key: &SigningKey) -> Result<Value, Finding> {
        let broken = |what: String| Finding::Suite(format!("a room of the suite: {what}"));
        let proposal = Proposal::of_own(draft, &self.version).map_err(|error| broken(error.to_string()))?;
        self.seal(proposal, key).map_err(broken)
    }

    fn seal(&self, proposal: Proposal, key: &SigningKey) -> Result<Value, String> {
        let mut state = self.lock();
        let authorised = state.hub.authorise(proposal).map_err(|refusal| refusal.to_string())?;
        let sealed =
            authorised.seal(&self.name, key, &self.version, 0).map_err(|refusal| refusal.to_string())?;
        let event = state.hub.append(sealed).map_err(|error| error.to_string())?;
        state.list.push(Arc::clone(&event));
        Ok(to_json(&event))
    }

    /// Takes an LPDU. Returns the PDU, or the LPDU's id and what is wrong with it.
    pub(super) fn accept(&self, lpdu: &Value, key: &SigningKey) -> Result<Value, (String, String)> {
        let object = lpdu.as_object().cloned().unwrap_or_default();
        let id = mimi_linearized::event::reference_id(&object, &self.version).to_string();
        let accept = || {
            let lpdu = Lpdu::from_object(object, &self.version).map_err(|error| error.to_string())?;
            let verified = lpdu.verify(&self.lock().keys).map_err(|error| error.to_string())?;
            self.seal(Proposal::of_lpdu(verified), key)
        };
        accept().map_err(|error| (id, error))
    }

    fn template(&self, user: &str, membership: &str) -> Value {
        json!({
            "type": "m.room.member", "state_key": user, "sender": user, "content": {"membership": membership},
            "room_id": self.id, "hub_server": self.name
        })
    }

    pub(super) fn make_join(&self, user: &str) -> Response {
        self.both_forms(self.template(user, "join"))
    }

    pub(super) fn make_knock(&self, user: &str) -> Response {
        self.both_forms(self.template(user, "knock"))
    }

    pub(super) fn make_leave(&self, user: &str) -> Response {
        Response::ok(json!({"event": self.template(user, "leave"), "room_version": self.version.id}))
    }

    /// An answer that is a template and has it under `event` too (reading R22).
    fn both_forms(&self, template: Value) -> Response {
        let mut answer = template.clone();
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("event".to_owned(), template);
            answer.insert("room_version".to_owned(), json!(self.version.id));
        }
        Response::ok(answer)
    }

    pub(super) fn send_join(&self, lpdu: &Value, key: &SigningKey) -> Response {
        let (state, chain) = {
            let room = self.lock();
            let state: Vec<_> = room.hub.room().state().all_current().cloned().collect();
            let chain = room.read(room.hub.room().state().current_auth_chain());
            (state, chain)
        };
        match self.accept(lpdu, key) {
            Ok(event) => {
                let list =
                    |events: Vec<Arc<RoomEvent>>| events.iter().map(|e| to_json(e)).collect::<Vec<_>>();
                Response::ok(json!({"event": event, "state": list(state), "auth_chain": list(chain)}))
            }
            Err((_, error)) => {
                Response { status: 403, body: json!({"errcode": "M_FORBIDDEN", "error": error}) }
            }
        }
    }

    pub(super) fn send_leave(&self, lpdu: &Value, key: &SigningKey) -> Response {
        match self.accept(lpdu, key) {
            Ok(_) => Response::ok(json!({})),
            Err((_, error)) => {
                Response { status: 403, body: json!({"errcode": "M_FORBIDDEN", "error": error}) }
            }
        }
    }

    pub(super) fn send_knock(&self, lpdu: &Value, key: &SigningKey) -> Response {
        let stripped: Vec<Value> =
            self.lock().hub.room().stripped_state().iter().map(StrippedEvent::to_json).collect();
        match self.accept(lpdu, key) {
            Ok(_) => Response::ok(json!({"stripped_state": stripped})),
            Err((_, error)) => {
                Response { status: 403, body: json!({"errcode": "M_FORBIDDEN", "error": error}) }
            }
        }
    }

    pub(super) fn event(&self, id: &str) -> Option<Value> {
        self.lock().list.iter().find(|event| *event.id() == *id).map(|event| to_json(event))
    }

    /// The state before an event of the list, and what that cites.
    fn state_before(&self, event_id: &str) -> Option<[Vec<Arc<RoomEvent>>; 2]> {
        let room = self.lock();
        let position = room.list.iter().position(|event| *event.id() == *event_id)?;
        let mut state = BTreeMap::new();
        for event in room.list.iter().take(position) {
            if let Some(state_key) = event.event().state_key() {
                state.insert((event.event().kind().to_owned(), state_key.to_owned()), Arc::clone(event));
            }
        }
        let state: Vec<_> = state.into_values().collect();
        let cited = state.iter().flat_map(|event| event.auth_events());
        let chain = room.read(room.hub.room().state().auth_chain(cited));
        Some([state, chain])
    }

    pub(super) fn state(&self, event_id: &str) -> Response {
        let Some(both) = self.state_before(event_id) else { return Response::error(404, "M_NOT_FOUND") };
        let [state, chain] = both.map(|events| events.iter().map(|e| to_json(e)).collect::<Vec<_>>());
        Response::ok(json!({"pdus": state, "auth_chain": chain}))
    }

    pub(super) fn state_ids(&self, event_id: &str) -> Response {
        let Some(both) = self.state_before(event_id) else { return Response::error(404, "M_NOT_FOUND") };
        let [state, chain] = both.map(|events| events.iter().map(|e| e.id().to_string()).collect::<Vec<_>>());
        Response::ok(json!({"pdu_ids": state, "auth_chain_ids": chain}))
    }

    pub(super) fn backfill(&self, v: &[String], limit: &[String]) -> Response {
        let limit = limit.first().and_then(|limit| limit.parse().ok()).unwrap_or(0_usize);
        let room = self.lock();
        let position = room.list.iter().position(|event| v.iter().any(|v| *event.id() == **v));
        let Some(position) = position else { return Response::error(404, "M_NOT_FOUND") };
        let end = position.saturating_add(1);
        let events = room.list.get(end.saturating_sub(limit)..end).unwrap_or_default();
        Response::ok(json!({"pdus": events.iter().map(|event| to_json(event)).collect::<Vec<_>>()}))
    }
}

/// An event as it is sent.
fn to_json(event: &RoomEvent) -> Value {
    Value::Object(event.event().as_object().clone())
}

impl Peer {
    /// Hosts a public room, created by this server's user `host`, with further content in its create event.
    pub(crate) async fn host_room(&self, create: Value) -> Result<Arc<HostedRoom>, Finding> {
        let environment = &self.inner.environment;
        let broken = |what: &dyn std::fmt::Display| Finding::Suite(format!("a room of the suite: {what}"));
        let host = self.user("host")?;
        let room_id = format!("!{}:{}", self.txn_id(), self.name);
        let id = RoomId::parse(&room_id).map_err(|error| broken(&error))?;
        let mut content = json!({"room_version": "I.1"});
        if let (Some(content), Value::Object(more)) = (content.as_object_mut(), create) {
            content.extend(more);
        }
        let draft = self.state_draft(&id, &host, "m.room.create", "", content);
        let version = environment.versions.default_version();
        let proposal = Proposal::of_own(draft, version).map_err(|error| broken(&error))?;
        let (authorised, version) =
            Hub::authorise_create(proposal, &environment.versions).map_err(|error| broken(&error))?;
        let sealed = authorised.seal(&self.name, &self.key, &version, 0).map_err(|error| broken(&error))?;
        let create = Arc::new(sealed.event().clone());
        let hub = Hub::begin(sealed, Arc::clone(&version)).ok_or_else(|| broken(&"no create event"))?;
        let room = Arc::new(HostedRoom {
            id: id.clone(),
            name: self.name.clone(),
            version,
            state: Mutex::new(State { keys: environment.target_ring().await?, hub, list: vec![create] }),
        });
        room.append(self.member(&id, &host, &host, "join"), &self.key)?;
        let rules = self.state_draft(&id, &host, "m.room.join_rules", "", json!({"join_rule": "public"}));
        room.append(rules, &self.key)?;
        self.inner.behaviour.host(Arc::clone(&room));
        Ok(room)
    }

    /// Appends an event of the user `host` to a hosted room and sends it to the target.
    pub(crate) async fn host_says(&self, room: &HostedRoom, draft: Draft) -> Result<Value, Finding> {
        let event = room.append(draft, &self.key)?;
        // What was sealed before it comes before it.
        self.inner.deliver().await;
        self.send(std::slice::from_ref(&event), &[]).await?.expect_accepted()?;
        Ok(event)
    }

    /// Seals an LPDU of a participant into a hosted room and keeps it from the target.
    pub(crate) fn take(&self, room: &HostedRoom, lpdu: &Value) -> Result<Value, Finding> {
        room.accept(lpdu, &self.key)
            .map_err(|(id, error)| Finding::Suite(format!("a room of the suite refuses {id}: {error}")))
    }

    /// A whole event that the rules need not allow: any draft, after any predecessor, citing anything, signed by this
    /// server as the hub.
    pub(crate) fn forge_pdu(
        &self,
        draft: Draft,
        cites: &[EventId],
        prev: &EventId,
    ) -> Result<Value, Finding> {
        let mut event = Object::new();
        event.insert("room_id".to_owned(), json!(draft.room_id));
        event.insert("type".to_owned(), json!(draft.kind));
        if let Some(state_key) = draft.state_key {
            event.insert("state_key".to_owned(), json!(state_key));
        }
        event.insert("sender".to_owned(), json!(draft.sender));
        event.insert("origin_server_ts".to_owned(), json!(draft.origin_server_ts));
        event.insert("content".to_owned(), Value::Object(draft.content));
        Ok(self.sealer().complete(event, cites, std::slice::from_ref(prev)))
    }
}

impl Inner {
    /// Sends what was sealed to the target in the background, in order, as a hub does.
    pub(super) fn push(self: &Arc<Self>, events: Vec<Value>) {
        if let Some(twist) = &self.twist {
            for event in events {
                let room = event.get("room_id").and_then(Value::as_str).unwrap_or_default();
                if let Some(room) = self.behaviour.hosted(room) {
                    twist.sealed(&room, vec![event]);
                }
            }
            return;
        }
        self.outbox().extend(events);
        let inner = Arc::clone(self);
        tokio::spawn(async move { inner.deliver().await });
    }

    fn outbox(&self) -> MutexGuard<'_, VecDeque<Value>> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends all that is still to be sent.
    pub(super) async fn deliver(&self) {
        let _flight = self.flight.lock().await;
        loop {
            let some: Vec<Value> = {
                let mut outbox = self.outbox();
                let count = outbox.len().min(MOST_PDUS);
                outbox.drain(..count).collect()
            };
            if some.is_empty() {
                return;
            }
            let target = format!("/_matrix/federation/v2/send/{}", self.txn_id());
            let target = self.environment.unstable_only.path(&target);
            let body = json!({"pdus": some, "edus": []});
            let destination = &self.environment.target.name;
            let header = mimi_transport::request_auth::sign_request(
                "PUT",
                &target,
                &self.name,
                destination,
                Some(&body),
                &self.key,
            );
            let ask =
                crate::wire::Ask::new(Method::PUT, &*target).header(http::header::AUTHORIZATION, header);
            // What comes of it is in the evidence.
            let _ = self.ask(ask.json(&body)).await;
        }
    }
}
