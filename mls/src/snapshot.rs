//! The wrapping of whatever is saved and read again: a version, and a digest that shows damage.

use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::storage::CURRENT_VERSION;
use openmls_traits::types::HashType;
use thiserror::Error;

use crate::error::{LibraryFault, PeerFault, Source};

/// The version of the layouts that are sealed.
pub(crate) const VERSION: u8 = 3;

/// The length of a SHA-256 digest.
const DIGEST_LEN: usize = 32;

/// The length of what comes before the content.
const HEADER_LEN: usize = 3 + DIGEST_LEN;

/// Wraps `content`: the version (1 byte), the version of OpenMLS's storage format (2 bytes, big endian), and the SHA-256
/// digest (32 bytes), which covers `name` as well, come before it. The name is what the content is kept under, if
/// anything, so that one value is not taken for another.
pub(crate) fn seal(name: &[u8], content: &[u8]) -> Result<Vec<u8>, LibraryFault> {
    let mut bytes = unsealed(content.len());
    bytes.extend(content);
    seal_in_place(name, &mut bytes)?;
    Ok(bytes)
}

/// The beginning of something that will be sealed: content of about `len` bytes is appended to it, so that large content
/// is not copied. What is secret is best given a `len` that is large enough: bytes that move leave a copy behind.
pub(crate) fn unsealed(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN.saturating_add(len));
    bytes.resize(HEADER_LEN, 0);
    bytes
}

/// [Seals](seal) content that was appended to what [`unsealed`] gave.
pub(crate) fn seal_in_place(name: &[u8], bytes: &mut [u8]) -> Result<(), LibraryFault> {
    let (header, content) = bytes.split_at_mut_checked(HEADER_LEN).ok_or(LibraryFault::MissingState)?;
    let digest = digest(name, content)?;
    header.copy_from_slice(&[&[VERSION], &CURRENT_VERSION.to_be_bytes()[..], &digest[..]].concat());
    Ok(())
}

/// Unwraps what was sealed under `name`.
pub(crate) fn open<'a>(name: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], SnapshotError> {
    let (&version, rest) = bytes.split_first().ok_or(SnapshotError::Damaged)?;
    if version != VERSION {
        return Err(SnapshotError::UnknownVersion { version });
    }
    let (&format, rest) = rest.split_first_chunk().ok_or(SnapshotError::Damaged)?;
    let format = u16::from_be_bytes(format);
    if format != CURRENT_VERSION {
        return Err(SnapshotError::UnknownFormat { format });
    }
    let (expected, content) = rest.split_first_chunk::<DIGEST_LEN>().ok_or(SnapshotError::Damaged)?;
    if digest(name, content)? != expected {
        return Err(SnapshotError::Damaged);
    }
    Ok(content)
}

fn digest(name: &[u8], content: &[u8]) -> Result<Vec<u8>, LibraryFault> {
    let crypto = RustCrypto::default();
    let hash = |bytes: &[u8]| crypto.hash(HashType::Sha2_256, bytes).map_err(LibraryFault::crypto);
    if name.is_empty() {
        return hash(content);
    }
    // The hash of two hashes cannot be made to fit by moving bytes from the one to the other.
    hash(&[hash(name)?, hash(content)?].concat())
}

/// Why bytes are not what was saved: a tracker's snapshot, or the records or the snapshot of an engine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The snapshot is of a version this crate does not know.
    #[error("snapshots of version {version} are not known")]
    UnknownVersion {
        /// The version.
        version: u8,
    },
    /// The snapshot was made with another storage format of the MLS library.
    #[error("the storage format {format} is not known")]
    UnknownFormat {
        /// The format's version.
        format: u16,
    },
    /// Bytes are missing, added or changed.
    #[error("what was saved is damaged")]
    Damaged,
    /// The content is whole, but it does not decode: another build of the MLS library made it, or it is something else.
    #[error("what was saved cannot be read")]
    Unreadable(#[source] Source),
    /// A part of the state is not there.
    #[error("what was saved is not complete")]
    Incomplete,
    /// The parts are not of one state: of different rooms, or of different moments.
    #[error("the parts of what was saved do not belong together")]
    Inconsistent,
    /// The group is of a suite this crate does not have.
    #[error("cipher suite {code:#06x} is not known")]
    UnknownSuite {
        /// The suite's number.
        code: u16,
    },
    /// The members of the group are not as they must be.
    #[error("the group that was saved is not valid")]
    Group(#[source] PeerFault),
    /// Checking failed for a reason of our own.
    #[error(transparent)]
    Library(#[from] LibraryFault),
}
