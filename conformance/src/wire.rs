//! Requests of the suite's own making: anything can be put into them, and everything is written down.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use mimi_linearized::id::ServerName;
use mimi_linearized::json::canonical;
use mimi_transport::client::{CallLimits, ClientError, FederationClient, RawRequest, Response, Watch};
use serde_json::Value;

use crate::case::Finding;
use crate::evidence::{self, Details, Exchange, Recorder};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How often a request is repeated because the target asked to wait.
const REPEATS: usize = 5;
/// The longest the suite waits because the target asked for it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A request to the target.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// The method.
    pub(crate) method: Method,
    /// The path and query, as they are sent.
    pub(crate) target: String,
    /// The headers, `Host` excepted.
    pub(crate) headers: HeaderMap,
    /// The body, as it is sent.
    pub(crate) body: Bytes,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, as JSON; `Null` if it is none.
    pub(crate) body: Value,
}

impl Ask {
    /// A request without headers or body.
    pub(crate) fn new(method: Method, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// With a JSON body, in canonical form.
    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = canonical::to_vec(body).into();
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// With a body of any kind.
    pub(crate) fn raw_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With one more header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}

impl Reply {
    /// The body's `errcode`.
    pub(crate) fn errcode(&self) -> &str {
        self.body.get("errcode").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the reply is this error.
    pub(crate) fn is(&self, status: u16, errcode: &str) -> bool {
        self.status.as_u16() == status && self.errcode() == errcode
    }

    /// Checks that the reply is this error.
    pub(crate) fn expect_error(&self, what: &str, status: u16, errcode: &str) -> Result<(), Finding> {
        if self.is(status, errcode) {
            return Ok(());
        }
        let got = format!("{} {}", self.status.as_u16(), self.errcode());
        Err(Finding::Fault(format!("{what} is to be answered {status} {errcode}, the answer was {got}")))
    }

    /// Whether the target refused the request: an error of the 4xx kind with an errcode, or 500 `M_UNKNOWN`, which is
    /// recommended for errors that are specified nowhere (LM-04 §12.2.2).
    pub(crate) fn is_refusal(&self) -> bool {
        (self.status.is_client_error() && !self.errcode().is_empty()) || self.is(500, "M_UNKNOWN")
    }

    /// Checks that the reply is a refusal, whichever. For errors that the draft does not specify.
    pub(crate) fn expect_refusal(&self, what: &str) -> Result<(), Finding> {
        if self.is_refusal() {
            return Ok(());
        }
        let got = format!("{} {}", self.status.as_u16(), self.errcode());
        Err(Finding::Fault(format!("{what} is to be refused, the answer was {got}")))
    }

    /// Whether the reply says that it is JSON. A parameter, such as a charset, does not matter.
    pub(crate) fn says_json(&self) -> bool {
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = content_type.and_then(|text| text.split(';').next()).map(str::trim);
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
    }

    /// Checks that the reply is a success, and returns the body.
    pub(crate) fn expect_ok(&self, what: &str) -> Result<&Value, Finding> {
        if self.status == StatusCode::OK {
            return Ok(&self.body);
        }
        let text = self.body.get("error").and_then(Value::as_str).unwrap_or_default();
        let got = format!("{} {} {text}", self.status.as_u16(), self.errcode());
        Err(Finding::Fault(format!("{what} is to be answered 200, the answer was {got}")))
    }
}

/// Sends a request and writes down what happened. A 429 is repeated after the time it asks for.
pub(crate) async fn exchange(
    client: &FederationClient,
    recorder: &Recorder,
    from: &str,
    to: &ServerName,
    ask: Ask,
) -> Result<Reply, Finding> {
    let mut reply = once(client, recorder, from, to, ask.clone()).await?;
    for _ in 0..REPEATS {
        if reply.status != StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        let asked = reply.body.get("retry_after_ms").and_then(Value::as_u64).unwrap_or(1_000);
        tokio::time::sleep(Duration::from_millis(asked).min(LONGEST_WAIT)).await;
        reply = once(client, recorder, from, to, ask.clone()).await?;
    }
    Ok(reply)
}

/// Sends a request once, and writes down what happened. A 429 is an answer like any other.
pub(crate) async fn once(
    client: &FederationClient,
    recorder: &Recorder,
    from: &str,
    to: &ServerName,
    ask: Ask,
) -> Result<Reply, Finding> {
    let response = attempt(client, recorder, from, to, ask).await.map_err(|error| no_answer(&error))?;
    Ok(Reply {
        status: response.status,
        body: serde_json::from_slice(&response.body).unwrap_or_default(),
        headers: response.headers,
    })
}

/// Sends a request once and writes down what happened, also if nothing comes back.
pub(crate) async fn attempt(
    client: &FederationClient,
    recorder: &Recorder,
    from: &str,
    to: &ServerName,
    ask: Ask,
) -> Result<Response, ClientError> {
    attempt_lying(client, recorder, from, to, ask, None).await
}

/// As [`attempt`], for a request that tells the lie of this name.
pub(crate) async fn attempt_lying(
    client: &FederationClient,
    recorder: &Recorder,
    from: &str,
    to: &ServerName,
    ask: Ask,
    lie: Option<&'static str>,
) -> Result<Response, ClientError> {
    let Ask { method, target, headers, body } = ask;
    let limits = CallLimits { timeout: TIMEOUT, ..CallLimits::default() };
    let client =
        client.watched_by(Arc::new(Record { recorder: recorder.clone(), from: from.to_owned(), lie }));
    client.send_raw(to, RawRequest { method, target, headers, body }, limits).await
}

/// What writes down the requests of one of the suite's servers.
pub(crate) fn record(recorder: &Recorder, from: &str) -> Arc<dyn Watch> {
    Arc::new(Record { recorder: recorder.clone(), from: from.to_owned(), lie: None })
}

struct Record {
    recorder: Recorder,
    from: String,
    lie: Option<&'static str>,
}

impl Watch for Record {
    fn exchanged(
        &self,
        to: &ServerName,
        request: &RawRequest,
        outcome: Option<Result<&Response, &ClientError>>,
    ) {
        let (status, answer) = match outcome {
            Some(Ok(response)) => (Some(response.status.as_u16()), evidence::body(&response.body)),
            Some(Err(error)) => (None, Value::String(error.to_string())),
            None => (None, Value::String("no answer in time".to_owned())),
        };
        let answer_headers = outcome.and_then(Result::ok).map(|response| &response.headers);
        let details = Details::of(&request.body, answer_headers);
        let exchange = Exchange {
            between: format!("suite {} -> target {to}", self.from),
            method: request.method.to_string(),
            url: format!("https://{to}{}", request.target),
            headers: evidence::headers(&request.headers),
            body: evidence::body(&request.body),
            status,
            answer,
            lie: self.lie.map(Cow::Borrowed),
        };
        self.recorder.record_with(exchange, details);
    }
}

pub(crate) fn no_answer(error: &ClientError) -> Finding {
    Finding::Fault(format!("the target does not answer: {error}"))
}
