//! Whole servers that are asked too much (LM-04 §12.2.6, readings R43 and R44).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mimi_linearized::id::KeyId;
use mimi_linearized::signing::SigningKey;
use mimi_transport::api::send;
use mimi_transport::client::{CallLimits, RawRequest, Response};
use mimi_transport::limits::{Limits, Rate, RateLimits, RequestLimits};
use mimi_transport::request_auth::sign_request;
use mimi_transport::tls::{ClientOffer, Roots, client_config};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Place, World};

/// Three at once, one more each hour.
fn three() -> Option<Rate> {
    Rate::new(1, Duration::from_secs(3_600), 3)
}

fn with_rates(change: impl FnOnce(&mut RateLimits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits.rates);
    limits
}

fn with_requests(change: impl FnOnce(&mut RequestLimits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits.requests);
    limits
}

/// A question that costs little: about an event that nobody knows.
const QUESTION: &str = "/_matrix/federation/v2/event/%24none";

/// A properly signed request.
async fn ask(from: &Place, of: &Place, method: Method, target: &str, body: Option<&Value>) -> Response {
    from.node().client.request(&of.name, &method, target, body).await.unwrap()
}

/// A request by way of `from`'s connection, under the name of `origin` but with a key that is not its.
async fn forge(from: &Place, origin: &Place, of: &Place, target: &str) -> Response {
    let key = SigningKey::from_seed(KeyId::ed25519("forged").unwrap(), &[9; 32]);
    let value = sign_request("GET", target, &origin.name, &of.name, None, &key);
    raw(from, of, Method::GET, target, [(header::AUTHORIZATION, value)], Bytes::new()).await
}

async fn raw(
    from: &Place,
    of: &Place,
    method: Method,
    target: &str,
    headers: impl IntoIterator<Item = (http::HeaderName, HeaderValue)>,
    body: Bytes,
) -> Response {
    let headers: HeaderMap = headers.into_iter().collect();
    let request = RawRequest { method, target: target.to_owned(), headers, body };
    from.node().client.send_raw(&of.name, request, CallLimits::default()).await.unwrap()
}

/// The status and errcode of an answer.
fn refusal(response: &Response) -> (u16, String) {
    let error = response.api_error().unwrap();
    (error.status().as_u16(), error.code().to_string())
}

fn limited() -> (u16, String) {
    (429, "M_LIMIT_EXCEEDED".to_owned())
}

fn not_found() -> (u16, String) {
    (404, "M_NOT_FOUND".to_owned())
}

/// `LM-04/12.2.6/3`, `LM-04/12.2.6/4`
#[tokio::test(flavor = "multi_thread")]
async fn each_server_and_family_has_a_budget_of_its_own() {
    let world = World::new();
    let hub = world.server_within(with_rates(|rates| rates.reads = three())).await;
    let (b, c) = (world.server().await, world.server().await);
    for _ in 0..3 {
        assert_eq!(refusal(&ask(&b, &hub, Method::GET, QUESTION, None).await), not_found());
    }
    let refused = ask(&b, &hub, Method::GET, QUESTION, None).await;
    assert_eq!(refusal(&refused), limited());
    let wait = refused.api_error().unwrap().retry_after_ms().unwrap();
    assert!(wait > 3_500_000 && wait <= 3_600_000, "{wait}");
    let seconds: u64 = refused.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert_eq!(seconds, wait.div_ceil(1_000));
    // The unstable path is the same endpoint; other families and other servers are not concerned.
    let unstable = QUESTION.replace("/_matrix/federation/v2", mimi_transport::api::UNSTABLE_PREFIX);
    assert_eq!(refusal(&ask(&b, &hub, Method::GET, &unstable, None).await), limited());
    let template = format!("/_matrix/federation/v1/make_leave/%21none:a/%40bob:{}", b.name);
    assert_eq!(refusal(&ask(&b, &hub, Method::GET, &template, None).await), not_found());
    assert_eq!(refusal(&ask(&c, &hub, Method::GET, QUESTION, None).await), not_found());
    let nothing = json!({"pdus": [], "edus": []});
    for number in 0..20 {
        let path = send::paths(&format!("any{number}")).stable;
        assert_eq!(ask(&b, &hub, Method::PUT, &path, Some(&nothing)).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_uses_up_the_budget_of_another() {
    let world = World::new();
    let hub = world.server_within(with_rates(|rates| rates.reads = three())).await;
    let (honest, liar) = (world.server().await, world.server().await);
    for _ in 0..10 {
        let answer = forge(&liar, &honest, &hub, QUESTION).await;
        assert_eq!(refusal(&answer), (401, "M_FORBIDDEN".to_owned()));
    }
    for _ in 0..3 {
        assert_eq!(refusal(&ask(&honest, &hub, Method::GET, QUESTION, None).await), not_found());
    }
    assert_eq!(refusal(&ask(&honest, &hub, Method::GET, QUESTION, None).await), limited());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_proves_nothing_is_not_listened_to() {
    let world = World::new();
    let hub = world.server_within(with_rates(|rates| rates.unproved = three())).await;
    let liar = world.server().await;
    for _ in 0..4 {
        assert_eq!(forge(&liar, &liar, &hub, QUESTION).await.status, 401);
    }
    let refused = forge(&liar, &liar, &hub, QUESTION).await;
    assert_eq!(refusal(&refused), limited());
    // A body is not waited for either, and unknown paths and keys cost nothing.
    let path = send::paths("any").stable;
    let refused = raw(&liar, &hub, Method::PUT, &path, [], Bytes::from_static(b"no JSON")).await;
    assert_eq!(refusal(&refused), limited());
    let keys = raw(&liar, &hub, Method::GET, mimi_transport::keys::KEY_PATH, [], Bytes::new()).await;
    assert_eq!(keys.status, 200);
    let unknown = raw(&liar, &hub, Method::GET, "/unknown", [], Bytes::new()).await;
    assert_eq!(refusal(&unknown), (404, "M_UNRECOGNIZED".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_can_be_limited_by_address() {
    let world = World::new();
    let hub = world.server_within(with_rates(|rates| rates.keys = three())).await;
    let b = world.server().await;
    let fetch = async || raw(&b, &hub, Method::GET, mimi_transport::keys::KEY_PATH, [], Bytes::new()).await;
    for _ in 0..3 {
        assert_eq!(fetch().await.status, 200);
    }
    assert_eq!(refusal(&fetch().await), limited());
    assert_eq!(refusal(&ask(&b, &hub, Method::GET, QUESTION, None).await), not_found());
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_large_are_refused() {
    let world = World::new();
    let limits = with_requests(|requests| {
        (requests.path_bytes, requests.headers, requests.header_bytes) = (200, 10, 2_000);
    });
    let hub = world.server_within(limits).await;
    let b = world.server().await;
    let get = async |target: &str, headers: Vec<(http::HeaderName, HeaderValue)>| {
        refusal(&raw(&b, &hub, Method::GET, target, headers, Bytes::new()).await)
    };
    let too_large = |status| (status, "M_TOO_LARGE".to_owned());
    assert_eq!(get(&format!("{QUESTION}?{}", "x".repeat(200)), Vec::new()).await, too_large(414));
    let many = vec![(header::ACCEPT, HeaderValue::from_static("x")); 11];
    assert_eq!(get(QUESTION, many).await, too_large(431));
    let large = vec![(header::ACCEPT, HeaderValue::from_str(&"x".repeat(2_000)).unwrap())];
    assert_eq!(get(QUESTION, large).await, too_large(431));
    assert_eq!(get(QUESTION, Vec::new()).await, (401, "M_FORBIDDEN".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_large_are_refused() {
    let world = World::new();
    let limits = with_requests(|requests| requests.body_bytes = 10_000);
    let (small, b) = (world.server_within(limits).await, world.server().await);
    let path = send::paths("any").stable;
    let body = json!({"pdus": [], "edus": [], "org.example.padding": "x".repeat(20_000)});
    let refused = ask(&b, &small, Method::PUT, &path, Some(&body)).await;
    assert_eq!(refusal(&refused), (413, "M_TOO_LARGE".to_owned()));
}

/// A body of which nothing ever comes.
struct Nothing;

impl hyper::body::Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_comes_is_not_waited_for() {
    let world = World::new();
    let limits = with_requests(|requests| requests.body_grace = Duration::from_millis(10));
    let hub = world.server_within(limits).await;
    let mut roots = Roots::none();
    roots.add_pem_file(&world.ca).unwrap();
    let tls = TlsConnector::from(client_config(&roots, ClientOffer::default()).unwrap());
    let tcp = TcpStream::connect(hub.address).await.unwrap();
    let tls = tls.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    let _connection = tokio::spawn(connection);
    let request = Request::put(format!("https://{}{}", hub.name, send::paths("any").stable)).body(Nothing);
    let answer = tokio::time::timeout(super::PATIENCE, sender.send_request(request.unwrap())).await;
    let answer = answer.expect("the server waits for the body").unwrap();
    assert_eq!(answer.status(), 408);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["errcode"], "M_UNKNOWN");
}

/// A transaction may have fifty events of 65,536 bytes each.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_the_largest_kind_is_taken() {
    let world = World::new();
    let (hub, b) = (world.server().await, world.server().await);
    let edu = json!({"type": "org.example.large", "sender": "@bob:b", "content": {"x": "x".repeat(60_000)}});
    let body = json!({"pdus": [], "edus": vec![edu; 100]});
    let path = send::paths("large").stable;
    assert_eq!(ask(&b, &hub, Method::PUT, &path, Some(&body)).await.status, 200);
}
