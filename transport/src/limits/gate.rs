//! What every request passes: the limits with what they count.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Extensions, HeaderMap};
use mimi_linearized::id::ServerName;

use super::body::{self, BodyMemory, ReadBody};
use super::connections::Peer;
use super::meter::Meter;
use super::{Family, Limits, RequestLimits};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::GapLimits;

/// The limits of a server, and what they count.
pub(crate) struct Gate {
    requests: RequestLimits,
    memory: BodyMemory,
    reads: Option<Meter<ServerName>>,
    changes: Option<Meter<ServerName>>,
    devices: Option<Meter<ServerName>>,
    transactions: Option<Meter<ServerName>>,
    keys: Option<Meter<Peer>>,
    unproved: Option<Meter<Peer>>,
    refused: Refused,
    pub(crate) gaps: GapLimits,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("requests", &self.requests).finish_non_exhaustive()
    }
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let (rates, remembered) = (&limits.rates, limits.rates.remembered);
        let of_servers = |family| Meter::new(rates.of(family)?, remembered);
        let of_peers = |family| Meter::new(rates.of(family)?, remembered);
        Self {
            requests: limits.requests,
            memory: BodyMemory::new(&limits.requests),
            reads: of_servers(Family::Reads),
            changes: of_servers(Family::Changes),
            devices: of_servers(Family::Devices),
            transactions: of_servers(Family::Transactions),
            keys: of_peers(Family::Keys),
            unproved: of_peers(Family::Unproved),
            refused: Refused { most: remembered.max(1), until: Mutex::default() },
            gaps: limits.gaps,
        }
    }

    /// Before anything of a request but its head is looked at.
    fn admit(&self, parts: &Parts) -> Result<(), ApiError> {
        self.requests.check_head(parts)?;
        let Some(peer) = peer_of(&parts.extensions) else { return Ok(()) };
        match family_of(parts) {
            Some(Family::Keys) => take(self.keys.as_ref(), &peer),
            // Nobody knows the endpoint: the answer costs nothing.
            None => Ok(()),
            Some(_) => self.refused.check(peer, Instant::now()).map_err(limited),
        }
    }

    /// Once it is known which server a request comes from.
    pub(crate) fn take(&self, parts: &Parts, origin: &ServerName) -> Result<(), ApiError> {
        let meter = match family_of(parts) {
            Some(Family::Reads) => &self.reads,
            Some(Family::Changes) => &self.changes,
            Some(Family::Devices) => &self.devices,
            Some(Family::Transactions) => &self.transactions,
            Some(Family::Keys | Family::Unproved) | None => return Ok(()),
        };
        take(meter.as_ref(), origin)
    }

    /// Takes note of a request that does not prove who sent it. When its address has sent too many of them, further
    /// requests are refused for a while without being looked at.
    pub(crate) fn unproved(&self, parts: &Parts) {
        let (Some(meter), Some(peer)) = (&self.unproved, peer_of(&parts.extensions)) else { return };
        if let Err(wait) = meter.take(&peer) {
            self.refused.until(peer, Instant::now(), wait);
        }
    }

    /// Reads a body within its bounds.
    pub(crate) async fn read(&self, headers: &HeaderMap, body: Body) -> Result<ReadBody, ApiError> {
        body::read(&self.requests, &self.memory, headers, body).await
    }
}

fn take<K: std::hash::Hash + Eq + Clone>(meter: Option<&Meter<K>>, key: &K) -> Result<(), ApiError> {
    meter.map_or(Ok(()), |meter| meter.take(key)).map_err(limited)
}

/// 429 with the time to wait, rounded up, so that whoever waits that long is not refused again.
fn limited(wait: Duration) -> ApiError {
    let ms = wait.as_nanos().div_ceil(1_000_000);
    ApiError::limit_exceeded(u64::try_from(ms).unwrap_or(u64::MAX))
}

fn family_of(parts: &Parts) -> Option<Family> {
    let route = parts.extensions.get::<MatchedPath>()?;
    Some(Family::of(&parts.method, route.as_str()))
}

fn peer_of(extensions: &Extensions) -> Option<Peer> {
    let address: IpAddr = extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip();
    Some(Peer::of(address))
}

/// Lets requests on that are within what can be told from their heads.
pub(crate) async fn admit(State(node): State<Node>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match node.gate.admit(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => {
            tracing::debug!(%error, "refused a request by its head");
            error.into_response()
        }
    }
}

/// Addresses that are refused for a while.
struct Refused {
    most: usize,
    until: Mutex<HashMap<Peer, Instant>>,
}

impl Refused {
    fn check(&self, peer: Peer, now: Instant) -> Result<(), Duration> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        match until.get(&peer) {
            None => Ok(()),
            Some(end) if *end > now => Err(end.saturating_duration_since(now)),
            Some(_) => {
                until.remove(&peer);
                Ok(())
            }
        }
    }

    fn until(&self, peer: Peer, now: Instant, wait: Duration) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= self.most {
            until.retain(|_, end| *end > now);
        }
        if let Some(end) = now.checked_add(wait)
            && (until.len() < self.most || until.contains_key(&peer))
        {
            until.insert(peer, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_is_so_for_a_while() {
        let peer = |last: u8| Peer::of(IpAddr::from([192, 0, 2, last]));
        let (refused, now) = (Refused { most: 2, until: Mutex::default() }, Instant::now());
        let second = Duration::from_secs(1);
        refused.until(peer(1), now, second);
        assert_eq!(refused.check(peer(1), now), Err(second));
        assert_eq!(refused.check(peer(2), now), Ok(()));
        assert_eq!(refused.check(peer(1), now + second), Ok(()));
        for last in 1..=3 {
            refused.until(peer(last), now, second);
        }
        assert_eq!(refused.until.lock().unwrap().len(), 2, "no more are remembered than the bound says");
        refused.until(peer(4), now + second, second);
        assert_eq!(refused.until.lock().unwrap().len(), 1, "whose time is over makes room");
    }

    #[test]
    fn the_time_to_wait_is_enough() {
        for (wait, ms) in
            [(Duration::from_nanos(1), 1), (Duration::from_millis(7), 7), (Duration::from_micros(7_001), 8)]
        {
            assert_eq!(limited(wait).retry_after_ms(), Some(ms));
        }
    }
}
