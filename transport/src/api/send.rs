//! `PUT /_matrix/federation/v2/send/:txnId` (LM-04 §12.5.1): events and EDUs.
//!
//! What is required of it: `LM-04/12.5.1/1` to `LM-04/12.5.1/22`.

use std::collections::BTreeMap;

use axum::extract::State;
use http::Method;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::Object;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::openapi::Endpoint;
use super::shapes::{Edu, PduOrLpdu};
use super::{Answer, Authenticated, PathParams, Paths, failed, segment, value_of};
use crate::client::{Failed, Retry};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::{Provenance, Received, RoomError};
use crate::transactions::InFlight;

/// The body of a transaction.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Transaction {
    /// Events. What is neither a PDU nor an LPDU is dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PDUS))]
    pub pdus: Vec<PduOrLpdu>,
    /// EDUs. What is none is ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_EDUS))]
    pub edus: Vec<Edu>,
    /// Members that nobody knows: deployed servers name themselves and the time.
    #[serde(flatten)]
    pub more: Object,
}

/// What was made of a transaction.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Processed {
    /// By the id of the object as it was received: the events that were rejected (reading R20).
    pub failed_pdus: BTreeMap<String, FailedPdu>,
}

/// Why an event was rejected.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FailedPdu {
    /// The reason, for people.
    pub error: String,
}

/// The most events in one transaction.
pub const MAX_PDUS: usize = 50;
/// The most EDUs in one transaction.
pub const MAX_EDUS: usize = 100;
/// The endpoint's name in transaction keys.
const ENDPOINT: &str = "send";

/// The paths of a transaction.
#[must_use]
pub fn paths(txn_id: &str) -> Paths {
    Paths::both("/_matrix/federation/v2", &format!("/send/{}", segment(txn_id)))
}

/// Processes a transaction, or repeats the answer to it.
///
/// # Errors
/// `M_BAD_JSON` for a malformed or oversize transaction, `M_BAD_STATE` while another one is in flight.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    request: Authenticated,
) -> Result<Answer, ApiError> {
    let (origin, mut body, pdus) = request.into_object_with_list("pdus")?;
    let edus = match body.remove("edus") {
        None => Vec::new(),
        Some(Value::Array(edus)) => edus,
        Some(_) => return Err(ApiError::bad_json("`edus` must be an array")),
    };
    if pdus.len() > MAX_PDUS {
        return Err(ApiError::bad_json(format!("`pdus` has {} entries; {MAX_PDUS} are allowed", pdus.len())));
    }
    if edus.len() > MAX_EDUS {
        return Err(ApiError::bad_json(format!("`edus` has {} entries; {MAX_EDUS} are allowed", edus.len())));
    }
    let txn_id = path.text("txn").to_owned();
    let from = Provenance { origin: Some(origin.clone()), txn_id: Some(txn_id.clone()) };
    let process = process(node.clone(), origin.clone(), from, pdus, edus);
    node.once(origin, ENDPOINT, txn_id, InFlight::One, process).await.map(Answer)
}

/// Takes every entry on its own: one that fails does not stop the others (reading R19).
async fn process(
    node: Node,
    origin: ServerName,
    from: Provenance,
    pdus: Vec<Option<Value>>,
    edus: Vec<Value>,
) -> Result<Value, ApiError> {
    let mut failed_pdus = BTreeMap::new();
    for (index, pdu) in pdus.into_iter().enumerate() {
        let Some(Value::Object(object)) = pdu else {
            tracing::info!(%origin, index, "dropped an entry that is no event");
            continue;
        };
        match node.receive(object, &from).await? {
            Received::Accepted => {}
            Received::Dropped(why) => {
                node.metrics.dropped();
                tracing::info!(%origin, index, why, "dropped an event");
            }
            Received::Rejected(id, refusal) => {
                tracing::info!(%origin, event = %id, %refusal, "rejected an event");
                failed_pdus.insert(id.to_string(), FailedPdu { error: refusal.to_string() });
            }
            Received::Unwelcome(id, error) => {
                tracing::info!(%origin, event = %id, error, "rejected an event");
                failed_pdus.insert(id.to_string(), FailedPdu { error });
            }
        }
    }
    for (index, edu) in edus.into_iter().enumerate() {
        node.receive_edu(&origin, &from, index, edu).await?;
    }
    value_of(&Processed { failed_pdus })
}

/// Sends a transaction once: whoever sends it repeats it. Returns what was rejected.
///
/// # Errors
/// [`RoomError`] if the transaction was not answered with 200.
pub async fn call(
    node: &Node,
    server: &ServerName,
    txn_id: &str,
    body: &Value,
) -> Result<Vec<Failed>, RoomError> {
    let once = node.client.with_retry(Retry::NEVER);
    once.send_body(server, txn_id, body).await.map_err(failed(server))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let paths = Paths::both("/_matrix/federation/v2", "/send/{txn}");
    Endpoint::new::<Processed>(Method::PUT, paths, "12.5.1", "Send events and EDUs")
        .body::<Transaction>()
        .refuses([ApiError::bad_state("")])
        .unlimited()
}
