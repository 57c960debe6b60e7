//! What a profile has the reference server started with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mimi_transport::assembly::Assembly;
use mimi_transport::start::ServerConfig;
use serde::Deserialize;
use tempfile::TempDir;
use toml::{Table, Value};

/// In the texts of a policy, the host name of the suite's servers.
const PEERS: &str = "{peers}";

/// Settings of the reference server; a table of a profile's file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ServerSettings {
    /// Its policy on servers, as `mimi serve --policy` reads it.
    policy: Option<Table>,
}

/// Why the reference server cannot be started so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A file cannot be written.
    #[error("the profile's settings cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The policy cannot be written as TOML.
    #[error("the profile's policy: {0}")]
    Policy(#[from] toml::ser::Error),
}

/// Settings as files, for a server that is started while this is there.
#[derive(Debug)]
pub(crate) struct Settled {
    policy: Option<PathBuf>,
    _folder: TempDir,
}

impl ServerSettings {
    /// Writes the files, for servers of the suite that are named `host`.
    pub(crate) fn settle(&self, host: &str) -> Result<Settled, SettingsError> {
        let folder = tempfile::tempdir()?;
        let policy = match &self.policy {
            Some(policy) => Some(write_policy(folder.path(), policy, host)?),
            None => None,
        };
        Ok(Settled { policy, _folder: folder })
    }
}

fn write_policy(folder: &Path, policy: &Table, host: &str) -> Result<PathBuf, SettingsError> {
    let path = folder.join("policy.toml");
    fs::write(&path, toml::to_string(&named(&Value::Table(policy.clone()), host))?)?;
    Ok(path)
}

/// The same with the host name of the suite's servers where it is meant.
fn named(value: &Value, host: &str) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace(PEERS, host)),
        Value::Array(values) => Value::Array(values.iter().map(|value| named(value, host)).collect()),
        Value::Table(table) => {
            Value::Table(table.iter().map(|(key, value)| (key.clone(), named(value, host))).collect())
        }
        other => other.clone(),
    }
}

impl Assembly for Settled {
    fn settings(&self, settings: ServerConfig) -> ServerConfig {
        ServerConfig { policy: self.policy.clone().or(settings.policy), ..settings }
    }
}
