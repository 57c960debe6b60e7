use openmls::framing::Sender;
use openmls::prelude::LeafNodeIndex;

use super::*;
use crate::framing::{CommitView, FramingError, MAX_WELCOME_LEN, MessageKind};
use crate::testing::{ROOM, Rogue, TAG_LEN, address, engine, in_other_suites, key_package, suite, unframed};
use crate::{Device, DeviceAddress, KeyPackage, KeyPackageUse, Lifetime, Suite};

macro_rules! assert_error {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            other => panic!("unexpected: {other:?}"),
        }
    };
}

mod apart;
mod bad_input;
mod damage;
mod joining;
mod keeping_up;
mod messages;
mod others_commits;
mod own_commits;
mod races;

fn add(key_packages: impl IntoIterator<Item = KeyPackage>) -> Changes {
    Changes { add: key_packages.into_iter().collect(), ..Changes::default() }
}

fn remove(addresses: impl IntoIterator<Item = DeviceAddress>) -> Changes {
    Changes { remove: addresses.into_iter().collect(), ..Changes::default() }
}

fn update() -> Changes {
    Changes { update: true, ..Changes::default() }
}

/// Alice's engine, in a group of her own in epoch 1, which the event `$1` made.
fn alone() -> Engine {
    let mut alice = engine("alice", "A");
    alice.create(ROOM).unwrap();
    alice.commit(ROOM, update()).unwrap();
    assert_eq!(alice.accepted(ROOM, "$1").unwrap(), 1);
    alice
}

/// Alice's and Bob's engines in one group in epoch 2.
fn pair() -> (Engine, Engine) {
    let (mut alice, mut bob) = (alone(), engine("bob", "B"));
    let commit = alice.commit(ROOM, add([key_package(&bob)])).unwrap();
    alice.accepted(ROOM, "$2").unwrap();
    bob.join(&commit.welcome.unwrap().message, "$2").unwrap();
    (alice, bob)
}

fn says(from: &mut Engine, to: &mut Engine, text: &str) {
    let sent = from.encrypt(ROOM, text.as_bytes()).unwrap();
    assert_eq!(sent.algorithm, suite().room_algorithm());
    let received = to.decrypt(ROOM, &sent.ciphertext).unwrap();
    let expected = Decrypted::Message {
        sender: from.device().address().clone(),
        plaintext: text.as_bytes().to_vec(),
        epoch: from.epoch(ROOM).unwrap(),
        commit_event_id: Some(sent.commit_event_id),
    };
    assert_eq!(received, expected);
}

fn same_group(engines: &[&Engine]) {
    for pair in engines.windows(2) {
        assert_eq!(pair[0].epoch(ROOM).unwrap(), pair[1].epoch(ROOM).unwrap());
        assert_eq!(pair[0].members(ROOM).unwrap(), pair[1].members(ROOM).unwrap());
    }
}
