//! How long a message looks (RFC 9420 §15.1).

use openmls::group::MlsGroupJoinConfig;

use super::group::join_config;

/// Up to here lengths are doubled.
const DOUBLED: usize = 4096;
/// The shortest length, and the step that all lengths are multiples of.
const SHORTEST: usize = 512;
/// From here on steps are short again: an event has 65,536 bytes at most (LM-04 §3.5), of which the ciphertext, in base64,
/// gets no more than about 48,000.
const NEARLY_FULL: usize = 11 * DOUBLED;
/// At most so much is encrypted with a message besides its own bytes: three lengths of up to 4, 2 and 2 bytes, a signature
/// of up to 72 (ECDSA's vary), and the cipher's tag of 16.
const FRAME: usize = 96;

/// How the length of a message is hidden from those who see its ciphertext (RFC 9420 §15.1, reading R58).
///
/// The zeros are inside the ciphertext, where RFC 9420 §6.3.1 has a place for them, so every recipient takes them away
/// without knowing how many there should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// The ciphertext gets one of few lengths: 512, 1,024, 2,048 or 4,096 bytes, then a multiple of 4,096; beyond 45,056,
    /// where an event is nearly full, a multiple of 512.
    #[default]
    Buckets,
    /// None: the ciphertext's length tells the message's.
    None,
}

impl Padding {
    /// How many bytes the encrypted content has, tag included, of a message of `length` bytes. `None` without padding,
    /// where it depends on the signature.
    pub fn bucket(self, length: usize) -> Option<usize> {
        let length = length.saturating_add(FRAME);
        match self {
            Self::None => None,
            Self::Buckets if length <= DOUBLED => Some(length.next_power_of_two().max(SHORTEST)),
            Self::Buckets if length <= NEARLY_FULL => length.checked_next_multiple_of(DOUBLED),
            Self::Buckets => length.checked_next_multiple_of(SHORTEST),
        }
    }

    /// What OpenMLS has to know to encrypt a message of `length` bytes. It fills up to a multiple of one number, so the
    /// number is the whole length.
    pub(super) fn config(self, length: usize) -> MlsGroupJoinConfig {
        join_config(self.bucket(length).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_few_and_grow() {
        let all: Vec<usize> = (0..48_000).map(|length| Padding::Buckets.bucket(length).unwrap()).collect();
        assert!(all.is_sorted());
        assert!(all.iter().enumerate().all(|(length, bucket)| *bucket >= length + FRAME));
        // Never more than twice as much, and a page at most.
        let waste = |(length, bucket): (usize, &usize)| bucket - length - FRAME;
        assert!(all.iter().enumerate().skip(512).all(|place| waste(place) < (place.0 + FRAME).min(DOUBLED)));
        let mut kinds = all;
        kinds.dedup();
        assert_eq!(kinds[..6], [512, 1024, 2048, 4096, 8192, 12_288]);
        assert_eq!(kinds[12..16], [40_960, 45_056, 45_568, 46_080]);
        assert_eq!(Padding::None.bucket(1), None);
        assert_eq!(Padding::Buckets.bucket(usize::MAX), None);
    }
}
