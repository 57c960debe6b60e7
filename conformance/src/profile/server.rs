//! What a profile has the reference server started with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mimi_transport::assembly::Assembly;
use mimi_transport::media::{MediaSettings, ScannerSettings};
use mimi_transport::start::ServerConfig;
use serde::Deserialize;
use tempfile::TempDir;
use toml::{Table, Value};

use super::federation_list::{self, ListError, ListSettings};
use super::scanner::Scanner;
use crate::network;

/// In the texts of settings, the host name of the suite's servers.
const PEERS: &str = "{peers}";
/// In the same, a pattern of the other names that the suite gives out.
const OTHERS: &str = "{others}";
/// The file of the signed list, and of its authority's certificate, beside the policy's.
const LIST: [&str; 2] = ["federation-list.jws", "federation-ca.pem"];

/// Settings of the reference server; a table of a profile's file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ServerSettings {
    /// Its policy, as `mimi serve --policy` reads it.
    pub(crate) policy: Option<Table>,
    /// The list that a policy of mode `signed` names.
    signed_list: Option<ListSettings>,
    /// Whether media are scanned, by a scanner of the suite.
    #[serde(default)]
    pub(crate) media_scanner: bool,
}

/// Why the reference server cannot be started so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A file cannot be written, or a scanner cannot be started.
    #[error("the profile's settings: {0}")]
    Io(#[from] io::Error),
    /// The policy cannot be written as TOML.
    #[error("the profile's policy: {0}")]
    Policy(#[from] toml::ser::Error),
    /// The list cannot be made.
    #[error(transparent)]
    List(#[from] ListError),
}

/// Settings as files and services, for a server that runs while this is there.
#[derive(Debug)]
pub(crate) struct Settled {
    policy: Option<PathBuf>,
    scanner: Option<Scanner>,
    _folder: TempDir,
}

impl ServerSettings {
    /// Writes the files and starts the services, for servers of the suite that are named `host`.
    pub(crate) async fn settle(&self, host: &str) -> Result<Settled, SettingsError> {
        let folder = tempfile::tempdir()?;
        if let Some(list) = &self.signed_list {
            let servers = list.servers.iter().map(|text| named(text, host)).collect();
            let (list, authority) = federation_list::sign(&ListSettings { servers, ..list.clone() })?;
            for (name, text) in LIST.into_iter().zip([list, authority]) {
                fs::write(folder.path().join(name), text)?;
            }
        }
        let policy = match &self.policy {
            Some(policy) => Some(write_policy(folder.path(), policy, host)?),
            None => None,
        };
        let scanner = if self.media_scanner { Some(Scanner::start().await?) } else { None };
        Ok(Settled { policy, scanner, _folder: folder })
    }
}

fn write_policy(folder: &Path, policy: &Table, host: &str) -> Result<PathBuf, SettingsError> {
    let path = folder.join("policy.toml");
    fs::write(&path, toml::to_string(&named_within(&Value::Table(policy.clone()), host))?)?;
    Ok(path)
}

/// A text with the names of the suite's servers where they are meant.
fn named(text: &str, host: &str) -> String {
    text.replace(PEERS, host).replace(OTHERS, &network::all_names())
}

fn named_within(value: &Value, host: &str) -> Value {
    let within = |value: &Value| named_within(value, host);
    match value {
        Value::String(text) => Value::String(named(text, host)),
        Value::Array(values) => Value::Array(values.iter().map(within).collect()),
        Value::Table(table) => {
            Value::Table(table.iter().map(|(key, value)| (key.clone(), within(value))).collect())
        }
        other => other.clone(),
    }
}

impl Assembly for Settled {
    fn settings(&self, settings: ServerConfig) -> ServerConfig {
        let scanner = self.scanner.as_ref().and_then(|scanner| scanner.url.parse::<ScannerSettings>().ok());
        let media = MediaSettings { scanner: scanner.or(settings.media.scanner), ..settings.media };
        ServerConfig { policy: self.policy.clone().or(settings.policy), media, ..settings }
    }
}
