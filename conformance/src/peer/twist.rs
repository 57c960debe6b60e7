//! What makes a peer lie: something between what it would answer and what is sent, and between what its rooms got and
//! whom it tells. Such a peer talks to other servers than the target too.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use axum::response::IntoResponse as _;
use mimi_linearized::id::ServerName;
use mimi_linearized::signing::{ServerKeyRing, ServerKeys};
use serde_json::Value;

use super::serve::RawResponse;
use super::{HostedRoom, Inbound, Inner};
use crate::evidence::Exchange;

/// An answer in the making.
type Given = Pin<Box<dyn Future<Output = axum::response::Response> + Send>>;

/// What makes a peer lie.
pub(crate) trait Twist: fmt::Debug + Send + Sync {
    /// What is sent in the place of an answer.
    fn answer(&self, inbound: &Inbound, answer: &RawResponse) -> Twisted;

    /// A room that the peer is the hub of has got these events.
    fn sealed(&self, room: &HostedRoom, events: Vec<Value>);
}

/// What is sent in the place of an answer.
pub(crate) enum Twisted {
    /// The answer itself.
    Truth,
    /// Something else.
    Lie {
        /// By what name it goes.
        name: &'static str,
        /// The status that is sent, if there is one.
        status: Option<u16>,
        /// What is sent. It may never come.
        given: Given,
    },
}

impl fmt::Debug for Twisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth => f.write_str("Truth"),
            Self::Lie { name, .. } => f.debug_tuple("Lie").field(name).finish(),
        }
    }
}

impl Twisted {
    /// Says in the log what is sent.
    pub(super) fn describe(&self, exchange: &mut Exchange) {
        if let Self::Lie { name, status, .. } = self {
            exchange.lie = Some(Cow::Borrowed(name));
            exchange.status = *status;
        }
    }

    /// What is sent.
    pub(super) async fn given(self, answer: RawResponse) -> axum::response::Response {
        match self {
            Self::Truth => answer.into_response(),
            Self::Lie { given, .. } => given.await,
        }
    }
}

/// The keys of other servers than the target.
#[derive(Debug, Default)]
pub(super) struct Others(tokio::sync::Mutex<HashMap<ServerName, ServerKeys>>);

impl Inner {
    /// The keys of a server that is not the target, fetched once. Rooms that this server is the hub of take them.
    pub(super) async fn ring_of(&self, server: &ServerName) -> Result<ServerKeyRing, String> {
        let mut known = self.others.0.lock().await;
        if !known.contains_key(server) {
            let fetched =
                self.environment.client.server_keys(server).await.map_err(|error| error.to_string())?;
            known.insert(server.clone(), fetched);
        }
        let mut ring = ServerKeyRing::new();
        if let Some(keys) = known.get(server) {
            ring.add(keys);
            for room in self.behaviour.hosts() {
                room.know(keys);
            }
        }
        Ok(ring)
    }

    /// Who sent a request, for the log.
    pub(super) fn asker(&self, inbound: &Inbound) -> String {
        match &inbound.origin {
            Ok(other) if *other != self.environment.target.name => format!("server {other}"),
            _ => format!("target {}", self.environment.target.name),
        }
    }
}
