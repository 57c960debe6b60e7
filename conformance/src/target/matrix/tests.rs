//! The driver with a homeserver that does what it is asked, and takes note of it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use mimi_linearized::id::UserId;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::case::Finding;
use crate::evidence::Recorder;

/// A homeserver with one room at most.
#[derive(Debug, Default)]
struct Fake {
    /// What was asked: the user, the method, and the path behind the version, decoded.
    asked: Vec<(String, String, Value)>,
    events: Vec<Value>,
    /// How often it says that it is asked too much.
    too_much: usize,
}

type Shared = Arc<Mutex<Fake>>;

const ROOM: &str = "!room:fake.example";

impl Fake {
    fn append(&mut self, sender: &str, kind: &str, state_key: Option<&str>, content: &Value) -> Value {
        let id = format!("$event{}", self.events.len());
        let mut event = json!({"event_id": id, "type": kind, "sender": sender, "content": content});
        if let Some(key) = state_key {
            event["state_key"] = json!(key);
        }
        self.events.push(event);
        json!({"event_id": id})
    }

    fn answer(&mut self, user: &str, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let sender = format!("@{user}:fake.example");
        let parts: Vec<String> = path.split('/').map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let answer = match (method.as_str(), parts.as_slice()) {
            ("POST", ["register"]) => return register(body),
            ("POST", ["login"]) if body["password"] == "right" => {
                entered(body["identifier"]["user"].as_str())
            }
            ("POST", ["login"]) => return (403, json!({"errcode": "M_FORBIDDEN"})),
            ("GET", ["capabilities"]) => {
                json!({"capabilities": {"m.room_versions": {"default": "11", "available": {"11": "stable", "I.1": "x"}}}})
            }
            ("POST", ["createRoom"]) => {
                self.events.clear();
                self.append(&sender, "m.room.create", Some(""), &body["creation_content"]);
                self.append(&sender, "m.room.member", Some(&sender), &json!({"membership": "join"}));
                json!({"room_id": ROOM})
            }
            ("POST", ["join", ..]) => {
                self.append(&sender, "m.room.member", Some(&sender), &json!({"membership": "join"}))
            }
            ("POST", ["rooms", _, what]) => {
                let membership = match *what {
                    "kick" | "unban" => "leave",
                    other => other,
                };
                let target = body["user_id"].as_str().unwrap_or(&sender).to_owned();
                self.append(&sender, "m.room.member", Some(&target), &json!({"membership": membership}))
            }
            ("PUT", ["rooms", _, "send", kind, _]) => self.append(&sender, kind, None, body),
            ("PUT", ["rooms", _, "state", kind, key]) => self.append(&sender, kind, Some(key), body),
            ("GET", ["rooms", _, "state"]) => {
                let mut state: Vec<Value> = Vec::new();
                for event in self.events.iter().filter(|event| event.get("state_key").is_some()) {
                    state.retain(|old| {
                        (&old["type"], &old["state_key"]) != (&event["type"], &event["state_key"])
                    });
                    state.push(event.clone());
                }
                Value::Array(state)
            }
            ("PUT", ["sendToDevice", ..]) => json!({}),
            _ => return (404, json!({"errcode": "M_UNRECOGNIZED", "error": path})),
        };
        (200, answer)
    }

    fn sync(&self, query: &str) -> Value {
        let since = query.split("since=").nth(1).map_or(0, |since| since.parse().unwrap());
        let mut answer = json!({"next_batch": self.events.len().to_string()});
        if since < self.events.len() {
            answer["rooms"] = json!({"join": {ROOM: {"timeline": {"events": self.events[since..]}}}});
        }
        if !query.contains("federation") {
            let invite = json!({"type": "m.room.member", "state_key": "@bob:fake.example", "sender": "@x:y"});
            answer["rooms"] = json!({"invite": {ROOM: {"invite_state": {"events": [invite]}}}});
        }
        answer
    }
}

fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8().unwrap().into_owned()
}

fn entered(user: Option<&str>) -> Value {
    let user = user.unwrap();
    json!({"user_id": format!("@{user}:fake.example"), "access_token": user})
}

/// `carol` is there already. Whoever is not, has to say that this is all there is to say.
fn register(body: &Value) -> (u16, Value) {
    match body["username"].as_str() {
        Some("carol") => (400, json!({"errcode": "M_USER_IN_USE"})),
        user if body["auth"]["type"] == "m.login.dummy" && body["auth"]["session"] == "s" => {
            (200, entered(user))
        }
        _ => (401, json!({"session": "s", "flows": [{"stages": ["m.login.dummy"]}]})),
    }
}

async fn handle(
    State(fake): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let user = headers
        .get("authorization")
        .map_or("", |value| value.to_str().unwrap().trim_start_matches("Bearer "));
    let path = uri.path().strip_prefix("/_matrix/client/v3/").unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut fake = fake.lock().unwrap();
    if fake.too_much > 0 {
        fake.too_much -= 1;
        let body = json!({"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1});
        return (StatusCode::TOO_MANY_REQUESTS, axum::Json(body)).into_response();
    }
    let (status, answer) = match path {
        "sync" => (200, fake.sync(uri.query().unwrap())),
        path => {
            let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            let asked = format!("{method} {}{query}", decoded(path));
            fake.asked.push((user.to_owned(), asked, body.clone()));
            fake.answer(user, &method, path, &body)
        }
    };
    (StatusCode::from_u16(status).unwrap(), axum::Json(answer)).into_response()
}

async fn start(fake: &Shared, password: &str) -> Result<Matrix, DriverError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().fallback(handle).with_state(Arc::clone(fake));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let name = ServerName::parse("fake.example").unwrap();
    let accounts = Accounts { password: password.to_owned(), registration_token: None };
    Matrix::start(&url, name, &Roots::none(), accounts).await.map(|(matrix, _)| matrix)
}

fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

#[tokio::test]
async fn the_control_api_becomes_calls_of_a_client() {
    let (fake, recorder) = (Shared::default(), Recorder::default());
    fake.lock().unwrap().too_much = 2;
    let matrix = start(&fake, "right").await.unwrap();
    assert!(matrix.has_linearized_rooms());
    let control = &matrix.control;
    fake.lock().unwrap().asked.clear();

    let new = json!({
        "creator": "alice", "join_rule": "public", "history_visibility": "joined", "name": "Tea", "encrypted": true,
        "power_levels": {"ban": 7}, "initial_state": [{"type": "x", "state_key": "", "content": {}}],
    });
    let room = control.create_room(&recorder, &new).await.unwrap();
    let topic = json!({"topic": "Tea"});
    control.send(&recorder, &room, "@alice:fake.example", "m.room.topic", Some(""), &topic).await.unwrap();
    control.send(&recorder, &room, "alice", "m.a/b", None, &json!({"body": "?"})).await.unwrap();
    let member = async |sender: &str, target: &str, membership: &str, via: &[&str]| {
        let answer = control.membership(&recorder, &room, sender, target, membership, via).await.unwrap();
        answer["event_id"].as_str().unwrap().to_owned()
    };
    member("carol", "carol", "join", &["hub.example:1"]).await;
    for membership in ["invite", "leave", "ban", "leave"] {
        member("alice", "@bob:fake.example", membership, &[]).await;
    }
    let last = member("carol", "@carol:fake.example", "leave", &[]).await;

    let asked = std::mem::take(&mut fake.lock().unwrap().asked);
    let paths: Vec<_> = asked
        .iter()
        .filter(|(_, path, _)| !path.starts_with("POST register") && !path.starts_with("POST login"))
        .map(|(user, path, _)| format!("{user}: {path}"))
        .collect();
    let rooms = |rest: &str| format!("rooms/{ROOM}/{rest}");
    let transaction = paths[2].rsplit_once('/').unwrap().1;
    assert_eq!(
        paths,
        [
            "alice: POST createRoom".to_owned(),
            format!("alice: PUT {}", rooms("state/m.room.topic/")),
            format!("alice: PUT {}", rooms(&format!("send/m.a/b/{transaction}"))),
            format!("carol: POST join/{ROOM}?via=hub%2Eexample%3A1&server_name=hub%2Eexample%3A1"),
            format!("alice: POST {}", rooms("invite")),
            format!("alice: POST {}", rooms("kick")),
            format!("alice: POST {}", rooms("ban")),
            format!("alice: POST {}", rooms("unban")),
            format!("carol: POST {}", rooms("leave")),
        ]
    );
    let (_, _, created) = &asked[0];
    assert_eq!(
        *created,
        json!({
            "preset": "private_chat", "visibility": "private", "room_version": "I.1", "name": "Tea",
            "power_level_content_override": {"ban": 7},
            "initial_state": [
                {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "public"}},
                {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}},
                {"type": "x", "state_key": "", "content": {}},
            ],
            "creation_content": {"encryption": {"algorithm": "m.mls.v1.dhkemx25519-aes128gcm-sha256-ed25519"}},
        })
    );

    let shown = control.room(&recorder, &room).await.unwrap();
    assert_eq!((shown.head(), shown.length()), (last.as_str(), fake.lock().unwrap().events.len() as u64));
    assert_eq!(shown.0["hub"], "fake.example");
    assert_eq!(shown.membership(&user("@alice:fake.example")), "join");
    assert_eq!(shown.membership(&user("@carol:fake.example")), "leave");
    let events = control.events(&recorder, &room).await.unwrap();
    assert_eq!(events.len() as u64, shown.length());
    let state = control.state(&recorder, &room).await.unwrap();
    assert!(state.iter().any(|event| event["content"] == topic) && state.len() < events.len());
}

#[tokio::test]
async fn what_comes_to_a_user_is_a_log_and_what_no_client_can_do_is_not_tried() {
    let (fake, recorder) = (Shared::default(), Recorder::default());
    let matrix = start(&fake, "right").await.unwrap();
    let bob = user("@bob:fake.example");
    for _ in 0..2 {
        let items = matrix.control.inbox(&recorder, &bob).await.unwrap();
        assert_eq!(items.len(), 1, "the same invite is one");
        assert_eq!((&items[0]["type"], &items[0]["room_id"]), (&json!("invite"), &json!(ROOM)));
    }
    let message = json!({
        "target": "@a:b.example", "target_device": "DEVICE", "message_type": "m.x", "message": {"n": 1},
    });
    matrix.control.to_device(&recorder, &bob, &message).await.unwrap();
    let (by, path, body) = fake.lock().unwrap().asked.pop().unwrap();
    assert!(by == "bob" && path.starts_with("PUT sendToDevice/m.x/"), "{by} {path}");
    assert_eq!(body, json!({"messages": {"@a:b.example": {"DEVICE": {"n": 1}}}}));

    let impossible = matrix.control.publish_device(&recorder, &json!({}), &[]).await.unwrap_err();
    assert!(matches!(&impossible, Finding::Untried(why) if why.contains("POST /devices")), "{impossible}");
    let strange = matrix.control.inbox(&recorder, &user("@bob:elsewhere.example")).await.unwrap_err();
    assert!(!matches!(strange, Finding::Untried(_)), "{strange}");
}

#[tokio::test]
async fn what_is_no_address_of_a_homeserver_is_refused() {
    let name = ServerName::parse("fake.example").unwrap();
    let accounts = Accounts { password: "x".to_owned(), registration_token: None };
    for url in ["fake.example", "ftp://fake.example", "http://fake.example?x"] {
        let refused = Matrix::start(url, name.clone(), &Roots::none(), accounts.clone()).await.unwrap_err();
        assert!(matches!(refused, DriverError::Url(_)), "{refused}");
    }
}

/// A user who is there already needs the password.
#[tokio::test]
async fn a_user_who_is_there_is_logged_in() {
    let (fake, recorder) = (Shared::default(), Recorder::default());
    let matrix = start(&fake, "wrong").await.unwrap();
    let new = json!({"creator": "carol"});
    let refused = matrix.control.create_room(&recorder, &new).await.unwrap_err().to_string();
    assert!(refused.contains("M_FORBIDDEN"), "{refused}");
}
