//! The shim of `docs/test-your-server.md`: the suite drives a toy server in Python through `third-party/shim.py`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::third_party::{folder, python, skipped};
use super::{code, mimi, output, text};

/// The shim while it runs.
struct Shim(Child);

impl Drop for Shim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_toy_server_is_driven_through_a_shim() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => return skipped(&why),
    };
    let world = tempfile::tempdir().unwrap();
    let peers = world.path().join("peers");
    let file = |name: &str| peers.join(name).to_str().unwrap().to_owned();
    let setup = ["run", "--print-setup", "--target", "localhost", "--peer-ca-dir", peers.to_str().unwrap()];
    assert_eq!(code(&output(&setup)), 0);
    let mut child = Command::new(python)
        .arg(folder().join("shim.py"))
        .args(["--ca", &file("ca.pem"), "--certificate", &file("tls.pem"), "--key", &file("tls-key.pem")])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let read = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line);
    let _shim = Shim(child);
    assert!(read.unwrap() > 0, "the shim does not start");
    let ready: Value = serde_json::from_str(&line).unwrap();

    let driver = format!("control={}", ready["control"].as_str().unwrap());
    let only = "{5.1,12.7.2.1,12.7.3.2}/*";
    let judged = mimi(&["run", "--target", ready["server_name"].as_str().unwrap(), "--driver", &driver])
        .args(["--peer-ca-dir", peers.to_str().unwrap(), "--only", only, "--json", "-"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&judged.stdout).unwrap_or_default();
    let with = |verdict: &'static str| {
        let cases = report["cases"].as_array().into_iter().flatten();
        cases.filter(move |case| case["verdict"] == verdict).collect::<Vec<_>>()
    };
    // It takes part in rooms, and says what it cannot do; what it does wrong is found.
    assert!(with("pass").len() >= 5, "{}", text(&judged.stderr));
    let cannot = |case: &&&Value| case["reason"].as_str().is_some_and(|why| why.contains("cannot be a hub"));
    assert!(with("skip").iter().filter(cannot).count() >= 5, "{}", text(&judged.stderr));
    assert!(with("fail").iter().any(|case| case["id"] == "5.1/size-of-a-pdu"), "{}", text(&judged.stderr));
    assert_eq!(code(&judged), 1);
}
