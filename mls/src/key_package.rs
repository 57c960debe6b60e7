//! Key packages: what a device publishes so that others can add it to groups (LM-04 §4.4).

mod lifetime;
mod stock;

use core::fmt;

use openmls::framing::MlsMessageOut;
use openmls::key_packages::errors::KeyPackageVerifyError;
use openmls::key_packages::{KeyPackage as MlsKeyPackage, KeyPackageIn, Lifetime as MlsLifetime};
use openmls::treesync::errors::LifetimeError;
use openmls::treesync::{EncryptionKey, LeafNode};
use openmls::versions::ProtocolVersion;
use openmls_rust_crypto::RustCrypto;
use thiserror::Error;
use tls_codec::{Deserialize as _, Serialize as _, VLBytes};

pub(crate) use self::lifetime::check_lifetime;
pub use self::lifetime::{Lifetime, MAX_LIFETIME_SECS};
pub use self::stock::Stock;
use crate::credential::{CredentialError, DeviceAddress, DeviceCredential};
use crate::device::Device;
use crate::error::{CommitError, LibraryFault, PeerFault, Source};
use crate::framing::{self, FramingError};
use crate::storage::decode;
use crate::suite::Suite;

/// How often a key package may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPackageUse {
    /// Once: the usual kind.
    OneTime,
    /// Any number of times, when no other is left (LM-04 §12.10.3).
    LastResort,
}

/// A key package that was read but not verified.
#[derive(Clone, Debug)]
pub struct UnverifiedKeyPackage {
    inner: KeyPackageIn,
}

/// A key package that is valid: its signatures verify, it was within its lifetime when that was checked, and it names
/// the device whose key signs it.
#[derive(Clone)]
pub struct KeyPackage {
    inner: MlsKeyPackage,
    credential: DeviceCredential,
    suite: Suite,
    reference: Vec<u8>,
    message: Vec<u8>,
}

impl UnverifiedKeyPackage {
    /// Reads a key package from an `MLSMessage`, or from its bare encoding.
    ///
    /// # Errors
    ///
    /// [`FramingError`] if the bytes are neither, or too many.
    pub fn parse(bytes: &[u8]) -> Result<Self, FramingError> {
        Ok(Self { inner: framing::read::<KeyPackageIn>(bytes)?.value })
    }

    /// Verifies the key package (RFC 9420 §10.1): version, both signatures, extensions, lifetime; that it is of the
    /// suite that is wanted; and that its credential is LM-04's, with the leaf's own signature key in it (LM-04 §4.1).
    ///
    /// The lifetime is compared with the system's clock; to hand in another time there is
    /// [`verify_at`](Self::verify_at).
    ///
    /// # Errors
    ///
    /// [`KeyPackageError`], saying what is wrong.
    pub fn verify(self, suite: Suite) -> Result<KeyPackage, KeyPackageError> {
        let inner = self
            .inner
            .validate(&RustCrypto::default(), ProtocolVersion::Mls10)
            .map_err(KeyPackageError::from_verify)?;
        verified(inner, suite)
    }

    /// Verifies like [`verify`](Self::verify), as at the time `now` in Unix seconds. No clock plays a part then.
    ///
    /// # Errors
    ///
    /// [`KeyPackageError`], saying what is wrong.
    pub fn verify_at(self, suite: Suite, now: u64) -> Result<KeyPackage, KeyPackageError> {
        let key_package = self.verify_at_any_time(suite)?;
        key_package.check_lifetime(now)?;
        Ok(key_package)
    }

    /// Verifies everything but that there is a time at which the key package can be used.
    pub(crate) fn verify_at_any_time(self, suite: Suite) -> Result<KeyPackage, KeyPackageError> {
        let unverified = self.inner.clone();
        let inner = match self.inner.validate(&RustCrypto::default(), ProtocolVersion::Mls10) {
            // OpenMLS looks at the lifetime last of all, so that everything else has been verified.
            Err(KeyPackageVerifyError::LifetimeError(_)) => without_verifying(&unverified)?,
            validated => validated.map_err(KeyPackageError::from_verify)?,
        };
        verified(inner, suite)
    }
}

/// Turns a key package that OpenMLS has read into one that it has verified, which it has not. The two are stored alike.
pub(crate) fn without_verifying(key_package: &KeyPackageIn) -> Result<MlsKeyPackage, LibraryFault> {
    let stored = postcard::to_allocvec(key_package).map_err(LibraryFault::encoding)?;
    let taken: MlsKeyPackage = decode(&stored).map_err(LibraryFault::storage)?;
    let encoded = |bytes: Result<Vec<u8>, _>| bytes.map_err(LibraryFault::encoding);
    if encoded(taken.tls_serialize_detached())? != encoded(key_package.tls_serialize_detached())? {
        return Err(LibraryFault::MissingState);
    }
    Ok(taken)
}

/// A key package of which OpenMLS has nothing to say against.
fn verified(inner: MlsKeyPackage, suite: Suite) -> Result<KeyPackage, KeyPackageError> {
    let got = inner.ciphersuite();
    if got != suite.ciphersuite() {
        return Err(KeyPackageError::WrongSuite { expected: suite, got: got.into() });
    }
    let credential = check(&inner, suite)?;
    KeyPackage::new(inner, credential, suite).map_err(KeyPackageError::Library)
}

/// Checks what OpenMLS does not of a key package whose signatures it has verified, and returns whose it is.
pub(crate) fn check(key_package: &MlsKeyPackage, suite: Suite) -> Result<DeviceCredential, KeyPackageError> {
    let leaf = key_package.leaf_node();
    let credential = DeviceCredential::of_leaf(leaf.credential(), leaf.signature_key().as_slice())?;
    Lifetime::of(key_package).check_range()?;
    if !suite.can_encrypt_to(key_package.hpke_init_key().as_slice())
        || !suite.can_encrypt_to(&encryption_key(leaf)?)
    {
        return Err(KeyPackageError::UnusableKey);
    }
    Ok(credential)
}

/// The key to which others encrypt when they commit. OpenMLS gives its bytes only in their encoding.
pub(crate) fn encryption_key(leaf: &LeafNode) -> Result<Vec<u8>, LibraryFault> {
    let key: &EncryptionKey = leaf.encryption_key();
    let encoded = key.tls_serialize_detached().map_err(LibraryFault::encoding)?;
    VLBytes::tls_deserialize_exact(&encoded).map(Into::into).map_err(LibraryFault::encoding)
}

impl KeyPackage {
    /// Makes a key package for `device`, valid for about three months from an hour ago by the system's clock. Its
    /// private half stays in the device. [`generate_with_lifetime`](Self::generate_with_lifetime) with
    /// [`Lifetime::usual`] does the same by any clock.
    ///
    /// # Errors
    ///
    /// [`LibraryFault`] if something underneath fails.
    pub fn generate(device: &Device, uses: KeyPackageUse) -> Result<Self, LibraryFault> {
        Self::build(device, uses, MlsLifetime::default())
    }

    /// Makes a key package for `device` with the lifetime that is given, which may be over already.
    ///
    /// # Errors
    ///
    /// [`LibraryFault`] if something underneath fails.
    pub fn generate_with_lifetime(
        device: &Device,
        uses: KeyPackageUse,
        lifetime: Lifetime,
    ) -> Result<Self, LibraryFault> {
        Self::build(device, uses, MlsLifetime::init(lifetime.not_before, lifetime.not_after))
    }

    fn build(device: &Device, uses: KeyPackageUse, lifetime: MlsLifetime) -> Result<Self, LibraryFault> {
        let builder = MlsKeyPackage::builder()
            .key_package_lifetime(lifetime)
            .leaf_node_capabilities(device.capabilities());
        let builder = match uses {
            KeyPackageUse::OneTime => builder,
            KeyPackageUse::LastResort => builder.mark_as_last_resort(),
        };
        let bundle = builder
            .build(device.suite().ciphersuite(), device.provider(), device.signer(), device.with_key())
            .map_err(LibraryFault::mls)?;
        Self::new(bundle.into_key_package(), device.credential().clone(), device.suite())
    }

    fn new(inner: MlsKeyPackage, credential: DeviceCredential, suite: Suite) -> Result<Self, LibraryFault> {
        let reference =
            inner.hash_ref(&RustCrypto::default()).map_err(LibraryFault::mls)?.as_slice().to_vec();
        let message =
            MlsMessageOut::from(inner.clone()).tls_serialize_detached().map_err(LibraryFault::encoding)?;
        Ok(Self { inner, credential, suite, reference, message })
    }

    /// Reads and verifies a key package: [`UnverifiedKeyPackage::parse`] and [`UnverifiedKeyPackage::verify`].
    ///
    /// # Errors
    ///
    /// [`KeyPackageError`], saying what is wrong.
    pub fn read(bytes: &[u8], suite: Suite) -> Result<Self, KeyPackageError> {
        UnverifiedKeyPackage::parse(bytes)?.verify(suite)
    }

    /// Reads and verifies a key package as at the time `now`: [`UnverifiedKeyPackage::parse`] and
    /// [`UnverifiedKeyPackage::verify_at`].
    ///
    /// # Errors
    ///
    /// [`KeyPackageError`], saying what is wrong.
    pub fn read_at(bytes: &[u8], suite: Suite, now: u64) -> Result<Self, KeyPackageError> {
        UnverifiedKeyPackage::parse(bytes)?.verify_at(suite, now)
    }

    /// The key package as an `MLSMessage`, to be published in base64 (LM-04 §4.4).
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The device that is added with this key package.
    pub fn address(&self) -> &DeviceAddress {
        self.credential.address()
    }

    /// The signature key the device's leaf will have.
    pub fn signature_key(&self) -> &[u8] {
        self.credential.signature_key()
    }

    /// The suite of the groups the device can be added to.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The hash by which a Welcome refers to this key package (RFC 9420 §5.2), 32 bytes in all present suites.
    pub fn reference(&self) -> &[u8] {
        &self.reference
    }

    /// A key version for this key package's key id (LM-04 §4.4, §6): its reference hash in hexadecimal.
    pub fn key_version(&self) -> String {
        self.reference.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The time in which the key package may be used.
    pub fn lifetime(&self) -> Lifetime {
        Lifetime::of(&self.inner)
    }

    /// Checks that the key package may be used at `now`, in Unix seconds, and that its lifetime is not longer than
    /// [`MAX_LIFETIME_SECS`]. A server does that before it hands the key package out, and a device before it adds
    /// somebody with it: time has passed since it was read.
    ///
    /// # Errors
    ///
    /// [`KeyPackageError::Expired`], [`KeyPackageError::NotYetValid`] or [`KeyPackageError::LifetimeTooLong`].
    pub fn check_lifetime(&self, now: u64) -> Result<(), KeyPackageError> {
        check_lifetime(&self.inner, now)
    }

    /// The Unix second in which the key package expires. A server must not hand it out from then on (LM-04 §12.10.3).
    pub fn not_after(&self) -> u64 {
        self.lifetime().not_after
    }

    /// Whether the key package may be used more than once (LM-04 §12.10.3).
    pub fn is_last_resort(&self) -> bool {
        self.inner.last_resort()
    }

    pub(crate) fn into_inner(self) -> MlsKeyPackage {
        self.inner
    }
}

impl fmt::Debug for KeyPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPackage")
            .field("address", self.address())
            .field("suite", &self.suite)
            .field("key_version", &self.key_version())
            .field("lifetime", &self.lifetime())
            .field("last_resort", &self.is_last_resort())
            .finish_non_exhaustive()
    }
}

/// What is wrong with a key package.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyPackageError {
    /// The bytes are not a key package.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The key package is of another suite than the one that is wanted (LM-04 §4.4).
    #[error("the key package is of cipher suite {got:#06x} instead of {expected}")]
    WrongSuite {
        /// The suite that is wanted.
        expected: Suite,
        /// The number of the key package's suite.
        got: u16,
    },
    /// The key package is of another version of MLS.
    #[error("the key package is not of MLS 1.0")]
    WrongVersion,
    /// The key package's lifetime is over (LM-04 §12.10.3).
    #[error("the key package was valid until {not_after}, now it is {now}")]
    Expired {
        /// The end of its lifetime, in Unix seconds.
        not_after: u64,
        /// The time of the check, in Unix seconds.
        now: u64,
    },
    /// The key package's lifetime has not begun.
    #[error("the key package is valid from {not_before}, now it is {now}")]
    NotYetValid {
        /// The begin of its lifetime, in Unix seconds.
        not_before: u64,
        /// The time of the check, in Unix seconds.
        now: u64,
    },
    /// The lifetime is longer than [`MAX_LIFETIME_SECS`].
    #[error("the key package's lifetime of {seconds} seconds is too long")]
    LifetimeTooLong {
        /// Its length in seconds.
        seconds: u64,
    },
    /// One of the two signatures does not verify.
    #[error("a signature in the key package does not verify")]
    BadSignature,
    /// The leaf does not carry the credential of a device (LM-04 §4.1).
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// Nothing can be encrypted to one of the keys.
    #[error("a key of the key package is not usable")]
    UnusableKey,
    /// Another rule of RFC 9420 §10.1 is broken.
    #[error("the key package is not valid")]
    Invalid(#[source] Source),
    /// Checking failed for a reason of our own.
    #[error(transparent)]
    Library(#[from] LibraryFault),
}

impl KeyPackageError {
    pub(crate) fn from_verify(error: KeyPackageVerifyError) -> Self {
        match error {
            KeyPackageVerifyError::LibraryError(error) => Self::Library(LibraryFault::mls(error)),
            KeyPackageVerifyError::LifetimeError(LifetimeError::Expired { not_after, now }) => {
                Self::Expired { not_after, now }
            }
            KeyPackageVerifyError::LifetimeError(LifetimeError::NotValidYet { not_before, now }) => {
                Self::NotYetValid { not_before, now }
            }
            KeyPackageVerifyError::InvalidSignature | KeyPackageVerifyError::InvalidLeafNodeSignature => {
                Self::BadSignature
            }
            KeyPackageVerifyError::InvalidProtocolVersion => Self::WrongVersion,
            error => Self::Invalid(error.into()),
        }
    }
}

impl From<KeyPackageError> for CommitError {
    fn from(error: KeyPackageError) -> Self {
        match error {
            KeyPackageError::Library(fault) => fault.into(),
            error => PeerFault::KeyPackage(error).into(),
        }
    }
}

#[cfg(test)]
mod tests;
