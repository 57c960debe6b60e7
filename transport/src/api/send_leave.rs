//! `POST /_matrix/federation/v3/send_leave/:txnId` (LM-04 §12.7.2.2.2): leaving, or turning an invite down.
//!
//! What is required of it: `LM-04/12.7.2.2.2/1` to `LM-04/12.7.2.2.2/4`.

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
use super::shapes::Lpdu;
use super::{Answer, Authenticated, PathParams, Paths, failed, segment};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::{HandshakeKind, Provenance, RoomError};
use crate::transactions::InFlight;

/// The answer to a leave: nothing.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LeaveAnswer {}

/// The endpoint's name in transaction keys.
const ENDPOINT: &str = "send_leave";

/// The paths of the request.
#[must_use]
pub fn paths(txn_id: &str) -> Paths {
    Paths::both("/_matrix/federation/v3", &format!("/send_leave/{}", segment(txn_id)))
}

/// Takes the leave.
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
    let (_, _) = node.accept_handshake(HandshakeKind::Leave, object, from).await?;
    Ok(json!({}))
}

/// Sends the LPDU to the hub.
///
/// # Errors
/// [`RoomError`] if the hub refuses.
pub async fn call(node: &Node, hub: &ServerName, lpdu: &OutgoingLpdu) -> Result<(), RoomError> {
    node.client.send_leave(hub, lpdu.id.as_str(), &body_of(lpdu)).await.map_err(failed(hub))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let paths = Paths::both("/_matrix/federation/v3", "/send_leave/{txn}");
    Endpoint::new::<LeaveAnswer>(Method::POST, paths, "12.7.2.2.2", "Leave, or turn an invite or knock down")
        .body::<Lpdu>()
        .refuses([ApiError::not_found(""), ApiError::wrong_server(""), ApiError::forbidden("")])
}
