//! Ed25519 keys and signatures (LM-04 §6, RFC 8032).

use std::fmt;

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::IsIdentity;
use zeroize::Zeroizing;

use crate::base64;
use crate::id::KeyId;

/// Why bytes are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not the base64 of 32 bytes.
    #[error("a key is the base64 of 32 bytes")]
    Encoding,
    /// Not a point of the curve, or not its canonical encoding.
    #[error("the public key is not the canonical encoding of a point of the curve")]
    NotCanonical,
    /// A point outside the prime-order subgroup, or its identity. Signatures under such a key mean nothing, or are
    /// read differently by different verifiers (reading R08).
    #[error("the public key lies outside the prime-order subgroup")]
    Torsion,
}

/// An Ed25519 signature: 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// A signature from its 64 bytes. Nothing is checked before it is verified.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// A signature from its base64; `None` if that is not 64 bytes.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        base64::decode_array(text).map(Self)
    }

    /// The unpadded base64 of the signature.
    #[must_use]
    pub fn to_base64(self) -> String {
        base64::encode(&self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::encode(&self.0))
    }
}

/// A server's private signing key and its id.
#[derive(Clone)]
pub struct SigningKey {
    id: KeyId,
    key: ed25519_zebra::SigningKey,
}

impl SigningKey {
    /// The key that a 32-byte seed determines (RFC 8032 §5.1.5).
    #[must_use]
    pub fn from_seed(id: KeyId, seed: &[u8; 32]) -> Self {
        Self { id, key: ed25519_zebra::SigningKey::from(*seed) }
    }

    /// The key id under which signatures are published.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The seed, for storing the key.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn verify_key(&self) -> VerifyKey {
        VerifyKey(self.key.verification_key())
    }

    /// Signs bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.key.sign(message).into())
    }
}

impl fmt::Debug for SigningKey {
    /// Shows the id only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A public key that was found fit for use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyKey(ed25519_zebra::VerificationKey);

impl VerifyKey {
    /// Checks that the bytes are the canonical encoding of a point of the prime-order subgroup (reading R08).
    ///
    /// # Errors
    /// [`KeyError`] says what the bytes are instead.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let point = CompressedEdwardsY(bytes).decompress().ok_or(KeyError::NotCanonical)?;
        if point.compress().to_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        if !point.is_torsion_free() || point.is_identity() {
            return Err(KeyError::Torsion);
        }
        ed25519_zebra::VerificationKey::try_from(bytes).map(Self).map_err(|_| KeyError::NotCanonical)
    }

    /// A key from its base64.
    ///
    /// # Errors
    /// [`KeyError`] if the text is not base64 of 32 bytes, or they are not a usable key.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(base64::decode_array(text).ok_or(KeyError::Encoding)?)
    }

    /// The unpadded base64 of the key.
    #[must_use]
    pub fn to_base64(&self) -> String {
        base64::encode(self.0.as_ref())
    }

    /// Whether `signature` is this key's signature of `message`.
    ///
    /// An `R` that is non-canonical or of small order fails; then the cofactored equation decides, so that single and
    /// batch verification agree (reading R08).
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let Some((r, _)) = signature.0.split_first_chunk::<32>() else { return false };
        if !is_sound_r(r) {
            return false;
        }
        self.0.verify(&ed25519_zebra::Signature::from(signature.0), message).is_ok()
    }
}

/// The y coordinates of the eight points of small order, in little-endian bytes: of order 1, 2, 4, and 8.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    [0; 32],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
];

/// Whether an encoding of a point, if it is one at all, is canonical and of a point that is not of small order.
///
/// An encoding is y and the sign of x. It is not canonical if y is not below p = 2^255 - 19, or if x is zero and has a
/// sign, which is so for two points of small order only. So the bytes tell, without finding the point.
fn is_sound_r(r: &[u8; 32]) -> bool {
    let mut y = *r;
    let [first, middle @ .., last] = &mut y;
    *last &= 0x7f;
    let below_p = *last < 0x7f || middle.iter().any(|byte| *byte < 0xff) || *first < 0xed;
    below_p && !SMALL_ORDER_Y.contains(&y)
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

#[cfg(test)]
mod tests;
