//! `mimi matrix`: every pair of servers in both roles.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use mimi_linearized::id::RoomVersionId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::context::Context;
use crate::environment::{Environment, PeerCertificate, Ports, Setup};
use crate::matrix::{self, Cell, Config, Matrix, Running, ServerConfig, Start, Verdict};
use crate::mls::Stacks;
use crate::output::print;
use crate::{FAILED, USAGE};

/// Try every pair of servers: a room on one that a user of the other joins, messages both ways, and MLS.
#[derive(Debug, Args)]
#[command(after_help = "\
FILE is TOML: `room-versions` (I.1 unless given) and a [[server]] for each, with a `name` for the table and either
  start = [\"program\", \"arguments\"…], where {name}, {listen}, {port}, {data}, {cert}, {key}, {ca}, {mimi} and {unique}
    are filled in, of a program that prints a line of JSON with `server_name` and `control` (IP:PORT) when it is ready, or
  server-name, driver = \"control=URL\" or \"matrix=URL\" (the Matrix client-server API, with password or
    registration-token), ca and resolve of one that runs already.
Servers of both kinds have to trust DIR/ca.pem of --ca-dir, which started ones have their certificate from.

Exit codes: 0 every pair that was tried works; 1 one does not; 2 the command line or the file is wrong.

Examples:
  mimi matrix
  mimi matrix --store embedded --store 'nats://127.0.0.1:4222?replicas=1'
  mimi matrix lab.toml --html matrix.html --json matrix.json")]
pub(super) struct MatrixArguments {
    /// The servers; without it, the reference server with itself, in every room version
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Without FILE: what reference servers keep data in; may be repeated
    #[arg(long, value_name = "STORE", default_value = "embedded", conflicts_with = "file")]
    store: Vec<String>,
    /// A folder with the CA of servers that are started: made once and reused; a temporary one unless given
    #[arg(long, value_name = "DIR")]
    ca_dir: Option<PathBuf>,
    /// The host name of servers that are started
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    host: String,
    /// Which MLS implementations the devices are of
    #[arg(long, value_name = "STACK", default_value_t = Stacks::Mixed)]
    mls: Stacks,
    /// The seed of every random choice of the suite
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write the matrix as JSON to this file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write it as one HTML file that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Tries every pair.
pub(super) async fn matrix(arguments: MatrixArguments) -> ExitCode {
    match arguments.execute().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            eprintln!("mimi matrix: {error}");
            ExitCode::from(USAGE)
        }
    }
}

/// What all pairs share.
struct Lab {
    host: String,
    ca_dir: PathBuf,
    program: PathBuf,
    ports: Ports,
    mls: Stacks,
    seed: u64,
}

impl MatrixArguments {
    async fn execute(self) -> Result<bool, Failure> {
        let config = match &self.file {
            Some(file) => Config::read(file)?,
            None => Config::reference(&self.store),
        };
        for path in self.json.iter().chain(&self.html).filter(|path| path.as_os_str() != "-") {
            let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
            opened.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let temporary = tempfile::tempdir()?;
        let lab = Lab {
            ca_dir: self.ca_dir.clone().unwrap_or_else(|| temporary.path().to_owned()),
            program: std::env::current_exe()?,
            ports: Ports::new(&self.host, std::net::IpAddr::from([127, 0, 0, 1]), None)?,
            host: self.host.clone(),
            mls: self.mls,
            seed: self.seed.unwrap_or_else(rand::random),
        };
        let started = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let mut cells = Vec::new();
        for hub in &config.servers {
            for participant in &config.servers {
                cells.extend(lab.pair(hub, participant, &config.room_versions).await);
            }
        }
        let matrix = Matrix {
            format: matrix::FORMAT,
            suite: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            seed: lab.seed,
            servers: config.servers.into_iter().map(|server| server.name).collect(),
            room_versions: config.room_versions.iter().map(ToString::to_string).collect(),
            cells,
        };
        self.publish(&matrix)?;
        Ok(matrix.is_success())
    }

    fn publish(&self, matrix: &Matrix) -> Result<(), Failure> {
        let table = matrix::table(matrix);
        let json =
            || -> Result<String, Failure> { Ok(format!("{}\n", serde_json::to_string_pretty(matrix)?)) };
        match &self.json {
            Some(path) if path.as_os_str() == "-" => {
                eprint!("{table}");
                print(&json()?);
            }
            Some(path) => {
                print(&table);
                write(path, &json()?)?;
            }
            None => print(&table),
        }
        self.html.as_ref().map_or(Ok(()), |path| write(path, &matrix::html(matrix)))
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}

impl Lab {
    /// The cells of a pair, one for each room version.
    async fn pair(
        &self,
        hub: &ServerConfig,
        participant: &ServerConfig,
        versions: &[RoomVersionId],
    ) -> Vec<Cell> {
        let cell = |version: &RoomVersionId| Cell {
            hub: hub.name.clone(),
            participant: participant.name.clone(),
            room_version: version.to_string(),
            verdict: Verdict::Fail,
            steps: Vec::new(),
            reason: None,
        };
        let failed = |error: Failure| {
            let fail = |version| Cell { reason: Some(error.to_string()), ..cell(version) };
            versions.iter().map(fail).collect::<Vec<_>>()
        };
        if hub.name == participant.name && !hub.can_be_two() {
            let reason = "there is one such server, and a hub does not participate in its own room";
            let skip =
                |version| Cell { verdict: Verdict::Skip, reason: Some(reason.to_owned()), ..cell(version) };
            return versions.iter().map(skip).collect();
        }
        let names = (hub.name.clone(), participant.name.clone());
        let (hub, participant) = match self.start(hub, participant).await {
            Ok(servers) => servers,
            Err(error) => return failed(error),
        };
        for (running, of) in [(&hub, &names.0), (&participant, &names.1)] {
            if let Err(why) = &running.target.control {
                let reason = format!("{of} is not tried: {why}");
                let skip =
                    |version| Cell { verdict: Verdict::Skip, reason: Some(reason.clone()), ..cell(version) };
                return versions.iter().map(skip).collect();
            }
        }
        let mut cells = Vec::new();
        for version in versions {
            match self.context(&hub, &participant) {
                Ok(ctx) => {
                    let (verdict, steps) = matrix::try_pair(&ctx, &participant.target, version).await;
                    cells.push(Cell { verdict, steps, ..cell(version) });
                }
                Err(error) => cells.push(Cell { reason: Some(error.to_string()), ..cell(version) }),
            }
        }
        cells
    }

    fn setup(&self, more: &[PathBuf]) -> Result<Setup, Failure> {
        Ok(Setup::new(&self.host, PeerCertificate::CaDir(self.ca_dir.clone()), more)?)
    }

    async fn start(
        &self,
        hub: &ServerConfig,
        participant: &ServerConfig,
    ) -> Result<(Running, Running), Failure> {
        let setup = self.setup(&[])?;
        let ca = setup.trusted().last().ok_or("there is no CA")?;
        let start =
            Start { ports: &self.ports, certificate: setup.certificate(), ca, program: &self.program };
        Ok((Running::start(&hub.how, &start).await?, Running::start(&participant.how, &start).await?))
    }

    fn context(&self, hub: &Running, participant: &Running) -> Result<Context, Failure> {
        let cas: Vec<PathBuf> = hub.ca.iter().chain(&participant.ca).cloned().collect();
        let resolve = hub.resolve.iter().chain(&participant.resolve).cloned().collect();
        let ports = Ports::new(&self.host, self.ports.listen(), None)?;
        let (target, setup) = (hub.target.clone(), self.setup(&cas)?);
        let environment = Environment::new(target, setup, ports, resolve, None, self.seed, self.mls)?;
        let order = self.mls.orders().into_iter().next().unwrap_or_default();
        Ok(Context::new(environment, order))
    }
}
