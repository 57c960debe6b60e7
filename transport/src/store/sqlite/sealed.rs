//! Values with a digest behind them, so that a bit that flips on a disk is found when the value is read.
//!
//! SQLite keeps no checksums: what changes inside a text or a blob looks like what was written. A value that is sealed is
//! followed by a zero byte, which JSON never has, and eight bytes of the SHA-256 of the value and of what stands beside it
//! in its row. A value without these was written before there were seals, and ends as JSON does.

use sha2::{Digest as _, Sha256};

use super::decode::Undecodable;

/// What stands between a value and its digest.
const MARK: u8 = 0;
const DIGEST: usize = 8;

/// A value as it is written. `beside` is what else the digest covers.
pub(super) fn seal(value: &[u8], beside: &[&str]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(value.len().saturating_add(1 + DIGEST));
    sealed.extend_from_slice(value);
    sealed.push(MARK);
    sealed.extend_from_slice(&digest(value, beside));
    sealed
}

/// The value that was sealed, if it is the same.
pub(super) fn unseal<'s>(
    sealed: &'s [u8],
    beside: &[&str],
    what: &'static str,
) -> Result<&'s [u8], Undecodable> {
    let split = sealed.split_last_chunk::<DIGEST>();
    if let Some((marked, found)) = split
        && let Some((&MARK, value)) = marked.split_last()
    {
        return if digest(value, beside) == *found {
            Ok(value)
        } else {
            Err(Undecodable::new(what, "it is not what was written"))
        };
    }
    match sealed.last() {
        Some(b'}' | b']') => Ok(sealed),
        _ => Err(Undecodable::new(what, "it is not what was written, and has no digest")),
    }
}

fn digest(value: &[u8], beside: &[&str]) -> [u8; DIGEST] {
    let mut hash = Sha256::new();
    for text in beside {
        hash.update(text.as_bytes());
        hash.update([MARK]);
    }
    hash.update(value);
    let mut digest = [0; DIGEST];
    for (to, from) in digest.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_found() {
        let value = br#"{"content":{"body":"hello"}}"#;
        let sealed = seal(value, &["$a", "x"]);
        assert_eq!(unseal(&sealed, &["$a", "x"], "event").unwrap(), value);
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&flipped, &["$a", "x"], "event").is_err(), "bit {bit}");
        }
        for beside in [["$b", "x"], ["$a", "y"], ["$ax", ""]] {
            assert!(unseal(&sealed, &beside, "event").is_err(), "{beside:?}");
        }
    }

    #[test]
    fn what_was_written_without_a_digest_is_read() {
        assert_eq!(unseal(b"{}", &["$a"], "event").unwrap(), b"{}");
        assert_eq!(unseal(b"[]", &[], "event").unwrap(), b"[]");
        for damaged in [b"".as_slice(), b"{", b"{}\0", b"{}\x01abcdefgh"] {
            assert!(unseal(damaged, &[], "event").is_err());
        }
    }
}
