//! `POST /_matrix/federation/v3/invite/:txnId` (LM-04 §12.7.2.1): inviting, to the hub and from it.
//!
//! What is required of it: `LM-04/12.7.2.1/1` to `LM-04/12.7.2.1/20`.

use axum::extract::{OriginalUri, State};
use http::Method;
use mimi_linearized::id::{EventId, ServerName};
use mimi_linearized::json::Object;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::openapi::Endpoint;
use super::shapes::{Pdu, PduOrLpdu, StrippedState};
use super::{Answer, Authenticated, PathParams, Paths, UNSTABLE_PREFIX, failed, segment};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::{InviteRequest, Provenance, RoomError};
use crate::transactions::InFlight;

/// The body of an invite.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Invite {
    /// The invite: an LPDU to the hub, a PDU from it.
    pub event: PduOrLpdu,
    /// What the invited user is shown of the room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invite_room_state: Vec<StrippedState>,
    /// The room's version.
    pub room_version: String,
}

/// The answer to an invite.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Invited {
    /// The invite with the hub's and the invited user's server's signatures.
    pub pdu: Pdu,
    /// The same, for those who use the unstable path (reading R23).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Pdu")]
    pub event: Option<Pdu>,
}

/// The endpoint's name in transaction keys.
const ENDPOINT: &str = "invite";

/// The paths of an invite.
#[must_use]
pub fn paths(txn_id: &str) -> Paths {
    Paths::both("/_matrix/federation/v3", &format!("/invite/{}", segment(txn_id)))
}

/// Takes an invite: as the hub from a participant, or as the invited user's server from the hub. The PDU is answered
/// under `pdu`, and on the unstable path under `event` too (reading R23).
///
/// # Errors
/// `M_BAD_JSON`, `M_NOT_FOUND`, `M_WRONG_SERVER`, `M_INCOMPATIBLE_ROOM_VERSION`, `M_FORBIDDEN`, or what the invited
/// user's server refuses with.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    OriginalUri(uri): OriginalUri,
    request: Authenticated,
) -> Result<Answer, ApiError> {
    let (origin, mut body) = request.into_object()?;
    let invite = parse(&mut body)?;
    let txn_id = path.text("txn").to_owned();
    let from = Provenance { origin: Some(origin.clone()), txn_id: Some(txn_id.clone()) };
    let process = process(node.clone(), invite, from);
    let pdu = node.once(origin, ENDPOINT, txn_id, InFlight::Any, process).await?;
    let unstable = uri.path().starts_with(UNSTABLE_PREFIX);
    Ok(Answer(if unstable { json!({"pdu": pdu, "event": pdu}) } else { json!({"pdu": pdu}) }))
}

fn parse(body: &mut Object) -> Result<InviteRequest, ApiError> {
    let Some(Value::Object(event)) = body.remove("event") else {
        return Err(ApiError::bad_json("`event` must be an object"));
    };
    let Some(Value::String(room_version)) = body.remove("room_version") else {
        return Err(ApiError::bad_json("`room_version` must be a string"));
    };
    let invite_room_state = match body.remove("invite_room_state") {
        None => Vec::new(),
        Some(Value::Array(events)) => events,
        Some(_) => return Err(ApiError::bad_json("`invite_room_state` must be an array")),
    };
    Ok(InviteRequest { event, invite_room_state, room_version })
}

async fn process(node: Node, invite: InviteRequest, from: Provenance) -> Result<Value, ApiError> {
    Ok(Value::Object(node.receive_invite(invite, from).await?))
}

/// Sends an invite. Returns the PDU of the answer, which is not checked here.
///
/// # Errors
/// [`RoomError`] if the invite is refused, or the answer has no PDU.
pub async fn call(
    node: &Node,
    server: &ServerName,
    txn_id: &EventId,
    request: &Value,
) -> Result<Object, RoomError> {
    let txn_id = format!("{}.{}", txn_id.as_str(), rand::random::<u32>());
    node.client.invite(server, &txn_id, request).await.map_err(failed(server))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let paths = Paths::both("/_matrix/federation/v3", "/invite/{txn}");
    Endpoint::new::<Invited>(Method::POST, paths, "12.7.2.1", "Invite a user, to the hub and from it")
        .body::<Invite>()
        .refuses([
            ApiError::not_found(""),
            ApiError::wrong_server(""),
            ApiError::incompatible_room_version(""),
            ApiError::forbidden(""),
        ])
        .passes_errors_on()
}
