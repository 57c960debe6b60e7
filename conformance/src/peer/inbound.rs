//! What the target sent to a peer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method};
use mimi_linearized::id::ServerName;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::case::{Finding, fault};
use crate::context::PATIENCE;

/// A request of the target.
#[derive(Debug, Clone)]
pub(crate) struct Inbound {
    /// The method.
    pub(crate) method: Method,
    /// The path and query as they were sent.
    pub(crate) target: String,
    /// The server that was asked for: `:authority`, or `Host`.
    pub(crate) host: String,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, as JSON; `Null` if it is none.
    pub(crate) body: Value,
    /// What the peer makes of the `Authorization` headers: who sent the request, or what is wrong with them.
    pub(crate) origin: Result<ServerName, String>,
}

impl Inbound {
    /// The segments of the path, percent-decoded, without the prefix that all federation paths have: for
    /// `/_matrix/federation/v2/send/x` these are `send` and `x`.
    pub(crate) fn segments(&self) -> Vec<String> {
        let path = self.target.split('?').next().unwrap_or_default();
        let unstable = mimi_transport::api::UNSTABLE_PREFIX;
        let rest = match path.strip_prefix(unstable) {
            Some(rest) => rest,
            // `/_matrix/federation/vN`
            None => {
                path.strip_prefix("/_matrix/federation/").and_then(|rest| rest.get(2..)).unwrap_or_default()
            }
        };
        let decode =
            |segment: &str| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned();
        rest.trim_start_matches('/').split('/').map(decode).collect()
    }

    /// A parameter of the query, percent-decoded.
    pub(crate) fn query(&self, name: &str) -> Vec<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
            .collect()
    }

    /// Whether it is a request to this endpoint, named by the first segment of its path.
    pub(crate) fn is(&self, endpoint: &str) -> bool {
        self.segments().first().is_some_and(|first| first == endpoint)
    }

    fn list(&self, field: &str) -> Vec<&Value> {
        let list = self.body.get(field).and_then(Value::as_array).filter(|_| self.is("send"));
        list.into_iter().flatten().collect()
    }

    /// The entries of `pdus`, if it is a transaction.
    pub(crate) fn pdus(&self) -> Vec<&Value> {
        self.list("pdus")
    }

    /// The entries of `edus`, if it is a transaction.
    pub(crate) fn edus(&self) -> Vec<&Value> {
        self.list("edus")
    }
}

/// Every request of the target, in order.
#[derive(Debug, Default)]
pub(super) struct Log {
    requests: Mutex<Vec<Inbound>>,
    more: Notify,
}

impl Log {
    pub(super) fn add(&self, inbound: Inbound) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(inbound);
        self.more.notify_waiters();
    }

    pub(super) fn all(&self) -> Vec<Inbound> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a request gives something.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        find: impl Fn(&Inbound) -> Option<T> + Send + Sync,
    ) -> Result<T, Finding> {
        self.until_within(PATIENCE, what, |requests| requests.iter().find_map(&find)).await
    }

    /// Waits no longer than this until the requests give something.
    pub(super) async fn until_within<T>(
        &self,
        patience: Duration,
        what: &str,
        find: impl Fn(&[Inbound]) -> Option<T> + Send + Sync,
    ) -> Result<T, Finding> {
        let deadline = Instant::now() + patience;
        loop {
            // Asked for before looking, so that nothing that comes in between is missed.
            let more = self.more.notified();
            let found = {
                let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
                find(&requests)
            };
            if let Some(found) = found {
                return Ok(found);
            }
            if tokio::time::timeout_at(deadline, more).await.is_err() {
                return Err(fault(format!("within {} s the target should: {what}", patience.as_secs())));
            }
        }
    }
}
