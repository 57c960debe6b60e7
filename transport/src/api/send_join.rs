//! `POST /_matrix/federation/v3/send_join/:txnId` (LM-04 §12.7.3.2): joining.
//!
//! What is required of it: `LM-04/12.7.3.2/1` to `LM-04/12.7.3.2/6`.

use axum::extract::State;
use http::Method;
use mimi_linearized::event::OutgoingLpdu;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::Object;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::openapi::Endpoint;
use super::outgoing::body_of;
use super::shapes::{Lpdu, Pdu};
use super::{Answer, Authenticated, PathParams, Paths, failed, segment};
use crate::client;
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::{HandshakeKind, Provenance, RoomError};
use crate::transactions::InFlight;

/// The answer to a join.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JoinAnswer {
    /// The event made of the LPDU.
    pub event: Pdu,
    /// The state before it.
    pub state: Vec<Pdu>,
    /// What the state cites, directly or not.
    pub auth_chain: Vec<Pdu>,
}

/// The endpoint's name in transaction keys.
const ENDPOINT: &str = "send_join";

/// The paths of a join.
#[must_use]
pub fn paths(txn_id: &str) -> Paths {
    Paths::both("/_matrix/federation/v3", &format!("/send_join/{}", segment(txn_id)))
}

/// Takes the join, and answers with the state before it.
///
/// # Errors
/// `M_BAD_JSON`, `M_NOT_FOUND`, `M_WRONG_SERVER` or `M_FORBIDDEN`.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    request: Authenticated,
) -> Result<Answer, ApiError> {
    let (origin, object) = request.into_object()?;
    let txn_id = path.text("txn").to_owned();
    let from = Provenance { origin: Some(origin.clone()), txn_id: Some(txn_id.clone()) };
    let process = process(node.clone(), object, from);
    node.once(origin, ENDPOINT, txn_id, InFlight::Any, process).await.map(Answer)
}

async fn process(node: Node, object: Object, from: Provenance) -> Result<Value, ApiError> {
    let (cell, id) = node.accept_handshake(HandshakeKind::Join, object, from).await?;
    let joined = node.joined_as(&cell, &id).await?;
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let list = |events: &[std::sync::Arc<[u8]>]| events.iter().map(|event| read(event)).collect::<Vec<_>>();
    Ok(json!({
        "event": read(&joined.event),
        "state": list(&joined.state),
        "auth_chain": list(&joined.auth_chain),
    }))
}

/// Sends a join to the hub.
///
/// # Errors
/// [`RoomError`] if the hub refuses, or does not answer with a state.
pub async fn call(
    node: &Node,
    hub: &ServerName,
    lpdu: &OutgoingLpdu,
) -> Result<client::JoinAnswer, RoomError> {
    node.client.send_join(hub, lpdu.id.as_str(), &body_of(lpdu)).await.map_err(failed(hub))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let paths = Paths::both("/_matrix/federation/v3", "/send_join/{txn}");
    Endpoint::new::<JoinAnswer>(Method::POST, paths, "12.7.3.2", "Join").body::<Lpdu>().refuses([
        ApiError::not_found(""),
        ApiError::wrong_server(""),
        ApiError::forbidden(""),
    ])
}
