//! Ids of messages (draft-ietf-mimi-content-08 §3.3).

use core::fmt;

use sha2::{Digest as _, Sha256};

use super::error::{MimiError, MimiFault};

/// The number of SHA-256 in the IANA registry of Named Information hash algorithms (RFC 6920 §9.4).
const SHA_256: u8 = 1;

/// The id of a message: the number of a hash algorithm, which is SHA-256, and 31 bytes of a hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; 32]);

impl MessageId {
    /// The id of a message whose encoding is `message`.
    ///
    /// # Errors
    /// [`MimiFault::LongUri`] if one of the URIs has more than 65,535 bytes.
    pub fn of(sender: &str, room: &str, message: &[u8], salt: &[u8; 16]) -> Result<Self, MimiError> {
        let mut hash = Sha256::new();
        for uri in [sender, room] {
            let length = u16::try_from(uri.len()).map_err(|_| MimiFault::LongUri.at(0))?;
            hash.update(length.to_be_bytes());
            hash.update(uri);
        }
        hash.update(message);
        hash.update(salt);
        let mut id = [SHA_256; 32];
        id.iter_mut().skip(1).zip(hash.finalize()).for_each(|(to, from)| *to = from);
        Ok(Self(id))
    }

    /// An id as it is in a message.
    ///
    /// # Errors
    /// The number of its hash algorithm, if that is not known.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, u8> {
        match bytes {
            [SHA_256, ..] => Ok(Self(bytes)),
            [algorithm, ..] => Err(algorithm),
        }
    }

    /// The id's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}
