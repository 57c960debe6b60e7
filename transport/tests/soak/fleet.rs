//! The servers, each behind a proxy, under names that lead to the proxies.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mimi_linearized::id::{ServerName, UserId};
use mimi_transport::clock;
use mimi_transport::node::Node;
use mimi_transport::start::{Server, ServerConfig};
use mimi_transport::tls::{DevCa, ServerCertificate};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::proxy::Proxy;

/// How long anything may take that does happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// All servers.
pub(crate) struct Fleet {
    pub(crate) places: Vec<Arc<Place>>,
    connections: Arc<AtomicU64>,
    _folder: TempDir,
}

/// One server: its name stays while it comes and goes.
pub(crate) struct Place {
    pub(crate) name: ServerName,
    proxy: Proxy,
    data: TempDir,
    ca: PathBuf,
    certificate: ServerCertificate,
    server: Mutex<Option<Server>>,
}

impl Fleet {
    pub(crate) async fn start(servers: usize, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = DevCa::open(folder.path(), clock::now_ms()).unwrap();
        let certificate = ca.server_certificate(folder.path(), &["localhost"], clock::now_ms()).unwrap();
        let mut places = Vec::new();
        let connections = Arc::new(AtomicU64::new(0));
        for number in 0..servers {
            let seed = seed.wrapping_add(u64::try_from(number).unwrap());
            let proxy = Proxy::start(seed, Arc::clone(&connections)).await;
            let name = ServerName::parse(&format!("localhost:{}", proxy.address.port())).unwrap();
            let place = Place {
                name,
                proxy,
                data: tempfile::tempdir().unwrap(),
                ca: ca.certificate().to_owned(),
                certificate: certificate.clone(),
                server: Mutex::default(),
            };
            place.come().await;
            places.push(Arc::new(place));
        }
        Self { places, connections, _folder: folder }
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.places.iter().map(|place| place.proxy.cuts()).sum()
    }

    pub(crate) fn summary(&self) -> String {
        let connections = self.connections.load(Ordering::SeqCst);
        format!("{} of {connections} connections cut", self.cuts())
    }

    pub(crate) fn relent(&self) {
        self.places.iter().for_each(|place| place.proxy.relent());
    }

    pub(crate) async fn stop(self) {
        for place in &self.places {
            place.go().await;
        }
    }
}

impl Place {
    /// Starts the server.
    pub(crate) async fn come(&self) {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.proxy.lead_to(Some(tcp.local_addr().unwrap()));
        let config = ServerConfig {
            certificate: Some(self.certificate.clone()),
            cas: vec![self.ca.clone()],
            ..ServerConfig::new(self.name.clone(), self.data.path().to_owned())
        };
        *self.server.lock().await = Some(Server::start(config, tcp, None).await.unwrap());
    }

    /// Stops the server.
    pub(crate) async fn go(&self) {
        self.proxy.lead_to(None);
        if let Some(server) = self.server.lock().await.take() {
            server.stop().await.unwrap();
        }
    }

    pub(crate) fn cut_some(&self) {
        self.proxy.cut_some();
    }

    pub(crate) async fn node(&self) -> Node {
        self.server.lock().await.as_ref().unwrap().node().clone()
    }

    pub(crate) fn user(&self, localpart: &str) -> UserId {
        UserId::new(localpart, &self.name).unwrap()
    }

    /// Looks whenever something has happened at this server, until there is nothing to object to.
    pub(crate) async fn until<F: Future<Output = Result<(), String>>>(&self, look: impl Fn(Node) -> F) {
        let deadline = Instant::now() + PATIENCE;
        let node = self.node().await;
        let mut news = node.news();
        loop {
            news.borrow_and_update();
            let Err(objection) = look(node.clone()).await else { return };
            let happened = tokio::time::timeout_at(deadline, news.changed()).await;
            assert!(matches!(happened, Ok(Ok(()))), "{}: {objection}", self.name);
        }
    }
}
