//! Steps of cases about what a name leads to: servers under names that the suite gives out, and whether the target finds
//! them.

use std::net::IpAddr;

use http::Method;
use mimi_transport::keys::KEY_PATH;
use tokio::net::TcpListener;

use crate::case::{Finding, fault, said};
use crate::context::Context;
use crate::network::{Network, NetworkError};
use crate::peer::{Inbound, Peer};

/// Something that goes wrong on the suite's side.
pub(in crate::cases) fn broken(error: impl std::fmt::Display) -> Finding {
    Finding::Suite(format!("a name of the suite: {error}"))
}

impl From<NetworkError> for Finding {
    fn from(error: NetworkError) -> Self {
        broken(error)
    }
}

/// A listener on loopback.
pub(in crate::cases) async fn listener() -> Result<TcpListener, Finding> {
    TcpListener::bind(("127.0.0.1", 0)).await.map_err(broken)
}

/// A listener at port 8448, on an address of its own, which this name is given.
pub(in crate::cases) async fn listener_at_default_port(
    network: &Network,
    name: &str,
) -> Result<TcpListener, Finding> {
    let listener = Network::listen_at_default_port().await.map_err(|error| {
        Finding::Untried(format!("the suite cannot listen at port 8448 of an address of its own: {error}"))
    })?;
    network.locate(name, address(&listener)?);
    Ok(listener)
}

/// The port of a listener.
pub(in crate::cases) fn port(listener: &TcpListener) -> Result<u16, Finding> {
    Ok(listener.local_addr().map_err(broken)?.port())
}

fn address(listener: &TcpListener) -> Result<IpAddr, Finding> {
    Ok(listener.local_addr().map_err(broken)?.ip())
}

/// A server of this name behind a listener, with a certificate for `certified` and nothing else.
pub(in crate::cases) fn server(
    ctx: &Context,
    name: &str,
    listener: TcpListener,
    certified: &str,
) -> Result<Peer, Finding> {
    ctx.peer_named(name, listener, &ctx.network()?.certificate(&[certified])?)
}

fn asked_for_keys(peer: &Peer) -> Option<Inbound> {
    peer.requests().into_iter().find(|request| request.target.starts_with(KEY_PATH))
}

/// Has the target ask a server for its keys, which it needs for a request that the server signs. Returns what arrived
/// there, if anything did.
pub(in crate::cases) async fn looked_up(peer: &Peer) -> Result<Option<Inbound>, Finding> {
    let path = "/_matrix/federation/v1/state/%21none?event_id=%24none";
    peer.request(Method::GET, path, None).await?;
    Ok(asked_for_keys(peer))
}

/// The target finds a server, and asks it under this `Host`.
pub(in crate::cases) async fn is_found(peer: &Peer, host: &str, what: &str) -> Result<(), Finding> {
    let Some(request) = looked_up(peer).await? else {
        return Err(fault(format!("the target did not find {}, {what}", peer.name)));
    };
    if request.host == host {
        return Ok(());
    }
    Err(fault(format!(
        "the target asked {}, {what}, with the `Host` {} instead of {host}",
        peer.name,
        said(&request.host),
        host = said(&host)
    )))
}

/// The target sends nothing to a server.
pub(in crate::cases) async fn is_not_asked(peer: &Peer, what: &str) -> Result<(), Finding> {
    match looked_up(peer).await? {
        None => Ok(()),
        Some(_) => Err(fault(format!("the target sent a request to {}, {what}", peer.name))),
    }
}
