//! A web server on loopback, which is several hosts by their certificates.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use mimi_transport::tls::{ServerCertificate, TlsError, load_chain, load_key};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What the web server says.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    status: u16,
    headers: Vec<(HeaderName, String)>,
    body: String,
}

impl Page {
    /// An answer that says it is JSON.
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![(CONTENT_TYPE, "application/json".to_owned())];
        Self { status, headers, body: body.into() }
    }

    /// A delegation.
    pub(crate) fn delegation(to: &str) -> Self {
        Self::new(200, format!("{{\"m.server\":\"{to}\"}}"))
    }

    /// A redirection.
    pub(crate) fn redirection(status: u16, to: impl Into<String>) -> Self {
        Self::new(status, "").with(LOCATION, to)
    }

    /// With a header, in place of one of that name.
    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Default)]
struct Sites {
    certificates: HashMap<String, Arc<CertifiedKey>>,
    approached: Vec<String>,
    pages: HashMap<(String, String), Page>,
    /// Host and path.
    requests: Vec<(String, String)>,
}

/// The hosts. They choose the certificate themselves.
#[derive(Default)]
struct Hosts(Mutex<Sites>);

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts").finish_non_exhaustive()
    }
}

impl Hosts {
    fn lock(&self) -> MutexGuard<'_, Sites> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Hosts {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name()?;
        let mut sites = self.lock();
        sites.approached.push(host.to_owned());
        sites.certificates.get(host).cloned()
    }
}

/// A web server that runs until it is dropped.
#[derive(Debug)]
pub(super) struct WebServer {
    address: SocketAddr,
    hosts: Arc<Hosts>,
    task: JoinHandle<()>,
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl WebServer {
    pub(super) async fn start() -> io::Result<Self> {
        let tcp = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, hosts) = (tcp.local_addr()?, Arc::<Hosts>::default());
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Hosts>::clone(&hosts);
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let task = tokio::spawn(serve(tcp, TlsAcceptor::from(Arc::new(config)), Arc::clone(&hosts)));
        Ok(Self { address, hosts, task })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has a host answer, with this certificate.
    pub(super) fn open(&self, host: &str, certificate: &ServerCertificate) -> Result<(), TlsError> {
        let chain = load_chain(&certificate.certificate)?;
        let key = ring::sign::any_supported_type(&load_key(&certificate.key)?).map_err(TlsError::Config)?;
        self.hosts.lock().certificates.insert(host.to_owned(), Arc::new(CertifiedKey::new(chain, key)));
        Ok(())
    }

    pub(super) fn page(&self, host: &str, path: &str, page: Page) {
        self.hosts.lock().pages.insert((host.to_owned(), path.to_owned()), page);
    }

    /// The paths that a host was asked for.
    pub(super) fn requests(&self, host: &str) -> Vec<String> {
        let sites = self.hosts.lock();
        let of_host = sites.requests.iter().filter(|(asked, _)| asked == host);
        of_host.map(|(_, path)| path.clone()).collect()
    }

    /// Whether a connection was begun for a host.
    pub(super) fn was_approached(&self, host: &str) -> bool {
        self.hosts.lock().approached.iter().any(|asked| asked == host)
    }
}

async fn serve(tcp: TcpListener, acceptor: TlsAcceptor, hosts: Arc<Hosts>) {
    while let Ok((stream, _)) = tcp.accept().await {
        let (acceptor, hosts) = (acceptor.clone(), Arc::clone(&hosts));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let router = Router::new().fallback(move |request| async move { answer(&hosts, &request) });
            let service = TowerToHyperService::new(router);
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let io = TokioIo::new(stream);
            let _ = if is_h2 {
                http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
            } else {
                http1::Builder::new().serve_connection(io, service).await
            };
        });
    }
}

fn answer(hosts: &Hosts, request: &Request<Body>) -> Response<Body> {
    let in_header = || request.headers().get(HOST).and_then(|host| host.to_str().ok()).map(ToOwned::to_owned);
    let authority = request.uri().authority().map(ToString::to_string).or_else(in_header).unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default().to_owned();
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let mut sites = hosts.lock();
    sites.requests.push((host.clone(), path.clone()));
    let page = sites.pages.get(&(host, path)).cloned().unwrap_or_else(|| Page::new(404, "{}"));
    let mut response = Response::new(Body::from(page.body));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or_default();
    for (name, value) in page.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
