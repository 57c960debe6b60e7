//! Driving a server through the control API.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mimi_linearized::id::{RoomId, UserId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::case::Finding;
use crate::evidence::{self, Exchange, Recorder};
use crate::peer::without_unsigned;
use crate::wire::Reply;

/// How long one call may take. Some calls make the target ask other servers.
const TIMEOUT: Duration = Duration::from_secs(40);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Why a control API cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// The URL is none that can be used.
    #[error("{0:?} is not a URL of the form http://HOST:PORT")]
    Url(String),
}

/// A control API.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    authority: String,
}

/// A room as `GET /rooms/{room}` shows it.
#[derive(Debug, Clone)]
pub(crate) struct Room(pub(crate) Value);

impl Room {
    /// A user's membership.
    pub(crate) fn membership(&self, user: &UserId) -> &str {
        self.0.get("members").and_then(|members| members.get(user.as_str())?.as_str()).unwrap_or("leave")
    }

    /// The epoch after the last accepted commit.
    pub(crate) fn mls_epoch(&self) -> Option<u64> {
        self.0.get("mls_epoch")?.as_u64()
    }

    /// The number of events in the list.
    pub(crate) fn length(&self) -> u64 {
        self.0.get("length").and_then(Value::as_u64).unwrap_or_default()
    }

    /// The last event.
    pub(crate) fn head(&self) -> &str {
        self.0.get("head").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the server says that the room is disputed.
    pub(crate) fn is_disputed(&self) -> bool {
        self.0.get("disputed").and_then(Value::as_bool).unwrap_or_default()
    }
}

/// One segment of a path.
pub(crate) fn segment(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

impl Control {
    /// The control API at a URL such as `http://127.0.0.1:8449`.
    pub(crate) fn at(url: &str) -> Result<Self, ControlError> {
        let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        match authority.filter(|authority| authority.contains(':') && !authority.contains('/')) {
            Some(authority) => Ok(Self { authority: authority.to_owned() }),
            None => Err(ControlError::Url(url.to_owned())),
        }
    }

    /// Calls the API and returns whatever it answers, unless that is 501: a driver that has no way to do this.
    pub(crate) async fn call(
        &self,
        recorder: &Recorder,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, Finding> {
        let bytes: Bytes = body.map(|body| body.to_string().into()).unwrap_or_default();
        self.call_with(recorder, method, path, bytes).await
    }

    /// As [`Self::call`], with a body of any kind.
    pub(crate) async fn call_with(
        &self,
        recorder: &Recorder,
        method: Method,
        path: &str,
        bytes: Bytes,
    ) -> Result<Reply, Finding> {
        let mut exchange = Exchange {
            between: "suite -> control API of the target".to_owned(),
            method: method.to_string(),
            url: format!("http://{}/control/v1{path}", self.authority),
            headers: Vec::new(),
            body: evidence::body(&bytes),
            status: None,
            answer: Value::Null,
            lie: None,
        };
        let result = tokio::time::timeout(TIMEOUT, self.exchange(method, path, bytes)).await;
        let result = result.unwrap_or_else(|_| Err("no answer in time".into()));
        let reply = match result {
            Ok((reply, bytes)) => {
                exchange.status = Some(reply.status.as_u16());
                exchange.answer = evidence::body(&bytes);
                Ok(reply)
            }
            Err(error) => {
                exchange.answer = Value::String(error.to_string());
                Err(Finding::Suite(format!("the control API at {}: {error}", self.authority)))
            }
        };
        recorder.record(exchange);
        match reply {
            Ok(reply) if reply.status == StatusCode::NOT_IMPLEMENTED => {
                let why =
                    reply.body.get("error").and_then(Value::as_str).unwrap_or("its driver cannot do that");
                Err(Finding::Untried(format!("the target cannot be driven that far: {why}")))
            }
            reply => reply,
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(Reply, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("/control/v1{path}"))
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let bytes = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        driver.abort();
        let reply = Reply {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        };
        Ok((reply, bytes))
    }

    /// Calls the API and expects a success.
    async fn expect(
        &self,
        recorder: &Recorder,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Finding> {
        let what = format!("{method} {path} on the control API");
        let reply = self.call(recorder, method, path, body).await?;
        if reply.status == StatusCode::OK { Ok(reply.body) } else { reply.expect_ok(&what).cloned() }
    }

    /// Creates a room.
    pub(crate) async fn create_room(&self, recorder: &Recorder, body: &Value) -> Result<RoomId, Finding> {
        let answer = self.expect(recorder, Method::POST, "/rooms", Some(body)).await?;
        let room = answer.get("room_id").and_then(Value::as_str).unwrap_or_default();
        RoomId::parse(room)
            .map_err(|error| Finding::Fault(format!("the new room's id {room:?} is none: {error}")))
    }

    /// A room in short.
    pub(crate) async fn room(&self, recorder: &Recorder, room: &RoomId) -> Result<Room, Finding> {
        let path = format!("/rooms/{}", segment(room.as_str()));
        self.expect(recorder, Method::GET, &path, None).await.map(Room)
    }

    /// A room's list, all of it. What was attached to the events in transit is gone.
    pub(crate) async fn events(&self, recorder: &Recorder, room: &RoomId) -> Result<Vec<Value>, Finding> {
        let mut events = Vec::new();
        let mut from = 0;
        loop {
            let path = format!("/rooms/{}/events?from={from}", segment(room.as_str()));
            let mut page = self.expect(recorder, Method::GET, &path, None).await?;
            match page.get_mut("events").map(Value::take) {
                Some(Value::Array(page)) => events.extend(page.iter().map(without_unsigned)),
                _ => return Err(Finding::Fault("`events` of the control API is no array".to_owned())),
            }
            match page.get("next").and_then(Value::as_u64) {
                Some(next) if next > from => from = next,
                _ => return Ok(events),
            }
        }
    }

    /// A room's state, in the same form.
    pub(crate) async fn state(&self, recorder: &Recorder, room: &RoomId) -> Result<Vec<Value>, Finding> {
        let path = format!("/rooms/{}/state", segment(room.as_str()));
        let mut answer = self.expect(recorder, Method::GET, &path, None).await?;
        match answer.get_mut("events").map(Value::take) {
            Some(Value::Array(events)) => Ok(events.iter().map(without_unsigned).collect()),
            _ => Err(Finding::Fault("`events` of the control API is no array".to_owned())),
        }
    }

    /// Sends an event, whatever the answer.
    pub(crate) async fn try_send(
        &self,
        recorder: &Recorder,
        room: &RoomId,
        sender: &str,
        kind: &str,
        state_key: Option<&str>,
        content: &Value,
    ) -> Result<Reply, Finding> {
        let mut body = json!({"sender": sender, "type": kind, "content": content});
        if let (Some(body), Some(state_key)) = (body.as_object_mut(), state_key) {
            body.insert("state_key".to_owned(), json!(state_key));
        }
        let path = format!("/rooms/{}/events", segment(room.as_str()));
        self.call(recorder, Method::POST, &path, Some(&body)).await
    }

    /// Sends an event and expects it to be taken. Returns the answer.
    pub(crate) async fn send(
        &self,
        recorder: &Recorder,
        room: &RoomId,
        sender: &str,
        kind: &str,
        state_key: Option<&str>,
        content: &Value,
    ) -> Result<Value, Finding> {
        let reply = self.try_send(recorder, room, sender, kind, state_key, content).await?;
        reply.expect_ok(&format!("sending {kind} as {sender}")).cloned()
    }

    /// Changes a membership, whatever the answer.
    pub(crate) async fn try_membership(
        &self,
        recorder: &Recorder,
        room: &RoomId,
        sender: &str,
        target: &str,
        membership: &str,
        via: &[&str],
    ) -> Result<Reply, Finding> {
        let body = json!({"sender": sender, "target": target, "membership": membership, "via": via});
        let path = format!("/rooms/{}/membership", segment(room.as_str()));
        self.call(recorder, Method::POST, &path, Some(&body)).await
    }

    /// Changes a membership and expects it to be taken. Returns the answer.
    pub(crate) async fn membership(
        &self,
        recorder: &Recorder,
        room: &RoomId,
        sender: &str,
        target: &str,
        membership: &str,
        via: &[&str],
    ) -> Result<Value, Finding> {
        let reply = self.try_membership(recorder, room, sender, target, membership, via).await?;
        reply.expect_ok(&format!("membership {membership} of {target} by {sender}")).cloned()
    }

    /// Publishes a device with key packages.
    pub(crate) async fn publish_device(
        &self,
        recorder: &Recorder,
        device: &Value,
        key_packages: &[(String, bool)],
    ) -> Result<(), Finding> {
        let keys: Vec<Value> =
            key_packages.iter().map(|(key, last)| json!({"key": key, "last_resort": last})).collect();
        let body = json!({"device": device, "key_packages": keys});
        self.expect(recorder, Method::POST, "/devices", Some(&body)).await.map(drop)
    }

    /// Removes a device.
    pub(crate) async fn remove_device(
        &self,
        recorder: &Recorder,
        user: &UserId,
        device: &str,
    ) -> Result<(), Finding> {
        let path = format!("/devices/{}/{}", segment(user.as_str()), segment(device));
        self.expect(recorder, Method::DELETE, &path, None).await.map(drop)
    }

    /// Claims key packages.
    pub(crate) async fn claim(
        &self,
        recorder: &Recorder,
        user: &UserId,
        wanted: &Value,
    ) -> Result<Value, Finding> {
        let path = format!("/users/{}/claim", segment(user.as_str()));
        let body = json!({"one_time_keys": wanted});
        self.expect(recorder, Method::POST, &path, Some(&body)).await
    }

    /// Sends a message to a device.
    pub(crate) async fn to_device(
        &self,
        recorder: &Recorder,
        user: &UserId,
        body: &Value,
    ) -> Result<(), Finding> {
        let path = format!("/users/{}/to-device", segment(user.as_str()));
        self.expect(recorder, Method::POST, &path, Some(body)).await.map(drop)
    }

    /// A user's inbox, all of it.
    pub(crate) async fn inbox(&self, recorder: &Recorder, user: &UserId) -> Result<Vec<Value>, Finding> {
        let path = format!("/users/{}/inbox?from=0", segment(user.as_str()));
        let mut answer = self.expect(recorder, Method::GET, &path, None).await?;
        match answer.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(Finding::Fault("`items` of the control API is no array".to_owned())),
        }
    }
}
