//! What users say in passing: that they write, have read, are there (reading R45).

use axum::extract::State;
use mimi_linearized::id::EventId;
use mimi_linearized::json::{Object, as_integer};
use serde_json::{Value, json};

use super::users::local_user;
use super::{finish, optional_text, text, user};
use crate::api::{Answer, JsonBody, PathParams};
use crate::clock;
use crate::edus::{Ephemeral, Presence, PresenceState, Receipt, Typing};
use crate::error::ApiError;
use crate::node::Node;

/// A boolean in a body.
fn flag(body: &Object, field: &str) -> Result<Option<bool>, ApiError> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(ApiError::bad_json(format!("`{field}` must be a boolean"))),
    }
}

/// `POST /unstable/org.mimi-interop.ephemeral/rooms/{room}/typing`
pub(super) async fn typing(
    State(node): State<Node>,
    path: PathParams,
    JsonBody(body): JsonBody,
) -> Result<Answer, ApiError> {
    let sender = user(&node, text(&body, "sender")?)?;
    let typing = flag(&body, "typing")?.ok_or_else(|| ApiError::bad_json("`typing` is missing"))?;
    let said = Ephemeral::Typing(Typing { room_id: path.room()?, typing });
    finish(async move { Ok(node.say_in_passing(&sender, said).await?) }).await?;
    Ok(Answer(json!({})))
}

/// `POST /unstable/org.mimi-interop.ephemeral/rooms/{room}/receipt`
pub(super) async fn receipt(
    State(node): State<Node>,
    path: PathParams,
    JsonBody(body): JsonBody,
) -> Result<Answer, ApiError> {
    let sender = user(&node, text(&body, "sender")?)?;
    let event_id = EventId::parse(text(&body, "event_id")?)
        .map_err(|error| ApiError::bad_json(format!("`event_id`: {error}")))?;
    let thread_id = optional_text(&body, "thread_id")?.map(ToOwned::to_owned);
    let (room_id, ts) = (path.room()?, clock::now_ms());
    let said = Ephemeral::Receipt(Receipt { room_id, event_ids: vec![event_id], thread_id, ts });
    finish(async move { Ok(node.say_in_passing(&sender, said).await?) }).await?;
    Ok(Answer(json!({})))
}

/// `POST /unstable/org.mimi-interop.ephemeral/users/{user}/presence`
pub(super) async fn presence(
    State(node): State<Node>,
    path: PathParams,
    JsonBody(body): JsonBody,
) -> Result<Answer, ApiError> {
    let sender = local_user(&node, &path)?;
    let state = PresenceState::parse(text(&body, "presence")?)
        .ok_or_else(|| ApiError::bad_json("`presence` is `online`, `offline` or `unavailable`"))?;
    let last_active_ago = match body.get("last_active_ago") {
        None | Some(Value::Null) => 0,
        Some(ago) => as_integer(ago)
            .and_then(|ago| u64::try_from(ago).ok())
            .ok_or_else(|| ApiError::bad_json("`last_active_ago` must be a number of milliseconds"))?,
    };
    let status = optional_text(&body, "status_msg")?.map(ToOwned::to_owned);
    let currently_active = flag(&body, "currently_active")?.unwrap_or_default();
    let said = Ephemeral::Presence(Presence { state, last_active_ago, status, currently_active });
    finish(async move { Ok(node.say_in_passing(&sender, said).await?) }).await?;
    Ok(Answer(json!({})))
}
