//! Typed calls: what is tried again and what is not, and what they make of answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{OriginalUri, Request, State};
use axum::response::{IntoResponse, Response as Answer};
use http::{Method, StatusCode};
use mimi_linearized::id::{EventId, RoomId, ServerName, UserId};
use mimi_linearized::json::{Object, Value};
use mimi_linearized::version::RoomVersions;
use mimi_transport::client::{
    Blame, CallLimits, ClientError, Failed, FederationClient, RawRequest, Response, Retry, Transaction, Watch,
};
use mimi_transport::rooms::HandshakeKind;
use serde_json::json;

use crate::server::{Server, World, key, name, soon};

/// Answers with one thing after the other, the last one again and again, and takes note of what was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn act(State(script): State<Script>, OriginalUri(uri): OriginalUri, request: Request) -> Answer {
    script.asked.lock().unwrap().push(format!("{} {}", request.method(), uri.path_and_query().unwrap()));
    let mut answers = script.answers.lock().unwrap();
    let (status, body) =
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap();
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}

impl Script {
    fn set(&self, answers: &[(u16, Value)]) {
        *self.answers.lock().unwrap() = answers.iter().cloned().collect();
        self.asked.lock().unwrap().clear();
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn stage() -> (World, Server, Script, FederationClient) {
    let (mut world, script) = (World::new(), Script::default());
    let server = world.start("a.example", Router::new().fallback(act).with_state(script.clone())).await;
    let quick = Retry { attempts: 3, pause: Duration::from_millis(1) };
    let client = world.client("b.example", [key(1)]).with_retry(quick);
    (world, server, script, client)
}

fn room() -> RoomId {
    RoomId::parse("!r:a.example").unwrap()
}

fn event(id: &str) -> EventId {
    EventId::parse(id).unwrap()
}

#[tokio::test]
async fn what_may_be_answered_otherwise_soon_is_tried_again_under_the_same_id() {
    let (_world, server, script, client) = stage().await;
    let busy = (503, json!({"errcode": "M_UNKNOWN", "error": "busy"}));
    let later = (429, json!({"errcode": "M_LIMIT_EXCEEDED", "error": "later", "retry_after_ms": 1}));
    let done = (200, json!({"failed_pdus": {"$x": {"error": "no"}}}));
    script.set(&[busy.clone(), later, done]);
    let failed = soon(client.send(&server.name, "t/1", &Transaction::default())).await.unwrap();
    assert_eq!(failed, [Failed { event_id: event("$x"), error: "no".to_owned() }]);
    assert_eq!(script.asked(), ["PUT /_matrix/federation/v2/send/t%2F1"; 3]);

    // Not for ever, not if it takes something away, and not if it is refused for good.
    script.set(std::slice::from_ref(&busy));
    let error = soon(client.event(&server.name, &event("$x"))).await.unwrap_err();
    assert!(matches!(error, ClientError::Api { status: StatusCode::SERVICE_UNAVAILABLE, .. }), "{error}");
    assert_eq!(script.asked().len(), 3);
    script.set(std::slice::from_ref(&busy));
    soon(client.claim_keys(&server.name, &Object::new())).await.unwrap_err();
    assert_eq!(script.asked(), ["POST /_matrix/federation/v1/user/keys/claim"]);
    script.set(&[(403, json!({"errcode": "M_FORBIDDEN", "error": "no", "retry_after_ms": 1}))]);
    soon(client.send_leave(&server.name, "t", &json!({}))).await.unwrap_err();
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn all_attempts_have_the_time_of_one_call() {
    let (_world, server, script, client) = stage().await;
    script.set(&[(429, json!({"errcode": "M_LIMIT_EXCEEDED", "error": "", "retry_after_ms": 60_000}))]);
    let client = client.with_limits(CallLimits { timeout: Duration::from_secs(30), ..CallLimits::default() });
    let error = soon(client.event(&server.name, &event("$x"))).await.unwrap_err();
    assert!(matches!(error, ClientError::Api { .. }), "there is no time to wait a minute: {error}");
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn answers_are_read_as_far_as_their_form_goes() {
    let (_world, server, script, client) = stage().await;
    let (room, x, versions) = (room(), event("$x"), RoomVersions::lm_04());
    let bob = UserId::parse("@bob:b.example").unwrap();
    script.set(&[(200, json!({"pdus": [{"a": 1}, {"a": 2}, {"a": 3}], "auth_chain": []}))]);
    assert_eq!(soon(client.backfill(&server.name, &room, &x, 2)).await.unwrap().len(), 2);
    assert_eq!(soon(client.state(&server.name, &room, &x)).await.unwrap().pdus.len(), 3);
    assert_eq!(script.asked()[1], "GET /_matrix/federation/v1/state/%21r%3Aa.example?event_id=%24x");
    script.set(&[(200, json!({"pdu_ids": ["$1"], "auth_chain_ids": []}))]);
    assert_eq!(soon(client.state_ids(&server.name, &room, &x)).await.unwrap().pdu_ids, [event("$1")]);
    // A template in either form (reading R22).
    for answer in [json!({"type": "t", "room_version": "I.1"}), json!({"event": {"type": "t"}})] {
        script.set(&[(200, answer)]);
        let template = client.make(HandshakeKind::Join, &server.name, &room, &bob, &versions).await.unwrap();
        assert_eq!((&template.event["type"], template.room_version.as_str()), (&json!("t"), "I.1"));
    }
    // An invite's PDU under either name (reading R23).
    for answer in [json!({"pdu": {"a": 1}, "event": {}}), json!({"event": {"a": 1}})] {
        script.set(&[(200, answer)]);
        assert_eq!(client.invite(&server.name, "t", &json!({})).await.unwrap()["a"], 1);
    }
    let empty = json!({});
    for bad in [json!({"pdus": [1], "pdu_ids": ["1"], "pdu": 1, "event": [], "one_time_keys": []}), empty] {
        script.set(&[(200, bad)]);
        let errors = [
            client.backfill(&server.name, &room, &x, 2).await.unwrap_err(),
            client.state(&server.name, &room, &x).await.unwrap_err(),
            client.state_ids(&server.name, &room, &x).await.unwrap_err(),
            client.invite(&server.name, "t", &json!({})).await.unwrap_err(),
            client.send_join(&server.name, "t", &json!({})).await.unwrap_err(),
            client.claim_keys(&server.name, &Object::new()).await.unwrap_err(),
            client.commit_message(&server.name, &x).await.unwrap_err(),
            client.upload_commit(&server.name, &room, b"commit").await.unwrap_err(),
            client.server_keys(&server.name).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, ClientError::Unusable(_)), "{error}");
            assert_eq!(error.blame(), Blame::Peer);
        }
    }
}

/// What was seen: the request, who it is from, and the status.
#[derive(Default)]
struct Log(Mutex<Vec<(Method, String, Option<StatusCode>)>>);

impl Watch for Log {
    fn exchanged(
        &self,
        to: &ServerName,
        request: &RawRequest,
        outcome: Option<Result<&Response, &ClientError>>,
    ) {
        assert_eq!(to, &name("a.example"));
        let authorization = request.headers["authorization"].to_str().unwrap().to_owned();
        let status = outcome.and_then(Result::ok).map(|response| response.status);
        self.0.lock().unwrap().push((request.method.clone(), authorization, status));
    }
}

#[tokio::test]
async fn every_attempt_is_seen_and_names_who_speaks() {
    let (_world, server, script, client) = stage().await;
    script.set(&[(503, json!({})), (200, json!({}))]);
    let log = Arc::new(Log::default());
    let watched: Arc<dyn Watch> = Arc::<Log>::clone(&log);
    let other = client.speaking_as(name("c.example"), [key(2)]).watched_by(watched);
    soon(other.send_leave(&server.name, "t", &json!({}))).await.unwrap();
    let seen = std::mem::take(&mut *log.0.lock().unwrap());
    let statuses: Vec<_> = seen.iter().map(|(_, _, status)| status.unwrap().as_u16()).collect();
    assert_eq!(statuses, [503, 200]);
    for (method, authorization, _) in &seen {
        assert_eq!(method, Method::POST);
        assert!(
            authorization.contains("origin=\"c.example\"") && authorization.contains("ed25519:2"),
            "{authorization}"
        );
    }
    soon(client.send_leave(&server.name, "t", &json!({}))).await.unwrap();
    assert!(log.0.lock().unwrap().is_empty(), "only the one that was asked for is watched");
}
