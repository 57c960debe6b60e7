//! Files that external parts lead to, encrypted before they are uploaded (draft-ietf-mimi-content-08 §4.5).
//!
//! Fetching and uploading is the caller's, and so is how long a file is taken to be there
//! ([`ExternalPart::expires`]). What was fetched is compared with what the part says of it, and decrypted; nothing is
//! given out of a file that is not the one that was sent. A key encrypts one file: it is made for it, from the caller's
//! random numbers.
//!
//! ```
//! use mimi_linearized::content::mimi::{Aead, ExternalPart};
//! # use rand_core::{TryCryptoRng, TryRng};
//! # struct Rng; // of an example, and no random numbers at all
//! # impl TryRng for Rng {
//! #     type Error = core::convert::Infallible;
//! #     fn try_next_u32(&mut self) -> Result<u32, Self::Error> { Ok(4) }
//! #     fn try_next_u64(&mut self) -> Result<u64, Self::Error> { Ok(4) }
//! #     fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> { to.fill(4); Ok(()) }
//! # }
//! # impl TryCryptoRng for Rng {}
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut rng = Rng;
//! let mut file = b"what is in the file".to_vec();
//! let sealed = Aead::Aes128Gcm.seal(&mut rng, &mut file)?;
//! // Upload the bytes, then say where they are: this goes into a message.
//! let part = sealed.at("https://example.org/abc", "text/plain");
//!
//! part.open(&mut file)?;
//! assert_eq!(file, b"what is in the file");
//! # Ok(())
//! # }
//! ```

use core::fmt;

use aes_gcm::aead::{self, AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use super::ExternalPart;

/// How many bytes the authentication tag of all of these algorithms has.
const TAG_LEN: usize = 16;
const NONCE_LEN: usize = 12;
/// The number of SHA-256 in the IANA registry of RFC 6920.
const SHA_256: u8 = 1;

/// An algorithm that encrypts files, of those in IANA's registry of RFC 5116.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Aead {
    /// AES-128-GCM, which everybody can decrypt (§7.1): 1.
    Aes128Gcm,
    /// AES-256-GCM: 2.
    Aes256Gcm,
    /// ChaCha20-Poly1305: 29.
    ChaCha20Poly1305,
}

/// Why a file is not to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExternalError {
    /// It is encrypted with an algorithm that this library does not have. Nobody is at fault.
    #[error("the AEAD algorithm {0} is not known")]
    Algorithm(u16),
    /// Its hash is of an algorithm that this library does not have. Nobody is at fault.
    #[error("the hash algorithm {0} is not known")]
    HashAlgorithm(u8),
    /// A field has another length than its algorithm asks for. The sender is at fault.
    #[error("`{0}` does not fit the algorithm")]
    Field(&'static str),
    /// It has another size. The sender is at fault, or who stored the file.
    #[error("it has {found} bytes, and the message says {told}")]
    Size {
        /// What the message says.
        told: u64,
        /// What was fetched.
        found: u64,
    },
    /// It has another hash. The sender is at fault, or who stored the file.
    #[error("it has another hash than the message says")]
    WrongHash,
    /// It is not what was encrypted with the key. The sender is at fault, or who stored the file.
    #[error("it is not what was encrypted")]
    NotGenuine,
    /// It is larger than the algorithm can encrypt (64 GiB). The caller is at fault.
    #[error("it is too large to be encrypted")]
    TooLarge,
}

/// A file that is encrypted and not yet anywhere.
#[must_use = "the key is lost with it"]
pub struct SealedPart {
    aead: Aead,
    key: Zeroizing<Vec<u8>>,
    nonce: [u8; NONCE_LEN],
    sha256: [u8; 32],
    size: u64,
}

impl Aead {
    /// The algorithm of a number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        [Self::Aes128Gcm, Self::Aes256Gcm, Self::ChaCha20Poly1305]
            .into_iter()
            .find(|aead| aead.number() == number)
    }

    /// Its number in the registry.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Aes128Gcm => 1,
            Self::Aes256Gcm => 2,
            Self::ChaCha20Poly1305 => 29,
        }
    }

    /// How long its key is, in bytes. Its nonce has 12, its tag 16.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }

    /// Encrypts a file in place, with a new key. It gets 16 bytes longer.
    ///
    /// # Errors
    /// [`ExternalError::TooLarge`]; the bytes are of no use then.
    pub fn seal(self, rng: &mut impl CryptoRng, file: &mut Vec<u8>) -> Result<SealedPart, ExternalError> {
        let (mut key, mut nonce) = (Zeroizing::new(vec![0; self.key_len()]), [0; NONCE_LEN]);
        rng.fill_bytes(&mut key);
        rng.fill_bytes(&mut nonce);
        let size = length(file);
        let tag = match self {
            Self::Aes128Gcm => sealed::<Aes128Gcm>(&key, &nonce, file),
            Self::Aes256Gcm => sealed::<Aes256Gcm>(&key, &nonce, file),
            Self::ChaCha20Poly1305 => sealed::<ChaCha20Poly1305>(&key, &nonce, file),
        }?;
        file.extend_from_slice(&tag);
        let sha256 = Sha256::digest(&*file).into();
        Ok(SealedPart { aead: self, key, nonce, sha256, size })
    }
}

impl SealedPart {
    /// Says where the ciphertext was uploaded to, and what media type the file is of. Its size is told as it was before
    /// it was encrypted.
    #[must_use]
    pub fn at(mut self, url: &str, content_type: &str) -> ExternalPart {
        ExternalPart {
            content_type: content_type.to_owned(),
            url: url.to_owned(),
            size: self.size,
            enc_alg: self.aead.number(),
            key: std::mem::take(&mut *self.key),
            nonce: self.nonce.to_vec(),
            hash_alg: SHA_256,
            content_hash: self.sha256.to_vec(),
            ..ExternalPart::default()
        }
    }
}

impl fmt::Debug for SealedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedPart")
            .field("aead", &self.aead)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl ExternalPart {
    /// How many bytes to fetch at most, of which the caller takes no more than `limit`: what is longer is not the file.
    #[must_use]
    pub fn most_bytes(&self, limit: u64) -> u64 {
        let tag = if self.enc_alg == 0 { 0 } else { TAG_LEN as u64 };
        match self.size {
            0 => limit,
            size => size.saturating_add(tag).min(limit),
        }
    }

    /// Compares what was fetched with what the part says of it, and decrypts it in place.
    ///
    /// The size may be that of what was fetched or of what it decrypts to (reading R62). Of a part that is neither
    /// encrypted nor hashed nothing but its size is known to be right.
    ///
    /// # Errors
    /// [`ExternalError`]; the bytes are as they were then.
    pub fn open(&self, fetched: &mut Vec<u8>) -> Result<(), ExternalError> {
        let found = length(fetched);
        let tag = if self.enc_alg == 0 { 0 } else { TAG_LEN as u64 };
        if self.size != 0 && self.size != found && self.size.saturating_add(tag) != found {
            return Err(ExternalError::Size { told: self.size, found });
        }
        self.check_hash(fetched)?;
        if self.enc_alg == 0 {
            return Ok(());
        }
        match Aead::from_number(self.enc_alg).ok_or(ExternalError::Algorithm(self.enc_alg))? {
            Aead::Aes128Gcm => opened::<Aes128Gcm>(self, fetched),
            Aead::Aes256Gcm => opened::<Aes256Gcm>(self, fetched),
            Aead::ChaCha20Poly1305 => opened::<ChaCha20Poly1305>(self, fetched),
        }
    }

    fn check_hash(&self, fetched: &[u8]) -> Result<(), ExternalError> {
        let hash = match self.hash_alg {
            0 => return Ok(()),
            SHA_256 => Sha256::digest(fetched).to_vec(),
            7 => Sha384::digest(fetched).to_vec(),
            8 => Sha512::digest(fetched).to_vec(),
            unknown => return Err(ExternalError::HashAlgorithm(unknown)),
        };
        if hash.len() != self.content_hash.len() {
            return Err(ExternalError::Field("contentHash"));
        }
        if bool::from(hash.ct_eq(&self.content_hash)) { Ok(()) } else { Err(ExternalError::WrongHash) }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A cipher with its key, and the nonce.
fn cipher<A: AeadInOut + KeyInit>(key: &[u8], nonce: &[u8]) -> Result<(A, aead::Nonce<A>), ExternalError> {
    let cipher = A::new_from_slice(key).map_err(|_| ExternalError::Field("key"))?;
    let nonce = aead::Nonce::<A>::try_from(nonce).map_err(|_| ExternalError::Field("nonce"))?;
    Ok((cipher, nonce))
}

fn sealed<A: AeadInOut + KeyInit>(
    key: &[u8],
    nonce: &[u8],
    file: &mut [u8],
) -> Result<aead::Tag<A>, ExternalError> {
    let (cipher, nonce) = cipher::<A>(key, nonce)?;
    cipher.encrypt_inout_detached(&nonce, b"", file.into()).map_err(|_| ExternalError::TooLarge)
}

/// The tag is verified before anything is decrypted.
fn opened<A: AeadInOut + KeyInit>(part: &ExternalPart, fetched: &mut Vec<u8>) -> Result<(), ExternalError> {
    let (cipher, nonce) = cipher::<A>(&part.key, &part.nonce)?;
    let length = fetched.len().checked_sub(TAG_LEN).ok_or(ExternalError::NotGenuine)?;
    let (file, tag) = fetched.split_at_mut_checked(length).ok_or(ExternalError::NotGenuine)?;
    let tag = aead::Tag::<A>::try_from(&*tag).map_err(|_| ExternalError::NotGenuine)?;
    cipher
        .decrypt_inout_detached(&nonce, &part.aad, file.into(), &tag)
        .map_err(|_| ExternalError::NotGenuine)?;
    fetched.truncate(length);
    Ok(())
}

#[cfg(test)]
mod tests;
