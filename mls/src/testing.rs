//! What the unit tests share: rooms full of honest devices, and a member who keeps no rule.

use std::cell::Cell;

use openmls::ciphersuite::signature::SignContent;
use openmls::credentials::{BasicCredential, Credential, CredentialWithKey, NewSignerBundle};
use openmls::framing::{MlsMessageOut, ProcessedMessageContent, PublicMessageIn};
use openmls::group::{
    CommitBuilder, CommitMessageBundle, GroupId, Initial, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, StagedWelcome, WireFormatPolicy,
};
use openmls::key_packages::{KeyPackage as MlsKeyPackage, KeyPackageIn, Lifetime};
use openmls::messages::Welcome;
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::LeafNodeParameters;
use openmls::versions::ProtocolVersion;
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider as _;
use openmls_traits::signatures::Signer as _;
use tls_codec::{Serialize as _, VLBytes};

use crate::framing::{self, Framed};
use crate::{Device, DeviceAddress, DeviceCredential, Engine, KeyPackage, KeyPackageUse, Suite};

pub(crate) const ROOM: &str = "!room:example.org";

/// The length of an Ed25519 signature with its length in front.
pub(crate) const SIGNATURE_LEN: usize = 2 + 64;

/// The length of a confirmation tag or a membership tag with its length in front.
pub(crate) const TAG_LEN: usize = 1 + 32;

thread_local! {
    /// The suite of the devices that a test on this thread makes.
    static SUITE: Cell<Suite> = const { Cell::new(Suite::MANDATORY) };
}

/// While this lives, the devices made on this thread have another suite than the mandatory one.
pub(crate) struct InSuite(Suite);

impl Drop for InSuite {
    fn drop(&mut self) {
        SUITE.set(self.0);
    }
}

pub(crate) fn in_suite(suite: Suite) -> InSuite {
    InSuite(SUITE.replace(suite))
}

/// The suite that the test is about.
pub(crate) fn suite() -> Suite {
    SUITE.get()
}

/// Repeats tests, which run for the mandatory suite as they stand, for the others.
macro_rules! in_other_suites {
    ($($test:ident),* $(,)?) => {
        mod in_other_suites {
            $(
                mod $test {
                    use $crate::Suite;
                    use $crate::testing::in_suite;

                    #[test]
                    fn p256() {
                        let _suite = in_suite(Suite::DhKemP256Aes128GcmSha256P256);
                        super::super::$test();
                    }

                    #[test]
                    fn chacha20() {
                        let _suite = in_suite(Suite::DhKemX25519ChaCha20Poly1305Sha256Ed25519);
                        super::super::$test();
                    }

                    #[test]
                    fn post_quantum() {
                        let _suite = in_suite(Suite::MlKem768X25519Aes128GcmSha256Ed25519);
                        super::super::$test();
                    }
                }
            )*
        }
    };
}
pub(crate) use in_other_suites;

pub(crate) fn address(user: &str, device: &str) -> DeviceAddress {
    DeviceAddress::new(format!("@{user}:example.org"), device).unwrap()
}

pub(crate) fn device(user: &str, device: &str) -> Device {
    Device::generate(format!("@{user}:example.org"), device, suite()).unwrap()
}

pub(crate) fn engine(user: &str, device_id: &str) -> Engine {
    Engine::new(device(user, device_id))
}

/// A key package of an honest device, as somebody else gets it.
pub(crate) fn key_package(engine: &Engine) -> KeyPackage {
    let key_package = KeyPackage::generate(engine.device(), KeyPackageUse::OneTime).unwrap();
    KeyPackage::read(key_package.message(), engine.device().suite()).unwrap()
}

/// A commit as an event carries it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) message: Vec<u8>,
    pub(crate) group_info: Vec<u8>,
    pub(crate) welcome: Option<Vec<u8>>,
}

impl Event {
    pub(crate) fn of(bundle: CommitMessageBundle) -> Self {
        let (message, welcome, group_info) = bundle.into_messages();
        Self {
            message: bytes(&message),
            group_info: bytes(&group_info.unwrap()),
            welcome: welcome.as_ref().map(bytes),
        }
    }
}

pub(crate) fn bytes(message: &MlsMessageOut) -> Vec<u8> {
    message.tls_serialize_detached().unwrap()
}

/// A member who uses OpenMLS directly, and can therefore do what an [`Engine`] never would.
pub(crate) struct Rogue {
    pub(crate) provider: OpenMlsRustCrypto,
    pub(crate) signer: SignatureKeyPair,
    pub(crate) with_key: CredentialWithKey,
    group: Option<MlsGroup>,
}

impl Rogue {
    /// One whose credential is as it should be.
    pub(crate) fn new(user: &str, device: &str) -> Self {
        let signer = SignatureKeyPair::new(Suite::MANDATORY.signature_scheme().mls()).unwrap();
        let credential = credential(&address(user, device), signer.public());
        Self::with_credential(signer, credential)
    }

    pub(crate) fn with_credential(signer: SignatureKeyPair, credential: Credential) -> Self {
        let with_key = CredentialWithKey { credential, signature_key: signer.public().into() };
        Self { provider: OpenMlsRustCrypto::default(), signer, with_key, group: None }
    }

    pub(crate) fn group(&self) -> &MlsGroup {
        self.group.as_ref().unwrap()
    }

    pub(crate) fn create(&mut self, room_id: &str) {
        self.create_with(room_id.as_bytes(), Suite::MANDATORY, PURE_PLAINTEXT_WIRE_FORMAT_POLICY);
    }

    /// Makes a group and forgets any other.
    pub(crate) fn create_with(&mut self, group_id: &[u8], suite: Suite, policy: WireFormatPolicy) {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(suite.ciphersuite())
            .wire_format_policy(policy)
            .use_ratchet_tree_extension(true)
            .build();
        self.create_as(group_id, &config);
    }

    /// Makes a group with a leaf whose signature does not verify.
    pub(crate) fn create_unsigned(&mut self, room_id: &str) {
        let config = MlsGroupCreateConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        let (id, with_key) = (GroupId::from_slice(room_id.as_bytes()), self.with_key.clone());
        let other = SignatureKeyPair::new(Suite::MANDATORY.signature_scheme().mls()).unwrap();
        let group = MlsGroup::new_with_group_id(&self.provider, &other, &config, id, with_key);
        self.group = Some(group.unwrap());
    }

    /// Makes a group with a leaf whose lifetime is long over.
    pub(crate) fn create_long_ago(&mut self, room_id: &str) {
        let config = MlsGroupCreateConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .lifetime(Lifetime::init(1, 2))
            .build();
        self.create_as(room_id.as_bytes(), &config);
    }

    fn create_as(&mut self, group_id: &[u8], config: &MlsGroupCreateConfig) {
        self.provider = OpenMlsRustCrypto::default();
        let group = MlsGroup::new_with_group_id(
            &self.provider,
            &self.signer,
            config,
            GroupId::from_slice(group_id),
            self.with_key.clone(),
        );
        self.group = Some(group.unwrap());
    }

    pub(crate) fn key_package(&self) -> MlsKeyPackage {
        MlsKeyPackage::builder()
            .build(Suite::MANDATORY.ciphersuite(), &self.provider, &self.signer, self.with_key.clone())
            .unwrap()
            .into_key_package()
    }

    pub(crate) fn join(&mut self, welcome: &[u8]) {
        let welcome: Welcome = framing::read(welcome).unwrap().value;
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None).unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
    }

    /// Joins whatever the lifetimes of the leaves.
    pub(crate) fn join_late(&mut self, welcome: &[u8]) {
        let welcome: Welcome = framing::read(welcome).unwrap().value;
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        let staged = StagedWelcome::build_from_welcome(&self.provider, &config, welcome)
            .unwrap()
            .skip_lifetime_validation()
            .build()
            .unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
    }

    /// Makes a commit, which is pending then.
    pub(crate) fn commit(
        &mut self,
        build: impl for<'a> FnOnce(CommitBuilder<'a, Initial>) -> CommitBuilder<'a, Initial>,
    ) -> Event {
        self.commit_with(true, build)
    }

    /// Makes a commit whose GroupInfo and Welcome leave the tree out.
    pub(crate) fn commit_without_tree(
        &mut self,
        build: impl for<'a> FnOnce(CommitBuilder<'a, Initial>) -> CommitBuilder<'a, Initial>,
    ) -> Event {
        self.commit_with(false, build)
    }

    fn commit_with(
        &mut self,
        tree: bool,
        build: impl for<'a> FnOnce(CommitBuilder<'a, Initial>) -> CommitBuilder<'a, Initial>,
    ) -> Event {
        let Self { provider, signer, group, .. } = self;
        let bundle = build(group.as_mut().unwrap().commit_builder())
            .load_psks(provider.storage())
            .unwrap()
            .use_ratchet_tree_extension(tree)
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        Event::of(bundle)
    }

    pub(crate) fn merge(&mut self) {
        let Self { provider, group, .. } = self;
        group.as_mut().unwrap().merge_pending_commit(provider).unwrap();
    }

    pub(crate) fn update(&mut self) -> Event {
        self.commit(|builder| builder.force_self_update(true))
    }

    /// Makes an external commit; the rogue is in the group afterwards as far as it is concerned.
    pub(crate) fn join_external(&mut self, group_info: &[u8]) -> Event {
        let group_info: VerifiableGroupInfo = framing::read(group_info).unwrap().value;
        let (group, bundle) = MlsGroup::external_commit_builder()
            .build_group(&self.provider, group_info, self.with_key.clone())
            .unwrap()
            .load_psks(self.provider.storage())
            .unwrap()
            .use_ratchet_tree_extension(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .finalize(&self.provider)
            .unwrap();
        self.group = Some(group);
        Event::of(bundle)
    }

    /// Drops the pending commit.
    pub(crate) fn clear(&mut self) {
        let Self { provider, group, .. } = self;
        group.as_mut().unwrap().clear_pending_commit(provider.storage()).unwrap();
    }

    /// Makes a commit that gives the leaf another key and another credential.
    pub(crate) fn rotate(&mut self, new_signer: &SignatureKeyPair, credential: &Credential) -> Event {
        let Self { provider, signer, group, .. } = self;
        let with_key =
            CredentialWithKey { credential: credential.clone(), signature_key: new_signer.public().into() };
        let bundle = group
            .as_mut()
            .unwrap()
            .commit_builder()
            .load_psks(provider.storage())
            .unwrap()
            .use_ratchet_tree_extension(true)
            .build_with_new_signer(
                provider.rand(),
                provider.crypto(),
                signer,
                NewSignerBundle { signer: new_signer, credential_with_key: with_key },
                |_| true,
            )
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        Event::of(bundle)
    }

    /// Proposes an update of the own leaf, in a message of its own.
    pub(crate) fn propose_update(&mut self) -> Vec<u8> {
        let Self { provider, signer, group, .. } = self;
        let (message, _) = group
            .as_mut()
            .unwrap()
            .propose_self_update(provider, signer, LeafNodeParameters::default())
            .unwrap();
        bytes(&message)
    }

    /// Takes in a proposal, for the next commit.
    pub(crate) fn take_proposal(&mut self, message: &[u8]) {
        let Self { provider, group, .. } = self;
        let group = group.as_mut().unwrap();
        let processed = group.process_message(provider, public_message(message).value).unwrap();
        let ProcessedMessageContent::ProposalMessage(proposal) = processed.into_content() else { panic!() };
        group.store_pending_proposal(provider.storage(), *proposal).unwrap();
    }
}

pub(crate) fn credential(address: &DeviceAddress, key: &[u8]) -> Credential {
    BasicCredential::new(DeviceCredential::new(address.clone(), key).unwrap().encode().unwrap()).into()
}

/// A labelled signature (RFC 9420 §5.1.2), with its length in front.
pub(crate) fn sign(signer: &SignatureKeyPair, label: &str, content: &[u8]) -> Vec<u8> {
    let content = SignContent::new(label, content.into()).tls_serialize_detached().unwrap();
    VLBytes::from(signer.sign(&content).unwrap()).tls_serialize_detached().unwrap()
}

/// The bytes of an `MLSMessage` without their frame.
pub(crate) fn unframed(message: &[u8]) -> &[u8] {
    &message[4..]
}

/// Replaces the two keys of a key package, signs it again, and gives it as OpenMLS takes it.
pub(crate) fn forge_key_package(
    signer: &SignatureKeyPair,
    key_package: &[u8],
    init_key: Option<[u8; 32]>,
    leaf_key: Option<[u8; 32]>,
) -> Vec<u8> {
    let body = unframed(key_package);
    let mut content = body[..body.len() - SIGNATURE_LEN].to_vec();
    // version, suite, length of the init key
    if let Some(init_key) = init_key {
        content[5..37].copy_from_slice(&init_key);
    }
    if let Some(leaf_key) = leaf_key {
        // The leaf comes next, and after it the extensions, of which there are none.
        content[38..70].copy_from_slice(&leaf_key);
        let end = content.len() - 1 - SIGNATURE_LEN;
        let signature = sign(signer, "LeafNodeTBS", &content[37..end]);
        content[end..end + SIGNATURE_LEN].copy_from_slice(&signature);
    }
    let signature = sign(signer, "KeyPackageTBS", &content);
    [&key_package[..4], &content, &signature].concat()
}

pub(crate) fn mls_key_package(message: &[u8]) -> MlsKeyPackage {
    let key_package: Framed<KeyPackageIn> = framing::read(message).unwrap();
    key_package.value.validate(&openmls_rust_crypto::RustCrypto::default(), ProtocolVersion::Mls10).unwrap()
}

pub(crate) fn public_message(message: &[u8]) -> Framed<PublicMessageIn> {
    framing::read(message).unwrap()
}

/// Groups of several shapes: one member, a full tree, blank leaves, parents with and without unmerged leaves.
pub(crate) fn groups(each: impl Fn(&Rogue)) {
    let mut alice = Rogue::new("alice", "A");
    alice.create(ROOM);
    each(&alice);
    for n in 0..9 {
        let added = [Rogue::new(&format!("u{n}"), "X").key_package()];
        alice.commit(|builder| builder.propose_adds(added));
        alice.merge();
        each(&alice);
        if n % 3 == 2 {
            alice.update();
            alice.merge();
            each(&alice);
        }
    }
    for leaf in [4, 9, 8] {
        alice.commit(|builder| builder.propose_removals([openmls::prelude::LeafNodeIndex::new(leaf)]));
        alice.merge();
        each(&alice);
    }
}
