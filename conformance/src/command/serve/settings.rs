//! The settings of `mimi serve`. Each is declared once, here, and is an option, a variable and a key of the file.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args, ValueEnum};
use mimi_linearized::id::{IdError, ServerName};
use mimi_transport::limits::{LimitSetting, Limits, RateSetting};
use mimi_transport::resolve::StaticEntry;
use mimi_transport::start::ServerConfig;
use mimi_transport::store::choice::StoreChoice;
use mimi_transport::tls::ServerCertificate;
use tracing_subscriber::EnvFilter;

use super::layers::Layers;
use super::services::Services;

/// Run one server, which is the hub of rooms created on it and a participant in others.
#[derive(Debug, Args)]
#[command(after_help = "\
Every option is a variable too (--data-dir is MIMI_DATA_DIR) and a key of the file (data-dir = \"…\"). The command line has
precedence over the environment, that over the file. Of options that may be repeated, the highest place counts where there
is one; of those with NAME=, each name by itself. In variables they are separated by spaces, in the file they are arrays.

When the server is ready it prints one line of JSON on standard output:
  {\"server_name\":…,\"federation\":\"IP:PORT\",\"control\":\"IP:PORT\" or null,\"ca\":\"PATH of a PEM file\"}
On SIGTERM or SIGINT it takes nothing new, sends what waits for other servers, for --drain-timeout at most, and ends. A
second signal ends it at once; nothing that it acknowledged is lost. It logs to standard error. Beside the control API there
are /health, /ready and /metrics (docs/administration.md).

Exit codes: 0 it was told to end; 1 it could not end properly, was told twice, or its store cannot be reached; 2 the configuration is wrong, or it could not start.

Example:
  mimi serve --server-name localhost:8448 --listen 127.0.0.1:8448 --control 127.0.0.1:8449 --data-dir ./data")]
pub(super) struct Settings {
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
    #[arg(long, value_name = "PEM")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key
    #[arg(long, value_name = "PEM")]
    tls_key: Option<PathBuf>,
    /// A certificate authority to trust beside the operating system's; may be repeated
    #[arg(long, value_name = "PEM")]
    ca: Vec<PathBuf>,
    /// Where a server name is, instead of asking DNS; may be repeated
    #[arg(long, value_name = "NAME=IP:PORT")]
    resolve: Vec<StaticEntry>,
    /// Connect to loopback, private and link-local addresses too
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
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
    /// What to keep data in: `embedded`, a database in the data folder; or
    /// `nats://HOST:PORT[,HOST:PORT…][?replicas=N&prefix=NAME&ca=PEM]`, which several processes share (docs/stores.md)
    #[arg(long, value_name = "STORE", default_value = "embedded")]
    store: StoreChoice,
    /// Look for damage in all of the store's file before the server starts
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set)]
    check_store: bool,
    /// Where to offer the control API, which has no authentication: a loopback address
    #[arg(long, value_name = "IP:PORT")]
    control: Option<SocketAddr>,
    /// How often other servers may ask: `off`, or `FAMILY=off` or `FAMILY=COUNT/UNIT[,BURST]` for reads, changes,
    /// devices, transactions, keys or unproved, such as reads=50/s,500; may be repeated
    #[arg(long, value_name = "FAMILY=RATE")]
    rate_limit: Vec<RateSetting>,
    /// How much is taken from others, such as body-bytes=4MiB or idle=60s (docs/limits.md has all names); may be repeated
    #[arg(long, value_name = "NAME=NUMBER")]
    limit: Vec<LimitSetting>,
    #[command(flatten)]
    services: Services,
    /// How long to go on sending what waits for other servers once the server was told to end, such as 10s or 500ms
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    drain_timeout: Duration,
    /// What is logged: error, warn, info, debug, trace or off, or such for parts of the program, as
    /// info,mimi_transport::keys=debug
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = filter)]
    log: String,
    /// How it is logged
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// A TOML file with the same settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say which settings would be in force, where each is from, and what is wrong with them, and end
    #[arg(long)]
    check_config: bool,
}

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One object of JSON a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug)]
pub(super) struct Log {
    filter: String,
    format: LogFormat,
}

impl Log {
    /// Logs to standard error from now on.
    pub(super) fn install(&self) {
        let filter = EnvFilter::new(&self.filter);
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.format {
            LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
            LogFormat::Json => builder.json().flatten_event(true).init(),
        }
    }
}

/// Settings that do not go together, or are missing.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    #[error("{0} is missing: give it on the command line, in the environment or in the configuration file")]
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

/// Why a text is no time.
#[derive(Debug, thiserror::Error)]
#[error("a time is a number of seconds, or ends in `s` or `ms`")]
struct TimeError;

fn time(text: &str) -> Result<Duration, TimeError> {
    let (digits, unit_ms) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1),
        (_, Some(digits)) => (digits, 1_000),
        _ => (text, 1_000),
    };
    let count: u32 = digits.parse().map_err(|_| TimeError)?;
    Ok(Duration::from_millis(u64::from(count).saturating_mul(unit_ms)))
}

fn filter(text: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(text).map(|_| text.to_owned())
}

/// Reads all settings: from the command line, the environment, and the file that one of them names.
pub(super) fn layers(
    line: &ArgMatches,
    environment: impl Iterator<Item = (String, String)>,
) -> Layers<Settings> {
    let environment: Vec<(String, String)> = environment.collect();
    let named = line.get_one::<PathBuf>("config").cloned().or_else(|| {
        let variable = environment.iter().find(|(name, value)| name == "MIMI_CONFIG" && !value.is_empty());
        variable.map(|(_, value)| PathBuf::from(value))
    });
    Layers::read(line, environment.into_iter(), named.as_deref())
}

/// What a server is started with.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) server: ServerConfig,
    pub(super) listen: SocketAddr,
    pub(super) control: Option<SocketAddr>,
    pub(super) drain_timeout: Duration,
    pub(super) log: Log,
}

impl Settings {
    /// Makes a configuration, or says everything that stands in its way.
    pub(super) fn start(self) -> Result<Start, Vec<SettingsError>> {
        let mut errors = Vec::new();
        let mut limits = Limits::default();
        self.rate_limit.into_iter().for_each(|setting| setting.apply(&mut limits.rates));
        self.limit.into_iter().for_each(|setting| setting.apply(&mut limits));
        let certificate = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => Some(ServerCertificate { certificate, key }),
            (None, None) => None,
            _ => {
                errors.push(SettingsError::HalfCertificate);
                None
            }
        };
        if let Some(address) = self.control.filter(|address| !address.ip().is_loopback()) {
            errors.push(SettingsError::ControlAddress(address));
        }
        let mut missing = |what, is_there: bool| {
            if !is_there {
                errors.push(SettingsError::Missing(what));
            }
        };
        missing("--server-name", self.server_name.is_some());
        missing("--data-dir", self.data_dir.is_some());
        missing("--listen", self.listen.is_some());
        let (Some(server_name), Some(data_dir), Some(listen), true) =
            (self.server_name, self.data_dir, self.listen, errors.is_empty())
        else {
            return Err(errors);
        };
        let mut server = ServerConfig {
            certificate,
            cas: self.ca,
            resolve: self.resolve,
            allow_private: self.allow_private,
            name_server: self.dns,
            delegate_to: self.delegate_to,
            limits,
            notaries: self.notary,
            store: self.store,
            check_store: self.check_store,
            ..ServerConfig::new(server_name, data_dir)
        };
        self.services.apply(&mut server);
        let log = Log { filter: self.log, format: self.log_format };
        Ok(Start { server, listen, control: self.control, drain_timeout: self.drain_timeout, log })
    }
}
