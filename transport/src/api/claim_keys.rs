//! `POST /_matrix/federation/v1/user/keys/claim` (LM-04 §12.10.3.1): key packages.
//!
//! What is required of it: `LM-04/12.10.3.1/1` to `LM-04/12.10.3.1/12`.

use std::collections::BTreeMap;

use axum::extract::State;
use http::Method;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::Object;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::Instrument as _;

use super::openapi::Endpoint;
use super::{Answer, Authenticated, Paths, failed};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::RoomError;

/// The body of a claim.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// By user and device: the algorithm of the key that is wanted.
    pub one_time_keys: BTreeMap<String, BTreeMap<String, String>>,
}

/// The answer to a claim.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Claimed {
    /// By user, device and algorithm: the key. What it looks like depends on the algorithm; key packages are unpadded
    /// base64.
    pub one_time_keys: BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>>,
}

/// The path of a claim.
#[must_use]
pub fn paths() -> Paths {
    Paths::stable("/_matrix/federation/v1/user/keys/claim".to_owned())
}

/// Answers with a key package for each device that has one; what is unknown is left out.
///
/// # Errors
/// `M_BAD_JSON` if the claim is malformed.
pub async fn handle(State(node): State<Node>, request: Authenticated) -> Result<Answer, ApiError> {
    let (_, mut body) = request.into_object()?;
    let Some(Value::Object(wanted)) = body.remove("one_time_keys") else {
        return Err(ApiError::bad_json("`one_time_keys` must be an object"));
    };
    let well_formed = wanted
        .values()
        .all(|devices| devices.as_object().is_some_and(|devices| devices.values().all(Value::is_string)));
    if !well_formed {
        return Err(ApiError::bad_json("`one_time_keys` maps users to devices to algorithms"));
    }
    // A key package that was taken is gone: finish even if the caller hangs up.
    let claimed = tokio::spawn(async move { node.claim_local(&wanted).await }.in_current_span()).await;
    let claimed = claimed.map_err(|_| ApiError::unknown("the claim could not be processed"))??;
    Ok(Answer(json!({"one_time_keys": claimed})))
}

/// Asks a server for key packages of its users' devices.
///
/// # Errors
/// [`RoomError`] if the server does not answer with key packages.
pub async fn call(node: &Node, server: &ServerName, wanted: &Object) -> Result<Object, RoomError> {
    node.client.claim_keys(server, wanted).await.map_err(failed(server))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    Endpoint::new::<Claimed>(Method::POST, paths(), "12.10.3.1", "Claim key packages").body::<Claim>()
}
