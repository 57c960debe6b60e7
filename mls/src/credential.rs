//! Who a leaf of the group's tree says it is.
//!
//! LM-04 §4.1 fills the identity of an MLS basic credential with a structure of its own: the user, the device, and the
//! signature key once more. MLS libraries treat that identity as opaque bytes, so everything about it is checked here,
//! above all that the key inside is the key of the leaf that carries it.

use core::fmt;

use openmls::credentials::{BasicCredential, Credential, CredentialType, CredentialWithKey};
use thiserror::Error;
use tls_codec::{Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::error::Source;

/// The longest user id or device id, in bytes of UTF-8 (LM-04 §3.3, §3.4).
pub const MAX_ID_LEN: usize = 255;

/// A device of a user: what to-device messages are addressed to, and what a leaf of a group stands for.
///
/// Both ids are non-empty and at most [`MAX_ID_LEN`] bytes long. Their grammar is not checked here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceAddress {
    user_id: String,
    device_id: String,
}

impl DeviceAddress {
    /// The device `device_id` of the user `user_id`.
    ///
    /// # Errors
    ///
    /// [`AddressError`] if an id is empty or too long.
    pub fn new(user_id: impl Into<String>, device_id: impl Into<String>) -> Result<Self, AddressError> {
        let (user_id, device_id) = (user_id.into(), device_id.into());
        for (field, id) in [(AddressField::UserId, &user_id), (AddressField::DeviceId, &device_id)] {
            if id.is_empty() {
                return Err(AddressError::Empty { field });
            }
            if id.len() > MAX_ID_LEN {
                return Err(AddressError::TooLong { field, len: id.len() });
            }
        }
        Ok(Self { user_id, device_id })
    }

    /// The user's id.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The device's id, unique among the devices of the user.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }
}

impl fmt::Display for DeviceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.device_id, self.user_id)
    }
}

/// A field of a [`DeviceAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressField {
    /// The user's id.
    UserId,
    /// The device's id.
    DeviceId,
}

impl fmt::Display for AddressField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserId => "user id",
            Self::DeviceId => "device id",
        })
    }
}

/// Why two strings are not the address of a device.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// An id is the empty string.
    #[error("the {field} is empty")]
    Empty {
        /// Which one.
        field: AddressField,
    },
    /// An id is longer than [`MAX_ID_LEN`].
    #[error("the {field} has {len} bytes, at most {MAX_ID_LEN} are allowed")]
    TooLong {
        /// Which one.
        field: AddressField,
        /// Its length in bytes.
        len: usize,
    },
}

/// The credential of a device: LM-04's three-field structure (§4.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceCredential {
    address: DeviceAddress,
    signature_key: Vec<u8>,
}

/// The structure on the wire: `user_id<V> device_id<V> signature_key<V>`.
#[derive(TlsSize, TlsSerialize, TlsDeserialize)]
struct Fields {
    user_id: VLBytes,
    device_id: VLBytes,
    signature_key: VLBytes,
}

impl DeviceCredential {
    /// The credential of the device at `address`, which signs with the owner's half of `signature_key`.
    ///
    /// # Errors
    ///
    /// [`CredentialError::EmptyKey`] if the key has no bytes.
    pub fn new(address: DeviceAddress, signature_key: impl Into<Vec<u8>>) -> Result<Self, CredentialError> {
        let signature_key = signature_key.into();
        if signature_key.is_empty() {
            return Err(CredentialError::EmptyKey);
        }
        Ok(Self { address, signature_key })
    }

    /// Reads the structure from its TLS encoding, which must be all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`CredentialError`], saying what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CredentialError> {
        let fields = Fields::tls_deserialize_exact(bytes).map_err(CredentialError::malformed)?;
        let again = fields.tls_serialize_detached().map_err(CredentialError::malformed)?;
        if again != bytes {
            return Err(CredentialError::NotCanonical);
        }
        let text = |field, bytes: VLBytes| {
            String::from_utf8(bytes.into()).map_err(|_| CredentialError::NotUtf8 { field })
        };
        let user_id = text(AddressField::UserId, fields.user_id)?;
        let device_id = text(AddressField::DeviceId, fields.device_id)?;
        Self::new(DeviceAddress::new(user_id, device_id)?, fields.signature_key)
    }

    /// The TLS encoding of the structure: the identity of the MLS basic credential, and what a device object holds in
    /// base64 (LM-04 §4.1).
    ///
    /// # Errors
    ///
    /// [`CredentialError::Malformed`] if the key is too long for any MLS message (2^30 bytes).
    pub fn encode(&self) -> Result<Vec<u8>, CredentialError> {
        let fields = Fields {
            user_id: self.address.user_id.as_bytes().into(),
            device_id: self.address.device_id.as_bytes().into(),
            signature_key: self.signature_key.as_slice().into(),
        };
        fields.tls_serialize_detached().map_err(CredentialError::malformed)
    }

    /// Whose credential it is.
    pub fn address(&self) -> &DeviceAddress {
        &self.address
    }

    /// The public signature key, in the encoding of the MLS cipher suite. Never empty.
    pub fn signature_key(&self) -> &[u8] {
        &self.signature_key
    }

    /// Reads the credential of a leaf whose own signature key is `leaf_key`.
    pub(crate) fn of_leaf(credential: &Credential, leaf_key: &[u8]) -> Result<Self, CredentialError> {
        if credential.credential_type() != CredentialType::Basic {
            return Err(CredentialError::NotBasic { credential_type: credential.credential_type().into() });
        }
        let decoded = Self::decode(credential.serialized_content())?;
        if decoded.signature_key != leaf_key {
            return Err(CredentialError::KeyMismatch { address: decoded.address });
        }
        Ok(decoded)
    }

    pub(crate) fn with_key(&self) -> Result<CredentialWithKey, CredentialError> {
        Ok(CredentialWithKey {
            credential: BasicCredential::new(self.encode()?).into(),
            signature_key: self.signature_key.as_slice().into(),
        })
    }
}

/// What is wrong with a credential.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The leaf carries a credential of another type than `basic` (LM-04 §4.1).
    #[error("the credential has type {credential_type:#06x} instead of basic")]
    NotBasic {
        /// The type's number in the IANA registry of MLS credential types.
        credential_type: u16,
    },
    /// The bytes are not the three-field structure, or something follows it.
    #[error("the credential is not LM-04's structure")]
    Malformed(#[source] Source),
    /// The bytes decode, but encoding them again gives other bytes.
    #[error("the credential is not in its shortest encoding")]
    NotCanonical,
    /// An id is not UTF-8.
    #[error("the credential's {field} is not UTF-8")]
    NotUtf8 {
        /// Which one.
        field: AddressField,
    },
    /// An id is empty or too long.
    #[error("the credential names no device: {0}")]
    Address(#[from] AddressError),
    /// There is no key in the credential.
    #[error("the credential's signature key is empty")]
    EmptyKey,
    /// The key inside the credential is not that of the leaf it is in.
    #[error("the credential of device {address} holds another signature key than its leaf")]
    KeyMismatch {
        /// Whom the credential names.
        address: DeviceAddress,
    },
}

impl CredentialError {
    fn malformed(error: tls_codec::Error) -> Self {
        Self::Malformed(error.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn credential(user_id: &str, device_id: &str, key: &[u8]) -> DeviceCredential {
        DeviceCredential::new(DeviceAddress::new(user_id, device_id).unwrap(), key).unwrap()
    }

    fn encoded(user_id: &[u8], device_id: &[u8], signature_key: &[u8]) -> Vec<u8> {
        let fields = Fields {
            user_id: user_id.into(),
            device_id: device_id.into(),
            signature_key: signature_key.into(),
        };
        fields.tls_serialize_detached().unwrap()
    }

    #[test]
    fn the_encoding_is_three_length_prefixed_fields() {
        let bytes = credential("@a:b", "XY", &[7, 8, 9]).encode().unwrap();
        assert_eq!(bytes, b"\x04@a:b\x02XY\x03\x07\x08\x09");
    }

    #[test]
    fn ids_are_neither_empty_nor_longer_than_255_bytes() {
        let longest = "x".repeat(MAX_ID_LEN);
        assert!(DeviceAddress::new(longest.clone(), longest.clone()).is_ok());
        let error = DeviceAddress::new("@a:b", format!("{longest}x")).unwrap_err();
        assert_eq!(error, AddressError::TooLong { field: AddressField::DeviceId, len: 256 });
        let error = DeviceAddress::new("", "X").unwrap_err();
        assert_eq!(error, AddressError::Empty { field: AddressField::UserId });

        let too_long = "ü".repeat(128);
        assert!(matches!(
            DeviceCredential::decode(&encoded(too_long.as_bytes(), b"X", b"k")),
            Err(CredentialError::Address(AddressError::TooLong { field: AddressField::UserId, len: 256 }))
        ));
        assert!(matches!(
            DeviceCredential::decode(&encoded(b"@a:b", b"", b"k")),
            Err(CredentialError::Address(AddressError::Empty { field: AddressField::DeviceId }))
        ));
    }

    #[test]
    fn anything_but_the_structure_is_refused() {
        let good = encoded(b"@a:b", b"X", b"key");
        assert!(DeviceCredential::decode(&good).is_ok());

        let mut trailing = good.clone();
        trailing.push(0);
        assert!(matches!(DeviceCredential::decode(&trailing), Err(CredentialError::Malformed(_))));
        for len in 0..good.len() {
            assert!(matches!(DeviceCredential::decode(&good[..len]), Err(CredentialError::Malformed(_))));
        }
        assert!(matches!(
            DeviceCredential::decode(&encoded(b"@\xff:b", b"X", b"key")),
            Err(CredentialError::NotUtf8 { field: AddressField::UserId })
        ));
        assert!(matches!(
            DeviceCredential::decode(&encoded(b"@a:b", b"\xc3", b"key")),
            Err(CredentialError::NotUtf8 { field: AddressField::DeviceId })
        ));
        assert!(matches!(
            DeviceCredential::decode(&encoded(b"@a:b", b"X", b"")),
            Err(CredentialError::EmptyKey)
        ));
    }

    #[test]
    fn lengths_must_be_in_their_shortest_form() {
        // The length 4 in two bytes instead of one.
        let bytes = b"\x40\x04@a:b\x01X\x01k";
        let error = DeviceCredential::decode(bytes).unwrap_err();
        assert!(matches!(error, CredentialError::NotCanonical | CredentialError::Malformed(_)), "{error}");
    }

    #[test]
    fn a_leaf_must_hold_a_basic_credential_with_its_own_key() {
        let credential = credential("@a:b", "X", b"key");
        let in_leaf: Credential = BasicCredential::new(credential.encode().unwrap()).into();
        assert_eq!(DeviceCredential::of_leaf(&in_leaf, b"key").unwrap(), credential);
        assert!(matches!(
            DeviceCredential::of_leaf(&in_leaf, b"another"),
            Err(CredentialError::KeyMismatch { address }) if address == *credential.address()
        ));
        let x509 = Credential::new(CredentialType::X509, credential.encode().unwrap());
        assert!(matches!(
            DeviceCredential::of_leaf(&x509, b"key"),
            Err(CredentialError::NotBasic { credential_type: 2 })
        ));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(
            user_id in "\\PC{1,80}",
            device_id in "\\PC{1,80}",
            key in prop::collection::vec(any::<u8>(), 1..300),
        ) {
            prop_assume!(user_id.len() <= MAX_ID_LEN && device_id.len() <= MAX_ID_LEN);
            let credential = credential(&user_id, &device_id, &key);
            let bytes = credential.encode().unwrap();
            prop_assert_eq!(DeviceCredential::decode(&bytes).unwrap(), credential);
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(credential) = DeviceCredential::decode(&bytes) {
                prop_assert_eq!(credential.encode().unwrap(), bytes);
            }
        }
    }
}
