//! The program as its user runs it: the command line, what it prints, how it ends, and what survives `kill -9`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here is the test, and so it should"
)]

mod check;
mod chromium;
mod control;
mod coverage;
mod html;
mod mutants;
mod report;
mod run;
mod serve;
mod synapse;
mod third_party;
mod vectors;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The program with arguments.
fn mimi(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimi"));
    command.args(arguments).stdin(Stdio::null()).env_remove("MIMI_LOG");
    command
}

/// Runs the program to its end.
fn output(arguments: &[&str]) -> Output {
    mimi(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `mimi serve` while it runs. It is killed when the test is over.
struct Serving {
    child: Child,
    ready: Value,
}

impl Serving {
    /// Starts a server in a folder, with a control API, and waits for its line.
    fn start(data: &Path, name: &str, listen: &str, more: &[&str]) -> Self {
        let mut arguments =
            vec!["serve", "--server-name", name, "--listen", listen, "--control", "127.0.0.1:0"];
        arguments.extend(["--data-dir", data.to_str().unwrap()]);
        arguments.extend(more);
        let mut child = mimi(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    fn address(&self, which: &str) -> String {
        self.ready[which].as_str().unwrap().to_owned()
    }

    fn signal(&self, signal: &str) {
        let sent =
            Command::new("sh").args(["-c", &format!("kill {signal} {}", self.child.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Calls the control API.
    fn control(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        http(&self.address("control"), method, &format!("/control/v1{path}"), body)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A plain HTTP/1.1 request.
fn http(address: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let body = body.map(ToString::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

/// A room id as a segment of a path.
fn segment(room: &Value) -> String {
    room["room_id"].as_str().unwrap().replace('!', "%21").replace(':', "%3A")
}
