//! The control API: how a conformance suite, or anybody on the same machine, drives this server.
//!
//! It is described in `conformance/control-api.yaml`, so that other servers can offer it too. It has no authentication
//! and belongs on a loopback address.

mod administration;
mod apart;
mod content;
mod devices;
mod ephemeral;
mod events;
mod invites;
mod media;
mod membership;
mod probes;
mod rooms;
mod users;

use std::future::Future;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use mimi_linearized::id::UserId;
use mimi_linearized::json::Object;
use serde_json::{Value, json};
use tracing::Instrument as _;

use crate::api::Answer;
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::Sent;
use crate::telemetry::{Side, observe};

/// All endpoints of the control API.
pub fn router(node: Node) -> Router {
    let api = Router::new()
        .route("/rooms", post(rooms::create))
        .route("/rooms/{room}", get(rooms::show))
        .route("/rooms/{room}/state", get(rooms::state))
        .route("/rooms/{room}/events", get(events::list).post(events::send))
        .route("/rooms/{room}/membership", post(membership::change))
        .route("/devices", post(devices::publish))
        .route("/devices/{user}/{device}", delete(devices::remove))
        .route("/users/{user}/claim", post(users::claim))
        .route("/users/{user}/devices/{target}/{device}", get(users::device))
        .route("/users/{user}/to-device", post(users::send_to_device))
        .route("/users/{user}/inbox", get(users::inbox));
    let large_rooms = Router::new()
        .route("/rooms/{room}/message", post(apart::hand_in))
        .route("/message/{event}", get(apart::message))
        .route("/tree/{event}", get(apart::tree));
    let ephemeral = Router::new()
        .route("/rooms/{room}/typing", post(ephemeral::typing))
        .route("/rooms/{room}/receipt", post(ephemeral::receipt))
        .route("/users/{user}/presence", post(ephemeral::presence));
    let administration = Router::new().route("/rotate-key", post(administration::rotate_key));
    let invites = Router::new().route("/users/{user}/permissions", get(invites::show).put(invites::set));
    let media = Router::new()
        .route("/users/{user}/media", get(media::list).post(media::upload))
        .route("/users/{user}/media/{media}", delete(media::delete))
        .route("/media/{server}/{media}", get(media::get));
    let api = api
        .nest("/unstable/org.mimi-interop.administration", administration)
        .nest("/unstable/org.mimi-interop.large-rooms", large_rooms)
        .nest("/unstable/org.mimi-interop.ephemeral", ephemeral)
        .nest("/unstable/org.mimi-interop.media", media)
        .nest("/unstable/org.mimi-interop.invites", invites)
        .route("/unstable/org.mimi-interop.content/render", post(content::render));
    Router::new()
        .nest("/control/v1", api)
        .merge(probes::router())
        .fallback(|| async { ApiError::unrecognized() })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(from_fn_with_state((node.clone(), Side::Control), observe))
        .with_state(node)
}

/// Does something to the end, even if the caller hangs up.
async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work.in_current_span())
        .await
        .unwrap_or_else(|_| Err(ApiError::unknown("the request could not be processed")))
}

/// A user of this server by localpart, or any user by id.
fn user(node: &Node, text: &str) -> Result<UserId, ApiError> {
    let user = if text.starts_with('@') { UserId::parse(text) } else { UserId::new(text, &node.name) };
    user.map_err(|error| {
        ApiError::bad_json(format!("{text:?} is neither a localpart nor a user id: {error}"))
    })
}

/// A string in a body that has to be there.
fn text<'b>(body: &'b Object, field: &str) -> Result<&'b str, ApiError> {
    optional_text(body, field)?.ok_or_else(|| ApiError::bad_json(format!("`{field}` is missing")))
}

/// A string in a body, or nothing.
fn optional_text<'b>(body: &'b Object, field: &str) -> Result<Option<&'b str>, ApiError> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ApiError::bad_json(format!("`{field}` must be a string"))),
    }
}

/// Takes an object out of a body that has to be there.
fn object(body: &mut Object, field: &str) -> Result<Object, ApiError> {
    if !body.contains_key(field) {
        return Err(ApiError::bad_json(format!("`{field}` is missing")));
    }
    take_object(body, field)
}

/// Takes an object out of a body; one that is missing is empty.
fn take_object(body: &mut Object, field: &str) -> Result<Object, ApiError> {
    match body.remove(field) {
        None | Some(Value::Null) => Ok(Object::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(ApiError::bad_json(format!("`{field}` must be an object"))),
    }
}

/// The answer to whatever sends an event.
fn sent(sent: &Sent) -> Answer {
    Answer(match sent {
        Sent::Event(id) => json!({"event_id": id, "lpdu_id": null}),
        Sent::Lpdu(id) => json!({"event_id": null, "lpdu_id": id}),
    })
}
