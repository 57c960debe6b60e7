//! Rooms whose commits and trees do not fit into events (reading R35).

use mimi_linearized::encryption::{ApartContent, CommitContent, MessageDigest};
use mimi_linearized::id::EventId;
use mimi_mls::{
    Carriage, Changes, Device, Engine, KeyPackage, KeyPackageUse, OutboundCommit, Placement, Suite,
};
use mimi_transport::api::{commit_message, commit_tree, upload_commit};
use mimi_transport::devices::NewDevice;
use mimi_transport::rooms::RoomError;

use super::*;

pub(super) const APART: Carriage = Carriage { tree: Placement::Apart, message: Placement::Apart };

pub(super) fn key_package(engine: &Engine) -> KeyPackage {
    KeyPackage::generate(engine.device(), KeyPackageUse::OneTime).unwrap()
}

pub(super) fn update(carriage: Carriage) -> Changes {
    Changes { update: true, carriage, ..Changes::default() }
}

fn content(commit: &OutboundCommit) -> Object {
    let prev_commit_event_id = commit.prev_commit_event_id.as_deref().map(|id| EventId::parse(id).unwrap());
    let public_group_state = commit.public_group_state.clone();
    if commit.apart {
        let message = MessageDigest::of(&commit.message);
        ApartContent { message, public_group_state, prev_commit_event_id }.to_json()
    } else {
        let message = commit.message.clone();
        CommitContent { message, public_group_state, prev_commit_event_id }.to_json()
    }
}

impl Place {
    /// Loses the snapshots of MLS groups while the server is away.
    fn lose_groups(&self) {
        let database = rusqlite::Connection::open(self.data.path().join("store.sqlite3")).unwrap();
        assert_eq!(database.execute("DELETE FROM mls_groups", []).unwrap(), 1);
    }

    /// A local user's device, which is published.
    pub(super) async fn engine(&self, user: &str, id: &str) -> Engine {
        let device = self.unpublished(user, id);
        self.publish(&device).await;
        Engine::new(device)
    }

    pub(super) fn unpublished(&self, user: &str, id: &str) -> Device {
        Device::generate(self.user(user).as_str(), id, Suite::MANDATORY).unwrap()
    }

    pub(super) async fn publish(&self, device: &Device) {
        let device = device.object().unwrap().into_value();
        self.node().publish_device(NewDevice { device, key_packages: Vec::new() }).await.unwrap();
    }

    pub(super) async fn create_encrypted(&self) -> RoomId {
        let room = NewRoom {
            creator: self.user("alice"),
            room_version: None,
            join_rule: Some("public".to_owned()),
            room_type: None,
            history_visibility: None,
            name: None,
            topic: None,
            encryption: Some(Suite::MANDATORY.room_algorithm().to_owned()),
            power_levels: Object::new(),
            initial_state: Vec::new(),
        };
        self.node().create_room(room).await.unwrap()
    }

    pub(super) async fn send_commit(
        &self,
        room: &RoomId,
        user: &str,
        commit: &OutboundCommit,
    ) -> Result<Sent, RoomError> {
        self.node().send_event(room, &self.user(user), "m.mls.commit", None, content(commit)).await
    }

    /// Hands in what stands apart, and sends the event.
    pub(super) async fn commit(&self, room: &RoomId, user: &str, commit: &OutboundCommit) -> Sent {
        if commit.apart {
            let digest = self.node().hand_in_commit(room, commit.message.clone()).await.unwrap();
            assert_eq!(digest, MessageDigest::of(&commit.message));
        }
        self.send_commit(room, user, commit).await.unwrap()
    }

    /// Waits until the server's view of the group is in an epoch. Returns the event that made it.
    pub(super) async fn until_epoch(&self, room: &RoomId, epoch: u64) -> EventId {
        let is_there = async || {
            let now = self.node().summary(room).await.unwrap().unwrap().mls_epoch;
            (now == Some(epoch)).then_some(())
        };
        self.until(&format!("epoch {epoch}"), is_there).await;
        let events = self.node().list(room, 0, 1_000).await.unwrap().unwrap().0;
        let objects = events.iter().map(|event| serde_json::from_slice::<Object>(event).unwrap());
        let last = objects.rev().find(|event| event["type"] == "m.mls.commit").unwrap();
        mimi_linearized::event::reference_id(&last, self.node().versions.default_version())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_and_trees_apart_reach_everybody() {
    let world = World::new();
    let (mut hub, mut b) = (world.server().await, world.server().await);
    let room = hub.create_encrypted().await;
    b.join(&room, "bob", &hub).await;
    let mut alice = hub.engine("alice", "A").await;
    alice.create(room.as_str()).unwrap();
    let first = alice.commit(room.as_str(), update(Carriage::default())).unwrap();
    hub.commit(&room, "alice", &first).await;
    let id = b.until_epoch(&room, 1).await;
    alice.accepted(room.as_str(), id.as_str()).unwrap();

    // The hub's own user's commit: the participant fetches it.
    let mut bob = b.engine("bob", "B").await;
    let changes = Changes { add: vec![key_package(&bob)], carriage: APART, ..Changes::default() };
    let second = alice.commit(room.as_str(), changes).unwrap();
    hub.commit(&room, "alice", &second).await;
    let id = b.until_epoch(&room, 2).await;
    alice.accepted(room.as_str(), id.as_str()).unwrap();
    let tree = b.node().serve_tree(&id, None).await.unwrap().unwrap();
    assert_eq!(alice.ratchet_tree(room.as_str()).unwrap(), tree);
    bob.join_with_tree(&second.welcome.unwrap().message, id.as_str(), Some(&tree)).unwrap();

    // The participant's user's commit: the hub has to have it first.
    let third = bob.commit(room.as_str(), update(APART)).unwrap();
    b.commit(&room, "bob", &third).await;
    let third_id = hub.until_epoch(&room, 3).await;
    assert_eq!(b.until_epoch(&room, 3).await, third_id);
    bob.accepted(room.as_str(), third_id.as_str()).unwrap();
    alice.receive_commit(room.as_str(), &third.message, third_id.as_str()).unwrap();

    // A server that comes now starts with the tree of the next commit.
    let mut c = world.server().await;
    c.join(&room, "carol", &hub).await;
    let fourth = alice.commit(room.as_str(), update(APART)).unwrap();
    hub.commit(&room, "alice", &fourth).await;
    let fourth_id = c.until_epoch(&room, 4).await;
    alice.accepted(room.as_str(), fourth_id.as_str()).unwrap();
    let mut carol = c.engine("carol", "C").await;
    let tree = c.node().serve_tree(&fourth_id, None).await.unwrap().unwrap();
    let join = carol
        .join_external_with_tree(
            room.as_str(),
            &fourth.public_group_state,
            fourth_id.as_str(),
            Some(&tree),
            APART,
        )
        .unwrap();
    c.commit(&room, "carol", &join).await;
    let fifth_id = hub.until_epoch(&room, 5).await;
    carol.accepted(room.as_str(), fifth_id.as_str()).unwrap();

    // The commits and the last trees are there still when servers come back, and the group is followed anew where its
    // snapshot was lost: through the commits that stand apart, and from the tree of the first commit seen.
    for place in [&b, &c] {
        place.until_epoch(&room, 5).await;
    }
    for lost in [false, true] {
        for place in [&mut hub, &mut b, &mut c] {
            place.go_away().await;
            if lost {
                place.lose_groups();
            }
            world.come_back(place).await;
        }
        for place in [&hub, &b, &c] {
            assert_eq!(place.until_epoch(&room, 5).await, fifth_id);
        }
    }
    for place in [&hub, &b] {
        assert_eq!(place.node().serve_commit(&third_id, None).await.unwrap().as_ref(), Some(&third.message));
        assert_eq!(place.node().serve_tree(&fourth_id, None).await.unwrap().as_ref(), Some(&tree));
    }
    alice.receive_commit(room.as_str(), &join.message, fifth_id.as_str()).unwrap();
    let sent = alice.encrypt(room.as_str(), b"hello").unwrap();
    assert!(carol.decrypt(room.as_str(), &sent.ciphertext).is_ok());
    // The groups that were made anew are the group: they follow it.
    let sixth = alice.commit(room.as_str(), update(APART)).unwrap();
    hub.commit(&room, "alice", &sixth).await;
    let sixth_id = hub.until_epoch(&room, 6).await;
    for place in [&b, &c] {
        assert_eq!(place.until_epoch(&room, 6).await, sixth_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_rooms_servers_are_answered() {
    let world = World::new();
    let (hub, b, c) = (world.server().await, world.server().await, world.server().await);
    let room = hub.create_encrypted().await;
    b.join(&room, "bob", &hub).await;
    let mut bob = b.engine("bob", "B").await;
    bob.create(room.as_str()).unwrap();
    let first = bob.commit(room.as_str(), update(APART)).unwrap();

    // Before the hub has it, the event is refused, and the hub takes it from the room's servers only.
    b.send_commit(&room, "bob", &first).await.unwrap();
    let rejected = b.until_inbox(&b.user("bob"), "the refusal", |item| item["type"] == "rejected").await;
    assert!(rejected["error"].as_str().unwrap().starts_with("mls R35"), "{rejected}");
    let outsider = upload_commit::call(c.node(), &hub.name, &room, &first.message).await;
    assert_eq!(outsider.unwrap_err().to_api().status(), 403);
    let garbage = upload_commit::call(b.node(), &hub.name, &room, b"garbage").await;
    assert_eq!(garbage.unwrap_err().to_api().status(), 400);
    let elsewhere = upload_commit::call(hub.node(), &b.name, &room, &first.message).await;
    assert!(elsewhere.is_err(), "it is not the hub");

    b.commit(&room, "bob", &first).await;
    let id = b.until_epoch(&room, 1).await;
    let message = commit_message::call(b.node(), &hub.name, &id).await.unwrap();
    assert_eq!(message, first.message);
    assert!(!commit_tree::call(b.node(), &hub.name, &id).await.unwrap().is_empty());
    hub.say(&room, "alice", "no commit").await;
    let no_commit = hub.node().summary(&room).await.unwrap().unwrap().head;
    for (node, event) in
        [(c.node(), &id), (b.node(), &no_commit), (b.node(), &EventId::parse("$none").unwrap())]
    {
        for answer in [
            commit_message::call(node, &hub.name, event).await,
            commit_tree::call(node, &hub.name, event).await,
        ] {
            assert_eq!(answer.unwrap_err().to_api().status(), 404);
        }
    }
}
