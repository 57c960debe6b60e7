//! A peer's answer.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use mimi_linearized::json::strict::{self, Document};
use mimi_linearized::json::{Object, Value};
use rustls::ProtocolVersion;

use super::{ClientError, retry_after};
use crate::clock;
use crate::error::ApiError;

/// A peer's answer, complete and within the limit.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The version of HTTP that was spoken.
    pub http_version: Version,
    /// The version of TLS that was spoken.
    pub tls_version: Option<ProtocolVersion>,
}

impl Response {
    /// The error that the answer is, if its status is not one of success. If its body has no `retry_after_ms`, the time
    /// to wait is that of the header `Retry-After`.
    #[must_use]
    pub fn api_error(&self) -> Option<ApiError> {
        if self.status.is_success() {
            return None;
        }
        let error = ApiError::from_peer(self.status, &self.body);
        if error.retry_after_ms().is_some() {
            return Some(error);
        }
        Some(match retry_after::ms(&self.headers, clock::now_ms()) {
            Some(ms) => error.with_retry_after(ms),
            None => error,
        })
    }

    /// The body of a successful answer.
    ///
    /// # Errors
    /// [`ClientError::Api`] if the status is not one of success.
    pub fn ok(&self) -> Result<&Bytes, ClientError> {
        match self.api_error() {
            Some(error) => Err(ClientError::Api { status: self.status, error }),
            None => Ok(&self.body),
        }
    }

    /// The JSON of a successful answer, read strictly. `Content-Type` is not looked at.
    ///
    /// # Errors
    /// [`ClientError::Api`] if the status is not one of success, [`ClientError::NotJson`] if the body is not JSON that
    /// everybody reads alike.
    pub fn json_ok(&self) -> Result<Value, ClientError> {
        strict::parse(self.ok()?).map_err(ClientError::NotJson)
    }

    /// As [`Response::json_ok`], for an answer that has to be an object.
    ///
    /// # Errors
    /// As [`Response::json_ok`], and [`ClientError::NotAnObject`].
    pub fn object_ok(&self) -> Result<Object, ClientError> {
        match self.json_ok()? {
            Value::Object(object) => Ok(object),
            _ => Err(ClientError::NotAnObject),
        }
    }

    /// The JSON of a successful answer with its faults, for answers that hold several events, of which a faulty one
    /// does not spoil the others.
    ///
    /// # Errors
    /// [`ClientError::Api`] if the status is not one of success, [`ClientError::NotJson`] if the body is not JSON.
    pub fn document_ok(&self) -> Result<Document, ClientError> {
        strict::read(self.ok()?).map_err(|error| ClientError::NotJson(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &'static str) -> Response {
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
            http_version: Version::HTTP_2,
            tls_version: None,
        }
    }

    #[test]
    fn success_has_json() {
        assert_eq!(response(200, r#"{"a":1}"#).json_ok().unwrap()["a"], 1);
        assert_eq!(response(200, r#"{"a":1}"#).object_ok().unwrap().len(), 1);
        assert!(matches!(response(200, "[]").object_ok(), Err(ClientError::NotAnObject)));
        assert!(matches!(response(200, "<html>").json_ok(), Err(ClientError::NotJson(_))));
        assert!(matches!(response(200, r#"{"a":1,"a":1}"#).json_ok(), Err(ClientError::NotJson(_))));
        assert_eq!(response(200, r#"{"a":1,"a":1}"#).document_ok().unwrap().faults.len(), 1);
        assert!(response(200, "<html>").document_ok().is_err());
    }

    #[test]
    fn failure_has_an_error() {
        let error = response(403, r#"{"errcode":"M_FORBIDDEN","error":"no"}"#);
        assert_eq!(error.api_error(), Some(ApiError::forbidden("no")));
        assert!(
            matches!(error.json_ok(), Err(ClientError::Api { error, .. }) if error == ApiError::forbidden("no"))
        );
        assert!(response(204, "").api_error().is_none());
        // A proxy knows nothing of `retry_after_ms`.
        let mut error = response(503, "<html>");
        error.headers.insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("2"));
        assert_eq!(error.api_error().unwrap().retry_after_ms(), Some(2_000));
        error.body = Bytes::from_static(br#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":5}"#);
        assert_eq!(error.api_error().unwrap().retry_after_ms(), Some(5));
        // Redirections are not followed.
        assert_eq!(response(302, "").api_error().unwrap().status(), 302);
    }
}
