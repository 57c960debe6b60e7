use std::time::Duration;

use mimi_mls::{Device, DeviceObject, Engine, VerifiedDevice};
use serde_json::{Value, json};

use super::super::{Clearance, Withheld};
use super::*;
use crate::id::RoomId;
use crate::json::Object;
use crate::testing::{ALICE, BOB, CAROL, TestHub, object, user};

mod histories;

/// What one device sees of a room.
#[derive(Debug)]
struct View {
    id: RoomId,
    members: BTreeMap<String, (Membership, String)>,
    world_readable: bool,
    suite: Option<Suite>,
    epoch: u64,
}

impl View {
    fn new(joined: &[&str]) -> Self {
        let members = joined.iter().map(|user| ((*user).to_owned(), (Membership::Join, (*user).to_owned())));
        Self {
            id: RoomId::parse("!room:hub.example").unwrap(),
            members: members.collect(),
            world_readable: false,
            suite: Some(Suite::MANDATORY),
            epoch: 1,
        }
    }

    fn set(&mut self, user: &str, membership: Membership, by: &str) {
        self.members.insert(user.to_owned(), (membership, by.to_owned()));
    }
}

impl RoomView for View {
    fn room_id(&self) -> &RoomId {
        &self.id
    }

    fn membership(&self, user: &UserId) -> Membership {
        self.members.get(user.as_str()).map_or(Membership::Leave, |(membership, _)| *membership)
    }

    fn joined(&self) -> Vec<UserId> {
        let joined = self.members.iter().filter(|(_, (membership, _))| *membership == Membership::Join);
        joined.map(|(id, _)| user(id)).collect()
    }

    fn is_world_readable(&self) -> bool {
        self.world_readable
    }

    fn changed_by(&self, user: &UserId) -> Option<UserId> {
        self.members.get(user.as_str()).map(|(_, by)| crate::testing::user(by))
    }

    fn suite(&self) -> Option<Suite> {
        self.suite
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

fn device(user: &str, id: &str) -> Device {
    Device::generate(user, id, Suite::MANDATORY).unwrap()
}

fn member(device: &Device) -> Member {
    device.credential().clone().into()
}

fn object_of(device: &Device) -> DeviceObject {
    device.object().unwrap()
}

fn changed(devices: &[&Device]) -> Object {
    let changed: Vec<Value> = devices.iter().map(|device| object_of(device).into_value()).collect();
    object(json!({"changed": changed, "removed": []}))
}

/// All of them known, as their users' servers introduced them.
fn known(all: &[&Device]) -> Devices {
    let mut devices = Devices::new();
    for device in all {
        assert!(devices.learn(device.address(), &object_of(device)));
    }
    devices
}

fn look(view: &View, devices: &Devices, inside: &[&Device]) -> Upkeep {
    let members: Vec<_> = inside.iter().map(|device| member(device)).collect();
    Upkeep::look(view, devices, &members).unwrap()
}

fn addresses(devices: &[&Device]) -> Vec<DeviceAddress> {
    devices.iter().map(|device| device.address().clone()).collect()
}

fn turn(upkeep: &Upkeep, of: &Device) -> Option<Turn> {
    upkeep.turn(of.address())
}

#[test]
fn a_group_of_all_devices_of_joined_users_is_in_step() {
    let (a, b) = (device(ALICE, "A"), device(BOB, "B"));
    let (view, devices) = (View::new(&[ALICE, BOB]), known(&[&a, &b]));
    let upkeep = look(&view, &devices, &[&a, &b]);
    assert!(upkeep.is_in_step());
    assert_eq!(turn(&upkeep, &a), None);
    assert!(Upkeep::look(&View { suite: None, ..View::new(&[]) }, &devices, []).is_none());
}

#[test]
fn who_is_not_joined_has_to_go_and_anybody_may_see_to_it() {
    let all = [device(ALICE, "A"), device(BOB, "B"), device(CAROL, "C")];
    let [a, b, c] = &all;
    let devices = known(&[a, b, c]);
    for membership in [Membership::Leave, Membership::Ban, Membership::Invite, Membership::Knock] {
        let mut view = View::new(&[ALICE, BOB, CAROL]);
        view.set(CAROL, membership, CAROL);
        let upkeep = look(&view, &devices, &[a, b, c]);
        let [barred] = &upkeep.barred[..] else { panic!("{upkeep:?}") };
        assert_eq!((&barred.member, barred.why), (&member(c), Barred::NotJoined(membership)));
        assert_eq!(turn(&upkeep, c), None, "who has to go does not commit");
        let mut places: Vec<_> = [a, b].map(|device| turn(&upkeep, device).unwrap().place).into();
        places.sort_unstable();
        assert_eq!(places, [0, 1]);
        for device in [a, b] {
            let Turn { remove, add, .. } = turn(&upkeep, device).unwrap();
            assert_eq!((remove, add), (addresses(&[c]), vec![]));
        }
        assert_eq!(upkeep.stuck().count(), 0);
    }
    // Somebody who never was in the room.
    let upkeep = look(&View::new(&[ALICE, BOB]), &devices, &[a, c]);
    assert_eq!(upkeep.barred[0].why, Barred::NotJoined(Membership::Leave));
}

#[test]
fn where_anybody_may_read_nobody_has_to_go_for_not_being_joined() {
    let (a, b) = (device(ALICE, "A"), device(BOB, "B"));
    let mut devices = known(&[&a, &b]);
    let view = View { world_readable: true, ..View::new(&[ALICE]) };
    let upkeep = look(&view, &devices, &[&a, &b]);
    assert!(upkeep.is_in_step());
    // But a device that is none has to.
    devices.learn_absent(b.address());
    let upkeep = look(&view, &devices, &[&a, &b]);
    assert_eq!(upkeep.barred[0].why, Barred::NotJoined(Membership::Leave));
    assert_eq!(turn(&upkeep, &a).unwrap().remove, addresses(&[&b]));
    // Who is not joined cannot send a commit.
    let c = device(CAROL, "C");
    devices.learn(b.address(), &object_of(&b));
    devices.learn_absent(c.address());
    let upkeep = look(&view, &devices, &[&a, &b, &c]);
    assert_eq!(turn(&upkeep, &b), None);
    assert_eq!(turn(&upkeep, &a).unwrap().remove, addresses(&[&c]));
}

#[test]
fn whoever_sent_a_user_away_is_asked_first() {
    let all: Vec<_> = (0..6).map(|n| device(&format!("@u{n}:hub.example"), "D")).collect();
    let users: Vec<_> = all.iter().map(|device| device.address().user_id()).collect();
    let inside: Vec<_> = all.iter().collect();
    let devices = known(&inside);
    for herald in &all[..5] {
        let mut view = View::new(&users);
        view.set(users[5], Membership::Ban, herald.address().user_id());
        assert_eq!(turn(&look(&view, &devices, &inside), herald).unwrap().place, 0);
    }
}

#[test]
fn each_epoch_has_another_order() {
    let all: Vec<_> = (0..6).map(|n| device(&format!("@u{n}:hub.example"), "D")).collect();
    let users: Vec<_> = all.iter().map(|device| device.address().user_id()).collect();
    let inside: Vec<_> = all.iter().collect();
    let devices = known(&inside);
    let mut first = BTreeSet::new();
    for epoch in 1..40 {
        let mut view = View { epoch, ..View::new(&users[..5]) };
        view.set(users[5], Membership::Leave, users[5]);
        let upkeep = look(&view, &devices, &inside);
        let places: Vec<_> = all[..5].iter().map(|device| turn(&upkeep, device).unwrap().place).collect();
        assert_eq!(BTreeSet::from_iter(&places), BTreeSet::from_iter(&[0, 1, 2, 3, 4]));
        first.insert(places.iter().position(|&place| place == 0));
    }
    assert_eq!(first.len(), 5);
}

#[test]
fn a_device_that_is_none_any_more_is_removed_by_its_like() {
    let all = [device(ALICE, "A"), device(BOB, "B"), device(BOB, "B2"), device(BOB, "B3")];
    let [a, b, b2, b3] = &all;
    let view = View::new(&[ALICE, BOB]);
    let reinstalled = device(BOB, "B");
    let inside = [a, b, b2, b3];
    let broken = {
        let mut object = object_of(b).value().clone();
        object["signatures"] = json!({});
        DeviceObject::parse(Value::Object(object)).unwrap()
    };
    type Learn<'a> = &'a dyn Fn(&mut Devices);
    let cases: [(LeafOwner, Learn<'_>); 5] = [
        (LeafOwner::Removed, &|devices| devices.learn_absent(b.address())),
        (LeafOwner::Removed, &|devices| {
            devices.update(&user(BOB), &object(json!({"changed": [], "removed": ["B"]})));
        }),
        (LeafOwner::Invalid, &|devices| assert!(!devices.learn(b.address(), &broken))),
        (LeafOwner::Invalid, &|devices| {
            devices.update(&user(BOB), &object(json!({"changed": [broken.value()], "removed": []})));
        }),
        (LeafOwner::OtherKey, &|devices| devices.update(&user(BOB), &changed(&[&reinstalled]))),
    ];
    for (owner, change) in cases {
        let mut devices = known(&inside);
        change(&mut devices);
        let upkeep = look(&view, &devices, &inside);
        let [barred] = &upkeep.barred[..] else { panic!("{upkeep:?}") };
        assert_eq!((&barred.member, barred.why), (&member(b), Barred::NotADevice(owner)));
        // Alice's device may not (LM-04 §4.3), and Bob's do it in their own order.
        assert_eq!(turn(&upkeep, a), None);
        let turns = [b2, b3].map(|device| turn(&upkeep, device).unwrap());
        assert_eq!(turns[0].place + turns[1].place, 1);
        for Turn { remove, add, .. } in turns {
            assert_eq!(remove, addresses(&[b]));
            // The new leaf comes with the removal of the old one.
            let back = if owner == LeafOwner::OtherKey { addresses(&[&reinstalled]) } else { vec![] };
            assert_eq!(add, back);
        }
        assert_eq!(upkeep.stuck().count(), 0);
        // Without another device of Bob's nobody may, until Bob is gone.
        let upkeep = look(&view, &devices, &[a, b]);
        assert_eq!(upkeep.stuck().map(|barred| &barred.member).collect::<Vec<_>>(), [&member(b)]);
        let mut view = View::new(&[ALICE, BOB]);
        view.set(BOB, Membership::Leave, ALICE);
        let upkeep = look(&view, &devices, &[a, b]);
        assert_eq!(upkeep.stuck().count(), 0);
        assert_eq!(turn(&upkeep, a).unwrap().remove, addresses(&[b]));
    }
}

#[test]
fn devices_of_joined_users_are_added_if_they_can_be() {
    let (a, b) = (device(ALICE, "A"), device(BOB, "B"));
    let other_suite = Suite::ALL.iter().copied().find(|suite| *suite != Suite::MANDATORY).unwrap();
    let lacking = Device::generate(BOB, "B2", other_suite).unwrap();
    let stranger = device(CAROL, "C");
    let devices = known(&[&a, &b, &lacking, &stranger]);
    let view = View::new(&[ALICE, BOB]);
    let upkeep = look(&view, &devices, &[&a]);
    assert_eq!(upkeep.missing, addresses(&[&b]));
    assert_eq!(upkeep.lack_suite, addresses(&[&lacking]));
    assert_eq!(turn(&upkeep, &a), Some(Turn { place: 0, remove: vec![], add: addresses(&[&b]) }));
    assert!(!upkeep.is_in_step());
    // One that got in all the same has to go.
    let upkeep = look(&view, &devices, &[&a, &b, &lacking]);
    assert_eq!(upkeep.barred[0].why, Barred::NotADevice(LeafOwner::OtherSuite));
}

#[test]
fn turns_come_one_after_the_other() {
    let turn = |place| Turn { place, remove: vec![], add: vec![] };
    let span = Duration::from_secs(5);
    assert!(turn(0).has_come(Duration::ZERO, span));
    assert!(!turn(2).has_come(Duration::from_secs(9), span));
    assert!(turn(2).has_come(Duration::from_secs(10), span));
    assert!(!turn(usize::MAX).has_come(Duration::from_secs(1 << 30), span));
}

#[test]
fn updates_are_about_their_senders_devices() {
    let (a, b) = (device(ALICE, "A"), device(BOB, "B"));
    let mut devices = known(&[&a]);
    devices.update(&user(BOB), &changed(&[&a, &b]));
    assert_eq!(devices.of(&user(BOB)).map(VerifiedDevice::address).collect::<Vec<_>>(), [b.address()]);
    let forged = {
        let mut object = object_of(&a).value().clone();
        object["signatures"] = json!({});
        json!({"changed": [object, 7, {}], "removed": ["A", 1]})
    };
    devices.update(&user(BOB), &object(forged));
    assert_eq!(devices.owner(Suite::MANDATORY, &member(&a)), LeafOwner::Owned);
    assert!(devices.get(a.address()).is_some() && devices.get(b.address()).is_some());
    devices.update(&user(BOB), &object(json!({"changed": "x"})));
    devices.learn_absent(b.address());
    assert!(devices.get(b.address()).is_none());
    assert_eq!(devices.of(&user(BOB)).count(), 0);
    // What comes after is what counts.
    devices.update(&user(BOB), &changed(&[&b]));
    assert_eq!(devices.owner(Suite::MANDATORY, &member(&b)), LeafOwner::Owned);
    assert_eq!(Devices::new().owner(Suite::MANDATORY, &member(&b)), LeafOwner::Unknown);
    // An object of another device is no answer.
    assert!(!devices.learn(b.address(), &object_of(&a)));
}

#[test]
fn a_server_sees_what_a_device_sees() {
    let mut hub =
        TestHub::new(json!({"encryption": {"algorithm": Suite::MANDATORY.room_algorithm()}})).public();
    hub.member(BOB, BOB, "join").unwrap();
    hub.member(CAROL, CAROL, "join").unwrap();
    let (a, b, c) = (device(ALICE, "A"), device(BOB, "B"), device(CAROL, "C"));
    let devices = known(&[&a, &b, &c]);
    hub.member(ALICE, CAROL, "leave").unwrap();
    let members: Vec<_> = [&a, &c].map(member).into();
    let upkeep = Upkeep::look(hub.hub.room(), &devices, &members).unwrap();
    assert_eq!(upkeep.barred[0].why, Barred::NotJoined(Membership::Leave));
    assert_eq!(upkeep.missing, addresses(&[&b]));
    assert_eq!(RoomView::changed_by(hub.hub.room(), &user(CAROL)), Some(user(ALICE)));
    assert!(Upkeep::look(TestHub::new(json!({})).hub.room(), &devices, &members).is_none());
}

#[test]
fn nothing_is_encrypted_to_who_should_not_read_or_is_not_known() {
    let view = |joined: &[&str], epoch| View { epoch, ..View::new(joined) };
    let room = "!room:hub.example";
    let event = |n: u8| format!("${}", crate::base64::encode(&[n; 32]).replace('/', "_").replace('+', "-"));
    let mut alice = Engine::new(device(ALICE, "A"));
    let mut bob = Engine::new(device(BOB, "B"));
    alice.create(room).unwrap();
    let package = |engine: &Engine| {
        mimi_mls::KeyPackage::generate(engine.device(), mimi_mls::KeyPackageUse::OneTime).unwrap()
    };
    let add = vec![package(&bob)];
    alice.commit(room, mimi_mls::Changes { add, ..Default::default() }).unwrap();
    assert!(matches!(
        Clearance::check(&view(&[ALICE, BOB], 1), &Devices::new(), &alice),
        Err(Withheld::OutOfStep { device: 0, room: 1 })
    ));
    let welcome = alice.pending_commit(room).unwrap().welcome.clone().unwrap();
    alice.accepted(room, &event(1)).unwrap();
    bob.join(&welcome.message, &event(1)).unwrap();
    let devices = known(&[alice.device(), bob.device()]);

    let both = view(&[ALICE, BOB], 1);
    let clearance = Clearance::check(&both, &devices, &alice).unwrap();
    assert_eq!(clearance.epoch(), 1);
    let sent = clearance.encrypt(&mut alice, b"both").unwrap();
    assert_eq!(sent.commit_event_id.as_str(), event(1));
    assert_eq!(sent.algorithm, Suite::MANDATORY.room_algorithm());
    assert!(bob.decrypt(room, &sent.ciphertext).is_ok());

    // Bob's device is not known.
    let some = known(&[alice.device()]);
    match Clearance::check(&both, &some, &alice) {
        Err(Withheld::Readers { barred, unknown }) => {
            assert!(barred.is_empty());
            assert_eq!(unknown, addresses(&[bob.device()]));
        }
        other => panic!("{other:?}"),
    }
    // Bob has left.
    let without = view(&[ALICE], 1);
    match Clearance::check(&without, &devices, &alice) {
        Err(Withheld::Readers { barred, unknown }) => {
            assert!(unknown.is_empty());
            assert_eq!(barred[0].member, member(bob.device()));
        }
        other => panic!("{other:?}"),
    }
    // Once he is removed, it goes on, in the new epoch only.
    let remove = addresses(&[bob.device()]);
    alice.commit(room, mimi_mls::Changes { remove, ..Default::default() }).unwrap();
    alice.accepted(room, &event(2)).unwrap();
    assert!(matches!(clearance.encrypt(&mut alice, b"?"), Err(Withheld::Moved { cleared: 1, now: 2 })));
    assert!(matches!(
        Clearance::check(&without, &devices, &alice),
        Err(Withheld::OutOfStep { device: 2, room: 1 })
    ));
    let after = view(&[ALICE], 2);
    let sent = Clearance::check(&after, &devices, &alice).unwrap().encrypt(&mut alice, b"alone").unwrap();
    assert!(bob.decrypt(room, &sent.ciphertext).is_err());
    assert!(matches!(
        Clearance::check(&View { suite: None, epoch: 2, ..view(&[ALICE], 2) }, &devices, &alice),
        Err(Withheld::NotEncrypted)
    ));
    let carol = Engine::new(device(CAROL, "C"));
    assert!(matches!(Clearance::check(&after, &devices, &carol), Err(Withheld::Engine(_))));
    // An epoch that no event made.
    alice.commit(room, mimi_mls::Changes { update: true, ..Default::default() }).unwrap();
    alice.accepted(room, "nothing").unwrap();
    let after = view(&[ALICE], 3);
    let clearance = Clearance::check(&after, &devices, &alice).unwrap();
    assert!(matches!(clearance.encrypt(&mut alice, b"?"), Err(Withheld::NoEventId)));
}
