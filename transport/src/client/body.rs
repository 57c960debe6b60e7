//! Bodies of requests: what is sent, and what of it is signed.

use bytes::Bytes;
use http::Method;
use mimi_linearized::json::{Value, canonical, strict};

use super::ClientError;

/// The body of a request.
#[derive(Debug, Clone)]
pub enum RequestBody<'a> {
    /// None; `{}` for `POST` and `PUT`, which always have one (`LM-04/12.2.1/1`).
    Empty,
    /// JSON, sent in canonical form.
    Json(&'a Value),
    /// JSON that was serialised before, sent as it is.
    Serialised(Bytes),
}

impl<'a> From<&'a Value> for RequestBody<'a> {
    fn from(value: &'a Value) -> Self {
        Self::Json(value)
    }
}

impl<'a> From<Option<&'a Value>> for RequestBody<'a> {
    fn from(value: Option<&'a Value>) -> Self {
        value.map_or(Self::Empty, Self::Json)
    }
}

impl From<Bytes> for RequestBody<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Serialised(bytes)
    }
}

/// A body as it is sent, with what of it is signed.
pub(super) struct Body<'a> {
    pub(super) bytes: Bytes,
    content: Content<'a>,
}

enum Content<'a> {
    None,
    Borrowed(&'a Value),
    Parsed(Value),
}

impl<'a> Body<'a> {
    pub(super) fn new(method: &Method, body: RequestBody<'a>) -> Result<Self, ClientError> {
        Ok(match body {
            RequestBody::Empty if matches!(*method, Method::POST | Method::PUT) => Self {
                bytes: Bytes::from_static(b"{}"),
                content: Content::Parsed(Value::Object(<_>::default())),
            },
            RequestBody::Empty => Self { bytes: Bytes::new(), content: Content::None },
            RequestBody::Json(value) => {
                Self { bytes: canonical::to_vec(value).into(), content: Content::Borrowed(value) }
            }
            RequestBody::Serialised(bytes) => {
                let content = Content::Parsed(strict::parse(&bytes).map_err(ClientError::Body)?);
                Self { bytes, content }
            }
        })
    }

    pub(super) fn signed(&self) -> Option<&Value> {
        match &self.content {
            Content::None => None,
            Content::Borrowed(value) => Some(value),
            Content::Parsed(value) => Some(value),
        }
    }
}
