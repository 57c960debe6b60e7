//! Coming into rooms, leaving them, knocking and inviting (LM-04 §12.7).

use http::Method;
use mimi_linearized::id::{RoomId, ServerName, UserId};
use mimi_linearized::json::{Object, Value};
use mimi_linearized::version::RoomVersions;

use super::{Again, take_object, take_objects};
use crate::api::{Paths, invite, make_join, make_knock, make_leave, send_join, send_knock, send_leave};
use crate::client::{ClientError, FederationClient};
use crate::rooms::{HandshakeKind, Template};

/// What a hub answers to a join.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinAnswer {
    /// The event made of the LPDU.
    pub event: Object,
    /// The state before it.
    pub state: Vec<Object>,
    /// What the state cites, directly or not.
    pub auth_chain: Vec<Object>,
}

impl FederationClient {
    /// A template for a change of a user's own membership, in either of its forms (reading R22):
    /// `GET /_matrix/federation/v1/make_join/:roomId/:userId`, `make_leave` or `make_knock` (LM-04 §12.7.3.1, §12.7.2.2.1,
    /// §12.7.4.1). Of the template the type, state key, sender and content count; the caller completes, hashes and signs
    /// it.
    ///
    /// # Errors
    /// [`ClientError`] if the server refuses, or does not answer with a template.
    pub async fn make(
        &self,
        kind: HandshakeKind,
        server: &ServerName,
        room: &RoomId,
        user: &UserId,
        versions: &RoomVersions,
    ) -> Result<Template, ClientError> {
        let path = match kind {
            HandshakeKind::Join => make_join::path(versions, room, user),
            HandshakeKind::Leave => make_leave::path(room, user),
            HandshakeKind::Knock => make_knock::path(versions, room, user),
        };
        let mut answer = self.ask(server, Method::GET, &Paths::stable(path), None, Again::Yes).await?;
        let room_version = match answer.remove("room_version") {
            Some(Value::String(version)) => version,
            _ => versions.default_version().id.to_string(),
        };
        let event = match answer.remove("event") {
            Some(Value::Object(event)) => event,
            _ => answer,
        };
        Ok(Template { event, room_version })
    }

    /// Sends a join to the hub: `POST /_matrix/federation/v3/send_join/:txnId` (LM-04 §12.7.3.2).
    ///
    /// # Errors
    /// [`ClientError`] if the hub refuses, or does not answer with a state.
    pub async fn send_join(
        &self,
        hub: &ServerName,
        txn_id: &str,
        lpdu: &Value,
    ) -> Result<JoinAnswer, ClientError> {
        let paths = send_join::paths(txn_id);
        let mut answer = self.ask(hub, Method::POST, &paths, Some(lpdu), Again::Yes).await?;
        Ok(JoinAnswer {
            event: take_object(&mut answer, "event")?,
            state: take_objects(&mut answer, "state")?,
            auth_chain: take_objects(&mut answer, "auth_chain")?,
        })
    }

    /// Sends a leave to the hub: `POST /_matrix/federation/v3/send_leave/:txnId` (LM-04 §12.7.2.2.2).
    ///
    /// # Errors
    /// [`ClientError`] if the hub refuses.
    pub async fn send_leave(&self, hub: &ServerName, txn_id: &str, lpdu: &Value) -> Result<(), ClientError> {
        self.ask(hub, Method::POST, &send_leave::paths(txn_id), Some(lpdu), Again::Yes).await.map(drop)
    }

    /// Sends a knock to the hub: `POST /_matrix/federation/v3/send_knock/:txnId` (LM-04 §12.7.4.2). Returns the answer,
    /// whose `stripped_state` shows what may be seen of the room.
    ///
    /// # Errors
    /// [`ClientError`] if the hub refuses.
    pub async fn send_knock(
        &self,
        hub: &ServerName,
        txn_id: &str,
        lpdu: &Value,
    ) -> Result<Object, ClientError> {
        self.ask(hub, Method::POST, &send_knock::paths(txn_id), Some(lpdu), Again::Yes).await
    }

    /// Sends an invite, to the hub or from it: `POST /_matrix/federation/v3/invite/:txnId` (LM-04 §12.7.2.1). Returns the
    /// PDU of the answer (reading R23).
    ///
    /// # Errors
    /// [`ClientError`] if the invite is refused, or the answer has no PDU.
    pub async fn invite(
        &self,
        server: &ServerName,
        txn_id: &str,
        request: &Value,
    ) -> Result<Object, ClientError> {
        let paths = invite::paths(txn_id);
        let mut answer = self.ask(server, Method::POST, &paths, Some(request), Again::Yes).await?;
        if !answer.contains_key("pdu")
            && let Some(event) = answer.remove("event")
        {
            answer.insert("pdu".to_owned(), event);
        }
        take_object(&mut answer, "pdu")
    }
}
