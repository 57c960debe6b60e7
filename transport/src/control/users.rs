//! What users' devices ask for: key packages, device objects, messages, and their inbox.

use axum::extract::State;
use mimi_linearized::id::{DeviceId, UserId};
use serde_json::{Value, json};

use super::events::number;
use super::{finish, object, text, user};
use crate::api::serve::{Member, RawAnswer};
use crate::api::{Answer, JsonBody, PathParams, QueryParams};
use crate::edus::ToDevice;
use crate::error::ApiError;
use crate::node::Node;

/// How many items of an inbox an answer has.
const INBOX_LIMIT: usize = 1_000;

/// The user in a path, who has to be this server's.
pub(super) fn local_user(node: &Node, path: &PathParams) -> Result<UserId, ApiError> {
    let user = user(node, path.text("user"))?;
    if node.is_local(&user) {
        Ok(user)
    } else {
        Err(ApiError::not_found("the user belongs to another server"))
    }
}

/// `POST /users/{user}/claim`
pub(super) async fn claim(
    State(node): State<Node>,
    path: PathParams,
    JsonBody(mut body): JsonBody,
) -> Result<Answer, ApiError> {
    local_user(&node, &path)?;
    let wanted = object(&mut body, "one_time_keys")?;
    let claimed = finish(async move { Ok(node.claim(&wanted).await?) }).await?;
    Ok(Answer(json!({"one_time_keys": claimed})))
}

/// `GET /users/{user}/devices/{target}/{device}`
pub(super) async fn device(State(node): State<Node>, path: PathParams) -> Result<Answer, ApiError> {
    local_user(&node, &path)?;
    let target = user(&node, path.text("target"))?;
    let object = node.device(&target, &path.device()?).await?;
    object.map(|object| Answer(Value::Object(object))).ok_or_else(|| ApiError::not_found("no such device"))
}

/// `POST /users/{user}/to-device`
pub(super) async fn send_to_device(
    State(node): State<Node>,
    path: PathParams,
    JsonBody(mut body): JsonBody,
) -> Result<Answer, ApiError> {
    let sender = local_user(&node, &path)?;
    let message = object(&mut body, "message")?;
    let target = user(&node, text(&body, "target")?)?;
    let target_device = DeviceId::parse(text(&body, "target_device")?)
        .map_err(|error| ApiError::bad_json(format!("`target_device`: {error}")))?;
    let message_type = text(&body, "message_type")?.to_owned();
    let message = ToDevice { target, target_device, message_type, message };
    finish(async move { Ok(node.send_to_device(&sender, message).await?) }).await?;
    Ok(Answer(json!({})))
}

/// `GET /users/{user}/inbox`
pub(super) async fn inbox(
    State(node): State<Node>,
    path: PathParams,
    query: QueryParams,
) -> Result<RawAnswer, ApiError> {
    let user = local_user(&node, &path)?;
    let from = number(&query, "from")?.unwrap_or(0);
    let items = node.inbox(&user, from, INBOX_LIMIT).await?;
    let more = items.len() == INBOX_LIMIT;
    let next = items.last().filter(|_| more).map(|(place, _)| place.saturating_add(1));
    let next = next.map_or_else(|| "null".to_owned(), |next| next.to_string());
    let items: Vec<_> = items.into_iter().map(|(_, item)| item).collect();
    Ok(RawAnswer::of_members(&[("items", Member::Events(&items)), ("next", Member::Event(next.as_bytes()))]))
}
