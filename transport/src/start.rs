//! Starting a whole server: certificate, keys, store, listeners, queues.

mod check;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mimi_linearized::base64;
use mimi_linearized::id::{IdError, KeyId, ServerName};
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RoomVersions;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::assembly::{Assembly, Unchanged};
use crate::client::{ClientLimits, FederationClient, carrier};
use crate::clock::{self, Clock};
use crate::keys::{KeptKeys, KeyLimits, RemoteKeys};
use crate::limits::Limits;
use crate::node::{Node, Terms};
use crate::policy::{self, FederationPolicy, GuardedKeys, PolicyError};
use crate::resolve::{AddressPolicy, ResolveOptions, Resolver, StaticEntry, WELL_KNOWN_PATH, well_known};
use crate::server::{HttpsListener, ServerLimits, serve_plain};
use crate::store::StoreError;
use crate::store::sqlite::SqliteStore;
use crate::tls::{ClientOffer, DevCa, DevCaError, Roots, ServerCertificate, TlsError, client_config};
use crate::transactions::REMEMBERED_MS;
use crate::{api, control};

pub use self::check::CertificateProblem;

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
    /// The signing key's file holds no key.
    #[error("{path} holds no signing key: one line `ed25519:VERSION BASE64-SEED` is expected")]
    SigningKey {
        /// The file.
        path: PathBuf,
    },
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
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A listener failed.
    #[error("the listener failed: {0}")]
    Listen(#[source] std::io::Error),
    /// A key id could not be made.
    #[error("a key id could not be made: {0}")]
    KeyId(#[from] IdError),
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    node: Node,
    federation: SocketAddr,
    control: Option<SocketAddr>,
    ca: PathBuf,
    store: Arc<SqliteStore>,
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
        let files = blocking(move || Files::open(config)).await?;
        let Files { config, certificate, ca, roots, key, store, federation_policy } = files;
        let store = Arc::new(store);
        let policy =
            AddressPolicy { allow_private: config.allow_private, allow_loopback: address.ip().is_loopback() };
        let mut options =
            ResolveOptions { policy, name_server: config.name_server, ..ResolveOptions::default() };
        options.well_known_port = config.well_known_port.unwrap_or(options.well_known_port);
        let mut resolver = Resolver::new(&roots, options)?;
        for entry in config.resolve {
            resolver.insert(entry);
        }
        let tls = client_config(&roots, ClientOffer::default())?;
        let name = config.server_name;
        let limits = ClientLimits::default();
        let carrier = assembly.carrier(carrier::connections(resolver, tls, limits), &key);
        let carrier = policy::guarded(federation_policy.clone(), carrier);
        let client = FederationClient::over(name.clone(), [key.clone()], carrier, limits);
        let shared = assembly.store(Arc::<SqliteStore>::clone(&store));
        let kept = KeptKeys::new(Arc::clone(&shared));
        let source = GuardedKeys { policy: federation_policy.clone(), client: client.clone() };
        let keys = RemoteKeys::new(source, kept, Clock::system(), KeyLimits::default())
            .with_notaries(config.notaries.into_iter().filter(|notary| *notary != name));
        keys.trust(&name, key.id(), key.verify_key(), i64::MAX);
        let limits = config.limits;
        let versions = assembly.versions(RoomVersions::lm_04());
        let terms = Terms { limits: &limits, policy: federation_policy };
        let node = Node::new(name, key, versions, shared, client, keys, terms);
        node.store.forget_answers(clock::now_ms().saturating_sub(REMEMBERED_MS)).await?;

        let stop = watch::Sender::new(false);
        let mut listeners = Vec::new();
        let tls = assembly.tls(certificate.server_config()?);
        let https = HttpsListener::new(federation, tls).with_limits(limits.connections);
        let mut router = api::router(node.clone());
        if let Some(to) = &config.delegate_to {
            router = router.route(WELL_KNOWN_PATH, well_known::serve(to));
        }
        let router = assembly.federation(router, &node);
        let stopped = wait(stop.subscribe());
        listeners.push(tokio::spawn(https.serve(router, stopped)));
        if let Some(control) = control {
            let router = assembly.control(control::router(node.clone()), &node);
            let stopped = wait(stop.subscribe());
            listeners.push(tokio::spawn(serve_plain(control, router, ServerLimits::default(), stopped)));
        }
        let (forgetting, stopped) = (node.clone(), wait(stop.subscribe()));
        listeners.push(tokio::spawn(async move {
            tokio::select! {
                () = forgetting.forget_regularly() => {}
                () = forgetting.policy.follow(policy::LOOK_EVERY) => {}
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
    certificate: ServerCertificate,
    ca: PathBuf,
    roots: Roots,
    key: SigningKey,
    store: SqliteStore,
    federation_policy: FederationPolicy,
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
        let mut roots = Roots::system();
        for path in &config.cas {
            roots.add_pem_file(path)?;
        }
        let ca = std::path::absolute(&ca).unwrap_or(ca);
        let key = signing_key(&folder.join("signing.key"))?;
        let store = SqliteStore::open(&folder.join("store.sqlite3"))?;
        let federation_policy = match &config.policy {
            Some(path) => FederationPolicy::load(path, &config.server_name, &folder)?,
            None => FederationPolicy::open(),
        };
        Ok(Self { config, certificate, ca, roots, key, store, federation_policy })
    }
}

/// Reads the signing key, or makes one. The file has one line: the key id and the base64 of the seed.
fn signing_key(path: &Path) -> Result<SigningKey, StartError> {
    if let Some(key) = read_signing_key(path)? {
        return Ok(key);
    }
    let seed = Zeroizing::new(rand::random::<[u8; 32]>());
    let version = base64::encode_url_safe(&rand::random::<[u8; 3]>()).replace('-', "_");
    let key = SigningKey::from_seed(KeyId::ed25519(&version)?, &seed);
    let line = Zeroizing::new(format!("{} {}\n", key.id(), base64::encode(&*seed)));
    write_secret(path, line.as_bytes()).map_err(|error| StartError::Data { path: path.to_owned(), error })?;
    Ok(key)
}

/// Reads the signing key, if its file is there.
fn read_signing_key(path: &Path) -> Result<Option<SigningKey>, StartError> {
    match fs::read_to_string(path) {
        Ok(text) => match parse_key(&Zeroizing::new(text)) {
            Some(key) => Ok(Some(key)),
            None => Err(StartError::SigningKey { path: path.to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StartError::Data { path: path.to_owned(), error }),
    }
}

fn parse_key(text: &str) -> Option<SigningKey> {
    let (id, seed) = text.trim().split_once(' ')?;
    let seed = Zeroizing::new(base64::decode_array::<32>(seed.trim())?);
    Some(SigningKey::from_seed(KeyId::parse(id).ok()?, &seed))
}

/// Writes a file that only this user may read, whole or not at all.
fn write_secret(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signing_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        let made = signing_key(&path).unwrap();
        let read = signing_key(&path).unwrap();
        assert_eq!((made.id(), made.verify_key()), (read.id(), read.verify_key()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_without_a_key_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        for text in ["", "ed25519:1", "ed25519:1 AAAA", "rsa:1 AAAA"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(signing_key(&path), Err(StartError::SigningKey { .. })), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
