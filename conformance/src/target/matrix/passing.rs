//! What a user is sent apart from rooms' lists: invites, and messages to devices.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::{Path, Query, State};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Driver, required, text};
use crate::target::segment;

/// A user's inbox: a log, as the control API has it.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    items: Vec<Value>,
    /// Where the homeserver goes on.
    since: Option<String>,
    /// The invites that are in it, as they came.
    invites: HashSet<String>,
}

/// From where on an inbox is read.
#[derive(Debug, Deserialize)]
pub(super) struct From {
    from: Option<usize>,
}

/// `GET /users/{user}/inbox`
pub(super) async fn inbox(
    State(driver): State<Arc<Driver>>,
    Path(user): Path<String>,
    Query(from): Query<From>,
) -> Answer {
    let session = driver.homeserver.session(&user).await?;
    let since = {
        let inboxes = driver.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes.get(&session.user_id).and_then(|inbox| inbox.since.clone())
    };
    let filter = json!({"presence": {"types": []}, "room": {"timeline": {"limit": 1}}}).to_string();
    let mut path = format!("/_matrix/client/v3/sync?timeout=0&filter={}", segment(&filter));
    if let Some(since) = &since {
        path.push_str(&format!("&since={}", segment(since)));
    }
    let answer = driver.homeserver.call(Some(&session), Method::GET, &path, None).await?;
    let mut inboxes = driver.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
    let inbox = inboxes.entry(session.user_id.clone()).or_default();
    // Two readers at once are answered the same: the first one keeps it.
    if inbox.since == since {
        inbox.take(&answer, &session.user_id);
    }
    let items = inbox.items.get(from.from.unwrap_or_default()..).unwrap_or_default();
    Ok(Json(json!({"items": items, "next": inbox.items.len()})))
}

impl Inbox {
    fn take(&mut self, answer: &Value, user: &str) {
        self.since = text(answer, "next_batch").map(str::to_owned);
        if let Some(Value::Object(rooms)) = answer.get("rooms").and_then(|rooms| rooms.get("invite")) {
            for (room, invite) in rooms {
                self.invited(room, invite, user);
            }
        }
        if let Some(Value::Array(events)) = answer.get("to_device").and_then(|part| part.get("events")) {
            self.items.extend(events.iter().map(|event| {
                json!({
                    "type": "to_device", "sender": event.get("sender"),
                    "message_type": event.get("type"), "message": event.get("content"),
                })
            }));
        }
    }

    fn invited(&mut self, room: &str, invite: &Value, user: &str) {
        let state = invite.get("invite_state").and_then(|state| state.get("events"));
        let events = state.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let own = events.iter().find(|event| {
            text(event, "type") == Some("m.room.member") && text(event, "state_key") == Some(user)
        });
        let Some(own) = own.filter(|event| self.invites.insert(format!("{room} {event}"))) else { return };
        let create = events.iter().find(|event| text(event, "type") == Some("m.room.create"));
        let version = create.and_then(|create| create.get("content")?.get("room_version"));
        self.items.push(json!({
            "type": "invite", "room_id": room, "event": own, "invite_room_state": events,
            "room_version": version,
        }));
    }
}

/// `POST /users/{user}/to-device`
pub(super) async fn to_device(
    State(driver): State<Arc<Driver>>,
    Path(user): Path<String>,
    Json(asked): Json<Value>,
) -> Answer {
    let homeserver = &driver.homeserver;
    let session = homeserver.session(&user).await?;
    let kind = segment(required(&asked, "message_type")?).to_string();
    let (target, device) = (required(&asked, "target")?, required(&asked, "target_device")?);
    let body = json!({"messages": {target: {device: asked.get("message")}}});
    let path = format!("/_matrix/client/v3/sendToDevice/{kind}/{}", homeserver.transaction());
    homeserver.call(Some(&session), Method::PUT, &path, Some(&body)).await?;
    Ok(Json(json!({})))
}
