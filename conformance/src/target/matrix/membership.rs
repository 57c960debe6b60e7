//! Joins, leaves, invites, kicks, bans and knocks.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use http::Method;
use serde_json::{Map, Value, json};

use super::client::{CallError, Homeserver};
use super::timeline::timeline;
use super::{Answer, Driver, Failed, required, text};
use crate::target::segment;

/// `POST /rooms/{room}/membership`
pub(super) async fn change(
    State(driver): State<Arc<Driver>>,
    Path(room): Path<String>,
    Json(asked): Json<Value>,
) -> Answer {
    let homeserver = &driver.homeserver;
    let session = homeserver.session(required(&asked, "sender")?).await?;
    let target = homeserver.user_id(required(&asked, "target")?);
    let own = target == session.user_id;
    let membership = required(&asked, "membership")?;
    let via: Vec<&str> = match asked.get("via") {
        Some(Value::Array(servers)) => servers.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let path = match (membership, own) {
        ("join", true) => by_way_of("join", &room, &via),
        ("knock", true) => by_way_of("knock", &room, &via),
        ("leave", true) => Homeserver::room_path(&room, "leave"),
        ("leave", false) if is_banned(&driver, &room, &target).await => Homeserver::room_path(&room, "unban"),
        ("leave", false) => Homeserver::room_path(&room, "kick"),
        ("invite", _) => Homeserver::room_path(&room, "invite"),
        ("ban", _) => Homeserver::room_path(&room, "ban"),
        _ => return Err(Failed(no_way(membership))),
    };
    let mut body = Map::new();
    if !own || matches!(membership, "invite" | "ban") {
        body.insert("user_id".to_owned(), json!(target));
    }
    if let Some(reason) = asked.get("reason") {
        body.insert("reason".to_owned(), reason.clone());
    }
    homeserver.call(Some(&session), Method::POST, &path, Some(&Value::Object(body))).await?;
    if own && membership == "join" {
        driver.came(&room, &session.user_id);
    }
    Ok(Json(json!({"event_id": event_of(&driver, &room, &target).await, "lpdu_id": null})))
}

fn by_way_of(what: &str, room: &str, via: &[&str]) -> String {
    // Both the present name of the parameter and the one before it.
    let servers: Vec<String> = via
        .iter()
        .flat_map(|server| ["via", "server_name"].map(|name| format!("{name}={}", segment(server))))
        .collect();
    format!("/_matrix/client/v3/{what}/{}?{}", segment(room), servers.join("&"))
}

async fn member(driver: &Driver, room: &str, user: &str) -> Option<Value> {
    let events = timeline(driver, room).await.ok()?;
    let is = |event: &&Value| {
        text(event, "type") == Some("m.room.member") && text(event, "state_key") == Some(user)
    };
    events.iter().rev().find(is).cloned()
}

async fn is_banned(driver: &Driver, room: &str, user: &str) -> bool {
    let event = member(driver, room, user).await;
    event.is_some_and(|event| {
        event.get("content").and_then(|content| text(content, "membership")) == Some("ban")
    })
}

/// The client-server API does not say which event a change of membership has become: the last one of that user is it.
async fn event_of(driver: &Driver, room: &str, user: &str) -> Option<String> {
    text(&member(driver, room, user).await?, "event_id").map(str::to_owned)
}

fn no_way(membership: &str) -> CallError {
    let error = format!("a Matrix client cannot set the membership {membership:?} of this user");
    let body = json!({"errcode": "M_UNRECOGNIZED", "error": error});
    CallError::Refused { status: StatusCode::NOT_IMPLEMENTED, body }
}
