//! Transactions of 1 and of 50 events over TLS and HTTP/2 on loopback, beside an echo server with the same bodies in the
//! same run: CPU of the sender and of the receiver per event, and the time of a transaction.
//!
//! ```sh
//! cargo bench -p mimi-transport --bench wire
//! ```
//!
//! Three processes: this one is a hub and sends; the second is a participant, which checks, stores and answers; the third
//! is the echo server, behind the same listener, which answers with what it was sent. The sender signs what it sends to
//! the participant and nothing of what it sends to the echo server. CPU is that of a process, all its threads, user and
//! system time, as the operating system counts it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that fails should stop")]

mod child;
mod processes;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use mimi_linearized::id::{KeyId, RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_linearized::signing::{SigningKey, VerifyKey};
use mimi_transport::api::send;
use mimi_transport::client::{CallLimits, FederationClient, RawRequest};
use mimi_transport::rooms::NewRoom;
use mimi_transport::start::Server;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::processes::{Process, World, cpu};

/// How many transactions of how many events are measured; those before them are not.
const SIZES: [(usize, usize); 2] = [(1, 400), (50, 40)];
/// How many transactions go first, of one event each.
const WARM_UP: usize = 50;

/// What a number of transactions took.
#[derive(Debug, Clone, Copy)]
struct Cost {
    sender: Duration,
    receiver: Duration,
    elapsed: Duration,
}

/// A hub with a room, and everything that its participant has not been sent yet.
struct Hub {
    server: Server,
    client: FederationClient,
    room: RoomId,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match arguments.next().as_deref() {
        Some(child::PARTICIPANT) => runtime.block_on(child::participant(&arguments.next().unwrap())),
        Some(child::ECHO) => runtime.block_on(child::echo(&arguments.next().unwrap())),
        // `cargo bench` passes `--bench`, `cargo test --benches` does not: then it is enough that it can be built.
        Some("--bench") => runtime.block_on(measure()),
        _ => {}
    }
}

async fn measure() {
    let world = World::new();
    let mut participant = Process::start(child::PARTICIPANT, world.folder());
    let mut echo = Process::start(child::ECHO, world.folder());
    let hub = Hub::start(&world, &participant).await;
    let joined = participant.ask(&format!("join {} {}", hub.room.as_str(), hub.server.node().name.as_str()));
    assert_eq!(joined, "joined");

    let events = WARM_UP + SIZES.iter().map(|(size, count)| size * count).sum::<usize>();
    let mut bodies = hub.speak(events).await.into_iter();
    let mut next = |size: usize, count: usize| -> Vec<Bytes> {
        (0..count).map(|_| transaction(&bodies.by_ref().take(size).collect::<Vec<_>>())).collect()
    };
    let warm_up = next(1, WARM_UP);
    hub.send(&mut participant, &warm_up).await;
    hub.echo(&mut echo, &warm_up).await;

    let mut table = String::from(
        "| | sender's CPU per event | receiver's CPU per event | time per transaction |\n|---|---|---|---|\n",
    );
    for (size, count) in SIZES {
        let transactions = next(size, count);
        let bytes = transactions.iter().map(Bytes::len).sum::<usize>() / count;
        let echoed = hub.echo(&mut echo, &transactions).await;
        let sent = hub.send(&mut participant, &transactions).await;
        let plural = if size == 1 { "" } else { "s" };
        row(&mut table, &format!("{size} event{plural}, {bytes} bytes: `send`"), sent, size, count);
        row(&mut table, "the same, echoed", echoed, size, count);
        let ratio =
            |ours: Duration, theirs: Duration| format!("{:.1}", ours.as_secs_f64() / theirs.as_secs_f64());
        let _ = writeln!(
            table,
            "| `send` / echo | {} | {} | {} |",
            ratio(sent.sender, echoed.sender),
            ratio(sent.receiver, echoed.receiver),
            ratio(sent.elapsed, echoed.elapsed),
        );
    }
    let length: usize = participant.ask(&format!("length {}", hub.room.as_str())).parse().unwrap();
    // The join, and what was sent.
    assert_eq!(length, events + 1, "the participant took all of it");
    println!("{table}");
    hub.server.stop().await.unwrap();
}

fn row(table: &mut String, what: &str, cost: Cost, size: usize, count: usize) {
    let each = |time: Duration, of: usize| {
        let micros = time.as_secs_f64() * 1e6 / f64::from(u32::try_from(of).unwrap());
        format!("{micros:.0} us")
    };
    let (sender, receiver) = (each(cost.sender, size * count), each(cost.receiver, size * count));
    let _ = writeln!(table, "| {what} | {sender} | {receiver} | {} |", each(cost.elapsed, count));
}

/// A transaction's body around events as they are stored.
fn transaction(events: &[Bytes]) -> Bytes {
    let events: Vec<&str> = events.iter().map(|event| std::str::from_utf8(event).unwrap()).collect();
    format!("{{\"pdus\":[{}]}}", events.join(",")).into()
}

impl Hub {
    /// A hub that cannot reach the participant, so that nothing is sent but by hand.
    async fn start(world: &World, participant: &Process) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = format!("localhost:{}", tcp.local_addr().unwrap().port());
        let nowhere = format!("{}=127.0.0.1:1", participant.name).parse().unwrap();
        let config = world.config(&name, "hub", vec![nowhere]);
        let server = Server::start(config, tcp, None).await.unwrap();
        let node = server.node();
        let key = VerifyKey::from_base64(participant.ready["key"].as_str().unwrap()).unwrap();
        let key_id = KeyId::parse(participant.ready["key_id"].as_str().unwrap()).unwrap();
        let other = ServerName::parse(&participant.name).unwrap();
        node.keys.trust(&other, &key_id, key, i64::MAX);
        let client = world.client(&node.name, SigningKey::clone(&node.key()));
        let room = NewRoom {
            creator: UserId::new("alice", &node.name).unwrap(),
            room_version: None,
            join_rule: Some("public".to_owned()),
            room_type: None,
            history_visibility: None,
            name: None,
            topic: None,
            encryption: None,
            power_levels: Object::new(),
            initial_state: Vec::new(),
        };
        let room = node.create_room(room).await.unwrap();
        Self { server, client, room }
    }

    /// Makes messages, and returns what the participant has not.
    async fn speak(&self, count: usize) -> Vec<Bytes> {
        let node = self.server.node();
        node.stop();
        let alice = UserId::new("alice", &node.name).unwrap();
        let length = node.summary(&self.room).await.unwrap().unwrap().length;
        for number in 0..count {
            let content =
                json!({"msgtype": "m.text", "body": format!("message {number}: {}", "word ".repeat(20))});
            let Value::Object(content) = content else { unreachable!("an object") };
            node.send_event(&self.room, &alice, "m.room.message", None, content).await.unwrap();
        }
        let (events, rest) = node.list(&self.room, length, count).await.unwrap().unwrap();
        assert_eq!((events.len(), rest), (count, None));
        events.into_iter().map(Bytes::from_owner).collect()
    }

    /// Sends transactions one after the other.
    async fn send(&self, to: &mut Process, transactions: &[Bytes]) -> Cost {
        let name = ServerName::parse(&to.name).unwrap();
        let targets: Vec<String> = transactions
            .iter()
            .map(|_| send::paths(&format!("{:x}", rand::random::<u64>())).stable)
            .collect();
        let before = (cpu(), to.cpu(), Instant::now());
        for (body, target) in transactions.iter().zip(&targets) {
            let answer = self.client.request(&name, &Method::PUT, target, body.clone()).await.unwrap();
            assert_eq!(answer.ok().unwrap(), &Bytes::from_static(b"{\"failed_pdus\":{}}"));
        }
        let elapsed = before.2.elapsed();
        Cost { sender: cpu() - before.0, receiver: to.cpu() - before.1, elapsed }
    }

    /// Sends the same bodies to the echo server, without a signature.
    async fn echo(&self, to: &mut Process, transactions: &[Bytes]) -> Cost {
        let name = ServerName::parse(&to.name).unwrap();
        let before = (cpu(), to.cpu(), Instant::now());
        for body in transactions {
            let request = RawRequest {
                method: Method::PUT,
                target: "/echo".to_owned(),
                headers: http::HeaderMap::new(),
                body: body.clone(),
            };
            let answer = self.client.send_raw(&name, request, CallLimits::default()).await.unwrap();
            assert_eq!(answer.body.len(), body.len());
        }
        let elapsed = before.2.elapsed();
        Cost { sender: cpu() - before.0, receiver: to.cpu() - before.1, elapsed }
    }
}
