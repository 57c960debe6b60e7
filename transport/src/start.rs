//! Starting a whole server: certificate, keys, store, listeners, queues.

mod check;
mod renewal;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use mimi_linearized::id::ServerName;
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RoomVersions;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::renewal::Renewal;
use crate::assembly::{Assembly, Unchanged};
use crate::client::{ClientLimits, FederationClient, carrier};
use crate::clock::{self, Clock};
use crate::fresh::fresh;
use crate::keys::{KeptKeys, KeyLimits, OwnKeys, OwnKeysError, RemoteKeys};
use crate::limits::Limits;
use crate::media::{Media, MediaError, MediaSettings};
use crate::node::{Node, Terms};
use crate::policy::{self, FederationPolicy, GuardedKeys, PolicyError};
use crate::resolve::{AddressPolicy, ResolveOptions, Resolver, StaticEntry, WELL_KNOWN_PATH, well_known};
use crate::server::{HttpsListener, ServerLimits, serve_plain};
use crate::store::choice::{OpenStore, StoreChoice};
use crate::store::{Store, StoreError};
use crate::telemetry::{CountedSource, Measured, Metrics, Side, Traced, Waiting, observe};
use crate::tls::shown::listener_config;
use crate::tls::{
    ClientOffer, DevCa, DevCaError, HttpVersions, Roots, ServerCertificate, TlsError, client_config,
};
use crate::transactions::REMEMBERED_MS;
use crate::{api, control};

pub use self::check::CertificateProblem;

/// The file of the server's own keys in the data folder.
const KEY_FILE: &str = "signing.key";

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Its name, with its port if it has an explicit one.
    pub server_name: ServerName,
    /// Where its data is; made if need be.
    pub data_dir: PathBuf,
    /// Its certificate; without one, a development CA issues it.
    pub certificate: Option<ServerCertificate>,
    /// PEM files of certificate authorities that it trusts beside the operating system's.
    pub cas: Vec<PathBuf>,
    /// Names whose addresses are given.
    pub resolve: Vec<StaticEntry>,
    /// Whether it may connect to loopback, private and link-local addresses.
    pub allow_private: bool,
    /// The name server to ask instead of the operating system's.
    pub name_server: Option<SocketAddr>,
    /// The port at which hosts are asked for their delegation, if it is not 443.
    pub well_known_port: Option<u16>,
    /// Where `/.well-known/matrix/server` says that it is, if it is to answer that (LM-04 §12.3.1).
    pub delegate_to: Option<ServerName>,
    /// How much it takes from others.
    pub limits: Limits,
    /// Whom to ask for the keys of servers that do not answer, in this order (LM-04 §12.4.1.3).
    pub notaries: Vec<ServerName>,
    /// The file that says which servers it has to do with ([`FederationPolicy`]); all, if there is none.
    pub policy: Option<PathBuf>,
    /// What it keeps its data in.
    pub store: StoreChoice,
    /// Whether it looks for damage in all of the store's file before it starts.
    pub check_store: bool,
    /// How much media it takes, and who looks at them.
    pub media: MediaSettings,
}

impl ServerConfig {
    /// A server with this name and its data there, as `mimi serve` runs it when nothing else is said.
    #[must_use]
    pub fn new(server_name: ServerName, data_dir: PathBuf) -> Self {
        Self {
            server_name,
            data_dir,
            certificate: None,
            cas: Vec::new(),
            resolve: Vec::new(),
            allow_private: false,
            name_server: None,
            well_known_port: None,
            delegate_to: None,
            limits: Limits::default(),
            notaries: Vec::new(),
            policy: None,
            store: StoreChoice::default(),
            check_store: true,
            media: MediaSettings::default(),
        }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A file or folder in the data folder cannot be used.
    #[error("{path}: {error}")]
    Data {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The file of the server's own keys cannot be used.
    #[error(transparent)]
    Keys(#[from] OwnKeysError),
    /// A certificate, key or CA file cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificate is not one for this server.
    #[error(transparent)]
    Certificate(#[from] CertificateProblem),
    /// The development CA cannot be used.
    #[error(transparent)]
    DevCa(#[from] DevCaError),
    /// The federation policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The folder of media cannot be used.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A listener failed.
    #[error("the listener failed: {0}")]
    Listen(#[source] std::io::Error),
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    node: Node,
    federation: SocketAddr,
    control: Option<SocketAddr>,
    ca: PathBuf,
    store: OpenStore,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts a server on listeners that are bound already: one for other servers, and one, if wanted, for the control
    /// API.
    ///
    /// # Errors
    /// [`StartError`] says which file or setting is at fault.
    pub async fn start(
        config: ServerConfig,
        federation: TcpListener,
        control: Option<TcpListener>,
    ) -> Result<Self, StartError> {
        Self::assemble(config, federation, control, &Unchanged).await
    }

    /// As [`Server::start`], with other parts in the place of some of its own.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn assemble(
        config: ServerConfig,
        federation: TcpListener,
        control: Option<TcpListener>,
        assembly: &dyn Assembly,
    ) -> Result<Self, StartError> {
        let address = federation.local_addr().map_err(StartError::Listen)?;
        let control_address =
            control.as_ref().map(TcpListener::local_addr).transpose().map_err(StartError::Listen)?;
        let config = assembly.settings(config);
        let (folder, choice, check) = (config.data_dir.clone(), config.store.clone(), config.check_store);
        fs::create_dir_all(&folder).map_err(|error| StartError::Data { path: folder.clone(), error })?;
        // The store first: it may know that a key has to be there already.
        let store = OpenStore::open(&choice, &folder, check).await?;
        let files = blocking(move || Files::open(config)).await?;
        let Files { config, certificate, ca, roots, keys: own_keys, federation_policy, media } = files;
        store.introduce(&config.server_name, &own_keys.current()).await?;
        let policy =
            AddressPolicy { allow_private: config.allow_private, allow_loopback: address.ip().is_loopback() };
        let mut options =
            ResolveOptions { policy, name_server: config.name_server, ..ResolveOptions::default() };
        options.well_known_port = config.well_known_port.unwrap_or(options.well_known_port);
        let mut resolver = Resolver::assemble(&roots, options, assembly)?;
        for entry in config.resolve {
            resolver.insert(entry);
        }
        let tls = assembly.client_tls(client_config(&roots, ClientOffer::default())?, &roots);
        let name = config.server_name;
        let key = own_keys.current();
        let limits = ClientLimits::default();
        let resolver = assembly.locate(Arc::new(resolver));
        let metrics = Metrics::default();
        metrics.certificate_ends(certificate.ends());
        let carrier = Traced::new(carrier::connections(resolver, tls, limits), metrics.clone());
        let carrier = assembly.carrier(Arc::new(carrier), &key);
        let carrier = policy::guarded(federation_policy.clone(), carrier);
        let client = FederationClient::over(name.clone(), [SigningKey::clone(&key)], carrier, limits);
        let shared = assembly.store(store.shared());
        let shared: Arc<dyn Store> = Arc::new(Measured::new(shared, metrics.clone()));
        let media = media.kept_in(&shared);
        let told = metrics.clone();
        let kept = KeptKeys::new(Arc::clone(&shared));
        let source = CountedSource::new(client.clone(), metrics.clone());
        let source = GuardedKeys { policy: federation_policy.clone(), source };
        let keys = RemoteKeys::new(source, kept, Clock::system(), KeyLimits::default())
            .with_notaries(config.notaries.into_iter().filter(|notary| *notary != name));
        keys.trust(&name, key.id(), key.verify_key(), i64::MAX);
        for (id, old) in own_keys.old() {
            keys.trust(&name, &id, old.key, old.expired_ts);
        }
        let limits = config.limits;
        let versions = assembly.versions(RoomVersions::lm_04());
        let terms = Terms { limits: &limits, policy: federation_policy, media, metrics };
        let node = Node::new(name, own_keys, versions, shared, client, keys, terms);
        node.store.forget_answers(clock::now_ms().saturating_sub(REMEMBERED_MS)).await?;

        let stop = watch::Sender::new(false);
        let mut listeners = Vec::new();
        let tls = assembly.tls(listener_config(certificate.shown())?);
        let https = HttpsListener::new(federation, tls).with_limits(limits.connections);
        let mut router = api::router(node.clone());
        if let Some(to) = &config.delegate_to {
            router = router.route(WELL_KNOWN_PATH, well_known::serve(to));
        }
        let router = is_fresh(&node, router);
        let router = router.layer(from_fn_with_state((node.clone(), Side::Federation), observe));
        let router = assembly.federation(router, &node);
        let stopped = wait(stop.subscribe());
        let listening = node.clone();
        listeners.push(tokio::spawn(async move {
            listening.lifecycle.listening(true);
            https.serve(router, stopped).await;
            listening.lifecycle.listening(false);
        }));
        if let Some(control) = control {
            let router = assembly.control(is_fresh(&node, control::router(node.clone())), &node);
            let stopped = wait(stop.subscribe());
            listeners.push(tokio::spawn(serve_plain(control, router, ServerLimits::default(), stopped)));
        }
        let (forgetting, stopped) = (node.clone(), wait(stop.subscribe()));
        listeners.push(tokio::spawn(async move {
            tokio::select! {
                () = forgetting.forget_regularly() => {}
                () = forgetting.policy.follow(policy::LOOK_EVERY) => {}
                () = certificate.follow(renewal::LOOK_EVERY, told) => {}
                () = stopped => {}
            }
        }));
        let (following, stopped) = (node.clone(), wait(stop.subscribe()));
        listeners.push(tokio::spawn(async move {
            tokio::select! {
                () = following.follow_others() => {}
                () = stopped => {}
            }
        }));
        node.resume().await?;
        Ok(Self { node, federation: address, control: control_address, ca, store, stop, listeners })
    }

    /// Where other servers reach it.
    #[must_use]
    pub fn federation(&self) -> SocketAddr {
        self.federation
    }

    /// Where the control API is.
    #[must_use]
    pub fn control(&self) -> Option<SocketAddr> {
        self.control
    }

    /// A PEM file that verifies its certificate.
    #[must_use]
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// The server itself.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Comes to the end of its work before it is stopped: see [`Node::drain`].
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub async fn drain(&self, within: Duration) -> Result<Vec<Waiting>, StoreError> {
        self.node.drain(within).await
    }

    /// Stops: no more requests are taken, those under way end, queues stop where they are.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be closed properly. What was acknowledged is stored all the same.
    pub async fn stop(self) -> Result<(), StoreError> {
        self.stop.send_replace(true);
        self.node.stop();
        for listener in self.listeners {
            // A listener that panicked has ended too.
            let _ = listener.await;
        }
        self.store.close().await
    }
}

/// With other processes of this server, requests are answered by what all of them know.
fn is_fresh(node: &Node, router: Router) -> Router {
    if node.store.is_shared() { router.layer(from_fn_with_state(node.clone(), fresh)) } else { router }
}

async fn wait(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|error| Err(StartError::Listen(std::io::Error::other(error))))
}

/// What is read from files before a server starts.
struct Files {
    config: ServerConfig,
    certificate: Renewal,
    ca: PathBuf,
    roots: Roots,
    keys: OwnKeys,
    federation_policy: FederationPolicy,
    media: Media,
}

impl Files {
    fn open(config: ServerConfig) -> Result<Self, StartError> {
        let folder = config.data_dir.clone();
        let data = |error| StartError::Data { path: folder.clone(), error };
        fs::create_dir_all(&folder).map_err(data)?;
        let now = clock::now_ms();
        let (certificate, ca) = match &config.certificate {
            // Whoever has a CA of their own most likely names it; otherwise the chain itself has to do.
            Some(own) => (own.clone(), config.cas.first().unwrap_or(&own.certificate).clone()),
            None => {
                let ca = DevCa::open(&folder, now)?;
                let certificate = ca.server_certificate(&folder, &[config.server_name.host()], now)?;
                (certificate, ca.certificate().to_owned())
            }
        };
        // Others verify the name that they were led to (LM-04 §12.3.1).
        let shown_as = config.delegate_to.as_ref().unwrap_or(&config.server_name).clone();
        let certificate = Renewal::open(certificate, shown_as)?;
        let mut roots = Roots::system();
        for path in &config.cas {
            roots.add_pem_file(path)?;
        }
        let ca = std::path::absolute(&ca).unwrap_or(ca);
        let keys = OwnKeys::open(&folder.join(KEY_FILE))?;
        let offer = ClientOffer { http: HttpVersions::Http11, ..ClientOffer::default() };
        let tls = client_config(&roots, offer)?;
        let media =
            Media::open(&folder.join("media"), config.server_name.clone(), config.media.clone(), tls)?;
        let federation_policy = match &config.policy {
            Some(path) => FederationPolicy::load(path, &config.server_name, &folder)?,
            None => FederationPolicy::open(),
        };
        Ok(Self { config, certificate, ca, roots, keys, federation_policy, media })
    }
}
