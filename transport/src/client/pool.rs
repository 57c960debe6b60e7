//! Connections to other servers: how they are made, and one HTTP/2 connection kept for each.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mimi_linearized::id::ServerName;
use rustls::{ClientConfig, ProtocolVersion};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{ClientError, ClientLimits};
use crate::resolve::{Endpoint, Locate};
use crate::tls::{ALPN_H2, ALPN_HTTP11};

/// How often a silent peer that owes us an answer is asked whether it is still there, and how long it may take to say
/// so. Together they leave time for another attempt within the default time of a request.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection is kept at least, so that a delegation that is not to be kept does not cost a connection for
/// each request.
const MIN_AGE_MS: i64 = 60 * 1_000;

/// A request in the form in which it is sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// The method.
    pub method: Method,
    /// The path and the query.
    pub target: PathAndQuery,
    /// The headers, `Host` excepted.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// How one connection is used.
#[derive(Clone)]
enum Sender {
    /// Shared by any number of requests.
    Http2(http2::SendRequest<Full<Bytes>>),
    /// For one request.
    Http11(Arc<tokio::sync::Mutex<http1::SendRequest<Full<Bytes>>>>),
}

/// A connection that is ready for requests.
#[derive(Clone)]
pub(super) struct Connection {
    sender: Sender,
    authority: Authority,
    pub(super) tls_version: Option<ProtocolVersion>,
    /// Where it leads, and the name that its certificate is valid for.
    address: SocketAddr,
    tls_name: rustls::pki_types::ServerName<'static>,
    /// Until when the resolution that led here may be relied on, in milliseconds since the Unix epoch.
    until_ms: i64,
    /// Distinguishes connections to one server.
    id: u64,
    /// Whether it was there before the request that asked for it.
    pub(super) reused: bool,
}

impl Connection {
    fn is_reusable(&self) -> bool {
        match &self.sender {
            Sender::Http2(sender) => !sender.is_closed(),
            Sender::Http11(_) => false,
        }
    }

    /// Whether this is one of the connections that a resolution leads to.
    fn leads_to(&self, endpoint: &Endpoint) -> bool {
        endpoint.addresses.contains(&self.address)
            && endpoint.tls_name == self.tls_name
            && endpoint.host == self.authority.as_str()
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(&self, message: Message) -> Result<http::Response<Incoming>, ClientError> {
        let Message { method, target, headers, body } = message;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        match &self.sender {
            Sender::Http2(sender) => {
                let mut parts = http::uri::Parts::default();
                parts.scheme = Some(Scheme::HTTPS);
                parts.authority = Some(self.authority.clone());
                parts.path_and_query = Some(target);
                *request.uri_mut() = Uri::from_parts(parts).map_err(|_| ClientError::Target)?;
                *request.version_mut() = Version::HTTP_2;
                let mut sender = sender.clone();
                sender.ready().await.map_err(ClientError::Protocol)?;
                sender.send_request(request).await.map_err(ClientError::Protocol)
            }
            Sender::Http11(sender) => {
                *request.uri_mut() = Uri::from(target);
                let host = HeaderValue::from_str(self.authority.as_str()).map_err(|_| ClientError::Target)?;
                request.headers_mut().insert(HOST, host);
                let mut sender = sender.lock().await;
                sender.ready().await.map_err(ClientError::Protocol)?;
                sender.send_request(request).await.map_err(ClientError::Protocol)
            }
        }
    }
}

/// One server's place in the pool. The lock is held while a connection is being made, so that requests at the same
/// time share it.
#[derive(Default)]
struct Slot {
    connection: tokio::sync::Mutex<Option<Connection>>,
    last_used: AtomicU64,
}

/// Keeps one HTTP/2 connection for each server, up to a number of servers.
pub(super) struct Pool {
    resolver: Arc<dyn Locate>,
    tls: TlsConnector,
    limits: ClientLimits,
    slots: Mutex<HashMap<ServerName, Arc<Slot>>>,
    /// Counts uses and connections; what is larger is later.
    ticks: AtomicU64,
}

impl Pool {
    pub(super) fn new(resolver: Arc<dyn Locate>, tls: Arc<ClientConfig>, limits: ClientLimits) -> Self {
        let (slots, ticks) = (Mutex::default(), AtomicU64::new(1));
        Self { resolver, tls: TlsConnector::from(tls), limits, slots, ticks }
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::Relaxed)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<ServerName, Arc<Slot>>> {
        // The map is whole whenever the lock is free.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server's place, made if need be. Beyond the limit, the server that was used least recently loses its place;
    /// its connection ends with the last request on it.
    fn slot(&self, server: &ServerName) -> Arc<Slot> {
        let mut slots = self.slots();
        if !slots.contains_key(server) && slots.len() >= self.limits.pooled_servers.max(1) {
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.last_used.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(server, _)| server.clone()) {
                slots.remove(&oldest);
            }
        }
        let slot = slots.entry(server.clone()).or_default();
        slot.last_used.store(self.tick(), Ordering::Relaxed);
        Arc::clone(slot)
    }

    /// A connection to the server: the one at hand, or a new one. `failed` is a connection that did not work and is
    /// not to be used again.
    ///
    /// A connection is as old as the resolution that it came from: once that has aged, the name is resolved anew, and
    /// the connection goes on only if it is where the name leads now. Requests that are under way on it end there.
    pub(super) async fn connection(
        &self,
        server: &ServerName,
        failed: Option<&Connection>,
    ) -> Result<Connection, ClientError> {
        let slot = self.slot(server);
        let mut held = slot.connection.lock().await;
        let usable = held.take().filter(|connection| {
            connection.is_reusable() && failed.is_none_or(|failed| failed.id != connection.id)
        });
        if let Some(connection) = &usable
            && self.resolver.now_ms() < connection.until_ms
        {
            *held = usable.clone();
            return Ok(Connection { reused: true, ..connection.clone() });
        }
        // Most requests find a connection, and need not carry what it takes to make one.
        let (endpoint, until_ms) = self.resolver.locate(server).await?;
        let until_ms = until_ms.max(self.resolver.now_ms().saturating_add(MIN_AGE_MS));
        if let Some(connection) = usable.filter(|connection| connection.leads_to(&endpoint)) {
            let connection = Connection { reused: true, until_ms, ..connection };
            *held = Some(connection.clone());
            return Ok(connection);
        }
        let connection = Box::pin(self.connect(server, &endpoint, until_ms)).await?;
        if connection.is_reusable() {
            *held = Some(connection.clone());
        }
        Ok(connection)
    }

    /// Makes a connection to the first of the server's addresses that takes one. If none does, the error is that of
    /// the attempt that got furthest.
    async fn connect(
        &self,
        server: &ServerName,
        endpoint: &Endpoint,
        until_ms: i64,
    ) -> Result<Connection, ClientError> {
        let authority = Authority::try_from(endpoint.host.as_str()).map_err(|_| ClientError::Target)?;
        let mut failure = None;
        for address in &endpoint.addresses {
            match self.connect_to(*address, endpoint).await {
                Ok((sender, tls_version)) => {
                    return Ok(Connection {
                        sender,
                        authority,
                        tls_version,
                        address: *address,
                        tls_name: endpoint.tls_name.clone(),
                        until_ms,
                        id: self.tick(),
                        reused: false,
                    });
                }
                Err(error) => {
                    tracing::debug!(%server, %address, %error, "connecting");
                    if failure.as_ref().is_none_or(|failure| progress(&error) > progress(failure)) {
                        failure = Some(error);
                    }
                }
            }
        }
        let nowhere = || crate::resolve::ResolveError::NoAddress(server.clone()).into();
        Err(failure.unwrap_or_else(nowhere))
    }

    async fn connect_to(
        &self,
        address: SocketAddr,
        endpoint: &Endpoint,
    ) -> Result<(Sender, Option<ProtocolVersion>), ClientError> {
        let connecting = async {
            let tcp =
                TcpStream::connect(address).await.map_err(|error| ClientError::Connect { address, error })?;
            let _ = tcp.set_nodelay(true);
            let tls = self.tls.connect(endpoint.tls_name.clone(), tcp).await;
            let tls = tls.map_err(|error| ClientError::Tls { address, error })?;
            let version = tls.get_ref().1.protocol_version();
            Ok((self.negotiated(address, tls).await?, version))
        };
        let limit = self.limits.connect;
        timeout(limit, connecting).await.unwrap_or_else(|_| {
            Err(ClientError::Connect { address, error: io::Error::from(io::ErrorKind::TimedOut) })
        })
    }

    /// Speaks the version of HTTP that was negotiated. Without ALPN that is HTTP/1.1, but only if we offered it.
    async fn negotiated(
        &self,
        address: SocketAddr,
        tls: TlsStream<TcpStream>,
    ) -> Result<Sender, ClientError> {
        let chosen = tls.get_ref().1.alpn_protocol();
        let is_h2 = chosen == Some(ALPN_H2);
        let offered = &self.tls.config().alpn_protocols;
        let h1_offered = offered.is_empty() || offered.iter().any(|protocol| protocol == ALPN_HTTP11);
        if is_h2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(PING_TIMEOUT)
                .max_header_list_size(self.limits.header_bytes);
            let (sender, connection) =
                builder.handshake(TokioIo::new(tls)).await.map_err(ClientError::Protocol)?;
            drive(address, connection);
            Ok(Sender::Http2(sender))
        } else if h1_offered {
            let (sender, connection) =
                http1::handshake(TokioIo::new(tls)).await.map_err(ClientError::Protocol)?;
            drive(address, connection);
            Ok(Sender::Http11(Arc::new(tokio::sync::Mutex::new(sender))))
        } else {
            Err(ClientError::Negotiation { address })
        }
    }
}

/// Runs a connection in the background. It ends when the peer ends it, or with the last request on it once nobody
/// holds it any more.
fn drive(address: SocketAddr, connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, %error, "connection");
        }
    });
}

/// How far an attempt to connect got before it failed.
fn progress(error: &ClientError) -> u8 {
    match error {
        ClientError::Connect { .. } => 0,
        ClientError::Tls { .. } => 1,
        _ => 2,
    }
}
