//! TLS: what our server offers, what our client demands, whom it trusts (LM-04 §12, §12.1, reading R26).
//!
//! The cryptography provider is *ring*, named in each configuration; there is no process-wide default to be set.

mod dev_ca;
pub(crate) mod files;
pub(crate) mod shown;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

pub use dev_ca::{DevCa, DevCaError, ServerCertificate};

/// The ALPN name of HTTP/2.
pub const ALPN_H2: &[u8] = b"h2";
/// The ALPN name of HTTP/1.1.
pub const ALPN_HTTP11: &[u8] = b"http/1.1";

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A file is not PEM.
    #[error("{}: not PEM: {error}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: pem::Error,
    },
    /// A file has no certificate.
    #[error("{}: no certificate in it", path.display())]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// A file has no private key.
    #[error("{}: no private key in it", path.display())]
    NoKey {
        /// Which.
        path: PathBuf,
    },
    /// A certificate cannot be a trust anchor.
    #[error("{}: {error}", path.display())]
    Anchor {
        /// The file it is in.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: rustls::Error,
    },
    /// The certificate and its key cannot be used, or do not belong together.
    #[error("the certificate and its key cannot be used: {0}")]
    Config(#[from] rustls::Error),
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read { path: path.to_owned(), error })
}

/// Reads a chain of certificates, the server's own first, from a PEM file. Blocks.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn load_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    shown::chain_of(&read(path)?, path)
}

/// Reads the first private key (PKCS #8, PKCS #1 or SEC 1) of a PEM file. Blocks.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    shown::key_of(&zeroize::Zeroizing::new(read(path)?), path)
}

/// The certificate authorities that a client trusts (LM-04 §12.1).
#[derive(Clone)]
pub struct Roots(RootCertStore);

impl Roots {
    /// Nobody.
    #[must_use]
    pub fn none() -> Self {
        Self(RootCertStore::empty())
    }

    /// Those of the operating system (`LM-04/12.1/2`). A system without any, or with some that cannot be read, is
    /// logged and no error. Blocks.
    #[must_use]
    pub fn system() -> Self {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "reading the system's certificate authorities");
        }
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(added, ignored, "the system's certificate authorities");
        Self(roots)
    }

    /// Adds every certificate of a PEM file. Blocks.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn add_pem_file(&mut self, path: &Path) -> Result<(), TlsError> {
        for certificate in load_chain(path)? {
            self.0.add(certificate).map_err(|error| TlsError::Anchor { path: path.to_owned(), error })?;
        }
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The authorities, for a check of certificates of one's own.
    #[must_use]
    pub fn store(&self) -> &RootCertStore {
        &self.0
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Roots").field(&self.len()).finish()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The configuration of our listener: TLS 1.3 and HTTP/2, nothing older (`LM-04/12/1`, `LM-04/12/2`, reading R26).
///
/// # Errors
/// [`TlsError::Config`] if the key cannot be used or does not belong to the certificate.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    shown::listener_config(shown::Shown::new(shown::certified(chain, key)?))
}

/// The versions of TLS that a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersions {
    /// TLS 1.3 only.
    #[default]
    Tls13,
    /// TLS 1.2 only, to see whether a server refuses it.
    Tls12,
    /// Both.
    Tls12AndTls13,
}

impl TlsVersions {
    fn supported(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls13 => vec![&TLS13],
            Self::Tls12 => vec![&TLS12],
            Self::Tls12AndTls13 => vec![&TLS13, &TLS12],
        }
    }
}

/// The versions of HTTP that a client offers, by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpVersions {
    /// HTTP/2 only.
    #[default]
    Http2,
    /// HTTP/1.1 only, to see whether a server refuses it.
    Http11,
    /// Both, HTTP/2 preferred.
    Http2AndHttp11,
    /// No ALPN at all.
    Silent,
}

/// What a client offers. The default is what a federation client offers, TLS 1.3 and HTTP/2; the rest is for probes
/// (reading R26).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientOffer {
    /// The versions of TLS.
    pub tls: TlsVersions,
    /// The versions of HTTP.
    pub http: HttpVersions,
}

/// The configuration of a client. Certificates are always verified, for the name that name resolution gives
/// (`LM-04/12.4/25`).
///
/// # Errors
/// [`TlsError::Config`] if the provider does not support the versions.
pub fn client_config(roots: &Roots, offer: ClientOffer) -> Result<Arc<ClientConfig>, TlsError> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_protocol_versions(&offer.tls.supported())?;
    let mut config = builder.with_root_certificates(roots.0.clone()).with_no_client_auth();
    config.alpn_protocols = match offer.http {
        HttpVersions::Http2 => vec![ALPN_H2.to_vec()],
        HttpVersions::Http11 => vec![ALPN_HTTP11.to_vec()],
        HttpVersions::Http2AndHttp11 => vec![ALPN_H2.to_vec(), ALPN_HTTP11.to_vec()],
        HttpVersions::Silent => Vec::new(),
    };
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pem");
        let name = path.display().to_string();
        for error in [load_chain(&path).unwrap_err(), load_key(&path).unwrap_err()] {
            assert!(matches!(error, TlsError::Read { .. }));
            assert!(error.to_string().contains(&name), "{error}");
        }
        std::fs::write(&path, "nothing\n").unwrap();
        assert!(matches!(load_chain(&path), Err(TlsError::NoCertificate { path: found }) if found == path));
        assert!(matches!(load_key(&path), Err(TlsError::NoKey { path: found }) if found == path));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
        assert!(matches!(load_chain(&path), Err(TlsError::Pem { .. })));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(
            matches!(Roots::none().add_pem_file(&path), Err(TlsError::Anchor { path: found, .. }) if found == path)
        );
    }

    #[test]
    fn a_client_can_be_made_without_any_roots() {
        assert!(Roots::none().is_empty());
        let config = client_config(&Roots::none(), ClientOffer::default()).unwrap();
        assert_eq!(config.alpn_protocols, [ALPN_H2]);
    }

    #[test]
    fn the_systems_roots_are_no_error_even_if_there_are_none() {
        let _ = Roots::system();
    }
}
