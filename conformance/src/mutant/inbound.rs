//! A layer around what a server answers.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::OriginalUri;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use mimi_linearized::json::{canonical, strict};
use mimi_linearized::signing::SigningKey;
use mimi_transport::node::Node;
use serde_json::Value;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::Fault;
use super::faults::Misreads;
use super::mending::{self, Mending};
use super::seen::{self, Answer, Asked, Sent};

/// The largest body that the layer looks into, in bytes. A larger one goes through as it is.
const MAX_BODY: usize = 15 * 1024 * 1024;
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// Puts a fault before and behind a router.
pub(super) fn wrap(inner: Router, node: Node, fault: Fault) -> Router {
    let places = Arc::new(Semaphore::new(if let Fault::Jams(places) = fault { places } else { 0 }));
    Router::new().fallback(move |request: Request<Body>| {
        let (inner, node, places) = (inner.clone(), node.clone(), Arc::clone(&places));
        async move {
            match fault {
                Fault::Jams(_) => jam(inner, &places, request).await,
                Fault::Renders(change) => render(inner, change, request).await,
                Fault::Bytes(change) => misread(inner, change, request).await,
                _ => serve(inner, node, fault, request).await,
            }
        }
    })
}

/// Processes a transaction if there is a place for it.
async fn jam(inner: Router, places: &Semaphore, request: Request<Body>) -> Response<Body> {
    let place = places.try_acquire();
    if place.is_err() && seen::endpoint(request.uri().path()) == "send" {
        return failure(StatusCode::INTERNAL_SERVER_ERROR);
    }
    answered(inner, request).await
}

/// An answer that says no more than that there is none.
fn failure(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::from(r#"{"errcode":"M_UNKNOWN","error":"Something went wrong."}"#));
    *answer.status_mut() = status;
    answer
}

/// Reads other bytes than those that came.
async fn misread(inner: Router, change: Misreads, request: Request<Body>) -> Response<Body> {
    if !matches!(request.method().as_str(), "PUT" | "POST") {
        return answered(inner, request).await;
    }
    let (mut parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
        return answered(inner, Request::from_parts(parts, Body::empty())).await;
    };
    match change(&bytes) {
        Err(status) => failure(status),
        Ok(None) => answered(inner, Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Some(other)) => {
            parts.headers.remove(http::header::CONTENT_LENGTH);
            answered(inner, Request::from_parts(parts, Body::from(other))).await
        }
    }
}

/// Changes what clients show of an event.
async fn render(inner: Router, change: fn(&Value, &mut Answer), request: Request<Body>) -> Response<Body> {
    if seen::endpoint(request.uri().path()) != "render" {
        return answered(inner, request).await;
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let asked = strict::parse(&body).unwrap_or_default();
    let answer = answered(inner, Request::from_parts(parts, Body::from(body))).await;
    edited(answer, |answer| change(&asked, answer)).await
}

async fn answered(inner: Router, request: Request<Body>) -> Response<Body> {
    match inner.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

/// An answer after a change.
async fn edited(answer: Response<Body>, change: impl FnOnce(&mut Answer)) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, MAX_ANSWER).await.unwrap_or_default();
    let mut seen = Answer { status: parts.status, headers: parts.headers, body };
    change(&mut seen);
    let mut answer = Response::new(Body::from(seen.body));
    *answer.status_mut() = seen.status;
    *answer.headers_mut() = seen.headers;
    answer
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
    let answer = answered(inner, request).await;
    match fault {
        Fault::Answers(change) => edited(answer, |seen| change(&asked, seen)).await,
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
