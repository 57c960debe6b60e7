use proptest::prelude::*;

use super::super::record::RoomPart;
use super::*;
use crate::testing::{ROOM, engine};
use crate::{
    CallerFault, Changes, Decrypted, Encrypted, Error, KeyPackage, KeyPackageUse, ListedCommit, Moot,
    OutboundCommit, PeerFault, Received,
};

const OTHER_ROOM: &str = "!other:example.org";

/// An engine and what is stored of it.
struct Stored {
    engine: DurableEngine,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The bytes of values stored by the last operation.
    written: usize,
    /// Whether the engine is restored after every operation.
    restarting: bool,
}

impl Stored {
    fn new(user: &str) -> Self {
        let engine = DurableEngine::new(engine(user, "D"));
        Self { engine, disk: BTreeMap::new(), written: 0, restarting: true }
    }

    fn run<T, E: From<LibraryFault>>(
        &mut self,
        operation: impl FnOnce(&mut Engine) -> Result<T, E>,
    ) -> Result<T, E> {
        let unsaved = self.engine.run(operation)?;
        self.written = 0;
        for record in unsaved.records() {
            match record.value() {
                Some(value) => {
                    self.written += value.len();
                    self.disk.insert(record.key().to_vec(), value.to_vec());
                }
                None => drop(self.disk.remove(record.key())),
            }
        }
        let outcome = unsaved.stored();
        if self.restarting {
            self.restart();
        }
        Ok(outcome)
    }

    fn restart(&mut self) {
        self.engine = DurableEngine::restore(self.disk.clone()).unwrap();
    }

    fn key_package(&mut self) -> KeyPackage {
        let made = self.run(|engine| KeyPackage::generate(engine.device(), KeyPackageUse::OneTime)).unwrap();
        KeyPackage::read(made.message(), self.engine.engine.device.suite()).unwrap()
    }

    fn commit(&mut self, changes: Changes) -> OutboundCommit {
        self.run(|engine| engine.commit(ROOM, changes)).unwrap()
    }

    fn accepted(&mut self, event_id: &str) {
        self.run(|engine| engine.accepted(ROOM, event_id)).unwrap();
    }

    fn receive(&mut self, message: &[u8], event_id: &str) -> Received {
        self.run(|engine| engine.receive_commit(ROOM, message, event_id)).unwrap()
    }

    fn encrypt(&mut self, text: &[u8]) -> Encrypted {
        self.run(|engine| engine.encrypt(ROOM, text)).unwrap()
    }

    fn decrypt(&mut self, message: &Encrypted) -> Result<Vec<u8>, Error> {
        match self.run(|engine| engine.decrypt(ROOM, &message.ciphertext))? {
            Decrypted::Message { plaintext, .. } => Ok(plaintext),
            Decrypted::Own { .. } => panic!("own"),
        }
    }

    fn keys_of(&self, part: fn(&RoomPart) -> bool) -> Vec<Vec<u8>> {
        let of_part = |key: &&Vec<u8>| match RecordKey::decode(key) {
            Some(RecordKey::Room { part: this, .. }) => part(&this),
            _ => false,
        };
        self.disk.keys().filter(of_part).cloned().collect()
    }
}

fn update() -> Changes {
    Changes { update: true, ..Changes::default() }
}

/// Alice and Bob in one group in epoch 2, both restarted after everything they did.
fn pair() -> (Stored, Stored) {
    let (mut alice, mut bob) = (Stored::new("alice"), Stored::new("bob"));
    alice.run(|engine| engine.create(ROOM)).unwrap();
    alice.commit(update());
    alice.accepted("$1");
    let add = vec![bob.key_package()];
    let commit = alice.commit(Changes { add, ..Changes::default() });
    alice.accepted("$2");
    let welcome = commit.welcome.unwrap().message;
    bob.run(|engine| engine.join(&welcome, "$2")).unwrap();
    (alice, bob)
}

#[test]
fn everything_goes_on_after_a_restart() {
    let (mut alice, mut bob) = pair();
    for n in 0..5_u8 {
        let sent = alice.encrypt(&[n]);
        assert_eq!(bob.decrypt(&sent).unwrap(), [n]);
        let answer = bob.encrypt(&[n, n]);
        assert_eq!(alice.decrypt(&answer).unwrap(), [n, n]);
        let (event_id, commit) = (format!("${}", n + 3), alice.commit(update()));
        assert!(matches!(bob.receive(&commit.message, &event_id), Received::Applied { .. }));
        // The own commit is recognised when it comes back, though it was made by another process.
        assert_eq!(alice.receive(&commit.message, &event_id), Received::Own { epoch: u64::from(n) + 3 });
        assert_eq!(alice.receive(&commit.message, &event_id), Received::Known { epoch: u64::from(n) + 3 });
    }
    let epochs = bob.run(|engine| engine.epochs(ROOM).cloned()).unwrap();
    assert_eq!(epochs.iter().map(|(epoch, _)| epoch).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
    assert_eq!(epochs.event(7), Some("$7"));
}

#[test]
fn no_key_is_used_twice() {
    let (mut alice, mut bob) = pair();
    // More than the log holds, so that restarts fall before, at and behind the place where it starts again.
    let sent: Vec<_> = (0..150_u8).map(|n| alice.encrypt(&[n])).collect();
    for (n, message) in (0_u8..).zip(&sent) {
        assert_eq!(bob.decrypt(message).unwrap(), [n]);
    }
    for message in &sent {
        assert!(matches!(bob.decrypt(message), Err(Error::Peer(PeerFault::KeyUsedUp))));
    }
}

#[test]
fn messages_of_past_epochs_are_decrypted_after_a_restart() {
    let (mut alice, mut bob) = pair();
    let early = [alice.encrypt(b"one"), alice.encrypt(b"two"), alice.encrypt(b"three")];
    assert_eq!(bob.decrypt(&early[2]).unwrap(), b"three");
    for event_id in ["$3", "$4"] {
        let commit = alice.commit(update());
        alice.accepted(event_id);
        bob.receive(&commit.message, event_id);
    }
    assert_eq!(bob.decrypt(&early[0]).unwrap(), b"one");
    assert!(matches!(bob.decrypt(&early[0]), Err(Error::Peer(PeerFault::KeyUsedUp))));
    let commit = alice.commit(update());
    bob.receive(&commit.message, "$5");
    assert!(matches!(bob.decrypt(&early[1]), Err(Error::Peer(PeerFault::EpochTooOld { epoch: 2 }))));
}

#[test]
fn a_commit_waits_across_a_restart() {
    let (mut alice, mut bob) = pair();
    let mine = alice.commit(update());
    let pending = alice.run(|engine| Ok::<_, Error>(engine.pending_commit(ROOM).cloned())).unwrap();
    assert_eq!(pending.as_ref(), Some(&mine));
    // The other was faster.
    let theirs = bob.commit(update());
    bob.accepted("$3");
    let received = alice.receive(&theirs.message, "$3");
    assert!(matches!(received, Received::Applied { lost_race: true, .. }));
    let pending = alice.run(|engine| Ok::<_, Error>(engine.pending_commit(ROOM).cloned())).unwrap();
    assert_eq!(pending, None);

    let carol = Stored::new("carol").key_package();
    let mine = alice.commit(Changes { add: vec![carol], ..Changes::default() });
    let pending = alice.run(|engine| Ok::<_, Error>(engine.pending_commit(ROOM).cloned())).unwrap();
    assert_eq!(pending.as_ref(), Some(&mine));
    alice.run(|engine| engine.refused(ROOM)).unwrap();
    let again = alice.run(|engine| engine.refused(ROOM));
    assert!(matches!(again, Err(Error::Caller(CallerFault::NoCommitPending))));
}

#[test]
fn a_join_waits_across_a_restart() {
    let (mut alice, mut bob) = pair();
    let commit = alice.commit(update());
    alice.accepted("$3");
    bob.receive(&commit.message, "$3");
    let mut carol = Stored::new("carol");
    let join = carol.run(|engine| engine.join_external(ROOM, &commit.public_group_state, "$3")).unwrap();
    let early = carol.run(|engine| engine.encrypt(ROOM, b"too early"));
    assert!(matches!(early, Err(Error::Caller(CallerFault::NotJoinedYet))));
    assert_eq!(carol.receive(&join.message, "$4"), Received::Own { epoch: 4 });
    alice.receive(&join.message, "$4");
    let sent = carol.encrypt(b"here");
    assert_eq!(alice.decrypt(&sent).unwrap(), b"here");
}

#[test]
fn key_packages_are_kept_until_they_are_used() {
    let (mut alice, mut bob) = (Stored::new("alice"), Stored::new("bob"));
    alice.run(|engine| engine.create(ROOM)).unwrap();
    alice.commit(update());
    alice.accepted("$1");
    let packages = [bob.key_package(), bob.key_package()];
    let keys = |stored: &Stored| stored.disk.keys().filter(|key| key[0] == 1).count();
    let before = keys(&bob);
    let commit = alice.commit(Changes { add: vec![packages[0].clone()], ..Changes::default() });
    let mut welcome = commit.welcome.unwrap().message;
    let at = welcome.len() - 40;
    welcome[at] ^= 1;
    assert!(bob.run(|engine| engine.join(&welcome, "$2")).is_err());
    assert_eq!(keys(&bob), before);
    welcome[at] ^= 1;
    bob.run(|engine| engine.join(&welcome, "$2")).unwrap();
    assert_eq!(keys(&bob), before / 2);
    bob.run(|engine| engine.forget(ROOM)).unwrap();
    let again = bob.run(|engine| engine.join(&welcome, "$2"));
    assert!(matches!(again, Err(Error::Peer(PeerFault::NoMatchingKeyPackage))));
}

#[test]
fn what_is_forgotten_is_deleted() {
    let (mut alice, mut bob) = pair();
    bob.run(|engine| engine.create(OTHER_ROOM)).unwrap();
    let of_room = |stored: &Stored, room| {
        let prefix = room_prefix(room);
        stored.disk.keys().filter(|key| key.starts_with(&prefix)).count()
    };
    let other = of_room(&bob, OTHER_ROOM);
    assert!(other > 0 && of_room(&bob, ROOM) > 0);
    let sent = alice.encrypt(b"x");
    bob.decrypt(&sent).unwrap();
    bob.run(|engine| engine.forget(ROOM)).unwrap();
    assert_eq!((of_room(&bob, ROOM), of_room(&bob, OTHER_ROOM)), (0, other));

    // Forgotten and joined again at once: nothing of the old group is left.
    let (mut alice, mut bob) = pair();
    bob.decrypt(&alice.encrypt(b"x")).unwrap();
    let commit = alice.commit(update());
    alice.accepted("$3");
    let join = bob
        .run(|engine| {
            engine.forget(ROOM)?;
            engine.join_external(ROOM, &commit.public_group_state, "$3")
        })
        .unwrap();
    assert!(bob.keys_of(|part| matches!(part, RoomPart::Log(_))).is_empty());
    assert_eq!(bob.keys_of(|part| matches!(part, RoomPart::Event(_))).len(), 1);
    alice.receive(&join.message, "$4");
    bob.accepted("$4");
    assert_eq!(bob.decrypt(&alice.encrypt(b"back")).unwrap(), b"back");
}

#[test]
fn a_message_costs_what_it_changes() {
    let (mut alice, mut bob) = pair();
    bob.restarting = false;
    let logged = |stored: &Stored| stored.keys_of(|part| matches!(part, RoomPart::Log(_))).len();
    for n in 1..=64 {
        let sent = alice.encrypt(&[0; 100]);
        assert!(alice.written < 60, "{}", alice.written);
        bob.decrypt(&sent).unwrap();
        assert!(bob.written < sent.ciphertext.len() + 60, "{}", bob.written);
        assert_eq!((logged(&alice), logged(&bob)), (n, n));
    }
    let sent = alice.encrypt(b"one more");
    bob.decrypt(&sent).unwrap();
    assert_eq!((logged(&alice), logged(&bob)), (0, 0));
    // Keys of messages that were decrypted are not in the storage any more.
    bob.restart();
    assert!(matches!(bob.decrypt(&sent), Err(Error::Peer(PeerFault::KeyUsedUp))));
    // Looking costs nothing.
    bob.run(|engine| engine.epoch(ROOM)).unwrap();
    assert_eq!(bob.written, 0);
}

#[test]
fn a_commit_is_stored_with_its_tree_and_without_other_rooms() {
    let (mut alice, _) = pair();
    alice.run(|engine| engine.create(OTHER_ROOM)).unwrap();
    let before = alice.disk.clone();
    alice.commit(update());
    let changed = |disk: &BTreeMap<Vec<u8>, Vec<u8>>| {
        disk.iter().filter(|(key, value)| before.get(*key) != Some(value)).count()
    };
    assert_eq!(changed(&alice.disk), 2, "a commit that is pending, and what for, are all that changed");
    alice.accepted("$3");
    assert_eq!(changed(&alice.disk), 5, "tree, epoch, pending, ratchets, event");
}

#[test]
fn records_that_were_not_stored_come_again() {
    let (mut alice, mut bob) = pair();
    drop(alice.engine.run(|engine| engine.encrypt(ROOM, b"lost")).unwrap());
    drop(alice.engine.run(|engine| engine.create(OTHER_ROOM)).unwrap());
    alice.run(|engine| engine.forget(OTHER_ROOM)).unwrap();
    assert_eq!(bob.decrypt(&alice.encrypt(b"one")).unwrap(), b"one");
    assert_eq!(alice.run(|engine| Ok::<_, Error>(engine.rooms().count())).unwrap(), 1);
    let again = alice.run(|engine| engine.commit(OTHER_ROOM, update()));
    assert!(matches!(again, Err(Error::Caller(CallerFault::NoSuchRoom { .. }))));
}

#[test]
fn a_suspended_engine_is_resumed() {
    let (mut alice, mut bob) = pair();
    bob.decrypt(&alice.encrypt(b"x")).unwrap();
    let Stored { engine, .. } = alice;
    let bytes = engine.engine.suspend().unwrap();
    // What was resumed can be suspended again.
    let bytes = Engine::resume(&bytes).unwrap().suspend().unwrap();
    let mut resumed = Engine::resume(&bytes).unwrap();
    let sent = resumed.encrypt(ROOM, b"y").unwrap();
    assert_eq!(bob.decrypt(&sent).unwrap(), b"y");
    for len in (0..bytes.len()).step_by(7) {
        assert!(Engine::resume(&bytes[..len]).is_err());
    }
    let mut changed = bytes.clone();
    changed[100] ^= 1;
    assert!(matches!(Engine::resume(&changed), Err(SnapshotError::Damaged)));
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let (mut alice, mut bob) = pair();
    bob.decrypt(&alice.encrypt(b"x")).unwrap();
    let disk = &bob.disk;
    for (key, value) in disk {
        for position in (0..value.len()).step_by(1 + value.len() / 50) {
            let mut changed = disk.clone();
            changed.get_mut(key).unwrap()[position] ^= 0x40;
            let error = DurableEngine::restore(changed).unwrap_err();
            match position {
                0 => assert!(matches!(error, SnapshotError::UnknownVersion { .. })),
                1 | 2 => assert!(matches!(error, SnapshotError::UnknownFormat { .. })),
                _ => assert!(matches!(error, SnapshotError::Damaged)),
            }
        }
        // Under another key.
        let mut moved = disk.clone();
        let value = moved.remove(key).unwrap();
        moved.insert([&key[..], &[0]].concat(), value);
        assert!(matches!(DurableEngine::restore(moved), Err(SnapshotError::Damaged)));
    }
    let parts: [fn(&RoomPart) -> bool; 4] = [
        |part| matches!(part, RoomPart::Tree),
        |part| matches!(part, RoomPart::Epoch),
        |part| matches!(part, RoomPart::Pending),
        |part| matches!(part, RoomPart::Ratchets),
    ];
    for part in parts {
        let mut less = disk.clone();
        less.remove(&bob.keys_of(part)[0]);
        assert!(matches!(DurableEngine::restore(less), Err(SnapshotError::Incomplete)));
    }
    let mut less = disk.clone();
    less.remove(&RecordKey::Device.encode());
    assert!(matches!(DurableEngine::restore(less), Err(SnapshotError::Incomplete)));
}

#[test]
fn records_of_different_moments_are_refused() {
    let (mut alice, mut bob) = pair();
    bob.decrypt(&alice.encrypt(b"x")).unwrap();
    let before = bob.disk.clone();
    let commit = alice.commit(update());
    bob.receive(&commit.message, "$3");
    let mut parts = bob.keys_of(|part| !matches!(part, RoomPart::Event(_)));
    assert_eq!(parts.len(), 4);
    for key in parts.drain(..) {
        let mut mixed = bob.disk.clone();
        mixed.insert(key.clone(), before[&key].clone());
        assert!(matches!(DurableEngine::restore(mixed), Err(SnapshotError::Inconsistent)));
    }
    // A log that belongs to message secrets of before.
    let mut mixed = bob.disk.clone();
    mixed.extend(before.into_iter().filter(|(key, _)| {
        matches!(RecordKey::decode(key), Some(RecordKey::Room { part: RoomPart::Log(_), .. }))
    }));
    assert!(matches!(DurableEngine::restore(mixed), Err(SnapshotError::Inconsistent)));
    // The same, where doing the log again would not fail.
    let (mut sender, _) = pair();
    sender.encrypt(b"x");
    let log = sender.keys_of(|part| matches!(part, RoomPart::Log(_)));
    let old: Vec<_> = log.into_iter().map(|key| (key.clone(), sender.disk[&key].clone())).collect();
    assert_eq!(old.len(), 1);
    sender.commit(update());
    sender.accepted("$3");
    let mut mixed = sender.disk.clone();
    mixed.extend(old);
    assert!(matches!(DurableEngine::restore(mixed), Err(SnapshotError::Inconsistent)));
    // The records of another device's engine.
    let mut mixed = alice.disk.clone();
    mixed.insert(RecordKey::Device.encode(), bob.disk[&RecordKey::Device.encode()].clone());
    assert!(matches!(DurableEngine::restore(mixed), Err(SnapshotError::Inconsistent)));
}

/// What two devices do, and when they are restarted.
#[derive(Clone, Copy, Debug)]
enum Step {
    Say { alice: bool },
    Hear,
    Commit { alice: bool },
    Race,
    Restart { alice: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(|alice| Step::Say { alice }),
        3 => Just(Step::Hear),
        2 => any::<bool>().prop_map(|alice| Step::Commit { alice }),
        1 => Just(Step::Race),
        3 => any::<bool>().prop_map(|alice| Step::Restart { alice }),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn restarts_make_no_difference(steps in steps()) {
        let (mut alice, mut bob) = pair();
        alice.restarting = false;
        bob.restarting = false;
        let mut epoch = 2_u64;
        // Messages on their way: who sent them, in which epoch, and what they say.
        let mut sent: Vec<(bool, u64, Encrypted, u8)> = Vec::new();
        for (n, step) in (0_u8..).zip(steps) {
            match step {
                Step::Say { alice: true } => sent.push((true, epoch, alice.encrypt(&[n]), n)),
                Step::Say { alice: false } => sent.push((false, epoch, bob.encrypt(&[n]), n)),
                Step::Hear => {
                    for (by_alice, then, message, text) in sent.drain(..).rev() {
                        let hearer = if by_alice { &mut bob } else { &mut alice };
                        let heard = hearer.decrypt(&message);
                        if then + 2 < epoch {
                            let too_old = matches!(heard, Err(Error::Peer(PeerFault::EpochTooOld { .. })));
                            prop_assert!(too_old);
                        } else {
                            prop_assert_eq!(heard.unwrap(), vec![text]);
                        }
                    }
                }
                Step::Commit { alice: by_alice } => {
                    epoch += 1;
                    let event_id = format!("${epoch}");
                    let (committer, other) =
                        if by_alice { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
                    let commit = committer.commit(update());
                    other.receive(&commit.message, &event_id);
                    committer.receive(&commit.message, &event_id);
                }
                Step::Race => {
                    epoch += 1;
                    let event_id = format!("${epoch}");
                    let (winner, _) = (alice.commit(update()), bob.commit(update()));
                    alice.restart();
                    bob.restart();
                    let lost = bob.receive(&winner.message, &event_id);
                    let lost = matches!(lost, Received::Applied { lost_race: true, .. });
                    prop_assert!(lost);
                    alice.accepted(&event_id);
                }
                Step::Restart { alice: true } => alice.restart(),
                Step::Restart { alice: false } => bob.restart(),
            }
        }
        prop_assert_eq!(alice.run(|engine| engine.epoch(ROOM)).unwrap(), epoch);
        prop_assert_eq!(bob.run(|engine| engine.epoch(ROOM)).unwrap(), epoch);
    }

    #[test]
    fn any_records_are_restored_or_refused(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 6),
    ) {
        let (alice, _) = pair();
        for (key, content) in alice.disk.keys().zip(contents) {
            let mut disk = alice.disk.clone();
            disk.insert(key.clone(), seal(key, &content).unwrap());
            let _ = DurableEngine::restore(disk);
        }
    }

    #[test]
    fn keys_are_decoded_as_they_were_encoded(room_id in ".{0,40}", number in any::<u64>(), tag in 0..6_u8) {
        let part = match tag {
            0 => RoomPart::Tree,
            1 => RoomPart::Epoch,
            2 => RoomPart::Pending,
            3 => RoomPart::Ratchets,
            4 => RoomPart::Log(number),
            _ => RoomPart::Event(number),
        };
        let key = RecordKey::Room { room_id: &room_id, part };
        let bytes = key.encode();
        prop_assert_eq!(RecordKey::decode(&bytes), Some(key));
        prop_assert!(bytes.starts_with(&room_prefix(&room_id)));
        prop_assert!(RecordKey::decode(&[&bytes[..], &[0]].concat()).is_none());
    }
}

/// What a device wants of a group outlives a restart between the commit and the news that it lost, and between the news
/// and the next commit.
#[test]
fn a_race_that_is_lost_across_restarts_is_started_over() {
    let (mut alice, mut bob) = pair();
    let (mut carol, mut dave) = (Stored::new("carol"), Stored::new("dave"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let both = vec![carol.key_package(), dave.key_package()];
    let (carols, daves) = (carol.engine.address().clone(), dave.engine.address().clone());
    let wins = alice.commit(Changes { add: vec![carol.key_package()], ..Changes::default() });
    alice.accepted("$3");
    bob.commit(Changes { add: both, ..Changes::default() });
    assert!(matches!(bob.receive(&wins.message, "$3"), Received::Applied { lost_race: true, .. }));
    assert!(bob.engine.engine.wants_rebase(ROOM));
    let rebase = bob.run(|engine| engine.rebase(ROOM, None, now)).unwrap().unwrap();
    assert_eq!(rebase.moot, [Moot::Added { address: carols }]);
    assert_eq!(bob.engine.engine.pending_commit(ROOM), rebase.commit.as_ref());
    bob.accepted("$4");
    assert!(!bob.engine.engine.wants_rebase(ROOM));
    assert!(!bob.disk.keys().any(|key| matches!(RecordKey::decode(key), Some(RecordKey::Intent { .. }))));
    assert!(bob.engine.engine.members(ROOM).unwrap().iter().any(|member| member.address == daves));
    // Of a group that was never entered there is the wish alone.
    let group_state = &rebase.commit.as_ref().unwrap().public_group_state;
    let mut erin = Stored::new("erin");
    erin.run(|engine| engine.join_external(ROOM, group_state, "$4")).unwrap();
    let next = bob.commit(update());
    bob.accepted("$5");
    assert!(matches!(erin.receive(&next.message, "$5"), Received::JoinLost));
    assert!(erin.engine.engine.wants_rebase(ROOM));
    let newest = ListedCommit {
        event_id: "$5",
        message: &next.message,
        public_group_state: &next.public_group_state,
        tree: None,
    };
    let rebase = erin.run(|engine| engine.rebase(ROOM, Some(&newest), now)).unwrap().unwrap();
    let joins = rebase.commit.unwrap();
    erin.accepted("$6");
    bob.receive(&joins.message, "$6");
    assert_eq!(bob.engine.engine.members(ROOM).unwrap(), erin.engine.engine.members(ROOM).unwrap());
}
