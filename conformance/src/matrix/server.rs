//! Servers while they run.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mimi_linearized::id::ServerName;
use mimi_transport::resolve::StaticEntry;
use mimi_transport::tls::{Roots, ServerCertificate, TlsError};
use serde_json::Value;
use tempfile::TempDir;

use super::config::How;
use crate::environment::{Ports, Reserved};
use crate::report::TargetInfo;
use crate::target::{self, Control, DriverError, Target, Undriven};

/// How long a server may take to say that it is ready.
const START: Duration = Duration::from_secs(60);

/// How much of what it complained of is shown, in bytes.
const COMPLAINT: usize = 500;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// There is no place for it.
    #[error("there is no place for a server: {0}")]
    Place(#[source] std::io::Error),
    /// A homeserver cannot be driven.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A CA cannot be used.
    #[error(transparent)]
    Ca(#[from] TlsError),
    /// The program cannot be started.
    #[error("{program} cannot be started: {error}")]
    Program {
        /// The program.
        program: String,
        /// Why.
        error: std::io::Error,
    },
    /// It did not say that it is ready.
    #[error(
        "{program} did not say within {} s that it is ready, by a line of JSON with `server_name` and `control`; its \
         first line was {got:?}, and the end of its standard error {error:?}",
        START.as_secs()
    )]
    NotReady {
        /// The program.
        program: String,
        /// What it printed.
        got: String,
        /// What it wrote last on standard error.
        error: String,
    },
}

/// What started servers are told.
pub(crate) struct Start<'s> {
    /// Names and ports.
    pub(crate) ports: &'s Ports,
    /// Their certificate.
    pub(crate) certificate: &'s ServerCertificate,
    /// The CA they trust.
    pub(crate) ca: &'s Path,
    /// This program.
    pub(crate) program: &'s Path,
}

/// A server while it runs. One that was started is killed in the end.
pub(crate) struct Running {
    /// How it is driven.
    pub(crate) target: Target,
    /// A CA that verifies its certificate, if it is none of the suite.
    pub(crate) ca: Option<std::path::PathBuf>,
    /// Where names are.
    pub(crate) resolve: Vec<StaticEntry>,
    _started: Option<Started>,
    _driven: Option<target::Matrix>,
}

struct Started {
    child: Child,
    _data: TempDir,
    _port: Reserved,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn target(name: ServerName, control: Control, driver: String) -> Target {
    let info = TargetInfo { server_name: name.to_string(), driver };
    Target { name, control: Ok(control), info, notary: None }
}

impl Running {
    /// Starts a server, or takes the one that runs.
    pub(crate) async fn start(how: &How, start: &Start<'_>) -> Result<Self, StartError> {
        match how {
            How::Start(words) => Self::spawn(words, start).await,
            How::Reach { server_name, control, ca, resolve } => Ok(Self {
                target: target(server_name.clone(), control.clone(), "control".to_owned()),
                ca: ca.clone(),
                resolve: resolve.clone(),
                _started: None,
                _driven: None,
            }),
            How::Homeserver { server_name, url, accounts, ca, resolve } => {
                let mut roots = Roots::system();
                for ca in ca.iter().map(AsRef::as_ref).chain([start.ca]) {
                    roots.add_pem_file(ca)?;
                }
                let (driven, _) =
                    target::Matrix::start(url, server_name.clone(), &roots, accounts.clone()).await?;
                let control = driven.control.clone();
                let mut target = target(server_name.clone(), control, format!("matrix={url}"));
                if !driven.has_linearized_rooms() {
                    target.control = Err(Undriven::OtherRooms);
                }
                let (ca, resolve) = (ca.clone(), resolve.clone());
                Ok(Self { target, ca, resolve, _started: None, _driven: Some(driven) })
            }
        }
    }

    async fn spawn(words: &[String], start: &Start<'_>) -> Result<Self, StartError> {
        let data = tempfile::tempdir().map_err(StartError::Place)?;
        let folder = data.path().join("data");
        std::fs::create_dir(&folder).map_err(StartError::Place)?;
        // Its port is its own as long as it runs.
        let port = start.ports.reserve(None).await.map_err(StartError::Place)?;
        let number = port.name.port().unwrap_or_default();
        let unique = format!("{:016x}", rand::random::<u64>());
        let fill = |word: &String| {
            let path = |path: &Path| path.display().to_string();
            [
                ("{mimi}", path(start.program)),
                ("{name}", port.name.to_string()),
                ("{port}", number.to_string()),
                ("{listen}", format!("{}:{number}", start.ports.listen())),
                ("{data}", path(&folder)),
                ("{cert}", path(&start.certificate.certificate)),
                ("{key}", path(&start.certificate.key)),
                ("{ca}", path(start.ca)),
                ("{unique}", unique.clone()),
            ]
            .iter()
            .fold(word.clone(), |word, (what, with)| word.replace(what, with))
        };
        let words: Vec<String> = words.iter().map(fill).collect();
        let (program, arguments) = words.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
        let failed = |error| StartError::Program { program: program.to_owned(), error };
        let path = data.path().join("stderr");
        let complaints = File::create(&path).map_err(StartError::Place)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .spawn()
            .map_err(failed)?;
        let out = child.stdout.take();
        let started = Started { child, _data: data, _port: port };
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            if let Some(out) = out {
                let _ = BufReader::new(out).read_line(&mut line);
            }
            line
        });
        let line = tokio::time::timeout(START, line).await.ok().and_then(Result::ok).unwrap_or_default();
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let text = |name: &str| ready.get(name).and_then(Value::as_str);
        let control = text("control").and_then(|address| Control::at(&format!("http://{address}")).ok());
        let name = text("server_name").and_then(|name| ServerName::parse(name).ok());
        match (name, control) {
            (Some(name), Some(control)) => Ok(Self {
                target: target(name, control, format!("control, started by {program}")),
                ca: None,
                resolve: Vec::new(),
                _started: Some(started),
                _driven: None,
            }),
            _ => {
                let text = std::fs::read(&path).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                // Its end: before that, a server may have logged much.
                let from = text.ceil_char_boundary(text.len().saturating_sub(COMPLAINT));
                let error = text.get(from..).unwrap_or_default().trim().to_owned();
                Err(StartError::NotReady { program: program.to_owned(), got: line, error })
            }
        }
    }
}
