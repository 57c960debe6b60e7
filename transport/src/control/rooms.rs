//! Creating rooms and looking at them.

use axum::extract::State;
use mimi_linearized::json::Object;
use mimi_mls::Suite;
use serde_json::{Value, json};

use super::{finish, optional_text, take_object, text, user};
use crate::api::serve::{Member, RawAnswer};
use crate::api::{Answer, JsonBody, PathParams};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::NewRoom;

/// `POST /rooms`
pub(super) async fn create(State(node): State<Node>, JsonBody(body): JsonBody) -> Result<Answer, ApiError> {
    let new = parse(&node, body)?;
    let room_id = finish(async move { Ok(node.create_room(new).await?) }).await?;
    Ok(Answer(json!({"room_id": room_id})))
}

fn parse(node: &Node, mut body: Object) -> Result<NewRoom, ApiError> {
    let encryption = match body.get("encrypted") {
        None | Some(Value::Null | Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(Suite::MANDATORY.room_algorithm().to_owned()),
        Some(Value::String(algorithm)) => Some(algorithm.clone()),
        Some(_) => {
            return Err(ApiError::bad_json("`encrypted` must be a boolean or the name of an algorithm"));
        }
    };
    let initial_state = match body.remove("initial_state") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(events)) => events.into_iter().map(state_event).collect::<Result<_, _>>()?,
        Some(_) => return Err(ApiError::bad_json("`initial_state` must be an array")),
    };
    let power_levels = take_object(&mut body, "power_levels")?;
    let optional = |field| Ok::<_, ApiError>(optional_text(&body, field)?.map(ToOwned::to_owned));
    Ok(NewRoom {
        creator: user(node, text(&body, "creator")?)?,
        room_version: optional("room_version")?,
        join_rule: optional("join_rule")?,
        room_type: optional("type")?,
        history_visibility: optional("history_visibility")?,
        name: optional("name")?,
        topic: optional("topic")?,
        encryption,
        power_levels,
        initial_state,
    })
}

fn state_event(event: Value) -> Result<(String, String, Object), ApiError> {
    let Value::Object(mut event) = event else {
        return Err(ApiError::bad_json("`initial_state` must be an array of objects"));
    };
    let content = take_object(&mut event, "content")?;
    let state_key = optional_text(&event, "state_key")?.unwrap_or_default().to_owned();
    Ok((text(&event, "type")?.to_owned(), state_key, content))
}

/// `GET /rooms/{room}`
pub(super) async fn show(State(node): State<Node>, path: PathParams) -> Result<Answer, ApiError> {
    let room_id = path.room()?;
    let room = node.summary(&room_id).await?.ok_or_else(|| ApiError::not_found("no such room"))?;
    let mut answer = json!({
        "room_id": room_id,
        "hub": room.hub,
        "head": room.head,
        "length": room.length,
        "members": room.members,
    });
    if let (Some(answer), Some(epoch)) = (answer.as_object_mut(), room.mls_epoch) {
        answer.insert("mls_epoch".to_owned(), json!(epoch));
    }
    if let (Some(answer), true) = (answer.as_object_mut(), room.disputed) {
        answer.insert("disputed".to_owned(), json!(true));
    }
    Ok(Answer(answer))
}

/// `GET /rooms/{room}/state`
pub(super) async fn state(State(node): State<Node>, path: PathParams) -> Result<RawAnswer, ApiError> {
    let state =
        node.current_state(&path.room()?).await?.ok_or_else(|| ApiError::not_found("no such room"))?;
    Ok(RawAnswer::of_members(&[("events", Member::Events(&state))]))
}
