//! The processes, and what they share.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use mimi_linearized::id::ServerName;
use mimi_linearized::signing::SigningKey;
use mimi_transport::client::{ClientLimits, FederationClient};
use mimi_transport::clock;
use mimi_transport::resolve::{AddressPolicy, ResolveOptions, Resolver, StaticEntry};
use mimi_transport::start::ServerConfig;
use mimi_transport::tls::{ClientOffer, DevCa, Roots, ServerCertificate, client_config};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use tempfile::TempDir;

/// The CPU time of this process so far.
pub(crate) fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

/// A folder with a CA, for all processes.
pub(crate) enum World {
    Own(TempDir),
    Given(String),
}

impl World {
    pub(crate) fn new() -> Self {
        Self::Own(tempfile::tempdir().unwrap())
    }

    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Given(folder) => Path::new(folder),
        }
    }

    fn ca(&self) -> DevCa {
        DevCa::open(self.folder(), clock::now_ms()).unwrap()
    }

    pub(crate) fn certificate(&self) -> ServerCertificate {
        self.ca().server_certificate(self.folder(), &["localhost"], clock::now_ms()).unwrap()
    }

    /// The configuration of a server with its data in a folder of its own.
    pub(crate) fn config(&self, name: &str, data: &str, resolve: Vec<StaticEntry>) -> ServerConfig {
        ServerConfig {
            certificate: Some(self.certificate()),
            cas: vec![self.ca().certificate().to_owned()],
            resolve,
            ..ServerConfig::new(ServerName::parse(name).unwrap(), self.folder().join(data))
        }
    }

    /// A client in the name of a server.
    pub(crate) fn client(&self, name: &ServerName, key: SigningKey) -> FederationClient {
        let mut roots = Roots::none();
        roots.add_pem_file(self.ca().certificate()).unwrap();
        let policy = AddressPolicy { allow_private: false, allow_loopback: true };
        let resolver = Resolver::new(&roots, ResolveOptions { policy, ..ResolveOptions::default() }).unwrap();
        let tls = client_config(&roots, ClientOffer::default()).unwrap();
        FederationClient::new(name.clone(), [key], resolver, tls, ClientLimits::default())
    }
}

/// Another process of this program. It answers each line with a line, and ends with its input.
pub(crate) struct Process {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub(crate) name: String,
    /// What it said first.
    pub(crate) ready: Value,
}

impl Process {
    pub(crate) fn start(role: &str, folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(role)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let questions = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let name = ready["name"].as_str().unwrap().to_owned();
        Self { child, questions, answers, name, ready }
    }

    /// Asks it something. Blocks, with nothing else to do meanwhile but on other threads.
    pub(crate) fn ask(&mut self, question: &str) -> String {
        writeln!(self.questions.as_mut().unwrap(), "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Its CPU time so far.
    pub(crate) fn cpu(&mut self) -> Duration {
        Duration::from_nanos(self.ask("cpu").parse().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.child.wait();
    }
}
