//! Ed25519 signatures and keys at the edge of what verifiers agree on (LM-04 §6, reading R08).
//!
//! A signature is a point R and a scalar S with S·B = R + h·A, where A is the public key and h the hash of R, A and the
//! message. What is made here satisfies that equation, or its multiple by the cofactor 8, with an R or an A that a
//! strict verifier does not take.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use curve25519_dalek::traits::Identity;
use mimi_linearized::base64;
use mimi_linearized::signing::SigningKey;
use sha2::{Digest, Sha512};

/// The order of the group that B generates, in little-endian bytes (RFC 8032 §5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];
/// The identity with the coordinate y = p + 1 instead of y = 1.
const IDENTITY_BEYOND_P: [u8; 32] = [
    0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
];
/// The identity with the sign of a coordinate x that is zero.
const IDENTITY_WITH_SIGN: [u8; 32] =
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80];

/// A signing key in its parts.
#[derive(Debug, Clone)]
pub(crate) struct Forger {
    secret: Scalar,
    public: [u8; 32],
}

impl Forger {
    /// The parts of a key (RFC 8032 §5.1.5).
    pub(crate) fn of(key: &SigningKey) -> Self {
        let expanded = Sha512::digest(*key.seed());
        let mut secret = [0; 32];
        for (byte, from) in secret.iter_mut().zip(expanded) {
            *byte = from;
        }
        let secret = Scalar::from_bytes_mod_order(clamp_integer(secret));
        let public = (ED25519_BASEPOINT_POINT * secret).compress().to_bytes();
        Self { secret, public }
    }

    /// A key that nobody needs to know anything about to sign with: the identity, which makes h·A vanish.
    pub(crate) fn identity() -> Self {
        Self { secret: Scalar::ZERO, public: EdwardsPoint::identity().compress().to_bytes() }
    }

    /// The same key in an encoding that is not its canonical one.
    pub(crate) fn identity_beyond_p() -> Self {
        Self { secret: Scalar::ZERO, public: IDENTITY_BEYOND_P }
    }

    /// This key with a point of order 8 added: outside of the prime-order group.
    pub(crate) fn with_torsion(&self) -> Self {
        let public = ED25519_BASEPOINT_POINT * self.secret + torsion(1);
        Self { secret: self.secret, public: public.compress().to_bytes() }
    }

    /// The public key as it is published.
    pub(crate) fn public_base64(&self) -> String {
        base64::encode(&self.public)
    }

    fn hash(&self, r: &[u8; 32], message: &[u8]) -> Scalar {
        let digest = Sha512::new().chain_update(r).chain_update(self.public).chain_update(message).finalize();
        Scalar::from_bytes_mod_order_wide(&digest.into())
    }

    /// The signature with the point R in this encoding, which is `nonce`·B and possibly a point of small order more.
    fn sign_with(&self, r: [u8; 32], nonce: Scalar, message: &[u8]) -> Signature {
        Signature { r, s: (nonce + self.hash(&r, message) * self.secret).to_bytes() }
    }

    /// A signature that any verifier takes that takes the key: h is a multiple of 8, so that a point of small order in
    /// the key does not show in either equation.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        let mut nonce = Scalar::ONE;
        loop {
            let r = (ED25519_BASEPOINT_POINT * nonce).compress().to_bytes();
            if self.hash(&r, message).as_bytes().first().is_some_and(|low| low % 8 == 0) {
                return self.sign_with(r, nonce, message).to_base64();
            }
            nonce += Scalar::ONE;
        }
    }

    /// Signatures whose R is a point of small order, with what that is.
    pub(crate) fn small_order_r(&self, message: &[u8]) -> Vec<(&'static str, String)> {
        let points = [("the identity", torsion(0)), ("of order 2", torsion(4)), ("of order 8", torsion(1))];
        let sign = |point: EdwardsPoint| self.sign_with(point.compress().to_bytes(), Scalar::ZERO, message);
        points.into_iter().map(|(what, point)| (what, sign(point).to_base64())).collect()
    }

    /// Signatures whose R is not in its canonical encoding, with what is wrong with it.
    pub(crate) fn non_canonical_r(&self, message: &[u8]) -> Vec<(&'static str, String)> {
        let encodings = [("y beyond the prime", IDENTITY_BEYOND_P), ("a sign of zero", IDENTITY_WITH_SIGN)];
        let sign = |r| self.sign_with(r, Scalar::ZERO, message);
        encodings.into_iter().map(|(what, r)| (what, sign(r).to_base64())).collect()
    }

    /// A sound signature but for its S, which has the order of the group added.
    pub(crate) fn unreduced_s(&self, message: &[u8]) -> String {
        let nonce = Scalar::from(77_u8);
        let mut signature =
            self.sign_with((ED25519_BASEPOINT_POINT * nonce).compress().to_bytes(), nonce, message);
        let mut carry = 0_u16;
        for (byte, order) in signature.s.iter_mut().zip(ORDER) {
            let [low, high] = (u16::from(*byte) + u16::from(order) + carry).to_le_bytes();
            *byte = low;
            carry = u16::from(high);
        }
        signature.to_base64()
    }

    /// A signature whose R has a part of small order: it holds only if the equation is multiplied by 8.
    pub(crate) fn mixed_order_r(&self, message: &[u8]) -> String {
        let nonce = Scalar::from(78_u8);
        let r = ED25519_BASEPOINT_POINT * nonce + torsion(1);
        self.sign_with(r.compress().to_bytes(), nonce, message).to_base64()
    }
}

/// A multiple of a point of order 8.
fn torsion(times: usize) -> EdwardsPoint {
    EIGHT_TORSION.get(times).copied().unwrap_or_else(EdwardsPoint::identity)
}

struct Signature {
    r: [u8; 32],
    s: [u8; 32],
}

impl Signature {
    fn to_base64(&self) -> String {
        base64::encode(&[self.r, self.s].concat())
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::edwards::CompressedEdwardsY;
    use curve25519_dalek::traits::IsIdentity;
    use mimi_linearized::id::KeyId;
    use mimi_linearized::signing::Signature as Checked;

    use super::*;

    const MESSAGE: &[u8] = b"a message";

    fn key() -> SigningKey {
        SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &[4; 32])
    }

    /// S·B − R − h·A, for encodings that need not be canonical.
    fn left_over(forger: &Forger, signature: &str) -> EdwardsPoint {
        let bytes: [u8; 64] = base64::decode_array(signature).unwrap();
        let (r, s) = bytes.split_at(32);
        let (r, s): ([u8; 32], [u8; 32]) = (r.try_into().unwrap(), s.try_into().unwrap());
        let point = |bytes| CompressedEdwardsY(bytes).decompress().unwrap();
        ED25519_BASEPOINT_POINT * Scalar::from_bytes_mod_order(s)
            - point(r)
            - point(forger.public) * forger.hash(&r, MESSAGE)
    }

    #[test]
    fn a_forger_signs_as_its_key_does() {
        let forger = Forger::of(&key());
        assert_eq!(forger.public_base64(), key().verify_key().to_base64());
        let signature = Checked::from_base64(&forger.sign(MESSAGE)).unwrap();
        assert!(key().verify_key().verify(MESSAGE, &signature));
    }

    #[test]
    fn every_forgery_satisfies_the_equation_it_is_made_for() {
        let forger = Forger::of(&key());
        for weak in [Forger::identity(), Forger::identity_beyond_p(), forger.with_torsion()] {
            assert!(left_over(&weak, &weak.sign(MESSAGE)).is_identity());
        }
        for (_, signature) in forger.non_canonical_r(MESSAGE) {
            assert!(left_over(&forger, &signature).is_identity());
        }
        assert!(left_over(&forger, &forger.unreduced_s(MESSAGE)).is_identity());
        let mut of_orders = forger.small_order_r(MESSAGE);
        of_orders.push(("mixed", forger.mixed_order_r(MESSAGE)));
        for (what, signature) in of_orders {
            let left_over = left_over(&forger, &signature);
            assert!(left_over.is_small_order(), "{what}");
            assert_eq!(left_over.is_identity(), what == "the identity", "{what}");
        }
    }

    #[test]
    fn a_strict_verifier_takes_none_but_the_mixed_one() {
        let (forger, verify) = (Forger::of(&key()), key().verify_key());
        let holds = |signature: &str| verify.verify(MESSAGE, &Checked::from_base64(signature).unwrap());
        let bad = forger.small_order_r(MESSAGE).into_iter().chain(forger.non_canonical_r(MESSAGE));
        assert!(bad.into_iter().all(|(_, signature)| !holds(&signature)));
        assert!(!holds(&forger.unreduced_s(MESSAGE)));
        assert!(holds(&forger.mixed_order_r(MESSAGE)));
    }
}
