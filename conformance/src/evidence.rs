//! What went over the wire in a case, so that a failure can be looked at and repeated.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::HeaderMap;
use mimi_linearized::base64;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many exchanges of a case are kept; the last ones are the telling ones.
const KEPT: usize = 40;
/// How much of a body that is not JSON is kept, in bytes.
const KEPT_TEXT: usize = 4_096;
/// The largest body that is kept to the byte besides, in bytes, where its JSON says less than its bytes.
const KEPT_EXACTLY: usize = 1024 * 1024;
/// The largest body of JSON that is kept whole, in bytes: more than the largest sound transaction has.
const KEPT_JSON: usize = 8 * 1024 * 1024;

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub body: Value,
    /// The answer's status; `None` if there was none.
    pub status: Option<u16>,
    /// The answer's body, or what went wrong instead.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub answer: Value,
    /// By what name the lie goes that was told in it, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lie: Option<Cow<'static, str>>,
}

/// What else is known of an exchange, where somebody looked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Details {
    /// The request's body to the byte, in base64, if serializing `body` anew makes other bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body_base64: Option<String>,
    /// The answer's headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) answer_headers: Vec<(String, String)>,
}

impl Details {
    /// Those of a request that was sent with this body, and of an answer with these headers.
    pub(crate) fn of(body: &[u8], answer_headers: Option<&HeaderMap>) -> Self {
        let same =
            || serde_json::from_slice::<Value>(body).is_ok_and(|value| value.to_string().as_bytes() == body);
        let exactly = !body.is_empty() && body.len() <= KEPT_EXACTLY && !same();
        Self {
            body_base64: exactly.then(|| base64::encode(body)),
            answer_headers: answer_headers.map(headers).unwrap_or_default(),
        }
    }
}

/// An exchange as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Request and answer.
    #[serde(flatten)]
    pub(crate) exchange: Exchange,
    /// What else is known of it.
    #[serde(flatten)]
    pub(crate) details: Details,
    /// When the first of them was over, in milliseconds since the case began.
    pub(crate) at_ms: u64,
    /// How many times in a row it happened, the answer the same each time.
    pub(crate) times: u32,
}

/// Keeps exchanges, those of one case by default.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    kept: Arc<Mutex<VecDeque<Kept>>>,
    most: usize,
    began: Instant,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Recorder {
    /// Keeps as many as this, the last ones.
    pub(crate) fn keeping(most: usize) -> Self {
        Self { kept: Arc::default(), most, began: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an exchange.
    pub(crate) fn record(&self, exchange: Exchange) {
        self.record_with(exchange, Details::default());
    }

    /// Keeps an exchange and what else is known of it. One that only repeats the last, as when the suite looks again and
    /// again, is counted.
    pub(crate) fn record_with(&self, exchange: Exchange, details: Details) {
        let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut kept = self.lock();
        if let Some(last) = kept.back_mut()
            && last.exchange == exchange
        {
            last.times = last.times.saturating_add(1);
            return;
        }
        if kept.len() >= self.most {
            kept.pop_front();
        }
        kept.push_back(Kept { exchange, details, at_ms, times: 1 });
    }

    /// Everything that was kept, which is kept no longer.
    pub(crate) fn take(&self) -> Vec<Kept> {
        self.lock().drain(..).collect()
    }

    /// The exchanges that were kept.
    pub(crate) fn all(&self) -> Vec<Exchange> {
        self.lock().iter().map(|kept| kept.exchange.clone()).collect()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exchange(path: &str, answer: Value) -> Exchange {
        Exchange {
            between: "suite a -> target b".to_owned(),
            method: "GET".to_owned(),
            url: format!("https://b{path}"),
            headers: Vec::new(),
            body: Value::Null,
            status: Some(200),
            answer,
            lie: None,
        }
    }

    #[test]
    fn what_only_repeats_is_counted_and_the_last_ones_stay() {
        let recorder = Recorder::default();
        for number in 0..KEPT {
            recorder.record(exchange(&format!("/{number}"), Value::Null));
        }
        for _ in 0..3 {
            recorder.record(exchange("/again", json!({})));
        }
        recorder.record(exchange("/again", json!({"now": true})));
        let kept = recorder.take();
        assert_eq!(kept.len(), KEPT);
        let last: Vec<_> =
            kept.iter().rev().take(3).map(|kept| (kept.exchange.url.as_str(), kept.times)).collect();
        assert_eq!(last, [("https://b/again", 1), ("https://b/again", 3), ("https://b/39", 1)]);
    }

    #[test]
    fn bytes_are_kept_where_json_says_less() {
        let exact = |body: &[u8]| Details::of(body, None).body_base64;
        assert_eq!(exact(b""), None);
        assert_eq!(exact(br#"{"a":1,"b":[]}"#), None);
        for told in [&br#"{"a":1, "b":[]}"#[..], br#"{"a":1,"a":2}"#, br#"{"b":1,"a":1}"#, b"{", b"\xff"] {
            assert_eq!(exact(told), Some(base64::encode(told)));
        }
        assert_eq!(exact(&vec![b'x'; KEPT_EXACTLY + 1]), None);
    }

    #[test]
    fn an_exchange_is_read_back_as_it_was_written() {
        let recorder = Recorder::default();
        recorder.record_with(exchange("/", json!({"a": [1.5, "\u{1f600}"]})), Details::of(b"{", None));
        let kept = recorder.take();
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Kept>>(&text).unwrap(), kept);
    }
}
