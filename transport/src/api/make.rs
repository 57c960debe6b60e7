//! What `make_join`, `make_leave` and `make_knock` have in common (LM-04 §12.7.1, reading R22).

use mimi_linearized::id::{RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_linearized::version::RoomVersions;
use serde_json::Value;

use super::failed;
use crate::node::Node;
use crate::rooms::{HandshakeKind, RoomError, Template};

/// The query that names the room versions that the caller implements.
pub(super) fn versions_query(versions: &RoomVersions) -> String {
    let versions: Vec<String> =
        versions.ids().map(|id| format!("ver={}", super::segment(id.as_str()))).collect();
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
    let template = node.client.make(kind, server, room_id, user, &node.versions).await;
    template.map_err(failed(server))
}

/// The answer that carries a template both ways.
pub(super) fn both_forms(template: Template) -> Value {
    let mut answer: Object = template.event.clone();
    answer.insert("event".to_owned(), Value::Object(template.event));
    answer.insert("room_version".to_owned(), Value::String(template.room_version));
    Value::Object(answer)
}
