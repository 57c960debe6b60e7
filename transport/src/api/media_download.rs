//! `GET /_matrix/federation/v1/media/download/:mediaId` (reading R51): an item of this server's users.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method};
use mimi_linearized::id::ServerName;

use super::openapi::Endpoint;
use super::{Authenticated, PathParams, Paths, segment};
use crate::client::{ClientError, FederationClient};
use crate::error::ApiError;
use crate::media::{MediaId, MxcUri};
use crate::node::Node;

/// The prefix of the path that servers have which keep to the draft's paths alone.
pub const MEDIA_PREFIX: &str = "/_matrix/federation/unstable/org.mimi-interop.media";

/// The paths of an item: that of Matrix 1.11, and an unstable one.
#[must_use]
pub fn paths(id: &MediaId) -> Paths {
    of(&segment(id.as_str()))
}

fn of(id: &str) -> Paths {
    Paths {
        stable: format!("/_matrix/federation/v1/media/download/{id}"),
        unstable: Some(format!("{MEDIA_PREFIX}/download/{id}")),
    }
}

/// The templates of the paths.
pub(super) fn templates() -> Paths {
    of("{media}")
}

/// Answers with the item as `multipart/mixed`: JSON, and then its bytes.
///
/// # Errors
/// `M_NOT_FOUND`, `MCS_MEDIA_NOT_CLEAN`, `M_NOT_YET_UPLOADED` if it was not scanned.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    _request: Authenticated,
) -> Result<Response, ApiError> {
    // What cannot be an id is not there; it never becomes a path.
    let id =
        MediaId::parse(path.text("media")).ok_or_else(|| ApiError::not_found("there is no such item"))?;
    Ok(node.media.own(&id).await?.into_multipart())
}

/// Asks a server for an item. Its body is still to come, and is not checked here.
///
/// # Errors
/// [`ClientError`] if the server does not answer with success.
pub async fn call(
    client: &FederationClient,
    uri: &MxcUri,
    patience: Duration,
) -> Result<(HeaderMap, Body), ClientError> {
    let server: &ServerName = &uri.server;
    client.download(server, &paths(&uri.id), patience).await
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    Endpoint::new::<()>(Method::GET, templates(), "R51", "An item of the server's users")
        .answers_with("multipart/mixed", "Two parts: a JSON object, and the item with its `Content-Type`.")
        .refuses([ApiError::not_found(""), ApiError::not_clean(), ApiError::not_yet_scanned(0)])
}
