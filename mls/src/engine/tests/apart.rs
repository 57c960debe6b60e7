//! Groups that are too large for their events (reading R35).

use super::*;
use crate::framing::MAX_MESSAGE_LEN;
use crate::testing::ROOM;
use crate::{
    Carriage, GroupTracker, MAX_INSIDE_LEN, Placement, StagedChange, TreeError, WARM_LEAVES, batches,
};

const TREE_APART: Carriage = Carriage { tree: Placement::Apart, message: Placement::Inside };

/// Key packages of devices that never come.
fn absent(count: usize) -> Vec<KeyPackage> {
    (0..count).map(|device| key_package(&engine("absent", &format!("D{device}")))).collect()
}

/// A group of Alice's that a hub follows. Its events are `$1` and so on.
struct Room {
    alice: Engine,
    hub: GroupTracker,
}

impl Room {
    fn new() -> Self {
        let mut alice = engine("alice", "A");
        alice.create(ROOM).unwrap();
        let first = alice.commit(ROOM, update()).unwrap();
        let (hub, _) =
            GroupTracker::start(ROOM, Suite::MANDATORY, &first.message, &first.public_group_state).unwrap();
        alice.accepted(ROOM, "$1").unwrap();
        Self { alice, hub }
    }

    fn with(devices: usize) -> Self {
        let mut room = Self::new();
        for add in batches(absent(devices)) {
            room.commit(Changes { add, ..Changes::default() });
        }
        room
    }

    fn stage(&self, commit: &OutboundCommit) -> StagedChange {
        self.hub.stage(&commit.message, &commit.public_group_state).unwrap()
    }

    fn commit(&mut self, changes: Changes) -> OutboundCommit {
        let commit = self.alice.commit(ROOM, changes).unwrap();
        self.accept(&commit);
        self.alice.accepted(ROOM, &event(&commit)).unwrap();
        commit
    }

    /// The hub's part alone.
    fn accept(&mut self, commit: &OutboundCommit) {
        let staged = self.stage(commit);
        self.hub.merge(staged).unwrap();
    }

    fn tree(&self) -> Vec<u8> {
        self.hub.ratchet_tree().unwrap()
    }
}

fn event(commit: &OutboundCommit) -> String {
    format!("${}", commit.epoch)
}

fn inside(commit: &OutboundCommit) -> usize {
    commit.public_group_state.len() + if commit.apart { 0 } else { commit.message.len() }
}

#[test]
fn a_tree_apart_is_as_good_as_one_inside() {
    let mut room = Room::with(5);
    let (mut bob, mut carol) = (engine("bob", "B"), engine("carol", "C"));
    let changes = Changes { carriage: TREE_APART, ..add([key_package(&bob)]) };
    let commit = room.commit(changes);
    assert!(commit.public_group_state.len() < 300 && !commit.apart);
    let tree = room.tree();
    assert_eq!(room.alice.ratchet_tree(ROOM).unwrap(), tree);

    let welcome = commit.welcome.as_ref().unwrap().message.clone();
    assert_error!(bob.join(&welcome, "$3"), Error::Peer(PeerFault::MissingRatchetTree));
    bob.join_with_tree(&welcome, "$3", Some(&tree)).unwrap();

    let state = &commit.public_group_state;
    assert_error!(carol.join_external(ROOM, state, "$3"), Error::Peer(PeerFault::MissingRatchetTree));
    let join = carol.join_external_with_tree(ROOM, state, "$3", Some(&tree), Carriage::default()).unwrap();
    room.accept(&join);
    carol.accepted(ROOM, "$4").unwrap();
    for engine in [&mut room.alice, &mut bob] {
        engine.receive_commit(ROOM, &join.message, "$4").unwrap();
    }
    same_group(&[&room.alice, &bob, &carol]);
    says(&mut carol, &mut bob, "hello");
    // The external commit's group state has the tree again: it fits.
    engine("dave", "D").join_external(ROOM, &join.public_group_state, "$4").unwrap();

    let (late, change) =
        GroupTracker::start_with_tree(ROOM, Suite::MANDATORY, &commit.message, state, Some(&tree)).unwrap();
    assert!(late.members().eq(&bob.members(ROOM).unwrap()[..7]) && change.added.len() == 7);
    assert_error!(
        GroupTracker::start(ROOM, Suite::MANDATORY, &commit.message, state),
        CommitError::Peer(PeerFault::MissingRatchetTree)
    );
}

#[test]
fn another_tree_is_refused_and_changes_nothing() {
    let mut room = Room::with(5);
    let before = room.tree();
    let bob = engine("bob", "B");
    let commit = room.commit(Changes { carriage: TREE_APART, ..add([key_package(&bob)]) });
    let (mut bob, mut carol) = (bob, engine("carol", "C"));
    let other = Room::with(6).tree();
    let good = room.tree();
    let truncated = &good[..good.len() - 1];
    let mut damaged = good.clone();
    let place = good.len() - 3;
    damaged[place] ^= 1;
    let large = vec![0; crate::MAX_TREE_LEN + 1];
    let welcome = commit.welcome.unwrap().message;
    for (tree, wrong) in [
        (&before[..], true),
        (&other, true),
        (&damaged, true),
        (truncated, false),
        (&[], false),
        (&large, false),
    ] {
        let is_meant = |error: Error| match error {
            Error::Peer(PeerFault::Tree(TreeError::WrongTree)) => wrong,
            Error::Peer(PeerFault::Tree(TreeError::Malformed(_) | TreeError::TooLarge { .. })) => !wrong,
            _ => false,
        };
        assert!(is_meant(bob.join_with_tree(&welcome, "$3", Some(tree)).unwrap_err()));
        let join = carol.join_external_with_tree(
            ROOM,
            &commit.public_group_state,
            "$3",
            Some(tree),
            Carriage::default(),
        );
        assert!(is_meant(join.unwrap_err()));
        let state = &commit.public_group_state;
        let late = GroupTracker::start_with_tree(ROOM, Suite::MANDATORY, &commit.message, state, Some(tree));
        assert!(is_meant(late.unwrap_err().into()));
    }
    bob.join_with_tree(&welcome, "$3", Some(&good)).unwrap();
}

#[test]
fn the_tree_is_left_out_where_it_does_not_fit() {
    let devices =
        |user, count| (0..count).map(move |device| key_package(&engine(user, &format!("D{device}"))));
    let mut room = Room::with(130);
    let commit = room.commit(update());
    assert!(commit.public_group_state.len() > 30_000, "it fits");
    assert_error!(
        room.alice.commit(ROOM, Changes { carriage: Carriage::INSIDE, ..add(devices("more", 40)) }),
        Error::Caller(CallerFault::CommitTooLarge { size, limit }) if size > limit && limit == MAX_INSIDE_LEN
    );
    assert_eq!(room.alice.pending_commit(ROOM), None);
    let commit = room.commit(add(devices("more", 40)));
    assert!(commit.public_group_state.len() < 300 && inside(&commit) <= MAX_INSIDE_LEN && !commit.apart);

    let commit = room.commit(add(devices("most", 40)));
    assert!(commit.public_group_state.len() < 300);

    // From outside as well.
    let tree = room.tree();
    let join = |carriage| {
        let mut bob = engine("bob", "B");
        bob.join_external_with_tree(ROOM, &commit.public_group_state, "$5", Some(&tree), carriage)
    };
    assert_error!(join(Carriage::INSIDE), Error::Caller(CallerFault::CommitTooLarge { .. }));
    assert!(join(Carriage::default()).unwrap().public_group_state.len() < 300);
    assert!(join(Carriage { message: Placement::Apart, ..Carriage::default() }).unwrap().apart);
}

#[test]
fn the_first_commit_has_the_tree() {
    let mut alice = engine("alice", "A");
    alice.create(ROOM).unwrap();
    let commit = alice.commit(ROOM, Changes { carriage: TREE_APART, ..update() }).unwrap();
    GroupTracker::start(ROOM, Suite::MANDATORY, &commit.message, &commit.public_group_state).unwrap();
    alice.refused(ROOM).unwrap();
    assert_error!(alice.commit(ROOM, add(absent(200))), Error::Caller(CallerFault::CommitTooLarge { .. }));
    assert!(alice.commit(ROOM, update()).is_ok());
}

#[test]
fn a_commit_that_does_not_fit_is_refused_or_stands_apart() {
    let mut room = Room::with(600);
    assert!(room.alice.path_keys(ROOM).unwrap() == 600);
    assert_error!(
        room.alice.commit(ROOM, update()),
        Error::Caller(CallerFault::CommitTooLarge { size, limit: MAX_INSIDE_LEN }) if size > 50_000
    );
    let changes = Changes { carriage: Carriage::WHERE_IT_FITS, ..update() };
    let commit = room.commit(changes.clone());
    assert!(commit.apart && commit.message.len() > MAX_INSIDE_LEN && inside(&commit) < 300);
    // What fits is not put apart.
    let commit =
        room.commit(Changes { carriage: Carriage::WHERE_IT_FITS, ..add([key_package(&engine("b", "B"))]) });
    assert!(!commit.apart && inside(&commit) < 1000);
    let small =
        Changes { carriage: Carriage { message: Placement::Apart, ..Carriage::default() }, ..changes };
    assert!(Room::new().commit(small).apart);
}

#[test]
fn adds_have_no_path_and_fit_in_batches() {
    let mut room = Room::new();
    let devices = absent(300);
    let all: Vec<_> = devices.iter().map(|key_package| key_package.address().clone()).collect();
    let batches = batches(devices);
    let split: Vec<_> = batches.iter().flatten().map(|key_package| key_package.address().clone()).collect();
    assert_eq!(split, all);
    assert!(batches.len() <= 4, "{} batches", batches.len());
    for add in batches {
        let count = add.len();
        let commit = room.commit(Changes { add, ..Changes::default() });
        assert!(inside(&commit) <= MAX_INSIDE_LEN && !commit.apart);
        let message = framing::read(&commit.message).unwrap();
        assert!(CommitView::read(&message).unwrap().path_leaf.is_none());
        assert_eq!(commit.welcome.unwrap().to.len(), count);
        assert!(commit.message.len() < MAX_MESSAGE_LEN);
    }
    assert_eq!(room.hub.members().count(), 301);
}

#[test]
fn nothing_makes_no_batch() {
    assert!(batches([]).is_empty());
}

#[test]
fn one_update_in_each_part_keeps_the_tree_warm() {
    let mut room = Room::new();
    let mut first: Vec<Engine> = Vec::new();
    // One device of each batch comes and makes an update.
    for part in 0..4 {
        let mut newcomer = engine("newcomer", &format!("N{part}"));
        let others = (1..WARM_LEAVES).map(|device| key_package(&engine("o", &format!("P{part}D{device}"))));
        let commit = room.commit(add([key_package(&newcomer)].into_iter().chain(others)));
        let tree = room.tree();
        newcomer
            .join_with_tree(&commit.welcome.as_ref().unwrap().message, &event(&commit), Some(&tree))
            .unwrap();
        for engine in &mut first {
            engine.receive_commit(ROOM, &commit.message, &event(&commit)).unwrap();
        }
        if part > 0 {
            assert!(newcomer.is_cold(ROOM).unwrap());
        }
        let update =
            newcomer.commit(ROOM, Changes { carriage: Carriage::WHERE_IT_FITS, ..update() }).unwrap();
        assert!(!update.apart && update.message.len() < 16_000, "{}", update.message.len());
        room.accept(&update);
        newcomer.accepted(ROOM, &event(&update)).unwrap();
        for engine in first.iter_mut().chain([&mut room.alice]) {
            engine.receive_commit(ROOM, &update.message, &event(&update)).unwrap();
        }
        assert!(!newcomer.is_cold(ROOM).unwrap());
        first.push(newcomer);
    }
    assert!(room.alice.path_keys(ROOM).unwrap() < WARM_LEAVES + 2 * first.len());
    let removal = room.alice.commit(ROOM, remove([address("o", "P2D7")])).unwrap();
    assert!(!removal.apart && removal.message.len() < 16_000);
    room.accept(&removal);
    let [.., third, _] = &mut first[..] else { panic!() };
    third.receive_commit(ROOM, &removal.message, &event(&removal)).unwrap();
    assert!(third.is_cold(ROOM).unwrap(), "a removal makes its surroundings cold");
}
