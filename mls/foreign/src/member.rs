//! Whose a leaf is.

use mimi_mls::{CredentialError, DeviceCredential, Member};

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
