//! What is counted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use mimi_linearized::auth::Refusal;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::clock;

/// The bounds of the histograms, in seconds: from what memory answers to what a client gives up on.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

type Seconds<L> = Family<L, Histogram, fn() -> Histogram>;

/// A server's numbers. Clones share them. There are none beside these: two servers in one process count apart.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl std::ops::Deref for Metrics {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// The numbers by themselves.
#[expect(missing_debug_implementations, reason = "nobody reads thousands of numbers in a log")]
pub struct Inner {
    registry: Registry,
    requests: Family<Answered, Counter>,
    request_seconds: Seconds<Endpoint>,
    rate_limited: Family<OfFamily, Counter>,
    outbound: Family<Outcome, Counter>,
    outbound_seconds: Histogram,
    events: Family<Judged, Counter>,
    transactions: Family<Turned, Counter>,
    key_fetches: Family<Outcome, Counter>,
    store_seconds: Seconds<Operation>,
    store_errors: Family<Operation, Counter>,
    pub(super) rooms: Gauge,
    pub(super) groups: Gauge,
    pub(super) queued_events: Gauge,
    pub(super) queued_items: Gauge,
    pub(super) destinations: Gauge,
    pub(super) queues: Family<OfDestination, Gauge>,
    pub(super) draining: Gauge,
    pub(super) valid_until: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    side: &'static str,
    endpoint: String,
    method: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFamily {
    family: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Judged {
    outcome: &'static str,
    rule: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Turned {
    direction: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfDestination {
    pub(super) destination: String,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// One of somebody else's was processed.
    Processed,
    /// One of somebody else's was answered as it was before.
    Repeated,
    /// One of ours arrived.
    Delivered,
    /// One of ours did not arrive, and will be tried again.
    Failed,
    /// One of ours was too large for its destination.
    TooLarge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("mimi");
        let info = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", info);
        let started: Gauge<f64, AtomicU64> = Gauge::default();
        started.set(as_seconds(clock::now_ms()));
        registry.register_with_unit(
            "start_time",
            "When the server started, since the Unix epoch",
            Unit::Seconds,
            started,
        );
        macro_rules! registered {
            ($metric:expr, $name:literal, $help:literal $(, $unit:expr)?) => {{
                let metric = $metric;
                registered!(@ registry, $name, $help, metric.clone() $(, $unit)?);
                metric
            }};
            (@ $registry:ident, $name:literal, $help:literal, $metric:expr) => {
                $registry.register($name, $help, $metric)
            };
            (@ $registry:ident, $name:literal, $help:literal, $metric:expr, $unit:expr) => {
                $registry.register_with_unit($name, $help, $unit, $metric)
            };
        }
        let seconds: fn() -> Histogram = seconds;
        let requests = registered!(
            Family::default(),
            "requests",
            "Requests answered: of other servers (federation) and of the control API (control)"
        );
        let request_seconds = registered!(
            Family::new_with_constructor(seconds),
            "request",
            "How long other servers' requests took to answer",
            Unit::Seconds
        );
        let rate_limited =
            registered!(Family::default(), "rate_limited", "Requests of other servers refused as too many");
        let outbound = registered!(
            Family::default(),
            "outbound_requests",
            "Requests to other servers, by the status answered, or failed"
        );
        let outbound_seconds = registered!(
            seconds(),
            "outbound_request",
            "How long other servers took to answer",
            Unit::Seconds
        );
        let events = registered!(
            Family::default(),
            "events",
            "Events that came up for acceptance, and by which rule they were refused"
        );
        let transactions = registered!(Family::default(), "transactions", "Transactions with other servers");
        let key_fetches = registered!(Family::default(), "key_fetches", "Fetches of other servers' keys");
        let store_seconds = registered!(
            Family::new_with_constructor(seconds),
            "store",
            "How long the store took",
            Unit::Seconds
        );
        let store_errors = registered!(Family::default(), "store_errors", "What the store could not do");
        let rooms = registered!(Gauge::default(), "rooms", "Rooms in memory");
        let groups = registered!(Gauge::default(), "groups", "MLS groups of rooms in memory");
        let queued_events = registered!(
            Gauge::default(),
            "queued_events",
            "Events of rooms' lists that wait for a destination"
        );
        let queued_items = registered!(
            Gauge::default(),
            "queued_items",
            "LPDUs and EDUs that wait for a destination, up to 1,000 of each"
        );
        let destinations =
            registered!(Gauge::default(), "queue_destinations", "Servers for which something waits");
        let queues = registered!(
            Family::default(),
            "queue_length",
            "What waits for the destinations for which the most waits"
        );
        let draining = registered!(Gauge::default(), "draining", "1 while the server is coming to its end");
        let valid_until = registered!(
            Gauge::default(),
            "certificate_expiry",
            "When the certificate of the federation's listener ends, since the Unix epoch",
            Unit::Seconds
        );
        Self(Arc::new(Inner {
            registry,
            requests,
            request_seconds,
            rate_limited,
            outbound,
            outbound_seconds,
            events,
            transactions,
            key_fetches,
            store_seconds,
            store_errors,
            rooms,
            groups,
            queued_events,
            queued_items,
            destinations,
            queues,
            draining,
            valid_until,
        }))
    }
}

/// Milliseconds as seconds. What is lost beyond 2⁵³ is none of ours.
#[expect(clippy::cast_precision_loss, reason = "times of this era are exact")]
fn as_seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

impl Metrics {
    /// All numbers in the text format of OpenMetrics.
    pub(super) fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut out, &self.registry);
        out
    }

    /// Until when the certificate is valid, in milliseconds since the Unix epoch.
    pub(crate) fn certificate_ends(&self, at: i64) {
        self.valid_until.set(as_seconds(at));
    }

    pub(super) fn answered(
        &self,
        side: &'static str,
        endpoint: &str,
        method: &str,
        status: u16,
        took: Duration,
    ) {
        let (endpoint, method) = (endpoint.to_owned(), method.to_owned());
        if side == "federation" {
            let of = Endpoint { endpoint: endpoint.clone() };
            self.request_seconds.get_or_create(&of).observe(took.as_secs_f64());
        }
        self.requests.get_or_create(&Answered { side, endpoint, method, status }).inc();
    }

    pub(super) fn rate_limited(&self, family: &'static str) {
        self.rate_limited.get_or_create(&OfFamily { family }).inc();
    }

    pub(super) fn asked(&self, status: Option<u16>, took: Duration) {
        let outcome = status.map_or_else(|| "failed".to_owned(), |status| status.to_string());
        self.outbound.get_or_create(&Outcome { outcome }).inc();
        self.outbound_seconds.observe(took.as_secs_f64());
    }

    pub(super) fn fetched_keys(&self, outcome: &'static str) {
        self.key_fetches.get_or_create(&Outcome { outcome: outcome.to_owned() }).inc();
    }

    /// An event is in a room's list now.
    pub(crate) fn accepted(&self) {
        self.judged("accepted", String::new());
    }

    /// An event was refused.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        self.judged("refused", refusal.rule.requirement());
    }

    /// An event was ignored.
    pub(crate) fn dropped(&self) {
        self.judged("dropped", String::new());
    }

    fn judged(&self, outcome: &'static str, rule: String) {
        self.events.get_or_create(&Judged { outcome, rule }).inc();
    }

    /// A transaction took a turn.
    pub(crate) fn transaction(&self, turn: Turn) {
        let (direction, outcome) = match turn {
            Turn::Processed => ("in", "processed"),
            Turn::Repeated => ("in", "repeated"),
            Turn::Delivered => ("out", "delivered"),
            Turn::Failed => ("out", "failed"),
            Turn::TooLarge => ("out", "too_large"),
        };
        self.transactions.get_or_create(&Turned { direction, outcome }).inc();
    }

    pub(super) fn stored(&self, operation: &'static str, took: Duration, failed: bool) {
        self.store_seconds.get_or_create(&Operation { operation }).observe(took.as_secs_f64());
        if failed {
            self.store_errors.get_or_create(&Operation { operation }).inc();
        }
    }
}
