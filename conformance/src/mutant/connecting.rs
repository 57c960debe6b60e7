//! Connecting to other servers too readily: with older versions, or whatever is wrong with their certificates (LM-04 §12,
//! §12.4).

use std::sync::Arc;

use mimi_transport::tls::{ALPN_HTTP11, ClientOffer, Roots, TlsVersions, client_config};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// What is wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Connecting {
    /// HTTP/1.1 is spoken with who speaks nothing newer.
    OlderHttp,
    /// TLS 1.2 is spoken with who speaks nothing newer.
    OlderTls,
    /// This may be wrong with a certificate.
    Forgives(fn(&CertificateError) -> bool),
}

/// What a faulty server offers and asks.
pub(super) fn client_tls(config: Arc<ClientConfig>, roots: &Roots, fault: Connecting) -> Arc<ClientConfig> {
    let mut other = ClientConfig::clone(&config);
    match fault {
        Connecting::OlderHttp => {
            if !other.alpn_protocols.iter().any(|protocol| protocol == ALPN_HTTP11) {
                other.alpn_protocols.push(ALPN_HTTP11.to_vec());
            }
        }
        Connecting::OlderTls => {
            let offer = ClientOffer { tls: TlsVersions::Tls12AndTls13, ..ClientOffer::default() };
            let Ok(both) = client_config(roots, offer) else { return config };
            other = ClientConfig::clone(&both);
            other.alpn_protocols.clone_from(&config.alpn_protocols);
        }
        Connecting::Forgives(what) => {
            let (store, provider) = (Arc::new(roots.store().clone()), Arc::clone(config.crypto_provider()));
            let Ok(inner) = WebPkiServerVerifier::builder_with_provider(store, provider).build() else {
                return config;
            };
            other.dangerous().set_certificate_verifier(Arc::new(Forgiving { inner, what }));
        }
    }
    Arc::new(other)
}

/// Takes a certificate with this wrong.
#[derive(Debug)]
struct Forgiving {
    inner: Arc<WebPkiServerVerifier>,
    what: fn(&CertificateError) -> bool,
}

impl ServerCertVerifier for Forgiving {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(error)) if (self.what)(&error) => {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
