//! Transactions: processed once, answered alike every time (LM-04 §12.2.5, §12.5.1; reading R19).

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use mimi_linearized::id::ServerName;
use serde_json::Value;
use tokio::sync::watch;
use tracing::Instrument as _;

use crate::clock;
use crate::error::{ApiError, ErrCode};
use crate::node::Node;
use crate::store::{StoredAnswer, TransactionKey};
use crate::telemetry::Turn;

/// How long answers are remembered: a day is required, a week is kept.
pub(crate) const REMEMBERED_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// How often it is looked for answers that can be forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// An answer to a transaction.
pub(crate) type Answer = Result<Value, ApiError>;

/// The transactions being processed now.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    running: Mutex<HashMap<TransactionKey, watch::Receiver<Option<Answer>>>>,
}

/// Whether a sender may have more than one transaction in flight to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InFlight {
    /// One at a time; another gets `M_BAD_STATE` (LM-04 §12.5.1).
    One,
    /// Any number.
    Any,
}

/// What stands in the way of processing a transaction.
enum Started {
    /// It is being processed already: wait for that.
    Running(watch::Receiver<Option<Answer>>),
    /// It is to be processed now.
    Now(watch::Sender<Option<Answer>>),
}

impl Node {
    /// Processes a transaction unless it was processed before, and answers it as it was answered then. Processing goes
    /// on when the sender hangs up (LM-04 §12.5.1).
    pub(crate) async fn once<F>(
        &self,
        origin: ServerName,
        endpoint: &'static str,
        txn_id: String,
        in_flight: InFlight,
        process: F,
    ) -> Answer
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let key = TransactionKey { origin, endpoint, txn_id };
        // A repeated transaction is answered even while another one is in flight.
        if let Some(stored) = self.store.answer(&key).await? {
            self.metrics.transaction(Turn::Repeated);
            return restore(&stored);
        }
        let receiver = match self.transactions.start(&key, in_flight)? {
            Started::Running(receiver) => receiver,
            Started::Now(sender) => {
                let receiver = sender.subscribe();
                let node = self.clone();
                let working = async move {
                    let answer = node.process(&key, process).await;
                    node.transactions.finish(&key);
                    sender.send_replace(Some(answer));
                };
                tokio::spawn(working.in_current_span());
                receiver
            }
        };
        wait_for(receiver).await
    }

    /// The answer that was remembered meanwhile, or that of processing the transaction now, which is remembered before
    /// it is given.
    async fn process(&self, key: &TransactionKey, process: impl Future<Output = Answer>) -> Answer {
        if let Some(stored) = self.store.begin(key).await? {
            return restore(&stored);
        }
        let answer = process.await;
        self.metrics.transaction(Turn::Processed);
        let Some(stored) = memorable(&answer) else {
            self.store.abandon(key).await?;
            return answer;
        };
        self.store.remember(key, stored, clock::now_ms()).await?;
        if self.store.is_shared()
            && let Some(stored) = self.store.answer(key).await?
        {
            // Another process may have thought this one dead, and answered first.
            return restore(&stored);
        }
        answer
    }
}

impl Node {
    /// Forgets old answers now and then, for as long as it is polled.
    pub(crate) async fn forget_regularly(&self) {
        loop {
            tokio::time::sleep(FORGET_INTERVAL).await;
            let before = clock::now_ms().saturating_sub(REMEMBERED_MS);
            if let Err(error) = self.store.forget_answers(before).await {
                tracing::error!(%error, "old answers to transactions cannot be forgotten");
            }
        }
    }
}

impl Transactions {
    fn start(&self, key: &TransactionKey, in_flight: InFlight) -> Result<Started, ApiError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = running.get(key) {
            return Ok(Started::Running(receiver.clone()));
        }
        let other = |other: &TransactionKey| other.origin == key.origin && other.endpoint == key.endpoint;
        if in_flight == InFlight::One && running.keys().any(other) {
            return Err(ApiError::bad_state("another transaction of yours is still being processed"));
        }
        let (sender, receiver) = watch::channel(None);
        running.insert(key.clone(), receiver);
        Ok(Started::Now(sender))
    }

    fn finish(&self, key: &TransactionKey) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

async fn wait_for(mut receiver: watch::Receiver<Option<Answer>>) -> Answer {
    match receiver.wait_for(Option::is_some).await {
        Ok(answer) => answer.clone().unwrap_or_else(|| Err(ApiError::unknown("the transaction was lost"))),
        // The task died without an answer.
        Err(_) => Err(ApiError::unknown("the transaction could not be processed")),
    }
}

/// The form in which an answer is remembered: 200, and refusals given after processing began. What may be otherwise
/// next time is not remembered (reading R19).
fn memorable(answer: &Answer) -> Option<StoredAnswer> {
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body.clone()),
        Err(error) if is_final(error) => (error.status(), Value::Object(error.to_object())),
        Err(_) => return None,
    };
    Some(StoredAnswer { status: status.as_u16(), body: serde_json::to_vec(&body).ok()? })
}

fn is_final(error: &ApiError) -> bool {
    error.status().is_client_error()
        && !matches!(error.status(), StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS)
        && !matches!(error.code(), ErrCode::BadState | ErrCode::NotJson)
}

fn restore(stored: &StoredAnswer) -> Answer {
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status != StatusCode::OK {
        return Err(ApiError::from_peer(status, &stored.body));
    }
    serde_json::from_slice(&stored.body).map_err(|_| ApiError::unknown("a remembered answer is damaged"))
}
