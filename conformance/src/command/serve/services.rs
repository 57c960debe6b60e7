//! The settings of federation policy and media.

use std::path::PathBuf;

use clap::Args;
use mimi_transport::start::ServerConfig;

/// Settings that are a part of [`Settings`](super::settings::Settings).
#[derive(Debug, Args)]
pub(super) struct Services {
    /// Which servers to have to do with: a TOML file that is read again when it changes (docs/policy.md)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl Services {
    /// Puts them into a server's configuration.
    pub(super) fn apply(self, server: &mut ServerConfig) {
        server.policy = self.policy;
    }
}
