//! What went over the wire in a case, so that a failure can be looked at and repeated.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use serde::Serialize;
use serde_json::Value;

/// How many exchanges of a case are kept; the last ones are the telling ones.
const KEPT: usize = 40;
/// How much of a body that is not JSON is kept, in bytes.
const KEPT_TEXT: usize = 4_096;
/// The largest body of JSON that is kept whole, in bytes: more than the largest sound transaction has.
const KEPT_JSON: usize = 8 * 1024 * 1024;

/// A request and its answer.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Exchange {
    /// Who asked whom, such as `suite localhost:4001 -> target localhost:4000`.
    pub between: String,
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The request's headers.
    pub headers: Vec<(String, String)>,
    /// The request's body.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub body: Value,
    /// The answer's status; `None` if there was none.
    pub status: Option<u16>,
    /// The answer's body, or what went wrong instead.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub answer: Value,
    /// By what name the lie goes that was told in it, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lie: Option<&'static str>,
}

/// Keeps exchanges, those of one case by default.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    kept: Arc<Mutex<VecDeque<Exchange>>>,
    most: usize,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Recorder {
    /// Keeps as many as this, the last ones.
    pub(crate) fn keeping(most: usize) -> Self {
        Self { kept: Arc::default(), most }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Exchange>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an exchange.
    pub(crate) fn record(&self, exchange: Exchange) {
        let mut kept = self.lock();
        if kept.len() >= self.most {
            kept.pop_front();
        }
        kept.push_back(exchange);
    }

    /// Everything that was kept, which is kept no longer.
    pub(crate) fn take(&self) -> Vec<Exchange> {
        self.lock().drain(..).collect()
    }

    /// Everything that was kept.
    pub(crate) fn all(&self) -> Vec<Exchange> {
        self.lock().iter().cloned().collect()
    }
}

/// Headers as they are shown.
pub(crate) fn headers(map: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    map.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// A body as it is shown: as JSON if it is JSON, as text otherwise.
pub(crate) fn body(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    let json = if bytes.len() <= KEPT_JSON { serde_json::from_slice(bytes).ok() } else { None };
    json.unwrap_or_else(|| {
        let shown = bytes.get(..KEPT_TEXT).unwrap_or(bytes);
        Value::String(String::from_utf8_lossy(shown).into_owned())
    })
}
