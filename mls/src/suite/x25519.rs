//! Public keys of X25519 with which no secret can be shared.

/// The length of a public key in bytes.
const LEN: usize = 32;

/// The u-coordinates of the points of small order, on the curve and on its twist, in little-endian order of bytes: 0, 1,
/// the two of order 8, and p - 1.
const SMALL_ORDER: [[u8; LEN]; 5] = [
    [0; LEN],
    with_first(1),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    near_p(0xec),
];

const fn with_first(first: u8) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[0] = first;
    bytes
}

/// 2^255 - 256 + `first`. The prime p is 2^255 - 19.
const fn near_p(first: u8) -> [u8; LEN] {
    let mut bytes = [0xff; LEN];
    bytes[0] = first;
    bytes[LEN - 1] = 0x7f;
    bytes
}

/// Whether the outcome of X25519 with this public key is anything but zero, whatever the private key (RFC 7748 §6.1).
/// That is so unless the key is a point of small order, of which there are few; to look them up takes a thousandth of
/// the time of trying it out.
pub(super) fn is_usable(public_key: &[u8]) -> bool {
    let Ok(mut key) = <[u8; LEN]>::try_from(public_key) else { return false };
    // The topmost bit is ignored, and numbers from p on stand for what they are modulo p (RFC 7748 §5).
    let [.., last] = &mut key;
    *last &= 0x7f;
    for first in 0xed..=0xff {
        if key == near_p(first) {
            key = with_first(first - 0xed);
            break;
        }
    }
    !SMALL_ORDER.contains(&key)
}

#[cfg(test)]
mod tests {
    use openmls_rust_crypto::RustCrypto;
    use openmls_traits::crypto::OpenMlsCrypto as _;
    use proptest::prelude::*;

    use super::*;
    use crate::suite::Suite;

    /// What happens when something is encrypted to the key.
    fn tried(key: &[u8]) -> bool {
        let config = Suite::MANDATORY.ciphersuite().hpke_config();
        RustCrypto::default().hpke_seal(config, key, b"", b"", b"").is_ok()
    }

    #[test]
    fn keys_of_small_order_are_the_ones_that_fail() {
        let mut keys = SMALL_ORDER.to_vec();
        for first in 0..=0xff {
            keys.push(near_p(first));
            keys.push(with_first(first));
        }
        for mut key in keys {
            for top in [0, 0x80] {
                key[LEN - 1] = key[LEN - 1] & 0x7f | top;
                assert_eq!(is_usable(&key), tried(&key), "{key:?}");
            }
        }
        assert!(SMALL_ORDER.iter().all(|key| !is_usable(key)));
        for len in [0, 31, 33] {
            assert!(!is_usable(&vec![9; len]) && !tried(&vec![9; len]));
        }
    }

    proptest! {
        #[test]
        fn all_others_work(key in any::<[u8; LEN]>()) {
            prop_assert_eq!(is_usable(&key), tried(&key));
        }
    }
}
