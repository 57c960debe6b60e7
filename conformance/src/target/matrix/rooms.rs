//! Rooms and their events.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use http::Method;
use mimi_mls::Suite;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::{CallError, Homeserver};
use super::timeline::timeline;
use super::{Answer, Driver, Failed, required, text};
use crate::target::segment;

/// How many events a page of the list has, unless the reader says otherwise.
const PAGE: usize = 1_000;

/// `POST /rooms`
pub(super) async fn create(State(driver): State<Arc<Driver>>, Json(asked): Json<Value>) -> Answer {
    let session = driver.homeserver.session(required(&asked, "creator")?).await?;
    let body = creation(&asked);
    let path = "/_matrix/client/v3/createRoom";
    let answer = driver.homeserver.call(Some(&session), Method::POST, path, Some(&body)).await?;
    let room = text(&answer, "room_id").ok_or(CallError::Lacks("room_id"))?;
    driver.came(room, &session.user_id);
    Ok(Json(json!({"room_id": room})))
}

/// The body of `createRoom` for a new room as the control API has it.
pub(super) fn creation(asked: &Value) -> Value {
    let mut body = Map::new();
    body.insert("preset".to_owned(), json!("private_chat"));
    body.insert("visibility".to_owned(), json!("private"));
    let version = asked.get("room_version").cloned().unwrap_or_else(|| json!("I.1"));
    body.insert("room_version".to_owned(), version);
    for (from, to) in [("name", "name"), ("topic", "topic"), ("power_levels", "power_level_content_override")]
    {
        if let Some(value) = asked.get(from) {
            body.insert(to.to_owned(), value.clone());
        }
    }
    let mut state = Vec::new();
    for (field, kind) in
        [("join_rule", "m.room.join_rules"), ("history_visibility", "m.room.history_visibility")]
    {
        if let Some(value) = asked.get(field) {
            state.push(json!({"type": kind, "state_key": "", "content": {field: value}}));
        }
    }
    if let Some(Value::Array(more)) = asked.get("initial_state") {
        state.extend(more.iter().cloned());
    }
    body.insert("initial_state".to_owned(), Value::Array(state));
    let algorithm = match asked.get("encrypted") {
        Some(Value::Bool(true)) => Some(json!(Suite::MANDATORY.room_algorithm())),
        Some(Value::String(name)) => Some(json!(name)),
        _ => None,
    };
    let mut content = Map::new();
    if let Some(algorithm) = algorithm {
        content.insert("encryption".to_owned(), json!({"algorithm": algorithm}));
    }
    if let Some(room_type) = asked.get("type") {
        content.insert("type".to_owned(), room_type.clone());
    }
    if !content.is_empty() {
        body.insert("creation_content".to_owned(), Value::Object(content));
    }
    Value::Object(body)
}

/// `POST /rooms/{room}/events`
pub(super) async fn send(
    State(driver): State<Arc<Driver>>,
    Path(room): Path<String>,
    Json(asked): Json<Value>,
) -> Answer {
    let session = driver.homeserver.session(required(&asked, "sender")?).await?;
    let kind = segment(required(&asked, "type")?).to_string();
    let rest = match text(&asked, "state_key") {
        Some(key) => format!("state/{kind}/{}", utf8_percent_encode(key, NON_ALPHANUMERIC)),
        None => format!("send/{kind}/{}", driver.homeserver.transaction()),
    };
    let content = asked.get("content").cloned().unwrap_or_else(|| json!({}));
    let path = Homeserver::room_path(&room, &rest);
    let answer = driver.homeserver.call(Some(&session), Method::PUT, &path, Some(&content)).await?;
    let id = text(&answer, "event_id").ok_or(CallError::Lacks("event_id"))?;
    Ok(Json(json!({"event_id": id, "lpdu_id": null})))
}

/// Which part of a list is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    from: Option<usize>,
    limit: Option<usize>,
}

/// `GET /rooms/{room}/events`
pub(super) async fn list(
    State(driver): State<Arc<Driver>>,
    Path(room): Path<String>,
    Query(part): Query<Part>,
) -> Answer {
    let events = timeline(&driver, &room).await?;
    let (from, limit) = (part.from.unwrap_or_default(), part.limit.unwrap_or(PAGE));
    let page: Vec<&Value> = events.iter().skip(from).take(limit).collect();
    let end = from.saturating_add(page.len());
    let next = (end < events.len() && !page.is_empty()).then_some(end);
    Ok(Json(json!({"events": page, "next": next})))
}

/// `GET /rooms/{room}/state`
pub(super) async fn state(State(driver): State<Arc<Driver>>, Path(room): Path<String>) -> Answer {
    Ok(Json(json!({"events": current(&driver, &room).await?})))
}

/// `GET /rooms/{room}`
pub(super) async fn show(State(driver): State<Arc<Driver>>, Path(room): Path<String>) -> Answer {
    let state = current(&driver, &room).await?;
    let events = timeline(&driver, &room).await?;
    let creator = state.iter().find(|event| text(event, "type") == Some("m.room.create"));
    let hub = creator.and_then(|create| text(create, "sender")?.split_once(':')).map(|(_, server)| server);
    let members: Map<String, Value> = state
        .iter()
        .filter(|event| text(event, "type") == Some("m.room.member"))
        .filter_map(|event| {
            let membership = event.get("content")?.get("membership")?.clone();
            Some((text(event, "state_key")?.to_owned(), membership))
        })
        .collect();
    let head = events.last().and_then(|event| text(event, "event_id"));
    Ok(Json(json!({
        "room_id": room, "hub": hub, "head": head, "length": events.len(), "members": members,
    })))
}

async fn current(driver: &Driver, room: &str) -> Result<Vec<Value>, Failed> {
    let path = Homeserver::room_path(room, "state");
    let mut refusal = unknown();
    for user in driver.who_knows(room) {
        let session = driver.homeserver.session(&user).await?;
        match driver.homeserver.call(Some(&session), Method::GET, &path, None).await {
            Ok(Value::Array(events)) => return Ok(events),
            Ok(_) => return Err(Failed(CallError::Lacks("state"))),
            Err(error) => refusal = error,
        }
    }
    Err(Failed(refusal))
}

/// Nobody of the homeserver is known to have been in a room.
pub(super) fn unknown() -> CallError {
    let body = json!({"errcode": "M_NOT_FOUND", "error": "no user of the homeserver was seen in this room"});
    CallError::Refused { status: StatusCode::NOT_FOUND, body }
}
