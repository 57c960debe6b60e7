//! Processes of one server, of which some are real ones, and another server that takes part in its rooms.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mimi_linearized::id::{EventId, RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_transport::clock;
use mimi_transport::node::Node;
use mimi_transport::rooms::Sent;
use mimi_transport::start::{Server, ServerConfig};
use mimi_transport::store::Record;
use mimi_transport::store::choice::StoreChoice;
use mimi_transport::tls::{DevCa, ServerCertificate};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What a process is told by whoever starts it.
const TOLD: &str = "MIMI_CLUSTER_PROCESS";

/// One server's name, key and certificate, for as many processes as it has.
pub(crate) struct Identity {
    pub(crate) name: ServerName,
    folder: TempDir,
    ca: PathBuf,
    certificate: ServerCertificate,
}

impl Identity {
    /// A server that others reach at an address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let name = ServerName::parse(&format!("localhost:{}", address.port())).unwrap();
        let folder = super::work::folder("server");
        let ca = DevCa::open(folder.path(), clock::now_ms()).unwrap();
        let certificate = ca.server_certificate(folder.path(), &["localhost"], clock::now_ms()).unwrap();
        Self { name, ca: ca.certificate().to_owned(), certificate, folder }
    }

    pub(crate) fn user(&self, localpart: &str) -> UserId {
        UserId::new(localpart, &self.name).unwrap()
    }

    /// A data folder of its own for each process; all have the key of the first.
    fn data(&self, process: &str) -> PathBuf {
        let data = self.folder.path().join(process);
        std::fs::create_dir_all(&data).unwrap();
        let key = self.folder.path().join("signing.key");
        if key.exists() {
            std::fs::copy(&key, data.join("signing.key")).unwrap();
        }
        data
    }

    fn keep_key(&self, data: &Path) {
        let key = self.folder.path().join("signing.key");
        if !key.exists() {
            std::fs::copy(data.join("signing.key"), key).unwrap();
        }
    }

    /// Starts a process of it within this one, on an address of its own. `cas` are those of other servers.
    pub(crate) async fn start(&self, process: &str, store: &str, cas: &[PathBuf]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.start_on(listener, process, store, cas).await
    }

    pub(crate) async fn start_on(
        &self,
        listener: TcpListener,
        process: &str,
        store: &str,
        cas: &[PathBuf],
    ) -> Server {
        let data = self.data(process);
        let config = ServerConfig {
            certificate: Some(self.certificate.clone()),
            cas: [std::slice::from_ref(&self.ca), cas].concat(),
            store: store.parse().unwrap(),
            ..ServerConfig::new(self.name.clone(), data.clone())
        };
        let server = Server::start(config, listener, None).await.unwrap();
        self.keep_key(&data);
        server
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.ca.clone()
    }

    /// Starts a real process of it that speaks in a room without an end.
    pub(crate) fn spawn(&self, process: &str, store: &str, room: &RoomId, cas: &[PathBuf]) -> Process {
        let cas = [std::slice::from_ref(&self.ca), cas].concat();
        let told = json!({
            "name": self.name,
            "data": self.data(process),
            "cas": cas,
            "certificate": self.certificate.certificate,
            "key": self.certificate.key,
            "store": store,
            "room": room,
        });
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hub::a_process", "--ignored", "--nocapture"])
            .env(TOLD, told.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (output, kept) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&sent));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(id) = line.strip_prefix("sent ") {
                    kept.lock().unwrap().push(EventId::parse(id).unwrap());
                }
            }
        });
        Process { child, sent }
    }
}

/// A real process. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    sent: Arc<Mutex<Vec<EventId>>>,
}

impl Process {
    /// The events that it was told are sent.
    pub(crate) fn sent(&self) -> Vec<EventId> {
        self.sent.lock().unwrap().clone()
    }

    /// Kills it at once, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a real process does; nothing if nobody has told it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of the other tests, which start it as a process"]
async fn a_process() {
    let Ok(told) = std::env::var(TOLD) else { return };
    super::work::log();
    let told: Value = serde_json::from_str(&told).unwrap();
    let path = |field: &str| PathBuf::from(told[field].as_str().unwrap());
    let name = ServerName::parse(told["name"].as_str().unwrap()).unwrap();
    let config = ServerConfig {
        certificate: Some(ServerCertificate { certificate: path("certificate"), key: path("key") }),
        cas: serde_json::from_value(told["cas"].clone()).unwrap(),
        store: told["store"].as_str().unwrap().parse::<StoreChoice>().unwrap(),
        ..ServerConfig::new(name.clone(), path("data"))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(config, listener, None).await.unwrap();
    let room = RoomId::parse(told["room"].as_str().unwrap()).unwrap();
    let alice = UserId::new("alice", &name).unwrap();
    let mut pace = tokio::time::interval(super::work::PACE);
    for number in 0.. {
        pace.tick().await;
        if let Ok(Sent::Event(id)) = say(server.node(), &room, &alice, &format!("process {number}")).await {
            println!("sent {id}");
        }
    }
}

/// Sends a message.
pub(crate) async fn say(
    node: &Node,
    room: &RoomId,
    user: &UserId,
    body: &str,
) -> Result<Sent, mimi_transport::rooms::RoomError> {
    let mut content = Object::new();
    content.insert("body".to_owned(), json!(body));
    node.send_event(room, user, "m.room.message", None, content).await
}

/// A room's list as a process has it.
pub(crate) async fn list(node: &Node, room: &RoomId) -> Vec<Record> {
    node.store.records(room, 0, usize::MAX).await.unwrap()
}

/// Checks that a list is a line: every event follows the one before it, and none is there twice.
pub(crate) fn assert_line(records: &[Record]) {
    let mut ids = HashSet::new();
    let mut before = None;
    for (record, position) in records.iter().zip(0..) {
        let event: Value = serde_json::from_slice(&record.bytes).unwrap();
        assert_eq!(record.position, position);
        assert_eq!(event["prev_events"][0].as_str(), before, "event {position} follows the one before it");
        assert!(ids.insert(&record.event_id), "{} is there twice", record.event_id);
        before = Some(record.event_id.as_str());
    }
}

/// Tries until there is nothing to object to; events and the other processes' changes are told as news.
pub(crate) async fn until(node: &Node, patience: Duration, look: impl AsyncFn() -> Result<(), String>) {
    let deadline = Instant::now() + patience;
    let mut news = node.news();
    loop {
        news.borrow_and_update();
        let Err(objection) = look().await else { return };
        // Some of what is waited for is no news.
        let _ = tokio::time::timeout(Duration::from_millis(500), news.changed()).await;
        assert!(Instant::now() < deadline, "{objection}");
    }
}
