//! Lies as a connection is made: certificates, and versions of TLS and HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use mimi_transport::clock;
use mimi_transport::tls::{ALPN_H2, ALPN_HTTP11, DevCa, load_chain, load_key};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::error::HostileError;
use super::liar::Liar;
use super::lie::{Layer, Lie};
use super::when::Occasion;
use crate::environment::Setup;
use crate::peer::Serve;

/// How long ago the certificate ran out that has run out: that of a year is a year older.
const TWO_YEARS_MS: i64 = 2 * 365 * 24 * 60 * 60 * 1_000;
/// Another host. `.invalid` is nobody's (RFC 2606).
const OTHER_HOST: &str = "elsewhere.invalid";

/// A connection that somebody made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Handshake {
    /// The lie that was told in it.
    pub lie: Option<Lie>,
    /// Why it came to nothing, if it did.
    pub error: Option<String>,
}

/// What is shown to those who connect.
pub(super) struct Door {
    proper: TlsAcceptor,
    lying: BTreeMap<Lie, TlsAcceptor>,
    liar: Arc<Liar>,
    handshakes: Mutex<Vec<Handshake>>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("lies", &self.lying.keys()).finish_non_exhaustive()
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Door {
    /// Makes what the lies need. Blocks.
    pub(super) fn new(
        setup: &Setup,
        host: &str,
        lies: &[Lie],
        liar: Arc<Liar>,
    ) -> Result<Self, HostileError> {
        let proper = || -> Result<Identity, HostileError> {
            let files = setup.certificate();
            let chain = load_chain(&files.certificate).map_err(HostileError::certificate)?;
            Ok((chain, load_key(&files.key).map_err(HostileError::certificate)?))
        };
        let mut lying = BTreeMap::new();
        for lie in lies.iter().copied().filter(|lie| lie.layer() == Layer::Connection) {
            let (identity, tls, alpn) = match lie {
                Lie::SilentHandshake => continue,
                Lie::OnlyTls12 => (proper()?, &TLS12, ALPN_H2),
                Lie::OnlyHttp11 => (proper()?, &TLS13, ALPN_HTTP11),
                lie => (identity(lie, setup, host)?, &TLS13, ALPN_H2),
            };
            lying.insert(lie, acceptor(identity, tls, alpn)?);
        }
        let proper = acceptor(proper()?, &TLS13, ALPN_H2)?;
        Ok(Self { proper, lying, liar, handshakes: Mutex::default() })
    }

    /// Every connection that came to something or nothing so far.
    pub(super) fn handshakes(&self) -> Vec<Handshake> {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, lie: Option<Lie>, error: Option<String>) {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner).push(Handshake { lie, error });
    }

    /// What serves behind this door.
    pub(super) fn serve(self: &Arc<Self>) -> Serve {
        let door = Arc::clone(self);
        Arc::new(move |tcp, router| tokio::spawn(Arc::clone(&door).accept(tcp, router)))
    }

    async fn accept(self: Arc<Self>, tcp: TcpListener, router: Router) {
        // The connections end with this.
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = tcp.accept().await {
            connections.spawn(Arc::clone(&self).connect(stream, router.clone()));
            while connections.try_join_next().is_some() {}
        }
    }

    async fn connect(self: Arc<Self>, stream: TcpStream, router: Router) {
        let occasion = Occasion { endpoint: None, server: None };
        let lie = self.liar.lies(Layer::Connection, &occasion).first().copied();
        if lie == Some(Lie::SilentHandshake) {
            self.note(lie, None);
            self.liar.until_relented().await;
            return;
        }
        let acceptor = lie.and_then(|lie| self.lying.get(&lie)).unwrap_or(&self.proper);
        let _ = stream.set_nodelay(true);
        let stream = match acceptor.accept(stream).await {
            Ok(stream) => stream,
            Err(error) => return self.note(lie, Some(error.to_string())),
        };
        self.note(lie, None);
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_H2);
        let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
        // How it ends is the other's business.
        if is_h2 {
            let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
        } else {
            let _ = http1::Builder::new().serve_connection(io, service).await;
        }
    }
}

fn acceptor(
    (chain, key): Identity,
    tls: &'static SupportedProtocolVersion,
    alpn: &[u8],
) -> Result<TlsAcceptor, HostileError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[tls])
        .map_err(HostileError::certificate)?;
    let mut config =
        builder.with_no_client_auth().with_single_cert(chain, key).map_err(HostileError::certificate)?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A certificate that is not what it should be, and its key.
fn identity(lie: Lie, setup: &Setup, host: &str) -> Result<Identity, HostileError> {
    if lie == Lie::SelfSignedCertificate {
        let key = rcgen::KeyPair::generate().map_err(HostileError::certificate)?;
        let params =
            rcgen::CertificateParams::new(vec![host.to_owned()]).map_err(HostileError::certificate)?;
        let certificate = params.self_signed(&key).map_err(HostileError::certificate)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| HostileError::certificate(error.to_owned()))?;
        return Ok((vec![certificate.der().clone()], key));
    }
    let folder = tempfile::tempdir().map_err(HostileError::certificate)?;
    let now = clock::now_ms();
    let known = |lie| setup.ca_folder().ok_or(HostileError::NoAuthority(lie));
    let authority = if lie == Lie::UnknownAuthority { folder.path() } else { known(lie)? };
    let ca = DevCa::open(authority, now).map_err(HostileError::certificate)?;
    let (name, at) = match lie {
        Lie::ExpiredCertificate => (host, now.saturating_sub(TWO_YEARS_MS)),
        Lie::OtherName => (OTHER_HOST, now),
        _ => (host, now),
    };
    let files =
        ca.server_certificate(&folder.path().join("leaf"), &[name], at).map_err(HostileError::certificate)?;
    let chain = load_chain(&files.certificate).map_err(HostileError::certificate)?;
    Ok((chain, load_key(&files.key).map_err(HostileError::certificate)?))
}
