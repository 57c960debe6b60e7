//! The object that is signed for a request, and signing it (LM-04 §12.4).

use http::HeaderValue;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::Value;
use mimi_linearized::json::canonical::{Node, View};
use mimi_linearized::signing::SigningKey;

use super::Credentials;

/// The member `content` of the signed object.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    /// The request's body (`LM-04/12.4/5`).
    Body(&'a Value),
    /// `{}`: the request has no body (`LM-04/12.4/6`).
    Empty,
    /// No such member: what deployed servers sign for a request without a body (reading R17).
    Absent,
}

impl<'a> Content<'a> {
    pub(super) fn of(body: Option<&'a Value>) -> Self {
        body.map_or(Self::Empty, Self::Body)
    }
}

/// The canonical bytes of the signed object (`LM-04/12.4/1`). The body is not copied.
pub(super) fn signed_bytes(
    method: &str,
    uri: &str,
    origin: &ServerName,
    destination: &ServerName,
    content: Content<'_>,
) -> Vec<u8> {
    let mut object = View::new();
    object.set("method", Node::Text(method));
    object.set("uri", Node::Text(uri));
    object.set("origin", Node::Text(origin.as_str()));
    object.set("destination", Node::Text(destination.as_str()));
    match content {
        Content::Body(body) => object.set("content", Node::Value(body)),
        Content::Empty => object.set("content", Node::Object(View::new())),
        Content::Absent => {}
    }
    object.to_vec()
}

/// Signs a request and returns the value of its `Authorization` header (LM-04 §12.4).
///
/// `method` is the request's, in capitals (`LM-04/12.4/2`). `uri` is the request target byte for byte as it is sent: the path from its leading slash, and the query
/// (`LM-04/12.4/3`, reading R17). `body` is the JSON that is sent, or `None` for a request without a body. A server
/// with several keys sends one such header for each (`LM-04/12.4/20`).
#[must_use]
pub fn sign_request(
    method: &str,
    uri: &str,
    origin: &ServerName,
    destination: &ServerName,
    body: Option<&Value>,
    key: &SigningKey,
) -> HeaderValue {
    sign(method, uri, origin, destination, Content::of(body), key)
}

/// As [`sign_request`] for a request without a body, with no `content` in the signed object: the form in which a
/// client tries once more after a 401 (reading R17).
#[must_use]
pub fn sign_request_without_content(
    method: &str,
    uri: &str,
    origin: &ServerName,
    destination: &ServerName,
    key: &SigningKey,
) -> HeaderValue {
    sign(method, uri, origin, destination, Content::Absent, key)
}

fn sign(
    method: &str,
    uri: &str,
    origin: &ServerName,
    destination: &ServerName,
    content: Content<'_>,
    key: &SigningKey,
) -> HeaderValue {
    let signature = key.sign(&signed_bytes(method, uri, origin, destination, content));
    let (origin, destination) = (origin.clone(), destination.clone());
    Credentials { origin, destination, key: key.id().clone(), signature }.to_header()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_signed_object_is_canonical() {
        let (origin, destination) =
            (ServerName::parse("a.org").unwrap(), ServerName::parse("b.org:1").unwrap());
        let bytes = |content| {
            String::from_utf8(signed_bytes("PUT", "/x?b=1&a=%2F", &origin, &destination, content)).unwrap()
        };
        let tail = r#""destination":"b.org:1","method":"PUT","origin":"a.org","uri":"/x?b=1&a=%2F"}"#;
        let body = json!({"b": 1.0, "a": [null]});
        assert_eq!(bytes(Content::Body(&body)), format!(r#"{{"content":{{"a":[null],"b":1}},{tail}"#));
        assert_eq!(bytes(Content::Empty), format!(r#"{{"content":{{}},{tail}"#));
        assert_eq!(bytes(Content::Absent), format!("{{{tail}"));
    }
}
