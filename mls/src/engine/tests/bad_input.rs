//! Everything that can be wrong with what a device gets from others: each has its error, and nothing is changed by it.

use proptest::prelude::*;

use super::keeping_up::now;
use super::*;
use crate::framing::MAX_COMMIT_LEN;
use crate::{CommitError, GroupTracker, KeyPackageError};

/// Alice and Bob with a hub in epoch 2, Alice's pending commit that adds Carol's device, and a message of Alice's.
struct Given {
    alice: Engine,
    bob: Engine,
    carol: Engine,
    hub: GroupTracker,
    pending: OutboundCommit,
    message: Vec<u8>,
    package: Vec<u8>,
}

fn given() -> Given {
    let (mut alice, mut bob) = pair();
    let carol = engine("carol", "C");
    let update = alice.commit(ROOM, update()).unwrap();
    let (hub, _) =
        GroupTracker::start(ROOM, Suite::MANDATORY, &update.message, &update.public_group_state).unwrap();
    alice.accepted(ROOM, "$3").unwrap();
    bob.receive_commit(ROOM, &update.message, "$3").unwrap();
    let message = alice.encrypt(ROOM, b"hello").unwrap().ciphertext;
    let package = key_package(&carol);
    let published = package.message().to_vec();
    let pending = alice.commit(ROOM, add([package])).unwrap();
    Given { alice, bob, carol, hub, pending, message, package: published }
}

impl Given {
    /// Everything goes on as if nothing had been.
    fn goes_on(mut self) {
        let staged = self.hub.stage(&self.pending.message, &self.pending.public_group_state).unwrap();
        self.hub.merge(staged).unwrap();
        assert!(self.bob.decrypt(ROOM, &self.message).is_ok());
        assert_eq!(self.alice.pending_commit(ROOM), Some(&self.pending));
        self.alice.accepted(ROOM, "$4").unwrap();
        self.bob.receive_commit(ROOM, &self.pending.message, "$4").unwrap();
        self.carol.join(&self.pending.welcome.clone().unwrap().message, "$4").unwrap();
        same_group(&[&self.alice, &self.bob, &self.carol]);
        assert!(self.hub.members().eq(&self.alice.members(ROOM).unwrap()));
        says(&mut self.carol, &mut self.bob, "unharmed");
    }

    /// Hands `bytes` in wherever bytes can be handed in, and checks each error.
    fn refuses(&mut self, bytes: &[u8], check: impl Fn(&PeerFault)) {
        let of = |error: Error| match error {
            Error::Peer(fault) => fault,
            other => panic!("{other:?}"),
        };
        let of_commit = |error: CommitError| match error {
            CommitError::Peer(fault) => fault,
            other => panic!("{other:?}"),
        };
        check(&of(self.bob.receive_commit(ROOM, bytes, "$4").unwrap_err()));
        check(&of(self.bob.decrypt(ROOM, bytes).unwrap_err()));
        check(&of(self.carol.join(bytes, "$4").unwrap_err()));
        check(&of(self.carol.join_external(ROOM, bytes, "$3").unwrap_err()));
        check(&of_commit(self.hub.stage(bytes, &self.pending.public_group_state).unwrap_err()));
        check(&of_commit(self.hub.stage(&self.pending.message, bytes).unwrap_err()));
        let halt = self
            .bob
            .catch_up(
                ROOM,
                &[ListedCommit { event_id: "$4", message: bytes, public_group_state: bytes, tree: None }],
                now(),
            )
            .unwrap()
            .halt
            .unwrap();
        assert!(halt.is_final());
        check(&of(halt.fault));
        match KeyPackage::read(bytes, Suite::MANDATORY).unwrap_err() {
            KeyPackageError::Framing(error) => check(&PeerFault::from(error)),
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_cut_short_or_goes_on_is_refused(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 8),
        tail in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut given = given();
        let messages = [
            given.pending.message.clone(),
            given.pending.public_group_state.clone(),
            given.pending.welcome.clone().unwrap().message,
            given.message.clone(),
            given.package.clone(),
        ];
        // The beginning of a framed message may read as the bare encoding of a Welcome for nobody, or of a GroupInfo of
        // another group, or of one without a tree, by whose leaves alone its signature could be checked.
        let framing = |fault: &PeerFault| {
            let expected = matches!(
                fault,
                PeerFault::Framing(_)
                    | PeerFault::NotPublicMessage { .. }
                    | PeerFault::NoMatchingKeyPackage
                    | PeerFault::MissingRatchetTree
                    | PeerFault::GroupStateMismatch { .. }
            );
            assert!(expected, "{fault:?}");
        };
        for message in &messages {
            for cut in &cuts {
                given.refuses(&message[..cut.index(message.len())], framing);
            }
            given.refuses(&[&message[..], &tail].concat(), framing);
        }
        given.goes_on();
    }
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    let mut given = given();
    // A commit may be longer than anything else, as it may stand apart from its event.
    for len in [MAX_COMMIT_LEN + 1, 2 * MAX_COMMIT_LEN] {
        given.refuses(&vec![0; len], |fault| {
            assert!(matches!(fault, PeerFault::Framing(FramingError::TooLarge { .. })), "{fault:?}");
        });
    }
    let long = vec![0; MAX_COMMIT_LEN + 1];
    assert_error!(
        given.bob.receive_commit(ROOM, &long, "$4"),
        Error::Peer(PeerFault::Framing(FramingError::TooLarge { .. }))
    );
    given.goes_on();
}

#[test]
fn another_version_of_mls_is_refused() {
    let mut given = given();
    let mut newer = |message: &[u8]| {
        let mut message = message.to_vec();
        message[1] = 2;
        given.refuses(&message, |fault| assert!(matches!(fault, PeerFault::Framing(_)), "{fault:?}"));
    };
    newer(&given_bytes());
    given.goes_on();
}

/// A framed message of no group in particular.
fn given_bytes() -> Vec<u8> {
    alone().commit(ROOM, update()).unwrap().message
}

#[test]
fn epochs_that_are_not_the_present_one_are_refused() {
    let mut given = given();
    // One ahead: Alice goes on without the others.
    let mut alone = given.pending.clone();
    given.alice.accepted(ROOM, "$4").unwrap();
    let ahead = given.alice.commit(ROOM, update()).unwrap();
    let later = given.alice.encrypt(ROOM, b"later").unwrap().ciphertext;
    assert_error!(
        given.bob.receive_commit(ROOM, &ahead.message, "$5"),
        Error::Peer(PeerFault::EpochAhead { expected: 3, got: 4 })
    );
    assert_error!(
        given.bob.decrypt(ROOM, &later),
        Error::Peer(PeerFault::EpochAhead { expected: 3, got: 4 })
    );
    assert!(matches!(
        given.hub.stage(&ahead.message, &ahead.public_group_state),
        Err(CommitError::Peer(PeerFault::EpochAhead { expected: 3, got: 4 }))
    ));
    // One behind, which is what is replayed, too.
    given.bob.receive_commit(ROOM, &alone.message, "$4").unwrap();
    let staged = given.hub.stage(&alone.message, &alone.public_group_state).unwrap();
    given.hub.merge(staged).unwrap();
    for event_id in ["$5", "$6"] {
        assert_error!(
            given.bob.receive_commit(ROOM, &alone.message, event_id),
            Error::Peer(PeerFault::StaleEpoch { expected: 4, got: 3 })
        );
    }
    assert!(matches!(
        given.hub.stage(&alone.message, &alone.public_group_state),
        Err(CommitError::Peer(PeerFault::StaleEpoch { expected: 4, got: 3 }))
    ));
    assert!(given.bob.decrypt(ROOM, &given.message).is_ok());
    assert_error!(given.bob.decrypt(ROOM, &given.message), Error::Peer(PeerFault::KeyUsedUp));
    assert!(given.bob.decrypt(ROOM, &later).is_ok());
    // A Welcome is good for once.
    let welcome = alone.welcome.take().unwrap().message;
    given.carol.join(&welcome, "$4").unwrap();
    given.carol.forget(ROOM).unwrap();
    assert_error!(given.carol.join(&welcome, "$4"), Error::Peer(PeerFault::NoMatchingKeyPackage));
    assert_eq!(given.bob.epoch(ROOM).unwrap(), 4);
}

#[test]
fn sound_messages_of_another_group_are_refused() {
    let mut given = given();
    let other = "!other:example.org";
    given.alice.create(other).unwrap();
    given.alice.commit(other, add([key_package(&given.bob)])).unwrap();
    let welcome = given.alice.pending_commit(other).unwrap().welcome.clone().unwrap().message;
    given.alice.accepted(other, "$o1").unwrap();
    let message = given.alice.encrypt(other, b"elsewhere").unwrap().ciphertext;
    let commit = given.alice.commit(other, update()).unwrap();
    let group = |fault: &PeerFault| assert!(matches!(fault, PeerFault::WrongGroup { .. }), "{fault:?}");
    let of = |error| match error {
        Error::Peer(fault) => fault,
        other => panic!("{other:?}"),
    };
    group(&of(given.bob.receive_commit(ROOM, &commit.message, "$4").unwrap_err()));
    group(&of(given.bob.decrypt(ROOM, &message).unwrap_err()));
    group(&of(given.carol.join_external(ROOM, &commit.public_group_state, "$3").unwrap_err()));
    for (message, state) in [
        (&commit.message, &given.pending.public_group_state),
        (&given.pending.message, &commit.public_group_state),
    ] {
        let Err(CommitError::Peer(fault)) = given.hub.stage(message, state) else { panic!() };
        group(&fault);
    }
    assert_error!(given.carol.join(&welcome, "$4"), Error::Peer(PeerFault::NoMatchingKeyPackage));
    given.goes_on();
}

#[test]
fn a_key_package_with_an_extension_that_its_leaf_does_not_know_is_refused() {
    use openmls::extensions::{Extension, Extensions, UnknownExtension};
    use openmls::key_packages::KeyPackage as MlsKeyPackage;

    let rogue = Rogue::new("mallory", "M");
    let build = |known: bool| {
        let types = [openmls::extensions::ExtensionType::Unknown(0xf00d)];
        let capabilities =
            openmls::prelude::Capabilities::new(None, None, known.then_some(&types), None, None);
        let extensions = Extensions::single(Extension::Unknown(0xf00d, UnknownExtension(vec![1, 2, 3])));
        MlsKeyPackage::builder()
            .key_package_extensions(extensions.unwrap())
            .leaf_node_capabilities(capabilities)
            .build(Suite::MANDATORY.ciphersuite(), &rogue.provider, &rogue.signer, rogue.with_key.clone())
            .unwrap()
    };
    let read = |known| {
        let message = crate::testing::bytes(&build(known).key_package().clone().into());
        KeyPackage::read(&message, Suite::MANDATORY)
    };
    // What a leaf says it knows is no reason to refuse it: others need not know it.
    assert!(read(true).is_ok());
    assert!(matches!(read(false), Err(KeyPackageError::Invalid(_))));
}
