//! Sending events and reading a room's list.

use axum::extract::State;

use super::{finish, object, optional_text, sent, text, user};
use crate::api::serve::{Member, RawAnswer};
use crate::api::{Answer, JsonBody, PathParams, QueryParams};
use crate::error::ApiError;
use crate::node::Node;

/// How many events an answer has unless the caller wants fewer.
const DEFAULT_LIMIT: usize = 1_000;

/// `POST /rooms/{room}/events`
pub(super) async fn send(
    State(node): State<Node>,
    path: PathParams,
    JsonBody(mut body): JsonBody,
) -> Result<Answer, ApiError> {
    let room_id = path.room()?;
    let content = object(&mut body, "content")?;
    let sender = user(&node, text(&body, "sender")?)?;
    let kind = text(&body, "type")?.to_owned();
    let state_key = optional_text(&body, "state_key")?.map(ToOwned::to_owned);
    let work = async move { Ok(node.send_event(&room_id, &sender, &kind, state_key, content).await?) };
    Ok(sent(&finish(work).await?))
}

/// `GET /rooms/{room}/events`
pub(super) async fn list(
    State(node): State<Node>,
    path: PathParams,
    query: QueryParams,
) -> Result<RawAnswer, ApiError> {
    let from = number(&query, "from")?.unwrap_or(0);
    let limit = number(&query, "limit")?.map_or(Ok(DEFAULT_LIMIT), usize::try_from);
    let limit = limit.map_err(|_| ApiError::bad_json("`limit` is too large"))?.min(DEFAULT_LIMIT);
    let list = node.list(&path.room()?, from, limit).await?;
    let (events, next) = list.ok_or_else(|| ApiError::not_found("no such room"))?;
    let next = next.map_or_else(|| "null".to_owned(), |next| next.to_string());
    Ok(RawAnswer::of_members(&[
        ("events", Member::Events(&events)),
        ("next", Member::Event(next.as_bytes())),
    ]))
}

/// A number in a query.
pub(super) fn number(query: &QueryParams, name: &str) -> Result<Option<u64>, ApiError> {
    let parsed = query.first(name).map(str::parse).transpose();
    parsed.map_err(|_| ApiError::bad_json(format!("`{name}` must be a number from 0")))
}
