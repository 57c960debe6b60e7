//! Taking requests apart, in the order of reading R18.

use std::collections::HashMap;

use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Path, RawQuery, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use mimi_linearized::id::{DeviceId, EventId, IdError, RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_linearized::json::strict::{self, Document, Segment};
use serde::Serialize;
use serde_json::Value;

use super::Asking;
use crate::clock;
use crate::error::ApiError;
use crate::node::Node;
use crate::request_auth;

/// The largest body of a request that needs no authentication, in bytes; these come from whoever drives the server.
const MAX_LOCAL_BODY_BYTES: usize = 16 * 1024 * 1024;

/// A request that was proved to come from a server.
#[derive(Debug)]
pub struct Authenticated {
    /// The server.
    pub origin: ServerName,
    /// The body of a `POST` or `PUT`.
    body: Option<Document>,
}

impl FromRequest<Node> for Authenticated {
    type Rejection = ApiError;

    async fn from_request(request: Request, node: &Node) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        keep_out(node, &parts).inspect_err(|_| node.gate.unproved(&parts))?;
        let proved = prove(node, &parts, body).await;
        let (origin, body) = proved.inspect_err(|_| node.gate.unproved(&parts))?;
        tracing::Span::current().record("origin", tracing::field::display(&origin));
        node.gate.take(&parts, &origin)?;
        node.heard_from(&origin);
        Ok(Self { origin, body })
    }
}

/// Refuses whoever says that it is a server outside the federation (reading R50). That it is cannot be found out, as its keys
/// are not fetched, and need not be: whatever it is, it gets nothing under that name. Nothing is read of the body.
///
/// A request whose headers say nothing of the kind goes on, and is refused for that.
fn keep_out(node: &Node, parts: &Parts) -> Result<(), ApiError> {
    let Ok(presented) = request_auth::parse_all(&parts.headers) else { return Ok(()) };
    node.policy.check(presented.origin()).map_err(|outsider| {
        tracing::debug!(origin = %outsider.0, "refused a request from outside the federation");
        ApiError::forbidden(outsider.to_string())
    })
}

/// Reads a request's body, if it has one, and finds out who sent the request.
async fn prove(node: &Node, parts: &Parts, body: Body) -> Result<(ServerName, Option<Document>), ApiError> {
    let body = match parts.method {
        Method::POST | Method::PUT => Some(parse(&node.gate.read(&parts.headers, body).await?.bytes)?),
        _ => None,
    };
    let content = body.as_ref().map(|document| &document.value);
    let origin = authenticate(node, parts, content).await?;
    Ok((origin, body))
}

/// The request target as it was sent.
fn target_of(parts: &Parts) -> String {
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    uri.path_and_query().map_or_else(String::new, ToString::to_string)
}

fn parse(body: &[u8]) -> Result<Document, ApiError> {
    strict::read(body).map_err(|error| ApiError::not_json(error.to_string()))
}

/// Checks every `Authorization` header of a request (LM-04 §12.4).
async fn authenticate(node: &Node, parts: &Parts, content: Option<&Value>) -> Result<ServerName, ApiError> {
    let refuse = |error: request_auth::AuthError| {
        tracing::debug!(%error, "refused a request");
        ApiError::unauthenticated(error.to_string())
    };
    let presented = request_auth::parse_all(&parts.headers).map_err(refuse)?;
    // Before anybody is asked for keys.
    presented.check_destination(&node.name).map_err(refuse)?;
    let now = clock::now_ms();
    // The origin is only claimed so far: what it makes us fetch is held against the address.
    let keys = node.keys.on_behalf_of(Asking::by(parts));
    let ring = keys.ring_for_requests(presented.origin(), presented.key_ids(), now).await;
    let (method, target) = (parts.method.as_str(), target_of(parts));
    presented.verify(&ring, now, &node.name, method, &target, content).map_err(refuse)
}

impl Authenticated {
    /// The body as an object without faults.
    ///
    /// # Errors
    /// `M_BAD_JSON` if the body is no object, or is JSON that readers would disagree on.
    pub fn into_object(self) -> Result<(ServerName, Object), ApiError> {
        let Some(document) = self.body else { return Err(ApiError::not_json("a body is needed")) };
        if let Some(fault) = document.faults.first() {
            return Err(ApiError::bad_json(fault.to_string()));
        }
        match document.value {
            Value::Object(object) => Ok((self.origin, object)),
            _ => Err(ApiError::bad_json("the body must be an object")),
        }
    }

    /// The body as an object with the elements of the array `of` apart, each `None` if it is faulty in itself
    /// (reading R19). A missing array is an empty one.
    ///
    /// # Errors
    /// `M_BAD_JSON` if anything else is faulty.
    pub fn into_object_with_list(
        self,
        of: &str,
    ) -> Result<(ServerName, Object, Vec<Option<Value>>), ApiError> {
        let Some(document) = self.body else { return Err(ApiError::not_json("a body is needed")) };
        let Value::Object(mut object) = document.value else {
            return Err(ApiError::bad_json("the body must be an object"));
        };
        let mut elements: Vec<Option<Value>> = match object.remove(of) {
            None => Vec::new(),
            Some(Value::Array(elements)) => elements.into_iter().map(Some).collect(),
            Some(_) => return Err(ApiError::bad_json(format!("`{of}` must be an array"))),
        };
        for fault in &document.faults {
            let mut path = fault.path();
            let slot = match (path.next(), path.next()) {
                (Some(Segment::Key(key)), Some(Segment::Index(index))) if key == of => {
                    elements.get_mut(*index)
                }
                _ => None,
            };
            match slot {
                Some(slot) => *slot = None,
                None => return Err(ApiError::bad_json(fault.to_string())),
            }
        }
        Ok((self.origin, object, elements))
    }
}

/// The body of a request that needs no authentication.
#[derive(Debug)]
pub struct JsonBody(pub Object);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body = to_bytes(request.into_body(), MAX_LOCAL_BODY_BYTES).await;
        let document = parse(&body.map_err(|_| ApiError::too_large(MAX_LOCAL_BODY_BYTES))?)?;
        if let Some(fault) = document.faults.first() {
            return Err(ApiError::bad_json(fault.to_string()));
        }
        match document.value {
            Value::Object(object) => Ok(Self(object)),
            _ => Err(ApiError::bad_json("the body must be an object")),
        }
    }
}

/// The parameters in a path, percent-decoded.
#[derive(Debug)]
pub struct PathParams(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for PathParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path: Result<Path<HashMap<String, String>>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        // A path that does not decode names nothing that exists.
        path.map(|Path(params)| Self(params)).map_err(|_| ApiError::unrecognized())
    }
}

impl PathParams {
    /// A parameter of the route.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The room in the path; a text that is no room id is an unknown room.
    ///
    /// # Errors
    /// `M_NOT_FOUND`.
    pub fn room(&self) -> Result<RoomId, ApiError> {
        self.id("room", RoomId::parse)
    }

    /// The user in the path.
    ///
    /// # Errors
    /// `M_NOT_FOUND`.
    pub fn user(&self) -> Result<UserId, ApiError> {
        self.id("user", UserId::parse)
    }

    /// The device in the path.
    ///
    /// # Errors
    /// `M_NOT_FOUND`.
    pub fn device(&self) -> Result<DeviceId, ApiError> {
        self.id("device", DeviceId::parse)
    }

    /// The event in the path.
    ///
    /// # Errors
    /// `M_NOT_FOUND`.
    pub fn event(&self) -> Result<EventId, ApiError> {
        self.id("event", EventId::parse)
    }

    fn id<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, IdError>) -> Result<T, ApiError> {
        parse(self.text(name)).map_err(|error| ApiError::not_found(format!("no such {name}: {error}")))
    }
}

/// The parameters in a query, percent-decoded, in order.
#[derive(Debug)]
pub struct QueryParams(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let RawQuery(query) = match RawQuery::from_request_parts(parts, state).await {
            Ok(query) => query,
            Err(never) => match never {},
        };
        let pairs = form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes());
        Ok(Self(pairs.into_owned().collect()))
    }
}

impl QueryParams {
    /// Every value of a parameter.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    /// The first value of a parameter.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that has to be there.
    ///
    /// # Errors
    /// `M_BAD_JSON`, which LM-04 has for malformed requests of any kind.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.first(name).ok_or_else(|| ApiError::bad_json(format!("the query parameter `{name}` is missing")))
    }

    /// An event id that has to be there; a text that is none is an unknown event.
    ///
    /// # Errors
    /// `M_BAD_JSON` if it is missing, `M_NOT_FOUND` if it is no event id.
    pub fn event(&self, name: &str) -> Result<EventId, ApiError> {
        let text = self.required(name)?;
        EventId::parse(text).map_err(|error| ApiError::not_found(format!("no such event: {error}")))
    }
}

/// An answer with status 200.
#[derive(Debug)]
pub struct Answer(pub Value);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        (StatusCode::OK, [(header::CONTENT_TYPE, json)], self.0.to_string()).into_response()
    }
}

/// What is answered, as JSON.
///
/// # Errors
/// `M_UNKNOWN` if it cannot be JSON, which the types of answers can.
pub(super) fn value_of(answer: &impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(answer).map_err(|_| ApiError::unknown("the answer could not be written"))
}
