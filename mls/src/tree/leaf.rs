//! Leaves as they are encoded.

use tls_codec::Error as TlsError;

/// A leaf (RFC 9420 §7.2), as far as it takes to verify its signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaf<'a> {
    /// Everything before the signature.
    pub(crate) content: &'a [u8],
    pub(crate) signature_key: &'a [u8],
    pub(crate) signature: &'a [u8],
    /// Whether the signature covers the group and the place in its tree as well: that of a leaf which was made in a
    /// group does, that of one which came in a key package cannot.
    pub(crate) is_placed: bool,
    /// Where the lifetime begins, of a leaf that came in a key package.
    pub(crate) lifetime_at: Option<usize>,
}

const KEY_PACKAGE: u8 = 1;
const UPDATE: u8 = 2;
const COMMIT: u8 = 3;

impl<'a> Leaf<'a> {
    /// Takes a leaf from the front of `rest`.
    pub(crate) fn take(rest: &mut &'a [u8]) -> Result<Self, TlsError> {
        let start = *rest;
        take_opaque(rest)?; // encryption_key
        let signature_key = take_opaque(rest)?;
        take(rest, 2)?; // the credential's type; the credentials of RFC 9420 are one vector each
        take_opaque(rest)?;
        for _ in 0..5 {
            take_opaque(rest)?; // capabilities: versions, cipher suites, extensions, proposals, credentials
        }
        let source = take_u8(rest)?;
        let lifetime_at = match source {
            KEY_PACKAGE => {
                let at = start.len().saturating_sub(rest.len());
                take(rest, 16)?; // not_before, not_after
                Some(at)
            }
            UPDATE => None,
            COMMIT => {
                take_opaque(rest)?; // parent_hash
                None
            }
            _ => return Err(TlsError::InvalidInput),
        };
        take_opaque(rest)?; // extensions
        let length = start.len().saturating_sub(rest.len());
        let content = start.get(..length).ok_or(TlsError::EndOfStream)?;
        let signature = take_opaque(rest)?;
        Ok(Self { content, signature_key, signature, is_placed: source != KEY_PACKAGE, lifetime_at })
    }
}

pub(crate) fn take_u8(rest: &mut &[u8]) -> Result<u8, TlsError> {
    let (first, after) = rest.split_first().ok_or(TlsError::EndOfStream)?;
    *rest = after;
    Ok(*first)
}

pub(crate) fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], TlsError> {
    let (taken, after) = rest.split_at_checked(count).ok_or(TlsError::EndOfStream)?;
    *rest = after;
    Ok(taken)
}

/// A vector with its length in front, in the shortest form (RFC 9420 §2.1.2).
pub(crate) fn take_opaque<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], TlsError> {
    let first = take_u8(rest)?;
    let (more, smallest) = match first >> 6 {
        0 => (0, 0),
        1 => (1, 1 << 6),
        2 => (3, 1 << 14),
        _ => return Err(TlsError::InvalidVectorLength),
    };
    let first = usize::from(first & 0x3f);
    let length = take(rest, more)?.iter().fold(first, |length, byte| (length << 8) | usize::from(*byte));
    if length < smallest {
        return Err(TlsError::InvalidVectorLength);
    }
    take(rest, length)
}
