//! `GET /_matrix/federation/v1/make_leave/:roomId/:userId` (LM-04 §12.7.2.2.1): a template for leaving.
//!
//! What is required of it: `LM-04/12.7.2.2.1/1` to `LM-04/12.7.2.2.1/7`.

use axum::extract::State;
use http::Method;
use mimi_linearized::id::{RoomId, UserId};
use serde_json::json;

use super::make::EnclosedTemplate;
use super::openapi::Endpoint;
use super::{Answer, Authenticated, PathParams, Paths, segment};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::HandshakeKind;

/// The path of a template.
#[must_use]
pub fn path(room_id: &RoomId, user: &UserId) -> String {
    let (room_id, user) = (segment(room_id.as_str()), segment(user.as_str()));
    format!("/_matrix/federation/v1/make_leave/{room_id}/{user}")
}

/// Answers with a template under `event`.
///
/// # Errors
/// `M_NOT_FOUND`, `M_WRONG_SERVER` or `M_FORBIDDEN`.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    request: Authenticated,
) -> Result<Answer, ApiError> {
    let (room_id, user) = (path.room()?, path.user()?);
    let template = node.template(HandshakeKind::Leave, &room_id, &user, &request.origin, None).await?;
    Ok(Answer(json!({"event": template.event, "room_version": template.room_version})))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let path = Paths::stable("/_matrix/federation/v1/make_leave/{room}/{user}".to_owned());
    Endpoint::new::<EnclosedTemplate>(Method::GET, path, "12.7.2.2.1", "A template for leaving").refuses([
        ApiError::not_found(""),
        ApiError::wrong_server(""),
        ApiError::forbidden(""),
    ])
}
