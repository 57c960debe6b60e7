use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};

use super::*;

fn key() -> SigningKey {
    SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &[7; 32])
}

/// A signature made as RFC 8032 has it but with `extra` added to R after the challenge's nonce is chosen.
fn sign_with_shifted_r(message: &[u8], extra: EdwardsPoint) -> Signature {
    let hash = Sha512::digest([7; 32]);
    let mut low: [u8; 32] = hash[..32].try_into().unwrap();
    low[0] &= 248;
    low[31] &= 127;
    low[31] |= 64;
    let secret = Scalar::from_bytes_mod_order(low);
    let public = CompressedEdwardsY(key().verify_key().0.as_ref().try_into().unwrap());
    let nonce = Scalar::from(123_456_789_u64);
    let r = (EdwardsPoint::mul_base(&nonce) + extra).compress();
    let digest =
        Sha512::new().chain_update(r.as_bytes()).chain_update(public.as_bytes()).chain_update(message);
    let challenge = Scalar::from_bytes_mod_order_wide(&digest.finalize().into());
    let s = nonce + challenge * secret;
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(r.as_bytes());
    bytes[32..].copy_from_slice(s.as_bytes());
    Signature::from_bytes(bytes)
}

/// RFC 8032 §7.1, test 2.
#[test]
fn the_rfc_vector() {
    let seed = base64::decode_array("TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs").unwrap();
    let key = SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &seed);
    assert_eq!(key.verify_key().to_base64(), "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw");
    let signature = key.sign(&[0x72]);
    assert_eq!(
        signature.to_base64(),
        "kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA"
    );
    assert!(key.verify_key().verify(&[0x72], &signature));
    assert!(!key.verify_key().verify(&[0x73], &signature));
}

#[test]
fn weak_and_odd_public_keys_are_refused() {
    for point in EIGHT_TORSION {
        assert_eq!(VerifyKey::from_bytes(point.compress().to_bytes()), Err(KeyError::Torsion));
    }
    let mixed = EdwardsPoint::mul_base(&Scalar::from(5_u8)) + EIGHT_TORSION[1];
    assert_eq!(VerifyKey::from_bytes(mixed.compress().to_bytes()), Err(KeyError::Torsion));
    // y = p + 1 is a second encoding of y = 1.
    let mut non_canonical = [0xff; 32];
    non_canonical[0] = 0xee;
    non_canonical[31] = 0x7f;
    assert_eq!(VerifyKey::from_bytes(non_canonical), Err(KeyError::NotCanonical));
    assert_eq!(VerifyKey::from_base64("AAAA"), Err(KeyError::Encoding));
}

#[test]
fn small_order_and_non_canonical_r_fail() {
    let message = b"m";
    assert!(key().verify_key().verify(message, &sign_with_shifted_r(message, EdwardsPoint::default())));
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(EIGHT_TORSION[1].compress().as_bytes());
    assert!(!key().verify_key().verify(message, &Signature::from_bytes(bytes)));
    bytes[..32].fill(0xff);
    bytes[0] = 0xee;
    bytes[31] = 0x7f;
    assert!(!key().verify_key().verify(message, &Signature::from_bytes(bytes)));
}

#[test]
fn the_equation_is_cofactored() {
    let message = b"m";
    assert!(key().verify_key().verify(message, &sign_with_shifted_r(message, EIGHT_TORSION[1])));
}

#[test]
fn s_must_be_reduced() {
    let order: [u16; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bytes = key().sign(b"m").0;
    let mut carry = 0;
    for (byte, add) in bytes[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + add + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(!key().verify_key().verify(b"m", &Signature::from_bytes(bytes)));
}

/// What the bytes of an `R` tell is what its point tells.
fn agrees(bytes: [u8; 32]) -> bool {
    let Some(point) = CompressedEdwardsY(bytes).decompress() else { return true };
    let sound = point.compress().to_bytes() == bytes && !point.is_small_order();
    is_sound_r(&bytes) == sound
}

#[test]
fn the_bytes_of_r_tell_what_its_point_tells() {
    for point in EIGHT_TORSION {
        let bytes = point.compress().to_bytes();
        assert!(!is_sound_r(&bytes) && agrees(bytes));
        assert!(SMALL_ORDER_Y.contains(&{
            let mut y = bytes;
            y[31] &= 0x7f;
            y
        }));
    }
    // Every y that is not below p, and those right below it, with either sign.
    for low in 0xe0..=0xff_u8 {
        for sign in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, sign);
            assert!(agrees(bytes), "{bytes:x?}");
            assert_eq!(is_sound_r(&bytes), low < 0xec, "{bytes:x?}");
        }
    }
    for (low, sign) in [(0, 0), (0, 0x80), (1, 0), (1, 0x80), (2, 0), (2, 0x80)] {
        let mut bytes = [0; 32];
        (bytes[0], bytes[31]) = (low, sign);
        assert!(agrees(bytes), "{bytes:x?}");
        assert_eq!(is_sound_r(&bytes), low == 2, "{bytes:x?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_of_r_tell_what_their_point_tells(bytes: [u8; 32]) {
        proptest::prop_assert!(agrees(bytes));
    }
}
