//! From where a request came, for what it makes this server do before anybody has shown who they are.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;

use crate::keys::Asker;

/// Who sends a request, by the address. All whose address is not known are one.
#[derive(Debug)]
pub struct Asking(pub Asker);

impl Asking {
    /// By the connection that a request came on.
    pub(super) fn by(parts: &Parts) -> Asker {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Asker::at(peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Self::by(parts)))
    }
}
