//! The suite's own servers: real ones on the wire, with whatever behind it a case wants.
//!
//! A [`Peer`] has a name, a key, a certificate and a listener. By itself it behaves well: it publishes its keys, takes
//! what it is sent, signs invites, and plays the hub of the rooms it hosts. A case can make it answer anything else.

mod gate;
mod hosted;
mod inbound;
mod seal;
mod serve;
mod twist;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use http::{HeaderValue, Method, header};
use mimi_linearized::event::Draft;
use mimi_linearized::id::{RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_linearized::signing::{ServerKeys, SigningKey, sign_object};
use mimi_transport::client::{FederationClient, JoinAnswer, Retry};
use mimi_transport::rooms::HandshakeKind;
use mimi_transport::tls::ServerCertificate;
use mimi_transport::{clock, request_auth};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) use gate::Gate;
pub(crate) use hosted::HostedRoom;
pub(crate) use inbound::Inbound;
pub(crate) use serve::{RawResponse, Response};
pub(crate) use twist::{Twist, Twisted};

use crate::case::Finding;
use crate::environment::Environment;
use crate::evidence::Recorder;
use crate::published::Published;
use crate::wire::{self, Ask, Reply};
use gate::Gates;
use inbound::Log;
use serve::Behaviour;
use twist::Others;

/// How long a peer's keys are valid by default.
const KEYS_VALID_MS: i64 = 12 * 60 * 60 * 1_000;

/// A target that asks to wait is waited for; one that breaks off is not asked again without need.
const PATIENT: Retry = Retry { attempts: 5, pause: Duration::from_secs(1) };

/// A server of the suite.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its name.
    pub(crate) name: ServerName,
    /// Its signing key.
    pub(crate) key: SigningKey,
    inner: Arc<Inner>,
    listener: Listener,
}

/// What serves a peer's answers at a socket, in the background.
pub(crate) type Serve = Arc<dyn Fn(TcpListener, Router) -> JoinHandle<()> + Send + Sync>;

/// Where a peer listens, and the task that serves it.
struct Listener {
    /// Kept, so that the port stays ours while nobody serves it.
    socket: std::net::TcpListener,
    serve: Serve,
    task: JoinHandle<()>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// What a server of the suite is made of.
pub(crate) struct Parts {
    /// Its name.
    pub(crate) name: ServerName,
    /// A listener that is found under it.
    pub(crate) tcp: TcpListener,
    /// What serves there.
    pub(crate) serve: Serve,
    /// What makes it lie.
    pub(crate) twist: Option<Arc<dyn Twist>>,
}

/// What the peer and its listener share.
#[derive(Debug)]
struct Inner {
    name: ServerName,
    key: SigningKey,
    environment: Arc<Environment>,
    recorder: Recorder,
    /// Its users' devices, among others.
    published: Arc<Published>,
    log: Log,
    behaviour: Behaviour,
    /// When it was started, in milliseconds since the Unix epoch: what sets its transactions and rooms apart from those
    /// of an earlier server with the same name.
    started: i64,
    gates: Gates,
    twist: Option<Arc<dyn Twist>>,
    others: Others,
    transactions: AtomicU64,
    /// Held while a transaction is in flight: a server sends one at a time (LM-04 §12.5.1).
    flight: tokio::sync::Mutex<()>,
    /// What was sealed and is still to be sent to the target, in order.
    outbox: Mutex<VecDeque<Value>>,
    /// What was answered to transactions, by endpoint and id. Held while one is processed.
    answered: Mutex<HashMap<(String, String), Response>>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.listener.task.abort();
    }
}

/// What a hub answered to a join.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    /// The whole answer.
    pub(crate) answer: Value,
    /// The LPDU that was sent.
    pub(crate) lpdu: Value,
}

impl Peer {
    /// Starts a peer under a new name.
    pub(crate) async fn start(
        environment: &Arc<Environment>,
        recorder: &Recorder,
        published: &Arc<Published>,
    ) -> Result<Self, Finding> {
        Self::start_with(environment, recorder, published, environment.setup.certificate()).await
    }

    /// Starts a peer under a new name, with a certificate of its own.
    pub(crate) async fn start_with(
        environment: &Arc<Environment>,
        recorder: &Recorder,
        published: &Arc<Published>,
        certificate: &ServerCertificate,
    ) -> Result<Self, Finding> {
        let (name, tcp) = environment.ports.take().await.map_err(|error| broken(&error))?;
        Self::start_as(environment, recorder, published, name, tcp, certificate)
    }

    /// Starts a peer under any name, at a listener that is found under it.
    pub(crate) fn start_as(
        environment: &Arc<Environment>,
        recorder: &Recorder,
        published: &Arc<Published>,
        name: ServerName,
        tcp: TcpListener,
        certificate: &ServerCertificate,
    ) -> Result<Self, Finding> {
        let tls = certificate.server_config().map_err(|error| broken(&error))?;
        let setup = Arc::clone(environment);
        let serve: Serve = Arc::new(move |socket, router| {
            let listener = setup.setup.listener(socket, Arc::clone(&tls));
            tokio::spawn(listener.serve(router, std::future::pending()))
        });
        Self::of_parts(environment, recorder, published, Parts { name, tcp, serve, twist: None })
    }

    /// Starts a peer of these parts.
    pub(crate) fn of_parts(
        environment: &Arc<Environment>,
        recorder: &Recorder,
        published: &Arc<Published>,
        parts: Parts,
    ) -> Result<Self, Finding> {
        let Parts { name, tcp, serve, twist } = parts;
        let key = environment.key_of(&name);
        let keys = ServerKeys::publish(&name, &key, clock::now_ms().saturating_add(KEYS_VALID_MS));
        let inner = Arc::new(Inner {
            name: name.clone(),
            key: key.clone(),
            environment: Arc::clone(environment),
            recorder: recorder.clone(),
            published: Arc::clone(published),
            log: Log::default(),
            behaviour: Behaviour::new(Value::Object(keys.as_object().clone())),
            started: clock::now_ms(),
            gates: Gates::default(),
            others: Others::default(),
            twist,
            transactions: AtomicU64::new(0),
            flight: tokio::sync::Mutex::new(()),
            outbox: Mutex::default(),
            answered: Mutex::default(),
        });
        let socket = tcp.into_std().map_err(|error| broken(&error))?;
        let task = listen(&socket, &serve, &inner)?;
        Ok(Self { name, key, inner, listener: Listener { socket, serve, task } })
    }

    /// Cuts every connection of the target off, requests under way included, and takes new ones. Nothing that the target
    /// sends afterwards is answered on the old ones.
    pub(crate) async fn cut_off(&mut self) -> Result<(), Finding> {
        self.listener.task.abort();
        // Aborting takes its time, and until then connections go on.
        let _ = (&mut self.listener.task).await;
        self.listener.task = listen(&self.listener.socket, &self.listener.serve, &self.inner)?;
        Ok(())
    }

    /// A user of this server.
    pub(crate) fn user(&self, localpart: &str) -> Result<UserId, Finding> {
        UserId::new(localpart, &self.name).map_err(|error| Finding::Suite(error.to_string()))
    }

    /// Publishes more keys, as key id and base64, beside its own, which signs for all of them. A target that has seen
    /// this server's keys already may go on with those: this comes before the first request.
    pub(crate) fn publish_also(&self, more: &[(&str, String)]) {
        let valid_until = clock::now_ms().saturating_add(KEYS_VALID_MS);
        let mut keys = ServerKeys::publish(&self.name, &self.key, valid_until).as_object().clone();
        keys.remove("signatures");
        if let Some(Value::Object(published)) = keys.get_mut("verify_keys") {
            for (id, key) in more {
                published.insert((*id).to_owned(), json!({"key": key}));
            }
        }
        sign_object(&mut keys, &self.name, &self.key);
        self.inner.behaviour.publish(Value::Object(keys));
    }

    /// Answers requests for its keys with this from now on, whatever it is.
    pub(crate) fn publish_response(&self, response: Value) {
        self.inner.behaviour.publish(response);
    }

    /// Answers requests like these with something that need not be JSON.
    pub(crate) fn answer_raw(
        &self,
        which: impl Fn(&Inbound) -> bool + Send + Sync + 'static,
        response: RawResponse,
    ) {
        self.inner.behaviour.answer_raw(which, response);
    }

    /// Answers requests for which `answer` has something with that, and all others as usual.
    pub(crate) fn answer_with(&self, answer: impl Fn(&Inbound) -> Option<Response> + Send + Sync + 'static) {
        self.inner.behaviour.override_with(answer);
    }

    /// Offers a device and its key packages to whoever asks.
    pub(crate) fn offer_device(&self, user: &UserId, device: &str, object: Value, packages: Vec<String>) {
        self.inner.behaviour.offer_device(user, device, object, packages);
    }

    /// Every request that came in so far.
    pub(crate) fn requests(&self) -> Vec<Inbound> {
        self.inner.log.all()
    }

    /// Waits for a request.
    pub(crate) async fn until_request(
        &self,
        what: &str,
        is: impl Fn(&Inbound) -> bool + Send + Sync,
    ) -> Result<Inbound, Finding> {
        self.inner.log.until(what, |inbound| is(inbound).then(|| inbound.clone())).await
    }

    /// As [`Self::until_request`], for no longer than this.
    pub(crate) async fn until_request_within(
        &self,
        patience: Duration,
        what: &str,
        is: impl Fn(&Inbound) -> bool + Send + Sync,
    ) -> Result<Inbound, Finding> {
        let find = |requests: &[Inbound]| requests.iter().find(|inbound| is(inbound)).cloned();
        self.inner.log.until_within(patience, what, find).await
    }

    /// Waits for a PDU that came over `/send`. What was attached to it in transit is gone.
    pub(crate) async fn until_pdu(
        &self,
        what: &str,
        is: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Result<Value, Finding> {
        let find = |inbound: &Inbound| inbound.pdus().into_iter().map(without_unsigned).find(|pdu| is(pdu));
        self.inner.log.until(what, find).await
    }

    /// Waits for an EDU that came over `/send`.
    pub(crate) async fn until_edu(
        &self,
        what: &str,
        is: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Result<Value, Finding> {
        self.inner.log.until(what, |inbound| inbound.edus().into_iter().find(|edu| is(edu)).cloned()).await
    }

    /// Every PDU that came over `/send` so far, once, without what was attached to it in transit.
    pub(crate) fn pdus(&self) -> Vec<Value> {
        let mut pdus: Vec<Value> = Vec::new();
        for inbound in self.inner.log.all() {
            for pdu in inbound.pdus().into_iter().map(without_unsigned) {
                if !pdus.contains(&pdu) {
                    pdus.push(pdu);
                }
            }
        }
        pdus
    }
}

fn broken(error: &dyn fmt::Display) -> Finding {
    Finding::Suite(format!("a server of the suite: {error}"))
}

/// Serves a socket in the background.
fn listen(
    socket: &std::net::TcpListener,
    serve: &Serve,
    inner: &Arc<Inner>,
) -> Result<JoinHandle<()>, Finding> {
    let socket = socket.try_clone().and_then(TcpListener::from_std).map_err(|error| broken(&error))?;
    Ok(serve(socket, serve::router(Arc::clone(inner))))
}

/// Requests to the target.
impl Peer {
    /// A transaction id that no server of this name has used.
    pub(crate) fn txn_id(&self) -> String {
        self.inner.txn_id()
    }

    /// The `Authorization` header for a request to the target.
    pub(crate) fn authorization(&self, method: &Method, target: &str, body: Option<&Value>) -> HeaderValue {
        let destination = &self.inner.environment.target.name;
        request_auth::sign_request(method.as_str(), target, &self.name, destination, body, &self.key)
    }

    /// A signed request to the target, under the path that it has for this endpoint (reading R24).
    pub(crate) async fn request(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Reply, Finding> {
        let target = self.inner.environment.unstable_only.path(target);
        self.request_exactly(method, &target, body).await
    }

    /// A signed request to the target, under this path whatever the target has.
    pub(crate) async fn request_exactly(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Reply, Finding> {
        let authorization = self.authorization(&method, target, body);
        let mut ask = Ask::new(method, target).header(header::AUTHORIZATION, authorization);
        if let Some(body) = body {
            ask = ask.json(body);
        }
        self.send_ask(ask).await
    }

    /// A request to the target as it is.
    pub(crate) async fn send_ask(&self, ask: Ask) -> Result<Reply, Finding> {
        self.inner.ask(ask).await
    }

    /// Sends a transaction to the target.
    pub(crate) async fn send(&self, pdus: &[Value], edus: &[Value]) -> Result<Sent, Finding> {
        self.send_as(&self.txn_id(), pdus, edus).await
    }

    /// Sends a transaction under a given id.
    pub(crate) async fn send_as(
        &self,
        txn_id: &str,
        pdus: &[Value],
        edus: &[Value],
    ) -> Result<Sent, Finding> {
        let body = json!({"pdus": pdus, "edus": edus});
        let target = format!("/_matrix/federation/v2/send/{txn_id}");
        let _flight = self.inner.flight.lock().await;
        Ok(Sent(self.request(Method::PUT, &target, Some(&body)).await?))
    }

    /// Sends a transaction whose `pdus` are written as they are given. The request is signed for `read`, which is what
    /// the target is to read there.
    pub(crate) async fn send_text(&self, pdus: &[String], read: &[Value]) -> Result<Sent, Finding> {
        let target = format!("/_matrix/federation/v2/send/{}", self.txn_id());
        let target = self.inner.environment.unstable_only.path(&target);
        let signed = json!({"pdus": read, "edus": []});
        let authorization = self.authorization(&Method::PUT, &target, Some(&signed));
        let body = format!("{{\"pdus\":[{}],\"edus\":[]}}", pdus.join(","));
        let ask = Ask::new(Method::PUT, &*target)
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .raw_body(body);
        let _flight = self.inner.flight.lock().await;
        Ok(Sent(self.send_ask(ask).await?))
    }

    /// Joins a room on the target through the handshake.
    pub(crate) async fn join(&self, room: &RoomId, user: &UserId) -> Result<Joined, Finding> {
        let environment = &self.inner.environment;
        let (client, target) = (self.client(), &environment.target.name);
        let template = client.make(HandshakeKind::Join, target, room, user, &environment.versions).await;
        template.map_err(|error| Finding::Fault(format!("make_join: {error}")))?;
        let lpdu = self.lpdu(&self.member(room, user, user, "join"))?;
        let joined = client.send_join(target, &self.txn_id(), &lpdu).await;
        let JoinAnswer { event, state, auth_chain } =
            joined.map_err(|error| Finding::Fault(format!("send_join: {error}")))?;
        Ok(Joined { answer: json!({"event": event, "state": state, "auth_chain": auth_chain}), lpdu })
    }

    /// Ordinary calls to the target, which are written down like any others. What a case is about goes through
    /// [`Self::request`] instead, where the answer is looked at as it came.
    fn client(&self) -> FederationClient {
        let client = self.inner.environment.client.speaking_as(self.name.clone(), [self.key.clone()]);
        client.watched_by(wire::record(&self.inner.recorder, self.name.as_str())).with_retry(PATIENT)
    }

    /// A draft of an event by one of this server's users.
    pub(crate) fn draft(&self, room: &RoomId, sender: &UserId, kind: &str, content: Value) -> Draft {
        let content = if let Value::Object(content) = content { content } else { Object::new() };
        Draft {
            room_id: room.clone(),
            kind: kind.to_owned(),
            state_key: None,
            sender: sender.clone(),
            content,
            origin_server_ts: clock::now_ms(),
        }
    }

    /// A draft of a state event.
    pub(crate) fn state_draft(
        &self,
        room: &RoomId,
        sender: &UserId,
        kind: &str,
        state_key: &str,
        content: Value,
    ) -> Draft {
        Draft { state_key: Some(state_key.to_owned()), ..self.draft(room, sender, kind, content) }
    }

    /// A draft of a membership change.
    pub(crate) fn member(&self, room: &RoomId, sender: &UserId, target: &UserId, membership: &str) -> Draft {
        self.state_draft(room, sender, "m.room.member", target.as_str(), json!({"membership": membership}))
    }

    /// The well-made LPDU of a draft, for the target as the hub.
    pub(crate) fn lpdu(&self, draft: &Draft) -> Result<Value, Finding> {
        self.lpdu_by(draft, &self.key)
    }

    /// As [`Self::lpdu`], signed with another key.
    pub(crate) fn lpdu_by(&self, draft: &Draft, key: &SigningKey) -> Result<Value, Finding> {
        self.make_lpdu(&self.inner.environment.target.name, draft, key)
    }

    /// As [`Self::lpdu`], for any server as the hub.
    pub(crate) fn lpdu_for(&self, hub: &ServerName, draft: &Draft) -> Result<Value, Finding> {
        self.make_lpdu(hub, draft, &self.key)
    }

    fn make_lpdu(&self, hub: &ServerName, draft: &Draft, key: &SigningKey) -> Result<Value, Finding> {
        let version = self.inner.environment.versions.default_version();
        let lpdu = draft.clone().into_lpdu(hub, key, version);
        let lpdu = lpdu.map_err(|error| Finding::Suite(format!("an LPDU cannot be made: {error}")))?;
        serde_json::from_slice(&lpdu.bytes).map_err(|error| Finding::Suite(error.to_string()))
    }

    /// Sends one event to the target and waits until it comes back as a PDU.
    pub(crate) async fn say(&self, draft: &Draft) -> Result<Value, Finding> {
        let lpdu = self.lpdu(draft)?;
        self.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
        self.until_echo(&lpdu).await
    }

    /// Waits for the PDU made of an LPDU.
    pub(crate) async fn until_echo(&self, lpdu: &Value) -> Result<Value, Finding> {
        let hash = lpdu_hash(lpdu).to_owned();
        self.until_pdu("the hub sends the LPDU back as a PDU", move |pdu| lpdu_hash(pdu) == hash).await
    }
}

impl Inner {
    fn txn_id(&self) -> String {
        format!("t{:x}-{}", self.started, self.transactions.fetch_add(1, Ordering::Relaxed))
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, Finding> {
        let environment = &self.environment;
        let from = self.name.as_str();
        wire::exchange(&environment.client, &self.recorder, from, &environment.target.name, ask).await
    }
}

/// The LPDU hash in an event.
pub(crate) fn lpdu_hash(event: &Value) -> &str {
    event.pointer("/hashes/lpdu/sha256").and_then(Value::as_str).unwrap_or_default()
}

/// An event without what a server may attach to it in transit, and nothing covers (reading R02).
pub(crate) fn without_unsigned(event: &Value) -> Value {
    let mut event = event.clone();
    if let Value::Object(event) = &mut event {
        event.remove("unsigned");
    }
    event
}

/// The answer to a transaction.
#[derive(Debug, Clone)]
pub(crate) struct Sent(pub(crate) Reply);

impl Sent {
    /// The transaction was processed. Returns `failed_pdus`.
    pub(crate) fn expect_processed(&self) -> Result<Object, Finding> {
        let body = self.0.expect_ok("a transaction")?;
        match body.get("failed_pdus") {
            Some(Value::Object(failed)) => Ok(failed.clone()),
            _ => Err(Finding::Fault("the answer to a transaction has an object `failed_pdus`".to_owned())),
        }
    }

    /// The transaction was processed, and nothing in it was rejected.
    pub(crate) fn expect_accepted(&self) -> Result<(), Finding> {
        let failed = self.expect_processed()?;
        if failed.is_empty() {
            return Ok(());
        }
        Err(Finding::Fault(format!("a sound event was rejected: {}", Value::Object(failed))))
    }

    /// The transaction was processed, and this event in it was rejected. Returns the error.
    pub(crate) fn expect_rejected(&self, id: &str, what: &str) -> Result<String, Finding> {
        let failed = self.expect_processed()?;
        let error = failed.get(id).and_then(|entry| entry.get("error")).and_then(Value::as_str);
        error.map(ToOwned::to_owned).ok_or_else(|| {
            let got = Value::Object(failed.clone());
            Finding::Fault(format!("{what} is to be reported in failed_pdus as {id}, which holds {got}"))
        })
    }
}
