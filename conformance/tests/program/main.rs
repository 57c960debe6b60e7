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
mod damage;
mod html;
mod image;
mod kills;
mod matrix;
mod mutants;
mod operation;
mod pair;
mod profiles;
mod report;
mod run;
mod serve;
mod services;
mod shim;
mod synapse;
mod templates;
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
    command.args(arguments).stdin(Stdio::null());
    // Some are settings of the program, and some of these tests.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MIMI_")) {
        command.env_remove(name);
    }
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
        Self::spawn(&arguments, Stdio::null())
    }

    /// Starts a server, and waits for its line.
    fn spawn(arguments: &[&str], log: Stdio) -> Self {
        let mut child = mimi(arguments).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
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
    let (status, _, body) = try_http(address, method, path, "", body).unwrap();
    (status, serde_json::from_str(&body).unwrap_or_default())
}

/// A plain HTTP/1.1 request with more headers, each with its line's end, to a server that may be gone: status, head, body.
fn try_http(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: Option<&Value>,
) -> std::io::Result<(u16, String, String)> {
    let body = body.map(ToString::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n\
         {body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    // A server that is killed sends nothing, or not all of it.
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut)?;
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    if length.is_some_and(|length: usize| length != body.len()) {
        return Err(cut());
    }
    Ok((status, head.to_owned(), body.to_owned()))
}

/// A room id as a segment of a path.
fn segment(room: &Value) -> String {
    room["room_id"].as_str().unwrap().replace('!', "%21").replace(':', "%3A")
}
