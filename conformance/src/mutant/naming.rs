//! Finding other servers wrongly: what DNS and web servers say is misread, or what follows from it (LM-04 §12.3).

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use mimi_linearized::id::ServerName;
use mimi_transport::resolve::{Endpoint, Locate, Lookups, ResolveError, SrvRecord, Step};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{self, CertificateDer, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use url::Url;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// No host is asked for its delegation.
    NoDelegations,
    /// No host is asked for its SRV records.
    NoServices,
    /// The default port is another one.
    OtherPort,
    /// The SRV record is that of the name that delegates.
    ServiceOfTheDelegating,
    /// A server whose host gives no delegation is not looked for any further.
    EndsThere,
    /// `Host` has no port.
    HostWithoutPort,
    /// `Host` is the name that delegates.
    HostOfTheDelegating,
    /// The certificate is checked for the name that delegates.
    CertificateOfTheDelegating,
    /// Certificates are not checked.
    AnyCertificate,
    /// An answer with any status of 2xx is a delegation.
    AnySuccess,
    /// Redirections are not followed.
    NotRedirected,
    /// Redirections are followed without end.
    RedirectedWithoutEnd,
    /// A delegation has to say that it is JSON.
    JsonOnly,
    /// Delegations are not kept.
    NeverKept,
    /// Delegations are kept for a day, whatever they say.
    KeptForLong,
    /// A host that answers with an error is asked again at once.
    AskedAgain,
}

/// How many redirections are as good as without end.
const WITHOUT_END: usize = 150;

/// What a faulty resolver has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Who delegates, by the host that it is to.
    delegating: HashMap<String, String>,
    /// The hosts that gave no delegation.
    without: HashSet<String>,
}

struct Misled {
    inner: Arc<dyn Lookups>,
    fault: Naming,
    seen: Mutex<Seen>,
}

/// Puts a fault before what is asked of others.
pub(super) fn lookups(inner: Arc<dyn Lookups>, fault: Naming) -> Arc<dyn Lookups> {
    Arc::new(Misled { inner, fault, seen: Mutex::default() })
}

impl Misled {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of who delegates to whom.
    fn note(&self, url: &Url, page: &io::Result<Response<Bytes>>) {
        let host = url.host_str().unwrap_or_default().to_owned();
        let body = page.as_ref().ok().filter(|page| page.status() == StatusCode::OK);
        let body: Option<serde_json::Value> = body.and_then(|page| serde_json::from_slice(page.body()).ok());
        let to = body.as_ref().and_then(|body| ServerName::parse(body.get("m.server")?.as_str()?).ok());
        match to {
            Some(to) => drop(self.seen().delegating.insert(to.host().to_owned(), host)),
            None => drop(self.seen().without.insert(host)),
        }
    }

    /// Follows redirections by itself.
    async fn round(&self, url: &Url) -> io::Result<Response<Bytes>> {
        let mut url = url.clone();
        let mut page = self.inner.page(&url).await?;
        for _ in 0..WITHOUT_END {
            let location = page.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let Some(to) = location.and_then(|location| url.join(location).ok()) else { break };
            url = to;
            page = self.inner.page(&url).await?;
        }
        Ok(page)
    }
}

#[async_trait]
impl Lookups for Misled {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.inner.addresses(host).await
    }

    async fn services(&self, host: &str) -> io::Result<Vec<SrvRecord>> {
        let record =
            |port, target: &str| SrvRecord { priority: 0, weight: 0, port, target: target.to_owned() };
        match self.fault {
            Naming::NoServices => Ok(Vec::new()),
            Naming::OtherPort => {
                let found = self.inner.services(host).await.unwrap_or_default();
                Ok(if found.is_empty() { vec![record(443, host)] } else { found })
            }
            Naming::ServiceOfTheDelegating => {
                let delegating = self.seen().delegating.get(host).cloned();
                self.inner.services(delegating.as_deref().unwrap_or(host)).await
            }
            Naming::EndsThere if self.seen().without.contains(host) => Ok(vec![record(1, "")]),
            _ => self.inner.services(host).await,
        }
    }

    async fn page(&self, url: &Url) -> io::Result<Response<Bytes>> {
        let mut page = match self.fault {
            Naming::NoDelegations => return Err(io::Error::from(io::ErrorKind::Unsupported)),
            Naming::RedirectedWithoutEnd => self.round(url).await,
            _ => self.inner.page(url).await,
        };
        self.note(url, &page);
        if self.fault == Naming::AskedAgain && !page.as_ref().is_ok_and(|page| page.status().is_success()) {
            page = self.inner.page(url).await;
        }
        let mut page = page?;
        match self.fault {
            Naming::AnySuccess if page.status().is_success() => *page.status_mut() = StatusCode::OK,
            Naming::NotRedirected if page.status().is_redirection() => {
                *page.status_mut() = StatusCode::NOT_FOUND;
            }
            Naming::JsonOnly
                if page.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != "application/json") =>
            {
                *page.status_mut() = StatusCode::NOT_FOUND;
            }
            Naming::NeverKept => {
                page.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            }
            Naming::KeptForLong => {
                page.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
            }
            _ => {}
        }
        Ok(page)
    }
}

struct Astray {
    inner: Arc<dyn Locate>,
    fault: Naming,
}

/// Puts a fault behind the resolution.
pub(super) fn locate(inner: Arc<dyn Locate>, fault: Naming) -> Arc<dyn Locate> {
    Arc::new(Astray { inner, fault })
}

#[async_trait]
impl Locate for Astray {
    async fn locate(&self, server: &ServerName) -> Result<(Endpoint, i64), ResolveError> {
        let (mut endpoint, until_ms) = self.inner.locate(server).await?;
        match self.fault {
            Naming::HostWithoutPort => {
                let without = endpoint.host.rsplit_once(':').map(|(host, _)| host.to_owned());
                endpoint.host = without.unwrap_or(endpoint.host);
            }
            Naming::HostOfTheDelegating if is_delegated(&endpoint) => {
                server.as_str().clone_into(&mut endpoint.host);
            }
            Naming::CertificateOfTheDelegating if is_delegated(&endpoint) => {
                let name = pki_types::ServerName::try_from(server.host().to_owned());
                endpoint.tls_name = name.unwrap_or(endpoint.tls_name);
            }
            _ => {}
        }
        Ok((endpoint, until_ms))
    }

    fn now_ms(&self) -> i64 {
        self.inner.now_ms()
    }
}

fn is_delegated(endpoint: &Endpoint) -> bool {
    matches!(endpoint.step, Step::DelegatedPort | Step::DelegatedSrv | Step::Delegated)
}

/// What a faulty server asks of others' certificates.
pub(super) fn client_tls(config: Arc<ClientConfig>, fault: Naming) -> Arc<ClientConfig> {
    if fault != Naming::AnyCertificate {
        return config;
    }
    let mut trusting = ClientConfig::clone(&config);
    let schemes = config.crypto_provider().signature_verification_algorithms.supported_schemes();
    trusting.dangerous().set_certificate_verifier(Arc::new(Trusting { schemes }));
    Arc::new(trusting)
}

/// Takes any certificate.
#[derive(Debug)]
struct Trusting {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &pki_types::ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
