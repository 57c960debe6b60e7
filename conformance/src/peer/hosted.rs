//! Rooms that a peer is the hub of.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use mimi_linearized::event::{Draft, Lpdu, RoomEvent};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{EventId, RoomId, ServerName};
use mimi_linearized::json::Object;
use mimi_linearized::signing::{ServerKeyRing, SigningKey};
use mimi_linearized::version::RoomVersion;
use serde_json::{Value, json};

use super::serve::Response;
use super::{Inner, Peer};
use crate::case::Finding;

/// A room that a peer is the hub of.
#[derive(Debug)]
pub(crate) struct HostedRoom {
    /// Its id.
    pub(crate) id: RoomId,
    name: ServerName,
    version: Arc<RoomVersion>,
    keys: ServerKeyRing,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    hub: Hub,
    list: Vec<Arc<RoomEvent>>,
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
            let verified = lpdu.verify(&self.keys).map_err(|error| error.to_string())?;
            self.seal(Proposal::of_lpdu(verified), key)
        };
        accept().map_err(|error| (id, error))
    }

    pub(super) fn make_join(&self, user: &str) -> Response {
        let template = json!({
            "type": "m.room.member", "state_key": user, "sender": user, "content": {"membership": "join"},
            "room_id": self.id, "hub_server": self.name
        });
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
            let chain: Vec<_> =
                room.hub.room().state().auth_chain(state.iter()).into_iter().cloned().collect();
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

    pub(super) fn event(&self, id: &str) -> Option<Value> {
        self.lock().list.iter().find(|event| *event.id() == *id).map(|event| to_json(event))
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
            keys: environment.target_ring().await?,
            state: Mutex::new(State { hub, list: vec![create] }),
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
        self.send(std::slice::from_ref(&event), &[]).await?.expect_accepted()?;
        Ok(event)
    }

    /// A whole event that the rules need not allow: any draft, after any predecessor, citing anything, signed by this
    /// server as the hub.
    pub(crate) fn forge_pdu(
        &self,
        draft: Draft,
        cites: &[EventId],
        prev: &EventId,
    ) -> Result<Value, Finding> {
        let rules = self.inner.environment.versions.default_version().redaction;
        let mut event = Object::new();
        event.insert("room_id".to_owned(), json!(draft.room_id));
        event.insert("type".to_owned(), json!(draft.kind));
        if let Some(state_key) = draft.state_key {
            event.insert("state_key".to_owned(), json!(state_key));
        }
        event.insert("sender".to_owned(), json!(draft.sender));
        event.insert("origin_server_ts".to_owned(), json!(draft.origin_server_ts));
        event.insert("content".to_owned(), Value::Object(draft.content));
        event.insert("auth_events".to_owned(), json!(cites));
        event.insert("prev_events".to_owned(), json!([prev]));
        let hash = mimi_linearized::event::hash::pdu_content_hash(&event);
        event.insert("hashes".to_owned(), json!({"sha256": mimi_linearized::base64::encode(&hash)}));
        let signature =
            self.key.sign(&mimi_linearized::event::hash::signing_bytes(&event, &rules)).to_base64();
        event.insert(
            "signatures".to_owned(),
            json!({self.name.as_str(): {self.key.id().as_str(): signature}}),
        );
        Ok(Value::Object(event))
    }
}

impl Inner {
    /// Sends an event to the target in the background, as a hub does with what it has sealed.
    pub(super) fn push(self: &Arc<Self>, event: Value) {
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let _flight = inner.flight.lock().await;
            let number = inner.transactions.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let target = format!("/_matrix/federation/v2/send/e{number}");
            let body = json!({"pdus": [event], "edus": []});
            let destination = &inner.environment.target.name;
            let header = mimi_transport::request_auth::sign_request(
                "PUT",
                &target,
                &inner.name,
                destination,
                Some(&body),
                &inner.key,
            );
            let ask = crate::wire::Ask::new(Method::PUT, target).header(http::header::AUTHORIZATION, header);
            // What comes of it is in the evidence.
            let _ = inner.ask(ask.json(&body)).await;
        });
    }
}
