//! `mimi serve` and a participant of other people's parts: `third-party/participant.py`, with `httpx` or `curl` for its
//! requests, `hypercorn` for those it gets, and signing of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mimi_transport::clock;
use mimi_transport::tls::DevCa;
use serde_json::{Value, json};

use super::{Serving, segment, text};

/// The environment variable that names a Python with the packages of `third-party/requirements.txt`. If it is set, what
/// is missing is an error.
const PYTHON: &str = "MIMI_PYTHON";

/// A Python that has what the participant imports, or why there is none.
pub(super) fn python() -> Result<String, String> {
    let named = std::env::var(PYTHON).ok();
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let imports = ["-c", "import cryptography, h2, httpx, hypercorn"];
    let found = Command::new(&python).args(imports).stdin(Stdio::null()).output();
    let missing = match found {
        Ok(output) if output.status.success() => return Ok(python),
        Ok(_) => format!("{python} does not have the packages of conformance/third-party/requirements.txt"),
        Err(error) => format!("{python}: {error}"),
    };
    assert!(named.is_none(), "{PYTHON} is set, and {missing}");
    Err(missing)
}

/// Whether there is a `curl` with HTTP/2.
fn curl() -> Result<(), String> {
    let version = Command::new("curl").arg("--version").stdin(Stdio::null()).output();
    let missing = match version {
        Ok(output) if text(&output.stdout).contains("HTTP2") => return Ok(()),
        Ok(_) => "curl does not speak HTTP/2".to_owned(),
        Err(error) => format!("curl: {error}"),
    };
    assert!(std::env::var_os(PYTHON).is_none(), "{PYTHON} is set, and {missing}");
    Err(missing)
}

pub(super) fn skipped(why: &str) {
    // Not `eprintln!`: what a passing test prints is not shown.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("third-party")
}

/// Has the participant join a room, speak in it and read it back, and looks at the hub's list afterwards.
fn takes_part(python: &str, http: &str) {
    let world = tempfile::tempdir().unwrap();
    let ca = DevCa::open(world.path(), clock::now_ms()).unwrap();
    let certificate = ca.server_certificate(world.path(), &["localhost"], clock::now_ms()).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (ca, certificate, key) =
        (path(ca.certificate()), path(&certificate.certificate), path(&certificate.key));

    let data = world.path().join("data");
    let more = ["--tls-cert", &*certificate, "--tls-key", &*key, "--ca", &*ca];
    let hub = Serving::start(&data, "localhost", "127.0.0.1:0", &more);
    let (_, port) = hub.ready["federation"].as_str().unwrap().rsplit_once(':').unwrap();
    let (_, room) = hub.control("POST", "/rooms", Some(&json!({"creator": "alice", "join_rule": "public"})));

    let output = Command::new(python)
        .arg(folder().join("participant.py"))
        .args(["--hub", "localhost", "--hub-address", &format!("localhost:{port}")])
        .args(["--room", room["room_id"].as_str().unwrap(), "--http", http])
        .args(["--ca", &ca, "--certificate", &certificate, "--key", &key])
        .stdin(Stdio::null())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();

    let (_, summary) = hub.control("GET", &format!("/rooms/{}", segment(&room)), None);
    assert_eq!(summary["length"], done["history"], "the participant read the whole list");
    assert_eq!(summary["head"], done["message"], "the forbidden event is not in the list");
    let guests = summary["members"].as_object().unwrap().iter().filter(|(user, _)| user.contains("@guido:"));
    assert_eq!(guests.map(|(_, membership)| membership).collect::<Vec<_>>(), ["join"]);
}

#[test]
fn a_participant_with_httpx_and_hypercorn_takes_part() {
    match python() {
        Ok(python) => takes_part(&python, "httpx"),
        Err(why) => skipped(&why),
    }
}

#[test]
fn a_participant_with_curl_takes_part() {
    match python().and_then(|python| curl().map(|()| python)) {
        Ok(python) => takes_part(&python, "curl"),
        Err(why) => skipped(&why),
    }
}
