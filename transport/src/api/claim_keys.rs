//! `POST /_matrix/federation/v1/user/keys/claim` (LM-04 §12.10.3.1): key packages.

use axum::extract::State;
use http::Method;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::Object;
use serde_json::{Value, json};

use super::{Answer, Authenticated, Paths, ask};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::RoomError;

/// The path of a claim.
const PATH: &str = "/_matrix/federation/v1/user/keys/claim";

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
    let claimed = tokio::spawn(async move { node.claim_local(&wanted).await }).await;
    let claimed = claimed.map_err(|_| ApiError::unknown("the claim could not be processed"))??;
    Ok(Answer(json!({"one_time_keys": claimed})))
}

/// Asks a server for key packages of its users' devices.
///
/// # Errors
/// [`RoomError`] if the server does not answer with key packages.
pub async fn call(node: &Node, server: &ServerName, wanted: &Object) -> Result<Object, RoomError> {
    let body = json!({"one_time_keys": wanted});
    let mut answer = ask(node, server, Method::POST, &Paths::stable(PATH.to_owned()), Some(&body)).await?;
    match answer.remove("one_time_keys") {
        Some(Value::Object(keys)) => Ok(keys),
        _ => Err(RoomError::BadAnswer {
            server: server.clone(),
            what: "`one_time_keys` is no object".to_owned(),
        }),
    }
}
