use openmls::credentials::CredentialWithKey;
use openmls::framing::{ProcessedMessageContent, PublicMessageIn};
use openmls::group::{GroupId, MlsGroup, MlsGroupCreateConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY};
use openmls::key_packages::{KeyPackage as MlsKeyPackage, KeyPackageIn};
use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::OpenMlsProvider as _;

use super::*;
use crate::crypto::{Layered, LayeredProvider};
use crate::error::{CommitError, Error, PeerFault, Signed};
use crate::framing::{self, Framed};
use crate::key_package::without_verifying;
use crate::storage::Provider;
use crate::testing::{
    Event, ROOM, Rogue, TAG_LEN, address, bytes, credential, device, engine, key_package, unframed,
};
use crate::{
    Changes, Decrypted, Engine, GroupTracker, KeyPackage, KeyPackageError, KeyPackageUse, Lifetime, Received,
    Suite, tree_hash,
};

const SUITE: Suite = Suite::MANDATORY;

/// A time at which a key package could be used that nobody can use any more.
const THEN: u64 = 1_699_500_000;
const LIFETIME: Lifetime = Lifetime { not_before: 1_699_000_000, not_after: 1_700_000_000 };

/// Somebody who commits what OpenMLS would not.
struct Alice {
    provider: Provider,
    signer: SignatureKeyPair,
    group: MlsGroup,
}

impl Alice {
    fn new() -> Self {
        let signer = SignatureKeyPair::new(SUITE.signature_scheme().mls()).unwrap();
        let with_key = CredentialWithKey {
            credential: credential(&address("alice", "A"), signer.public()),
            signature_key: signer.public().into(),
        };
        let config =
            MlsGroupCreateConfig::builder().wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY).build();
        let (provider, id) = (Provider::default(), GroupId::from_slice(ROOM.as_bytes()));
        let group = MlsGroup::new_with_group_id(&provider, &signer, &config, id, with_key).unwrap();
        Self { provider, signer, group }
    }

    /// Commits, with the key packages in `undated` shown as others.
    fn commit(&mut self, undated: Undated, add: Vec<MlsKeyPackage>) -> Event {
        let update = add.is_empty();
        let crypto = Layered::new(undated);
        let provider = LayeredProvider::new(&crypto, &self.provider);
        let bundle = self
            .group
            .commit_builder()
            .force_self_update(update)
            .propose_adds(add)
            .load_psks(provider.storage())
            .unwrap()
            .use_ratchet_tree_extension(update)
            .create_group_info(true)
            .build(
                provider.rand(),
                &crypto,
                &Meaning { signer: &self.signer, undated: &crypto.layer },
                |_| true,
            )
            .unwrap()
            .stage_commit(&provider)
            .unwrap();
        let event = Event::of(bundle);
        Event {
            message: crypto.layer.means(&event.message).into_owned(),
            group_info: crypto.layer.means(&event.group_info).into_owned(),
            ..event
        }
    }

    fn commit_plainly(&mut self, add: Vec<MlsKeyPackage>) -> Event {
        let event = self.commit(Undated { meant: Vec::new(), random: [1; 6] }, add);
        self.group.merge_pending_commit(&self.provider).unwrap();
        event
    }

    /// Adds devices with key packages that are over. Alice is of no use afterwards.
    fn add_late(mut self, key_packages: &[&KeyPackage]) -> Event {
        let mut undated = Undated { meant: Vec::new(), random: [1, 2, 3, 4, 5, 6] };
        let mut shown = Vec::new();
        for (index, key_package) in (0..).zip(key_packages) {
            let Lifetime { not_before, not_after } = key_package.lifetime();
            undated.meant.push((not_before, not_after));
            let mut bytes = unframed(key_package.message()).to_vec();
            let meant = [not_before.to_be_bytes(), not_after.to_be_bytes()].concat();
            let at = bytes.windows(LEN).position(|bytes| bytes == meant).unwrap();
            bytes[at..at + LEN].copy_from_slice(&undated.shown(index));
            shown.push(without_verifying(&KeyPackageIn::tls_deserialize_exact(&bytes).unwrap()).unwrap());
        }
        self.commit(undated, shown)
    }
}

fn late(engine: &Engine) -> KeyPackage {
    KeyPackage::generate_with_lifetime(engine.device(), KeyPackageUse::OneTime, LIFETIME).unwrap()
}

/// Alice, Bob's engine in her group in epoch 2, and a hub.
fn room() -> (Alice, Engine, GroupTracker) {
    let (mut alice, mut bob) = (Alice::new(), engine("bob", "B"));
    let first = alice.commit_plainly(Vec::new());
    let (mut hub, _) = GroupTracker::start(ROOM, SUITE, &first.message, &first.group_info).unwrap();
    let second = alice.commit_plainly(vec![key_package(&bob).into_inner()]);
    hub.merge(hub.stage(&second.message, &second.group_info).unwrap()).unwrap();
    bob.join_with_tree(&second.welcome.unwrap(), "$2", Some(&hub.ratchet_tree().unwrap())).unwrap();
    (alice, bob, hub)
}

fn fault(error: CommitError) -> PeerFault {
    match error {
        CommitError::Peer(fault) => fault,
        CommitError::Library(fault) => panic!("{fault}"),
    }
}

#[test]
fn a_commit_can_be_followed_when_its_key_packages_are_over() {
    let (alice, mut bob, mut hub) = room();
    let (mut carol, dave) = (engine("carol", "C"), engine("dave", "D"));
    let (carols, daves) = (late(&carol), late(&dave));
    let event = alice.add_late(&[&carols, &daves]);
    let before = hub.snapshot().unwrap();

    // By the system's clock it is too late.
    let error = hub.stage(&event.message, &event.group_info).unwrap_err();
    assert!(matches!(fault(error), PeerFault::KeyPackage(KeyPackageError::Expired { .. })));
    // The time that is handed in decides.
    let error = hub.stage_at(&event.message, &event.group_info, LIFETIME.not_after).unwrap_err();
    let PeerFault::KeyPackage(KeyPackageError::Expired { now, .. }) = fault(error) else { panic!() };
    assert_eq!(now, LIFETIME.not_after);
    let error = hub.stage_at(&event.message, &event.group_info, LIFETIME.not_before - 1).unwrap_err();
    assert!(matches!(fault(error), PeerFault::KeyPackage(KeyPackageError::NotYetValid { .. })));
    assert_eq!(hub.snapshot().unwrap(), before);

    let staged = hub.stage_at(&event.message, &event.group_info, THEN).unwrap();
    assert_eq!(staged.change().added.len(), 2);
    hub.merge(staged).unwrap();
    let received = bob.receive_commit(ROOM, &event.message, "$3").unwrap();
    assert!(matches!(received, Received::Applied { change, .. } if change.added.len() == 2));

    // Nothing is left of what was shown: the tree is the one that was signed, with the leaves as they were sent.
    let tree = hub.ratchet_tree().unwrap();
    assert_eq!(bob.ratchet_tree(ROOM).unwrap(), tree);
    let info = framing::read(&event.group_info).unwrap();
    let info = framing::GroupInfoView::read(&info).unwrap();
    assert_eq!(tree_hash(&tree, SUITE).unwrap(), info.context.tree_hash());
    for key_package in [&carols, &daves] {
        let leaf = Leaf::take(&mut &unframed(key_package.message())[4 + 33..]).unwrap().content;
        assert!(tree.windows(leaf.len()).any(|bytes| bytes == leaf));
    }
    let hub_again = GroupTracker::restore(&hub.snapshot().unwrap()).unwrap();
    assert_eq!(hub_again.ratchet_tree().unwrap(), tree);

    // And the group goes on.
    carol.join_with_tree(&event.welcome.unwrap(), "$3", Some(&tree)).unwrap();
    let sent = carol.encrypt(ROOM, b"late").unwrap();
    let Decrypted::Message { plaintext, .. } = bob.decrypt(ROOM, &sent.ciphertext).unwrap() else { panic!() };
    assert_eq!(plaintext, b"late");
    let mut bob = Engine::resume(&bob.suspend().unwrap()).unwrap();
    let next = bob.commit(ROOM, Changes { update: true, ..Changes::default() }).unwrap();
    hub.merge(hub.stage(&next.message, &next.public_group_state).unwrap()).unwrap();
    carol.receive_commit(ROOM, &next.message, "$4").unwrap();
}

#[test]
fn everything_else_is_checked_all_the_same() {
    let (alice, mut bob, hub) = room();
    let carol = late(&engine("carol", "C"));
    let event = alice.add_late(&[&carol]);
    let before = hub.snapshot().unwrap();
    for place in 0..event.message.len() {
        let mut message = event.message.clone();
        message[place] ^= 1;
        // A hub cannot check the membership tag, which comes last.
        let checked = place < event.message.len() - (TAG_LEN - 1);
        assert_eq!(hub.stage_at(&message, &event.group_info, THEN).is_err(), checked, "{place}");
        assert!(bob.receive_commit(ROOM, &message, "$3").is_err(), "{place}");
    }
    assert_eq!(hub.snapshot().unwrap(), before);
    // What the key package says its lifetime is, is signed.
    let at = event.message.windows(8).position(|bytes| bytes == LIFETIME.not_after.to_be_bytes()).unwrap();
    let mut message = event.message.clone();
    message[at + 7] ^= 1;
    let error = hub.stage_at(&message, &event.group_info, THEN).unwrap_err();
    assert!(matches!(
        fault(error),
        PeerFault::KeyPackage(KeyPackageError::BadSignature)
            | PeerFault::BadSignature { signed: Signed::Commit }
    ));
    bob.receive_commit(ROOM, &event.message, "$3").unwrap();
}

#[test]
fn a_commit_that_is_shown_comes_out_as_it_would_have() {
    let (mut alice, mut tracker) = (Rogue::new("alice", "A"), None);
    alice.create(ROOM);
    for n in 0..5 {
        let added = [Rogue::new(&format!("u{n}"), "X").key_package()];
        let event = alice.commit(|builder| builder.propose_adds(added).force_self_update(n % 2 == 1));
        alice.merge();
        let Some(tracker): &mut Option<GroupTracker> = &mut tracker else {
            tracker = Some(GroupTracker::start(ROOM, SUITE, &event.message, &event.group_info).unwrap().0);
            continue;
        };
        let framed: Framed<PublicMessageIn> = framing::read(&event.message).unwrap();
        let stage = |crypto: &Layered<Undated>, message| {
            let processed = tracker.public_group().process_message(crypto, message).unwrap();
            let ProcessedMessageContent::StagedCommitMessage(commit) = processed.into_content() else {
                panic!()
            };
            commit
        };
        let (undated, shown) = Undated::show(&framed.bytes).unwrap().unwrap();
        assert_ne!(shown, framed.value);
        let crypto = Layered::new(undated);
        let bytes = |commit: &StagedCommit| postcard::to_allocvec(commit).unwrap();
        let (plain, around) = (stage(&crypto, framed.value), stage(&crypto, shown));
        assert_ne!(bytes(&plain), bytes(&around));
        assert_eq!(bytes(&plain), bytes(&crypto.layer.mean(&around).unwrap()));
        tracker.merge(tracker.stage(&event.message, &event.group_info).unwrap()).unwrap();
    }
}

#[test]
fn what_is_shown_is_found_again() {
    let undated = Undated { meant: vec![(1, 2), (3, u64::MAX)], random: [9, 8, 7, 6, 5, 4] };
    let both = [&b"a"[..], &undated.shown(0), &[0; 3], &undated.shown(1), b"z"].concat();
    let meant = [&b"a"[..], &[0; 7], &[1], &[0; 7], &[2], &[0; 3], &[0; 7], &[3], &[0xff; 8], b"z"].concat();
    assert_eq!(undated.means(&both), meant);
    for other in [&b""[..], b"abc", &[0; 40], &undated.shown(2), &undated.shown(0)[1..]] {
        assert_eq!(undated.means(other), other);
    }
    assert!(Undated::show(b"").unwrap().is_none());
}

#[test]
fn own_commits_are_judged_by_the_time_that_is_handed_in() {
    let (mut alice, mut bob) = (engine("alice", "A"), engine("bob", "B"));
    alice.create(ROOM).unwrap();
    let add = |packages: &[&KeyPackage]| Changes {
        add: packages.iter().copied().cloned().collect(),
        ..Changes::default()
    };
    let first = alice.commit(ROOM, add(&[&key_package(&bob)])).unwrap();
    let (mut hub, _) = GroupTracker::start(ROOM, SUITE, &first.message, &first.public_group_state).unwrap();
    alice.accepted(ROOM, "$1").unwrap();
    bob.join(&first.welcome.unwrap().message, "$1").unwrap();
    let before = alice.encrypt(ROOM, b"before").unwrap();

    let (mut carol, dave) = (engine("carol", "C"), engine("dave", "D"));
    let (carols, daves) = (late(&carol), late(&dave));
    let both = add(&[&carols, &daves]);
    let error = alice.commit(ROOM, both.clone()).unwrap_err();
    assert!(matches!(error, Error::Peer(PeerFault::Lifetime(_))), "{error}");
    let error = alice.commit_at(ROOM, both.clone(), LIFETIME.not_after).unwrap_err();
    assert!(matches!(error, Error::Peer(PeerFault::KeyPackage(KeyPackageError::Expired { .. }))), "{error}");
    let error = alice.commit_at(ROOM, both.clone(), LIFETIME.not_before - 1).unwrap_err();
    let early = matches!(error, Error::Peer(PeerFault::KeyPackage(KeyPackageError::NotYetValid { .. })));
    assert!(early, "{error}");
    assert!(alice.pending_commit(ROOM).is_none());

    let commit = alice.commit_at(ROOM, both, THEN).unwrap();
    hub.merge(hub.stage_at(&commit.message, &commit.public_group_state, THEN).unwrap()).unwrap();
    bob.receive_commit(ROOM, &commit.message, "$2").unwrap();
    // It is pending, also after a restart.
    let mut alice = Engine::resume(&alice.suspend().unwrap()).unwrap();
    assert_eq!(alice.pending_commit(ROOM), Some(&commit));
    alice.accepted(ROOM, "$2").unwrap();
    let tree = hub.ratchet_tree().unwrap();
    assert_eq!(alice.ratchet_tree(ROOM).unwrap(), tree);
    assert_eq!(bob.ratchet_tree(ROOM).unwrap(), tree);
    // The Welcome has the tree in it.
    carol.join(&commit.welcome.unwrap().message, "$2").unwrap();
    assert_eq!(carol.ratchet_tree(ROOM).unwrap(), tree);
    for (sent, id) in [(before, "$1"), (alice.encrypt(ROOM, b"after").unwrap(), "$2")] {
        assert_eq!(sent.commit_event_id, id);
        assert!(matches!(bob.decrypt(ROOM, &sent.ciphertext).unwrap(), Decrypted::Message { .. }));
    }
    let update = carol.commit(ROOM, Changes { update: true, ..Changes::default() }).unwrap();
    alice.receive_commit(ROOM, &update.message, "$3").unwrap();
    bob.receive_commit(ROOM, &update.message, "$3").unwrap();
}

#[test]
fn a_key_package_is_read_as_at_the_time_that_is_handed_in() {
    let made = late(&Engine::new(device("alice", "A")));
    let read = |now| KeyPackage::read_at(made.message(), SUITE, now);
    assert_eq!(read(THEN).unwrap().message(), made.message());
    assert_eq!(read(THEN).unwrap().reference(), made.reference());
    assert!(matches!(read(LIFETIME.not_after), Err(KeyPackageError::Expired { .. })));
    assert!(matches!(read(LIFETIME.not_before - 1), Err(KeyPackageError::NotYetValid { .. })));
    assert!(KeyPackage::read(made.message(), SUITE).is_err());
    // That its lifetime is over excuses nothing else.
    for place in 0..made.message().len() {
        let mut changed = made.message().to_vec();
        changed[place] ^= 1;
        assert!(KeyPackage::read_at(&changed, SUITE, THEN).is_err(), "{place}");
    }
    let plain = Rogue::new("alice", "A");
    let unsupported = MlsKeyPackage::builder()
        .key_package_lifetime(openmls::key_packages::Lifetime::init(1, 2))
        .key_package_extensions(
            openmls::extensions::Extensions::single(openmls::extensions::Extension::Unknown(
                0xf00d,
                openmls::extensions::UnknownExtension(vec![1]),
            ))
            .unwrap(),
        )
        .build(SUITE.ciphersuite(), &plain.provider, &plain.signer, plain.with_key.clone());
    if let Ok(bundle) = unsupported {
        let message = bytes(&bundle.into_key_package().into());
        assert!(matches!(KeyPackage::read_at(&message, SUITE, 1), Err(KeyPackageError::Invalid(_))));
    }
    let usual = Lifetime::usual(THEN);
    usual.check_range().unwrap();
    usual.check_now(THEN).unwrap();
}
