//! Whose a leaf is.

use std::collections::BTreeSet;

use mimi_mls::{CredentialError, DeviceCredential, Member, PeerFault};

/// The number of the basic credential in the IANA registry of MLS credential types.
const BASIC: u16 = 1;

/// Reads the credential of a leaf whose own signature key is `key` (LM-04 §4.1).
pub(crate) fn read(credential_type: u16, identity: &[u8], key: &[u8]) -> Result<Member, CredentialError> {
    if credential_type != BASIC {
        return Err(CredentialError::NotBasic { credential_type });
    }
    let credential = DeviceCredential::decode(identity)?;
    if credential.signature_key() != key {
        return Err(CredentialError::KeyMismatch { address: credential.address().clone() });
    }
    Ok(credential.into())
}

/// Checks that no device and no signature key is there twice.
pub(crate) fn check_distinct<'a>(members: impl Iterator<Item = &'a Member>) -> Result<(), PeerFault> {
    let (mut addresses, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for member in members {
        if !addresses.insert(&member.address) {
            return Err(PeerFault::DuplicateDevice { address: member.address.clone() });
        }
        if !keys.insert(&member.signature_key) {
            return Err(PeerFault::DuplicateKey);
        }
    }
    Ok(())
}
