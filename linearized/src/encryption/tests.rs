use mimi_mls::{
    CallerFault, Changes, Device, DeviceAddress, Engine, Error, KeyPackage, KeyPackageUse, OutboundCommit,
    PeerFault, Suite,
};
use serde_json::{Value, json};

use super::*;
use crate::auth::{Because, MlsRule};
use crate::event::RoomEvent;
use crate::id::EventId;
use crate::room::Effect;
use crate::testing::*;

mod large;

const ALGORITHM: &str = "m.mls.v1.dhkemx25519-aes128gcm-sha256-ed25519";

fn engine(user: &str, device: &str) -> Engine {
    Engine::new(Device::generate(user, device, Suite::MANDATORY).unwrap())
}

fn key_package(engine: &Engine) -> KeyPackage {
    KeyPackage::generate(engine.device(), KeyPackageUse::OneTime).unwrap()
}

fn address(user: &str, device: &str) -> DeviceAddress {
    DeviceAddress::new(user, device).unwrap()
}

fn content(commit: &OutboundCommit) -> Value {
    let prev = commit.prev_commit_event_id.as_deref().map(|id| EventId::parse(id).unwrap());
    let content = CommitContent {
        message: commit.message.clone(),
        public_group_state: commit.public_group_state.clone(),
        prev_commit_event_id: prev,
    };
    Value::Object(content.to_json())
}

/// An encrypted public room with Bob in it, and Alice's device, whose group has seen its first commit.
struct Encrypted {
    hub: TestHub,
    alice: Engine,
    room: String,
}

impl Encrypted {
    fn new() -> Self {
        let mut hub = TestHub::new(json!({"encryption": {"algorithm": ALGORITHM}})).public();
        hub.member(BOB, BOB, "join").unwrap();
        let room = hub.hub.room().id().to_string();
        let mut this = Self { hub, alice: engine(ALICE, "A"), room };
        this.alice.create(&this.room).unwrap();
        let changes = Changes { update: true, ..Changes::default() };
        this.commit(changes).unwrap();
        this
    }

    /// Alice commits, and the hub accepts it or not.
    fn commit(&mut self, changes: Changes) -> Result<OutboundCommit, Refusal> {
        let commit = self.alice.commit(&self.room, changes).unwrap();
        match self.send(ALICE, &commit) {
            Ok(event) => {
                self.alice.accepted(&self.room, event.id().as_str()).unwrap();
                Ok(commit)
            }
            Err(refusal) => {
                self.alice.refused(&self.room).unwrap();
                Err(refusal)
            }
        }
    }

    fn send(&mut self, sender: &str, commit: &OutboundCommit) -> Result<std::sync::Arc<RoomEvent>, Refusal> {
        self.hub.event(sender, "m.mls.commit", None, content(commit))
    }

    fn add(&mut self, engine: &Engine) -> Result<OutboundCommit, Refusal> {
        self.commit(Changes { add: vec![key_package(engine)], ..Changes::default() })
    }

    fn remove(&mut self, address: DeviceAddress) -> Result<OutboundCommit, Refusal> {
        self.commit(Changes { remove: vec![address], ..Changes::default() })
    }

    fn epoch(&self) -> Option<u64> {
        self.hub.hub.room().encryption().epoch()
    }

    fn members(&self) -> Vec<String> {
        let tracker = self.hub.hub.room().encryption().tracker().unwrap();
        tracker.members().map(|member| member.address.to_string()).collect()
    }
}

#[track_caller]
fn refused_by<T: std::fmt::Debug>(result: Result<T, Refusal>, rule: MlsRule) {
    assert_eq!(result.unwrap_err().rule, rule.into());
}

#[test]
fn rooms_are_encrypted_as_their_create_event_says() {
    assert_eq!(TestHub::new(json!({})).hub.room().encryption().epoch(), None);
    let hub = TestHub::new(json!({"encryption": {"algorithm": ALGORITHM}}));
    assert_eq!(hub.hub.room().encryption().epoch(), Some(0));
    let foreign = TestHub::new(json!({"encryption": {"algorithm": "org.example.x"}}));
    assert!(matches!(foreign.hub.room().encryption(), Encryption::Foreign(name) if name == "org.example.x"));
}

#[test]
fn a_joined_users_device_is_added_and_a_strangers_is_not() {
    let mut room = Encrypted::new();
    assert_eq!(room.epoch(), Some(1));
    room.add(&engine(BOB, "B")).unwrap();
    assert_eq!((room.epoch(), room.members().len()), (Some(2), 2));
    refused_by(room.add(&engine(CAROL, "C")), MlsRule::AddedNotJoined);
    room.hub.member(ALICE, CAROL, "invite").unwrap();
    refused_by(room.add(&engine(CAROL, "C")), MlsRule::AddedNotJoined);
    room.hub.member(CAROL, CAROL, "join").unwrap();
    room.add(&engine(CAROL, "C")).unwrap();
    room.hub.member(ALICE, CAROL, "ban").unwrap();
    refused_by(room.add(&engine(CAROL, "C2")), MlsRule::AddedNotJoined);
    assert_eq!((room.epoch(), room.members().len()), (Some(3), 3));
}

#[test]
fn anybody_is_added_where_anybody_may_read() {
    let mut room = Encrypted::new();
    let world_readable = json!({"history_visibility": "world_readable"});
    room.hub.event(ALICE, "m.room.history_visibility", Some(""), world_readable).unwrap();
    room.add(&engine(CAROL, "C")).unwrap();
}

#[test]
fn a_device_is_removed_by_its_user_or_once_its_user_is_gone() {
    let mut room = Encrypted::new();
    let second = engine(ALICE, "A2");
    room.add(&second).unwrap();
    room.add(&engine(BOB, "B")).unwrap();
    refused_by(room.remove(address(BOB, "B")), MlsRule::RemovedIllegally);
    room.remove(address(ALICE, "A2")).unwrap();
    room.hub.member(BOB, BOB, "leave").unwrap();
    room.remove(address(BOB, "B")).unwrap();
    assert_eq!(room.members().len(), 1);
}

#[test]
fn the_first_commit_for_an_epoch_wins() {
    let mut room = Encrypted::new();
    let mut bob = engine(BOB, "B");
    let welcome = room.add(&bob).unwrap().welcome.unwrap();
    bob.join(&welcome.message, "$x").unwrap();
    let late = bob.commit(&room.room, Changes { update: true, ..Changes::default() }).unwrap();
    room.commit(Changes { update: true, ..Changes::default() }).unwrap();
    refused_by(room.send(BOB, &late), MlsRule::Epoch);
    assert_eq!(room.epoch(), Some(3));
}

#[test]
fn the_sender_of_the_event_is_the_committer() {
    let mut room = Encrypted::new();
    let commit =
        room.alice.commit(&room.room.clone(), Changes { update: true, ..Changes::default() }).unwrap();
    refused_by(room.send(BOB, &commit), MlsRule::Committer);
    room.send(ALICE, &commit).unwrap();
}

#[test]
fn a_joined_user_joins_from_outside_and_a_stranger_does_not() {
    let mut room = Encrypted::new();
    let state = room.commit(Changes { update: true, ..Changes::default() }).unwrap().public_group_state;
    let mut carol = engine(CAROL, "C");
    let commit = carol.join_external(&room.room, &state, "$state").unwrap();
    assert_eq!(room.send(CAROL, &commit).unwrap_err().rule.to_string(), "auth 6", "not even in the room");
    let mut bob = engine(BOB, "B");
    let stranger = {
        let mut carol = engine(CAROL, "C");
        carol.join_external(&room.room, &state, "$state").unwrap()
    };
    refused_by(room.send(BOB, &stranger), MlsRule::Committer);
    let commit = bob.join_external(&room.room, &state, "$state").unwrap();
    room.send(BOB, &commit).unwrap();
    assert_eq!(room.members().len(), 2);
}

#[test]
fn malformed_commits_are_refused() {
    let mut room = Encrypted::new();
    let good = room.alice.commit(&room.room.clone(), Changes { update: true, ..Changes::default() }).unwrap();
    for broken in [json!({}), json!({"message": "AAAA"}), json!({"message": 1, "public_group_state": "AAAA"})]
    {
        refused_by(room.hub.event(ALICE, "m.mls.commit", None, broken), MlsRule::Malformed);
    }
    let swapped = json!({"message": content(&good)["public_group_state"], "public_group_state": content(&good)["message"]});
    assert!(room.hub.event(ALICE, "m.mls.commit", None, swapped).is_err());
    let mut old_state = content(&good);
    let first: Value = serde_json::from_slice(room.hub.list.last().unwrap().bytes()).unwrap();
    old_state["public_group_state"] = first["content"]["public_group_state"].clone();
    refused_by(room.hub.event(ALICE, "m.mls.commit", None, old_state), MlsRule::GroupState);
    room.send(ALICE, &good).unwrap();
}

#[test]
fn commits_of_another_group_are_refused() {
    let mut room = Encrypted::new();
    let mut other = engine(ALICE, "A");
    other.create("!other:hub.example").unwrap();
    let commit = other.commit("!other:hub.example", Changes { update: true, ..Changes::default() }).unwrap();
    refused_by(room.send(ALICE, &commit), MlsRule::OtherGroup);
}

#[test]
fn the_first_commit_brings_nobody_who_is_not_joined() {
    let mut hub = TestHub::new(json!({"encryption": {"algorithm": ALGORITHM}}));
    let room = hub.hub.room().id().to_string();
    let mut alice = engine(ALICE, "A");
    alice.create(&room).unwrap();
    let carol = engine(CAROL, "C");
    let commit =
        alice.commit(&room, Changes { add: vec![key_package(&carol)], ..Changes::default() }).unwrap();
    let event = hub.draft(ALICE, "m.mls.commit", None, content(&commit));
    refused_by(hub.send(event), MlsRule::AddedNotJoined);
    assert_eq!(hub.hub.room().encryption().epoch(), Some(0));
}

#[test]
fn the_first_commit_makes_the_first_epoch() {
    let mut hub = TestHub::new(json!({"encryption": {"algorithm": ALGORITHM}}));
    let room = hub.hub.room().id().to_string();
    let mut alice = engine(ALICE, "A");
    alice.create(&room).unwrap();
    // Carol, who is not joined, is brought in by a commit that nobody is shown.
    let carol = engine(CAROL, "C");
    alice.commit(&room, Changes { add: vec![key_package(&carol)], ..Changes::default() }).unwrap();
    alice.accepted(&room, "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let commit = alice.commit(&room, Changes { update: true, ..Changes::default() }).unwrap();
    let event = hub.draft(ALICE, "m.mls.commit", None, content(&commit));
    refused_by(hub.send(event), MlsRule::Epoch);
    assert_eq!(hub.hub.room().encryption().epoch(), Some(0));
}

#[test]
fn without_encryption_commits_are_events_like_others() {
    let mut hub = TestHub::new(json!({}));
    assert!(hub.event(ALICE, "m.mls.commit", None, json!({"anything": 1})).is_ok());
}

#[test]
fn a_participant_soft_fails_what_the_hub_should_have_refused() {
    let mut room = Encrypted::new();
    let mut participant = room.hub.join(CAROL);
    let follow = |participant: &mut crate::participant::Participant, pdu| match participant.judge(pdu, false)
    {
        crate::participant::Verdict::Extends(extension) => {
            let effect = extension.steps().last().unwrap().effect();
            participant.append(extension).unwrap();
            effect
        }
        other => panic!("{other:?}"),
    };
    room.commit(Changes { update: true, ..Changes::default() }).unwrap();
    let event = std::sync::Arc::clone(room.hub.list.last().unwrap());
    assert_eq!(follow(&mut participant, pdu(&event)), Effect::Applied);
    assert_eq!(participant.room().encryption().epoch(), Some(2));
    // The hub passes on a commit that adds a stranger's device.
    let stranger = engine("@dave:d.example", "D");
    let bad = room
        .alice
        .commit(&room.room, Changes { add: vec![key_package(&stranger)], ..Changes::default() })
        .unwrap();
    let draft = room.hub.draft(ALICE, "m.mls.commit", None, content(&bad));
    let probe = draft.clone().into_event(&room.hub.version).unwrap();
    let cited = room.hub.hub.room().select(&probe).to_cite(&probe);
    let head = [room.hub.hub.room().head().event_id.clone()];
    let forged = forge(&room.hub, draft, &cited, &head);
    assert_eq!(follow(&mut participant, forged), Effect::SoftFailed);
    assert_eq!(participant.room().encryption().epoch(), Some(2));
    assert_eq!(participant.room().head().length, 3);
}

#[test]
fn a_group_comes_back_from_its_snapshot() {
    let mut room = Encrypted::new();
    room.add(&engine(BOB, "B")).unwrap();
    let snapshot = room.hub.hub.room().encryption().tracker().unwrap().snapshot().unwrap();
    let tracker = GroupTracker::restore(&snapshot).unwrap();
    room.hub.hub.room_mut().encryption_mut().restore(tracker);
    assert_eq!((room.epoch(), room.members().len()), (Some(2), 2));
    room.add(&engine(BOB, "B2")).unwrap();
    assert_eq!(room.epoch(), Some(3));
}

#[test]
fn every_suite_has_its_rooms_and_a_device_of_another_is_refused() {
    for &suite in Suite::ALL {
        let mut hub = TestHub::new(json!({"encryption": {"algorithm": suite.room_algorithm()}})).public();
        hub.member(BOB, BOB, "join").unwrap();
        assert_eq!(hub.hub.room().encryption().suite(), Some(suite));
        let room = hub.hub.room().id().to_string();
        let device = |user, id, suite| Engine::new(Device::generate(user, id, suite).unwrap());
        let other = Suite::ALL.iter().copied().find(|other| *other != suite).unwrap();

        // The group has to be of the suite that the room was made for.
        let mut wrong = device(ALICE, "W", other);
        wrong.create(&room).unwrap();
        let commit = wrong.commit(&room, Changes { update: true, ..Changes::default() }).unwrap();
        refused_by(hub.event(ALICE, "m.mls.commit", None, content(&commit)), MlsRule::OtherSuite);

        let mut alice = device(ALICE, "A", suite);
        alice.create(&room).unwrap();
        let first = alice.commit(&room, Changes { update: true, ..Changes::default() }).unwrap();
        let event = hub.event(ALICE, "m.mls.commit", None, content(&first)).unwrap();
        alice.accepted(&room, event.id().as_str()).unwrap();

        // A device of another suite can neither be added nor join on its own.
        let mut bob = device(BOB, "B", other);
        let packages = vec![key_package(&bob)];
        assert!(matches!(
            alice.commit(&room, Changes { add: packages, ..Changes::default() }),
            Err(Error::Caller(CallerFault::SuiteMismatch { expected, got })) if (expected, got) == (suite, other)
        ));
        assert!(matches!(
            bob.join_external(&room, &first.public_group_state, event.id().as_str()),
            Err(Error::Peer(PeerFault::WrongSuite { expected, got })) if (expected, got) == (other, suite.code())
        ));
        // One that has the suite can.
        let mut bob = device(BOB, "B", suite);
        let join = bob.join_external(&room, &first.public_group_state, event.id().as_str()).unwrap();
        let event = hub.event(BOB, "m.mls.commit", None, content(&join)).unwrap();
        bob.accepted(&room, event.id().as_str()).unwrap();
        alice.receive_commit(&room, &join.message, event.id().as_str()).unwrap();
        let sent = bob.encrypt(&room, b"hello").unwrap();
        assert_eq!(sent.algorithm, suite.room_algorithm());
        assert!(alice.decrypt(&room, &sent.ciphertext).is_ok());
        assert!(bob.device().object().unwrap().verify().unwrap().supports(suite));
    }
}

#[test]
fn a_hub_refuses_leaves_that_are_not_of_the_device_they_name() {
    let mut room = Encrypted::new();
    let bob = engine(BOB, "B");
    let commit = room
        .alice
        .commit(&room.room.clone(), Changes { add: vec![key_package(&bob)], ..Changes::default() })
        .unwrap();
    let proposal = |room: &Encrypted| {
        let draft = room.hub.draft(ALICE, "m.mls.commit", None, content(&commit));
        crate::hub::Proposal::of_own(draft, &room.hub.version).unwrap()
    };
    let authorised = room.hub.hub.authorise(proposal(&room)).unwrap();
    let staged = authorised.commit().unwrap();
    assert_eq!(staged.change().epoch, 2);
    assert!(staged.new_leaves().map(|leaf| &leaf.address).eq([bob.device().address()]));
    let mut devices = Devices::new();
    let address = address(BOB, "B");
    let because = |owner| Because::Leaf { device: address.to_string(), owner };
    let refusal = staged.check_devices(&devices).unwrap_err();
    assert_eq!(refusal.because, because(LeafOwner::Unknown));
    staged.check_known_devices(&devices).unwrap();
    assert!(staged.unknown_devices(&devices).eq([&address]));
    let object = |engine: &Engine| engine.device().object().unwrap();
    devices.learn(&address, &object(&bob));
    staged.check_devices(&devices).unwrap();
    assert_eq!(staged.unknown_devices(&devices).count(), 0);
    devices.learn(&address, &object(&engine(BOB, "B")));
    for check in [StagedCommit::check_devices, StagedCommit::check_known_devices] {
        let refusal = check(staged, &devices).unwrap_err();
        assert_eq!(refusal.because, because(LeafOwner::OtherKey));
        refused_by(Err::<(), _>(refusal), MlsRule::Credential);
    }
    devices.learn_absent(&address);
    refused_by(staged.check_devices(&devices), MlsRule::Credential);
    refused_by(staged.check_known_devices(&devices), MlsRule::Credential);
}

#[test]
fn a_device_needs_an_id_that_is_one() {
    let mut room = Encrypted::new();
    refused_by(room.add(&engine(BOB, "not an id")), MlsRule::Credential);
    room.add(&engine(BOB, "AN_ID")).unwrap();
}
