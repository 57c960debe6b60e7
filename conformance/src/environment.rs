//! The suite's surroundings: the names, ports and certificates of its own servers, and its way to the target.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mimi_linearized::id::{IdError, KeyId, ServerName};
use mimi_linearized::signing::{ServerKeyRing, ServerKeys, SigningKey};
use mimi_linearized::version::RoomVersions;
use mimi_transport::client::{ClientLimits, FederationClient};
use mimi_transport::clock;
use mimi_transport::resolve::{AddressPolicy, ResolveOptions, Resolver, StaticEntry};
use mimi_transport::server::HttpsListener;
use mimi_transport::tls::{
    ClientOffer, DevCa, DevCaError, HttpVersions, Roots, ServerCertificate, TlsError, TlsVersions,
    client_config,
};
use rustls::ServerConfig;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::OnceCell;

use crate::bundle::Reach;
use crate::case::Finding;
use crate::mls::Stacks;
use crate::network::{Network, NetworkError};
use crate::profile::Terms;
use crate::target::{EMBEDDED, Target};
use crate::unstable::UnstableOnly;

/// How often a free port is asked for before the suite gives up.
const PORT_ATTEMPTS: usize = 100;
/// What an error says if there is no port left.
pub(crate) const EXHAUSTED: &str = "every free port was used before";

/// Where the certificate of the suite's servers comes from.
#[derive(Debug, Clone)]
pub(crate) enum PeerCertificate {
    /// Given.
    Given(ServerCertificate),
    /// Issued by a CA in this folder, which is made once and reused.
    CaDir(PathBuf),
    /// Issued by a CA that goes away with the suite.
    Temporary,
}

/// Why the suite's surroundings cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// A folder for the CA cannot be made.
    #[error("there is no place for the suite's CA: {0}")]
    Folder(#[from] std::io::Error),
    /// The CA.
    #[error(transparent)]
    Ca(#[from] DevCaError),
    /// A certificate file.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The host name.
    #[error("--peer-host {host}: {error}")]
    Host {
        /// What was given.
        host: String,
        /// What is wrong with it.
        error: IdError,
    },
}

/// The certificates of the suite's servers, and whom it trusts.
#[derive(Debug)]
pub(crate) struct Setup {
    certificate: ServerCertificate,
    trusted: Vec<PathBuf>,
    /// Where the CA is, if it is the suite's own.
    ca_folder: Option<PathBuf>,
    /// Whether the suite's servers speak HTTP/1.1 too.
    http1: bool,
    /// The certificates that it has issued for other names.
    issued: Mutex<HashMap<String, ServerCertificate>>,
    _folder: Option<TempDir>,
}

impl Setup {
    /// Reads or makes the certificates for servers named `host`.
    pub(crate) fn new(host: &str, from: PeerCertificate, cas: &[PathBuf]) -> Result<Self, SetupError> {
        let mut trusted = cas.to_vec();
        let now = clock::now_ms();
        let mut issue = |folder: &Path| -> Result<ServerCertificate, SetupError> {
            let ca = DevCa::open(folder, now)?;
            trusted.push(ca.certificate().to_owned());
            Ok(ca.server_certificate(folder, &[host], now)?)
        };
        let (certificate, ca_folder, folder) = match from {
            PeerCertificate::Given(certificate) => (certificate, None, None),
            PeerCertificate::CaDir(folder) => (issue(&folder)?, Some(folder), None),
            PeerCertificate::Temporary => {
                let folder = tempfile::tempdir()?;
                (issue(folder.path())?, Some(folder.path().to_owned()), Some(folder))
            }
        };
        Ok(Self { certificate, trusted, ca_folder, http1: false, issued: Mutex::default(), _folder: folder })
    }

    /// Lets the suite's servers speak HTTP/1.1 too, with a target that knows nothing else.
    pub(crate) fn with_http1(self, http1: bool) -> Self {
        Self { http1, ..self }
    }

    /// A certificate for servers of the suite that are named otherwise: the one that was given, if the CA is not the suite's.
    pub(crate) fn certificate_for(&self, host: &str) -> Result<ServerCertificate, SetupError> {
        let Some(folder) = &self.ca_folder else { return Ok(self.certificate.clone()) };
        // One at a time: it is a file for the certificate and one for its key.
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(certificate) = issued.get(host) {
            return Ok(certificate.clone());
        }
        let (now, own) = (clock::now_ms(), folder.join(host));
        let certificate = DevCa::open(folder, now)?.server_certificate(&own, &[host], now)?;
        issued.insert(host.to_owned(), certificate.clone());
        Ok(certificate)
    }

    /// What a server of the suite listens with.
    pub(crate) fn listener(&self, socket: TcpListener, tls: Arc<ServerConfig>) -> HttpsListener {
        let listener = HttpsListener::new(socket, tls);
        if self.http1 { listener.and_http1() } else { listener }
    }

    /// The certificate of the suite's servers.
    pub(crate) fn certificate(&self) -> &ServerCertificate {
        &self.certificate
    }

    /// The CAs that the suite trusts beside the operating system's; its own is the last.
    pub(crate) fn trusted(&self) -> &[PathBuf] {
        &self.trusted
    }

    /// Where the CA is, if it is the suite's own.
    pub(crate) fn ca_folder(&self) -> Option<&Path> {
        self.ca_folder.as_deref()
    }

    /// Starts a name server and a web server, for a target that asks them: names that the suite gives out, and the
    /// one of its own servers. Nothing without a CA that can certify such names.
    pub(crate) async fn network(&self, ports: &Ports) -> Result<Option<Network>, NetworkError> {
        match &self.ca_folder {
            Some(folder) => Ok(Some(Network::start(folder, &ports.host, ports.listen).await?)),
            None => Ok(None),
        }
    }

    /// Those and the operating system's.
    pub(crate) fn roots(&self) -> Result<Roots, TlsError> {
        let mut roots = Roots::system();
        for path in &self.trusted {
            roots.add_pem_file(path)?;
        }
        Ok(roots)
    }
}

/// Names and ports for the suite's servers: `HOST:PORT`, none twice in a run: what the target knows of one server is not
/// to be taken for another's.
#[derive(Debug)]
pub(crate) struct Ports {
    host: String,
    listen: IpAddr,
    range: Option<(u16, u16)>,
    /// Those of this run and of others at the same time.
    used: Arc<Mutex<HashSet<u16>>>,
    /// How many ports of the range were looked at, by all of them.
    looked: Arc<AtomicUsize>,
    own: Mutex<HashSet<u16>>,
}

impl Ports {
    /// Ports at which servers named `host` listen.
    pub(crate) fn new(host: &str, listen: IpAddr, range: Option<(u16, u16)>) -> Result<Self, SetupError> {
        let checked = ServerName::parse(host).and_then(|name| match name.port() {
            None => Ok(()),
            Some(_) => Err(IdError::Port),
        });
        checked.map_err(|error| SetupError::Host { host: host.to_owned(), error })?;
        Ok(Self {
            host: host.to_owned(),
            listen,
            range,
            used: Arc::default(),
            looked: Arc::default(),
            own: Mutex::default(),
        })
    }

    /// The same for another target at the same time: none is used by both.
    #[cfg(any(test, feature = "mutants"))]
    pub(crate) fn beside(&self) -> Self {
        let (used, looked) = (Arc::clone(&self.used), Arc::clone(&self.looked));
        let (host, listen, range) = (self.host.clone(), self.listen, self.range);
        Self { host, listen, range, used, looked, own: Mutex::default() }
    }

    /// Where the suite's servers listen.
    pub(crate) fn listen(&self) -> IpAddr {
        self.listen
    }

    /// The host name of the suite's servers.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The name and the listener of a new server.
    pub(crate) async fn take(&self) -> std::io::Result<(ServerName, TcpListener)> {
        let listener = match self.range {
            None => self.any_free().await?,
            Some((first, last)) => self.free_in(first, last).await?,
        };
        let port = listener.local_addr()?.port();
        let name = ServerName::parse(&format!("{}:{port}", self.host)).map_err(std::io::Error::other)?;
        Ok((name, listener))
    }

    /// Takes a name and its port, or this port, where nobody listens yet.
    pub(crate) async fn reserve(&self, port: Option<u16>) -> std::io::Result<Reserved> {
        let (name, address) = match port {
            Some(port) => {
                let name =
                    ServerName::parse(&format!("{}:{port}", self.host)).map_err(std::io::Error::other)?;
                self.mark(port);
                (name, SocketAddr::new(self.listen, port))
            }
            None => {
                let (name, listener) = self.take().await?;
                (name, listener.local_addr()?)
            }
        };
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Reserved { name, socket: Mutex::new(Some(socket)) })
    }

    async fn any_free(&self) -> std::io::Result<TcpListener> {
        for _ in 0..PORT_ATTEMPTS {
            let listener = TcpListener::bind(SocketAddr::new(self.listen, 0)).await?;
            if self.mark(listener.local_addr()?.port()) {
                return Ok(listener);
            }
        }
        Err(std::io::Error::other(format!("{EXHAUSTED}: give --peer-ports")))
    }

    /// A port of the range that was not used before. The range is gone through in a circle, so that a port which was given back
    /// is not taken again at once, while connections to who had it may still be closing.
    async fn free_in(&self, first: u16, last: u16) -> std::io::Result<TcpListener> {
        let range = first..=last;
        let start = self.looked.load(Ordering::Relaxed).checked_rem(range.len()).unwrap_or(0);
        for port in range.clone().skip(start).chain(range.take(start)) {
            self.looked.fetch_add(1, Ordering::Relaxed);
            if self.mark(port)
                && let Ok(listener) = TcpListener::bind(SocketAddr::new(self.listen, port)).await
            {
                return Ok(listener);
            }
        }
        Err(std::io::Error::other(format!("every port from {first} to {last} was used: widen --peer-ports")))
    }

    fn mark(&self, port: u16) -> bool {
        let new = self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
        if new {
            self.own.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
        }
        new
    }
}

impl Ports {
    /// A run that is over leaves its ports to others, also if something of it goes on. Whoever still listens keeps the port
    /// from being given out.
    pub(crate) fn release(&self) {
        let own = std::mem::take(&mut *self.own.lock().unwrap_or_else(PoisonError::into_inner));
        self.used.lock().unwrap_or_else(PoisonError::into_inner).retain(|port| !own.contains(port));
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        self.release();
    }
}

/// A name whose port is taken, and refuses connections until somebody listens there.
#[derive(Debug)]
pub(crate) struct Reserved {
    /// The name.
    pub(crate) name: ServerName,
    socket: Mutex<Option<TcpSocket>>,
}

impl Reserved {
    /// Begins to listen; `None` if somebody has done so before.
    pub(crate) fn listen(&self) -> Option<std::io::Result<TcpListener>> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        socket.map(|socket| socket.listen(1_024))
    }
}

/// Everything that cases share.
#[derive(Debug)]
pub(crate) struct Environment {
    /// The server under test.
    pub(crate) target: Target,
    /// Certificates.
    pub(crate) setup: Setup,
    /// Names and ports.
    pub(crate) ports: Ports,
    /// Names whose addresses are given.
    pub(crate) resolve: Vec<StaticEntry>,
    /// Names that are the suite's to give out, if the target asks its name server.
    pub(crate) network: Option<Network>,
    /// The seed of every random choice.
    pub(crate) seed: u64,
    /// Which MLS implementations the suite's devices are of.
    pub(crate) mls: Stacks,
    /// The room versions the suite knows.
    pub(crate) versions: RoomVersions,
    /// The way to the target.
    pub(crate) client: FederationClient,
    /// When it began, in milliseconds since the Unix epoch.
    started: i64,
    /// Which endpoints it has under the unstable path only.
    pub(crate) unstable_only: UnstableOnly,
    /// Keys that were had before, for servers of an earlier run.
    given_keys: OnceLock<HashMap<ServerName, SigningKey>>,
    /// What a profile makes different.
    terms: OnceLock<Terms>,
    target_keys: OnceCell<ServerKeys>,
}

impl Environment {
    /// Puts it together.
    pub(crate) fn new(
        target: Target,
        setup: Setup,
        ports: Ports,
        resolve: Vec<StaticEntry>,
        network: Option<Network>,
        seed: u64,
        mls: Stacks,
    ) -> Result<Arc<Self>, TlsError> {
        // What the target negotiates is judged by cases of its own; the others go on with it (reading R26).
        let offer = ClientOffer { tls: TlsVersions::Tls12AndTls13, http: HttpVersions::Http2AndHttp11 };
        let client = probe(&setup, &resolve, &target.name, offer)?;
        let (versions, target_keys) = (RoomVersions::lm_04(), OnceCell::new());
        let (started, unstable_only) = (clock::now_ms(), UnstableOnly::default());
        Ok(Arc::new(Self {
            target,
            setup,
            ports,
            resolve,
            network,
            seed,
            mls,
            versions,
            client,
            started,
            unstable_only,
            given_keys: OnceLock::new(),
            terms: OnceLock::new(),
            target_keys,
        }))
    }

    /// A client that offers other versions of TLS and HTTP than usual.
    pub(crate) fn probe(&self, offer: ClientOffer) -> Result<FederationClient, Finding> {
        probe(&self.setup, &self.resolve, &self.target.name, offer)
            .map_err(|error| Finding::Suite(error.to_string()))
    }

    /// The target's keys, fetched once.
    pub(crate) async fn target_keys(&self) -> Result<&ServerKeys, Finding> {
        self.target_keys
            .get_or_try_init(|| async {
                let no_keys =
                    |why: String| Finding::Fault(format!("the target's keys cannot be used: {why}"));
                let keys = self.client.server_keys(&self.target.name).await;
                keys.map_err(|error| no_keys(error.to_string()))
            })
            .await
    }

    /// The target's keys as a ring.
    pub(crate) async fn target_ring(&self) -> Result<ServerKeyRing, Finding> {
        let mut ring = ServerKeyRing::new();
        ring.add(self.target_keys().await?);
        Ok(ring)
    }

    /// The key of one of the suite's servers: the same for the same seed and name. Its id is of this run alone, so that
    /// a target which remembers the server of that name of an earlier run asks for its keys again.
    pub(crate) fn key_of(&self, name: &ServerName) -> SigningKey {
        if let Some(key) = self.given_keys.get().and_then(|keys| keys.get(name)) {
            return key.clone();
        }
        let (id, seed) = self.key_parts(name);
        // Hexadecimal digits are always a key version; the fallback is one too.
        match KeyId::parse(&id).or_else(|_| KeyId::ed25519("1")) {
            Ok(id) => SigningKey::from_seed(id, &seed),
            Err(_) => unreachable!("hexadecimal digits are a key version"),
        }
    }

    /// What that key is made of: its id and its seed.
    pub(crate) fn key_parts(&self, name: &ServerName) -> (String, [u8; 32]) {
        let seed = mimi_linearized::event::hash::sha256(format!("{} {name}", self.seed).as_bytes());
        let digits: String = seed.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        (format!("ed25519:{digits}{:x}", self.started), seed)
    }

    /// Has servers of an earlier run speak with the keys that they had. Before any of them is started.
    pub(crate) fn give_keys(&self, keys: HashMap<ServerName, SigningKey>) {
        let _ = self.given_keys.set(keys);
    }

    /// Runs the cases on these terms. Before any of them is started.
    pub(crate) fn agree(&self, terms: Terms) {
        let _ = self.terms.set(terms);
    }

    /// What a profile makes different.
    pub(crate) fn terms(&self) -> &Terms {
        self.terms.get_or_init(Terms::default)
    }

    /// How the suite and the target reach each other, as files and addresses that are still there later; nothing if the
    /// suite started the target.
    pub(crate) fn reach(&self) -> Option<Reach> {
        if self.target.info.driver == EMBEDDED {
            return None;
        }
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let ServerCertificate { certificate, key } = self.setup.certificate();
        Some(Reach {
            trusted: self.setup.trusted().iter().map(absolute).collect(),
            certificate: absolute(certificate),
            key: absolute(key),
            resolve: self.resolve.iter().map(|entry| format!("{}={}", entry.name, entry.address)).collect(),
            peer_host: self.ports.host().to_owned(),
            peer_listen: self.ports.listen(),
        })
    }
}

fn probe(
    setup: &Setup,
    resolve: &[StaticEntry],
    name: &ServerName,
    offer: ClientOffer,
) -> Result<FederationClient, TlsError> {
    let roots = setup.roots()?;
    let policy = AddressPolicy { allow_private: true, allow_loopback: true };
    let mut resolver = Resolver::new(&roots, ResolveOptions { policy, ..ResolveOptions::default() })?;
    for entry in resolve {
        resolver.insert(entry.clone());
    }
    let tls = client_config(&roots, offer)?;
    // The client signs nothing here: every request of the suite is signed, or not, by hand.
    Ok(FederationClient::new(name.clone(), [], resolver, tls, ClientLimits::default()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn a_port_that_was_given_back_is_not_the_next_one() {
        let all = Ports::new("localhost", IpAddr::V4(Ipv4Addr::LOCALHOST), Some((20_000, 32_000))).unwrap();
        let (one, other) = (all.beside(), all.beside());
        let (first, _) = one.take().await.unwrap();
        drop(one);
        let (second, _) = other.take().await.unwrap();
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn a_range_is_gone_through_in_a_circle() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let all = Ports::new("localhost", IpAddr::V4(Ipv4Addr::LOCALHOST), Some((port, port))).unwrap();
        let one = all.beside();
        let (first, listener) = one.take().await.unwrap();
        assert!(all.beside().take().await.is_err(), "it is taken");
        drop((one, listener));
        let (again, _) = all.beside().take().await.unwrap();
        assert_eq!(first, again);
    }
}
