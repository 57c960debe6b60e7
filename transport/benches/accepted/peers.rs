//! The servers that send.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use mimi_linearized::auth::Membership;
use mimi_linearized::event::Draft;
use mimi_linearized::id::{RoomId, ServerName, UserId};
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RoomVersions;
use mimi_transport::api::send;
use mimi_transport::client::{ClientLimits, FederationClient};
use mimi_transport::clock;
use mimi_transport::resolve::{AddressPolicy, ResolveOptions, Resolver};
use mimi_transport::start::{Server, ServerConfig};
use mimi_transport::tls::{ClientOffer, DevCa, Roots, client_config};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A folder with a CA and everybody's data.
pub(crate) struct World(TempDir);

impl World {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    fn ca(&self) -> DevCa {
        DevCa::open(self.folder(), clock::now_ms()).unwrap()
    }

    /// The configuration of a server with its data in a folder of its own.
    pub(crate) fn config(&self, name: &str, data: &str) -> ServerConfig {
        let ca = self.ca();
        let certificate = ca.server_certificate(self.folder(), &["localhost"], clock::now_ms()).unwrap();
        ServerConfig {
            certificate: Some(certificate),
            cas: vec![ca.certificate().to_owned()],
            allow_private: true,
            ..ServerConfig::new(ServerName::parse(name).unwrap(), self.folder().join(data))
        }
    }
}

/// A server that is in all rooms, and is away.
pub(crate) struct Peer {
    user: UserId,
    key: SigningKey,
}

/// A transaction as it is sent.
pub(crate) struct Transaction {
    target: String,
    body: Bytes,
}

impl Peer {
    /// Starts a server, has a user of it join the rooms, and stops it. It has a name that none of the `others` has, whose
    /// ports are free again.
    pub(crate) async fn join(world: &World, others: &[Self], hub: &Server, rooms: &[RoomId]) -> Self {
        let (tcp, name) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let name = format!("localhost:{}", tcp.local_addr().unwrap().port());
            if others.iter().all(|other| other.user.server().as_str() != name) {
                break (tcp, name);
            }
        };
        let data = format!("peer-{}", others.len());
        let server = Server::start(world.config(&name, &data), tcp, None).await.unwrap();
        let node = server.node();
        let user = UserId::new("bob", &node.name).unwrap();
        let via = [hub.node().name.clone()];
        for room in rooms {
            node.change_membership(room, &user, &user, Membership::Join, None, &via).await.unwrap();
        }
        let key = SigningKey::clone(&node.key());
        hub.node().keys.trust(&node.name, key.id(), key.verify_key(), i64::MAX);
        server.stop().await.unwrap();
        Self { user, key }
    }

    /// Who sends in its name.
    pub(crate) fn client(&self, world: &World) -> FederationClient {
        let mut roots = Roots::none();
        roots.add_pem_file(world.ca().certificate()).unwrap();
        let policy = AddressPolicy { allow_private: false, allow_loopback: true };
        let resolver = Resolver::new(&roots, ResolveOptions { policy, ..ResolveOptions::default() }).unwrap();
        let tls = client_config(&roots, ClientOffer::default()).unwrap();
        let key = SigningKey::clone(&self.key);
        FederationClient::new(self.user.server().clone(), [key], resolver, tls, ClientLimits::default())
    }

    /// As many transactions, whose events go to the rooms in turn.
    pub(crate) fn transactions(
        &self,
        hub: &Server,
        rooms: &[RoomId],
        size: usize,
        count: usize,
    ) -> Vec<Transaction> {
        let mut rooms = rooms.iter().cycle();
        let mut number = 0;
        let versions = RoomVersions::default();
        let version = versions.default_version();
        let mut event = || {
            number += 1;
            let body = format!("message {number}: {}", "word ".repeat(20));
            let Value::Object(content) = json!({"msgtype": "m.text", "body": body}) else { unreachable!() };
            let draft = Draft {
                room_id: rooms.next().unwrap().clone(),
                kind: "m.room.message".to_owned(),
                state_key: None,
                sender: self.user.clone(),
                content,
                origin_server_ts: clock::now_ms() + number,
            };
            let lpdu = draft.into_lpdu(&hub.node().name, &self.key, version).unwrap();
            String::from_utf8(lpdu.bytes.to_vec()).unwrap()
        };
        let transaction = |_| Transaction {
            target: send::paths(&format!("{:x}", rand::random::<u64>())).stable,
            body: format!("{{\"pdus\":[{}]}}", (0..size).map(|_| event()).collect::<Vec<_>>().join(","))
                .into(),
        };
        (0..count).map(transaction).collect()
    }
}

impl Transaction {
    pub(crate) async fn send(self, client: &FederationClient, hub: &ServerName) {
        let answer = client.request(hub, &Method::PUT, &self.target, self.body).await.unwrap();
        assert_eq!(answer.ok().unwrap(), &Bytes::from_static(b"{\"failed_pdus\":{}}"));
    }
}
