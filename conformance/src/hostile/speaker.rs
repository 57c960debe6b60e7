//! A hostile server's way of answering, and of sending events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, StatusCode, header};
use mimi_linearized::id::{ServerName, UserId};
use mimi_transport::{clock, request_auth};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::answers;
use super::events::Forger;
use super::liar::Liar;
use super::lie::{Layer, Lie};
use super::plan::{self, Plan};
use super::when::Occasion;
use crate::environment::Environment;
use crate::evidence::Recorder;
use crate::peer::{HostedRoom, Inbound, RawResponse, Twist, Twisted};
use crate::wire::{self, Ask};

/// The endpoint of transactions.
const SEND: &str = "send";
/// How many events a transaction may have (LM-04 §12.5.1).
const MOST_PDUS: usize = 50;

/// What became of a transaction.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// Whom it was sent to.
    pub server: ServerName,
    /// The lies in it.
    pub lies: Vec<Lie>,
    /// Its events, as they were sent.
    pub pdus: Vec<Value>,
    /// The status of the answer; `None` if there was none.
    pub status: Option<StatusCode>,
    /// The body of the answer, `Null` if it was not JSON.
    pub answer: Value,
}

/// What is on its way to a server.
#[derive(Debug, Default)]
struct Lane {
    /// Held while something is sent: a server sends one transaction at a time (LM-04 §12.5.1).
    flight: tokio::sync::Mutex<()>,
    /// What is still to be sent, in order.
    waiting: Mutex<VecDeque<Value>>,
    /// What was kept back, to be sent behind what follows it.
    late: Mutex<Vec<Value>>,
}

/// A hostile server's way of answering, and of sending events.
#[derive(Debug)]
pub(crate) struct Speaker {
    forger: Forger,
    environment: Arc<Environment>,
    recorder: Recorder,
    pub(super) liar: Arc<Liar>,
    lanes: Mutex<BTreeMap<ServerName, Arc<Lane>>>,
    /// Of each room the server that gets the one version where there are two.
    first: Mutex<BTreeMap<String, ServerName>>,
    started: i64,
    transactions: AtomicU64,
    /// Itself, for what goes on in the background.
    this: std::sync::Weak<Self>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Speaker {
    pub(super) fn new(
        environment: &Arc<Environment>,
        recorder: &Recorder,
        name: &ServerName,
        liar: Arc<Liar>,
    ) -> Arc<Self> {
        let rules = environment.versions.default_version().redaction;
        let forger = Forger::new(name.clone(), environment.key_of(name), &liar.key_seed(), rules);
        let (environment, recorder) = (Arc::clone(environment), recorder.clone());
        Arc::new_cyclic(|this| Self {
            forger,
            environment,
            recorder,
            liar,
            lanes: Mutex::default(),
            first: Mutex::default(),
            started: clock::now_ms(),
            transactions: AtomicU64::new(0),
            this: this.clone(),
        })
    }

    /// The server under test.
    pub(super) fn target(&self) -> &ServerName {
        &self.environment.target.name
    }

    fn lane(&self, server: &ServerName) -> Arc<Lane> {
        Arc::clone(lock(&self.lanes).entry(server.clone()).or_default())
    }

    fn txn_id(&self) -> String {
        format!("h{:x}-{}", self.started, self.transactions.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether a server is the first of its room that is told something of which there are two versions.
    fn is_first(&self, room: &str, server: &ServerName) -> bool {
        lock(&self.first).entry(room.to_owned()).or_insert_with(|| server.clone()) == server
    }

    /// Sends events to a server, behind what was to be sent to it before.
    pub(crate) async fn send(
        self: &Arc<Self>,
        to: &ServerName,
        events: Vec<Value>,
        alone: bool,
    ) -> Vec<Delivery> {
        lock(&self.lane(to).waiting).extend(events);
        self.flush(to, alone).await
    }

    /// Sends what waits for a server. `alone` is whether no other server is told the same.
    async fn flush(self: &Arc<Self>, to: &ServerName, alone: bool) -> Vec<Delivery> {
        let lane = self.lane(to);
        let _flight = lane.flight.lock().await;
        let mut deliveries = Vec::new();
        loop {
            let events: Vec<Value> = {
                let mut waiting = lock(&lane.waiting);
                let count = waiting.len().min(MOST_PDUS);
                waiting.drain(..count).collect()
            };
            if events.is_empty() {
                return deliveries;
            }
            let lies = self.liar.lies(Layer::Events, &Occasion { endpoint: Some(SEND), server: Some(to) });
            let plan = self.plan(&lane, &lies, to, events, alone);
            deliveries.extend(self.carry_out(to, &lies, plan).await);
        }
    }

    fn plan(&self, lane: &Lane, lies: &[Lie], to: &ServerName, events: Vec<Value>, alone: bool) -> Plan {
        let room = events.first().and_then(|event| event.get("room_id")).and_then(Value::as_str);
        let is_first = !lies.contains(&Lie::Equivocate) || self.is_first(room.unwrap_or_default(), to);
        let twist = |lie: Lie, event: &Value| self.forger.twist(lie, Some(to), event);
        plan::make(lies, events, &mut lock(&lane.late), alone, is_first, &twist, &|| self.txn_id())
    }

    async fn carry_out(self: &Arc<Self>, to: &ServerName, lies: &[Lie], plan: Plan) -> Vec<Delivery> {
        if !plan.at_once {
            let mut deliveries = Vec::new();
            for (txn_id, pdus) in plan.transactions {
                deliveries.push(self.transact(to, lies, &txn_id, pdus).await);
            }
            return deliveries;
        }
        let mut all = JoinSet::new();
        for (txn_id, pdus) in plan.transactions {
            let (this, to, lies) = (Arc::clone(self), to.clone(), lies.to_vec());
            all.spawn(async move { this.transact(&to, &lies, &txn_id, pdus).await });
        }
        all.join_all().await
    }

    async fn transact(&self, to: &ServerName, lies: &[Lie], txn_id: &str, pdus: Vec<Value>) -> Delivery {
        let target = format!("/_matrix/federation/v2/send/{txn_id}");
        let target = if *to == self.environment.target.name {
            self.environment.unstable_only.path(&target).into_owned()
        } else {
            target
        };
        let body = json!({"pdus": pdus, "edus": []});
        let (name, key) = (&self.forger.name, &self.forger.key);
        let authorization = request_auth::sign_request("PUT", &target, name, to, Some(&body), key);
        let ask = Ask::new(Method::PUT, target).header(header::AUTHORIZATION, authorization).json(&body);
        let (client, lie) = (&self.environment.client, lies.first().map(|lie| lie.name()));
        let answer = wire::attempt_lying(client, &self.recorder, name.as_str(), to, ask, lie).await.ok();
        let status = answer.as_ref().map(|answer| answer.status);
        let answer = answer.and_then(|answer| serde_json::from_slice(&answer.body).ok()).unwrap_or_default();
        Delivery { server: to.clone(), lies: lies.to_vec(), pdus, status, answer }
    }

    /// Tells every server of a room of events of which the hub is this server, and returns what became of it.
    pub(super) async fn tell(self: &Arc<Self>, room: &HostedRoom, events: Vec<Value>) -> Vec<Delivery> {
        let servers = self.enqueue(room, &events);
        let alone = servers.len() < 2;
        let mut all = JoinSet::new();
        for server in servers {
            let this = Arc::clone(self);
            all.spawn(async move { this.flush(&server, alone).await });
        }
        all.join_all().await.into_iter().flatten().collect()
    }

    /// The servers that are to be told of events, which wait for that now.
    fn enqueue(&self, room: &HostedRoom, events: &[Value]) -> BTreeSet<ServerName> {
        let senders = events.iter().filter_map(|event| {
            let sender = UserId::parse(event.get("sender")?.as_str()?).ok()?;
            Some(sender.server().clone())
        });
        let mut servers: BTreeSet<ServerName> = room.servers().into_iter().chain(senders).collect();
        servers.remove(&self.forger.name);
        // In this order, so that the first server is the same each time.
        for server in &servers {
            if self.liar.plans(Lie::Equivocate) {
                self.is_first(room.id.as_str(), server);
            }
            lock(&self.lane(server).waiting).extend(events.iter().cloned());
        }
        servers
    }

    /// What is answered in the place of an answer that has events, if they are lied about.
    fn twist_events(&self, endpoint: &str, inbound: &Inbound, answer: &RawResponse) -> Option<Twisted> {
        let mut body: Value = serde_json::from_slice(&answer.body).ok()?;
        if answer.status != 200 || !plan::has_events(&body) {
            return None;
        }
        let server = inbound.origin.as_ref().ok();
        let lies = self.liar.lies(Layer::Events, &Occasion { endpoint: Some(endpoint), server });
        let name = lies.first()?.name();
        let (mut status, mut lied) = (200, false);
        for lie in lies {
            let room = plan::room_of(&body).unwrap_or_default();
            if lie == Lie::Equivocate && server.is_some_and(|server| self.is_first(&room, server)) {
                continue;
            }
            lied = true;
            if lie == Lie::Withhold {
                (status, body) = (404, json!({"errcode": "M_NOT_FOUND", "error": "no such event"}));
                break;
            }
            plan::twist_answer(lie, &mut body, &|event| self.forger.twist(lie, server, event));
        }
        let content_type = answer.content_type;
        let given = RawResponse { status, content_type, body: body.to_string().into() };
        let given = Box::pin(async move { axum::response::IntoResponse::into_response(given) });
        lied.then_some(Twisted::Lie { name, status: Some(status), given })
    }
}

impl Twist for Speaker {
    fn answer(&self, inbound: &Inbound, answer: &RawResponse) -> Twisted {
        let segments = inbound.segments();
        let endpoint = match segments.first().map(String::as_str) {
            None | Some("") => "keys",
            Some(endpoint) => endpoint,
        };
        let server = inbound.origin.as_ref().ok();
        let lies = self.liar.lies(Layer::Answer, &Occasion { endpoint: Some(endpoint), server });
        if let Some(lie) = lies.first() {
            return answers::twist(*lie, &self.liar, inbound, answer);
        }
        self.twist_events(endpoint, inbound, answer).unwrap_or(Twisted::Truth)
    }

    fn sealed(&self, room: &HostedRoom, events: Vec<Value>) {
        let servers = self.enqueue(room, &events);
        let alone = servers.len() < 2;
        for server in servers {
            let Some(this) = self.this.upgrade() else { return };
            tokio::spawn(async move { this.flush(&server, alone).await });
        }
    }
}
