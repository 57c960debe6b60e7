//! Who may invite a user (reading R50).

use axum::extract::State;

use super::finish;
use super::users::local_user;
use crate::api::{Answer, JsonBody, PathParams};
use crate::error::ApiError;
use crate::node::Node;
use crate::policy::InvitePermissions;

/// `GET /users/{user}/permissions`
pub(super) async fn show(State(node): State<Node>, path: PathParams) -> Result<Answer, ApiError> {
    let user = local_user(&node, &path)?;
    Ok(Answer(node.invite_permissions(&user).await?.to_json()))
}

/// `PUT /users/{user}/permissions`
pub(super) async fn set(
    State(node): State<Node>,
    path: PathParams,
    JsonBody(body): JsonBody,
) -> Result<Answer, ApiError> {
    let user = local_user(&node, &path)?;
    let permissions =
        InvitePermissions::read(&body).map_err(|error| ApiError::bad_json(error.to_string()))?;
    let answer = permissions.to_json();
    finish(async move { Ok(node.set_invite_permissions(&user, &permissions).await?) }).await?;
    Ok(Answer(answer))
}
