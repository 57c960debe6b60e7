//! A room from its first commit on, with three devices of two users, a hub that follows every commit, and a hub that
//! is started again in the middle.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in the functions its steps are made of too"
)]

use mimi_mls::{
    Changes, CommitError, Decrypted, Device, DeviceAddress, Engine, GroupTracker, KeyPackage, KeyPackageUse,
    OutboundCommit, PeerFault, Received, Suite, VerifiedDevice,
};

const ROOM: &str = "!room:example.org";
const SUITE: Suite = Suite::MANDATORY;

/// A hub as far as MLS is concerned: it gives accepted commits their event ids, and checks that every leaf belongs to
/// a device that was introduced.
#[derive(Default)]
struct Hub {
    tracker: Option<GroupTracker>,
    introduced: Vec<VerifiedDevice>,
    /// The commits that were accepted: event id, message, group state.
    commits: Vec<(String, Vec<u8>, Vec<u8>)>,
}

impl Hub {
    fn introduce(&mut self, engine: &Engine) {
        let object = engine.device().object().unwrap();
        self.introduced.push(object.verify().unwrap());
    }

    /// Accepts a commit, or says why not.
    fn submit(&mut self, commit: &OutboundCommit) -> Result<String, CommitError> {
        assert_eq!(commit.prev_commit_event_id.as_ref(), self.commits.last().map(|(event_id, ..)| event_id));
        let change = match &mut self.tracker {
            None => {
                let (tracker, change) =
                    GroupTracker::start(ROOM, SUITE, &commit.message, &commit.public_group_state)?;
                self.tracker = Some(tracker);
                change
            }
            Some(tracker) => {
                let staged = tracker.stage(&commit.message, &commit.public_group_state)?;
                tracker.merge(staged).unwrap()
            }
        };
        assert_eq!(change.epoch, commit.epoch);
        for added in &change.added {
            assert!(self.introduced.iter().any(|device| device.owns_leaf(
                SUITE,
                &added.address,
                &added.signature_key
            )));
        }
        let event_id = format!("$commit{}", self.commits.len());
        self.commits.push((event_id.clone(), commit.message.clone(), commit.public_group_state.clone()));
        Ok(event_id)
    }

    fn last(&self) -> (&str, &[u8], &[u8]) {
        let (event_id, message, group_state) = self.commits.last().unwrap();
        (event_id, message, group_state)
    }

    /// Checks that everybody sees the same group.
    fn agrees_with(&self, engines: &[&Engine]) {
        let tracker = self.tracker.as_ref().unwrap();
        for engine in engines {
            assert_eq!(engine.epoch(ROOM).unwrap(), tracker.epoch());
            assert!(tracker.members().eq(&engine.members(ROOM).unwrap()));
        }
    }

    /// Stops and starts again from what was stored.
    fn restart(&mut self) {
        let snapshot = self.tracker.take().unwrap().snapshot().unwrap();
        self.tracker = Some(GroupTracker::restore(&snapshot).unwrap());
    }
}

fn engine(user_id: &str, device_id: &str) -> Engine {
    Engine::new(Device::generate(user_id, device_id, SUITE).unwrap())
}

fn claim(engine: &Engine, uses: KeyPackageUse) -> KeyPackage {
    let published = KeyPackage::generate(engine.device(), uses).unwrap();
    KeyPackage::read(published.message(), SUITE).unwrap()
}

fn address(engine: &Engine) -> DeviceAddress {
    engine.device().address().clone()
}

fn update() -> Changes {
    Changes { update: true, ..Changes::default() }
}

/// Sends a message from one device to others.
fn say(text: &str, from: &mut Engine, to: &mut [&mut Engine]) {
    let sent = from.encrypt(ROOM, text.as_bytes()).unwrap();
    assert_eq!(sent.algorithm, SUITE.room_algorithm());
    for receiver in to {
        let received = receiver.decrypt(ROOM, &sent.ciphertext).unwrap();
        let Decrypted::Message { sender, plaintext, commit_event_id, .. } = received else {
            panic!("{received:?}")
        };
        assert_eq!(sender, address(from));
        assert_eq!(plaintext, text.as_bytes());
        assert_eq!(commit_event_id.as_ref(), Some(&sent.commit_event_id));
    }
    assert!(matches!(from.decrypt(ROOM, &sent.ciphertext), Ok(Decrypted::Own { .. })));
}

#[test]
fn a_room_from_its_first_commit_on() {
    let mut hub = Hub::default();
    let mut phone = engine("@alice:example.org", "PHONE");
    let mut laptop = engine("@alice:example.org", "LAPTOP");
    let mut bob = engine("@bob:example.net", "DESK");
    for engine in [&phone, &laptop, &bob] {
        hub.introduce(engine);
    }

    // Alice's phone makes the group.
    phone.create(ROOM).unwrap();
    let commit = phone.commit(ROOM, update()).unwrap();
    let event_id = hub.submit(&commit).unwrap();
    phone.accepted(ROOM, &event_id).unwrap();
    hub.agrees_with(&[&phone]);

    // It adds Alice's laptop and Bob's desk at once.
    let add = vec![claim(&laptop, KeyPackageUse::OneTime), claim(&bob, KeyPackageUse::LastResort)];
    let commit = phone.commit(ROOM, Changes { add, ..Changes::default() }).unwrap();
    let event_id = hub.submit(&commit).unwrap();
    phone.accepted(ROOM, &event_id).unwrap();
    let welcome = commit.welcome.unwrap();
    assert_eq!(welcome.to, [address(&laptop), address(&bob)]);
    assert!(!laptop.join(&welcome.message, &event_id).unwrap().last_resort);
    assert!(bob.join(&welcome.message, &event_id).unwrap().last_resort);
    hub.agrees_with(&[&phone, &laptop, &bob]);
    say("hello, both of you", &mut phone, &mut [&mut laptop, &mut bob]);
    say("hello, Alice", &mut bob, &mut [&mut phone, &mut laptop]);

    // Bob's desk replaces the key of its last-resort key package, as it should. The hub is started again meanwhile.
    hub.restart();
    let commit = bob.commit(ROOM, update()).unwrap();
    let event_id = hub.submit(&commit).unwrap();
    assert!(matches!(bob.receive_commit(ROOM, &commit.message, &event_id), Ok(Received::Own { epoch: 3 })));
    for engine in [&mut phone, &mut laptop] {
        assert!(matches!(
            engine.receive_commit(ROOM, &commit.message, &event_id),
            Ok(Received::Applied { lost_race: false, .. })
        ));
    }
    hub.agrees_with(&[&phone, &laptop, &bob]);

    // The laptop and Bob's desk commit at the same time. The laptop is faster.
    let of_laptop = laptop.commit(ROOM, update()).unwrap();
    let of_bob = bob.commit(ROOM, update()).unwrap();
    let event_id = hub.submit(&of_laptop).unwrap();
    laptop.accepted(ROOM, &event_id).unwrap();
    phone.receive_commit(ROOM, &of_laptop.message, &event_id).unwrap();
    // Bob's commit names the commit before, which is not the last one any more: it is checked without that here.
    let tracker = hub.tracker.as_ref().unwrap();
    assert!(matches!(
        tracker.stage(&of_bob.message, &of_bob.public_group_state),
        Err(CommitError::Peer(PeerFault::StaleEpoch { expected: 4, got: 3 }))
    ));
    assert!(matches!(
        bob.receive_commit(ROOM, &of_laptop.message, &event_id),
        Ok(Received::Applied { lost_race: true, .. })
    ));
    hub.agrees_with(&[&phone, &laptop, &bob]);

    // A message that was sent before the phone heard of the next commit is still readable after it.
    let late = phone.encrypt(ROOM, b"sent in epoch 4").unwrap();
    let commit = bob.commit(ROOM, update()).unwrap();
    let event_id = hub.submit(&commit).unwrap();
    bob.accepted(ROOM, &event_id).unwrap();
    for engine in [&mut phone, &mut laptop] {
        engine.receive_commit(ROOM, &commit.message, &event_id).unwrap();
    }
    let received = bob.decrypt(ROOM, &late.ciphertext).unwrap();
    assert!(matches!(received, Decrypted::Message { epoch: 4, .. }));
    hub.agrees_with(&[&phone, &laptop, &bob]);

    // Bob leaves the room, so that anybody may remove his device.
    let commit = phone.commit(ROOM, Changes { remove: vec![address(&bob)], ..Changes::default() }).unwrap();
    let event_id = hub.submit(&commit).unwrap();
    phone.accepted(ROOM, &event_id).unwrap();
    laptop.receive_commit(ROOM, &commit.message, &event_id).unwrap();
    assert!(matches!(
        bob.receive_commit(ROOM, &commit.message, &event_id),
        Ok(Received::Removed { lost_race: false, .. })
    ));
    assert!(bob.members(ROOM).is_err());
    hub.agrees_with(&[&phone, &laptop]);
    say("just us now", &mut laptop, &mut [&mut phone]);

    // He comes back and joins the group on his own, from the last commit's group state.
    hub.restart();
    let (event_id, _, group_state) = hub.last();
    let commit = bob.join_external(ROOM, group_state, event_id).unwrap();
    let event_id = hub.submit(&commit).unwrap();
    bob.accepted(ROOM, &event_id).unwrap();
    for engine in [&mut phone, &mut laptop] {
        let received = engine.receive_commit(ROOM, &commit.message, &event_id).unwrap();
        let Received::Applied { change, .. } = received else { panic!("{received:?}") };
        assert!(change.external && !change.resync);
    }
    hub.agrees_with(&[&phone, &laptop, &bob]);
    say("back again", &mut bob, &mut [&mut phone, &mut laptop]);
    say("good", &mut phone, &mut [&mut bob, &mut laptop]);

    // Every event id is known by everybody who was there.
    let epochs: Vec<_> = phone.epochs(ROOM).unwrap().iter().collect();
    assert_eq!(epochs.len(), 7);
    assert!(epochs.iter().zip(&hub.commits).all(|((_, event), (event_id, ..))| event == event_id));
    assert_eq!(bob.epochs(ROOM).unwrap().event(7), Some("$commit6"));

    // Nothing that was accepted once is accepted again.
    let tracker = hub.tracker.as_ref().unwrap();
    for (_, message, group_state) in &hub.commits {
        assert!(matches!(
            tracker.stage(message, group_state),
            Err(CommitError::Peer(PeerFault::StaleEpoch { .. }))
        ));
    }
}

#[test]
fn somebody_who_comes_late_can_follow_from_there() {
    let mut alice = engine("@alice:example.org", "PHONE");
    alice.create(ROOM).unwrap();
    let mut late = None;
    for epoch in 1..=4_u64 {
        let commit = alice.commit(ROOM, update()).unwrap();
        alice.accepted(ROOM, &format!("${epoch}")).unwrap();
        if epoch == 3 {
            let (tracker, change) =
                GroupTracker::start(ROOM, SUITE, &commit.message, &commit.public_group_state).unwrap();
            assert_eq!(change.committer.address, address(&alice));
            late = Some(tracker);
        } else if let Some(tracker) = &mut late {
            let staged = tracker.stage(&commit.message, &commit.public_group_state).unwrap();
            tracker.merge(staged).unwrap();
        }
    }
    let tracker = late.unwrap();
    assert_eq!(tracker.epoch(), 4);
    assert!(tracker.members().eq(&alice.members(ROOM).unwrap()));
}
