//! Events, state, and transactions.

use http::Method;
use mimi_linearized::id::{EventId, RoomId, ServerName};
use mimi_linearized::json::{Object, Value};
use serde_json::json;

use super::{Again, take_objects, unusable};
use crate::api::{Paths, backfill, event, send, state, state_ids};
use crate::client::{ClientError, FederationClient};

/// What goes to another server at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transaction {
    /// Events and LPDUs, at most [`send::MAX_PDUS`].
    pub pdus: Vec<Value>,
    /// EDUs, at most [`send::MAX_EDUS`].
    pub edus: Vec<Value>,
}

impl Transaction {
    /// The body of the request.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"pdus": self.pdus, "edus": self.edus})
    }
}

/// An event of a transaction that was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The id of the event or LPDU as it was sent (reading R20).
    pub event_id: EventId,
    /// What the server says.
    pub error: String,
}

/// The state before an event.
#[derive(Debug, Clone, PartialEq)]
pub struct StateAnswer {
    /// The state events.
    pub pdus: Vec<Object>,
    /// What they cite, directly or not.
    pub auth_chain: Vec<Object>,
}

/// The ids of the state before an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateIdsAnswer {
    /// Those of the state events.
    pub pdu_ids: Vec<EventId>,
    /// Those of what they cite, directly or not.
    pub auth_chain_ids: Vec<EventId>,
}

impl FederationClient {
    /// Sends a transaction: `PUT /_matrix/federation/v2/send/:txnId` (LM-04 §12.5.1). Returns what was rejected.
    ///
    /// A sender has one transaction in flight to a server, and repeats it under the same id until it is answered with
    /// 200. This repeats it as [`super::Retry`] says; whoever gets an error goes on with the same id and body later.
    ///
    /// # Errors
    /// [`ClientError`] if the transaction is not answered with 200: it may have been processed all the same.
    pub async fn send(
        &self,
        server: &ServerName,
        txn_id: &str,
        transaction: &Transaction,
    ) -> Result<Vec<Failed>, ClientError> {
        self.send_body(server, txn_id, &transaction.to_json()).await
    }

    /// As [`FederationClient::send`], with a body that is there already.
    pub(crate) async fn send_body(
        &self,
        server: &ServerName,
        txn_id: &str,
        body: &Value,
    ) -> Result<Vec<Failed>, ClientError> {
        let answer = self.ask(server, Method::PUT, &send::paths(txn_id), Some(body), Again::Yes).await?;
        let failed = answer.get("failed_pdus").and_then(Value::as_object);
        Ok(failed.into_iter().flatten().filter_map(|(id, entry)| failure(id, entry.as_object()?)).collect())
    }

    /// One event: `GET /_matrix/federation/v2/event/:eventId` (LM-04 §12.6.1).
    ///
    /// # Errors
    /// [`ClientError`] if the server does not answer with an object.
    pub async fn event(&self, server: &ServerName, id: &EventId) -> Result<Object, ClientError> {
        self.ask(server, Method::GET, &event::paths(id), None, Again::Yes).await
    }

    /// The state before an event: `GET /_matrix/federation/v1/state/:roomId` (LM-04 §12.6.2).
    ///
    /// # Errors
    /// [`ClientError`] if the server does not answer with a state.
    pub async fn state(
        &self,
        server: &ServerName,
        room: &RoomId,
        at: &EventId,
    ) -> Result<StateAnswer, ClientError> {
        let paths = Paths::stable(state::path(room, at));
        let mut answer = self.ask(server, Method::GET, &paths, None, Again::Yes).await?;
        let pdus = take_objects(&mut answer, "pdus")?;
        Ok(StateAnswer { pdus, auth_chain: take_objects(&mut answer, "auth_chain")? })
    }

    /// The ids of the state before an event: `GET /_matrix/federation/v1/state_ids/:roomId` (LM-04 §12.6.3).
    ///
    /// # Errors
    /// [`ClientError`] if the server does not answer with ids.
    pub async fn state_ids(
        &self,
        server: &ServerName,
        room: &RoomId,
        at: &EventId,
    ) -> Result<StateIdsAnswer, ClientError> {
        let paths = Paths::stable(state_ids::path(room, at));
        let answer = self.ask(server, Method::GET, &paths, None, Again::Yes).await?;
        let pdu_ids = ids(&answer, "pdu_ids")?;
        Ok(StateIdsAnswer { pdu_ids, auth_chain_ids: ids(&answer, "auth_chain_ids")? })
    }

    /// An event and those before it, oldest first, at most `limit`: `GET /_matrix/federation/v2/backfill/:roomId`
    /// (LM-04 §12.6.4).
    ///
    /// # Errors
    /// [`ClientError`] if the server does not answer with an array of objects.
    pub async fn backfill(
        &self,
        server: &ServerName,
        room: &RoomId,
        v: &EventId,
        limit: usize,
    ) -> Result<Vec<Object>, ClientError> {
        let paths = backfill::paths(room, v, limit);
        let mut answer = self.ask(server, Method::GET, &paths, None, Again::Yes).await?;
        let mut events = take_objects(&mut answer, "pdus")?;
        events.truncate(limit);
        Ok(events)
    }
}

fn failure(id: &str, entry: &Object) -> Option<Failed> {
    let error = entry.get("error").and_then(Value::as_str).unwrap_or("refused without a reason");
    Some(Failed { event_id: EventId::parse(id).ok()?, error: error.to_owned() })
}

fn ids(answer: &Object, field: &str) -> Result<Vec<EventId>, ClientError> {
    let list = answer.get(field).and_then(Value::as_array);
    let ids: Option<Vec<_>> =
        list.and_then(|list| list.iter().map(|id| EventId::parse(id.as_str()?).ok()).collect());
    ids.ok_or_else(|| unusable(format!("`{field}` is no array of event ids")))
}
