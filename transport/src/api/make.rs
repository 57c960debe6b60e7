//! What `make_join`, `make_leave` and `make_knock` have in common (LM-04 §12.7.1, reading R22).

use http::Method;
use mimi_linearized::id::{RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_linearized::version::RoomVersions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::openapi::Endpoint;
use super::shapes::PartialLpdu;
use super::{Paths, failed};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::{HandshakeKind, RoomError, Template};

/// A template, at the top level and under `event`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OpenTemplate {
    /// At the top level.
    #[serde(flatten)]
    pub fields: PartialLpdu,
    /// The same.
    pub event: PartialLpdu,
    /// The room's version.
    pub room_version: String,
}

/// A template under `event`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnclosedTemplate {
    /// The template.
    pub event: PartialLpdu,
    /// The room's version.
    pub room_version: String,
}

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

/// How the endpoints are described that make a template for coming into a room.
pub(super) fn describe(kind: HandshakeKind, section: &'static str, summary: &'static str) -> Endpoint {
    let membership = kind.membership();
    let path = Paths::stable(format!("/_matrix/federation/v1/make_{membership}/{{room}}/{{user}}"));
    Endpoint::new::<OpenTemplate>(Method::GET, path, section, summary)
        .query::<Vec<String>>("ver", "The room versions that the caller implements; repeated.")
        .refuses([
            ApiError::not_found(""),
            ApiError::wrong_server(""),
            ApiError::incompatible_room_version(""),
            ApiError::forbidden(""),
        ])
}
