//! Answers whose body is read as it comes.

use std::time::Duration;

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use mimi_linearized::id::ServerName;

use super::pool::Pool;
use super::{CallLimits, ClientError, FederationClient, Message, target_of, within};
use crate::api::Paths;
use crate::error::ApiError;
use crate::request_auth::{sign_request, sign_request_without_content};

/// The most bytes of an error that are read.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// An answer of which the head has come.
#[derive(Debug)]
pub struct Streamed {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, which may still be on its way, and may fail.
    pub body: Body,
}

impl FederationClient {
    /// Asks for something large at an endpoint, wherever the destination has it. `patience` is how long the head of the
    /// answer may take; who reads the body has to have a limit of its own.
    ///
    /// # Errors
    /// [`ClientError::Api`] if the status is not one of success; otherwise as [`FederationClient::request`].
    pub async fn download(
        &self,
        destination: &ServerName,
        paths: &Paths,
        patience: Duration,
    ) -> Result<(HeaderMap, Body), ClientError> {
        let limits = CallLimits { timeout: patience, ..self.limits };
        within(limits, async {
            match (self.begin(destination, &paths.stable, limits).await, &paths.unstable) {
                (Err(ClientError::Api { error, .. }), Some(unstable)) if error.is_unknown_endpoint() => {
                    self.begin(destination, unstable, limits).await
                }
                (answer, _) => answer,
            }
        })
        .await
    }

    async fn begin(
        &self,
        destination: &ServerName,
        path: &str,
        limits: CallLimits,
    ) -> Result<(HeaderMap, Body), ClientError> {
        let mut answer = self.stream(destination, path, limits, true).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            answer = self.stream(destination, path, limits, false).await?;
        }
        let Streamed { status, headers, body } = answer;
        if status.is_success() {
            return Ok((headers, body));
        }
        let body = Limited::new(body, MAX_ERROR_BYTES).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Err(ClientError::Api { status, error: ApiError::from_peer(status, &body) })
    }

    /// Signs and sends one request, with or without `content` in what is signed (reading R17).
    async fn stream(
        &self,
        destination: &ServerName,
        path: &str,
        limits: CallLimits,
        with_content: bool,
    ) -> Result<Streamed, ClientError> {
        let (method, target, own) = (Method::GET, target_of(path)?, &self.speaker.name);
        let mut headers = HeaderMap::new();
        for key in self.speaker.keys().iter() {
            let value = if with_content {
                sign_request(method.as_str(), path, own, destination, None, key)
            } else {
                sign_request_without_content(method.as_str(), path, own, destination, key)
            };
            headers.append(AUTHORIZATION, value);
        }
        let message = Message { method, target, headers, body: bytes::Bytes::new() };
        self.shared.carrier.stream(destination, message, limits).await
    }
}

/// As the client's other requests, without reading the body.
pub(super) async fn stream(
    pool: &Pool,
    destination: &ServerName,
    message: Message,
) -> Result<Streamed, ClientError> {
    let (_, answer) = super::answered(pool, destination, message).await?;
    let (parts, body) = answer.into_parts();
    Ok(Streamed { status: parts.status, headers: parts.headers, body: Body::new(body) })
}
