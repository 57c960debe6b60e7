//! Devices whose MLS is `mls-rs`.

mod error;
mod identity;
mod rogue;
mod rules;

use core::fmt;
use core::time::Duration;

use mimi_mls::framing::MessageKind;
use mimi_mls::{
    AddressError, CallerFault, DeviceAddress, DeviceCredential, Error, KeyPackageError, KeyPackageUse,
    LibraryFault, Lifetime, MAX_LIFETIME_SECS, Member, PeerFault, Source, Suite,
};
use mls_rs::client_builder::{BaseConfig, WithCryptoProvider, WithGroupStateStorage, WithIdentityProvider};
use mls_rs::client_builder::{WithKeyPackageRepo, WithMlsRules};
use mls_rs::error::MlsError;
use mls_rs::extension::ExtensionType;
use mls_rs::extension::built_in::RatchetTreeExt;
use mls_rs::extension::recommended::LastResortKeyPackageExt;
use mls_rs::group::proposal::Proposal;
use mls_rs::group::{CommitEffect, CommitOutput, Group as MlsGroup, ReceivedMessage};
use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::BasicCredential;
use mls_rs::storage_provider::in_memory::{InMemoryGroupStateStorage, InMemoryKeyPackageStorage};
use mls_rs::time::MlsTime;
use mls_rs::{CipherSuite, CipherSuiteProvider as _, Client, CryptoProvider as _, ExtensionList, MlsMessage};
use mls_rs_core::crypto::{SignaturePublicKey, SignatureSecretKey};
use mls_rs_core::key_package::KeyPackageData;
use mls_rs_crypto_rustcrypto::RustCryptoProvider;

pub use self::rogue::{ByReference, commit_by_reference};

use self::error::{commit_error, group_info_error, library_error, message_error, welcome_error};
use self::identity::Devices;
use self::rules::Rules;
use crate::library::{Entered, Library, Made, Opened, Processed, Proposals};
use crate::rooms::{PAST_EPOCHS, Rooms, now};
use crate::wire;

type Config = WithMlsRules<
    Rules,
    WithIdentityProvider<
        Devices,
        WithGroupStateStorage<
            InMemoryGroupStateStorage,
            WithKeyPackageRepo<InMemoryKeyPackageStorage, WithCryptoProvider<RustCryptoProvider, BaseConfig>>,
        >,
    >,
>;

/// Whether `mls-rs` with this provider has the suite.
pub(crate) fn has(suite: Suite) -> bool {
    RustCryptoProvider::all_supported_cipher_suites().contains(&CipherSuite::new(suite.code()))
}

/// A new device.
pub(crate) fn device(user_id: &str, device_id: &str, suite: Suite) -> Result<Rooms<MlsRs>, Error> {
    Ok(Rooms::new(library(user_id, device_id, suite)?))
}

/// The library with the keys of a new device.
fn library(user_id: &str, device_id: &str, suite: Suite) -> Result<MlsRs, Error> {
    let address = DeviceAddress::new(user_id, device_id)
        .map_err(|error: AddressError| Error::from(CallerFault::from(error)))?;
    let cipher_suite = CipherSuite::new(suite.code());
    let crypto = RustCryptoProvider::with_enabled_cipher_suites(vec![cipher_suite]);
    let provider = has(suite).then(|| crypto.cipher_suite_provider(cipher_suite)).flatten();
    let provider = provider.ok_or_else(|| library_error(MlsError::UnsupportedCipherSuite(cipher_suite)))?;
    let (signer, public) =
        provider.signature_key_generate().map_err(|error| LibraryFault::Crypto(error.into()))?;
    let credential = DeviceCredential::new(address, public.as_bytes())
        .map_err(|error| LibraryFault::Encoding(error.into()))?;
    let identity = credential.encode().map_err(|error| LibraryFault::Encoding(error.into()))?;
    let identity = SigningIdentity::new(
        BasicCredential::new(identity).into_credential(),
        SignaturePublicKey::new_slice(public.as_bytes()),
    );
    let key_packages = InMemoryKeyPackageStorage::new();
    Ok(MlsRs { credential, suite, identity, signer, crypto, key_packages })
}

/// `mls-rs` with the keys of a device.
pub(crate) struct MlsRs {
    credential: DeviceCredential,
    suite: Suite,
    identity: SigningIdentity,
    signer: SignatureSecretKey,
    crypto: RustCryptoProvider,
    key_packages: InMemoryKeyPackageStorage,
}

/// A group, with the switch for the paths of its commits.
pub(crate) struct Group {
    group: MlsGroup<Config>,
    rules: Rules,
}

impl MlsRs {
    /// A client for one group, with a storage of its own: forgetting the group is dropping it, and what is left of an
    /// earlier stay in a room is not taken for a part of a later one.
    fn client(&self, key_package_lifetime: Duration) -> Result<(Client<Config>, Rules), Error> {
        let rules = Rules::default();
        let past_epochs = usize::try_from(PAST_EPOCHS).unwrap_or(usize::MAX);
        let storage =
            InMemoryGroupStateStorage::new().with_max_epoch_retention(past_epochs).map_err(library_error)?;
        let client = Client::builder()
            .crypto_provider(self.crypto.clone())
            .key_package_repo(self.key_packages.clone())
            .group_state_storage(storage)
            .identity_provider(Devices)
            .mls_rules(rules.clone())
            .extension_type(ExtensionType::LAST_RESORT_KEY_PACKAGE)
            .key_package_lifetime(key_package_lifetime)
            .signing_identity(self.identity.clone(), self.signer.clone(), CipherSuite::new(self.suite.code()))
            .build();
        Ok((client, rules))
    }

    fn group_client(&self) -> Result<(Client<Config>, Rules), Error> {
        self.client(Duration::from_secs(MAX_LIFETIME_SECS))
    }
}

fn member(identity: &SigningIdentity) -> Result<Member, PeerFault> {
    Ok(identity::member(identity)?)
}

/// Reads a message that has its frame already.
fn read(kind: MessageKind, framed: &[u8]) -> Result<MlsMessage, PeerFault> {
    MlsMessage::from_bytes(framed).map_err(|error| wire::malformed(kind, error))
}

fn write(message: &MlsMessage) -> Result<Vec<u8>, Error> {
    message.to_bytes().map_err(|error| LibraryFault::Encoding(error.into()).into())
}

fn made(output: &CommitOutput) -> Result<Made, Error> {
    let group_info = output.external_commit_group_info.as_ref().ok_or(LibraryFault::MissingState)?;
    Ok(Made {
        commit: write(&output.commit_message)?,
        group_info: write(group_info)?,
        welcome: output.welcome_messages.first().map(write).transpose()?,
    })
}

impl Library for MlsRs {
    type Group = Group;

    const NAME: &'static str = "mls-rs";

    fn credential(&self) -> &DeviceCredential {
        &self.credential
    }

    fn suite(&self) -> Suite {
        self.suite
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Source> {
        let provider = self.crypto.cipher_suite_provider(CipherSuite::new(self.suite.code()));
        let provider = provider.ok_or("the provider has lost its suite")?;
        Ok(provider.sign(&self.signer, message)?)
    }

    fn key_package(&mut self, uses: KeyPackageUse, lifetime: Lifetime) -> Result<Vec<u8>, Error> {
        let seconds = lifetime.not_after.saturating_sub(lifetime.not_before);
        let (client, _) = self.client(Duration::from_secs(seconds))?;
        let mut extensions = ExtensionList::new();
        if uses == KeyPackageUse::LastResort {
            extensions.set_from(LastResortKeyPackageExt).map_err(|error| library_error(error.into()))?;
        }
        let from = MlsTime::from(lifetime.not_before);
        let message = client
            .generate_key_package_message(extensions, ExtensionList::new(), Some(from))
            .map_err(library_error)?;
        write(&message)
    }

    fn owner(&self, key_package: &[u8]) -> Result<Member, Error> {
        let message = read(MessageKind::KeyPackage, key_package)?;
        let wrong = |error: KeyPackageError| Error::from(PeerFault::KeyPackage(error));
        let Some(package) = message.as_key_package() else {
            return Err(wire::malformed(MessageKind::KeyPackage, MlsError::UnexpectedMessageType).into());
        };
        let got = package.cipher_suite().raw_value();
        if got != self.suite.code() {
            return Err(wrong(KeyPackageError::WrongSuite { expected: self.suite, got }));
        }
        // `mls-rs` shows the end of the lifetime only. An end beyond this is too far for any beginning that is not in
        // the future.
        let not_after =
            package.expiration().map_err(|error| wrong(KeyPackageError::Invalid(error.into())))?;
        let seconds = not_after.seconds_since_epoch().saturating_sub(now());
        if seconds > MAX_LIFETIME_SECS {
            return Err(wrong(KeyPackageError::LifetimeTooLong { seconds }));
        }
        identity::member(package.signing_identity()).map_err(|error| wrong(error.into()))
    }

    fn create(&mut self, group_id: &[u8]) -> Result<Group, Error> {
        let (client, rules) = self.group_client()?;
        let none = ExtensionList::new;
        let group =
            client.create_group_with_id(group_id.to_vec(), none(), none(), None).map_err(library_error)?;
        Ok(Group { group, rules })
    }

    fn commit(&mut self, group: &mut Group, proposals: &Proposals) -> Result<Made, Error> {
        let Group { group, rules } = group;
        rules.require_path(proposals.path);
        let mut builder = group.commit_builder();
        for package in &proposals.add {
            let package = read(MessageKind::KeyPackage, package)?;
            builder = builder.add_member(package).map_err(commit_error)?;
        }
        for leaf in &proposals.remove {
            builder = builder.remove_member(*leaf).map_err(commit_error)?;
        }
        let output = builder.build().map_err(commit_error)?;
        made(&output).inspect_err(|_| group.clear_pending_commit())
    }

    fn merge(&mut self, group: &mut Group) -> Result<(), Error> {
        group.group.apply_pending_commit().map_err(library_error)?;
        self.settle(group)
    }

    fn clear(&mut self, group: &mut Group) -> Result<(), Error> {
        group.group.clear_pending_commit();
        Ok(())
    }

    fn process(&mut self, group: &Group, commit: &[u8]) -> Result<Processed<Group>, Error> {
        let message = read(MessageKind::PublicMessage, commit)?;
        if !message.proposals_by_reference().is_empty() {
            return Err(PeerFault::ProposalByReference.into());
        }
        let path_leaf = message.commit_path_leaf_node().map(|leaf| member(&leaf.signing_identity));
        let path_leaf = path_leaf.transpose()?;
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for proposal in message.proposals_by_value() {
            match proposal {
                Proposal::Add(add) => added.push(member(add.signing_identity())?),
                Proposal::Remove(remove) => removed.push(remove.to_remove()),
                Proposal::ExternalInit(_) => {}
                other => {
                    let proposal_type = other.proposal_type().raw_value();
                    return Err(PeerFault::UnsupportedProposal { proposal_type }.into());
                }
            }
        }
        let mut next = group.group.clone();
        let ReceivedMessage::Commit(commit) = next.process_incoming_message(message).map_err(commit_error)?
        else {
            return Err(PeerFault::NotACommit.into());
        };
        let group = match commit.effect {
            CommitEffect::NewEpoch(_) => Some(Group { group: next, rules: group.rules.clone() }),
            CommitEffect::Removed { .. } => None,
            CommitEffect::ReInit(_) => return Err(PeerFault::UnsupportedProposal { proposal_type: 5 }.into()),
        };
        Ok(Processed { group, path_leaf, added, removed })
    }

    fn settle(&mut self, group: &mut Group) -> Result<(), Error> {
        group.group.write_to_storage().map_err(library_error)
    }

    fn enter(&mut self, welcome: &[u8]) -> Result<Entered<Group>, Error> {
        let message = read(MessageKind::Welcome, welcome)?;
        let got = message.cipher_suite().map(|suite| suite.raw_value());
        if let Some(got) = got.filter(|got| *got != self.suite.code()) {
            return Err(PeerFault::WrongSuite { expected: self.suite, got }.into());
        }
        let mut references = message.welcome_key_package_references().into_iter();
        let package = references.find_map(|reference| self.key_packages.get(reference));
        let package = package.ok_or(PeerFault::NoMatchingKeyPackage)?;
        let (client, rules) = self.group_client()?;
        let (group, info) = client.join_group(None, &message, None).map_err(welcome_error)?;
        Ok(Entered {
            group_id: group.group_id().to_vec(),
            sender: info.sender,
            last_resort: is_last_resort(&package)?,
            group: Group { group, rules },
        })
    }

    fn enter_alone(&mut self, group_info: &[u8]) -> Result<(Group, Made), Error> {
        let message = read(MessageKind::GroupInfo, group_info)?;
        let info = message
            .as_group_info()
            .ok_or_else(|| wire::malformed(MessageKind::GroupInfo, MlsError::UnexpectedMessageType))?;
        let tree = info.extensions().get_as::<RatchetTreeExt>();
        let tree =
            tree.map_err(|error| group_info_error(error.into()))?.ok_or(PeerFault::MissingRatchetTree)?;
        let (client, rules) = self.group_client()?;
        let mut builder = client.external_commit_builder().map_err(library_error)?;
        for leaf in tree.tree_data.roster().members_iter() {
            let other = member(leaf.signing_identity())?;
            if other.address != *self.credential.address() {
                continue;
            }
            if other.signature_key != self.credential.signature_key() {
                return Err(CallerFault::StaleOwnLeaf.into());
            }
            builder = builder.with_removal(leaf.index());
        }
        let (group, commit) = builder.build(message).map_err(group_info_error)?;
        let group_info = group.group_info_message_allowing_ext_commit(true).map_err(library_error)?;
        let made = Made { commit: write(&commit)?, group_info: write(&group_info)?, welcome: None };
        Ok((Group { group, rules }, made))
    }

    fn encrypt(&mut self, group: &mut Group, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let message = group.group.encrypt_application_message(plaintext, Vec::new());
        write(&message.map_err(library_error)?)
    }

    fn decrypt(&mut self, group: &mut Group, ciphertext: &[u8]) -> Result<Opened, Error> {
        let message = read(MessageKind::PrivateMessage, ciphertext)?;
        let epoch = message.epoch().unwrap_or_default();
        let received = match group.group.process_incoming_message(message) {
            Ok(received) => received,
            Err(MlsError::CantProcessMessageFromSelf) => return Ok(Opened::Own),
            Err(error) => return Err(message_error(error, epoch)),
        };
        let ReceivedMessage::ApplicationMessage(data) = received else {
            return Err(PeerFault::NotApplicationData.into());
        };
        // A sender of an earlier epoch is in the same leaf with the same key, or `mls-rs` would have refused.
        let sender = group.group.member_at_index(data.sender_index).ok_or(PeerFault::SenderNotInGroup)?;
        Ok(Opened::Message { sender: member(sender.signing_identity())?, plaintext: data.data().to_vec() })
    }

    fn epoch(&self, group: &Group) -> u64 {
        group.group.current_epoch()
    }

    fn members(&self, group: &Group) -> Result<Vec<(u32, Member)>, Error> {
        let leaves = group.group.roster().members_iter();
        leaves.map(|leaf| Ok((leaf.index(), member(leaf.signing_identity())?))).collect()
    }

    fn own_leaf(&self, group: &Group) -> u32 {
        group.group.current_member_index()
    }
}

/// Whether a key package of this device is one of last resort.
fn is_last_resort(stored: &KeyPackageData) -> Result<bool, Error> {
    let message = [&[0, 1, 0, 5], stored.key_package_bytes.as_slice()].concat();
    let message = read(MessageKind::KeyPackage, &message)?;
    Ok(message
        .as_key_package()
        .is_some_and(|package| package.extensions.has_extension(ExtensionType::LAST_RESORT_KEY_PACKAGE)))
}

impl fmt::Debug for MlsRs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MlsRs")
            .field("credential", &self.credential)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
