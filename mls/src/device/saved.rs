//! A device as it is saved: who it is and its signature key here, its key packages one by one.

use std::collections::BTreeMap;

use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::OpenMlsProvider as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Device;
use crate::credential::{DeviceAddress, DeviceCredential};
use crate::error::LibraryFault;
use crate::snapshot::SnapshotError;
use crate::storage::{MemberStore, Provider, StoreKey, Value, decode};
use crate::suite::Suite;

/// What is saved of a device besides its key packages.
#[derive(Serialize, Deserialize)]
struct Identity<S> {
    user_id: String,
    device_id: String,
    suite: u16,
    signer: S,
}

impl Device {
    /// The private keys that came or went since this was asked last.
    pub(crate) fn take_changed_keys(&self) -> Vec<(StoreKey, Option<Value>)> {
        self.provider.storage().take_changed_keys()
    }

    /// Forgets that anything of the device was ever saved.
    pub(crate) fn nothing_is_saved(&self) {
        self.provider.storage().all_keys_changed();
    }

    /// Who the device is, with its private signature key.
    pub(crate) fn saved_identity(&self) -> Result<Value, LibraryFault> {
        let identity = Identity {
            user_id: self.address().user_id().to_owned(),
            device_id: self.address().device_id().to_owned(),
            suite: self.suite.code(),
            signer: &self.signer,
        };
        postcard::to_allocvec(&identity).map(Zeroizing::new).map_err(LibraryFault::encoding)
    }

    /// Makes the device again from what was saved of it.
    pub(crate) fn from_saved(
        identity: &[u8],
        keys: BTreeMap<StoreKey, Vec<u8>>,
    ) -> Result<Self, SnapshotError> {
        let Identity { user_id, device_id, suite: code, signer } =
            decode::<Identity<SignatureKeyPair>>(identity)
                .map_err(|error| SnapshotError::Unreadable(error.into()))?;
        let suite = Suite::from_code(code).ok_or(SnapshotError::UnknownSuite { code })?;
        if signer.signature_scheme() != suite.signature_scheme().mls() {
            return Err(SnapshotError::Inconsistent);
        }
        let address = DeviceAddress::new(user_id, device_id)
            .map_err(|error| SnapshotError::Unreadable(error.into()))?;
        let credential = DeviceCredential::new(address, signer.public()).map_err(LibraryFault::encoding)?;
        let with_key = credential.with_key().map_err(LibraryFault::encoding)?;
        let provider = Provider::new(MemberStore::of_device(keys));
        Ok(Self { credential, with_key, suite, signer, provider })
    }
}
