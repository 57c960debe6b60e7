use proptest::prelude::*;
use tls_codec::VLBytes;

use super::*;
use crate::testing::{ROOM, Rogue, address, engine, groups, key_package};
use crate::{Carriage, Changes, Engine};

/// Alice's group after commits that each add so many and remove as many as are named.
fn group(steps: &[(usize, &[&str])]) -> Engine {
    let mut alice = engine("alice", "A");
    alice.create(ROOM).unwrap();
    let mut made = 0;
    for (step, (adds, removals)) in steps.iter().enumerate() {
        let add = (made..made + adds).map(|device| key_package(&engine("other", &format!("D{device}"))));
        let add = add.collect();
        made += adds;
        let remove = removals.iter().map(|device| address("other", device)).collect();
        let carriage = Carriage::WHERE_IT_FITS;
        alice.commit(ROOM, Changes { add, remove, update: *adds == 0, carriage }).unwrap();
        alice.accepted(ROOM, &format!("${step}")).unwrap();
    }
    alice
}

fn nodes(engine: &Engine) -> Nodes {
    Nodes::parse(&engine.ratchet_tree(ROOM).unwrap()).unwrap()
}

/// The hash that OpenMLS computes of the tree, which the group's context has.
fn signed_hash(engine: &mut Engine) -> Vec<u8> {
    let commit = engine.commit(ROOM, Changes { update: true, ..Changes::default() }).unwrap();
    engine.accepted(ROOM, "$last").unwrap();
    let group_info = crate::framing::read(&commit.public_group_state).unwrap();
    crate::framing::GroupInfoView::read(&group_info).unwrap().context.tree_hash().to_vec()
}

#[test]
fn hashes_are_those_of_the_library() {
    let cases: [&[(usize, &[&str])]; 8] = [
        &[],
        &[(1, &[])],
        &[(2, &[])],
        &[(4, &[])],
        &[(8, &[])],
        &[(9, &[]), (0, &["D3", "D4"])],
        &[(9, &[]), (0, &["D8"]), (3, &["D0"]), (0, &[])],
        &[(20, &[]), (0, &["D10", "D11", "D12", "D13", "D14", "D15", "D16", "D17", "D18", "D19"])],
    ];
    for steps in cases {
        let mut alice = group(steps);
        let expected = signed_hash(&mut alice);
        let bytes = alice.ratchet_tree(ROOM).unwrap();
        assert_eq!(nodes(&alice).hash(Suite::MANDATORY).unwrap(), expected, "{steps:?}");
        UnverifiedTree::read(&bytes, Suite::MANDATORY, &expected).unwrap();
        assert!(UnverifiedTree::read(&bytes, Suite::MANDATORY, &[0; 32]).is_err());
    }
}

#[test]
fn keys_of_a_path_are_counted_as_it_has_them() {
    let mut alice = group(&[(20, &[])]);
    assert_eq!(nodes(&alice).path_keys(0), 20, "all parents are blank");
    signed_hash(&mut alice);
    assert_eq!(nodes(&alice).path_keys(0), 20, "the own path does not help");
    assert_eq!(nodes(&alice).path_keys(20), 4 + 1, "and helps the others");
    assert_eq!(nodes(&alice).path_keys(1), 1 + 2 + 4 + 8 + 5);
}

#[test]
fn unmerged_leaves_count() {
    let mut alice = group(&[(7, &[]), (0, &[])]);
    let add = vec![key_package(&engine("late", "L")), key_package(&engine("late", "M"))];
    alice.commit(ROOM, Changes { add, ..Changes::default() }).unwrap();
    alice.accepted(ROOM, "$x").unwrap();
    // The new leaves are in the other half, under blank parents; the old half is one key.
    assert_eq!(nodes(&alice).path_keys(8), 2);
    let mut alice = group(&[(7, &[]), (0, &["D2"]), (0, &[])]);
    let add = vec![key_package(&engine("late", "L"))];
    alice.commit(ROOM, Changes { add, ..Changes::default() }).unwrap();
    alice.accepted(ROOM, "$x").unwrap();
    let tree = nodes(&alice);
    assert_eq!(tree.resolution(0, 3), 2, "the root and the leaf that does not know its key");
}

#[test]
fn what_is_no_tree_is_refused() {
    let good = group(&[(3, &[]), (0, &[])]).ratchet_tree(ROOM).unwrap();
    assert!(Nodes::parse(&good).is_ok());
    for bytes in [
        &b""[..],
        &[0],             // no node
        &[2, 0, 0],       // an even number
        &[1, 2],          // neither there nor not
        &[2, 1, 1],       // a leaf without anything
        &[2, 1, 2],       // a parent in the place of a leaf
        &[3, 0, 0, 0, 0], // something follows
        &[0x40, 1, 0],    // a length that is longer than it need be
        &good[..good.len() - 1],
    ] {
        assert!(Nodes::parse(bytes).is_err(), "{bytes:?}");
        let error = UnverifiedTree::read(bytes, Suite::MANDATORY, &[0; 32]).unwrap_err();
        assert!(matches!(error, CommitError::Peer(PeerFault::Tree(TreeError::Malformed(_)))), "{error:?}");
    }
}

#[test]
fn places_are_those_of_the_array() {
    // Appendix C of RFC 9420, the tree of eight leaves.
    let row =
        |height: u32, count: usize| (0..count).map(move |index| place(index, height)).collect::<Vec<_>>();
    assert_eq!(row(0, 8), [0, 2, 4, 6, 8, 10, 12, 14]);
    assert_eq!(row(1, 4), [1, 5, 9, 13]);
    assert_eq!(row(2, 2), [3, 11]);
    assert_eq!(row(3, 1), [7]);
}

#[test]
fn a_tree_of_blank_leaves_is_not_hashed_without_end() {
    let nodes = 2 * MAX_LEAVES + 1;
    let mut bytes = VLBytes::new(vec![0; nodes]).tls_serialize_detached().unwrap();
    let error = UnverifiedTree::read(&bytes, Suite::MANDATORY, &[0; 32]).unwrap_err();
    assert!(
        matches!(error, CommitError::Peer(PeerFault::Tree(TreeError::TooManyLeaves { .. }))),
        "{error:?}"
    );
    bytes = VLBytes::new(vec![0; nodes - 2]).tls_serialize_detached().unwrap();
    let error = UnverifiedTree::read(&bytes, Suite::MANDATORY, &[0; 32]).unwrap_err();
    assert!(matches!(error, CommitError::Peer(PeerFault::Tree(TreeError::WrongTree))), "{error:?}");
}

#[test]
fn a_damaged_tree_is_another_tree() {
    let mut alice = group(&[(5, &[]), (0, &["D2"])]);
    let expected = signed_hash(&mut alice);
    let good = alice.ratchet_tree(ROOM).unwrap();
    assert!(UnverifiedTree::read(&good, Suite::MANDATORY, &expected).is_ok());
    proptest!(|(place in any::<prop::sample::Index>(), change in 1_u8.., cut in any::<bool>())| {
        let mut bytes = good.clone();
        let place = place.index(bytes.len());
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] ^= change;
        }
        let error = UnverifiedTree::read(&bytes, Suite::MANDATORY, &expected).unwrap_err();
        prop_assert!(matches!(error, CommitError::Peer(PeerFault::Tree(_))), "{error:?}");
    });
}

fn exported(member: &Rogue) -> Vec<u8> {
    member.group().export_ratchet_tree().tls_serialize_detached().unwrap()
}

#[test]
fn the_hash_is_that_of_the_group() {
    groups(|member| {
        let tree = exported(member);
        let hash = tree_hash(&tree, Suite::MANDATORY).unwrap();
        assert_eq!(hash, member.group().public_group().group_context().tree_hash());
    });
}

#[test]
fn another_tree_has_another_hash() {
    let mut alice = Rogue::new("alice", "A");
    alice.create(ROOM);
    let added = ["bob", "carol"].map(|user| Rogue::new(user, "X").key_package());
    alice.commit(|builder| builder.propose_adds(added));
    alice.merge();
    alice.update();
    alice.merge();
    let tree = exported(&alice);
    let hash = |tree: &[u8]| tree_hash(tree, Suite::MANDATORY).ok();
    let right = hash(&tree);
    assert!(right.is_some());
    for place in 0..tree.len() {
        let mut changed = tree.clone();
        changed[place] ^= 1;
        // Whether a node is called a leaf or a parent is in its place, not in the hash, and OpenMLS looks at that.
        let is_type = changed[place] ^ 3 == tree[place] && hash(&changed).is_none();
        assert!(is_type || hash(&changed) != right, "{place}");
    }
    for len in 0..tree.len() {
        assert!(hash(&tree[..len]).is_none());
    }
    assert!(hash(&[&tree[..], &[0]].concat()).is_none());
}
