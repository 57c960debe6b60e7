use proptest::prelude::*;

use super::*;
use crate::testing::{ROOM, Rogue};

fn room() -> (Rogue, GroupTracker) {
    let mut alice = Rogue::new("alice", "A");
    alice.create(ROOM);
    let added = ["bob", "carol", "dave"].map(|user| Rogue::new(user, "X").key_package());
    let event = alice.commit(|builder| builder.propose_adds(added));
    alice.merge();
    let (tracker, _) =
        GroupTracker::start(ROOM, Suite::MANDATORY, &event.message, &event.group_info).unwrap();
    (alice, tracker)
}

#[test]
fn a_restored_tracker_goes_on_where_the_other_was() {
    let (mut alice, mut tracker) = room();
    let snapshot = tracker.snapshot().unwrap();
    let mut restored = GroupTracker::restore(&snapshot).unwrap();
    assert_eq!(restored.room_id(), tracker.room_id());
    assert_eq!(restored.suite(), tracker.suite());
    assert_eq!(restored.epoch(), tracker.epoch());
    assert!(restored.members().eq(tracker.members()));
    assert_eq!(restored.snapshot().unwrap(), snapshot);

    for _ in 0..3 {
        let event = alice.update();
        alice.merge();
        for tracker in [&mut tracker, &mut restored] {
            let staged = tracker.stage(&event.message, &event.group_info).unwrap();
            tracker.merge(staged).unwrap();
        }
        assert_eq!(restored.snapshot().unwrap(), tracker.snapshot().unwrap());
    }
}

#[test]
fn a_change_may_be_merged_into_the_restored_tracker() {
    let (mut alice, tracker) = room();
    let event = alice.update();
    let staged = tracker.stage(&event.message, &event.group_info).unwrap();
    let mut restored = GroupTracker::restore(&tracker.snapshot().unwrap()).unwrap();
    restored.merge(staged).unwrap();
    assert_eq!(restored.epoch(), 2);
}

#[test]
fn a_snapshot_is_about_as_large_as_the_tree() {
    let (_, tracker) = room();
    let tree = tracker.group.export_ratchet_tree();
    let tree = tls_codec::Serialize::tls_serialize_detached(&tree).unwrap();
    let snapshot = tracker.snapshot().unwrap();
    assert!(snapshot.len() < tree.len() * 3 / 2, "{} for a tree of {}", snapshot.len(), tree.len());
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let (_, tracker) = room();
    let snapshot = tracker.snapshot().unwrap();
    for len in 0..snapshot.len() {
        assert!(matches!(GroupTracker::restore(&snapshot[..len]), Err(SnapshotError::Damaged)));
    }
    let mut longer = snapshot.clone();
    longer.push(0);
    assert!(matches!(GroupTracker::restore(&longer), Err(SnapshotError::Damaged)));
    for position in 0..snapshot.len() {
        let mut changed = snapshot.clone();
        changed[position] ^= 0x10;
        let error = GroupTracker::restore(&changed).unwrap_err();
        match position {
            0 => assert!(matches!(error, SnapshotError::UnknownVersion { version: 0x13 })),
            1 | 2 => assert!(matches!(error, SnapshotError::UnknownFormat { .. })),
            _ => assert!(matches!(error, SnapshotError::Damaged)),
        }
    }
}

/// A snapshot with any content, and the digest that goes with it.
fn sealed(content: &[u8]) -> Vec<u8> {
    seal(b"", content).unwrap()
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let (_, tracker) = room();
    let content = |room_id: &str, suite, stored: &StoredGroup| {
        let content = Content { room_id: room_id.to_owned(), suite, stored: stored.clone() };
        let content = postcard::to_extend(&content, Vec::new()).unwrap();
        GroupTracker::restore(&sealed(&postcard::to_extend(tracker.group.treesync(), content).unwrap()))
    };
    let stored = &tracker.stored;
    assert!(content(ROOM, 1, stored).is_ok());
    assert!(matches!(content("!other:example.org", 1, stored), Err(SnapshotError::Incomplete)));
    assert!(matches!(content(ROOM, 3, stored), Err(SnapshotError::Inconsistent)));
    assert!(matches!(content(ROOM, 7, stored), Err(SnapshotError::UnknownSuite { code: 7 })));
    assert!(matches!(content(ROOM, 1, &StoredGroup::default()), Err(SnapshotError::Incomplete)));
}

proptest! {
    #[test]
    fn any_content_is_restored_or_refused(content in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = GroupTracker::restore(&sealed(&content));
        prop_assert!(GroupTracker::restore(&content).is_err());
    }
}
