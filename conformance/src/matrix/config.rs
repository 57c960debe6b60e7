//! Which servers there are, and how they are started or reached.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mimi_linearized::id::{RoomVersionId, ServerName};
use mimi_transport::resolve::{StaticEntry, StaticEntryError};
use serde::Deserialize;

use crate::target::{Accounts, Control, ControlError};

/// Why a file has no servers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no list of servers.
    #[error("{path}: {error}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: Box<toml::de::Error>,
    },
    /// There are none.
    #[error("{0} names no [[server]]")]
    Empty(PathBuf),
    /// Two are called the same.
    #[error("two servers are called {0:?}")]
    Twice(String),
    /// A server is neither started nor reached, or both.
    #[error("the server {0:?} has either `start`, or `server-name` and `driver`")]
    Which(String),
    /// A driver is none.
    #[error("the driver of {server:?} is control=URL or matrix=URL: {error}")]
    Driver {
        /// The server.
        server: String,
        /// What is wrong.
        error: String,
    },
    /// A setting is there that means nothing beside the others.
    #[error("`{key}` of {server:?} is not for a server that is {how}")]
    Idle {
        /// The server.
        server: String,
        /// The setting.
        key: &'static str,
        /// How it comes about.
        how: &'static str,
    },
    /// A name's address is none.
    #[error("`resolve` of {server:?}: {error}")]
    Resolve {
        /// The server.
        server: String,
        /// What is wrong.
        error: StaticEntryError,
    },
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default = "stable")]
    room_versions: Vec<RoomVersionId>,
    #[serde(default)]
    server: Vec<Entry>,
}

fn stable() -> Vec<RoomVersionId> {
    RoomVersionId::parse(mimi_linearized::version::STABLE).into_iter().collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    name: String,
    start: Option<Vec<String>>,
    server_name: Option<ServerName>,
    driver: Option<String>,
    ca: Option<PathBuf>,
    #[serde(default)]
    resolve: Vec<String>,
    password: Option<String>,
    registration_token: Option<String>,
}

/// Every pair of these is tried.
#[derive(Debug)]
pub(crate) struct Config {
    /// The versions of the rooms.
    pub(crate) room_versions: Vec<RoomVersionId>,
    /// The servers.
    pub(crate) servers: Vec<ServerConfig>,
}

/// A server of the matrix.
#[derive(Debug)]
pub(crate) struct ServerConfig {
    /// What it is called in the table.
    pub(crate) name: String,
    /// How it comes about.
    pub(crate) how: How,
}

/// How a server comes about.
#[derive(Debug)]
pub(crate) enum How {
    /// This program and its arguments start one, with `{…}` filled in.
    Start(Vec<String>),
    /// It runs already.
    Reach {
        /// Its name.
        server_name: ServerName,
        /// How it is driven.
        control: Control,
        /// The CA that verifies its certificate.
        ca: Option<PathBuf>,
        /// Where names are.
        resolve: Vec<StaticEntry>,
    },
    /// It runs already, and is driven through the Matrix client-server API.
    Homeserver {
        /// Its name.
        server_name: ServerName,
        /// Where that API is.
        url: String,
        /// How users get onto it.
        accounts: Accounts,
        /// The CA that verifies its certificates.
        ca: Option<PathBuf>,
        /// Where names are.
        resolve: Vec<StaticEntry>,
    },
}

impl Config {
    /// Reads a file. Paths in it are relative to it.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text)
            .map_err(|error| ConfigError::Toml { path: path.to_owned(), error: Box::new(error) })?;
        if file.server.is_empty() {
            return Err(ConfigError::Empty(path.to_owned()));
        }
        let mut names = BTreeSet::new();
        if let Some(entry) = file.server.iter().find(|entry| !names.insert(entry.name.as_str())) {
            return Err(ConfigError::Twice(entry.name.clone()));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let servers = file.server.into_iter().map(|entry| entry.server(folder)).collect::<Result<_, _>>()?;
        Ok(Self { room_versions: file.room_versions, servers })
    }

    /// The reference server, once with each of these stores, and every room version that it makes rooms of. Servers that
    /// keep their data in one NATS cluster have streams of their own there, unless a prefix is given.
    pub(crate) fn reference(stores: &[String]) -> Self {
        let kind = |store: &str| store.split_once("://").map_or(store, |(scheme, _)| scheme).to_owned();
        let server = |(index, store): (usize, &String)| {
            let is_one_of_many = stores.iter().filter(|other| kind(other) == kind(store)).count() > 1;
            let number = if is_one_of_many { format!(" {}", index.saturating_add(1)) } else { String::new() };
            let (kind, store) = (kind(store), with_prefix_of_its_own(store));
            let words = [
                "{mimi}",
                "serve",
                "--server-name",
                "{name}",
                "--listen",
                "{listen}",
                "--control",
                "127.0.0.1:0",
                "--data-dir",
                "{data}",
                "--tls-cert",
                "{cert}",
                "--tls-key",
                "{key}",
                "--ca",
                "{ca}",
                "--allow-private",
                "--rate-limit",
                "off",
                "--store",
                &store,
            ];
            let start = words.iter().map(|word| (*word).to_owned()).collect();
            ServerConfig { name: format!("mimi, {kind}{number}"), how: How::Start(start) }
        };
        let versions = mimi_linearized::version::RoomVersions::lm_04();
        Self {
            room_versions: versions.ids().cloned().collect(),
            servers: stores.iter().enumerate().map(server).collect(),
        }
    }
}

/// A store elsewhere, with a prefix that no other server has: each one that is started has another name, and a stream is of one.
fn with_prefix_of_its_own(store: &str) -> String {
    let Some((address, settings)) =
        store.split_once('?').or_else(|| store.contains("://").then_some((store, "")))
    else {
        return store.to_owned();
    };
    let mut settings: Vec<_> =
        settings.split('&').filter(|setting| !setting.is_empty()).map(str::to_owned).collect();
    match settings.iter_mut().find(|setting| setting.starts_with("prefix=")) {
        Some(prefix) => prefix.push_str("-{unique}"),
        None => settings.push("prefix=matrix-{unique}".to_owned()),
    }
    format!("{address}?{}", settings.join("&"))
}

impl ServerConfig {
    /// Whether there can be two of it at the same time.
    pub(crate) fn can_be_two(&self) -> bool {
        matches!(self.how, How::Start(_))
    }
}

impl Entry {
    fn server(self, folder: &Path) -> Result<ServerConfig, ConfigError> {
        let Self { name, start, server_name, driver, ca, resolve, password, registration_token } = self;
        let homes = [("password", password.is_some()), ("registration-token", registration_token.is_some())];
        let reached = [("ca", ca.is_some()), ("resolve", !resolve.is_empty())];
        let (idle, how) = match &driver {
            None => (homes.iter().chain(&reached).find(|(_, given)| *given), "started"),
            Some(driver) if driver.starts_with("matrix=") => (None, ""),
            Some(_) => (homes.iter().find(|(_, given)| *given), "driven through the control API"),
        };
        if let Some((key, _)) = idle {
            return Err(ConfigError::Idle { server: name, key, how });
        }
        let how = match (start, server_name, driver) {
            (Some(start), None, None) if !start.is_empty() => How::Start(start),
            (None, Some(server_name), Some(driver)) => {
                let wrong = |error: String| ConfigError::Driver { server: name.clone(), error };
                let resolve = resolve.iter().map(|entry| entry.parse()).collect::<Result<_, _>>();
                let resolve =
                    resolve.map_err(|error| ConfigError::Resolve { server: name.clone(), error })?;
                let ca = ca.map(|ca| folder.join(ca));
                match driver.split_once('=') {
                    Some(("control", url)) => {
                        let control =
                            Control::at(url).map_err(|error: ControlError| wrong(error.to_string()))?;
                        How::Reach { server_name, control, ca, resolve }
                    }
                    Some(("matrix", url)) => {
                        let uri = url.parse::<http::Uri>();
                        if !uri.is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some()) {
                            return Err(wrong(format!("{url:?} is no URL")));
                        }
                        let password = password.unwrap_or_else(|| Accounts::PASSWORD.to_owned());
                        let accounts = Accounts { password, registration_token };
                        How::Homeserver { server_name, url: url.to_owned(), accounts, ca, resolve }
                    }
                    _ => return Err(wrong(format!("{driver:?} is none"))),
                }
            }
            _ => return Err(ConfigError::Which(name)),
        };
        Ok(ServerConfig { name, how })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("lab/matrix.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn servers_are_started_or_reached() {
        let config = parse(
            "room-versions = ['I.1', 'org.example.2']\n\
             [[server]]\nname = 'ours'\nstart = ['./serve', '{name}']\n\
             [[server]]\nname = 'theirs'\nserver-name = 'hub.example'\ndriver = 'control=http://127.0.0.1:1'\n\
             ca = 'ca.pem'\nresolve = ['hub.example=127.0.0.1:2']\n",
        )
        .unwrap();
        assert_eq!(config.room_versions.len(), 2);
        let [ours, theirs] = config.servers.as_slice() else { panic!("{config:?}") };
        assert!(matches!(&ours.how, How::Start(start) if start.len() == 2));
        let How::Reach { server_name, ca, resolve, .. } = &theirs.how else { panic!("{theirs:?}") };
        assert_eq!((server_name.as_str(), ca.as_deref()), ("hub.example", Some(Path::new("lab/ca.pem"))));
        assert_eq!(resolve.len(), 1);
        assert_eq!(parse("[[server]]\nname = 'a'\nstart = ['x']").unwrap().room_versions, stable());
    }

    #[test]
    fn a_homeserver_is_driven_through_its_clients_api() {
        let config = parse(
            "[[server]]\nname = 'synapse'\nserver-name = 'hs.example'\ndriver = 'matrix=http://127.0.0.1:8008'\n\
             registration-token = 'abc'\nca = 'ca.pem'\n",
        )
        .unwrap();
        let How::Homeserver { url, accounts, ca, .. } = &config.servers[0].how else { panic!("{config:?}") };
        assert_eq!(url, "http://127.0.0.1:8008");
        assert_eq!(accounts.registration_token.as_deref(), Some("abc"));
        assert_eq!(ca.as_deref(), Some(Path::new("lab/ca.pem")));
        assert!(!config.servers[0].can_be_two());
    }

    #[test]
    fn reference_servers_on_one_cluster_have_streams_of_their_own() {
        let stores = ["embedded", "nats://u:p@a:4222?replicas=1", "nats://b?prefix=x"].map(str::to_owned);
        let config = Config::reference(&stores);
        let names: Vec<_> = config.servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["mimi, embedded", "mimi, nats 2", "mimi, nats 3"]);
        let store = |index: usize| match &config.servers[index].how {
            How::Start(words) => words.last().unwrap().clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(store(0), "embedded");
        assert_eq!(store(1), "nats://u:p@a:4222?replicas=1&prefix=matrix-{unique}");
        assert_eq!(store(2), "nats://b?prefix=x-{unique}");
    }

    #[test]
    fn what_is_no_configuration_says_why() {
        for (text, says) in [
            ("", "names no [[server]]"),
            ("[[server]]\nname = 'a'\nstart = ['x']\n[[server]]\nname = 'a'\nstart = ['x']", "two servers"),
            ("[[server]]\nname = 'a'", "either `start`"),
            ("[[server]]\nname = 'a'\nstart = []", "either `start`"),
            ("[[server]]\nname = 'a'\nstart = ['x']\nserver-name = 'b.example'", "either `start`"),
            ("[[server]]\nname = 'a'\nserver-name = 'b.example'\ndriver = 'telepathy'", "telepathy"),
            ("[[server]]\nname = 'a'\nserver-name = 'b.example'\ndriver = 'control=x'", "control=URL"),
            ("[[server]]\nname = 'a'\nserver-name = 'b.example'\ndriver = 'none'", "matrix=URL"),
            ("[[server]]\nname = 'a'\nserver-name = 'b.example'\ndriver = 'matrix='", "is no URL"),
            ("[[server]]\nname = 'a'\nstart = ['x']\nca = 'ca.pem'", "`ca` of \"a\" is not for"),
            (
                "[[server]]\nname = 'a'\nserver-name = 'b.example'\ndriver = 'control=http://127.0.0.1:1'\npassword = 'x'",
                "`password` of \"a\" is not for",
            ),
            ("[[server]]\nname = 'a'\nfolder = 'x'", "folder"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
