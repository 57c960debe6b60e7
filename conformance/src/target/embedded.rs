//! Reference servers that the suite starts for itself. It reaches them as it reaches any other: over federation and
//! the control API.

use std::sync::Arc;
use std::time::Duration;

use mimi_transport::assembly::{Assembly, Unchanged};
use mimi_transport::limits::{Limits, Rate, RateLimits};
use mimi_transport::resolve::StaticEntry;
use mimi_transport::start::{Server, ServerConfig, StartError};
use tempfile::TempDir;

use super::{Control, EMBEDDED, Target};
use crate::environment::{Ports, Setup, SetupError};
use crate::network::Network;
use crate::report::TargetInfo;

/// Limits that the cases about them meet, and no other case does.
fn limits() -> Limits {
    let changes = Rate::new(10, Duration::from_secs(1), 60);
    Limits { rates: RateLimits { changes, ..RateLimits::default() }, ..Limits::default() }
}

/// A reference server with its data in a folder that goes away with it.
#[derive(Debug)]
pub(crate) struct Embedded {
    server: Option<Server>,
    target: Target,
    _data: TempDir,
}

/// Why a reference server does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EmbeddedError {
    /// The suite's own surroundings.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The server.
    #[error("a reference server does not start: {0}")]
    Start(#[from] StartError),
    /// A folder or a port.
    #[error("a reference server has no place: {0}")]
    Io(#[from] std::io::Error),
    /// Its control API.
    #[error(transparent)]
    Control(#[from] super::ControlError),
}

impl Embedded {
    /// Starts one. It has a name like the suite's other servers, trusts their CA, and asks the suite's name server, if
    /// there is one.
    pub(crate) async fn start(
        setup: &Setup,
        ports: &Ports,
        resolve: &[StaticEntry],
        network: Option<&Network>,
    ) -> Result<Self, EmbeddedError> {
        Self::assemble(setup, ports, resolve, network, &Unchanged).await
    }

    /// Starts one with other parts in the place of some of its own.
    pub(crate) async fn assemble(
        setup: &Setup,
        ports: &Ports,
        resolve: &[StaticEntry],
        network: Option<&Network>,
        assembly: &dyn Assembly,
    ) -> Result<Self, EmbeddedError> {
        let (name, listener) = ports.take().await?;
        let control = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let data = tempfile::tempdir()?;
        let notary = ports.reserve(None).await?;
        let config = ServerConfig {
            certificate: Some(setup.certificate().clone()),
            cas: setup.trusted().to_vec(),
            resolve: resolve.to_vec(),
            allow_private: true,
            name_server: network.map(Network::name_server),
            well_known_port: network.map(Network::web_port),
            // To itself, so that the cases about delegations have something to judge.
            delegate_to: Some(name.clone()),
            limits: limits(),
            // Nobody is there until the case about that is at it.
            notaries: vec![notary.name.clone()],
            ..ServerConfig::new(name.clone(), data.path().to_owned())
        };
        let server = Server::assemble(config, listener, Some(control), assembly).await?;
        let address = server.control().map(|address| address.to_string()).unwrap_or_default();
        let target = Target {
            name: name.clone(),
            control: Ok(Control::at(&format!("http://{address}"))?),
            info: TargetInfo { server_name: name.to_string(), driver: EMBEDDED.to_owned() },
            notary: Some(Arc::new(notary)),
        };
        Ok(Self { server: Some(server), target, _data: data })
    }

    /// The server as a target.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Stops it.
    pub(crate) async fn stop(mut self) {
        if let Some(server) = self.server.take()
            && let Err(error) = server.stop().await
        {
            tracing::warn!(%error, "a reference server did not stop properly");
        }
    }
}
