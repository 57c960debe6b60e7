//! `POST /_matrix/federation/v3/send_knock/:txnId` (LM-04 §12.7.4.2): knocking.
//!
//! What is required of it: `LM-04/12.7.4.2/1` to `LM-04/12.7.4.2/4`.

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
use super::shapes::{Lpdu, StrippedState};
use super::{Answer, Authenticated, PathParams, Paths, failed, segment};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::{HandshakeKind, Provenance, RoomError};
use crate::transactions::InFlight;

/// The answer to a knock.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KnockAnswer {
    /// What the knocking user is shown of the room.
    pub stripped_state: Vec<StrippedState>,
}

/// The endpoint's name in transaction keys.
const ENDPOINT: &str = "send_knock";

/// The paths of the request.
#[must_use]
pub fn paths(txn_id: &str) -> Paths {
    Paths::both("/_matrix/federation/v3", &format!("/send_knock/{}", segment(txn_id)))
}

/// Takes the knock, and answers with stripped state.
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
    let (cell, _) = node.accept_handshake(HandshakeKind::Knock, object, from).await?;
    let role = cell.lock().await;
    let room = role.as_ref().map(crate::rooms::Role::room).ok_or(RoomError::OutOfStep)?;
    Ok(json!({"stripped_state": room.stripped_state()}))
}

/// Sends the LPDU to the hub.
///
/// # Errors
/// [`RoomError`] if the hub refuses.
pub async fn call(node: &Node, hub: &ServerName, lpdu: &OutgoingLpdu) -> Result<Object, RoomError> {
    node.client.send_knock(hub, lpdu.id.as_str(), &body_of(lpdu)).await.map_err(failed(hub))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let paths = Paths::both("/_matrix/federation/v3", "/send_knock/{txn}");
    Endpoint::new::<KnockAnswer>(Method::POST, paths, "12.7.4.2", "Knock").body::<Lpdu>().refuses([
        ApiError::not_found(""),
        ApiError::wrong_server(""),
        ApiError::forbidden(""),
    ])
}
