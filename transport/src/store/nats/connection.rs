//! The connection to one of several NATS servers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ReconnectToServer, Server};

use super::{Login, NatsConfig, PAUSE};
use crate::store::StoreError;

/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(5);

/// How often a connection is tried. One that does not answer twice is given up for another one.
const PING: Duration = Duration::from_secs(2);

/// Connects to one of the servers; should the connection end, or be given up, to the next of them.
pub(super) async fn connect(config: &NatsConfig) -> Result<Client, StoreError> {
    let round = Round::new(usize::from(rand::random::<u16>()));
    let mut options = ConnectOptions::new()
        .name("mimi")
        .connection_timeout(CONNECTING)
        .ping_interval(PING)
        .reconnect_to_server_callback(move |servers, _| {
            let next = round.next(&servers);
            async move { next }
        })
        .reconnect_delay_callback(|attempts| {
            PAUSE.saturating_mul(u32::try_from(attempts.min(4)).unwrap_or(4))
        })
        .event_callback(|event| async move { tracing::info!(%event, "the connection to NATS") });
    if let Some(ca) = &config.ca {
        options = options.add_root_certificates(ca.clone());
    }
    // The client passes over what an address has before its `@`.
    options = match config.login.clone() {
        Some(Login::Password { user, password }) => options.user_and_password(user, password),
        Some(Login::Token(token)) => options.token(token),
        None => options,
    };
    let connected = options.connect(&config.servers[..]).await;
    connected.map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Takes the servers in turn.
///
/// Left to itself, the client prefers servers to which no attempt has failed. One that cannot reach the others, but can be
/// reached, would be preferred for as long as that lasts to all that were away at some time.
#[derive(Debug)]
struct Round(AtomicUsize);

impl Round {
    fn new(begin: usize) -> Self {
        Self(AtomicUsize::new(begin))
    }

    /// The next server. None before there was a connection: the client tries all of them for the first one.
    fn next(&self, servers: &[Server]) -> Option<ReconnectToServer> {
        if !servers.iter().any(|server| server.did_connect) {
            return None;
        }
        let turn = self.0.fetch_add(1, Ordering::Relaxed);
        let server = servers.get(turn.checked_rem(servers.len())?)?;
        Some(ReconnectToServer { addr: server.addr.clone(), delay: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_its_turn() {
        let mut servers = ["a:1", "b:1", "c:1"].map(|name| Server {
            addr: name.parse().unwrap(),
            failed_attempts: 0,
            did_connect: false,
            is_discovered: false,
            last_error: None,
        });
        let round = Round::new(usize::MAX);
        assert!(round.next(&servers).is_none());
        assert!(round.next(&[]).is_none());
        // The others were away for a while.
        servers[1].did_connect = true;
        servers[0].failed_attempts = 7;
        servers[2].failed_attempts = 1;
        let turns: Vec<String> =
            (0..7).map(|_| round.next(&servers).unwrap().addr.host().to_owned()).collect();
        for three in turns[1..].windows(3) {
            let mut three = three.to_vec();
            three.sort();
            assert_eq!(three, ["a", "b", "c"], "{turns:?}");
        }
    }
}
