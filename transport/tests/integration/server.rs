//! A server with a name, a certificate and signing keys, and clients that trust it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::json::{Object, Value};
use mimi_linearized::signing::{SigningKey, sign_object};
use mimi_transport::client::{ClientLimits, FederationClient};
use mimi_transport::clock::{Clock, ManualClock, now_ms};
use mimi_transport::keys::KEY_PATH;
use mimi_transport::resolve::{ResolveOptions, Resolver, StaticEntry};
use mimi_transport::server::{HttpsListener, ServerLimits};
use mimi_transport::tls::{ClientOffer, DevCa, Roots, client_config};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The time at which the manual clock stands to begin with.
pub(crate) const NOW: i64 = 1_700_000_000_000;

/// How long anything is waited for before a test fails. Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

pub(crate) fn key(version: u8) -> SigningKey {
    SigningKey::from_seed(KeyId::ed25519(&version.to_string()).unwrap(), &[version; 32])
}

/// Waits, but not for ever.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

/// A folder with a CA, and a clock: what all servers of one test share.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) ca: DevCa,
    pub(crate) clock: Clock,
    pub(crate) hands: ManualClock,
    pub(crate) resolver: Resolver,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = DevCa::open(folder.path(), now_ms()).unwrap();
        let (clock, hands) = Clock::manual(NOW);
        let resolver = Resolver::new(&Roots::none(), ResolveOptions::default()).unwrap();
        Self { folder, ca, clock, hands, resolver }
    }

    /// Starts a server with this name, for which it has a certificate.
    pub(crate) async fn start(&mut self, host: &str, router: Router) -> Server {
        self.start_with(host, router, |listener| listener).await
    }

    pub(crate) async fn start_within(&mut self, host: &str, router: Router, limits: ServerLimits) -> Server {
        self.start_with(host, router, |listener| listener.with_limits(limits)).await
    }

    pub(crate) async fn start_with(
        &mut self,
        host: &str,
        router: Router,
        set: impl FnOnce(HttpsListener) -> HttpsListener,
    ) -> Server {
        let files = self.ca.server_certificate(&self.folder.path().join(host), &[host], now_ms()).unwrap();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = HttpsListener::bind(loopback, files.server_config().unwrap()).await.unwrap();
        let listener = set(listener);
        let address = listener.local_addr().unwrap();
        self.place(host, address);
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(listener.serve(router, async {
            let _ = stopped.await;
        }));
        Server { name: name(host), address, stop: Some(stop), running }
    }

    /// Lets a name lead to an address.
    pub(crate) fn place(&mut self, host: &str, address: SocketAddr) {
        self.resolver.insert(StaticEntry { name: name(host), address });
    }

    pub(crate) fn roots(&self) -> Roots {
        let mut roots = Roots::none();
        roots.add_pem_file(self.ca.certificate()).unwrap();
        roots
    }

    /// A client that finds and trusts the servers started so far.
    pub(crate) fn client(&self, host: &str, keys: impl IntoIterator<Item = SigningKey>) -> FederationClient {
        self.client_offering(host, keys, ClientOffer::default())
    }

    pub(crate) fn client_within(
        &self,
        host: &str,
        keys: impl IntoIterator<Item = SigningKey>,
        limits: ClientLimits,
    ) -> FederationClient {
        let tls = client_config(&self.roots(), ClientOffer::default()).unwrap();
        FederationClient::new(name(host), keys, self.resolver.clone(), tls, limits)
    }

    pub(crate) fn client_offering(
        &self,
        host: &str,
        keys: impl IntoIterator<Item = SigningKey>,
        offer: ClientOffer,
    ) -> FederationClient {
        let tls = client_config(&self.roots(), offer).unwrap();
        FederationClient::new(name(host), keys, self.resolver.clone(), tls, ClientLimits::default())
    }
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) name: ServerName,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Server {
    /// Lets the shutdown begin.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for the end of the shutdown.
    pub(crate) async fn stopped(mut self) {
        self.stop();
        soon(self.running).await.unwrap();
    }
}

/// The key response of a server with these current keys, all of which sign it.
pub(crate) fn published(host: &str, keys: &[SigningKey], valid_until_ts: i64) -> Object {
    let current: Object =
        keys.iter().map(|key| (key.id().to_string(), json!({"key": key.verify_key().to_base64()}))).collect();
    let mut object = Object::new();
    object.insert("server_name".to_owned(), json!(host));
    object.insert("valid_until_ts".to_owned(), json!(valid_until_ts));
    object.insert("verify_keys".to_owned(), Value::Object(current));
    for key in keys {
        sign_object(&mut object, &name(host), key);
    }
    object
}

/// A router that publishes a key response, and counts how often it is fetched.
pub(crate) fn publishing(response: Object) -> (Router, Arc<AtomicUsize>) {
    let fetches = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&fetches);
    let answer = move || async move {
        counter.fetch_add(1, Ordering::SeqCst);
        axum::Json(response)
    };
    (Router::new().route(KEY_PATH, get(answer)), fetches)
}
