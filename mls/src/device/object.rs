//! The signed object with which a device is introduced to other servers and their users (LM-04 §4.1, §12.10.1).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::signatures::Signer as _;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::credential::{AddressError, CredentialError, DeviceAddress, DeviceCredential};
use crate::error::{LibraryFault, Source};
use crate::suite::{CREDENTIAL_KEY_PREFIX, ROOM_ALGORITHM_PREFIX, SignatureScheme, Suite};

/// Written without padding, read with or without it, as everywhere in Linearized Matrix (LM-04 §10).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The largest integer that a JSON number stands for exactly, 2^53 - 1.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// A device object: well-formed, but nothing in it is verified.
///
/// The JSON it was parsed from is kept as it was, so that it can be passed on unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceObject {
    value: Map<String, Value>,
    address: DeviceAddress,
    algorithms: Vec<String>,
    keys: BTreeMap<String, String>,
}

impl DeviceObject {
    /// Reads an object. Fields that LM-04 does not know are kept, and are covered by the signatures.
    ///
    /// # Errors
    ///
    /// [`DeviceObjectError`] if `value` is not an object, if one of the five fields is missing or of the wrong type, or
    /// if an id is empty or longer than 255 bytes.
    pub fn parse(value: Value) -> Result<Self, DeviceObjectError> {
        let Value::Object(value) = value else {
            return Err(DeviceObjectError::NotAnObject);
        };
        let text = |field| match present(&value, field)? {
            Value::String(text) => Ok(text.clone()),
            _ => Err(DeviceObjectError::WrongType { field }),
        };
        let address = DeviceAddress::new(text("user_id")?, text("device_id")?)?;
        let Value::Array(algorithms) = present(&value, "algorithms")? else {
            return Err(DeviceObjectError::WrongType { field: "algorithms" });
        };
        let algorithms = algorithms
            .iter()
            .map(|algorithm| algorithm.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or(DeviceObjectError::WrongType { field: "algorithms" })?;
        let Value::Object(keys) = present(&value, "keys")? else {
            return Err(DeviceObjectError::WrongType { field: "keys" });
        };
        let keys = keys
            .iter()
            .map(|(key_id, key)| Some((key_id.clone(), key.as_str()?.to_owned())))
            .collect::<Option<_>>()
            .ok_or(DeviceObjectError::WrongType { field: "keys" })?;
        if !present(&value, "signatures")?.is_object() {
            return Err(DeviceObjectError::WrongType { field: "signatures" });
        }
        Ok(Self { value, address, algorithms, keys })
    }

    /// Makes the object of the device that `credential` names, which takes part in rooms of `suite`, and has it signed by
    /// `sign`: the owner's half of the credential's key, over the bytes that are handed to it (LM-04 §4.1).
    ///
    /// # Errors
    ///
    /// [`LibraryFault`] if signing or encoding fails.
    pub fn sign(
        credential: &DeviceCredential,
        suite: Suite,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, Source>,
    ) -> Result<Self, LibraryFault> {
        let address = credential.address();
        let key_id = format!("{}:{}", suite.credential_key_algorithm(), address.device_id());
        let key = BASE64.encode(credential.encode().map_err(LibraryFault::encoding)?);
        let mut value = Map::from_iter([
            ("user_id".to_owned(), json!(address.user_id())),
            ("device_id".to_owned(), json!(address.device_id())),
            ("algorithms".to_owned(), json!([suite.room_algorithm()])),
            ("keys".to_owned(), json!({ key_id.as_str(): key })),
        ]);
        let message = signed_bytes(&value).map_err(LibraryFault::encoding)?;
        let signature = sign(&message).map_err(LibraryFault::Crypto)?;
        value.insert(
            "signatures".to_owned(),
            json!({ address.user_id(): { key_id.as_str(): BASE64.encode(signature) } }),
        );
        Self::parse(Value::Object(value)).map_err(LibraryFault::encoding)
    }

    /// Whose device the object claims to introduce.
    pub fn address(&self) -> &DeviceAddress {
        &self.address
    }

    /// The encryption algorithms the device claims to support, in the object's order.
    pub fn algorithms(&self) -> &[String] {
        &self.algorithms
    }

    /// The keys in the object: key ids (`algorithm:device_id`) to base64.
    pub fn keys(&self) -> &BTreeMap<String, String> {
        &self.keys
    }

    /// The object as JSON, unchanged.
    pub fn value(&self) -> &Map<String, Value> {
        &self.value
    }

    /// The object as JSON, unchanged.
    pub fn into_value(self) -> Value {
        Value::Object(self.value)
    }

    /// Verifies the object (LM-04 §4.1).
    ///
    /// Every key must be listed under the id `algorithm:device_id`, and `signatures[user_id]` must hold a signature
    /// under the same id. A key whose algorithm starts with `m.mls.v1.credential.` must be a credential of this very
    /// device. If its signature scheme is one of this crate's, the signature must verify with the key in that
    /// credential, over the RFC 8785 encoding of the object without `signatures`. A device that lists an algorithm that
    /// starts with `m.mls.v1.` must list the credential key of that algorithm's signature scheme.
    ///
    /// A key of an algorithm this crate does not have cannot be verified, nor is it ever used here. It does not make
    /// the device invalid, so that devices may be ahead of us; but it must have something under `signatures`, it is
    /// reported by [`VerifiedDevice::unverified_keys`], and one key that does verify is needed for a device to be worth
    /// anything at all.
    ///
    /// # Errors
    ///
    /// [`DeviceObjectError`], saying what is wrong.
    pub fn verify(&self) -> Result<VerifiedDevice, DeviceObjectError> {
        let message = signed_bytes(&self.value).map_err(DeviceObjectError::NotCanonicalisable)?;
        let signatures = self
            .value
            .get("signatures")
            .and_then(|signatures| signatures.get(self.address.user_id()))
            .and_then(Value::as_object);
        let mut credentials = BTreeMap::new();
        let mut unverified = BTreeSet::new();
        for (key_id, key) in &self.keys {
            let algorithm = key_id
                .strip_suffix(self.address.device_id())
                .and_then(|algorithm| algorithm.strip_suffix(':'))
                .filter(|algorithm| !algorithm.is_empty())
                .ok_or_else(|| DeviceObjectError::KeyIdMismatch { key_id: key_id.clone() })?;
            let signature = signatures
                .and_then(|signatures| signatures.get(key_id))
                .and_then(Value::as_str)
                .ok_or_else(|| DeviceObjectError::MissingSignature { key_id: key_id.clone() })?;
            let signature = BASE64
                .decode(signature)
                .map_err(|_| DeviceObjectError::SignatureNotBase64 { key_id: key_id.clone() })?;
            let credential = match algorithm.strip_prefix(CREDENTIAL_KEY_PREFIX) {
                Some(_) => Some(self.credential(key_id, key)?),
                None => None,
            };
            match (SignatureScheme::from_credential_key_algorithm(algorithm), credential) {
                (Some(scheme), Some(credential)) => {
                    if !scheme.verifies(credential.signature_key(), &message, &signature) {
                        return Err(DeviceObjectError::BadSignature { key_id: key_id.clone() });
                    }
                    credentials.insert(scheme, credential);
                }
                _ => {
                    unverified.insert(key_id.clone());
                }
            }
        }
        for algorithm in &self.algorithms {
            let Some(suite) = algorithm.strip_prefix(ROOM_ALGORITHM_PREFIX) else { continue };
            // The name of a suite ends with that of its signature scheme; this holds for suites nobody here knows, too.
            let scheme = suite.rsplit('-').next().unwrap_or(suite);
            let key_id = format!("{CREDENTIAL_KEY_PREFIX}{scheme}:{}", self.address.device_id());
            if !self.keys.contains_key(&key_id) {
                return Err(DeviceObjectError::MissingCredential { algorithm: algorithm.clone() });
            }
        }
        if credentials.is_empty() {
            return Err(DeviceObjectError::NoKnownKey);
        }
        Ok(VerifiedDevice {
            address: self.address.clone(),
            algorithms: self.algorithms.clone(),
            credentials,
            unverified,
        })
    }

    /// The credential listed under `key_id`, which must be this device's.
    fn credential(&self, key_id: &str, key: &str) -> Result<DeviceCredential, DeviceObjectError> {
        let bytes =
            BASE64.decode(key).map_err(|_| DeviceObjectError::KeyNotBase64 { key_id: key_id.to_owned() })?;
        let credential = DeviceCredential::decode(&bytes)
            .map_err(|source| DeviceObjectError::Credential { key_id: key_id.to_owned(), source })?;
        if *credential.address() == self.address {
            Ok(credential)
        } else {
            Err(DeviceObjectError::IdentityMismatch {
                key_id: key_id.to_owned(),
                credential: credential.address().clone(),
            })
        }
    }
}

fn present<'a>(value: &'a Map<String, Value>, field: &'static str) -> Result<&'a Value, DeviceObjectError> {
    value.get(field).ok_or(DeviceObjectError::Missing { field })
}

/// What the signatures of an object are made over.
fn signed_bytes(object: &Map<String, Value>) -> Result<Vec<u8>, NotCanonicalisable> {
    let unsigned: Map<_, _> = object
        .iter()
        .filter(|(field, _)| *field != "signatures")
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    let mut open: Vec<&Value> = unsigned.values().collect();
    while let Some(value) = open.pop() {
        match value {
            // The encoder rounds these, and then two different objects would have the same signature.
            Value::Number(number) if !number.as_f64().is_some_and(is_exact) => {
                return Err(NotCanonicalisable::Number);
            }
            Value::Array(values) => open.extend(values),
            Value::Object(values) => open.extend(values.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    serde_json_canonicalizer::to_vec(&Value::Object(unsigned))
        .map_err(|error| NotCanonicalisable::Encoder(error.into()))
}

fn is_exact(number: f64) -> bool {
    number.abs() <= MAX_SAFE_INTEGER || number.fract() != 0.0
}

/// Makes the object of a device and signs it.
pub(super) fn make(
    credential: &DeviceCredential,
    suite: Suite,
    signer: &SignatureKeyPair,
) -> Result<DeviceObject, LibraryFault> {
    DeviceObject::sign(credential, suite, |message| {
        signer.sign(message).map_err(|error| SigningFailed(error).into())
    })
}

/// The signer's error does not implement the standard trait.
#[derive(Debug, Error)]
#[error("signing failed: {0:?}")]
struct SigningFailed(openmls_traits::signatures::SignerError);

/// A device whose object verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDevice {
    address: DeviceAddress,
    algorithms: Vec<String>,
    credentials: BTreeMap<SignatureScheme, DeviceCredential>,
    unverified: BTreeSet<String>,
}

impl VerifiedDevice {
    /// Whose device it is.
    pub fn address(&self) -> &DeviceAddress {
        &self.address
    }

    /// The encryption algorithms the device supports, in the object's order.
    pub fn algorithms(&self) -> &[String] {
        &self.algorithms
    }

    /// The credential of the device for a signature scheme.
    pub fn credential(&self, scheme: SignatureScheme) -> Option<&DeviceCredential> {
        self.credentials.get(&scheme)
    }

    /// Whether the device says it supports `suite` and has a credential for it.
    pub fn supports(&self, suite: Suite) -> bool {
        self.credentials.contains_key(&suite.signature_scheme())
            && self.algorithms.iter().any(|algorithm| algorithm == suite.room_algorithm())
    }

    /// Whether a leaf with that address and that signature key, in a group of `suite`, is this device's.
    pub fn owns_leaf(&self, suite: Suite, address: &DeviceAddress, signature_key: &[u8]) -> bool {
        self.supports(suite)
            && self.address == *address
            && self
                .credential(suite.signature_scheme())
                .is_some_and(|credential| credential.signature_key() == signature_key)
    }

    /// The ids of the keys in the object that this crate does not know how to verify.
    pub fn unverified_keys(&self) -> impl Iterator<Item = &str> {
        self.unverified.iter().map(String::as_str)
    }
}

/// What is wrong with a device object. Such a device must not be in any group (LM-04 §4.1).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceObjectError {
    /// The JSON is not an object.
    #[error("a device object must be a JSON object")]
    NotAnObject,
    /// A field is missing; all five are required (LM-04 §4.1).
    #[error("the field {field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field has a value of the wrong type.
    #[error("the field {field} is of the wrong type")]
    WrongType {
        /// The field.
        field: &'static str,
    },
    /// The user id or the device id is empty or too long.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The object has no canonical encoding, so nothing can be signed.
    #[error("the object has no canonical encoding")]
    NotCanonicalisable(#[source] NotCanonicalisable),
    /// A key id does not end with a colon and the device's id (LM-04 §4.1, §6).
    #[error("the key {key_id:?} is not of this device")]
    KeyIdMismatch {
        /// The key id.
        key_id: String,
    },
    /// A credential key is not base64.
    #[error("the key {key_id:?} is not base64")]
    KeyNotBase64 {
        /// The key id.
        key_id: String,
    },
    /// A credential key is not a credential.
    #[error("the key {key_id:?} is not a credential")]
    Credential {
        /// The key id.
        key_id: String,
        /// What is wrong with it.
        #[source]
        source: CredentialError,
    },
    /// A credential key is the credential of another device than the object's.
    #[error("the key {key_id:?} is the credential of device {credential}")]
    IdentityMismatch {
        /// The key id.
        key_id: String,
        /// Whom the credential names.
        credential: DeviceAddress,
    },
    /// There is no signature for a key, or none by the user at all (LM-04 §4.1).
    #[error("there is no signature by the key {key_id:?}")]
    MissingSignature {
        /// The key id.
        key_id: String,
    },
    /// A signature is not base64.
    #[error("the signature by the key {key_id:?} is not base64")]
    SignatureNotBase64 {
        /// The key id.
        key_id: String,
    },
    /// A signature does not verify (LM-04 §4.1, §6.3).
    #[error("the signature by the key {key_id:?} does not verify")]
    BadSignature {
        /// The key id.
        key_id: String,
    },
    /// The device lists an MLS algorithm but not the credential that goes with it (LM-04 §4.1).
    #[error("the device lists the algorithm {algorithm:?} without its credential")]
    MissingCredential {
        /// The algorithm.
        algorithm: String,
    },
    /// None of the keys is of an algorithm this crate has.
    #[error("the device has no key of a known algorithm")]
    NoKnownKey,
}

/// Why JSON has no canonical encoding (RFC 8785).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NotCanonicalisable {
    /// An integer is beyond 2^53 - 1, and would be rounded.
    #[error("a number cannot be represented exactly")]
    Number,
    /// The encoder failed.
    #[error("encoding failed")]
    Encoder(#[source] Source),
}

#[cfg(test)]
mod tests;
