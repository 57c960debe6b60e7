//! A layer around what a server answers.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::OriginalUri;
use http::request::Parts;
use http::{Request, Response};
use mimi_linearized::json::{canonical, strict};
use mimi_linearized::signing::SigningKey;
use mimi_transport::node::Node;
use serde_json::Value;
use tower::ServiceExt as _;

use super::Fault;
use super::mending::{self, Mending};
use super::seen::{Answer, Asked, Sent};

/// The largest body that the layer looks into, in bytes. A larger one goes through as it is.
const MAX_BODY: usize = 15 * 1024 * 1024;
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// Puts a fault before and behind a router.
pub(super) fn wrap(inner: Router, node: Node, fault: Fault) -> Router {
    Router::new().fallback(move |request: Request<Body>| {
        let (inner, node) = (inner.clone(), node.clone());
        async move { serve(inner, node, fault, request).await }
    })
}

async fn serve(inner: Router, node: Node, fault: Fault, request: Request<Body>) -> Response<Body> {
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let asked = Asked { target, server: node.name.clone(), key: SigningKey::clone(&node.key()) };
    let request = match fault {
        Fault::Takes(_) | Fault::Mends(_) => changed(&node, fault, &asked, request).await,
        _ => request,
    };
    if matches!(fault, Fault::Hurries) && asked.is(&["send"]) {
        tokio::spawn(inner.oneshot(request));
        return Response::new(Body::from(r#"{"failed_pdus":{}}"#));
    }
    let answer = match inner.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    match fault {
        Fault::Answers(change) => {
            let (parts, body) = answer.into_parts();
            let body = to_bytes(body, MAX_ANSWER).await.unwrap_or_default();
            let mut seen = Answer { status: parts.status, headers: parts.headers, body };
            change(&asked, &mut seen);
            let mut answer = Response::new(Body::from(seen.body));
            *answer.status_mut() = seen.status;
            *answer.headers_mut() = seen.headers;
            answer
        }
        _ => answer,
    }
}

/// The request after the fault.
async fn changed(node: &Node, fault: Fault, asked: &Asked, request: Request<Body>) -> Request<Body> {
    let (parts, body) = request.into_parts();
    let length = parts.headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_none_or(|length| length > MAX_BODY) && !matches!(parts.method.as_str(), "GET") {
        return Request::from_parts(parts, body);
    }
    let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
        return Request::from_parts(parts, Body::empty());
    };
    // What readers would disagree on is left alone.
    let json = match (strict::parse(&bytes), fault) {
        (Ok(_), Fault::Mends(Mending::AmbiguousJson)) => {
            return Request::from_parts(parts, Body::from(bytes));
        }
        (Err(_), Fault::Mends(Mending::AmbiguousJson)) => serde_json::from_slice(&bytes).unwrap_or_default(),
        (json, _) => json.unwrap_or_default(),
    };
    let mut sent = Sent {
        method: parts.method.clone(),
        target: asked.target.clone(),
        to: node.name.clone(),
        headers: parts.headers.clone(),
        body: json.clone(),
    };
    let before = sent.clone();
    let new = match fault {
        Fault::Takes(change) => {
            change(&mut sent);
            let covered = (&sent.method, &sent.target, &sent.body);
            if covered != (&before.method, &before.target, &before.body) {
                mending::sign_again(node, &before, &mut sent).await;
            }
            sent != before
        }
        Fault::Mends(mending) => {
            mending.mend(node, &mut sent).await;
            sent != before
        }
        _ => false,
    };
    if !new {
        return Request::from_parts(parts, Body::from(bytes));
    }
    let as_it_was = sent.body == json && !matches!(fault, Fault::Mends(Mending::AmbiguousJson));
    let bytes = if as_it_was { bytes } else { canonical::to_vec(&sent.body).into() };
    rebuilt(parts, sent, bytes)
}

fn rebuilt(mut parts: Parts, sent: Sent, bytes: bytes::Bytes) -> Request<Body> {
    parts.method = sent.method;
    parts.headers = sent.headers;
    parts.headers.remove(http::header::CONTENT_LENGTH);
    // The router below has to see the changed one.
    parts.extensions.remove::<OriginalUri>();
    if let Ok(target) = sent.target.parse() {
        let mut uri = parts.uri.clone().into_parts();
        uri.path_and_query = Some(target);
        if let Ok(uri) = http::Uri::from_parts(uri) {
            parts.uri = uri;
        }
    }
    Request::from_parts(parts, Body::from(bytes))
}

/// What is signed of a body.
pub(super) fn content<'b>(method: &http::Method, body: &'b Value) -> Option<&'b Value> {
    matches!(*method, http::Method::POST | http::Method::PUT).then_some(body)
}
