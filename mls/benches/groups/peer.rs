//! A group of `mls-rs`.

use std::cell::RefCell;

use mls_rs::client_builder::{
    BaseConfig, WithCryptoProvider, WithGroupStateStorage, WithIdentityProvider, WithMlsRules,
};
use mls_rs::crypto::SignatureSecretKey;
use mls_rs::external_client::{ExternalClient, ExternalGroup, builder};
use mls_rs::group::CommitOutput;
use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::{BasicCredential, BasicIdentityProvider};
use mls_rs::mls_rules::{CommitOptions, DefaultMlsRules};
use mls_rs::{
    CipherSuite, CipherSuiteProvider as _, Client, CryptoProvider as _, ExtensionList, Group as MlsGroup,
    MlsMessage,
};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;

use self::storage::Nowhere;
use crate::ROOM;

const SUITE: CipherSuite = CipherSuite::CURVE25519_AES128;
const BATCH: usize = 100;

/// Storage that takes everything and keeps nothing, so that only making the bytes is measured.
mod storage {
    use std::convert::Infallible;

    use mls_rs::GroupStateStorage;
    use mls_rs_core::group::{EpochRecord, GroupState};

    #[derive(Clone, Debug, Default)]
    pub(crate) struct Nowhere;

    impl GroupStateStorage for Nowhere {
        type Error = Infallible;

        fn state(&self, _: &[u8]) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, Infallible> {
            Ok(None)
        }

        fn epoch(&self, _: &[u8], _: u64) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, Infallible> {
            Ok(None)
        }

        fn write(
            &mut self,
            state: GroupState,
            new: Vec<EpochRecord>,
            changed: Vec<EpochRecord>,
        ) -> Result<(), Infallible> {
            std::hint::black_box((state, new, changed));
            Ok(())
        }

        fn max_epoch_id(&self, _: &[u8]) -> Result<Option<u64>, Infallible> {
            Ok(None)
        }
    }
}

fn identity(user: &str) -> (SignatureSecretKey, SigningIdentity) {
    let suite = RustCryptoProvider::default().cipher_suite_provider(SUITE).unwrap();
    let (secret, public) = suite.signature_key_generate().unwrap();
    let address = mimi_mls::DeviceAddress::new(format!("@{user}:hub.example"), "DEVICE").unwrap();
    let credential = mimi_mls::DeviceCredential::new(address, public.as_ref()).unwrap().encode().unwrap();
    (secret, SigningIdentity::new(BasicCredential::new(credential).into_credential(), public))
}

pub(crate) type ClientConfig = WithMlsRules<
    DefaultMlsRules,
    WithGroupStateStorage<
        Nowhere,
        WithIdentityProvider<BasicIdentityProvider, WithCryptoProvider<RustCryptoProvider, BaseConfig>>,
    >,
>;

pub(crate) type HubConfig = builder::WithIdentityProvider<
    BasicIdentityProvider,
    builder::WithCryptoProvider<RustCryptoProvider, builder::ExternalBaseConfig>,
>;

/// A client whose Welcomes and GroupInfos have the tree.
pub(crate) fn client(user: &str) -> Client<ClientConfig> {
    let (secret, identity) = identity(user);
    let options = CommitOptions::new().with_ratchet_tree_extension(true).with_allow_external_commit(true);
    Client::builder()
        .crypto_provider(RustCryptoProvider::default())
        .identity_provider(BasicIdentityProvider::new())
        .group_state_storage(Nowhere)
        .mls_rules(DefaultMlsRules::new().with_commit_options(options))
        .signing_identity(identity, secret, SUITE)
        .build()
}

pub(crate) fn observer() -> ExternalClient<HubConfig> {
    ExternalClient::builder()
        .crypto_provider(RustCryptoProvider::default())
        .identity_provider(BasicIdentityProvider::new())
        .build()
}

pub(crate) fn key_package(client: &Client<ClientConfig>) -> Vec<u8> {
    let made = client.generate_key_package_message(ExtensionList::default(), ExtensionList::default(), None);
    made.unwrap().to_bytes().unwrap()
}

/// Key packages of devices that do nothing else.
pub(crate) fn strangers(range: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    range.map(|n| key_package(&client(&format!("user{n}")))).collect()
}

/// Makes a group of all these devices.
pub(crate) fn create(creator: &Client<ClientConfig>, key_packages: &[Vec<u8>]) -> MlsGroup<ClientConfig> {
    let id = ROOM.as_bytes().to_vec();
    let created = creator.create_group_with_id(id, ExtensionList::default(), ExtensionList::default(), None);
    let mut group = created.unwrap();
    add(&mut group, &[]);
    group.apply_pending_commit().unwrap();
    for batch in key_packages.chunks(BATCH) {
        add(&mut group, batch);
        group.apply_pending_commit().unwrap();
    }
    group
}

/// Makes a commit, which is pending then.
pub(crate) fn add(group: &mut MlsGroup<ClientConfig>, key_packages: &[Vec<u8>]) -> CommitOutput {
    let mut builder = group.commit_builder();
    for message in key_packages {
        builder = builder.add_member(MlsMessage::from_bytes(message).unwrap()).unwrap();
    }
    builder.build().unwrap()
}

/// A group of some size: who makes its commits, one member, and a hub.
pub(crate) struct Group {
    pub(crate) alice: RefCell<MlsGroup<ClientConfig>>,
    /// A member in the epoch before the last commit.
    pub(crate) bob: MlsGroup<ClientConfig>,
    /// A hub in the epoch before the last commit.
    pub(crate) hub: ExternalGroup<HubConfig>,
    /// The last commit, which adds one device.
    pub(crate) last: Vec<u8>,
    pub(crate) welcome: Vec<u8>,
    /// The group state before that, with the tree.
    pub(crate) before: Vec<u8>,
    /// The device that the last commit adds.
    pub(crate) joiner: Client<ClientConfig>,
}

impl Group {
    pub(crate) fn new(members: usize) -> Self {
        let (alice_client, bob_client) = (client("alice"), client("bob"));
        let mut alice = create(&alice_client, &[]);
        let first = alice.group_info_message_allowing_ext_commit(true).unwrap();
        let mut hub = observer().observe_group(first, None, None).unwrap();
        let others = strangers(0..members.saturating_sub(2));
        let mut batches = vec![vec![key_package(&bob_client)]];
        batches.extend(others.chunks(BATCH).map(<[_]>::to_vec));
        if members <= crate::PATHS {
            batches.extend([Vec::new(), Vec::new()]);
        }
        let mut bob: Option<MlsGroup<ClientConfig>> = None;
        let mut before = None;
        for batch in batches {
            let output = add(&mut alice, &batch);
            alice.apply_pending_commit().unwrap();
            hub.process_incoming_message(output.commit_message.clone()).unwrap();
            match &mut bob {
                None => bob = Some(bob_client.join_group(None, &output.welcome_messages[0], None).unwrap().0),
                Some(bob) => {
                    bob.process_incoming_message(output.commit_message).unwrap();
                    bob.write_to_storage().unwrap();
                }
            }
            before = output.external_commit_group_info;
        }
        let joiner = client("joiner");
        let output = add(&mut alice.clone(), &[key_package(&joiner)]);
        Self {
            alice: alice.into(),
            bob: bob.unwrap(),
            hub,
            last: output.commit_message.to_bytes().unwrap(),
            welcome: output.welcome_messages[0].to_bytes().unwrap(),
            before: before.unwrap().to_bytes().unwrap(),
            joiner,
        }
    }
}
