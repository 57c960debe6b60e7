//! What `make_join`, `make_leave` and `make_knock` have in common (LM-04 §12.7.1, reading R22).

use http::Method;
use mimi_linearized::id::{RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use serde_json::Value;

use super::{Paths, ask, make_join, make_knock, make_leave};
use crate::node::Node;
use crate::rooms::{HandshakeKind, RoomError, Template};

/// The query that names the room versions this server implements.
pub(super) fn versions_query(node: &Node) -> String {
    let versions: Vec<String> =
        node.versions.ids().map(|id| format!("ver={}", super::segment(id.as_str()))).collect();
    versions.join("&")
}

/// Asks a hub for a template, and takes it in either form: at the top level, or under `event`.
///
/// # Errors
/// [`RoomError`] if the hub refuses, or does not answer with a template.
pub async fn call(
    node: &Node,
    kind: HandshakeKind,
    server: &ServerName,
    room_id: &RoomId,
    user: &UserId,
) -> Result<Template, RoomError> {
    let path = match kind {
        HandshakeKind::Join => make_join::path(node, room_id, user),
        HandshakeKind::Leave => make_leave::path(room_id, user),
        HandshakeKind::Knock => make_knock::path(node, room_id, user),
    };
    let mut answer = ask(node, server, Method::GET, &Paths::stable(path), None).await?;
    let room_version = match answer.remove("room_version") {
        Some(Value::String(version)) => version,
        _ => node.versions.default_version().id.to_string(),
    };
    let event = match answer.remove("event") {
        Some(Value::Object(event)) => event,
        _ => answer,
    };
    Ok(Template { event, room_version })
}

/// The answer that carries a template both ways.
pub(super) fn both_forms(template: Template) -> Value {
    let mut answer: Object = template.event.clone();
    answer.insert("event".to_owned(), Value::Object(template.event));
    answer.insert("room_version".to_owned(), Value::String(template.room_version));
    Value::Object(answer)
}
