use openmls::credentials::{BasicCredential, Credential, CredentialType};
use openmls_basic_credential::SignatureKeyPair;

use super::*;
use crate::framing::MessageKind;
use crate::testing::{
    Rogue, address, bytes, credential, device, forge_key_package, mls_key_package, unframed,
};

fn read(key_package: &KeyPackage) -> Result<KeyPackage, KeyPackageError> {
    KeyPackage::read(key_package.message(), Suite::MANDATORY)
}

#[test]
fn a_key_package_names_its_device() {
    for &suite in Suite::ALL {
        let device = Device::generate("@alice:example.org", "A", suite).unwrap();
        let made = KeyPackage::generate(&device, KeyPackageUse::OneTime).unwrap();
        for message in [made.message(), unframed(made.message())] {
            let read = KeyPackage::read(message, suite).unwrap();
            assert_eq!(read.address(), device.address());
            assert_eq!(read.signature_key(), device.credential().signature_key());
            assert_eq!(read.suite(), suite);
            assert_eq!(read.reference(), made.reference());
            assert_eq!(read.message(), made.message());
            assert_eq!(read.lifetime(), made.lifetime());
            assert!(!read.is_last_resort());
        }
        assert_eq!(made.reference().len(), 32);
        assert_eq!(made.key_version().len(), 64);
        assert!(made.key_version().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}

#[test]
fn every_key_package_is_another_one() {
    let device = device("alice", "A");
    let [a, b] = [(); 2].map(|()| KeyPackage::generate(&device, KeyPackageUse::OneTime).unwrap());
    assert_ne!(a.reference(), b.reference());
    assert_eq!(a.signature_key(), b.signature_key());
}

#[test]
fn one_of_last_resort_says_so_and_is_valid() {
    let device = device("alice", "A");
    let made = KeyPackage::generate(&device, KeyPackageUse::LastResort).unwrap();
    assert!(made.is_last_resort());
    assert!(read(&made).unwrap().is_last_resort());
}

#[test]
fn the_lifetime_is_compared_with_the_clock() {
    let device = device("alice", "A");
    let with = |not_before, not_after| {
        let lifetime = Lifetime { not_before, not_after };
        let made = KeyPackage::generate_with_lifetime(&device, KeyPackageUse::OneTime, lifetime).unwrap();
        assert_eq!(made.lifetime(), lifetime);
        assert_eq!(made.not_after(), not_after);
        read(&made)
    };
    let far = 4_000_000_000;
    assert!(matches!(with(0, 1), Err(KeyPackageError::Expired { not_after: 1, .. })));
    assert!(
        matches!(with(far, far + 1), Err(KeyPackageError::NotYetValid { not_before, .. }) if not_before == far)
    );
    assert!(matches!(with(0, far), Err(KeyPackageError::LifetimeTooLong { seconds }) if seconds == far));
    assert!(matches!(with(0, u64::MAX), Err(KeyPackageError::LifetimeTooLong { .. })));

    let usual = KeyPackage::generate(&device, KeyPackageUse::OneTime).unwrap().lifetime();
    assert!(usual.not_after - usual.not_before < MAX_LIFETIME_SECS);
    assert!(with(usual.not_before, usual.not_before + MAX_LIFETIME_SECS).is_ok());
}

#[test]
fn a_key_package_of_another_suite_is_refused() {
    let other = Device::generate("@alice:example.org", "A", Suite::ALL[1]).unwrap();
    let made = KeyPackage::generate(&other, KeyPackageUse::OneTime).unwrap();
    assert!(matches!(
        read(&made),
        Err(KeyPackageError::WrongSuite { expected: Suite::MANDATORY, got }) if got == Suite::ALL[1].code()
    ));
}

#[test]
fn only_key_packages_are_key_packages() {
    let device = device("alice", "A");
    let made = KeyPackage::generate(&device, KeyPackageUse::OneTime).unwrap();
    let mut trailing = made.message().to_vec();
    trailing.push(0);
    assert!(matches!(
        KeyPackage::read(&trailing, Suite::MANDATORY),
        Err(KeyPackageError::Framing(FramingError::Malformed { kind: MessageKind::KeyPackage, .. }))
    ));
    for len in 0..made.message().len() {
        assert!(KeyPackage::read(&made.message()[..len], Suite::MANDATORY).is_err());
    }
}

#[test]
fn a_change_anywhere_is_noticed() {
    let device = device("alice", "A");
    let made = KeyPackage::generate(&device, KeyPackageUse::OneTime).unwrap();
    for position in 0..made.message().len() {
        let mut changed = made.message().to_vec();
        changed[position] ^= 1;
        assert!(KeyPackage::read(&changed, Suite::MANDATORY).is_err(), "byte {position}");
    }
}

#[test]
fn the_credential_must_be_a_devices_with_the_leafs_key() {
    let signer = || SignatureKeyPair::new(Suite::MANDATORY.signature_scheme().mls()).unwrap();
    let refused = |credential: Credential| {
        let rogue = Rogue::with_credential(signer(), credential);
        let message = bytes(&rogue.key_package().into());
        match KeyPackage::read(&message, Suite::MANDATORY).unwrap_err() {
            KeyPackageError::Credential(error) => error,
            error => panic!("{error}"),
        }
    };
    assert!(matches!(refused(BasicCredential::new(b"alice".to_vec()).into()), CredentialError::Malformed(_)));
    assert!(matches!(refused(credential(&address("a", "A"), &[1; 32])), CredentialError::KeyMismatch { .. }));

    let x509 = Credential::new(CredentialType::X509, vec![]);
    let rogue = Rogue::with_credential(signer(), x509);
    let message = bytes(&rogue.key_package().into());
    assert!(KeyPackage::read(&message, Suite::MANDATORY).is_err());
}

#[test]
fn keys_nobody_can_encrypt_to_are_refused() {
    let device = device("alice", "A");
    let made = KeyPackage::generate(&device, KeyPackageUse::OneTime).unwrap();
    let mut sound = [0; 32];
    sound[0] = 9;
    let forge = |init_key, leaf_key| {
        let forged = forge_key_package(device.signer(), made.message(), init_key, leaf_key);
        KeyPackage::read(&forged, Suite::MANDATORY)
    };
    // The forgery is right: with usable keys it is accepted.
    forge(Some(sound), None).unwrap();
    forge(None, Some(sound)).unwrap();
    assert!(matches!(forge(Some([0; 32]), None), Err(KeyPackageError::UnusableKey)));
    assert!(matches!(forge(None, Some([0; 32])), Err(KeyPackageError::UnusableKey)));
}

#[test]
fn a_key_package_is_held_against_the_time_it_is_used_at() {
    let device = device("alice", "A");
    let with = |not_before, not_after| {
        let lifetime = Lifetime { not_before, not_after };
        KeyPackage::generate_with_lifetime(&device, KeyPackageUse::OneTime, lifetime).unwrap()
    };
    let package = with(100, 200);
    assert!(matches!(
        package.check_lifetime(99),
        Err(KeyPackageError::NotYetValid { not_before: 100, now: 99 })
    ));
    assert!(package.check_lifetime(100).is_ok());
    assert!(package.check_lifetime(199).is_ok());
    assert!(matches!(
        package.check_lifetime(200),
        Err(KeyPackageError::Expired { not_after: 200, now: 200 })
    ));
    // A year, as some stacks make them, is accepted; what never ends is not, nor what ends before it begins.
    let year = 365 * 24 * 60 * 60;
    assert!(with(100, 100 + year).check_lifetime(101).is_ok());
    assert!(matches!(
        with(100, u64::MAX).check_lifetime(101),
        Err(KeyPackageError::LifetimeTooLong { seconds }) if seconds == u64::MAX - 100
    ));
    assert!(with(0, MAX_LIFETIME_SECS).check_lifetime(1).is_ok());
    assert!(with(0, MAX_LIFETIME_SECS + 1).check_lifetime(1).is_err());
    assert!(with(200, 100).check_lifetime(150).is_err());
}

#[test]
fn what_has_an_extension_of_last_resort_lists_it_among_its_capabilities() {
    let device = device("alice", "A");
    for uses in [KeyPackageUse::OneTime, KeyPackageUse::LastResort] {
        let made = mls_key_package(KeyPackage::generate(&device, uses).unwrap().message());
        let capabilities = made.leaf_node().capabilities();
        assert!(capabilities.extensions().contains(&openmls::extensions::ExtensionType::LastResort));
    }
}
