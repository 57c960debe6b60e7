//! `mimi serve`: one server, hub and participant.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use mimi_linearized::id::{IdError, ServerName};
use mimi_transport::limits::{LimitError, LimitSetting, Limits, RateError, RateSetting};
use mimi_transport::resolve::StaticEntry;
use mimi_transport::start::{Server, ServerConfig, StartError};
use mimi_transport::tls::ServerCertificate;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::USAGE;
use crate::output::print;

/// Run one server, which is the hub of rooms created on it and a participant in others.
#[derive(Debug, Args)]
#[command(after_help = "\
When the server is ready it prints one line of JSON on standard output:
  {\"server_name\":…,\"federation\":\"IP:PORT\",\"control\":\"IP:PORT\" or null,\"ca\":\"PATH of a PEM file\"}
It ends on SIGTERM or SIGINT. MIMI_LOG sets what is logged to standard error (for instance MIMI_LOG=debug).

Example:
  mimi serve --server-name localhost:8448 --listen 127.0.0.1:8448 --control 127.0.0.1:8449 --data-dir ./data")]
pub(crate) struct ServeArguments {
    /// The server's name, with its port if it has an explicit one
    #[arg(long, value_name = "NAME")]
    server_name: Option<ServerName>,
    /// Where to listen for other servers; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Where to keep everything; made if need be
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The certificate chain; without it, a development CA in the data folder issues a certificate
    #[arg(long, value_name = "PEM", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key
    #[arg(long, value_name = "PEM", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A certificate authority to trust beside the operating system's; may be repeated
    #[arg(long, value_name = "PEM")]
    ca: Vec<PathBuf>,
    /// Where a server name is, instead of asking DNS; may be repeated
    #[arg(long, value_name = "NAME=IP:PORT")]
    resolve: Vec<StaticEntry>,
    /// Connect to loopback, private and link-local addresses too
    #[arg(long)]
    allow_private: bool,
    /// The name server to ask, instead of the operating system's and its file of names
    #[arg(long, value_name = "IP:PORT")]
    dns: Option<SocketAddr>,
    /// Answer `/.well-known/matrix/server` with this name: delegate to it, with its port if it has one
    #[arg(long, value_name = "NAME[:PORT]", value_parser = delegate)]
    delegate_to: Option<ServerName>,
    /// Whom to ask for the keys of servers that do not answer; may be repeated
    #[arg(long, value_name = "NAME")]
    notary: Vec<ServerName>,
    /// What to keep data in
    #[arg(long, value_name = "STORE", default_value = "embedded", value_parser = ["embedded"])]
    store: String,
    /// Where to offer the control API, which has no authentication: a loopback address
    #[arg(long, value_name = "IP:PORT")]
    control: Option<SocketAddr>,
    /// How often other servers may ask: `off`, or `FAMILY=off` or `FAMILY=COUNT/UNIT[,BURST]` for reads, changes,
    /// devices, transactions, keys or unproved, such as reads=50/s,500; may be repeated
    #[arg(long, value_name = "RATE")]
    rate_limit: Vec<RateSetting>,
    /// How much is taken from others, such as body-bytes=4MiB or idle=60s (docs/limits.md has all names); may be repeated
    #[arg(long, value_name = "NAME=NUMBER")]
    limit: Vec<LimitSetting>,
    /// A TOML file with the same settings (`server-name = "…"`, `ca = ["…"]`, …); the command line has precedence
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The settings in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct FileSettings {
    server_name: Option<ServerName>,
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    ca: Vec<PathBuf>,
    resolve: Vec<String>,
    allow_private: bool,
    dns: Option<SocketAddr>,
    delegate_to: Option<String>,
    notary: Vec<ServerName>,
    control: Option<SocketAddr>,
    rate_limit: Vec<String>,
    limit: Vec<String>,
}

/// Why the command line and the file make no configuration.
#[derive(Debug, thiserror::Error)]
enum ConfigError {
    #[error("{path} cannot be read: {error}")]
    File { path: PathBuf, error: std::io::Error },
    #[error("{path} is no configuration: {error}")]
    Toml { path: PathBuf, error: Box<toml::de::Error> },
    #[error("`resolve` in {path}: {error}")]
    Resolve { path: PathBuf, error: mimi_transport::resolve::StaticEntryError },
    #[error("`delegate-to` in {path}: {error}")]
    DelegateTo { path: PathBuf, error: DelegateError },
    #[error("`rate-limit` in {path}: {error}")]
    Rate { path: PathBuf, error: RateError },
    #[error("`limit` in {path}: {error}")]
    Limit { path: PathBuf, error: LimitError },
    #[error("{0} is missing: give it on the command line or in the configuration file")]
    Missing(&'static str),
    #[error("--tls-cert and --tls-key belong together")]
    HalfCertificate,
    #[error("the control API has no authentication and may only listen on a loopback address, not on {0}")]
    ControlAddress(SocketAddr),
}

/// Why a text is nothing to delegate to.
#[derive(Debug, thiserror::Error)]
enum DelegateError {
    #[error(transparent)]
    Name(#[from] IdError),
    #[error("{0} is not the name of a host that can be contacted")]
    NotContactable(ServerName),
}

/// A name that others can be sent to.
fn delegate(text: &str) -> Result<ServerName, DelegateError> {
    let name = ServerName::parse(text)?;
    if name.is_contactable() { Ok(name) } else { Err(DelegateError::NotContactable(name)) }
}

/// A configuration and where to listen.
struct Settings {
    server: ServerConfig,
    listen: SocketAddr,
    control: Option<SocketAddr>,
}

impl ServeArguments {
    fn settings(self) -> Result<Settings, ConfigError> {
        let mut resolve = self.resolve;
        let mut delegate_to = self.delegate_to;
        let mut limits = Limits::default();
        let file = match &self.config {
            None => FileSettings::default(),
            Some(path) => {
                let file = read_file(path)?;
                for entry in &file.resolve {
                    let entry =
                        entry.parse().map_err(|error| ConfigError::Resolve { path: path.clone(), error })?;
                    resolve.push(entry);
                }
                for text in &file.rate_limit {
                    let setting = text.parse::<RateSetting>();
                    let setting = setting.map_err(|error| ConfigError::Rate { path: path.clone(), error })?;
                    setting.apply(&mut limits.rates);
                }
                for text in &file.limit {
                    let setting = text.parse::<LimitSetting>();
                    let setting =
                        setting.map_err(|error| ConfigError::Limit { path: path.clone(), error })?;
                    setting.apply(&mut limits);
                }
                if let (None, Some(text)) = (&delegate_to, &file.delegate_to) {
                    let parsed = delegate(text);
                    let name =
                        parsed.map_err(|error| ConfigError::DelegateTo { path: path.clone(), error })?;
                    delegate_to = Some(name);
                }
                file
            }
        };
        self.rate_limit.into_iter().for_each(|setting| setting.apply(&mut limits.rates));
        self.limit.into_iter().for_each(|setting| setting.apply(&mut limits));
        let certificate = match (self.tls_cert.or(file.tls_cert), self.tls_key.or(file.tls_key)) {
            (Some(certificate), Some(key)) => Some(ServerCertificate { certificate, key }),
            (None, None) => None,
            _ => return Err(ConfigError::HalfCertificate),
        };
        let control = self.control.or(file.control);
        if let Some(address) = control.filter(|address| !address.ip().is_loopback()) {
            return Err(ConfigError::ControlAddress(address));
        }
        let server = ServerConfig {
            server_name: self
                .server_name
                .or(file.server_name)
                .ok_or(ConfigError::Missing("--server-name"))?,
            data_dir: self.data_dir.or(file.data_dir).ok_or(ConfigError::Missing("--data-dir"))?,
            certificate,
            cas: self.ca.into_iter().chain(file.ca).collect(),
            resolve,
            allow_private: self.allow_private || file.allow_private,
            name_server: self.dns.or(file.dns),
            well_known_port: None,
            delegate_to,
            limits,
            notaries: self.notary.into_iter().chain(file.notary).collect(),
        };
        let listen = self.listen.or(file.listen).ok_or(ConfigError::Missing("--listen"))?;
        Ok(Settings { server, listen, control })
    }
}

fn read_file(path: &Path) -> Result<FileSettings, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
    toml::from_str(&text).map_err(|error| ConfigError::Toml { path: path.to_owned(), error: Box::new(error) })
}

/// Runs the server until it is told to end.
pub(crate) async fn serve(arguments: ServeArguments) -> ExitCode {
    let settings = match arguments.settings() {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("mimi serve: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("mimi serve: SIGTERM and SIGINT cannot be waited for: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let server = match start(settings).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("mimi serve: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let ready = json!({
        "server_name": server.node().name,
        "federation": server.federation().to_string(),
        "control": server.control().map(|address| address.to_string()),
        "ca": server.ca(),
    });
    print(&format!("{ready}\n"));
    signals.wait().await;
    match server.stop().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mimi serve: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn start(settings: Settings) -> Result<Server, StartError> {
    let federation = bind(settings.listen).await?;
    let control = match settings.control {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    Server::start(settings.server, federation, control).await
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Listen(std::io::Error::new(error.kind(), format!("{address}: {error}"))))
}

/// What ends the server. Made before anybody is told that it is ready: a signal that comes first would kill it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
