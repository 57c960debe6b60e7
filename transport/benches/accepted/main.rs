//! Events that a hub accepts a second: over HTTPS, each stored durably before it is acknowledged, beside what the disk does
//! when one thread appends as many bytes and waits for them.
//!
//! ```sh
//! cargo bench -p mimi-transport --bench accepted
//! MIMI_BENCH_STORE='nats://127.0.0.1:4222?replicas=1' cargo bench -p mimi-transport --bench accepted
//! ```
//!
//! The first is with the embedded store. The second is with a NATS server that runs already, or with three of them and
//! `replicas=3`; its streams stay there.
//!
//! The hub has 1 or 200 rooms, each with users of all the other servers, 2 or 19 of them. Every other server sends
//! transactions of 1 or 50 LPDUs, one at a time as LM-04 §12.5.1 has it, all servers at the same time. They are away
//! otherwise, so that the hub keeps in its store what they are still to be sent, and nobody else uses the processors. The
//! events are made and signed before the clock starts; requests are signed while it runs, in the same process.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails should stop")]

mod disk;
mod peers;

use std::time::Instant;

use mimi_linearized::id::{RoomId, UserId};
use mimi_linearized::json::Object;
use mimi_transport::rooms::NewRoom;
use mimi_transport::start::{Server, ServerConfig};
use mimi_transport::store::choice::StoreChoice;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use self::disk::Disk;
use self::peers::{Peer, World};

/// How many servers there are, the hub included.
const SERVERS: [usize; 2] = [3, 20];
/// How many rooms.
const ROOMS: [usize; 2] = [1, 200];
/// How many events a transaction has, and how many transactions there are of all servers together.
const TRANSACTIONS: [(usize, usize); 2] = [(1, 800), (50, 80)];

fn main() {
    // `cargo bench` passes `--bench`, `cargo test --benches` does not: then it is enough that it can be built.
    if std::env::args().any(|argument| argument == "--bench") {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(measure());
    }
}

async fn measure() {
    println!(
        "| servers | rooms | events a transaction | accepted a second | the disk by itself | ratio | load |"
    );
    println!("|---|---|---|---|---|---|---|");
    for servers in SERVERS {
        for rooms in ROOMS {
            let hub = Hub::start(servers, rooms).await;
            for (size, count) in TRANSACTIONS {
                let (accepted, bytes) = hub.accept(size, count).await;
                let disk = Disk::new(hub.world.folder()).appends(bytes, size);
                let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
                let load = load.split(' ').next().unwrap_or_default();
                let ratio = accepted / disk;
                println!(
                    "| {servers} | {rooms} | {size} | {accepted:.0} | {disk:.0} | {ratio:.2} | {load} |"
                );
            }
            hub.server.stop().await.unwrap();
        }
    }
}

/// The store of a hub that has nothing in it yet.
fn store() -> StoreChoice {
    let store = std::env::var("MIMI_BENCH_STORE").unwrap_or_else(|_| "embedded".to_owned());
    match store.as_str() {
        "embedded" => StoreChoice::Embedded,
        nats => {
            let and = if nats.contains('?') { '&' } else { '?' };
            format!("{nats}{and}prefix=bench-{:x}", rand::random::<u64>()).parse().unwrap()
        }
    }
}

/// A hub with rooms, and the servers that send to it.
struct Hub {
    world: World,
    server: Server,
    peers: Vec<Peer>,
    rooms: Vec<RoomId>,
}

impl Hub {
    async fn start(servers: usize, rooms: usize) -> Self {
        let world = World::new();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = format!("localhost:{}", tcp.local_addr().unwrap().port());
        let config = ServerConfig { store: store(), ..world.config(&name, "hub") };
        let server = Server::start(config, tcp, None).await.unwrap();
        let mut ids = Vec::new();
        for _ in 0..rooms {
            let room = NewRoom {
                creator: UserId::new("alice", &server.node().name).unwrap(),
                room_version: None,
                join_rule: Some("public".to_owned()),
                history_visibility: None,
                name: None,
                topic: None,
                encryption: None,
                power_levels: Object::new(),
                initial_state: Vec::new(),
                room_type: None,
            };
            ids.push(server.node().create_room(room).await.unwrap());
        }
        let mut peers = Vec::new();
        for _ in 1..servers {
            peers.push(Peer::join(&world, &peers, &server, &ids).await);
        }
        Self { world, server, peers, rooms: ids }
    }

    /// How many events are accepted a second, and how many bytes one has as it is stored.
    async fn accept(&self, size: usize, count: usize) -> (f64, usize) {
        let each = count.div_ceil(self.peers.len());
        let mut work = Vec::new();
        for peer in &self.peers {
            work.push((peer.client(&self.world), peer.transactions(&self.server, &self.rooms, size, each)));
        }
        let before = self.length().await;
        let (name, began) = (self.server.node().name.clone(), Instant::now());
        let mut sending = JoinSet::new();
        for (client, transactions) in work {
            let name = name.clone();
            sending.spawn(async move {
                for transaction in transactions {
                    transaction.send(&client, &name).await;
                }
            });
        }
        sending.join_all().await;
        let elapsed = began.elapsed().as_secs_f64();
        let accepted = self.length().await - before;
        assert_eq!(
            accepted,
            u64::try_from(size * each * self.peers.len()).unwrap(),
            "none is lost, none is there twice"
        );
        let node = self.server.node();
        let room = self.rooms.first().unwrap();
        let last = node.summary(room).await.unwrap().unwrap().length - 1;
        let (events, _) = node.list(room, last, 1).await.unwrap().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "it is a rate")]
        let rate = accepted as f64 / elapsed;
        (rate, events.first().unwrap().len())
    }

    /// How many events all rooms have.
    async fn length(&self) -> u64 {
        let mut length = 0;
        for room in &self.rooms {
            length += self.server.node().summary(room).await.unwrap().unwrap().length;
        }
        length
    }
}
