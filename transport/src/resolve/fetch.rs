//! Asking web servers for delegations (LM-04 §12.3.1): HTTP/2 or HTTP/1.1 over TLS 1.3 or 1.2 (reading R26), with bounds
//! on time, size and redirections, and under the same policy on addresses as everything else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, HeaderValue};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mimi_linearized::id::ServerName;
use rustls::{ClientConfig, pki_types};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use super::cache::freshness_ms;
use super::dns::Dns;
use super::lookups::Lookups;
use super::policy::{AddressClass, AddressPolicy};
use super::well_known::{MAX_BODY_BYTES, NoDelegation, Trail, delegation, is_redirection};
use crate::tls::ALPN_H2;

/// How long all of it may take, redirections included.
const TOTAL: Duration = Duration::from_secs(10);
/// How long TCP and TLS may take, for each address.
const CONNECT: Duration = Duration::from_secs(4);
/// How many addresses of a host are tried.
const MAX_ADDRESSES: usize = 4;
/// The size of an answer's head, in bytes.
const MAX_HEAD_BYTES: u32 = 64 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Asks web servers.
pub(super) struct Web {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) policy: AddressPolicy,
}

/// A delegation, and for how many milliseconds from now it is fresh.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) to: ServerName,
    pub(super) fresh_ms: i64,
}

/// Asks the host for its delegation, at this port.
pub(super) async fn asked_for_delegation(
    lookups: &dyn Lookups,
    host: &str,
    port: u16,
    now_ms: i64,
) -> Result<Fresh, NoDelegation> {
    let asking = follow(lookups, host, port, now_ms);
    timeout(TOTAL, asking).await.unwrap_or(Err(NoDelegation::Timeout))
}

async fn follow(lookups: &dyn Lookups, host: &str, port: u16, now_ms: i64) -> Result<Fresh, NoDelegation> {
    let begin = Trail::begin(host, port);
    let (mut trail, mut url) = begin.ok_or(NoDelegation::Location("the host makes none"))?;
    loop {
        let page = lookups.page(&url).await;
        let answer = page.map_err(|error| NoDelegation::Exchange { url: url.clone(), error })?;
        let status = answer.status();
        if is_redirection(status) {
            url = trail.follow(answer.headers())?;
            continue;
        }
        if status != StatusCode::OK {
            return Err(NoDelegation::Status(status));
        }
        let fresh_ms = freshness_ms(answer.headers(), now_ms);
        return Ok(Fresh { to: delegation(answer.body())?, fresh_ms });
    }
}

impl Web {
    /// What is at a URL; of an answer that is no success, the head.
    pub(super) async fn page(&self, dns: &Dns, url: &Url) -> Result<Response<Bytes>, Failure> {
        // Ends the connection when it goes out of scope.
        let mut connection = JoinSet::new();
        let (head, body) = self.get(dns, url, &mut connection).await?.into_parts();
        let body = match head.status.is_success() {
            true => Limited::new(body, MAX_BODY_BYTES).collect().await?.to_bytes(),
            false => Bytes::new(),
        };
        Ok(Response::from_parts(head, body))
    }

    /// The head of the answer; its connection runs in `connection`.
    async fn get(
        &self,
        dns: &Dns,
        url: &Url,
        connection: &mut JoinSet<()>,
    ) -> Result<Response<Incoming>, Failure> {
        let tls = self.connect(dns, url).await?;
        let is_h2 = tls.get_ref().1.alpn_protocol() == Some(ALPN_H2);
        let mut request = Request::new(Empty::<Bytes>::new());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        if is_h2 {
            *request.uri_mut() = Uri::try_from(url.as_str())?;
            *request.version_mut() = Version::HTTP_2;
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.max_header_list_size(MAX_HEAD_BYTES);
            let (mut sender, driver) = builder.handshake(TokioIo::new(tls)).await?;
            connection.spawn(async move { drop(driver.await) });
            sender.ready().await?;
            Ok(sender.send_request(request).await?)
        } else {
            let (path, query) = (url.path(), url.query());
            *request.uri_mut() =
                Uri::try_from(query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))?;
            request.headers_mut().insert(HOST, HeaderValue::from_str(url.authority())?);
            let mut builder = http1::Builder::new();
            builder.max_buf_size(usize::try_from(MAX_HEAD_BYTES)?);
            let (mut sender, driver) = builder.handshake(TokioIo::new(tls)).await?;
            connection.spawn(async move { drop(driver.await) });
            sender.ready().await?;
            Ok(sender.send_request(request).await?)
        }
    }

    /// Connects to the first of the host's addresses that takes a connection and shows a certificate for the host
    /// (`LM-04/12.3.1/3`).
    async fn connect(&self, dns: &Dns, url: &Url) -> Result<TlsStream<TcpStream>, Failure> {
        let port = url.port_or_known_default().ok_or("no port")?;
        let (addresses, name) = match url.host().ok_or("no host")? {
            Host::Domain(host) => {
                (dns.addresses(host).await?, pki_types::ServerName::try_from(host.to_owned())?)
            }
            Host::Ipv4(address) => (vec![IpAddr::V4(address)], IpAddr::V4(address).into()),
            Host::Ipv6(address) => (vec![IpAddr::V6(address)], IpAddr::V6(address).into()),
        };
        let mut failure: Failure = "the host has no address".into();
        let mut tried = 0_usize;
        for address in addresses {
            if !self.policy.allows(address) {
                let class = AddressClass::of(address);
                failure = format!("it is at {address}, and {class} addresses are not contacted").into();
                continue;
            }
            if tried >= MAX_ADDRESSES {
                break;
            }
            tried = tried.saturating_add(1);
            match self.connect_to(SocketAddr::new(address, port), name.clone()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    async fn connect_to(
        &self,
        address: SocketAddr,
        name: pki_types::ServerName<'static>,
    ) -> io::Result<TlsStream<TcpStream>> {
        let connecting = async {
            let tcp = TcpStream::connect(address).await?;
            TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await
        };
        timeout(CONNECT, connecting).await?
    }
}
