//! The Matrix client-server API, as far as a homeserver is driven through it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mimi_linearized::id::ServerName;
use mimi_transport::tls::{ClientOffer, HttpVersions, Roots, client_config};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use super::DriverError;
use crate::target::segment;

/// How long one call may take. A join makes the homeserver ask others.
const TIMEOUT: Duration = Duration::from_secs(35);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// How often a call is repeated because the homeserver asks to wait.
const REPEATS: usize = 8;
/// The longest that is waited because it asks so.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How users get onto the homeserver.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    /// The password of every user that the suite registers, and of those that are there already.
    pub(crate) password: String,
    /// What `m.login.registration_token` asks for, if the homeserver does.
    pub(crate) registration_token: Option<String>,
}

impl Accounts {
    /// The password, unless another one is given.
    pub(crate) const PASSWORD: &str = "a conformance suite's";
}

/// Why a call was not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The homeserver refuses. What it says goes back to the suite as it is.
    #[error("{status} {body}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The body.
        body: Value,
    },
    /// It does not answer.
    #[error("the homeserver does not answer: {0}")]
    Silent(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answers something else than the client-server API has.
    #[error("the homeserver's answer has no usable `{0}`")]
    Lacks(&'static str),
    /// The user is not one of this homeserver.
    #[error("{0} is no user of this homeserver")]
    Stranger(String),
}

impl CallError {
    fn silent(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Silent(error.into())
    }

    /// The `errcode`, of a refusal.
    pub(super) fn errcode(&self) -> &str {
        match self {
            Self::Refused { body, .. } => body.get("errcode").and_then(Value::as_str).unwrap_or_default(),
            _ => "",
        }
    }
}

/// A user that is logged in.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// The whole id.
    pub(super) user_id: String,
    token: String,
}

/// A homeserver, and its users that are logged in.
pub(super) struct Homeserver {
    base: String,
    /// Its server name.
    pub(super) name: ServerName,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    accounts: Accounts,
    sessions: Mutex<HashMap<String, Arc<OnceCell<Session>>>>,
    /// Sets the transactions of this run apart from those of earlier ones.
    run: u64,
    transactions: AtomicU64,
}

impl fmt::Debug for Homeserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Homeserver")
            .field("base", &self.base)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Homeserver {
    pub(super) fn new(
        url: &str,
        name: ServerName,
        roots: &Roots,
        accounts: Accounts,
    ) -> Result<Self, DriverError> {
        let base = url.trim_end_matches('/').to_owned();
        let uri = base.parse::<Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some()
                && uri.query().is_none()
        });
        if uri.is_none() {
            return Err(DriverError::Url(url.to_owned()));
        }
        let offer = ClientOffer { http: HttpVersions::Silent, ..ClientOffer::default() };
        let tls = Arc::unwrap_or_clone(client_config(roots, offer)?);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let http = Client::builder(TokioExecutor::new()).build(connector);
        let sessions = Mutex::default();
        Ok(Self {
            base,
            name,
            http,
            accounts,
            sessions,
            run: rand::random(),
            transactions: AtomicU64::new(0),
        })
    }

    /// A transaction id that was not used before.
    pub(super) fn transaction(&self) -> String {
        format!("mimi{:016x}.{}", self.run, self.transactions.fetch_add(1, Ordering::Relaxed))
    }

    /// A user, registered or logged in when it is first spoken of.
    pub(super) async fn session(&self, user: &str) -> Result<Session, CallError> {
        let localpart = self.localpart(user)?.to_owned();
        let cell = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(sessions.entry(localpart.clone()).or_default())
        };
        cell.get_or_try_init(|| self.enter(&localpart)).await.cloned()
    }

    /// The localpart of a user that is given by it or by its whole id.
    fn localpart<'u>(&self, user: &'u str) -> Result<&'u str, CallError> {
        let Some(rest) = user.strip_prefix('@') else { return Ok(user) };
        match rest.split_once(':') {
            Some((localpart, server)) if server == self.name.as_str() => Ok(localpart),
            _ => Err(CallError::Stranger(user.to_owned())),
        }
    }

    /// The whole id of a user that is given by it or by its localpart.
    pub(super) fn user_id(&self, user: &str) -> String {
        if user.starts_with('@') { user.to_owned() } else { format!("@{user}:{}", self.name) }
    }

    async fn enter(&self, localpart: &str) -> Result<Session, CallError> {
        let answer = match self.register(localpart).await {
            Err(error) if matches!(error.errcode(), "M_USER_IN_USE" | "M_FORBIDDEN" | "M_EXCLUSIVE") => {
                self.log_in(localpart).await?
            }
            other => other?,
        };
        let text = |field: &'static str| {
            answer.get(field).and_then(Value::as_str).map(str::to_owned).ok_or(CallError::Lacks(field))
        };
        Ok(Session { user_id: text("user_id")?, token: text("access_token")? })
    }

    async fn register(&self, localpart: &str) -> Result<Value, CallError> {
        let path = "/_matrix/client/v3/register";
        let with = |auth: Option<Value>| {
            let mut body = Map::new();
            body.insert("username".to_owned(), json!(localpart));
            body.insert("password".to_owned(), json!(self.accounts.password));
            body.insert("initial_device_display_name".to_owned(), json!("conformance suite"));
            body.extend(auth.map(|auth| ("auth".to_owned(), auth)));
            Value::Object(body)
        };
        let refusal = match self.call(None, Method::POST, path, Some(&with(None))).await {
            Err(CallError::Refused { status: StatusCode::UNAUTHORIZED, body }) => body,
            other => return other,
        };
        // One round of user-interactive authentication: with nothing, or with the token that was given.
        let session = refusal.get("session").cloned().unwrap_or_default();
        let auth = match &self.accounts.registration_token {
            Some(token) => json!({"type": "m.login.registration_token", "token": token, "session": session}),
            None => json!({"type": "m.login.dummy", "session": session}),
        };
        match self.call(None, Method::POST, path, Some(&with(Some(auth)))).await {
            Err(CallError::Refused { status: StatusCode::UNAUTHORIZED, body: refusal })
                if self.accounts.registration_token.is_some() =>
            {
                let auth = json!({"type": "m.login.dummy", "session": refusal.get("session")});
                self.call(None, Method::POST, path, Some(&with(Some(auth)))).await
            }
            other => other,
        }
    }

    async fn log_in(&self, localpart: &str) -> Result<Value, CallError> {
        let body = json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": localpart},
            "password": self.accounts.password,
            "initial_device_display_name": "conformance suite",
        });
        self.call(None, Method::POST, "/_matrix/client/v3/login", Some(&body)).await
    }

    /// The path of a room's resource below `/_matrix/client/v3`.
    pub(super) fn room_path(room: &str, rest: &str) -> String {
        format!("/_matrix/client/v3/rooms/{}/{rest}", segment(room))
    }

    /// One call, repeated as long as the homeserver asks to wait.
    pub(super) async fn call(
        &self,
        as_user: Option<&Session>,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, CallError> {
        let mut left = REPEATS;
        loop {
            let once = self.once(as_user, method.clone(), path, body);
            let answer = tokio::time::timeout(TIMEOUT, once).await;
            let (status, body) = answer.unwrap_or_else(|elapsed| Err(CallError::silent(elapsed)))?;
            if status == StatusCode::TOO_MANY_REQUESTS && left > 0 {
                left -= 1;
                let asked = body.get("retry_after_ms").and_then(Value::as_u64).unwrap_or(500);
                tokio::time::sleep(Duration::from_millis(asked).min(LONGEST_WAIT)).await;
                continue;
            }
            return if status.is_success() { Ok(body) } else { Err(CallError::Refused { status, body }) };
        }
    }

    async fn once(
        &self,
        as_user: Option<&Session>,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), CallError> {
        let bytes: Bytes = body.map(|body| body.to_string().into()).unwrap_or_default();
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(session) = as_user {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", session.token));
        }
        let request = request.body(Full::new(bytes)).map_err(CallError::silent)?;
        let (parts, body) = self.http.request(request).await.map_err(CallError::silent)?.into_parts();
        let bytes = Limited::new(body, MAX_ANSWER).collect().await.map_err(CallError::Silent)?.to_bytes();
        Ok((parts.status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }
}
