//! Three NATS servers that reach each other by links.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use tempfile::TempDir;

use super::link::Link;
use super::nats::{NatsServer, Setting};
use super::work;

const SERVERS: usize = 3;

/// How long the stream may be without a leader.
const ELECTION: Duration = Duration::from_secs(120);

/// A cluster of three.
pub(crate) struct Cluster {
    servers: Vec<NatsServer>,
    settings: Vec<Setting>,
    folders: Vec<TempDir>,
    /// By who connects, and to whom.
    links: Vec<Vec<Link>>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let mut links = Vec::new();
        for _ in 0..SERVERS {
            let mut from_one = Vec::new();
            for _ in 0..SERVERS {
                from_one.push(Link::start().await);
            }
            links.push(from_one);
        }
        let folders: Vec<_> = (0..SERVERS).map(|index| work::folder(&format!("nats-{index}"))).collect();
        let mut settings: Vec<_> = (0..SERVERS)
            .map(|index| {
                let others = (0..SERVERS).filter(|other| *other != index);
                let routes = others.map(|other| links[index][other].address.to_string()).collect();
                Setting { name: format!("n{index}"), routes, ..Setting::default() }
            })
            .collect();
        let mut servers = Vec::new();
        for index in 0..SERVERS {
            let server = NatsServer::start(folders[index].path(), &settings[index]);
            let ports = server.ports();
            settings[index].ports = Some(ports);
            for from_one in &links {
                from_one[index].lead_to(SocketAddr::from((Ipv4Addr::LOCALHOST, ports.1)));
            }
            servers.push(server);
        }
        Self { servers, settings, folders, links }
    }

    /// The store's address, with its servers beginning with this one.
    pub(crate) fn store(&self, first: usize) -> String {
        let servers = (0..SERVERS).map(|index| self.servers[(first + index) % SERVERS].address());
        format!("nats://{}?replicas=3", servers.collect::<Vec<_>>().join(","))
    }

    /// Kills a server at once.
    pub(crate) fn kill(&mut self, index: usize) {
        self.servers[index].kill();
    }

    /// Starts a server again that was killed, with its data.
    pub(crate) fn revive(&mut self, index: usize) {
        self.servers[index] = NatsServer::start(self.folders[index].path(), &self.settings[index]);
    }

    /// The links between two servers, both ways.
    fn between(&self, one: usize, other: usize) -> [&Link; 2] {
        [&self.links[one][other], &self.links[other][one]]
    }

    /// Cuts the network between two servers.
    pub(crate) fn cut(&self, one: usize, other: usize) {
        self.between(one, other).iter().for_each(|link| link.cut());
    }

    /// Cuts a server off from all others.
    pub(crate) fn isolate(&self, index: usize) {
        (0..SERVERS).filter(|other| *other != index).for_each(|other| self.cut(index, other));
    }

    /// Makes the network whole again.
    pub(crate) fn mend(&self) {
        self.links.iter().flatten().for_each(Link::mend);
    }

    /// Which server leads the stream; asks a server that is not this one.
    pub(crate) async fn leader(&self, not_asking: Option<usize>) -> usize {
        let deadline = Instant::now() + ELECTION;
        loop {
            assert!(Instant::now() < deadline, "the stream has no leader after {} s", ELECTION.as_secs());
            for index in (0..SERVERS).filter(|index| Some(*index) != not_asking) {
                if let Some(leader) = self.leader_as_seen_by(index).await {
                    return leader;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn leader_as_seen_by(&self, index: usize) -> Option<usize> {
        let client = async_nats::connect(self.servers[index].address()).await.ok()?;
        let mut context = jetstream::new(client);
        context.set_timeout(Duration::from_secs(2));
        let info = context.get_stream_no_info("mimi").await.ok()?.get_info().await.ok()?;
        let leader = info.cluster?.leader?;
        leader.strip_prefix('n')?.parse().ok()
    }
}
