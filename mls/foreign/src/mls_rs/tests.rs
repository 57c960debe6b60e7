use mimi_mls::{CredentialError, RoomChanges, RoomClient};

use super::*;
use crate::Stack;

const ROOM: &str = "!room:example.org";
const SUITE: Suite = Suite::MANDATORY;

fn with_identity(identity: Vec<u8>) -> Rooms<MlsRs> {
    let honest = library("@mallory:m");
    let identity = SigningIdentity::new(
        BasicCredential::new(identity).into_credential(),
        honest.identity.signature_key.clone(),
    );
    Rooms::new(MlsRs { identity, ..honest })
}

#[test]
fn a_device_whose_credential_is_not_its_own_gets_nowhere() {
    let alice = library("@alice:a").credential.encode().unwrap();
    for &stack in Stack::ALL {
        let mut bob = stack.device("@bob:b", "D", SUITE).unwrap();
        bob.create(ROOM).unwrap();
        for (identity, stolen) in [(alice.clone(), true), (b"alice".to_vec(), false)] {
            let package = with_identity(identity).key_package(KeyPackageUse::OneTime, None).unwrap();
            let error = bob.commit(ROOM, &RoomChanges::add([package])).unwrap_err();
            let Error::Peer(PeerFault::KeyPackage(KeyPackageError::Credential(error))) = error else {
                panic!("{stack}: {error}")
            };
            assert_eq!(matches!(error, CredentialError::KeyMismatch { .. }), stolen, "{stack}: {error}");
        }
    }
}

#[test]
fn no_group_is_created_with_another_devices_credential() {
    let mut mallory = with_identity(library("@alice:a").credential.encode().unwrap());
    let error = mallory.create(ROOM).unwrap_err();
    assert!(matches!(error, Error::Library(_)), "{error}");
}

#[test]
fn the_reason_for_refusing_a_leaf_comes_through_the_library() {
    let identity = with_identity(b"nobody".to_vec()).library().identity.clone();
    let error = ::mls_rs::IdentityProvider::identity(&Devices, &identity, &ExtensionList::new()).unwrap_err();
    let error = MlsError::IdentityProviderError(::mls_rs::error::IntoAnyError::into_any_error(error));
    assert!(matches!(commit_error(error), Error::Peer(PeerFault::Credential(CredentialError::Malformed(_)))));
}

#[test]
fn identities_are_apart() {
    let identity = |user: &str, id: &str| {
        let library = device(user, id, SUITE).unwrap();
        let identity = library.library().identity.clone();
        ::mls_rs::IdentityProvider::identity(&Devices, &identity, &ExtensionList::new()).unwrap()
    };
    assert_eq!(identity("@a:b", "C"), identity("@a:b", "C"));
    assert_ne!(identity("@a:b", "C"), identity("@a:bC", "C"));
    assert_ne!(identity("@a:b", "CD"), identity("@a:bC", "D"));
}

/// Lengths that are close to one another look the same (reading R58).
#[test]
fn messages_are_padded() {
    let mut alice = device("@alice:a", "D", SUITE).unwrap();
    alice.create(ROOM).unwrap();
    alice.commit(ROOM, &RoomChanges::update()).unwrap();
    alice.accepted(ROOM, "$first").unwrap();
    let mut lengths: Vec<usize> = (1_000..1_100)
        .map(|length| alice.encrypt(ROOM, &vec![7; length]).unwrap().ciphertext.len())
        .collect();
    lengths.dedup();
    assert!(lengths.len() <= 4, "{lengths:?}");
}

fn library(user: &str) -> MlsRs {
    device(user, "D", SUITE).unwrap().into_library()
}
