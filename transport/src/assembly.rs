//! The parts of a server that something else can stand in for.

use std::fmt::Debug;
use std::sync::Arc;

use axum::Router;
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RoomVersions;
use rustls::{ClientConfig, ServerConfig};

use crate::client::Carrier;
use crate::node::Node;
use crate::resolve::{Locate, Lookups};
use crate::start::ServerConfig as Settings;
use crate::store::Store;
use crate::tls::Roots;

/// Puts something else in the place of a server's parts, or around them, as the server starts
/// ([`Server::assemble`](crate::start::Server::assemble)). What is not implemented stays as it is.
pub trait Assembly: Debug + Send + Sync {
    /// What it is started with.
    fn settings(&self, settings: Settings) -> Settings {
        settings
    }

    /// The room versions that the server implements.
    fn versions(&self, versions: RoomVersions) -> RoomVersions {
        versions
    }

    /// What it remembers things in.
    fn store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        store
    }

    /// Whom it asks where other servers are (LM-04 §12.3).
    fn lookups(&self, lookups: Arc<dyn Lookups>) -> Arc<dyn Lookups> {
        lookups
    }

    /// What it makes of the answers.
    fn locate(&self, locate: Arc<dyn Locate>) -> Arc<dyn Locate> {
        locate
    }

    /// What it asks of other servers' TLS, and offers them. `roots` are the authorities that it trusts.
    fn client_tls(&self, config: Arc<ClientConfig>, roots: &Roots) -> Arc<ClientConfig> {
        let _ = roots;
        config
    }

    /// What carries its requests to other servers. They are signed with `key` already.
    fn carrier(&self, carrier: Arc<dyn Carrier>, key: &SigningKey) -> Arc<dyn Carrier> {
        let _ = key;
        carrier
    }

    /// What it answers other servers with.
    fn federation(&self, router: Router, node: &Node) -> Router {
        let _ = node;
        router
    }

    /// What it answers the control API with.
    fn control(&self, router: Router, node: &Node) -> Router {
        let _ = node;
        router
    }

    /// What it offers other servers of TLS.
    fn tls(&self, config: Arc<ServerConfig>) -> Arc<ServerConfig> {
        config
    }
}

/// A server as it is.
#[derive(Debug, Clone, Copy)]
pub struct Unchanged;

impl Assembly for Unchanged {}
