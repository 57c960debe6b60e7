//! Requests of this server: each has an id that the other server sees, a line in the log, and a place in the numbers.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use mimi_linearized::id::ServerName;

use super::Metrics;
use super::request_id::{REQUEST_ID, RequestId};
use crate::client::{CallLimits, Carrier, ClientError, Message, Response, Streamed};
use crate::keys::KeySource;

/// Stands before what carries requests.
pub(crate) struct Traced {
    inner: Arc<dyn Carrier>,
    metrics: Metrics,
}

impl Traced {
    pub(crate) fn new(inner: Arc<dyn Carrier>, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }
}

/// A request under way.
struct Begun {
    id: RequestId,
    method: Method,
    path: String,
    at: Instant,
}

impl Traced {
    /// Gives a request its id.
    fn begin(message: &mut Message) -> Begun {
        let id = RequestId::new();
        message.headers.insert(REQUEST_ID, id.to_header());
        Begun {
            id,
            method: message.method.clone(),
            path: message.target.path().to_owned(),
            at: Instant::now(),
        }
    }

    /// Takes note of what has come of it. A body that is streamed comes afterwards.
    fn end(&self, begun: &Begun, destination: &ServerName, outcome: Result<StatusCode, &ClientError>) {
        let Begun { id, method, path, at } = begun;
        let took = at.elapsed();
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let status = outcome.as_ref().ok().map(StatusCode::as_u16);
        self.metrics.asked(status, took);
        match outcome {
            Ok(_) => tracing::info!(request_id = %id, %destination, %method, path, status, ms, "asked"),
            Err(error) => {
                tracing::info!(request_id = %id, %destination, %method, path, %error, ms, "asked in vain");
            }
        }
    }
}

#[async_trait]
impl Carrier for Traced {
    async fn carry(
        &self,
        destination: &ServerName,
        mut message: Message,
        limits: CallLimits,
    ) -> Result<Response, ClientError> {
        let begun = Self::begin(&mut message);
        let outcome = self.inner.carry(destination, message, limits).await;
        self.end(&begun, destination, outcome.as_ref().map(|response| response.status));
        outcome
    }

    async fn stream(
        &self,
        destination: &ServerName,
        mut message: Message,
        limits: CallLimits,
    ) -> Result<Streamed, ClientError> {
        let begun = Self::begin(&mut message);
        let outcome = self.inner.stream(destination, message, limits).await;
        self.end(&begun, destination, outcome.as_ref().map(|streamed| streamed.status));
        outcome
    }
}

/// Counts fetches of keys.
pub(crate) struct CountedSource<S> {
    inner: S,
    metrics: Metrics,
}

impl<S> CountedSource<S> {
    pub(crate) fn new(inner: S, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }

    fn count<T, E>(&self, outcome: &Result<T, E>, ok: &'static str, failed: &'static str) {
        self.metrics.fetched_keys(if outcome.is_ok() { ok } else { failed });
    }
}

#[async_trait]
impl<S: KeySource> KeySource for CountedSource<S> {
    async fn fetch(&self, server: &ServerName) -> Result<Bytes, ClientError> {
        let outcome = self.inner.fetch(server).await;
        self.count(&outcome, "fetched", "failed");
        outcome
    }

    async fn query(
        &self,
        notary: &ServerName,
        server: &ServerName,
        minimum_valid_until: i64,
    ) -> Result<Bytes, ClientError> {
        let outcome = self.inner.query(notary, server, minimum_valid_until).await;
        self.count(&outcome, "notary_answered", "notary_failed");
        outcome
    }
}
