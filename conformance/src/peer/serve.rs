//! How a peer answers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use mimi_linearized::event::hash;
use mimi_linearized::id::{RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_transport::{clock, request_auth};
use serde_json::{Value, json};

use super::hosted::HostedRoom;
use super::{Inbound, Inner};
use crate::evidence::{self, Details, Exchange};

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: u16,
    /// The JSON body.
    pub(crate) body: Value,
}

impl Response {
    /// A success.
    pub(crate) fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    /// An error.
    pub(crate) fn error(status: u16, errcode: &str) -> Self {
        Self { status, body: json!({"errcode": errcode, "error": "as the case has it"}) }
    }

    fn into_raw(self) -> RawResponse {
        let body = self.body.to_string().into();
        RawResponse { status: self.status, content_type: "application/json", body }
    }
}

/// An answer that need not be JSON.
#[derive(Debug, Clone)]
pub(crate) struct RawResponse {
    /// The status.
    pub(crate) status: u16,
    /// The `Content-Type`.
    pub(crate) content_type: &'static str,
    /// The body.
    pub(crate) body: Bytes,
}

type Which = Box<dyn Fn(&Inbound) -> bool + Send + Sync>;
type Override = Box<dyn Fn(&Inbound) -> Option<Response> + Send + Sync>;

/// A device and its key packages.
#[derive(Debug)]
struct OfferedDevice {
    object: Value,
    packages: Vec<String>,
}

#[derive(Default)]
struct Settings {
    keys: Value,
    overrides: Vec<Override>,
    raw: Vec<(Which, RawResponse)>,
    devices: BTreeMap<(String, String), OfferedDevice>,
    rooms: HashMap<RoomId, Arc<HostedRoom>>,
}

/// What a peer does with requests.
pub(super) struct Behaviour(Mutex<Settings>);

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour").finish_non_exhaustive()
    }
}

impl Behaviour {
    pub(super) fn new(keys: Value) -> Self {
        Self(Mutex::new(Settings { keys, ..Settings::default() }))
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, keys: Value) {
        self.settings().keys = keys;
    }

    pub(super) fn override_with(
        &self,
        answer: impl Fn(&Inbound) -> Option<Response> + Send + Sync + 'static,
    ) {
        self.settings().overrides.push(Box::new(answer));
    }

    pub(super) fn answer_raw(
        &self,
        which: impl Fn(&Inbound) -> bool + Send + Sync + 'static,
        response: RawResponse,
    ) {
        self.settings().raw.push((Box::new(which), response));
    }

    fn raw(&self, inbound: &Inbound) -> Option<RawResponse> {
        let settings = self.settings();
        let answer = settings.raw.iter().rev().find(|(which, _)| which(inbound));
        answer.map(|(_, response)| response.clone())
    }

    pub(super) fn offer_device(&self, user: &UserId, device: &str, object: Value, packages: Vec<String>) {
        let key = (user.to_string(), device.to_owned());
        self.settings().devices.insert(key, OfferedDevice { object, packages });
    }

    pub(super) fn hosts(&self) -> Vec<Arc<HostedRoom>> {
        self.settings().rooms.values().cloned().collect()
    }

    pub(super) fn host(&self, room: Arc<HostedRoom>) {
        self.settings().rooms.insert(room.id.clone(), room);
    }

    pub(super) fn hosted(&self, room: &str) -> Option<Arc<HostedRoom>> {
        self.settings().rooms.get(room).cloned()
    }

    fn overridden(&self, inbound: &Inbound) -> Option<Response> {
        self.settings().overrides.iter().rev().find_map(|answer| answer(inbound))
    }
}

pub(super) fn router(inner: Arc<Inner>) -> Router {
    Router::new().fallback(handle).with_state(inner)
}

async fn handle(State(inner): State<Arc<Inner>>, request: Request) -> axum::response::Response {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let bytes = body.to_bytes();
    let content: Option<Value> =
        (!bytes.is_empty()).then(|| serde_json::from_slice(&bytes).unwrap_or_default());
    let origin = inner.authenticate(&parts.method, &target, &parts.headers, content.as_ref()).await;
    let in_header = || parts.headers.get(header::HOST)?.to_str().ok().map(ToOwned::to_owned);
    let host = parts.uri.authority().map(ToString::to_string).or_else(in_header).unwrap_or_default();
    let inbound = Inbound {
        method: parts.method,
        target,
        host,
        headers: parts.headers,
        body: content.unwrap_or_default(),
        origin,
    };
    inner.gates.pass(&inbound).await;
    let response = match inner.behaviour.raw(&inbound) {
        Some(raw) => raw,
        None => inner.answer(&inbound).into_raw(),
    };
    let mut exchange = Exchange {
        between: format!("{} -> suite {}", inner.asker(&inbound), inner.name),
        method: inbound.method.to_string(),
        url: format!("https://{}{}", inner.name, inbound.target),
        headers: evidence::headers(&inbound.headers),
        body: inbound.body.clone(),
        status: Some(response.status),
        answer: evidence::body(&response.body),
        lie: None,
    };
    let twisted = inner.twist.as_ref().map(|twist| twist.answer(&inbound, &response));
    if let Some(twisted) = &twisted {
        twisted.describe(&mut exchange);
    }
    inner.recorder.record_with(exchange, Details::of(&bytes, None));
    inner.log.add(inbound);
    match twisted {
        Some(twisted) => twisted.given(response).await,
        None => response.into_response(),
    }
}

impl IntoResponse for RawResponse {
    fn into_response(self) -> axum::response::Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content_type = HeaderValue::from_static(self.content_type);
        (status, [(header::CONTENT_TYPE, content_type)], Body::from(self.body)).into_response()
    }
}

impl Inner {
    /// Checks a request's signatures against the target's published keys.
    async fn authenticate(
        &self,
        method: &Method,
        target: &str,
        headers: &http::HeaderMap,
        content: Option<&Value>,
    ) -> Result<ServerName, String> {
        let presented = request_auth::parse_all(headers).map_err(|error| error.to_string())?;
        let ring = if *presented.origin() == self.environment.target.name {
            self.environment.target_ring().await.map_err(|error| error.to_string())?
        } else if self.twist.is_some() {
            self.ring_of(presented.origin()).await?
        } else {
            return Err(format!("the request is from {}", presented.origin()));
        };
        presented
            .verify(&ring, clock::now_ms(), &self.name, method.as_str(), target, content)
            .map_err(|error| error.to_string())
    }

    fn answer(self: &Arc<Self>, inbound: &Inbound) -> Response {
        if let Some(response) = self.behaviour.overridden(inbound) {
            return response;
        }
        if inbound.target.starts_with("/_matrix/key/v2/server") {
            return Response::ok(self.behaviour.settings().keys.clone());
        }
        if inbound.origin.is_err() {
            return Response::error(401, "M_FORBIDDEN");
        }
        let segments = inbound.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (inbound.method.as_str(), segments.as_slice()) {
            ("PUT", [endpoint @ "send", id])
            | ("POST", [endpoint @ ("invite" | "send_join" | "send_leave" | "send_knock"), id]) => {
                self.take_once(endpoint, id, inbound)
            }
            ("GET", ["make_join", room, user]) => self.with_room(room, |hosted| hosted.make_join(user)),
            ("GET", ["make_leave", room, user]) => self.with_room(room, |hosted| hosted.make_leave(user)),
            ("GET", ["make_knock", room, user]) => self.with_room(room, |hosted| hosted.make_knock(user)),
            ("GET", ["event", id]) => self.find_event(id),
            ("GET", ["state", room]) => {
                let at = inbound.query("event_id");
                self.with_room(room, |hosted| hosted.state(at.first().map_or("", String::as_str)))
            }
            ("GET", ["state_ids", room]) => {
                let at = inbound.query("event_id");
                self.with_room(room, |hosted| hosted.state_ids(at.first().map_or("", String::as_str)))
            }
            ("GET", ["backfill", room]) => {
                let (v, limit) = (inbound.query("v"), inbound.query("limit"));
                self.with_room(room, |hosted| hosted.backfill(&v, &limit))
            }
            ("GET", ["user", user, "device", device]) => self.find_device(user, device),
            ("POST", ["user", "keys", "claim"]) => self.claim(inbound),
            _ => Response::error(404, "M_UNRECOGNIZED"),
        }
    }

    /// Answers a request that has a transaction id, the same way if it comes again (LM-04 §12.2.5).
    fn take_once(self: &Arc<Self>, endpoint: &str, id: &str, inbound: &Inbound) -> Response {
        let transaction = (endpoint.to_owned(), id.to_owned());
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(response) = answered.get(&transaction) {
            return response.clone();
        }
        let response = match endpoint {
            "send" => self.take_transaction(inbound),
            "invite" => self.sign_invite(inbound),
            "send_join" => self.with_room_of(inbound, |hosted| hosted.send_join(&inbound.body, &self.key)),
            "send_leave" => self.with_room_of(inbound, |hosted| hosted.send_leave(&inbound.body, &self.key)),
            _ => self.with_room_of(inbound, |hosted| hosted.send_knock(&inbound.body, &self.key)),
        };
        answered.insert(transaction, response.clone());
        response
    }

    fn with_room(&self, room: &str, answer: impl FnOnce(&HostedRoom) -> Response) -> Response {
        self.behaviour
            .hosted(room)
            .map_or_else(|| Response::error(404, "M_NOT_FOUND"), |hosted| answer(&hosted))
    }

    /// As [`Self::with_room`], for the room that the event in the body is for.
    fn with_room_of(&self, inbound: &Inbound, answer: impl FnOnce(&HostedRoom) -> Response) -> Response {
        self.with_room(inbound.body.get("room_id").and_then(Value::as_str).unwrap_or_default(), answer)
    }

    /// Takes a transaction. LPDUs for hosted rooms are sealed and sent back, as a hub does.
    fn take_transaction(self: &Arc<Self>, inbound: &Inbound) -> Response {
        let (mut failed, mut sealed) = (Object::new(), Vec::new());
        for pdu in inbound.pdus() {
            let room = pdu.get("room_id").and_then(Value::as_str).unwrap_or_default();
            let Some(hosted) = self.behaviour.hosted(room) else { continue };
            match hosted.accept(pdu, &self.key) {
                Ok(event) => sealed.push(event),
                Err((id, error)) => {
                    failed.insert(id, json!({"error": error}));
                }
            }
        }
        self.push(sealed);
        Response::ok(json!({"failed_pdus": failed}))
    }

    /// Signs an invite and sends it back.
    fn sign_invite(&self, inbound: &Inbound) -> Response {
        let Some(Value::Object(event)) = inbound.body.get("event") else {
            return Response::error(400, "M_BAD_JSON");
        };
        let mut event = event.clone();
        let rules = &self.environment.versions.default_version().redaction;
        let signature = self.key.sign(&hash::signing_bytes(&event, rules)).to_base64();
        if let Some(Value::Object(signatures)) = event.get_mut("signatures") {
            signatures.insert(self.name.to_string(), json!({self.key.id().as_str(): signature}));
        }
        Response::ok(json!({"pdu": event}))
    }

    fn find_event(&self, id: &str) -> Response {
        let event = self.behaviour.hosts().iter().find_map(|room| room.event(id));
        event.map_or_else(|| Response::error(404, "M_NOT_FOUND"), Response::ok)
    }

    fn find_device(&self, user: &str, device: &str) -> Response {
        let own = UserId::parse(user).is_ok_and(|user| user.server() == self.name);
        let offered = {
            let settings = self.behaviour.settings();
            settings.devices.get(&(user.to_owned(), device.to_owned())).map(|offered| offered.object.clone())
        };
        let object = offered.or_else(|| self.published.of(user, device).filter(|_| own));
        object.map_or_else(|| Response::error(404, "M_NOT_FOUND"), Response::ok)
    }

    fn claim(&self, inbound: &Inbound) -> Response {
        let mut settings = self.behaviour.settings();
        let mut claimed = Object::new();
        let wanted = inbound.body.get("one_time_keys").and_then(Value::as_object);
        for (user, devices) in wanted.into_iter().flatten() {
            let mut keys = Object::new();
            for (device, algorithm) in devices.as_object().into_iter().flatten() {
                let offered = settings.devices.get_mut(&(user.clone(), device.clone()));
                let package = offered.and_then(|offered| offered.packages.pop());
                if let (Some(package), Some(algorithm)) = (package, algorithm.as_str()) {
                    keys.insert(device.clone(), json!({algorithm: package}));
                }
            }
            if !keys.is_empty() {
                claimed.insert(user.clone(), Value::Object(keys));
            }
        }
        Response::ok(json!({"one_time_keys": claimed}))
    }
}
