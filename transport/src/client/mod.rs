//! The federation client: signs requests and sends them over HTTP/2 and TLS 1.3 (LM-04 §12, reading R26).
//!
//! | | what it does | who uses it |
//! |---|---|---|
//! | typed calls | one for each endpoint of LM-04, such as [`FederationClient::backfill`]: path, body and answer are typed; tried again as [`Retry`] says | servers, their queues included |
//! | [`request`](FederationClient::request) | signs whatever is to be sent, and returns whatever is answered | probes of single requests |
//! | [`send_raw`](FederationClient::send_raw) | signs nothing | who tests how a server takes what is wrong |
//!
//! Everything is bounded: connecting ([`ClientLimits`]), and each call with all its attempts ([`CallLimits`]). An error says
//! [who is to blame](ClientError::blame), and a refusal has its status and errcode ([`ClientError::Api`]).
//!
//! # Example
//!
//! Whoever asks for keys needs none of their own. `transport/examples/federation_client.rs` goes on from here: it joins a
//! room, speaks, and reads state and history.
//!
//! ```
//! use mimi_linearized::id::{KeyId, ServerName};
//! use mimi_linearized::signing::SigningKey;
//! use mimi_transport::client::{CallLimits, ClientLimits, FederationClient};
//! use mimi_transport::resolve::{AddressPolicy, ResolveOptions, Resolver};
//! use mimi_transport::tls::{ClientOffer, Roots, client_config};
//! # use mimi_transport::start::{Server, ServerConfig};
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # runtime.block_on(async {
//! # let data = tempfile::tempdir()?;
//! # let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let name = format!("localhost:{}", tcp.local_addr()?.port());
//! # let server_name = ServerName::parse(&name)?;
//! # let config = ServerConfig::new(server_name, data.path().to_owned());
//! # let server = Server::start(config, tcp, None).await?;
//! # let ca = server.ca();
//!
//! // Whom to trust: here one CA of our own, `Roots::system()` otherwise.
//! let mut roots = Roots::none();
//! roots.add_pem_file(ca)?;
//! // Loopback is reached only if that is said.
//! let policy = AddressPolicy { allow_loopback: true, ..AddressPolicy::default() };
//! let resolver = Resolver::new(&roots, ResolveOptions { policy, ..ResolveOptions::default() })?;
//! let tls = client_config(&roots, ClientOffer::default())?;
//! let own = ServerName::parse("example.org")?;
//! let key = SigningKey::from_seed(KeyId::ed25519("1")?, &[7; 32]);
//! let client = FederationClient::new(own, [key], resolver, tls, ClientLimits::default());
//!
//! let hub = ServerName::parse(&name)?;
//! let quick = CallLimits { timeout: std::time::Duration::from_secs(5), ..CallLimits::default() };
//! let keys = client.with_limits(quick).server_keys(&hub).await?;
//! assert_eq!(keys.server_name(), &hub);
//! # server.stop().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod calls;
pub(crate) mod carrier;
mod download;
mod error;
mod pool;
mod response;
mod retry;
mod retry_after;
mod watch;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::Value;
use mimi_linearized::signing::SigningKey;
use rustls::ClientConfig;

pub use body::RequestBody;
pub use calls::{Failed, JoinAnswer, StateAnswer, StateIdsAnswer, Transaction};
pub use carrier::Carrier;
pub use download::Streamed;
pub use error::{Blame, ClientError};
pub use pool::Message;
pub use response::Response;
pub(crate) use retry::Attempts;
pub use retry::Retry;
pub use watch::Watch;

use self::body::Body;
use self::pool::{Connection, Pool};
use crate::api::Paths;
use crate::request_auth::{sign_request, sign_request_without_content};
use crate::resolve::Resolver;

/// Destinations remembered as needing the unstable paths; beyond this number all are forgotten and learnt anew.
const MAX_REMEMBERED: usize = 10_000;

/// The bounds of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// How long TCP and TLS may take, for each address. 10 s unless set.
    pub connect: Duration,
    /// The bounds of a request that has none of its own.
    pub call: CallLimits,
    /// The size of an answer's head, in bytes. 64 KiB unless set.
    pub header_bytes: u32,
    /// To how many servers a connection is kept. 512 unless set.
    pub pooled_servers: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            call: CallLimits::default(),
            header_bytes: 64 * 1024,
            pooled_servers: 512,
        }
    }
}

/// The bounds of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// How long all of it may take: name resolution, connecting, repeating, reading the answer. 30 s unless set.
    pub timeout: Duration,
    /// The size of the answer's body, in bytes. 64 MiB unless set.
    pub response_bytes: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), response_bytes: 64 * 1024 * 1024 }
    }
}

/// A request with headers of the caller's choice, which is sent without being signed.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// The method.
    pub method: Method,
    /// The path from its leading slash and the query, as they are to be sent.
    pub target: String,
    /// The headers, `Host` excepted.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Sends requests in the name of one server. Clones share their connections.
///
/// Redirections are not followed. An answer is only ever taken from a connection whose certificate verifies for the
/// name that resolution gives (`LM-04/12.4/25`).
#[derive(Clone)]
pub struct FederationClient {
    speaker: Arc<Speaker>,
    shared: Arc<Shared>,
    limits: CallLimits,
    retry: Retry,
    watch: Option<Arc<dyn Watch>>,
}

/// In whose name requests are sent.
struct Speaker {
    name: ServerName,
    keys: RwLock<Arc<[SigningKey]>>,
}

impl Speaker {
    fn new(name: ServerName, keys: impl IntoIterator<Item = SigningKey>) -> Arc<Self> {
        Arc::new(Self { name, keys: RwLock::new(keys.into_iter().collect()) })
    }

    fn keys(&self) -> Arc<[SigningKey]> {
        // Keys are replaced as a whole.
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is the same whoever speaks.
struct Shared {
    carrier: Arc<dyn Carrier>,
    /// Destinations that did not know a final path but its unstable form.
    unstable: Mutex<HashSet<ServerName>>,
}

impl std::fmt::Debug for FederationClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FederationClient").field("name", &self.speaker.name).finish_non_exhaustive()
    }
}

impl FederationClient {
    /// A client for the server `name`. Each of `keys` signs each request (`LM-04/12.4/20`); all of them have to be
    /// among the server's published `verify_keys`. `tls` is what [`crate::tls::client_config`] makes.
    #[must_use]
    pub fn new(
        name: ServerName,
        keys: impl IntoIterator<Item = SigningKey>,
        resolver: Resolver,
        tls: Arc<ClientConfig>,
        limits: ClientLimits,
    ) -> Self {
        Self::over(name, keys, carrier::connections(Arc::new(resolver), tls, limits), limits)
    }

    /// As [`FederationClient::new`], with something else than its own connections to carry its requests.
    #[must_use]
    pub fn over(
        name: ServerName,
        keys: impl IntoIterator<Item = SigningKey>,
        carrier: Arc<dyn Carrier>,
        limits: ClientLimits,
    ) -> Self {
        let speaker = Speaker::new(name, keys);
        let shared = Arc::new(Shared { carrier, unstable: Mutex::default() });
        Self { speaker, shared, limits: limits.call, retry: Retry::default(), watch: None }
    }

    /// A client for another server, over the same connections.
    #[must_use]
    pub fn speaking_as(&self, name: ServerName, keys: impl IntoIterator<Item = SigningKey>) -> Self {
        Self { speaker: Speaker::new(name, keys), ..self.clone() }
    }

    /// Signs with these keys from now on, also what is sent through clones of this client that speak for the same server.
    pub fn sign_with(&self, keys: impl IntoIterator<Item = SigningKey>) {
        let keys = keys.into_iter().collect();
        *self.speaker.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// The same client, whose requests somebody sees.
    #[must_use]
    pub fn watched_by(&self, watch: Arc<dyn Watch>) -> Self {
        Self { watch: Some(watch), ..self.clone() }
    }

    /// The same client, with other bounds of calls that have none of their own.
    #[must_use]
    pub fn with_limits(&self, limits: CallLimits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// The same client, which tries typed calls as often as this.
    #[must_use]
    pub fn with_retry(&self, retry: Retry) -> Self {
        Self { retry, ..self.clone() }
    }

    /// In whose name requests are sent.
    #[must_use]
    pub fn name(&self) -> &ServerName {
        &self.speaker.name
    }

    /// Sends a signed request (LM-04 §12.4) within the client's default bounds. `path_and_query` is signed and sent
    /// byte for byte.
    ///
    /// A request that fails on a connection that was there before, with no answer begun, is sent once more on a new
    /// one. A request that is answered 401 after the client got other keys is sent once more with these. A request without a
    /// body that is answered 401 is sent once more, signed without `content` (reading R17).
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer. An answer that is an error is not one here; see [`Response::json_ok`].
    pub async fn request(
        &self,
        destination: &ServerName,
        method: &Method,
        path_and_query: &str,
        body: impl Into<RequestBody<'_>>,
    ) -> Result<Response, ClientError> {
        self.request_within(self.limits, destination, method, path_and_query, body).await
    }

    /// As [`FederationClient::request`], within other bounds.
    ///
    /// # Errors
    /// As [`FederationClient::request`].
    pub async fn request_within(
        &self,
        limits: CallLimits,
        destination: &ServerName,
        method: &Method,
        path_and_query: &str,
        body: impl Into<RequestBody<'_>>,
    ) -> Result<Response, ClientError> {
        let body = Body::new(method, body.into())?;
        within(limits, self.signed(limits, destination, method, path_and_query, &body)).await
    }

    /// Sends a signed request to an endpoint that has a final path and an unstable one (reading R24). The final path
    /// is tried first, and the unstable one if the answer is 404 `M_UNRECOGNIZED`. A destination that then knows the
    /// unstable path gets that first from then on, until it no longer knows it.
    ///
    /// # Errors
    /// As [`FederationClient::request`].
    pub async fn request_with_fallback(
        &self,
        destination: &ServerName,
        method: &Method,
        final_path: &str,
        unstable_path: &str,
        body: impl Into<RequestBody<'_>>,
    ) -> Result<Response, ClientError> {
        let body = Body::new(method, body.into())?;
        self.fall_back(self.limits, destination, method, final_path, unstable_path, &body).await
    }

    /// Sends a signed request to an endpoint, wherever the destination has it.
    async fn request_paths(
        &self,
        limits: CallLimits,
        destination: &ServerName,
        method: &Method,
        paths: &Paths,
        body: Option<&Value>,
    ) -> Result<Response, ClientError> {
        let body = Body::new(method, body.into())?;
        match &paths.unstable {
            Some(unstable) => {
                self.fall_back(limits, destination, method, &paths.stable, unstable, &body).await
            }
            None => within(limits, self.signed(limits, destination, method, &paths.stable, &body)).await,
        }
    }

    async fn fall_back(
        &self,
        limits: CallLimits,
        destination: &ServerName,
        method: &Method,
        final_path: &str,
        unstable_path: &str,
        body: &Body<'_>,
    ) -> Result<Response, ClientError> {
        let unstable_first = self.unstable().contains(destination);
        let (stable, unstable) = ((final_path, false), (unstable_path, true));
        let (first, second) = if unstable_first { (unstable, stable) } else { (stable, unstable) };
        within(limits, async {
            let response = self.signed(limits, destination, method, first.0, body).await?;
            if !is_unknown_endpoint(&response) {
                return Ok(response);
            }
            let response = self.signed(limits, destination, method, second.0, body).await?;
            if !is_unknown_endpoint(&response) {
                self.remember(destination, second.1);
            }
            Ok(response)
        })
        .await
    }

    /// Fetches something that needs no authentication, such as keys (`LM-04/12.4/24`).
    ///
    /// # Errors
    /// As [`FederationClient::request`].
    pub async fn get_unsigned(
        &self,
        destination: &ServerName,
        path_and_query: &str,
        limits: CallLimits,
    ) -> Result<Response, ClientError> {
        let (method, target) = (Method::GET, path_and_query.to_owned());
        let request = RawRequest { method, target, headers: HeaderMap::new(), body: Bytes::new() };
        self.send_raw(destination, request, limits).await
    }

    /// Sends a request as it is, with whatever headers the caller put there. Only a connection that was there before
    /// and fails is replaced, once.
    ///
    /// # Errors
    /// As [`FederationClient::request`].
    pub async fn send_raw(
        &self,
        destination: &ServerName,
        request: RawRequest,
        limits: CallLimits,
    ) -> Result<Response, ClientError> {
        let RawRequest { method, target, headers, body } = request;
        let message = Message { method, target: target_of(&target)?, headers, body };
        within(limits, self.exchange(destination, message, limits)).await
    }

    fn unstable(&self) -> MutexGuard<'_, HashSet<ServerName>> {
        // The set is whole whenever the lock is free.
        self.shared.unstable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, destination: &ServerName, unstable: bool) {
        let mut known = self.unstable();
        if !unstable {
            known.remove(destination);
            return;
        }
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(destination.clone());
    }

    async fn signed(
        &self,
        limits: CallLimits,
        destination: &ServerName,
        method: &Method,
        path_and_query: &str,
        body: &Body<'_>,
    ) -> Result<Response, ClientError> {
        let target = target_of(path_and_query)?;
        let own = &self.speaker.name;
        let message = |keys: &[SigningKey], sign: &dyn Fn(&SigningKey) -> HeaderValue| {
            let mut headers = HeaderMap::new();
            for key in keys {
                headers.append(AUTHORIZATION, sign(key));
            }
            if body.signed().is_some() {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            Message { method: method.clone(), target: target.clone(), headers, body: body.bytes.clone() }
        };
        let uri = target.as_str();
        let sign =
            |key: &SigningKey| sign_request(method.as_str(), uri, own, destination, body.signed(), key);
        let mut keys = self.speaker.keys();
        let mut response = self.exchange(destination, message(&keys, &sign), limits).await?;
        if response.status == StatusCode::UNAUTHORIZED && !Arc::ptr_eq(&keys, &self.speaker.keys()) {
            // The keys were replaced while the request was on its way.
            keys = self.speaker.keys();
            response = self.exchange(destination, message(&keys, &sign), limits).await?;
        }
        if response.status != StatusCode::UNAUTHORIZED || body.signed().is_some() {
            return Ok(response);
        }
        let bare =
            message(&keys, &|key| sign_request_without_content(method.as_str(), uri, own, destination, key));
        self.exchange(destination, bare, limits).await
    }

    /// Sends a request, reads the answer, and lets whoever watches see both.
    async fn exchange(
        &self,
        destination: &ServerName,
        message: Message,
        limits: CallLimits,
    ) -> Result<Response, ClientError> {
        let carrier = &self.shared.carrier;
        let Some(watch) = &self.watch else { return carrier.carry(destination, message, limits).await };
        let request = RawRequest {
            method: message.method.clone(),
            target: message.target.to_string(),
            headers: message.headers.clone(),
            body: message.body.clone(),
        };
        // Whoever waits for the answer has its own clock, which may end this before there is one.
        let seen = watch::Seen::new(&**watch, destination, &request);
        seen.end(carrier.carry(destination, message, limits).await)
    }
}

/// Sends a request, on a new connection if one that was there before failed with no answer begun, and reads the answer.
async fn exchange(
    pool: &Pool,
    destination: &ServerName,
    message: Message,
    limits: CallLimits,
) -> Result<Response, ClientError> {
    let (connection, answer) = answered(pool, destination, message).await?;
    read(&connection, answer, limits).await
}

/// The head of the answer, and the connection on which it came.
async fn answered(
    pool: &Pool,
    destination: &ServerName,
    message: Message,
) -> Result<(Connection, http::Response<Incoming>), ClientError> {
    let connection = pool.connection(destination, None).await?;
    let (connection, answer) = match connection.send(message.clone()).await {
        Err(ClientError::Protocol(error)) if connection.reused => {
            tracing::debug!(%destination, %error, "a connection no longer works; making a new one");
            let fresh = pool.connection(destination, Some(&connection)).await?;
            let answer = fresh.send(message).await;
            (fresh, answer)
        }
        answer => (connection, answer),
    };
    Ok((connection, answer?))
}

fn is_unknown_endpoint(response: &Response) -> bool {
    response.api_error().is_some_and(|error| error.is_unknown_endpoint())
}

/// The request target, if it can be sent byte for byte.
fn target_of(path_and_query: &str) -> Result<PathAndQuery, ClientError> {
    let target = PathAndQuery::try_from(path_and_query).map_err(|_| ClientError::Target)?;
    let same = target.as_str() == path_and_query && path_and_query.starts_with('/');
    if same { Ok(target) } else { Err(ClientError::Target) }
}

async fn within<T>(
    limits: CallLimits,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let done = tokio::time::timeout(limits.timeout, work).await;
    done.unwrap_or(Err(ClientError::Timeout(limits.timeout)))
}

/// Reads the body of an answer, as far as the limit.
async fn read(
    connection: &Connection,
    answer: http::Response<Incoming>,
    limits: CallLimits,
) -> Result<Response, ClientError> {
    let (parts, body) = answer.into_parts();
    let limit = limits.response_bytes;
    let announced =
        parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(ClientError::TooLarge(limit));
    }
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(ClientError::TooLarge(limit)),
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(error) => return Err(ClientError::Protocol(*error)),
            // `Limited` has no other errors than these two.
            Err(_) => return Err(ClientError::TooLarge(limit)),
        },
    };
    Ok(Response {
        status: parts.status,
        headers: parts.headers,
        body,
        http_version: parts.version,
        tls_version: connection.tls_version,
    })
}
