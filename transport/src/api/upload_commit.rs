//! `POST …/large-rooms/upload/:roomId` (reading R35): a commit that an event is about to name.

use axum::extract::State;
use http::Method;
use mimi_linearized::base64;
use mimi_linearized::encryption::MessageDigest;
use mimi_linearized::id::{RoomId, ServerName};
use mimi_linearized::json::Object;
use mimi_mls::framing::MAX_COMMIT_LEN;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::openapi::Endpoint;
use super::{Answer, Authenticated, LARGE_ROOMS_PREFIX, PathParams, Paths, failed, segment};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::RoomError;

/// The body of an upload.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Upload {
    /// The commit in unpadded base64.
    pub message: String,
}

/// The answer to an upload: what an event names the commit by.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Uploaded {
    /// Its hash in unpadded base64.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The path to upload to. It has an unstable form alone.
#[must_use]
pub fn paths(room_id: &RoomId) -> Paths {
    Paths::stable(format!("{LARGE_ROOMS_PREFIX}/upload/{}", segment(room_id.as_str())))
}

/// Keeps a commit of a server that is in the room, and answers with its digest.
///
/// # Errors
/// `M_BAD_JSON` if it is no commit, `M_TOO_LARGE` if it is too large for one, `M_FORBIDDEN` if the server has no joined
/// user, `M_NOT_FOUND` for a room that is not known, `M_WRONG_SERVER` if this server is not its hub.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    request: Authenticated,
) -> Result<Answer, ApiError> {
    let (origin, body) = request.into_object()?;
    let message = message_of(&body)?;
    Ok(answer(&node.take_commit(&path.room()?, &origin, message).await?))
}

/// The commit in the body of a request.
pub(crate) fn message_of(body: &Object) -> Result<Vec<u8>, ApiError> {
    let message = body.get("message").and_then(Value::as_str).and_then(|text| base64::decode(text).ok());
    let message = message.ok_or_else(|| ApiError::bad_json("`message` must be base64"))?;
    if message.len() > MAX_COMMIT_LEN {
        return Err(ApiError::too_large(MAX_COMMIT_LEN));
    }
    Ok(message)
}

/// The answer to a commit that was taken.
pub(crate) fn answer(digest: &MessageDigest) -> Answer {
    Answer(digest.to_json())
}

/// Uploads a commit to a room's hub.
///
/// # Errors
/// [`RoomError`] if the hub does not take it.
pub async fn call(
    node: &Node,
    hub: &ServerName,
    room_id: &RoomId,
    message: &[u8],
) -> Result<MessageDigest, RoomError> {
    node.client.upload_commit(hub, room_id, message).await.map_err(failed(hub))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let path = Paths::stable(format!("{LARGE_ROOMS_PREFIX}/upload/{{room}}"));
    Endpoint::new::<Uploaded>(Method::POST, path, "R35", "Hand in a commit that an event is about to name")
        .body::<Upload>()
        .refuses([ApiError::not_found(""), ApiError::wrong_server(""), ApiError::forbidden("")])
}
