//! Web servers on loopback: one listener, which is several hosts by their certificate and `Host`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use http::header::{HOST, LOCATION};
use http::{HeaderName, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use mimi_transport::resolve::WELL_KNOWN_PATH;
use mimi_transport::tls::{load_chain, load_key};
use rustls::ServerConfig;
use rustls::crypto::ring;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::server::World;

/// What a web server says.
#[derive(Debug, Clone)]
pub(super) struct Page {
    status: u16,
    headers: Vec<(HeaderName, String)>,
    body: String,
}

impl Page {
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// A delegation.
    pub(super) fn delegation(to: &str) -> Self {
        Self::new(200, format!("{{\"m.server\":\"{to}\"}}"))
    }

    pub(super) fn redirection(status: u16, to: impl Into<String>) -> Self {
        Self::new(status, "").with(LOCATION, to)
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Debug, Default)]
struct Site {
    pages: Mutex<HashMap<(String, String), Page>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    /// Requests wait until they are let go, if they have to.
    held: Mutex<Option<Arc<Notify>>>,
    arrived: Notify,
}

/// Web servers on loopback.
#[derive(Debug, Clone)]
pub(super) struct WebHost {
    pub(super) address: SocketAddr,
    site: Arc<Site>,
}

/// What it speaks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Speaks {
    Http2AndTls13,
    Http11AndTls12,
}

impl WebHost {
    pub(super) async fn start(world: &World, hosts: &[&str], speaks: Speaks) -> Self {
        let folder = world.folder.path().join(format!("web-{}", hosts.join("-")));
        let now = mimi_transport::clock::now_ms();
        let files = world.ca.server_certificate(&folder, hosts, now).unwrap();
        let (version, alpn): (_, &[u8]) = match speaks {
            Speaks::Http2AndTls13 => (&rustls::version::TLS13, b"h2"),
            Speaks::Http11AndTls12 => (&rustls::version::TLS12, b"http/1.1"),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(load_chain(&files.certificate).unwrap(), load_key(&files.key).unwrap())
            .unwrap();
        config.alpn_protocols = vec![alpn.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, site) = (tcp.local_addr().unwrap(), Arc::<Site>::default());
        let host = Self { address, site: Arc::clone(&site) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = tcp.accept().await.unwrap();
                site.connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, site) = (acceptor.clone(), Arc::clone(&site));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let router = Router::new().fallback(move |request| answer(site, request));
                    let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
                    let _ = match speaks {
                        Speaks::Http2AndTls13 => {
                            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                            builder.serve_connection(io, service).await
                        }
                        Speaks::Http11AndTls12 => {
                            hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
                        }
                    };
                });
            }
        });
        host
    }

    /// Lets a host say this where delegations are.
    pub(super) fn says(&self, host: &str, page: Page) -> &Self {
        self.page(host, WELL_KNOWN_PATH, page)
    }

    pub(super) fn page(&self, host: &str, path: &str, page: Page) -> &Self {
        self.site.pages.lock().unwrap().insert((host.to_owned(), path.to_owned()), page);
        self
    }

    /// The requests so far: `Host` and path.
    pub(super) fn requests(&self) -> Vec<String> {
        self.site.requests.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.site.connections.load(Ordering::SeqCst)
    }

    /// Lets requests wait until the handle is notified.
    pub(super) fn hold(&self) -> Arc<Notify> {
        let held = Arc::<Notify>::default();
        *self.site.held.lock().unwrap() = Some(Arc::clone(&held));
        held
    }

    /// Waits for a request.
    pub(super) async fn arrived(&self) {
        self.site.arrived.notified().await;
    }
}

async fn answer(site: Arc<Site>, request: Request<Body>) -> Response<Body> {
    let in_header = request.headers().get(HOST).map(|host| host.to_str().unwrap().to_owned());
    let authority = request.uri().authority().map(ToString::to_string).or(in_header).unwrap();
    let path = request.uri().path_and_query().unwrap().to_string();
    site.requests.lock().unwrap().push(format!("{authority}{path}"));
    site.arrived.notify_one();
    let held = site.held.lock().unwrap().take();
    if let Some(held) = held {
        held.notified().await;
    }
    let host = authority.split(':').next().unwrap().to_owned();
    let page = site.pages.lock().unwrap().get(&(host, path)).cloned();
    let page = page.unwrap_or_else(|| Page::new(404, "{}"));
    let mut response = Response::new(Body::from(page.body));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap();
    for (name, value) in page.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
