//! A group of ours.

use mimi_mls::{
    Carriage, Changes, Device, DeviceCredential, Engine, GroupTracker, KeyPackage, KeyPackageUse, Placement,
    Suite,
};
use openmls::credentials::{BasicCredential, CredentialWithKey};
use openmls::framing::{
    MlsMessageOut, PrivateMessageIn, ProcessedMessage, ProcessedMessageContent, PublicMessageIn,
};
use openmls::group::{
    GroupId, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
    StagedWelcome,
};
use openmls::key_packages::{KeyPackage as MlsKeyPackage, KeyPackageIn};
use openmls::messages::Welcome;
use openmls::prelude::{Ciphersuite, ProtocolVersion, SignatureScheme};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider as _;
use tls_codec::{Deserialize as _, Serialize as _};

use crate::ROOM;

const SUITE: Suite = Suite::MANDATORY;

/// How many devices one commit adds, so that it fits into an event.
pub(crate) const BATCH: usize = 100;

/// A member on OpenMLS alone, with its memory store.
pub(crate) struct Alone {
    pub(crate) provider: OpenMlsRustCrypto,
    pub(crate) signer: SignatureKeyPair,
    with_key: CredentialWithKey,
    pub(crate) group: Option<MlsGroup>,
}

impl Alone {
    pub(crate) fn new(user: &str) -> Self {
        let signer = SignatureKeyPair::new(SignatureScheme::ED25519).unwrap();
        let address = mimi_mls::DeviceAddress::new(format!("@{user}:hub.example"), "DEVICE").unwrap();
        let identity = DeviceCredential::new(address, signer.public()).unwrap().encode().unwrap();
        let credential = BasicCredential::new(identity).into();
        let with_key = CredentialWithKey { credential, signature_key: signer.public().into() };
        Self { provider: OpenMlsRustCrypto::default(), signer, with_key, group: None }
    }

    /// A copy, as its store has it, that cannot send.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new("copy");
        copy.provider
            .storage()
            .values
            .write()
            .unwrap()
            .clone_from(&self.provider.storage().values.read().unwrap());
        let group = MlsGroup::load(copy.provider.storage(), &GroupId::from_slice(ROOM.as_bytes())).unwrap();
        Self { group, ..copy }
    }

    /// Makes a group of all these devices.
    pub(crate) fn create_with(mut self, key_packages: &[Vec<u8>]) -> Self {
        self.create();
        self.commit(Vec::new(), true, true);
        self.merge();
        for batch in key_packages.chunks(BATCH) {
            self.commit(batch.iter().map(|message| mls(message)).collect(), false, false);
            self.merge();
        }
        self
    }

    fn create(&mut self) {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519)
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .build();
        let id = GroupId::from_slice(ROOM.as_bytes());
        let group =
            MlsGroup::new_with_group_id(&self.provider, &self.signer, &config, id, self.with_key.clone());
        self.group = Some(group.unwrap());
    }

    pub(crate) fn key_package(&self) -> MlsKeyPackage {
        let suite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
        let bundle =
            MlsKeyPackage::builder().build(suite, &self.provider, &self.signer, self.with_key.clone());
        bundle.unwrap().into_key_package()
    }

    pub(crate) fn join(&mut self, welcome: &[u8], window: usize) {
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .max_past_epochs(window)
            .build();
        let welcome = Welcome::tls_deserialize_exact(&welcome[4..]).unwrap();
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None).unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
    }

    /// Makes a commit, which is pending then. The GroupInfo has the tree if it is small.
    pub(crate) fn commit(&mut self, added: Vec<MlsKeyPackage>, update: bool, tree: bool) -> Event {
        let Self { provider, signer, group, .. } = self;
        let group = group.as_mut().unwrap();
        let bundle = group
            .commit_builder()
            .force_self_update(update)
            .propose_adds(added)
            .load_psks(provider.storage())
            .unwrap()
            .use_ratchet_tree_extension(tree)
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        let (message, welcome, group_info) = bundle.into_messages();
        Event {
            message: bytes(&message),
            group_info: bytes(&group_info.unwrap()),
            welcome: welcome.as_ref().map(bytes),
        }
    }

    pub(crate) fn merge(&mut self) {
        let Self { provider, group, .. } = self;
        group.as_mut().unwrap().merge_pending_commit(provider).unwrap();
    }

    pub(crate) fn clear(&mut self) {
        let Self { provider, group, .. } = self;
        group.as_mut().unwrap().clear_pending_commit(provider.storage()).unwrap();
    }

    pub(crate) fn encrypt(&mut self, text: &[u8]) -> Vec<u8> {
        let Self { provider, signer, group, .. } = self;
        bytes(&group.as_mut().unwrap().create_message(provider, signer, text).unwrap())
    }

    /// Takes a commit in.
    pub(crate) fn follow(&mut self, message: &[u8]) {
        let Self { provider, group, .. } = self;
        let group = group.as_mut().unwrap();
        let message = PublicMessageIn::tls_deserialize_exact(&message[4..]).unwrap();
        let processed = group.process_message(provider, message).unwrap();
        let ProcessedMessageContent::StagedCommitMessage(commit) = processed.into_content() else {
            panic!("not a commit");
        };
        group.merge_staged_commit(provider, *commit).unwrap();
    }

    pub(crate) fn decrypt(&mut self, message: &[u8]) -> ProcessedMessage {
        let Self { provider, group, .. } = self;
        let message = PrivateMessageIn::tls_deserialize_exact(&message[4..]).unwrap();
        group.as_mut().unwrap().process_message(provider, message).unwrap()
    }

    pub(crate) fn tree(&self) -> Vec<u8> {
        self.group.as_ref().unwrap().export_ratchet_tree().tls_serialize_detached().unwrap()
    }
}

/// A commit as an event carries it.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) message: Vec<u8>,
    pub(crate) group_info: Vec<u8>,
    pub(crate) welcome: Option<Vec<u8>>,
}

fn bytes(message: &MlsMessageOut) -> Vec<u8> {
    message.tls_serialize_detached().unwrap()
}

pub(crate) fn engine(user: &str) -> Engine {
    Engine::new(Device::generate(format!("@{user}:hub.example"), "DEVICE", SUITE).unwrap())
}

pub(crate) fn key_package(engine: &Engine) -> Vec<u8> {
    KeyPackage::generate(engine.device(), KeyPackageUse::OneTime).unwrap().message().to_vec()
}

/// Key packages of devices that do nothing else.
pub(crate) fn strangers(range: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    range.map(|n| key_package(&engine(&format!("user{n}")))).collect()
}

pub(crate) fn read(message: &[u8]) -> KeyPackage {
    KeyPackage::read(message, SUITE).unwrap()
}

pub(crate) fn mls(message: &[u8]) -> MlsKeyPackage {
    let key_package = KeyPackageIn::tls_deserialize_exact(&message[4..]).unwrap();
    key_package.validate(OpenMlsRustCrypto::default().crypto(), ProtocolVersion::Mls10).unwrap()
}

/// A group of some size: who makes its commits, one member, and a hub.
pub(crate) struct Group {
    /// Makes the commits and messages that the others take in.
    pub(crate) alice: std::cell::RefCell<Alone>,
    /// A member, suspended in the epoch before the last commit.
    pub(crate) bob: Vec<u8>,
    /// A hub in the epoch before the last commit.
    pub(crate) tracker: GroupTracker,
    /// The same hub on OpenMLS alone.
    pub(crate) alone: crate::alone::Hub,
    /// The last commit, which adds one device, with a GroupInfo that leaves the tree out.
    pub(crate) last: Event,
    /// The same commit's GroupInfo with the tree.
    pub(crate) with_tree: Vec<u8>,
    /// The commit before that, with the tree after it.
    pub(crate) before: (Event, Vec<u8>),
    /// A device that the last commit adds, suspended.
    pub(crate) joiner: Vec<u8>,
    /// The last commit's Welcome without the tree, and the tree after that commit.
    pub(crate) apart: (Vec<u8>, Vec<u8>),
    /// A member on OpenMLS alone in the epoch before the last commit, if the group is of more than two.
    pub(crate) carol: Option<Alone>,
}

impl Group {
    pub(crate) fn new(members: usize) -> Self {
        let mut alice = Alone::new("alice");
        alice.create();
        let first = alice.commit(Vec::new(), true, true);
        let (mut tracker, _) = GroupTracker::start(ROOM, SUITE, &first.message, &first.group_info).unwrap();
        let mut alone = crate::alone::Hub::start(&first);
        alice.merge();
        let mut bob = engine("bob");
        let mut epoch = 1;
        let mut carol = (members > 2).then(|| Alone::new("carol"));
        let others = strangers(0..members.saturating_sub(if carol.is_some() { 3 } else { 2 }));
        let first_batch = [mls(&key_package(&bob))].into_iter().chain(carol.as_ref().map(Alone::key_package));
        let mut batches: Vec<Vec<MlsKeyPackage>> = vec![first_batch.collect()];
        batches.extend(others.chunks(BATCH).map(|batch| batch.iter().map(|message| mls(message)).collect()));
        if members <= crate::PATHS {
            // The window of past epochs has to be full.
            batches.extend([Vec::new(), Vec::new()]);
        }
        let mut before = None;
        for batch in batches {
            let update = batch.is_empty();
            let joining = epoch == 1;
            let event = alice.commit(batch, update, joining);
            alice.merge();
            epoch += 1;
            let staged = tracker.stage(&event.message, &event.group_info).unwrap();
            tracker.merge(staged).unwrap();
            alone.follow(&event);
            let id = format!("$commit{epoch}");
            if joining {
                bob.join(event.welcome.as_ref().unwrap(), &id).unwrap();
            } else {
                bob.receive_commit(ROOM, &event.message, &id).unwrap();
            }
            match &mut carol {
                Some(carol) if joining => carol.join(event.welcome.as_ref().unwrap(), 2),
                Some(carol) => carol.follow(&event.message),
                None => {}
            }
            before = Some(event);
        }
        assert_eq!(tracker.members().count(), members);
        let tree = alice.tree();
        let joiner = engine("joiner");
        let added = mls(&key_package(&joiner));
        let with_tree = alice.commit(vec![added.clone()], false, true);
        alice.clear();
        let last = alice.commit(vec![added.clone()], false, false);
        alice.clear();
        let mut after = GroupTracker::restore(&tracker.snapshot().unwrap()).unwrap();
        let staged = after.stage(&last.message, &last.group_info).unwrap();
        after.merge(staged).unwrap();
        let apart = (last.welcome.clone().unwrap(), after.ratchet_tree().unwrap());
        let welcome = with_tree.welcome.clone();
        Self {
            alice: alice.into(),
            bob: bob.suspend().unwrap(),
            tracker,
            alone,
            last: Event { welcome, ..last },
            with_tree: with_tree.group_info,
            before: (before.unwrap(), tree),
            joiner: joiner.suspend().unwrap(),
            apart,
            carol,
        }
    }

    pub(crate) fn bob(&self) -> Engine {
        Engine::resume(&self.bob).unwrap()
    }
}

/// An engine that makes a group of all these devices.
pub(crate) fn create(mut creator: Engine, key_packages: &[Vec<u8>]) -> Engine {
    creator.create(ROOM).unwrap();
    creator.commit(ROOM, Changes { update: true, ..Changes::default() }).unwrap();
    creator.accepted(ROOM, "$first").unwrap();
    let carriage = Carriage { tree: Placement::Apart, ..Carriage::default() };
    for (n, batch) in key_packages.chunks(BATCH).enumerate() {
        let add = batch.iter().map(|message| read(message)).collect();
        creator.commit(ROOM, Changes { add, carriage, ..Changes::default() }).unwrap();
        creator.accepted(ROOM, &format!("$batch{n}")).unwrap();
    }
    creator
}
