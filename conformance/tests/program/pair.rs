//! Two servers that reach each other, as programs.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use mimi_transport::clock;
use mimi_transport::tls::{DevCa, ServerCertificate};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Serving, segment};

/// A folder for servers on loopback that trust each other.
pub(crate) struct Ground {
    folder: TempDir,
    ca: PathBuf,
    certificate: ServerCertificate,
}

/// A server that can be started again where it was.
pub(crate) struct Spot {
    pub(crate) name: String,
    address: String,
    pub(crate) data: PathBuf,
}

impl Spot {
    /// The file of what the server logs.
    pub(crate) fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }
}

impl Ground {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = DevCa::open(folder.path(), clock::now_ms()).unwrap();
        let certificate = ca.server_certificate(folder.path(), &["localhost"], clock::now_ms()).unwrap();
        Self { ca: ca.certificate().to_owned(), certificate, folder }
    }

    /// A place for a server: a port that is free now, and a folder. Systems give ports from 32,768 on to whoever asks for
    /// any, so one below that is still free when the server comes back.
    pub(crate) fn spot(&self) -> Spot {
        let bound = std::iter::repeat_with(|| 10_240 + rand::random::<u16>() % 20_000)
            .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
        let address = bound.unwrap().local_addr().unwrap();
        let data = self.folder.path().join(address.port().to_string());
        Spot { name: format!("localhost:{}", address.port()), address: address.to_string(), data }
    }

    /// Starts the server of a place.
    pub(crate) fn start(&self, spot: &Spot, more: &[&str]) -> Serving {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let (cert, key) = (text(&self.certificate.certificate), text(&self.certificate.key));
        let ca = text(&self.ca);
        let mut arguments = vec!["--tls-cert", &cert, "--tls-key", &key, "--ca", &ca];
        arguments.extend(more);
        let data = text(&spot.data);
        arguments.extend(["--server-name", &spot.name, "--listen", &spot.address, "--data-dir", &data]);
        let mut all = vec!["serve", "--control", "127.0.0.1:0"];
        all.append(&mut arguments);
        let log = OpenOptions::new().create(true).append(true).open(spot.log()).unwrap();
        Serving::spawn(&all, log.into())
    }
}

/// Creates a room at `hub` and has bob of `participant` join it.
pub(crate) fn room_of(hub: &Serving, participant: &Serving) -> Value {
    let (status, room) =
        hub.control("POST", "/rooms", Some(&json!({"creator": "alice", "join_rule": "public"})));
    assert_eq!(status, 200, "{room}");
    let join =
        json!({"sender": "bob", "target": "bob", "membership": "join", "via": [hub.ready["server_name"]]});
    let (status, joined) =
        participant.control("POST", &format!("/rooms/{}/membership", segment(&room)), Some(&join));
    assert_eq!(status, 200, "{joined}");
    room
}

/// All events that a server has of a room.
pub(crate) fn list(serving: &Serving, room: &Value) -> Vec<Value> {
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let path = format!("/rooms/{}/events?from={from}", segment(room));
        let (status, page) = serving.control("GET", &path, None);
        assert_eq!(status, 200, "{page}");
        all.extend(page["events"].as_array().unwrap().iter().cloned());
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => return all,
        }
    }
}
