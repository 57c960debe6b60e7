//! Requests and answers: bounds, repetition, fallback (LM-04 §12.2, readings R17 and R24).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::routing::{any, get};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use mimi_transport::client::{Blame, CallLimits, ClientError, RawRequest};
use mimi_transport::error::ApiError;
use mimi_transport::request_auth::{sign_request, sign_request_without_content};
use serde_json::{Value, json};

use crate::server::{World, key, name};

/// Tells what arrived.
async fn mirror(request: Request) -> axum::Json<Value> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    axum::Json(json!({
        "method": parts.method.as_str(),
        "target": parts.uri.path_and_query().unwrap().as_str(),
        "authority": parts.uri.authority().unwrap().as_str(),
        "type": parts.headers.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap()),
        "authorization": parts.headers.get_all(AUTHORIZATION).iter().count(),
        "body": std::str::from_utf8(&body).unwrap(),
    }))
}

#[tokio::test]
async fn what_is_sent_is_what_was_asked_for() {
    let mut world = World::new();
    let server = world.start("a.example", Router::new().fallback(mirror)).await;
    let client = world.client("b.example", [key(1), key(2)]);
    let target = "/_matrix/a%2Fb/%e2?q=%20+&&x";
    let body = json!({"b": 1.0, "a": "é"});
    let sent = client.request(&server.name, &Method::PUT, target, &body).await.unwrap().json_ok().unwrap();
    let expected = json!({
        "method": "PUT", "target": target, "authority": "a.example", "type": "application/json",
        "authorization": 2, "body": "{\"a\":\"é\",\"b\":1}",
    });
    assert_eq!(sent, expected);
    for target in ["//_matrix//x/", "/../x?", "/?"] {
        let sent = client.request(&server.name, &Method::GET, target, None).await.unwrap().json_ok().unwrap();
        assert_eq!(sent["target"], target, "nothing is normalised");
    }
    let raw = Bytes::from_static(b"{ \"z\":1 }");
    let sent = client.request(&server.name, &Method::POST, "/", raw).await.unwrap().json_ok().unwrap();
    assert_eq!(sent["body"], "{ \"z\":1 }", "what was serialised before is left as it is");
    let sent = client.request(&server.name, &Method::POST, "/", None).await.unwrap().json_ok().unwrap();
    assert_eq!((&sent["body"], &sent["type"]), (&json!("{}"), &json!("application/json")));
    let sent = client.request(&server.name, &Method::GET, "/", None).await.unwrap().json_ok().unwrap();
    assert_eq!((&sent["body"], &sent["type"]), (&json!(""), &json!(null)));
    let sent =
        client.get_unsigned(&server.name, "/", CallLimits::default()).await.unwrap().json_ok().unwrap();
    assert_eq!(sent["authorization"], 0);
}

#[tokio::test]
async fn what_cannot_be_sent_is_the_callers_fault() {
    let world = World::new();
    let client = world.client("b.example", [key(1)]);
    for target in ["", "x", "*", "http://a.example/", "/a b", "/a#b", "/a\nb"] {
        let error = client.request(&name("a.example"), &Method::GET, target, None).await.unwrap_err();
        assert!(matches!(error, ClientError::Target), "{target}: {error}");
        assert_eq!(error.blame(), Blame::Caller);
    }
    let twice = Bytes::from_static(b"{\"a\":1,\"a\":2}");
    let error = client.request(&name("a.example"), &Method::PUT, "/", twice).await.unwrap_err();
    assert!(matches!(error, ClientError::Body(_)), "{error}");
}

#[tokio::test]
async fn answers_are_bounded() {
    let mut world = World::new();
    // With a length announced, and without.
    let chunks = || async { Body::new(Chunks(5)) };
    let router =
        Router::new().route("/whole", get(|| async { "x".repeat(5_000) })).route("/chunks", get(chunks));
    let server = world.start("a.example", router).await;
    let client = world.client("b.example", [key(1)]);
    for path in ["/whole", "/chunks"] {
        let get = |response_bytes| {
            let limits = CallLimits { response_bytes, ..CallLimits::default() };
            client.request_within(limits, &server.name, &Method::GET, path, None)
        };
        assert_eq!(get(5_000).await.unwrap().body.len(), 5_000);
        let error = get(4_999).await.unwrap_err();
        assert!(matches!(error, ClientError::TooLarge(4_999)), "{error}");
    }
}

/// A body of so many chunks of 1,000 bytes.
struct Chunks(usize);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.checked_sub(1).map(|left| {
            self.0 = left;
            Ok(Frame::data(Bytes::from(vec![b'x'; 1_000])))
        }))
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let mut world = World::new();
    let server = world.start("a.example", Router::new().fallback(mirror)).await;
    let client = world.client("b.example", [key(1)]);
    let send = |length| {
        let mut headers = HeaderMap::new();
        headers.insert("x-filler", "x".repeat(length).parse().unwrap());
        let request = RawRequest { method: Method::GET, target: "/".to_owned(), headers, body: Bytes::new() };
        client.send_raw(&server.name, request, CallLimits::default())
    };
    assert_eq!(send(60_000).await.unwrap().status, StatusCode::OK);
    assert_eq!(send(70_000).await.unwrap().status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_is_given_up() {
    let mut world = World::new();
    let router = Router::new().route("/", get(std::future::pending::<()>));
    let server = world.start("a.example", router).await;
    let client = world.client("b.example", [key(1)]);
    let limits = CallLimits { timeout: Duration::from_millis(50), ..CallLimits::default() };
    let error = client.request_within(limits, &server.name, &Method::GET, "/", None).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout(_)), "{error}");
    assert_eq!(error.blame(), Blame::Network);
}

#[tokio::test]
async fn redirections_are_not_followed() {
    let mut world = World::new();
    let router = Router::new()
        .route("/", get(|| async { (StatusCode::FOUND, [(LOCATION, "/other")]) }))
        .route("/other", get(|| async { "other" }));
    let server = world.start("a.example", router).await;
    let response =
        world.client("b.example", [key(1)]).request(&server.name, &Method::GET, "/", None).await.unwrap();
    assert_eq!(response.status, StatusCode::FOUND);
}

#[tokio::test]
async fn requests_at_the_same_time_share_one_connection() {
    let mut world = World::new();
    let peers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&peers);
    let note =
        move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { seen.lock().unwrap().push(peer) };
    let server = world.start("a.example", Router::new().route("/", get(note))).await;
    let client = world.client("b.example", [key(1)]);
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (client, server) = (client.clone(), server.name.clone());
        requests.spawn(async move { client.request(&server, &Method::GET, "/", None).await.unwrap().status });
    }
    while let Some(status) = requests.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
    let peers = peers.lock().unwrap();
    assert_eq!(peers.len(), 20);
    assert!(peers.iter().all(|peer| *peer == peers[0]));
}

#[tokio::test]
async fn a_401_is_answered_once_with_the_form_without_content() {
    let mut world = World::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let refuse = move |headers: HeaderMap| async move {
        log.lock().unwrap().push(headers[AUTHORIZATION].clone());
        ApiError::unauthenticated("no")
    };
    let server = world.start("a.example", Router::new().route("/", any(refuse))).await;
    let (origin, client) = (name("b.example"), world.client("b.example", [key(1)]));
    let response = client.request(&server.name, &Method::GET, "/", None).await.unwrap();
    assert_eq!(response.api_error(), Some(ApiError::unauthenticated("no")));
    let forms = [
        sign_request("GET", "/", &origin, &server.name, None, &key(1)),
        sign_request_without_content("GET", "/", &origin, &server.name, &key(1)),
    ];
    assert_eq!(*seen.lock().unwrap(), forms);
    // With a body there is no other form.
    client.request(&server.name, &Method::PUT, "/", None).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn the_unstable_path_is_tried_after_the_final_one_and_remembered() {
    let mut world = World::new();
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let (finals, unstables) = (Arc::clone(&counts), Arc::clone(&counts));
    let router = Router::new()
        .route("/final/known", any(|| async { axum::Json(json!({})) }))
        .fallback(move || async move {
            finals[0].fetch_add(1, Ordering::SeqCst);
            ApiError::unrecognized()
        })
        .route(
            "/unstable/a",
            any(move || async move {
                unstables[1].fetch_add(1, Ordering::SeqCst);
                axum::Json(json!({"unstable": true}))
            }),
        )
        .route("/unstable/refused", any(|| async { ApiError::not_found("no such room") }));
    let server = world.start("a.example", router).await;
    let client = world.client("b.example", [key(1)]);
    let ask =
        |stable, unstable| client.request_with_fallback(&server.name, &Method::GET, stable, unstable, None);
    let count = || (counts[0].load(Ordering::SeqCst), counts[1].load(Ordering::SeqCst));
    // A refusal by the endpoint itself is no reason to look elsewhere.
    assert_eq!(ask("/unstable/refused", "/unstable/a").await.unwrap().status, StatusCode::NOT_FOUND);
    assert_eq!(count(), (0, 0));
    assert_eq!(ask("/final/a", "/unstable/a").await.unwrap().json_ok().unwrap()["unstable"], true);
    assert_eq!(count(), (1, 1));
    assert_eq!(ask("/final/a", "/unstable/a").await.unwrap().json_ok().unwrap()["unstable"], true);
    assert_eq!(count(), (1, 2), "the unstable path comes first now");
    // Where it is not known, the final path is tried again, and comes first from then on.
    assert_eq!(ask("/final/known", "/unstable/b").await.unwrap().status, StatusCode::OK);
    assert_eq!(count(), (2, 2));
    assert_eq!(ask("/final/known", "/unstable/b").await.unwrap().status, StatusCode::OK);
    assert_eq!(count(), (2, 2));
    // Neither is known.
    assert!(ask("/final/c", "/unstable/c").await.unwrap().api_error().unwrap().is_unknown_endpoint());
    assert_eq!(count(), (4, 2));
}
