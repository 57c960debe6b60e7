//! Asking a scanner whether a content is clean (reading R51).

use std::fs::File;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName as TlsName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use super::MxcUri;
use super::files::{Sha256, name_of};
use super::stream::FileBody;

/// How many contents are scanned at the same time.
const AT_ONCE: usize = 4;

/// The largest answer of a scanner, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Where a scanner is, and how far it is relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannerSettings {
    /// Where contents are posted to: `http` or `https`.
    pub url: Url,
    /// How long an answer may take. 60 s unless set.
    pub timeout: Duration,
    /// How long an answer holds; then the content is scanned anew. A week unless set.
    pub holds: Duration,
}

impl ScannerSettings {
    /// A scanner at a URL.
    #[must_use]
    pub fn at(url: Url) -> Self {
        Self { url, timeout: Duration::from_secs(60), holds: Duration::from_secs(7 * 24 * 3_600) }
    }
}

/// Why a text is not where a scanner is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no URL of http or https with a host")]
pub struct ScannerUrlError(String);

impl FromStr for ScannerSettings {
    type Err = ScannerUrlError;

    fn from_str(text: &str) -> Result<Self, ScannerUrlError> {
        let url = Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.map(Self::at).ok_or_else(|| ScannerUrlError(text.to_owned()))
    }
}

/// What a scanner says: as the scan endpoint of Matrix's content scanners.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Said {
    pub(super) clean: bool,
    #[serde(default)]
    pub(super) info: String,
}

/// Asks a scanner.
pub(super) struct Scanner {
    pub(super) settings: ScannerSettings,
    tls: Arc<ClientConfig>,
    places: Semaphore,
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Scanner {
    /// `tls` offers HTTP/1.1.
    pub(super) fn new(settings: ScannerSettings, tls: Arc<ClientConfig>) -> Self {
        Self { settings, tls, places: Semaphore::new(AT_ONCE) }
    }

    /// Posts a content and takes the answer 200 with `{"clean": true or false, "info": "…"}`. Anything else is none.
    pub(super) async fn scan(
        &self,
        uri: &MxcUri,
        content_type: &str,
        (sha256, size): (&Sha256, u64),
        file: File,
    ) -> io::Result<Said> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await.map_err(io::Error::other)?;
        let body = FileBody::new(Bytes::new(), file, size, Bytes::new());
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        let url = &self.settings.url;
        let target = url.query().map_or_else(|| url.path().to_owned(), |q| format!("{}?{q}", url.path()));
        *request.uri_mut() = target.parse().map_err(io::Error::other)?;
        let headers = request.headers_mut();
        let value = |text: &str| HeaderValue::from_str(text).map_err(io::Error::other);
        headers.insert(HOST, value(url.authority())?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert("x-media-uri", value(&uri.to_string())?);
        headers.insert("x-media-type", value(content_type)?);
        headers.insert("x-media-sha256", value(&name_of(sha256))?);
        let asked = timeout(self.settings.timeout, self.ask(request)).await;
        asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn ask(&self, request: Request<FileBody>) -> io::Result<Said> {
        let url = &self.settings.url;
        let no = |what: &'static str| io::Error::new(io::ErrorKind::InvalidInput, what);
        let host = url.host_str().ok_or_else(|| no("the scanner's URL has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().ok_or_else(|| no("the scanner's URL has no port"))?;
        let tcp = TcpStream::connect((host, port)).await?;
        match url.scheme() {
            "http" => exchange(tcp, request).await,
            "https" => {
                let name = TlsName::try_from(host.to_owned()).map_err(io::Error::other)?;
                let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?;
                exchange(tls, request).await
            }
            _ => Err(no("the scanner's URL is neither http nor https")),
        }
    }
}

async fn exchange<S>(stream: S, request: Request<FileBody>) -> io::Result<Said>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends with the exchange.
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(async move { drop(connection.await) });
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    if answer.status() != StatusCode::OK {
        return Err(io::Error::other(format!("the scanner answered {}", answer.status())));
    }
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| io::Error::other(format!("the scanner's answer: {error}")))
}
