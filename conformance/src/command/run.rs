//! `mimi run`: the conformance suite.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use globset::{Glob, GlobMatcher};
use mimi_linearized::id::ServerName;
use mimi_transport::assembly::{Assembly, Unchanged};
use mimi_transport::resolve::StaticEntry;
use mimi_transport::tls::ServerCertificate;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::outputs::OutputArguments;
use crate::bundle;
use crate::case::Case;
use crate::cases;
use crate::catalogue::Level;
use crate::environment::{Environment, PeerCertificate, Ports, Setup};
use crate::mls::Stacks;
use crate::output::print;
use crate::preflight;
use crate::profile::{Profile, Terms};
use crate::report::{Progress, Report, SuiteInfo, TargetInfo};
use crate::runner;
use crate::target::{Accounts, Control, Embedded, Matrix, Target, Undriven};
use crate::{FAILED, UNREACHABLE, USAGE};

/// Run the conformance suite: against reference servers that it starts itself, or against --target.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 every required case passed, or failed as --expect has it; 1 one failed, or passed against it; 2 the command line is wrong; 3 the target cannot be reached, or
cannot reach the suite's own servers.

Examples:
  mimi run
  mimi run --only '5.2.3/*' --json report.json --html report.html
  mimi run --profile closed-federation
  mimi run --expect known.toml --baseline last-week.json --bundles failures
  mimi run --print-setup --peer-ca-dir ./peers
  mimi run --target localhost:8448 --driver control=http://127.0.0.1:8449 --ca data/ca.pem --peer-ca-dir ./peers")]
pub(crate) struct RunArguments {
    /// The server to test; without it, a reference server that the suite starts
    #[arg(long, value_name = "NAME")]
    target: Option<ServerName>,
    /// How the target is driven: embedded (the reference server), control=URL (the control API), matrix=URL (the Matrix
    /// client-server API), none (federation only)
    #[arg(long, value_name = "DRIVER")]
    driver: Option<Driver>,
    #[command(flatten)]
    matrix: MatrixArguments,
    /// A certificate authority to trust beside the operating system's; may be repeated
    #[arg(long, value_name = "PEM")]
    ca: Vec<PathBuf>,
    /// Where a server name is, instead of asking DNS; may be repeated
    #[arg(long, value_name = "NAME=IP:PORT")]
    resolve: Vec<StaticEntry>,
    /// The host name of the suite's own servers, under which the target reaches them
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    peer_host: String,
    /// The address at which the suite's own servers listen
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    peer_listen: IpAddr,
    /// The ports at which they listen, one for each server, some 400 in a whole run; free ones unless given
    #[arg(long, value_name = "A-B")]
    peer_ports: Option<PortRange>,
    /// The certificate chain of the suite's own servers, valid for --peer-host
    #[arg(long, value_name = "PEM", requires = "peer_tls_key", conflicts_with = "peer_ca_dir")]
    peer_tls_cert: Option<PathBuf>,
    /// That certificate's private key
    #[arg(long, value_name = "PEM", requires = "peer_tls_cert")]
    peer_tls_key: Option<PathBuf>,
    /// A folder with a CA that issues that certificate: made once and reused; the target has to trust its ca.pem
    #[arg(long, value_name = "DIR")]
    peer_ca_dir: Option<PathBuf>,
    /// The port of the one of them that the target asks as a notary (`mimi serve --notary HOST:PORT`), if it does
    #[arg(long, value_name = "PORT")]
    peer_notary: Option<u16>,
    /// Let the suite's own servers speak HTTP/1.1 too, for a target that has no HTTP/2 and fails the cases about it
    #[arg(long)]
    peer_http1: bool,
    /// Say what the target has to be told, and end
    #[arg(long)]
    print_setup: bool,
    /// A profile: core, strict, closed-federation and others, or a path to a TOML file. It says which cases are tried, which
    /// levels count, and with which settings the reference server is started; docs/profiles/ has a page about each
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// With a profile of a closed federation: a second host name for where the suite's own servers listen, that is outside
    #[arg(long, value_name = "HOST", requires = "profile")]
    outsider_host: Option<String>,
    /// Only cases whose id matches, such as '5.2.3/*'
    #[arg(long, value_name = "GLOB")]
    only: Option<CaseGlob>,
    /// Only cases of this section and those below it
    #[arg(long, value_name = "SECTION")]
    section: Option<String>,
    /// Only cases that bind at least this much
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    #[command(flatten)]
    outputs: OutputArguments,
    /// List the cases and end
    #[arg(long)]
    list: bool,
    /// Which MLS implementations the suite's own devices are of: openmls, mls-rs, or mixed: of each in turn
    #[arg(long, value_name = "STACK", default_value_t = Stacks::Mixed)]
    mls: Stacks,
    /// The seed of every random choice of the suite
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// How users get onto a homeserver that is driven with `matrix=URL`.
#[derive(Debug, Args)]
struct MatrixArguments {
    /// With matrix=URL: the password of the users that the suite registers there, or logs in
    #[arg(long, value_name = "PASSWORD", env = "MIMI_MATRIX_PASSWORD", hide_env_values = true)]
    #[arg(default_value = Accounts::PASSWORD)]
    matrix_password: String,
    /// With matrix=URL: the token that registering asks for, if it does
    #[arg(long, value_name = "TOKEN", env = "MIMI_MATRIX_TOKEN", hide_env_values = true)]
    matrix_token: Option<String>,
}

/// How the target is driven.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Driver {
    /// It is the reference server, started by the suite.
    Embedded,
    /// Through the control API at this URL.
    Control(String),
    /// Through the Matrix client-server API at this URL.
    Matrix(String),
    /// Not at all.
    None,
}

impl FromStr for Driver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.split_once('=')) {
            ("embedded", _) => Ok(Self::Embedded),
            ("none", _) => Ok(Self::None),
            (_, Some(("control", url))) => Ok(Self::Control(url.to_owned())),
            (_, Some(("matrix", url))) => Ok(Self::Matrix(url.to_owned())),
            _ => Err("it is embedded, control=URL, matrix=URL or none".to_owned()),
        }
    }
}

/// Ports from a first to a last.
#[derive(Debug, Clone, Copy)]
struct PortRange(u16, u16);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        let ends = text.split_once('-').and_then(|(first, last)| Some((parse(first)?, parse(last)?)));
        match ends.filter(|(first, last)| first <= last) {
            Some((first, last)) => Ok(Self(first, last)),
            None => Err("it is two ports, such as 9000-9099".to_owned()),
        }
    }
}

/// A pattern for case ids.
#[derive(Debug, Clone)]
pub(super) struct CaseGlob(pub(super) GlobMatcher);

impl FromStr for CaseGlob {
    type Err = globset::Error;

    fn from_str(text: &str) -> Result<Self, globset::Error> {
        Ok(Self(Glob::new(text)?.compile_matcher()))
    }
}

/// Why the suite did not run.
enum Refusal {
    /// The command line is wrong.
    Usage(String),
    /// The target and the suite do not reach each other.
    Unreachable(String),
}

fn usage(error: impl std::fmt::Display) -> Refusal {
    Refusal::Usage(error.to_string())
}

/// Runs the suite.
pub(crate) async fn run(arguments: RunArguments) -> ExitCode {
    match arguments.execute().await {
        Ok(code) => code,
        Err(Refusal::Usage(error)) => {
            eprintln!("mimi run: {error}");
            ExitCode::from(USAGE)
        }
        Err(Refusal::Unreachable(error)) => {
            eprintln!("mimi run: {error}");
            ExitCode::from(UNREACHABLE)
        }
    }
}

impl RunArguments {
    async fn execute(self) -> Result<ExitCode, Refusal> {
        let profile = self.profile.as_deref().map(Profile::find).transpose().map_err(usage)?;
        let selected = self.select(profile.as_ref());
        if selected.is_empty() {
            return Err(usage("no case matches; `mimi run --list` shows all of them"));
        }
        if self.list {
            for case in selected {
                let (level, role) = (case.level.as_str(), case.role.as_str());
                print(&format!("{level:<6} {role:<11} {:<44} {}\n", case.id, case.title));
            }
            return Ok(ExitCode::SUCCESS);
        }
        let prepared = self.outputs.prepare().map_err(usage)?;
        let driver = self.driver()?;
        let setup = Setup::new(&self.peer_host, self.certificate(&driver)?, &self.ca)
            .map_err(usage)?
            .with_http1(self.peer_http1);
        let range = self.peer_ports.map(|PortRange(first, last)| (first, last));
        let ports = Ports::new(&self.peer_host, self.peer_listen, range).map_err(usage)?;
        if self.print_setup {
            self.print_setup(&setup);
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(host) = &self.outsider_host {
            if host.eq_ignore_ascii_case(ports.host()) {
                return Err(usage(
                    "--outsider-host is the name of the suite's other servers, --peer-host: nobody can tell them apart",
                ));
            }
            setup.certificate_for(host).map_err(|error| usage(format!("--outsider-host: {error}")))?;
        }
        // What the profile has the reference server started with is there as long as that runs.
        let mut settled = None;
        let (network, embedded) = match driver {
            Driver::Embedded => {
                if let Some(profile) = &profile {
                    settled = Some(profile.server().settle(ports.host()).await.map_err(usage)?);
                }
                let network = setup.network(&ports).await.map_err(usage)?;
                let assembly = settled.as_ref().map_or(&Unchanged as &dyn Assembly, |settled| settled);
                let embedded =
                    Embedded::assemble(&setup, &ports, &self.resolve, network.as_ref(), assembly).await;
                (network, Some(embedded.map_err(usage)?))
            }
            Driver::Control(_) | Driver::Matrix(_) | Driver::None => (None, None),
        };
        // What drives the target goes on as long as the cases do.
        let (target, _driving) = match &embedded {
            Some(embedded) => (embedded.target().clone(), None),
            None => self.external(&driver, &setup, &ports).await?,
        };
        let seed = self.seed.unwrap_or_else(rand::random);
        let environment =
            Environment::new(target, setup, ports, self.resolve.clone(), network, seed, self.mls)
                .map_err(usage)?;
        environment.agree(Terms {
            counts: profile.as_ref().map_or(Level::Must, Profile::counts),
            outsider_host: self.outsider_host.clone(),
        });
        if embedded.is_none() {
            preflight::check(&environment).await.map_err(Refusal::Unreachable)?;
        }

        let started = (OffsetDateTime::now_utc(), Instant::now());
        let progress = Progress::new(selected.len());
        let outcomes = runner::run(&environment, &selected, &progress).await;
        progress.finish();
        let suite = SuiteInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
            mls: self.mls.to_string(),
            started: started.0.format(&Rfc3339).unwrap_or_default(),
            duration_ms: u64::try_from(started.1.elapsed().as_millis()).unwrap_or(u64::MAX),
            cases: profile.as_ref().map_or_else(|| cases::all().count(), |profile| profile.cases().count()),
        };
        let info = environment.target.info.clone();
        let mut report = Report::new(suite, info, outcomes, &prepared.expectations);
        report.profile = profile.as_ref().map(Profile::info);
        if let Some(folder) = self.outputs.bundles() {
            bundle::write(folder, &report, &environment).map_err(usage)?;
        }
        if let Some(embedded) = embedded {
            embedded.stop().await;
        }
        self.outputs.publish(&mut report, prepared.into_baseline()).map_err(usage)?;
        Ok(if report.is_success() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    /// The cases that are asked for.
    fn select(&self, profile: Option<&Profile>) -> Vec<&'static Case> {
        let below = |case: &Case, section: &str| {
            let rest = case.section().strip_prefix(section);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let of_profile = |profile: &Profile| profile.cases().collect::<Vec<_>>();
        let cases = profile.map_or_else(|| cases::all().collect(), of_profile);
        cases
            .into_iter()
            .filter(|case| self.only.as_ref().is_none_or(|only| only.0.is_match(case.id)))
            .filter(|case| self.section.as_ref().is_none_or(|section| below(case, section)))
            .filter(|case| self.level.is_none_or(|level| case.level <= level))
            .collect()
    }

    fn driver(&self) -> Result<Driver, Refusal> {
        match (&self.target, &self.driver) {
            (None, None | Some(Driver::Embedded)) => Ok(Driver::Embedded),
            (None, Some(_)) => Err(usage("--driver needs --target")),
            (Some(_), Some(Driver::Embedded)) => {
                Err(usage("--driver embedded is for the suite's own server, not for --target"))
            }
            (Some(_), Some(driver)) => Ok(driver.clone()),
            (Some(_), None) => Ok(Driver::None),
        }
    }

    fn certificate(&self, driver: &Driver) -> Result<PeerCertificate, Refusal> {
        match (&self.peer_tls_cert, &self.peer_tls_key, &self.peer_ca_dir) {
            (Some(certificate), Some(key), None) => {
                let (certificate, key) = (certificate.clone(), key.clone());
                Ok(PeerCertificate::Given(ServerCertificate { certificate, key }))
            }
            (_, _, Some(folder)) => Ok(PeerCertificate::CaDir(folder.clone())),
            _ if *driver == Driver::Embedded && !self.print_setup => Ok(PeerCertificate::Temporary),
            _ => Err(usage(
                "the target has to trust the certificate of the suite's own servers: give --peer-ca-dir DIR and let the \
                 target trust DIR/ca.pem, or give --peer-tls-cert and --peer-tls-key",
            )),
        }
    }

    async fn external(
        &self,
        driver: &Driver,
        setup: &Setup,
        ports: &Ports,
    ) -> Result<(Target, Option<Matrix>), Refusal> {
        let name = self.target.clone().ok_or_else(|| usage("--target is missing"))?;
        let mut driving = None;
        let (control, how) = match driver {
            Driver::Control(url) => (Ok(Control::at(url).map_err(usage)?), format!("control={url}")),
            Driver::Matrix(url) => {
                let matrix = self.drive(url, &name, setup).await?;
                let control = if matrix.has_linearized_rooms() {
                    Ok(matrix.control.clone())
                } else {
                    Err(Undriven::OtherRooms)
                };
                driving = Some(matrix);
                (control, format!("matrix={url}"))
            }
            Driver::Embedded | Driver::None => (Err(Undriven::NoDriver), "none".to_owned()),
        };
        let info = TargetInfo { server_name: name.to_string(), driver: how };
        let notary = match self.peer_notary {
            Some(port) => Some(Arc::new(ports.reserve(Some(port)).await.map_err(usage)?)),
            None => None,
        };
        Ok((Target { name, control, info, notary }, driving))
    }

    /// Starts driving a homeserver, which shows that it can be driven.
    async fn drive(&self, url: &str, name: &ServerName, setup: &Setup) -> Result<Matrix, Refusal> {
        let roots = setup.roots().map_err(usage)?;
        let accounts = Accounts {
            password: self.matrix.matrix_password.clone(),
            registration_token: self.matrix.matrix_token.clone(),
        };
        let started = Matrix::start(url, name.clone(), &roots, accounts).await;
        let (matrix, tried) = started.map_err(|error| Refusal::Unreachable(error.to_string()))?;
        eprintln!(
            "The homeserver is driven: {tried}. Its room versions: {}.",
            matrix.room_versions.join(", ")
        );
        Ok(matrix)
    }

    /// Says what the target has to be told of the suite's own servers.
    fn print_setup(&self, setup: &Setup) {
        let ports = match self.peer_ports {
            Some(PortRange(first, last)) => format!("ports {first} to {last}"),
            None => "any free port (limit them with --peer-ports A-B)".to_owned(),
        };
        let host = &self.peer_host;
        let trust = match (&self.peer_tls_cert, setup.trusted().last()) {
            (Some(certificate), _) => format!("the certificate in {}", certificate.display()),
            (None, Some(ca)) => format!("the certificate authority in {}", ca.display()),
            (None, None) => "their certificate".to_owned(),
        };
        print(&format!(
            "The suite's own servers are named {host}:PORT and listen at {}, {ports}.\nThe target has to\n  \
             - resolve {host} to that address, and be allowed to connect there\n  - trust {trust}\n",
            self.peer_listen,
        ));
    }
}
