//! Asking other servers.

use http::Method;
use mimi_linearized::event::OutgoingLpdu;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::{Object, strict};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Paths;
use crate::client::ClientError;
use crate::node::Node;
use crate::rooms::RoomError;

/// What stays as it is in a path segment (RFC 3986 §2.3); everything else is percent-encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as one segment of a path, or one value of a query.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Sends a request and expects a JSON object.
pub(crate) async fn ask(
    node: &Node,
    server: &ServerName,
    method: Method,
    paths: &Paths,
    body: Option<&Value>,
) -> Result<Object, RoomError> {
    let failed = |error: ClientError| match error {
        ClientError::Api { error, .. } => RoomError::Peer { server: server.clone(), error },
        error => RoomError::Unreachable { server: server.clone(), error: Box::new(error) },
    };
    let client = &node.client;
    let response = match &paths.unstable {
        Some(unstable) => client.request_with_fallback(server, &method, &paths.stable, unstable, body).await,
        None => client.request(server, &method, &paths.stable, body).await,
    };
    let response = response.map_err(failed)?;
    let bytes = response.ok().map_err(failed)?.clone();
    let unusable = |what: String| RoomError::BadAnswer { server: server.clone(), what };
    match strict::parse(&bytes).map_err(|error| unusable(error.to_string()))? {
        Value::Object(object) => Ok(object),
        _ => Err(unusable("the answer is not an object".to_owned())),
    }
}

/// Takes an array of objects out of an answer.
pub(crate) fn expect_objects(
    answer: &mut Object,
    field: &str,
    server: &ServerName,
) -> Result<Vec<Object>, RoomError> {
    let unusable =
        || RoomError::BadAnswer { server: server.clone(), what: format!("`{field}` is no array of objects") };
    let Some(Value::Array(elements)) = answer.remove(field) else { return Err(unusable()) };
    elements
        .into_iter()
        .map(|element| match element {
            Value::Object(object) => Ok(object),
            _ => Err(unusable()),
        })
        .collect()
}

/// An LPDU as the body of a request.
pub(super) fn body_of(lpdu: &OutgoingLpdu) -> Value {
    serde_json::from_slice(&lpdu.bytes).unwrap_or_default()
}
