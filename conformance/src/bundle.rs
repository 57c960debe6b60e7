//! Bundles: what a case that did not pass sent and got, with the keys of the suite's servers, so that the exchange that
//! shows it can be repeated against a target that still runs (`mimi replay`).

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use mimi_linearized::base64;
use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::signing::SigningKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::case::Verdict;
use crate::environment::Environment;
use crate::evidence::Kept;
use crate::report::{CaseResult, Report};

/// The version of the format of `bundle.json`.
pub(crate) const FORMAT: u32 = 1;
/// The file that a program reads; the others are for people.
const FILE: &str = "bundle.json";

/// Why a bundle cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// A file.
    #[error("{path}: {error}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no bundle.
    #[error("{path} is no bundle: {error}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// It is one of another format.
    #[error("{path} has format {format}, and this program reads {FORMAT}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// A key is none.
    #[error("the key of {0} in the bundle is none")]
    Key(String),
}

/// A bundle.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bundle {
    /// [`FORMAT`]
    pub(crate) format: u32,
    /// The suite's version.
    pub(crate) suite: String,
    /// The seed of the run.
    pub(crate) seed: u64,
    /// The case.
    pub(crate) case: String,
    /// What came of it.
    pub(crate) verdict: Verdict,
    /// Why.
    pub(crate) reason: Option<String>,
    /// The target's name.
    pub(crate) target: String,
    /// How the suite and the target reach each other; nothing if the target was the suite's own and is gone.
    pub(crate) reach: Option<Reach>,
    /// The suite's servers in this case.
    pub(crate) servers: Vec<Server>,
    /// The exchange that shows it, from 0.
    pub(crate) telling: Option<usize>,
    /// All that were kept.
    pub(crate) exchanges: Vec<Kept>,
}

/// How the suite and the target reach each other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// Certificate authorities that the suite trusts.
    pub(crate) trusted: Vec<PathBuf>,
    /// The certificate of the suite's servers.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Names whose addresses are given, as `NAME=IP:PORT`.
    pub(crate) resolve: Vec<String>,
    /// The host name of the suite's servers.
    pub(crate) peer_host: String,
    /// Where they listen.
    pub(crate) peer_listen: IpAddr,
}

/// A server of the suite.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Server {
    /// Its name.
    pub(crate) name: ServerName,
    /// The id of its key.
    pub(crate) key_id: String,
    /// The seed of its key, in base64.
    pub(crate) seed: String,
}

impl Server {
    /// Its key.
    pub(crate) fn key(&self) -> Result<SigningKey, BundleError> {
        let wrong = || BundleError::Key(self.name.to_string());
        let id = KeyId::parse(&self.key_id).map_err(|_| wrong())?;
        let seed = base64::decode_array::<32>(&self.seed).ok_or_else(wrong)?;
        Ok(SigningKey::from_seed(id, &seed))
    }
}

/// The command that repeats the case, in one line.
pub(crate) fn command(case: &str, seed: u64) -> String {
    format!("mimi run --only '{case}' --seed {seed}")
}

/// Writes a folder for each case that failed or warned. Only people who may act for the suite's servers should read it.
pub(crate) fn write(folder: &Path, report: &Report, environment: &Environment) -> Result<(), BundleError> {
    for case in report.cases.iter().filter(|case| matches!(case.verdict, Verdict::Fail | Verdict::Warn)) {
        let bundle = bundle(report, case, environment);
        bundle.write(&folder.join(case.id.replace('/', "_")))?;
    }
    Ok(())
}

fn bundle(report: &Report, case: &CaseResult, environment: &Environment) -> Bundle {
    let exchanges: Vec<Kept> = case.evidence.iter().map(|evidence| evidence.kept.clone()).collect();
    let mut names = BTreeSet::new();
    for kept in &exchanges {
        let sides = kept.exchange.between.split(" -> ");
        names.extend(sides.filter_map(|side| ServerName::parse(side.strip_prefix("suite ")?).ok()));
    }
    let server = |name: ServerName| {
        let (key_id, seed) = environment.key_parts(&name);
        Server { name, key_id, seed: base64::encode(&seed) }
    };
    Bundle {
        format: FORMAT,
        suite: report.suite.version.clone(),
        seed: report.suite.seed,
        case: case.id.clone(),
        verdict: case.verdict,
        reason: case.reason.clone(),
        target: report.target.server_name.clone(),
        reach: environment.reach(),
        servers: names.into_iter().map(server).collect(),
        telling: case.telling.map(|telling| telling.exchange),
        exchanges,
    }
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> BundleError + '_ {
    |error| BundleError::File { path: path.to_owned(), error }
}

impl Bundle {
    /// Reads a bundle from its folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, BundleError> {
        let path = folder.join(FILE);
        let bytes = fs::read(&path).map_err(file(&path))?;
        let bundle: Self = serde_json::from_slice(&bytes)
            .map_err(|error| BundleError::Json { path: path.clone(), error })?;
        if bundle.format == FORMAT {
            Ok(bundle)
        } else {
            Err(BundleError::Format { path, format: bundle.format })
        }
    }

    fn write(&self, folder: &Path) -> Result<(), BundleError> {
        let exchanges = folder.join("exchanges");
        // What an earlier run left there is not this one's.
        match fs::remove_dir_all(&exchanges) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file(&exchanges)(error));
            }
            _ => fs::create_dir_all(&exchanges).map_err(file(&exchanges))?,
        }
        for (number, kept) in (1..).zip(&self.exchanges) {
            for (name, text) in [("request", request(kept)), ("response", response(kept))] {
                let path = exchanges.join(format!("{number:02}-{name}.http"));
                fs::write(&path, text).map_err(file(&path))?;
            }
        }
        for server in &self.servers {
            let path = folder.join(format!("{}.key", server.name.as_str().replace(':', "_")));
            fs::write(&path, format!("{} {}\n", server.key_id, server.seed)).map_err(file(&path))?;
        }
        let path = folder.join(FILE);
        let mut json = serde_json::to_string_pretty(self)
            .map_err(|error| BundleError::Json { path: path.clone(), error })?;
        json.push('\n');
        fs::write(&path, json).map_err(file(&path))?;
        let path = folder.join("COMMAND");
        fs::write(&path, self.line(folder)).map_err(file(&path))
    }

    /// The line that repeats what shows it: the exchange if its target may still run, and otherwise the case.
    fn line(&self, folder: &Path) -> String {
        if self.reach.is_some() && self.telling.is_some() {
            let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
            return format!("mimi replay '{}'\n", folder.display());
        }
        format!("{}\n", command(&self.case, self.seed))
    }
}

fn message(start: &str, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{start}\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push('\n');
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The bytes of a request's body.
pub(crate) fn body(kept: &Kept) -> Vec<u8> {
    let exact = kept.details.body_base64.as_ref().and_then(|text| base64::decode(text).ok());
    exact.unwrap_or_else(|| shown(&kept.exchange.body))
}

fn shown(body: &Value) -> Vec<u8> {
    match body {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        json => json.to_string().into_bytes(),
    }
}

fn request(kept: &Kept) -> Vec<u8> {
    let exchange = &kept.exchange;
    message(&format!("{} {}", exchange.method, exchange.url), &exchange.headers, &body(kept))
}

fn response(kept: &Kept) -> Vec<u8> {
    let start = kept.exchange.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    message(&start, &kept.details.answer_headers, &shown(&kept.exchange.answer))
}
