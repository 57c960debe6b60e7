//! Listeners: HTTP/2 over TLS 1.3 for the federation, plain HTTP/1.1 for the control API (LM-04 §12, reading R26).

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;

use crate::limits::{Activity, Connections};
use crate::tls::{ALPN_H2, ALPN_HTTP11};

/// How long to wait after the system refused a connection, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at the same time; further ones wait in the system's queue. At least 1; 1,024 unless set.
    pub connections: usize,
    /// Connections at the same time from one address, or one /64 of IPv6; further ones are closed at once. 128 unless
    /// set. A proxy in front of the server needs more.
    pub connections_per_address: usize,
    /// Requests at the same time on one HTTP/2 connection. 100 unless set.
    pub streams: u32,
    /// Requests that a peer may begin and give up on one HTTP/2 connection: so many at once, and ten more each second.
    /// Beyond it the connection is closed, as it is a way to cause work without waiting for it. 100 unless set.
    pub resets: u32,
    /// The size of a request's head, in bytes, from which on HTTP itself refuses it, without an errcode. 64 KiB unless
    /// set; [`RequestLimits`](crate::limits::RequestLimits) has the bound that is told properly.
    pub header_bytes: u32,
    /// How long a TLS handshake, or the head of an HTTP/1.1 request, may take. 10 s unless set.
    pub handshake: Duration,
    /// How often an HTTP/2 peer that is silent is asked whether it is still there. 30 s unless set.
    pub ping_interval: Duration,
    /// How long it may take to answer that. 20 s unless set.
    pub ping_timeout: Duration,
    /// How long an HTTP/2 connection may stay on which nothing is asked. 5 minutes unless set.
    pub idle: Duration,
    /// How long requests may go on after shutdown, or the end of a connection, has begun. 10 s unless set.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 128,
            streams: 100,
            resets: 100,
            header_bytes: 64 * 1024,
            handshake: Duration::from_secs(10),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            idle: Duration::from_secs(5 * 60),
            drain: Duration::from_secs(10),
        }
    }
}

/// The federation's listener: TLS and HTTP/2 (`LM-04/12/1`, `LM-04/12/2`).
pub struct HttpsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
    limits: ServerLimits,
    http1: bool,
}

impl std::fmt::Debug for HttpsListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpsListener")
            .field("tcp", &self.tcp)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl HttpsListener {
    /// Listens at `address`; port 0 takes a free one. `tls` is what [`crate::tls::server_config`] makes.
    ///
    /// # Errors
    /// What the system says, if the address cannot be had.
    pub async fn bind(address: SocketAddr, tls: Arc<ServerConfig>) -> io::Result<Self> {
        Ok(Self::new(TcpListener::bind(address).await?, tls))
    }

    /// Listens where `tcp` is bound. `tls` is what [`crate::tls::server_config`] makes.
    #[must_use]
    pub fn new(tcp: TcpListener, tls: Arc<ServerConfig>) -> Self {
        Self { tcp, tls: TlsAcceptor::from(tls), limits: ServerLimits::default(), http1: false }
    }

    /// Sets other bounds than the default ones.
    #[must_use]
    pub fn with_limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Offers HTTP/1.1 too, and speaks it on connections that have not negotiated HTTP/2, instead of closing them. The
    /// draft has no such servers (`LM-04/12/1`): this is for who has to talk with one that knows nothing else.
    #[must_use]
    pub fn and_http1(self) -> Self {
        let mut tls = ServerConfig::clone(self.tls.config());
        tls.alpn_protocols.push(ALPN_HTTP11.to_vec());
        Self { tls: TlsAcceptor::from(Arc::new(tls)), http1: true, ..self }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves `router` until `shutdown` is done and the requests under way have ended, or the time to drain is over.
    ///
    /// A connection that has not negotiated HTTP/2 is closed, unless HTTP/1.1 [is taken too](Self::and_http1). Handlers get
    /// the peer's address as `axum::extract::ConnectInfo<SocketAddr>`. The request target that was signed is
    /// `request.uri().path_and_query()`; inside a nested router it is that of `axum::extract::OriginalUri`.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) {
        let Self { tcp, tls, limits, http1 } = self;
        let connection = move |stream, peer, stop| {
            serve_tls(stream, peer, tls.clone(), router.clone(), limits, http1, stop)
        };
        accept(tcp, limits, shutdown, connection).await;
    }
}

/// Serves `router` over HTTP/1.1 without TLS until `shutdown` is done and the requests under way have ended, or the
/// time to drain is over. This is for the control API, on loopback.
pub async fn serve_plain(
    tcp: TcpListener,
    router: Router,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()>,
) {
    let connection = move |stream: TcpStream, peer, stop| {
        let _ = stream.set_nodelay(true);
        serve_h1(stream, peer, router.clone(), limits, stop)
    };
    accept(tcp, limits, shutdown, connection).await;
}

/// Tells a connection to come to its end.
type Stop = watch::Receiver<bool>;

/// Resolves once shutdown has begun, also if whoever would say so is gone.
async fn stopped(stop: &mut Stop) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

async fn accept<F, C>(
    tcp: TcpListener,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()>,
    connection: F,
) where
    F: Fn(TcpStream, SocketAddr, Stop) -> C,
    C: Future<Output = ()> + Send + 'static,
{
    let (stop, stopping) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(limits.connections.max(1)));
    let addresses = Connections::new(limits.connections_per_address.max(1));
    let mut connections = JoinSet::new();
    let accepting = async {
        // The semaphore is never closed.
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            match tcp.accept().await {
                Ok((stream, peer)) => match addresses.open(peer.ip()) {
                    Some(counted) => {
                        let serving = connection(stream, peer, stopping.clone());
                        connections.spawn(async move {
                            serving.await;
                            drop((slot, counted));
                        });
                    }
                    None => tracing::debug!(%peer, "closed a connection: its address has too many"),
                },
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
            // What has ended is forgotten, so that the set stays as small as the number of connections.
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accepting => {}
    }
    drop(tcp);
    let _ = stop.send(true);
    let drained = timeout(limits.drain, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = connections.len(), "connections are cut off at shutdown");
        connections.shutdown().await;
    }
}

/// The router as hyper takes it, with the peer's address in each request, and each request counted.
fn service(
    router: Router,
    peer: SocketAddr,
    activity: Arc<Activity>,
) -> TowerToHyperService<
    impl tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + 'static,
> {
    TowerToHyperService::new(tower::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let (router, doing) = (router.clone(), activity.begin());
        async move {
            let response = router.oneshot(request).await;
            doing.done();
            response
        }
    }))
}

async fn serve_tls(
    stream: TcpStream,
    peer: SocketAddr,
    tls: TlsAcceptor,
    router: Router,
    limits: ServerLimits,
    http1: bool,
    mut stop: Stop,
) {
    let _ = stream.set_nodelay(true);
    let handshake = tokio::select! {
        () = stopped(&mut stop) => return,
        handshake = timeout(limits.handshake, tls.accept(stream)) => handshake,
    };
    let mut stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake"),
        Err(_) => return tracing::debug!(%peer, "the TLS handshake took too long"),
    };
    if stream.get_ref().1.alpn_protocol() == Some(ALPN_H2) {
        serve_h2(stream, peer, router, limits, stop).await;
    } else if http1 {
        serve_h1(stream, peer, router, limits, stop).await;
    } else {
        tracing::debug!(%peer, "HTTP/2 was not negotiated");
        let _ = timeout(limits.handshake, stream.shutdown()).await;
    }
}

async fn serve_h2(
    stream: TlsStream<TcpStream>,
    peer: SocketAddr,
    router: Router,
    limits: ServerLimits,
    mut stop: Stop,
) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes)
        .max_pending_accept_reset_streams(usize::try_from(limits.resets).unwrap_or(usize::MAX))
        .max_local_error_reset_streams(usize::try_from(limits.resets).unwrap_or(usize::MAX))
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    let activity = Arc::new(Activity::new(limits.resets));
    let service = service(router, peer, Arc::clone(&activity));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = activity.idle_for(limits.idle) => {
            tracing::debug!(%peer, "closing a connection on which nothing is asked");
            connection.as_mut().graceful_shutdown();
            timeout(limits.drain, connection).await.unwrap_or(Ok(()))
        }
        () = activity.abused() => return tracing::debug!(%peer, "closed a connection: too many requests were given up"),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "HTTP/2 connection");
    }
}

async fn serve_h1(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    router: Router,
    limits: ServerLimits,
    mut stop: Stop,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake)
        // Below this, hyper's own minimum, it would panic.
        .max_buf_size(usize::try_from(limits.header_bytes).unwrap_or(usize::MAX).max(8192));
    let service = service(router, peer, Arc::new(Activity::new(limits.resets)));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "HTTP/1.1 connection");
    }
}
