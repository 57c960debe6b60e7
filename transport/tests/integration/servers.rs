//! Whole servers talking to each other: joining, speaking, being away, coming back.

mod delivery;
mod described;
mod devices;
mod ephemeral;
mod large_rooms;
mod lifecycle;
mod limits;
mod media;
mod notaries;
mod own_keys;
mod past_states;
mod policy;
mod room_policy;
mod shown;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mimi_linearized::auth::Membership;
use mimi_linearized::id::{RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_transport::clock;
use mimi_transport::limits::Limits;
use mimi_transport::rooms::{NewRoom, Sent};
use mimi_transport::start::{Server, ServerConfig};
use mimi_transport::tls::{DevCa, ServerCertificate};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// How long something may take that does happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A CA for all servers of a test.
struct World {
    folder: TempDir,
    ca: PathBuf,
    certificate: ServerCertificate,
}

/// How a server's configuration differs from the usual one.
type Change = Arc<dyn Fn(&mut ServerConfig) + Send + Sync>;

/// A server that can go away and come back at the same place.
struct Place {
    name: ServerName,
    address: SocketAddr,
    data: TempDir,
    change: Change,
    server: Option<Server>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = DevCa::open(folder.path(), clock::now_ms()).unwrap();
        let certificate = ca.server_certificate(folder.path(), &["localhost"], clock::now_ms()).unwrap();
        Self { ca: ca.certificate().to_owned(), certificate, folder }
    }

    async fn server(&self) -> Place {
        self.server_within(Limits::default()).await
    }

    async fn server_within(&self, limits: Limits) -> Place {
        self.server_with(move |config| config.limits = limits).await
    }

    async fn server_with(&self, change: impl Fn(&mut ServerConfig) + Send + Sync + 'static) -> Place {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let name = ServerName::parse(&format!("localhost:{}", address.port())).unwrap();
        let (data, change) = (tempfile::tempdir().unwrap(), Arc::new(change));
        let mut place = Place { name, address, data, change, server: None };
        place.server = Some(self.start(&place, tcp).await);
        place
    }

    async fn start(&self, place: &Place, tcp: TcpListener) -> Server {
        assert!(self.folder.path().exists());
        let mut config = ServerConfig {
            certificate: Some(self.certificate.clone()),
            cas: vec![self.ca.clone()],
            ..ServerConfig::new(place.name.clone(), place.data.path().to_owned())
        };
        (place.change)(&mut config);
        Server::start(config, tcp, None).await.unwrap()
    }

    async fn come_back(&self, place: &mut Place) {
        let tcp = TcpListener::bind(place.address).await.unwrap();
        place.server = Some(self.start(place, tcp).await);
    }
}

impl Place {
    async fn go_away(&mut self) {
        self.server.take().unwrap().stop().await.unwrap();
    }

    fn node(&self) -> &mimi_transport::node::Node {
        self.server.as_ref().unwrap().node()
    }

    fn user(&self, localpart: &str) -> UserId {
        UserId::new(localpart, &self.name).unwrap()
    }

    async fn create(&self, join_rule: &str) -> RoomId {
        let room = NewRoom {
            creator: self.user("alice"),
            room_version: None,
            join_rule: Some(join_rule.to_owned()),
            room_type: None,
            history_visibility: None,
            name: None,
            topic: None,
            encryption: None,
            power_levels: Object::new(),
            initial_state: Vec::new(),
        };
        self.node().create_room(room).await.unwrap()
    }

    async fn join(&self, room: &RoomId, localpart: &str, hub: &Place) -> Sent {
        let user = self.user(localpart);
        let via = [hub.name.clone()];
        self.node().change_membership(room, &user, &user, Membership::Join, None, &via).await.unwrap()
    }

    async fn say(&self, room: &RoomId, localpart: &str, words: &str) -> Sent {
        let content = json!({"body": words}).as_object().unwrap().clone();
        self.node().send_event(room, &self.user(localpart), "m.room.message", None, content).await.unwrap()
    }

    async fn list(&self, room: &RoomId) -> Vec<Value> {
        let list = self.node().list(room, 0, 1_000).await.unwrap();
        list.map(|(events, _)| events)
            .unwrap_or_default()
            .iter()
            .map(|e| serde_json::from_slice(e).unwrap())
            .collect()
    }

    async fn words(&self, room: &RoomId) -> Vec<String> {
        let list = self.list(room).await;
        list.iter().filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned())).collect()
    }

    /// Looks whenever something has happened at this server, until there is what is looked for.
    async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut news = self.node().news();
        loop {
            news.borrow_and_update();
            if let Some(found) = look().await {
                return found;
            }
            let happened = tokio::time::timeout_at(deadline, news.changed()).await;
            assert!(matches!(happened, Ok(Ok(()))), "{} waits in vain for {what}", self.name);
        }
    }

    /// Waits until a message is in the list.
    async fn until_heard(&self, room: &RoomId, words: &str) {
        let is_there = async || self.words(room).await.iter().any(|heard| heard == words).then_some(());
        self.until(words, is_there).await;
    }

    /// Waits for an item in a user's inbox.
    async fn until_inbox(&self, user: &UserId, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let find = async || {
            let inbox = self.node().inbox(user, 0, 1_000).await.unwrap();
            let mut items = inbox.iter().map(|(_, item)| serde_json::from_slice(item).unwrap());
            items.find(|item| is(item))
        };
        self.until(what, find).await
    }
}

/// The participant's list is the end of the hub's.
async fn assert_same_end(room: &RoomId, hub: &Place, participant: &Place) {
    let (all, end) = (hub.list(room).await, participant.list(room).await);
    assert!(all.ends_with(&end), "the lists differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_speak_in_one_order() {
    let world = World::new();
    let (hub, b, c) = (world.server().await, world.server().await, world.server().await);
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    c.join(&room, "carol", &hub).await;
    for round in 0..5 {
        hub.say(&room, "alice", &format!("alice {round}")).await;
        b.say(&room, "bob", &format!("bob {round}")).await;
        c.say(&room, "carol", &format!("carol {round}")).await;
    }
    for place in [&hub, &b, &c] {
        for who in ["alice", "bob", "carol"] {
            place.until_heard(&room, &format!("{who} 4")).await;
        }
    }
    assert_same_end(&room, &hub, &b).await;
    assert_same_end(&room, &hub, &c).await;
    assert_eq!(hub.words(&room).await.len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_was_away_is_sent_what_it_missed() {
    let world = World::new();
    let (hub, mut b) = (world.server().await, world.server().await);
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    b.go_away().await;
    for number in 0..120 {
        hub.say(&room, "alice", &format!("missed {number}")).await;
    }
    world.come_back(&mut b).await;
    b.until_heard(&room, "missed 119").await;
    assert_same_end(&room, &hub, &b).await;
    assert_eq!(b.words(&room).await.len(), 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_while_the_hub_was_away_arrives_later() {
    let world = World::new();
    let (mut hub, mut b) = (world.server().await, world.server().await);
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    hub.go_away().await;
    b.say(&room, "bob", "are you there?").await;
    // The LPDU outlives its own server, too.
    b.go_away().await;
    world.come_back(&mut b).await;
    world.come_back(&mut hub).await;
    b.until_heard(&room, "are you there?").await;
    assert_eq!(hub.words(&room).await, ["are you there?"]);
    assert_same_end(&room, &hub, &b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_goes_on_where_it_was() {
    let world = World::new();
    let (mut hub, b) = (world.server().await, world.server().await);
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    hub.say(&room, "alice", "before").await;
    let before = hub.list(&room).await;
    hub.go_away().await;
    world.come_back(&mut hub).await;
    assert_eq!(hub.list(&room).await, before);
    hub.say(&room, "alice", "after").await;
    b.until_heard(&room, "after").await;
    assert_same_end(&room, &hub, &b).await;
    let summary = hub.node().summary(&room).await.unwrap().unwrap();
    assert_eq!(summary.length, u64::try_from(before.len() + 1).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn invites_cross_servers_and_can_be_turned_down() {
    let world = World::new();
    let (hub, b, c) = (world.server().await, world.server().await, world.server().await);
    let room = hub.create("invite").await;
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
    let node = hub.node();
    node.change_membership(&room, &alice, &bob, Membership::Invite, None, &[]).await.unwrap();
    // The invite says where the hub is.
    b.node().change_membership(&room, &bob, &bob, Membership::Join, None, &[]).await.unwrap();
    // Bob's server has the hub invite Carol.
    let sent = b.node().change_membership(&room, &bob, &carol, Membership::Invite, None, &[]).await.unwrap();
    assert!(matches!(sent, Sent::Event(_)));
    assert_eq!(hub.node().summary(&room).await.unwrap().unwrap().members[carol.as_str()], "invite");
    let inbox = c.node().store.inbox(&carol, 0, 10).await.unwrap();
    let item: Value = serde_json::from_slice(&inbox[0].1).unwrap();
    assert_eq!((&item["type"], &item["room_id"]), (&json!("invite"), &json!(room)));
    c.node().change_membership(&room, &carol, &carol, Membership::Leave, None, &[]).await.unwrap();
    assert_eq!(hub.node().summary(&room).await.unwrap().unwrap().members[carol.as_str()], "leave");
    let joined = c
        .node()
        .change_membership(&room, &carol, &carol, Membership::Join, None, std::slice::from_ref(&hub.name))
        .await;
    assert_eq!(joined.unwrap_err().to_api().status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_comes_back_to_its_sender() {
    let world = World::new();
    let (hub, b) = (world.server().await, world.server().await);
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    let bob = b.user("bob");
    let sent =
        b.node().send_event(&room, &bob, "m.room.name", Some(String::new()), Object::new()).await.unwrap();
    let Sent::Lpdu(lpdu_id) = sent else { panic!("{sent:?}") };
    let item = b.until_inbox(&bob, "the refusal", |item| item["type"] == "rejected").await;
    assert_eq!(item["lpdu_id"], json!(lpdu_id));
    assert!(item["error"].as_str().unwrap().starts_with("auth 7"), "{item}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_users_write_to_many_rooms_at_once() {
    let world = World::new();
    let (hub, b) = (Arc::new(world.server().await), Arc::new(world.server().await));
    let mut rooms = Vec::new();
    for _ in 0..5 {
        let room = hub.create("public").await;
        b.join(&room, "bob", &hub).await;
        rooms.push(room);
    }
    let mut writers = tokio::task::JoinSet::new();
    for (index, room) in rooms.iter().cloned().enumerate() {
        for writer in 0..4 {
            let (hub, b, room) = (Arc::clone(&hub), Arc::clone(&b), room.clone());
            writers.spawn(async move {
                for number in 0..10 {
                    let words = format!("{index} {writer} {number}");
                    if writer % 2 == 0 {
                        hub.say(&room, "alice", &words).await
                    } else {
                        b.say(&room, "bob", &words).await
                    };
                }
            });
        }
    }
    writers.join_all().await;
    for (index, room) in rooms.iter().enumerate() {
        for writer in 0..4 {
            b.until_heard(room, &format!("{index} {writer} 9")).await;
        }
        assert_same_end(room, &hub, &b).await;
        assert_eq!(hub.words(room).await.len(), 40);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_a_third_server_was_away_is_fetched_when_its_keys_are_there() {
    let world = World::new();
    let (hub, mut b, mut c) = (world.server().await, world.server().await, world.server().await);
    let room = hub.create("public").await;
    c.join(&room, "carol", &hub).await;
    c.go_away().await;
    b.join(&room, "bob", &hub).await;
    b.say(&room, "bob", "last words").await;
    hub.until_heard(&room, "last words").await;
    b.go_away().await;
    // Nobody can tell Carol's server with which key Bob's has signed.
    world.come_back(&mut c).await;
    hub.until("an empty queue", async || {
        let left = hub.node().store.destinations().await.unwrap();
        (!left.contains(&c.name)).then_some(())
    })
    .await;
    world.come_back(&mut b).await;
    c.until_heard(&room, "last words").await;
    assert_same_end(&room, &hub, &c).await;
}
