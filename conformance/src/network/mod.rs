//! Names of the suite's own: a name server and a web server on loopback, for a target that asks them (LM-04 §12.3).
//!
//! No name is given out twice, so that what the target remembers of one case's names is nothing to another's.

mod dns;
mod web;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use mimi_transport::clock;
use mimi_transport::resolve::{DEFAULT_PORT, WELL_KNOWN_PATH};
use mimi_transport::tls::{DevCa, DevCaError, ServerCertificate, TlsError};
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) use dns::Service;
pub(crate) use web::Page;

use dns::NameServer;
use web::WebServer;

/// The domain of all names; `.example` is nobody's (RFC 2606).
const DOMAIN: &str = "suite.example";
/// A pattern of all names.
pub(crate) fn all_names() -> String {
    format!("*.{DOMAIN}")
}

/// How many addresses are tried for a listener at a certain port.
const ADDRESSES_TRIED: usize = 8;

/// Why a name of the suite cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// A socket or folder.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] DevCaError),
    /// A certificate's file.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A name server, a web server, and certificates for the names they know.
#[derive(Debug)]
pub(crate) struct Network {
    dns: NameServer,
    web: WebServer,
    ca: DevCa,
    folder: TempDir,
    names: AtomicU64,
    certificates: AtomicU64,
}

impl Network {
    /// Starts both. `host` is a name besides, which is at `address`.
    pub(crate) async fn start(ca_folder: &Path, host: &str, address: IpAddr) -> Result<Self, NetworkError> {
        let ca = DevCa::open(ca_folder, clock::now_ms())?;
        let this = Self {
            dns: NameServer::start().await?,
            web: WebServer::start().await?,
            ca,
            folder: tempfile::tempdir()?,
            names: AtomicU64::new(0),
            certificates: AtomicU64::new(0),
        };
        let address = if address.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address };
        this.dns.addresses(host, &[address]);
        Ok(this)
    }

    /// The name server, which the target is to ask.
    pub(crate) fn name_server(&self) -> SocketAddr {
        self.dns.address()
    }

    /// The port of the web server, at which the target is to ask for delegations.
    pub(crate) fn web_port(&self) -> u16 {
        self.web.address().port()
    }

    /// A name that nobody knows yet.
    pub(crate) fn new_name(&self) -> String {
        format!("n{}.{DOMAIN}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// A name at 127.0.0.1.
    pub(crate) fn new_host(&self) -> String {
        let name = self.new_name();
        self.dns.addresses(&name, &[IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        name
    }

    /// Gives a name an address.
    pub(crate) fn locate(&self, name: &str, address: IpAddr) {
        self.dns.addresses(name, &[address]);
    }

    /// Makes a name an alias.
    pub(crate) fn alias(&self, name: &str, of: &str) {
        self.dns.alias(name, of);
    }

    /// Gives `_matrix._tcp.<host>` an SRV record.
    pub(crate) fn serve_at(&self, host: &str, service: &Service) {
        self.dns.service(host, service);
    }

    /// Whether the target asked for the SRV records of a host.
    pub(crate) fn asked_for_service(&self, host: &str) -> bool {
        self.dns.asked_for_service(host)
    }

    /// A certificate for these names and no others.
    pub(crate) fn certificate(&self, names: &[&str]) -> Result<ServerCertificate, NetworkError> {
        let number = self.certificates.fetch_add(1, Ordering::Relaxed);
        let folder: PathBuf = self.folder.path().join(number.to_string());
        Ok(self.ca.server_certificate(&folder, names, clock::now_ms())?)
    }

    /// Has the web server answer for a host, with a certificate for it.
    pub(crate) fn open_web(&self, host: &str) -> Result<(), NetworkError> {
        self.open_web_as(host, host)
    }

    /// Has the web server answer for a host, with a certificate for another one.
    pub(crate) fn open_web_as(&self, host: &str, certified: &str) -> Result<(), NetworkError> {
        Ok(self.web.open(host, &self.certificate(&[certified])?)?)
    }

    /// What a host of the web server says at a path.
    pub(crate) fn page(&self, host: &str, path: &str, page: Page) {
        self.web.page(host, path, page);
    }

    /// What it says where delegations are.
    pub(crate) fn well_known(&self, host: &str, page: Page) {
        self.page(host, WELL_KNOWN_PATH, page);
    }

    /// The paths that the target asked a host of the web server for.
    pub(crate) fn asked_web(&self, host: &str) -> Vec<String> {
        self.web.requests(host)
    }

    /// Whether the target connected to the web server for a host at all.
    pub(crate) fn approached_web(&self, host: &str) -> bool {
        self.web.was_approached(host)
    }

    /// A listener at the default port of federation, on an address of loopback that nobody else has. Only some systems
    /// have more than one.
    pub(crate) async fn listen_at_default_port() -> io::Result<TcpListener> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for _ in 0..ADDRESSES_TRIED {
            let [a, b, c]: [u8; 3] = rand::random();
            // 127.0.0.0/16 is left to what is there already.
            match TcpListener::bind((Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254)), DEFAULT_PORT)).await {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
