//! Errors as they go over the wire (LM-04 §12.2.2): an HTTP status, an errcode, and words for people.

use std::fmt;

use axum::response::{AppendHeaders, IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use mimi_linearized::json::{Object, Value, as_integer, strict};
use serde_json::json;

/// The longest text that is kept of what a peer sent, in bytes.
const MAX_PEER_TEXT: usize = 1024;

/// What kind of error it is, to a program (LM-04 §12.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrCode {
    /// `M_UNRECOGNIZED`: no such path, or not with this method (LM-04 §12.2.3).
    Unrecognized,
    /// `M_TOO_LARGE`: the request is larger than the server handles.
    TooLarge,
    /// `M_NOT_JSON`: the body is not JSON.
    NotJson,
    /// `M_BAD_JSON`: the body is JSON, but not what the endpoint takes.
    BadJson,
    /// `M_FORBIDDEN`: the caller has not shown who it is, or may not do this.
    Forbidden,
    /// `M_NOT_FOUND`: what was asked for does not exist, or not for the caller.
    NotFound,
    /// `M_WRONG_SERVER`: the server asked is not the hub of the room.
    WrongServer,
    /// `M_INCOMPATIBLE_ROOM_VERSION`: the room has a version that the caller, or the target, does not implement.
    IncompatibleRoomVersion,
    /// `M_BAD_STATE`: another transaction of this sender is still being worked on.
    BadState,
    /// `M_LIMIT_EXCEEDED`: too many requests.
    LimitExceeded,
    /// `M_UNKNOWN`: anything else.
    Unknown,
    /// A code that LM-04 does not define, as the peer sent it.
    Other(String),
}

impl ErrCode {
    /// The code as it stands in `errcode`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unrecognized => "M_UNRECOGNIZED",
            Self::TooLarge => "M_TOO_LARGE",
            Self::NotJson => "M_NOT_JSON",
            Self::BadJson => "M_BAD_JSON",
            Self::Forbidden => "M_FORBIDDEN",
            Self::NotFound => "M_NOT_FOUND",
            Self::WrongServer => "M_WRONG_SERVER",
            Self::IncompatibleRoomVersion => "M_INCOMPATIBLE_ROOM_VERSION",
            Self::BadState => "M_BAD_STATE",
            Self::LimitExceeded => "M_LIMIT_EXCEEDED",
            Self::Unknown => "M_UNKNOWN",
            Self::Other(code) => code,
        }
    }
}

impl From<&str> for ErrCode {
    fn from(code: &str) -> Self {
        match code {
            "M_UNRECOGNIZED" => Self::Unrecognized,
            "M_TOO_LARGE" => Self::TooLarge,
            "M_NOT_JSON" => Self::NotJson,
            "M_BAD_JSON" => Self::BadJson,
            "M_FORBIDDEN" => Self::Forbidden,
            "M_NOT_FOUND" => Self::NotFound,
            "M_WRONG_SERVER" => Self::WrongServer,
            "M_INCOMPATIBLE_ROOM_VERSION" => Self::IncompatibleRoomVersion,
            "M_BAD_STATE" => Self::BadState,
            "M_LIMIT_EXCEEDED" => Self::LimitExceeded,
            "M_UNKNOWN" => Self::Unknown,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for ErrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error answer: to be sent, or read from a peer.
///
/// There is a constructor for each error of LM-04 §12.2 and of its endpoints, with the status that belongs to it
/// (`LM-04/12.2.2/1`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {code}: {message}", .status.as_u16())]
pub struct ApiError {
    status: StatusCode,
    code: ErrCode,
    message: String,
    retry_after_ms: Option<u64>,
    rule: Option<String>,
}

impl ApiError {
    /// Any error. Prefer a constructor that knows the status.
    pub fn new(status: StatusCode, code: ErrCode, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_ms: None, rule: None }
    }

    /// 404 `M_UNRECOGNIZED`: a path that the server does not have (`LM-04/12.2.3/1`).
    #[must_use]
    pub fn unrecognized() -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrCode::Unrecognized, "Unrecognized request.")
    }

    /// 405 `M_UNRECOGNIZED`: a path that the server has, but not with this method (`LM-04/12.2.3/2`).
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrCode::Unrecognized, "Unrecognized request method.")
    }

    /// 413 `M_TOO_LARGE`, with the limit in bytes (`LM-04/12.2.2/5`).
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let message = format!("The request is larger than {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrCode::TooLarge, message)
    }

    /// 400 `M_NOT_JSON` (`LM-04/12.2.4/1`).
    pub fn not_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrCode::NotJson, message)
    }

    /// 400 `M_BAD_JSON`; the message says what is missing or wrong (`LM-04/12.2.4/2`, `LM-04/12.2.4/3`).
    pub fn bad_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrCode::BadJson, message)
    }

    /// 401 `M_FORBIDDEN`: the request does not prove who sent it (`LM-04/12.4/23`).
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrCode::Forbidden, message)
    }

    /// 403 `M_FORBIDDEN`: the caller is known and may not do this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrCode::Forbidden, message)
    }

    /// 404 `M_NOT_FOUND`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrCode::NotFound, message)
    }

    /// 400 `M_WRONG_SERVER`: this server is not the hub of the room.
    pub fn wrong_server(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrCode::WrongServer, message)
    }

    /// 400 `M_INCOMPATIBLE_ROOM_VERSION`.
    pub fn incompatible_room_version(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrCode::IncompatibleRoomVersion, message)
    }

    /// 400 `M_BAD_STATE`: another transaction is in flight (LM-04 §12.5.1).
    pub fn bad_state(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrCode::BadState, message)
    }

    /// 429 `M_LIMIT_EXCEEDED`, with the time to wait in milliseconds (`LM-04/12.2.6/3`, `LM-04/12.2.6/4`).
    #[must_use]
    pub fn limit_exceeded(retry_after_ms: u64) -> Self {
        let message = "Too many requests. Wait before the next one.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, ErrCode::LimitExceeded, message)
            .with_retry_after(retry_after_ms)
    }

    /// 414 `M_TOO_LARGE`: the path and query are longer than the limit in bytes (reading R44).
    #[must_use]
    pub fn target_too_long(limit: usize) -> Self {
        let message = format!("The path and query are longer than {limit} bytes.");
        Self::new(StatusCode::URI_TOO_LONG, ErrCode::TooLarge, message)
    }

    /// 431 `M_TOO_LARGE`: too many or too large headers (reading R44).
    pub fn head_too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, ErrCode::TooLarge, message)
    }

    /// 408 `M_UNKNOWN`: the request does not arrive in time (reading R44).
    pub fn too_slow(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, ErrCode::Unknown, message)
    }

    /// 503 `M_UNKNOWN`, with the time to wait in milliseconds: there is no room for the request now (reading R44).
    #[must_use]
    pub fn overloaded(retry_after_ms: u64) -> Self {
        let message = "The server has too much to do. Try again later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrCode::Unknown, message).with_retry_after(retry_after_ms)
    }

    /// 503 `M_UNKNOWN`: the server is coming to its end, and takes nothing more that changes anything.
    #[must_use]
    pub fn going_away() -> Self {
        let message = "The server is shutting down. Try again later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrCode::Unknown, message).with_retry_after(5_000)
    }

    /// 500 `M_UNKNOWN`: nothing more specific applies (`LM-04/12.2.2/2`).
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrCode::Unknown, message)
    }

    /// Adds the time to wait before a new attempt, in milliseconds.
    #[must_use]
    pub fn with_retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// Adds the rule that refused, for the control API.
    #[must_use]
    pub fn with_rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The errcode.
    #[must_use]
    pub fn code(&self) -> &ErrCode {
        &self.code
    }

    /// The words for people; empty if the peer sent none.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How long to wait before a new attempt, in milliseconds, if that is known.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }

    /// The rule that refused, if it was named.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    /// The JSON object of the answer (`LM-04/12.2.2/4`).
    #[must_use]
    pub fn to_object(&self) -> Object {
        let mut object = Object::new();
        object.insert("errcode".to_owned(), json!(self.code.as_str()));
        object.insert("error".to_owned(), json!(self.message));
        if let Some(ms) = self.retry_after_ms {
            object.insert("retry_after_ms".to_owned(), json!(ms));
        }
        if let Some(rule) = &self.rule {
            object.insert("rule".to_owned(), json!(rule));
        }
        object
    }

    /// Reads a peer's error answer, whatever its body is: a proxy in between may send HTML. A body without a string
    /// `errcode` gives `M_UNKNOWN`; members of the wrong kind are passed over; long texts are cut.
    #[must_use]
    pub fn from_peer(status: StatusCode, body: &[u8]) -> Self {
        let value = strict::read(body).map(|document| document.value).unwrap_or_default();
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(cut);
        let number = value.get("retry_after_ms").and_then(as_integer);
        Self {
            status,
            code: text("errcode").map_or(ErrCode::Unknown, ErrCode::from),
            message: text("error").unwrap_or_default().to_owned(),
            retry_after_ms: number.and_then(|ms| u64::try_from(ms).ok()),
            rule: text("rule").map(str::to_owned),
        }
    }

    /// Whether the peer does not know the endpoint: 404 with `M_UNRECOGNIZED` (`LM-04/12.2.3/1`).
    #[must_use]
    pub fn is_unknown_endpoint(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.code == ErrCode::Unrecognized
    }
}

/// The beginning of `text`, at most [`MAX_PEER_TEXT`] bytes.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_PEER_TEXT)).unwrap_or_default()
}

impl IntoResponse for ApiError {
    /// A JSON object with `Content-Type: application/json` (`LM-04/12.2.2/3`). The time to wait is also given in whole
    /// seconds, as HTTP has it (RFC 9110 §10.2.3).
    fn into_response(self) -> Response {
        let body = Value::Object(self.to_object()).to_string();
        let json = HeaderValue::from_static("application/json");
        let wait = self.retry_after_ms.map(|ms| (RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000))));
        (self.status, [(CONTENT_TYPE, json)], AppendHeaders(wait), body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn sent(error: ApiError) -> (StatusCode, HeaderValue, Value) {
        let response = error.into_response();
        let status = response.status();
        let kind = response.headers()[CONTENT_TYPE].clone();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn an_error_is_a_json_object() {
        let (status, kind, body) = sent(ApiError::limit_exceeded(1_500)).await;
        assert_eq!(status, 429);
        assert_eq!(kind, "application/json");
        assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
        assert_eq!(body["retry_after_ms"], 1_500);
        assert!(body["error"].is_string());
        assert!(body.get("rule").is_none());
        let (status, _, body) = sent(ApiError::forbidden("no").with_rule("auth 5.3.2")).await;
        assert_eq!(status, 403);
        assert_eq!(body, json!({"errcode": "M_FORBIDDEN", "error": "no", "rule": "auth 5.3.2"}));
    }

    #[test]
    fn the_time_to_wait_is_a_header_too() {
        let header = |error: ApiError| error.into_response().headers().get(RETRY_AFTER).cloned();
        assert_eq!(header(ApiError::limit_exceeded(1_001)).unwrap(), "2");
        assert_eq!(header(ApiError::overloaded(1_000)).unwrap(), "1");
        assert_eq!(header(ApiError::forbidden("no")), None);
    }

    #[test]
    fn every_error_has_its_status_and_code() {
        for (error, status, code) in [
            (ApiError::unrecognized(), 404, "M_UNRECOGNIZED"),
            (ApiError::method_not_allowed(), 405, "M_UNRECOGNIZED"),
            (ApiError::too_large(5), 413, "M_TOO_LARGE"),
            (ApiError::not_json("x"), 400, "M_NOT_JSON"),
            (ApiError::bad_json("x"), 400, "M_BAD_JSON"),
            (ApiError::unauthenticated("x"), 401, "M_FORBIDDEN"),
            (ApiError::forbidden("x"), 403, "M_FORBIDDEN"),
            (ApiError::not_found("x"), 404, "M_NOT_FOUND"),
            (ApiError::wrong_server("x"), 400, "M_WRONG_SERVER"),
            (ApiError::incompatible_room_version("x"), 400, "M_INCOMPATIBLE_ROOM_VERSION"),
            (ApiError::bad_state("x"), 400, "M_BAD_STATE"),
            (ApiError::limit_exceeded(1), 429, "M_LIMIT_EXCEEDED"),
            (ApiError::target_too_long(5), 414, "M_TOO_LARGE"),
            (ApiError::head_too_large("x"), 431, "M_TOO_LARGE"),
            (ApiError::too_slow("x"), 408, "M_UNKNOWN"),
            (ApiError::overloaded(1), 503, "M_UNKNOWN"),
            (ApiError::unknown("x"), 500, "M_UNKNOWN"),
        ] {
            assert_eq!(error.status().as_u16(), status, "{error}");
            assert_eq!(error.code().as_str(), code);
            assert_eq!(ErrCode::from(code), *error.code(), "the code is read back as itself");
            let body = Value::Object(error.to_object()).to_string();
            assert_eq!(ApiError::from_peer(error.status(), body.as_bytes()), error);
        }
    }

    #[test]
    fn a_peers_error_is_read_leniently() {
        let read = |body: &str| ApiError::from_peer(StatusCode::BAD_GATEWAY, body.as_bytes());
        for body in
            ["", "<html>", "[]", "null", "{}", r#"{"errcode":5,"error":[],"retry_after_ms":-1,"rule":{}}"#]
        {
            assert_eq!(read(body), ApiError::new(StatusCode::BAD_GATEWAY, ErrCode::Unknown, ""), "{body}");
        }
        let own = read(r#"{"errcode":"ORG_EXAMPLE_TIRED","error":"later","retry_after_ms":5.0}"#);
        assert_eq!(own.code(), &ErrCode::Other("ORG_EXAMPLE_TIRED".to_owned()));
        assert_eq!((own.message(), own.retry_after_ms()), ("later", Some(5)));
    }

    #[test]
    fn a_peers_long_text_is_cut_between_characters() {
        let body = json!({"errcode": "X", "error": "é".repeat(2_000)}).to_string();
        let error = ApiError::from_peer(StatusCode::BAD_REQUEST, body.as_bytes());
        assert_eq!(error.message(), "é".repeat(MAX_PEER_TEXT / 2));
    }

    #[test]
    fn only_404_unrecognized_means_an_unknown_endpoint() {
        assert!(ApiError::unrecognized().is_unknown_endpoint());
        assert!(!ApiError::method_not_allowed().is_unknown_endpoint());
        assert!(!ApiError::not_found("x").is_unknown_endpoint());
    }
}
