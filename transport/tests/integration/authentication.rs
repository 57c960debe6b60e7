//! Requests that are signed by one server and verified by another, which fetches the keys (LM-04 §12.4).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::strict;
use mimi_linearized::signing::{KeyRing as _, KeyStanding, SigningKey};
use mimi_transport::client::{CallLimits, FederationClient, RawRequest};
use mimi_transport::clock::Clock;
use mimi_transport::error::ApiError;
use mimi_transport::keys::{KeyFetchError, KeyLimits, NoKeyStore, RemoteKeys};
use mimi_transport::request_auth::{parse_all, sign_request};
use serde_json::{Value, json};

use crate::server::{NOW, Server, World, key, name, published, publishing};

/// What a server that verifies requests needs.
#[derive(Clone)]
struct Verifier {
    own_name: ServerName,
    keys: RemoteKeys,
    clock: Clock,
}

impl Verifier {
    /// Verifies a request and answers with its origin.
    async fn answer(self, request: Request) -> Result<axum::Json<Value>, ApiError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = if body.is_empty() { None } else { Some(strict::parse(&body).unwrap()) };
        let presented = parse_all(&parts.headers)?;
        presented.check_destination(&self.own_name)?;
        let (now, ids) = (self.clock.now_ms(), presented.key_ids().cloned().collect::<Vec<_>>());
        let keys = self.keys.ring_for_requests(presented.origin(), &ids, now).await;
        let uri = parts.uri.path_and_query().unwrap().as_str();
        let origin =
            presented.verify(&keys, now, &self.own_name, parts.method.as_str(), uri, body.as_ref())?;
        Ok(axum::Json(json!({"origin": origin})))
    }
}

async fn verify(State(verifier): State<Verifier>, request: Request) -> Response {
    verifier.answer(request).await.into_response()
}

/// Two servers: `a.example` sends with keys 1 and 2, which it publishes until `NOW + 10,000`; `b.example` verifies.
struct Pair {
    world: World,
    sender: Server,
    receiver: Server,
    client: FederationClient,
    key_fetches: Arc<AtomicUsize>,
}

async fn pair() -> Pair {
    let mut world = World::new();
    let keys = [key(1), key(2)];
    let (router, key_fetches) = publishing(published("a.example", &keys, NOW + 10_000));
    let sender = world.start("a.example", router).await;
    let fetcher = world.client("b.example", [key(7)]);
    let keys_of_others = RemoteKeys::new(fetcher, NoKeyStore, world.clock.clone(), KeyLimits::default());
    let verifier = Verifier { own_name: name("b.example"), keys: keys_of_others, clock: world.clock.clone() };
    let receiver = world.start("b.example", Router::new().fallback(verify).with_state(verifier)).await;
    let client = world.client("a.example", keys);
    Pair { world, sender, receiver, client, key_fetches }
}

impl Pair {
    /// Sends a request with these `Authorization` headers. Returns the status.
    async fn send(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
        headers: &[HeaderValue],
    ) -> StatusCode {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(AUTHORIZATION, header.clone());
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = RawRequest { method, target: target.to_owned(), headers: map, body };
        let response =
            self.client.send_raw(&self.receiver.name, request, CallLimits::default()).await.unwrap();
        if let Some(error) = response.api_error() {
            assert_eq!((response.status, error.code().as_str()), (StatusCode::UNAUTHORIZED, "M_FORBIDDEN"));
            assert_eq!(response.headers["content-type"], "application/json");
        }
        response.status
    }

    fn sign(&self, method: &Method, target: &str, body: Option<&Value>, by: &SigningKey) -> HeaderValue {
        sign_request(method.as_str(), target, &self.sender.name, &self.receiver.name, body, by)
    }
}

#[tokio::test]
async fn a_signed_request_is_known_by_its_origin() {
    let pair = pair().await;
    let body = json!({"pdus": [{"n": 1.5, "é": null}]});
    for (method, target, body) in [
        (Method::GET, "/_matrix/x?a=%2F&b", None),
        (Method::PUT, "/_matrix/x/%20", Some(&body)),
        (Method::POST, "/", None),
    ] {
        let response = pair.client.request(&pair.receiver.name, &method, target, body).await.unwrap();
        assert_eq!(response.json_ok().unwrap(), json!({"origin": "a.example"}), "{target}");
    }
    assert_eq!(pair.key_fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_that_was_tampered_with_is_refused() {
    let pair = pair().await;
    let (put, body) = (Method::PUT, json!({"a": 1}));
    let good = pair.sign(&put, "/x?y", Some(&body), &key(1));
    assert_eq!(
        pair.send(put.clone(), "/x?y", Some(&body), std::slice::from_ref(&good)).await,
        StatusCode::OK
    );
    let forms = [
        (Method::POST, "/x?y", Some(json!({"a": 1}))),
        (Method::PUT, "/x?z", Some(json!({"a": 1}))),
        (Method::PUT, "/x", Some(json!({"a": 1}))),
        (Method::PUT, "/%78?y", Some(json!({"a": 1}))),
        (Method::PUT, "/x?y", Some(json!({"a": 2}))),
        (Method::PUT, "/x?y", Some(json!({}))),
        (Method::PUT, "/x?y", None),
    ];
    for (method, target, body) in forms {
        let status = pair.send(method, target, body.as_ref(), std::slice::from_ref(&good)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{target} {body:?}");
    }
}

#[tokio::test]
async fn every_header_has_to_be_good() {
    let pair = pair().await;
    let sign = |target: &str, by: u8| pair.sign(&Method::GET, target, None, &key(by));
    let get = async |headers: &[HeaderValue]| pair.send(Method::GET, "/x", None, headers).await.as_u16();
    assert_eq!(get(&[sign("/x", 1), sign("/x", 2)]).await, 200);
    assert_eq!(get(&[]).await, 401);
    assert_eq!(get(&[sign("/x", 1), sign("/y", 2)]).await, 401);
    assert_eq!(get(&[sign("/x", 1), sign("/x", 3)]).await, 401, "key 3 is not published");
    assert_eq!(get(&[sign("/x", 1), HeaderValue::from_static("Basic YTpi")]).await, 401);
    let elsewhere = sign_request("GET", "/x", &pair.sender.name, &name("c.example"), None, &key(1));
    assert_eq!(get(&[elsewhere]).await, 401);
    assert_eq!(get(&[sign("/x", 1)]).await, 200);
}

#[tokio::test]
async fn expired_keys_are_fetched_again_and_no_more_often_than_allowed() {
    let pair = pair().await;
    let get = async || {
        pair.send(Method::GET, "/", None, &[pair.sign(&Method::GET, "/", None, &key(1))]).await.as_u16()
    };
    let fetched = || pair.key_fetches.load(Ordering::SeqCst);
    assert_eq!((get().await, get().await, fetched()), (200, 200, 1));
    // What the sender publishes has expired, and stays so.
    pair.world.hands.set(NOW + 10_001);
    assert_eq!((get().await, get().await, fetched()), (401, 401, 2));
    pair.world.hands.advance(1_999);
    assert_eq!((get().await, fetched()), (401, 2));
    pair.world.hands.advance(1);
    assert_eq!((get().await, fetched()), (401, 3));
}

#[tokio::test]
async fn keys_of_servers_that_are_gone_are_unavailable() {
    let mut world = World::new();
    let (router, _) = publishing(published("wrong.example", &[key(1)], NOW + 10_000));
    let _server = world.start("a.example", router).await;
    let down = world.start("down.example", Router::new()).await;
    down.stopped().await;
    let keys = RemoteKeys::new(
        world.client("b.example", [key(7)]),
        NoKeyStore,
        world.clock.clone(),
        KeyLimits::default(),
    );
    let id = key(1).id().clone();
    let needed = ["a.example", "down.example"].map(|host| (name(host), NOW, vec![id.clone()]));
    let found = keys.ring_for_events(&needed).await;
    assert!(matches!(found.unavailable()[&name("a.example")], KeyFetchError::WrongServer(_)));
    assert!(matches!(found.unavailable()[&name("down.example")], KeyFetchError::Client(_)));
    assert_eq!(found.standing(&name("a.example"), &id, NOW), KeyStanding::Unknown);
}
