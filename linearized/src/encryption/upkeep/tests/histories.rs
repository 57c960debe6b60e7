//! Random histories of a room: users come and go, devices appear and are deleted, devices see all of it late and in
//! pieces, commits are lost and raced, and some devices want in that should not be. A real hub, real groups.

use mimi_mls::{Changes, KeyPackage, KeyPackageUse};
use proptest::prelude::*;

use super::*;
use crate::auth::MlsRule;
use crate::encryption::{Apart, CommitContent, RoomDevice, Seen, commit_content};
use crate::event::RoomEvent;
use crate::id::EventId;

const USERS: [&str; 3] = [ALICE, BOB, CAROL];

/// Two for each user.
const DEVICES: usize = 6;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A user joins.
    Join { user: usize },
    /// A user leaves.
    Leave { user: usize },
    /// Alice sends a user away, bans or unbans.
    Away { user: usize, ban: bool },
    /// A device is deleted, or introduced again.
    Delete { device: usize, back: bool },
    /// A device sees a part of what it has not seen yet: of the room, and of the lists of devices.
    Look { device: usize, events: usize, updates: usize },
    /// A device does what there is to do, without waiting for its turn.
    Act { device: usize },
    /// What it has pending reaches the hub.
    Submit { device: usize },
    /// A device sends a message, if it may.
    Say { device: usize },
    /// A device wants into the group, whether it should or not.
    Intrude { device: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let (user, device) = (0..USERS.len(), 0..DEVICES);
    prop_oneof![
        2 => user.clone().prop_map(|user| Op::Join { user }),
        1 => user.clone().prop_map(|user| Op::Leave { user }),
        1 => (user, any::<bool>()).prop_map(|(user, ban)| Op::Away { user, ban }),
        1 => (device.clone(), any::<bool>()).prop_map(|(device, back)| Op::Delete { device, back }),
        5 => (device.clone(), 0..9_usize, 0..3_usize)
            .prop_map(|(device, events, updates)| Op::Look { device, events, updates }),
        4 => device.clone().prop_map(|device| Op::Act { device }),
        4 => device.clone().prop_map(|device| Op::Submit { device }),
        2 => device.clone().prop_map(|device| Op::Say { device }),
        1 => device.prop_map(|device| Op::Intrude { device }),
    ]
}

/// A device, and what it has seen.
struct Client {
    engine: Engine,
    room: RoomDevice,
    devices: Devices,
    seen: usize,
    seen_updates: usize,
    /// Welcomes, each with its commit event.
    mail: Vec<(Vec<u8>, String)>,
}

/// A message, and who was meant to read it as far as its sender knew.
struct Sent {
    event: EventId,
    readers: BTreeSet<DeviceAddress>,
}

struct World {
    hub: TestHub,
    room: String,
    clients: Vec<Client>,
    /// Updates of the users' lists of devices.
    updates: Vec<(UserId, Object)>,
    deleted: BTreeSet<usize>,
    sent: Vec<Sent>,
    /// Who decrypted what.
    read: Vec<(EventId, DeviceAddress)>,
}

fn listed(event: &RoomEvent) -> (String, CommitContent) {
    (event.id().to_string(), CommitContent::parse(event.event().content()).unwrap())
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

impl World {
    fn new() -> Self {
        let hub =
            TestHub::new(json!({"encryption": {"algorithm": Suite::MANDATORY.room_algorithm()}})).public();
        let room = hub.hub.room().id().to_string();
        let clients: Vec<_> = (0..DEVICES)
            .map(|n| Client {
                engine: Engine::new(device(USERS[n / 2], ["A", "B"][n % 2])),
                room: RoomDevice::new(hub.hub.room().id().clone()),
                devices: Devices::new(),
                seen: 0,
                seen_updates: 0,
                mail: Vec::new(),
            })
            .collect();
        let updates = clients.iter().map(|client| {
            let device = client.engine.device();
            (user(device.address().user_id()), changed(&[device]))
        });
        let updates = updates.collect();
        let mut world = Self {
            hub,
            room,
            clients,
            updates,
            deleted: BTreeSet::new(),
            sent: Vec::new(),
            read: Vec::new(),
        };
        world.clients[0].engine.create(&world.room).unwrap();
        let first = Changes { update: true, ..Changes::default() };
        world.clients[0].engine.commit(&world.room, first).unwrap();
        world.submit(0);
        for n in 0..DEVICES {
            world.look(n, 0, DEVICES);
        }
        world.look(0, usize::MAX, 0);
        world
    }

    fn user(device: usize) -> &'static str {
        USERS[device / 2]
    }

    fn is_in(&self, n: usize) -> bool {
        self.clients[n].engine.rooms().count() == 1
    }

    fn look(&mut self, n: usize, events: usize, updates: usize) {
        let Self { hub, room: room_id, clients, updates: all_updates, read, .. } = self;
        let Client { engine, room, devices, seen, seen_updates, mail } = &mut clients[n];
        for (user, content) in all_updates.iter().skip(*seen_updates).take(updates) {
            devices.update(user, content);
            *seen_updates += 1;
        }
        let me = engine.device().address().clone();
        let mut take = |engine: &mut Engine, event: &RoomEvent| {
            let apart = Apart::default();
            match room.take(engine, event.id(), event.event().as_object(), &apart, now()).unwrap() {
                Seen::Message { .. } => read.push((event.id().clone(), me.clone())),
                Seen::Commit(caught_up) => assert!(caught_up.halt.is_none(), "{:?}", caught_up.halt),
                _ => {}
            }
        };
        for event in hub.list.iter().skip(*seen).take(events) {
            *seen += 1;
            take(engine, event);
        }
        // A Welcome is of use as long as the device is not in.
        if engine.rooms().count() == 0 && engine.pending_commit(room_id).is_none() && !mail.is_empty() {
            let (welcome, id) = mail.remove(0);
            engine.join(&welcome, &id).unwrap();
            for event in hub.list.iter().take(*seen).skip_while(|event| *event.id() != *id) {
                take(engine, event);
            }
        }
    }

    fn act(&mut self, n: usize, patience: usize) {
        let client = &self.clients[n];
        if client.engine.pending_commit(&self.room).is_some() {
            return;
        }
        if !self.is_in(n) {
            if client.mail.is_empty() {
                let Client { engine, room, .. } = &mut self.clients[n];
                room.join(engine, None).unwrap();
            }
            return;
        }
        // A Welcome may let a device in before it has seen anything of the room.
        let Some(upkeep) = client.room.upkeep(&client.engine, &client.devices).unwrap() else { return };
        let Some(turn) = upkeep.turn(client.engine.device().address()) else { return };
        if turn.place > patience {
            return;
        }
        let packages = turn.add.iter().map(|address| {
            let other = self.clients.iter().find(|other| other.engine.device().address() == address).unwrap();
            KeyPackage::generate(other.engine.device(), KeyPackageUse::OneTime).unwrap()
        });
        let changes = Changes { add: packages.collect(), remove: turn.remove, ..Changes::default() };
        self.clients[n].engine.commit(&self.room, changes).unwrap();
    }

    /// Joins from the newest state of the list, whether the device should or not.
    fn join_external(&mut self, n: usize) {
        let newest = self.hub.list.iter().rev().find(|event| event.event().kind() == kind::MLS_COMMIT);
        let Some(newest) = newest else { return };
        let (event, state) = listed(newest);
        self.clients[n].engine.join_external(&self.room, &state.public_group_state, &event).unwrap();
    }

    fn submit(&mut self, n: usize) {
        let Some(commit) = self.clients[n].engine.pending_commit(&self.room).cloned() else { return };
        match self.hub.event(
            Self::user(n),
            kind::MLS_COMMIT,
            None,
            Value::Object(commit_content(&commit).unwrap()),
        ) {
            Ok(event) => {
                let welcome = commit.welcome.into_iter();
                for (to, message) in
                    welcome.flat_map(|w| w.to.into_iter().map(move |to| (to, w.message.clone())))
                {
                    let to = self.clients.iter_mut().find(|c| *c.engine.device().address() == to).unwrap();
                    to.mail.push((message, event.id().to_string()));
                }
            }
            // The commit that won is in the list.
            Err(refusal) if refusal.rule == MlsRule::Epoch.into() => {}
            Err(_) => self.clients[n].engine.refused(&self.room).unwrap(),
        }
    }

    fn say(&mut self, n: usize) {
        let Client { engine, room, devices, .. } = &mut self.clients[n];
        if engine.rooms().count() == 0 {
            return;
        }
        let Ok(clearance) = Clearance::check(room, devices, engine) else { return };
        let message = clearance.encrypt(engine, b"secret").unwrap();
        let readers =
            room.joined().iter().flat_map(|user| devices.of(user).map(|d| d.address().clone())).collect();
        let content = Value::Object(message.to_json());
        if let Ok(event) = self.hub.event(Self::user(n), "m.room.encrypted", None, content) {
            self.sent.push(Sent { event: event.id().clone(), readers });
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Join { user } => drop(self.hub.member(USERS[user], USERS[user], "join")),
            Op::Leave { user } => drop(self.hub.member(USERS[user], USERS[user], "leave")),
            Op::Away { user, ban } => {
                drop(self.hub.member(ALICE, USERS[user], if ban { "ban" } else { "leave" }));
            }
            Op::Delete { device, back: false } if self.deleted.insert(device) => {
                let id = self.clients[device].engine.device().address().device_id().to_owned();
                self.updates
                    .push((user(Self::user(device)), object(json!({"changed": [], "removed": [id]}))));
            }
            Op::Delete { device, back: true } if self.deleted.remove(&device) => {
                self.updates
                    .push((user(Self::user(device)), changed(&[self.clients[device].engine.device()])));
            }
            Op::Delete { .. } => {}
            Op::Look { device, events, updates } => self.look(device, events, updates),
            Op::Act { device } => self.act(device, usize::MAX),
            Op::Submit { device } => self.submit(device),
            Op::Say { device } => self.say(device),
            Op::Intrude { device } => {
                if !self.is_in(device) && self.clients[device].engine.pending_commit(&self.room).is_none() {
                    self.join_external(device);
                    self.submit(device);
                }
            }
        }
    }

    /// Those who are online see everything and do what there is to do, each in its turn, until nothing changes.
    fn settle(&mut self, online: &[usize]) {
        let mut quiet = 0;
        for _ in 0..300 {
            let before = self.hub.list.len();
            for &n in online {
                self.look(n, usize::MAX, usize::MAX);
                self.act(n, quiet);
                self.submit(n);
            }
            quiet = if self.hub.list.len() == before { quiet + 1 } else { 0 };
            if quiet > DEVICES {
                return;
            }
        }
        panic!("it never ends");
    }

    /// Who is in the group, by the hub.
    fn members(&self) -> Vec<Member> {
        self.hub.hub.room().encryption().tracker().unwrap().members().cloned().collect()
    }

    fn check(&mut self, online: &[usize]) {
        let mut truth = Devices::new();
        for (user, content) in &self.updates {
            truth.update(user, content);
        }
        let members = self.members();
        let upkeep = Upkeep::look(self.hub.hub.room(), &truth, &members).unwrap();
        let able: Vec<_> = online
            .iter()
            .copied()
            .filter(|&n| self.is_in(n) && upkeep.stewards.contains(self.clients[n].engine.device().address()))
            .collect();
        let left: Vec<_> = upkeep
            .barred
            .iter()
            .filter(|barred| {
                able.iter().any(|&n| barred.may_be_removed_by(self.clients[n].engine.device().address()))
            })
            .collect();
        assert!(left.is_empty(), "{left:?}");
        if !able.is_empty() {
            assert!(upkeep.barred.iter().all(|barred| !matches!(barred.why, Barred::NotJoined(_))));
            let stuck: Vec<_> = upkeep.barred.iter().map(|barred| &barred.member.address).collect();
            let waiting = |address: &&DeviceAddress| !stuck.contains(address);
            assert_eq!(upkeep.missing.iter().find(waiting), None);
        }
        // Who could read and should not keeps everybody from sending.
        for &n in &able {
            let Client { engine, room, devices, .. } = &self.clients[n];
            let cleared = Clearance::check(room, devices, engine);
            assert_eq!(cleared.is_ok(), upkeep.barred.is_empty(), "{cleared:?}");
        }
        // And nobody ever read what was not meant for them, whatever they did to get at it.
        for &n in online {
            self.say(n);
        }
        for n in 0..DEVICES {
            self.look(n, usize::MAX, usize::MAX);
        }
        for (event, reader) in &self.read {
            let sent = self.sent.iter().find(|sent| sent.event == *event).unwrap();
            assert!(sent.readers.contains(reader), "{reader} read {event}");
        }
    }
}

fn history(ops: &[Op], online: u8) {
    let mut world = World::new();
    for &op in ops {
        world.run(op);
    }
    let online: Vec<_> =
        (0..DEVICES).filter(|n| online & (1 << n) != 0 && !world.deleted.contains(n)).collect();
    world.settle(&online);
    world.check(&online);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_room_ends_with_a_device_that_can_read_and_should_not(
        ops in prop::collection::vec(op(), 10..90),
        online in 1..64_u8,
    ) {
        history(&ops, online);
    }
}

#[test]
fn who_was_banned_while_nobody_was_online_reads_nothing_that_comes_after() {
    let mut world = World::new();
    for user in [1, 2] {
        world.run(Op::Join { user });
    }
    let everybody: Vec<_> = (0..DEVICES).collect();
    world.settle(&everybody);
    assert_eq!(world.members().len(), DEVICES);
    world.say(0);
    world.run(Op::Away { user: 2, ban: true });
    // Bob's phone has not heard of it and sends, as it would have a moment before.
    world.say(2);
    assert_eq!(world.sent.len(), 2);
    // Whoever has heard of it does not.
    world.look(0, usize::MAX, usize::MAX);
    world.say(0);
    assert_eq!(world.sent.len(), 2);
    // Carol's devices want back in.
    for device in [4, 5] {
        world.run(Op::Intrude { device });
    }
    world.settle(&[0]);
    assert_eq!(world.members().len(), 4);
    world.say(0);
    assert_eq!(world.sent.len(), 3);
    world.check(&[0]);
    let last = &world.sent[2].event;
    let readers: BTreeSet<_> =
        world.read.iter().filter(|(event, _)| event == last).map(|(_, who)| who).collect();
    assert_eq!(readers.len(), 3, "{readers:?}");
}

#[test]
fn a_device_that_was_let_in_before_it_saw_the_room_waits() {
    let look = Op::Look { device: 1, events: 0, updates: 0 };
    let lets_in = [Op::Act { device: 0 }, Op::Submit { device: 0 }, look, Op::Act { device: 1 }];
    history(&lets_in, 0b11_1111);
}
