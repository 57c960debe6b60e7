//! What went over the wire in a case, so that a failure can be looked at and repeated.

use std::sync::{Arc, Mutex, PoisonError};

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
pub(crate) struct Exchange {
    /// Who asked whom, such as `suite localhost:4001 -> target localhost:4000`.
    pub(crate) between: String,
    /// The method.
    pub(crate) method: String,
    /// The whole URL.
    pub(crate) url: String,
    /// The request's headers.
    pub(crate) headers: Vec<(String, String)>,
    /// The request's body.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) body: Value,
    /// The answer's status; `None` if there was none.
    pub(crate) status: Option<u16>,
    /// The answer's body, or what went wrong instead.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) answer: Value,
}

/// Keeps the exchanges of one case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Exchange>>>);

impl Recorder {
    /// Keeps an exchange.
    pub(crate) fn record(&self, exchange: Exchange) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(exchange);
    }

    /// Everything that was kept.
    pub(crate) fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
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
