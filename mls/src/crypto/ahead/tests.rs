use std::sync::atomic::{AtomicUsize, Ordering};

use openmls::prelude::RatchetTreeIn;

use super::*;
use crate::error::{CommitError, Error, PeerFault, Signed};
use crate::testing::{Event, ROOM, Rogue, engine, groups, key_package};
use crate::{Carriage, Changes, GroupTracker, PeerFault as Fault, tree_hash};

const SUITE: Suite = Suite::MANDATORY;

/// Counts what need not be verified again.
#[derive(Default)]
struct Counting {
    ahead: Ahead,
    known: AtomicUsize,
    asked: AtomicUsize,
}

impl Layer for Counting {
    fn is_verified(
        &self,
        crypto: &RustCrypto,
        scheme: SignatureScheme,
        message: &[u8],
        key: &[u8],
        signature: &[u8],
    ) -> bool {
        let known = self.ahead.is_verified(crypto, scheme, message, key, signature);
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.known.fetch_add(usize::from(known), Ordering::Relaxed);
        known
    }
}

/// Has OpenMLS verify a tree, and returns whether it did, how many signatures it asked about and how many were known.
fn ask(tree: &RatchetTreeIn, group_id: &str, suite: Suite) -> (bool, usize, usize) {
    let crypto = Layered::<Counting>::default();
    let nodes = Nodes::parse(&tree.tls_serialize_detached().unwrap()).unwrap();
    crypto.layer.ahead.verify(&crypto.crypto, &nodes, suite, group_id.as_bytes());
    let group_id = openmls::group::GroupId::from_slice(ROOM.as_bytes());
    let verified = tree.clone().into_verified(suite.ciphersuite(), &crypto, &group_id).is_ok();
    (verified, crypto.layer.asked.into_inner(), crypto.layer.known.into_inner())
}

#[test]
fn openmls_asks_for_nothing_that_was_not_verified() {
    groups(|member| {
        let tree = RatchetTreeIn::from(member.group().export_ratchet_tree());
        let leaves = tree.leaves().count();
        assert_eq!(ask(&tree, ROOM, SUITE), (true, leaves, leaves));
    });
}

#[test]
fn the_leaves_of_other_suites_are_verified_too() {
    for &suite in Suite::ALL {
        let _suite = crate::testing::in_suite(suite);
        let mut alice = engine("alice", "A");
        alice.create(ROOM).unwrap();
        let add = (0..3).map(|n| key_package(&engine("bob", &format!("B{n}")))).collect();
        alice.commit(ROOM, Changes { add, update: true, ..Changes::default() }).unwrap();
        alice.accepted(ROOM, "$1").unwrap();
        let tree = alice.ratchet_tree(ROOM).unwrap();
        let tree = tls_codec::Deserialize::tls_deserialize_exact(&tree).unwrap();
        assert_eq!(ask(&tree, ROOM, suite), (true, 4, 4), "{suite}");
    }
}

#[test]
fn a_leaf_made_in_another_group_is_not_known() {
    let mut alice = Rogue::new("alice", "A");
    alice.create(ROOM);
    let added = ["b", "c"].map(|user| Rogue::new(user, "X").key_package());
    alice.commit(|builder| builder.propose_adds(added).force_self_update(true));
    alice.merge();
    let tree = RatchetTreeIn::from(alice.group().export_ratchet_tree());
    assert_eq!(ask(&tree, ROOM, SUITE), (true, 3, 3));
    // Alice's leaf is the one that her commit made; OpenMLS verifies it all the same.
    assert_eq!(ask(&tree, "!other:example.org", SUITE), (true, 3, 2));
}

#[test]
fn a_signature_is_known_with_its_key_and_its_message_only() {
    let crypto = RustCrypto::default();
    let scheme = SUITE.signature_scheme().mls();
    let known = digest(&crypto, scheme, b"message", b"key", b"signature").unwrap();
    let ahead = Ahead { verified: OnceLock::from(HashSet::from([known])) };
    let is = |scheme, message: &[u8], key: &[u8], signature: &[u8]| {
        ahead.is_verified(&crypto, scheme, message, key, signature)
    };
    assert!(is(scheme, b"message", b"key", b"signature"));
    assert!(!is(scheme, b"messagE", b"key", b"signature"));
    assert!(!is(scheme, b"message", b"keY", b"signature"));
    assert!(!is(scheme, b"message", b"key", b"signaturE"));
    assert!(!is(SignatureScheme::ECDSA_SECP256R1_SHA256, b"message", b"key", b"signature"));
    // Nothing moves from one to the other.
    assert!(!is(scheme, b"essage", b"key", b"signaturem"));
    assert!(!is(scheme, b"message", b"keys", b"ignature"));
    assert!(!Ahead::default().is_verified(&crypto, scheme, b"message", b"key", b"signature"));
}

/// Somebody's group of many in which the signature of the first leaf is bad, and what adds `joiner` to it: once with
/// the tree within, once with the tree apart.
fn with_bad_leaf(joiner: &crate::Engine) -> [(Event, Option<Vec<u8>>); 2] {
    let mut mallory = Rogue::new("mallory", "M");
    mallory.create_unsigned(ROOM);
    let many = (0..40).map(|n| Rogue::new(&format!("u{n}"), "X").key_package());
    mallory.commit(|builder| builder.propose_adds(many));
    mallory.merge();
    let added = [key_package(joiner).into_inner()];
    let within = mallory.commit(|builder| builder.propose_adds(added.clone()));
    mallory.clear();
    let apart = mallory.commit_without_tree(|builder| builder.propose_adds(added));
    mallory.merge();
    let tree = mallory.group().export_ratchet_tree().tls_serialize_detached().unwrap();
    [(within, None), (apart, Some(tree))]
}

#[test]
fn one_bad_leaf_among_many_keeps_everybody_out() {
    for way in 0..2 {
        let (mut bob, mut carol) = (engine("bob", "B"), engine("carol", "C"));
        let [within, apart] = with_bad_leaf(&bob);
        let (event, tree) = if way == 0 { within } else { apart };
        let tree = tree.as_deref();

        let error =
            GroupTracker::start_with_tree(ROOM, SUITE, &event.message, &event.group_info, tree).unwrap_err();
        let CommitError::Peer(fault) = error else { panic!("{error}") };
        assert!(matches!(fault, Fault::BadSignature { signed: Signed::Leaf }), "{fault}");

        let error = bob.join_with_tree(event.welcome.as_ref().unwrap(), "$1", tree).unwrap_err();
        assert!(matches!(error, Error::Peer(PeerFault::BadSignature { signed: Signed::Leaf })), "{error}");
        assert!(bob.rooms().next().is_none());

        let carriage = Carriage::default();
        let error = carol.join_external_with_tree(ROOM, &event.group_info, "$1", tree, carriage).unwrap_err();
        assert!(matches!(error, Error::Peer(PeerFault::BadSignature { signed: Signed::Leaf })), "{error}");
        assert!(carol.pending_commit(ROOM).is_none());
    }
}

#[test]
fn any_leaf_that_was_changed_is_found() {
    let mut alice = Rogue::new("alice", "A");
    alice.create(ROOM);
    let many = (0..20).map(|n| Rogue::new(&format!("u{n}"), "X").key_package());
    alice.commit(|builder| builder.propose_adds(many).force_self_update(true));
    alice.merge();
    let tree = alice.group().export_ratchet_tree().tls_serialize_detached().unwrap();
    let nodes = Nodes::parse(&tree).unwrap();
    let hash = tree_hash(&tree, SUITE).unwrap();
    let mut found = 0;
    for (_, leaf) in nodes.leaves() {
        for part in [leaf.signature, leaf.signature_key] {
            let at = tree.windows(part.len()).position(|bytes| bytes == part).unwrap();
            let mut changed = tree.clone();
            changed[at + 7] ^= 1;
            assert_ne!(tree_hash(&changed, SUITE).unwrap(), hash);
            let changed = tls_codec::Deserialize::tls_deserialize_exact(&changed).unwrap();
            let (verified, _, known) = ask(&changed, ROOM, SUITE);
            assert!(!verified && known < 21);
            found += 1;
        }
    }
    assert_eq!(found, 42);
}
