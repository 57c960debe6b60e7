//! A device with its private keys.

mod object;
mod saved;

use core::fmt;

use openmls::credentials::{CredentialType, CredentialWithKey};
use openmls::extensions::ExtensionType;
use openmls::prelude::Capabilities;
use openmls::versions::ProtocolVersion;
use openmls_basic_credential::SignatureKeyPair;

pub use self::object::{DeviceObject, DeviceObjectError, NotCanonicalisable, VerifiedDevice};
use crate::credential::{DeviceAddress, DeviceCredential};
use crate::error::{CallerFault, Error, LibraryFault};
use crate::storage::Provider;
use crate::suite::Suite;

/// A device of a user: its signature key pair, and the private halves of the key packages it made.
///
/// A device uses one cipher suite. Its groups are not in here but in an [`Engine`](crate::Engine).
pub struct Device {
    credential: DeviceCredential,
    with_key: CredentialWithKey,
    suite: Suite,
    signer: SignatureKeyPair,
    provider: Provider,
}

impl Device {
    /// A new device with a fresh signature key pair.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if an id is empty or longer than 255 bytes.
    pub fn generate(
        user_id: impl Into<String>,
        device_id: impl Into<String>,
        suite: Suite,
    ) -> Result<Self, Error> {
        let address = DeviceAddress::new(user_id, device_id).map_err(CallerFault::from)?;
        let signer = SignatureKeyPair::new(suite.signature_scheme().mls()).map_err(LibraryFault::crypto)?;
        let credential = DeviceCredential::new(address, signer.public()).map_err(LibraryFault::encoding)?;
        let with_key = credential.with_key().map_err(LibraryFault::encoding)?;
        Ok(Self { credential, with_key, suite, signer, provider: Provider::default() })
    }

    /// Whose device it is.
    pub fn address(&self) -> &DeviceAddress {
        self.credential.address()
    }

    /// The credential that is in every leaf of this device (LM-04 §4.1).
    pub fn credential(&self) -> &DeviceCredential {
        &self.credential
    }

    /// The suite of the device's key packages and groups.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The object that introduces the device to others, signed (LM-04 §4.1).
    ///
    /// # Errors
    ///
    /// [`LibraryFault`] if signing fails.
    pub fn object(&self) -> Result<DeviceObject, LibraryFault> {
        object::make(&self.credential, self.suite, &self.signer)
    }

    pub(crate) fn with_key(&self) -> CredentialWithKey {
        self.with_key.clone()
    }

    pub(crate) fn signer(&self) -> &SignatureKeyPair {
        &self.signer
    }

    /// Where the private halves of the device's key packages are.
    pub(crate) fn provider(&self) -> &Provider {
        &self.provider
    }

    /// What every leaf of the device says it can do. The last-resort extension is listed always: it must be in the leaf
    /// of a key package that has it, and a leaf that shows which kind of key package it came from tells too much.
    pub(crate) fn capabilities(&self) -> Capabilities {
        Capabilities::new(
            Some(&[ProtocolVersion::Mls10]),
            Some(&[self.suite.ciphersuite()]),
            Some(&[ExtensionType::LastResort]),
            Some(&[]),
            Some(&[CredentialType::Basic]),
        )
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("credential", &self.credential)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{AddressError, AddressField};

    #[test]
    fn a_device_signs_with_the_key_in_its_credential() {
        for &suite in Suite::ALL {
            let device = Device::generate("@alice:example.org", "ABC", suite).unwrap();
            assert_eq!(device.address().user_id(), "@alice:example.org");
            assert_eq!(device.address().device_id(), "ABC");
            assert_eq!(device.credential().signature_key(), device.signer().public());
        }
    }

    #[test]
    fn ids_are_checked() {
        let error = Device::generate("@alice:example.org", "", Suite::MANDATORY).unwrap_err();
        let Error::Caller(CallerFault::Address(error)) = error else { panic!("{error}") };
        assert_eq!(error, AddressError::Empty { field: AddressField::DeviceId });
    }

    #[test]
    fn debug_output_has_no_private_keys() {
        let device = Device::generate("@alice:example.org", "ABC", Suite::MANDATORY).unwrap();
        let output = format!("{device:?}");
        assert!(!output.contains("signer") && !output.contains("provider"), "{output}");
    }
}
