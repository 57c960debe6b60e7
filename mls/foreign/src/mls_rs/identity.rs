//! LM's credential as `mls-rs` sees it: who a leaf is, and whether it may be in a group.

use mimi_mls::{CredentialError, Member};
use mls_rs::error::IntoAnyError;
use mls_rs::identity::{CredentialType, SigningIdentity};
use mls_rs::time::MlsTime;
use mls_rs::{ExtensionList, IdentityProvider};
use mls_rs_core::identity::MemberValidationContext;

/// Whose leaf it is.
pub(crate) fn member(identity: &SigningIdentity) -> Result<Member, CredentialError> {
    let credential = &identity.credential;
    let bytes = credential.as_basic().map_or::<&[u8], _>(&[], |basic| basic.identifier());
    crate::member::read(credential.credential_type().raw_value(), bytes, &identity.signature_key)
}

/// Every member is a device, with its own key in its credential (LM-04 §4.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Devices;

/// A leaf that is no device's.
#[derive(Debug, thiserror::Error)]
#[error("a leaf is no device's")]
pub(crate) struct NotADevice {
    /// What the leaf says it is: `mls-rs` shows errors by reference only, so that the exact one is found out again.
    pub(crate) identity: SigningIdentity,
    #[source]
    error: CredentialError,
}

impl IntoAnyError for NotADevice {
    fn into_dyn_error(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        Ok(self.into())
    }
}

fn check(identity: &SigningIdentity) -> Result<Member, NotADevice> {
    member(identity).map_err(|error| NotADevice { identity: identity.clone(), error })
}

impl IdentityProvider for Devices {
    type Error = NotADevice;

    fn validate_member(
        &self,
        signing_identity: &SigningIdentity,
        _timestamp: Option<MlsTime>,
        _context: MemberValidationContext<'_>,
    ) -> Result<(), NotADevice> {
        check(signing_identity).map(drop)
    }

    fn validate_external_sender(
        &self,
        signing_identity: &SigningIdentity,
        _timestamp: Option<MlsTime>,
        _extensions: Option<&ExtensionList>,
    ) -> Result<(), NotADevice> {
        check(signing_identity).map(drop)
    }

    /// The device: a leaf with another key of the same device is the same member.
    fn identity(
        &self,
        signing_identity: &SigningIdentity,
        _extensions: &ExtensionList,
    ) -> Result<Vec<u8>, NotADevice> {
        let address = check(signing_identity)?.address;
        // The length keeps two devices apart whose ids are the same letters, split elsewhere.
        let (user, device) = (address.user_id(), address.device_id());
        Ok(format!("{} {user}{device}", user.len()).into_bytes())
    }

    fn valid_successor(
        &self,
        predecessor: &SigningIdentity,
        successor: &SigningIdentity,
        _extensions: &ExtensionList,
    ) -> Result<bool, NotADevice> {
        Ok(check(predecessor)?.address == check(successor)?.address)
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::BASIC]
    }
}
