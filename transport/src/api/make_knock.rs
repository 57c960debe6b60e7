//! `GET /_matrix/federation/v1/make_knock/:roomId/:userId` (LM-04 §12.7.4.1): a template for knocking.
//!
//! What is required of it: `LM-04/12.7.4.1/1` to `LM-04/12.7.4.1/7`.

use axum::extract::State;
use mimi_linearized::id::{RoomId, UserId};
use mimi_linearized::version::RoomVersions;

use super::openapi::Endpoint;
use super::{Answer, Authenticated, PathParams, QueryParams, make, segment};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::HandshakeKind;

/// The path of a template, with the room versions that the caller implements.
#[must_use]
pub fn path(versions: &RoomVersions, room_id: &RoomId, user: &UserId) -> String {
    let (room_id, user) = (segment(room_id.as_str()), segment(user.as_str()));
    format!("/_matrix/federation/v1/make_knock/{room_id}/{user}?{}", make::versions_query(versions))
}

/// Answers with a template, at the top level and under `event`.
///
/// # Errors
/// `M_BAD_JSON` without `ver`, then `M_NOT_FOUND`, `M_WRONG_SERVER`, `M_INCOMPATIBLE_ROOM_VERSION` or `M_FORBIDDEN`.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    query: QueryParams,
    request: Authenticated,
) -> Result<Answer, ApiError> {
    query.required("ver")?;
    let (room_id, user, versions) = (path.room()?, path.user()?, query.all("ver"));
    let template =
        node.template(HandshakeKind::Knock, &room_id, &user, &request.origin, Some(&versions)).await?;
    Ok(Answer(make::both_forms(template)))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    make::describe(HandshakeKind::Knock, "12.7.4.1", "A template for knocking")
}
