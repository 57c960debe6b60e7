//! What a resolver asks others: DNS and web servers.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use url::Url;

use super::dns::Dns;
use super::fetch::Web;
use super::srv::SrvRecord;

/// The questions that a resolver asks. Whatever watches or spoils the answers can stand before those who give them (see
/// [`Assembly`](crate::assembly::Assembly)); what is kept of an answer, and what follows from it, is the resolver's.
#[async_trait]
pub trait Lookups: Send + Sync + 'static {
    /// The addresses of a host, aliases followed; none if it has none.
    ///
    /// # Errors
    /// If DNS gives no answer.
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;

    /// The SRV records of `_matrix._tcp.<host>`; none if there are none.
    ///
    /// # Errors
    /// As [`Lookups::addresses`].
    async fn services(&self, host: &str) -> io::Result<Vec<SrvRecord>>;

    /// What a web server answers at a URL, redirections as they are. Only a success needs to have its body.
    ///
    /// # Errors
    /// If there is no whole answer, or no certificate for the host.
    async fn page(&self, url: &Url) -> io::Result<Response<Bytes>>;
}

/// Asks them.
pub(super) struct Asking {
    pub(super) dns: Dns,
    pub(super) web: Web,
}

#[async_trait]
impl Lookups for Asking {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.dns.addresses(host).await
    }

    async fn services(&self, host: &str) -> io::Result<Vec<SrvRecord>> {
        self.dns.services(host).await
    }

    async fn page(&self, url: &Url) -> io::Result<Response<Bytes>> {
        self.web.page(&self.dns, url).await.map_err(io::Error::other)
    }
}
