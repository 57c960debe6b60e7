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
mod tests {
    use super::*;
    use crate::content::testing::Counting;

    fn unhex(text: &str) -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    /// The test cases 4 and 16 of the specification of GCM (McGrew, Viega), and RFC 8439 §2.8.2: number, key, nonce,
    /// additional data, plaintext, ciphertext, tag.
    fn published() -> Vec<(u16, [Vec<u8>; 6])> {
        let gcm_key = "feffe9928665731c6d6a8f9467308308";
        let gcm = |number, key: &str, ciphertext: &str, tag: &str| {
            let plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b52\
                         5b16aedf5aa0de657ba637b39";
            let aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
            (number, [key, "cafebabefacedbaddecaf888", aad, plain, ciphertext, tag].map(unhex))
        };
        let sunscreen = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                         sunscreen would be it.";
        let sunscreen: String = sunscreen.bytes().map(|byte| format!("{byte:02x}")).collect();
        vec![
            gcm(
                1,
                gcm_key,
                "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30\
                 b396a0aac973d58e091",
                "5bc94fbc3221a5db94fae95ae7121a47",
            ),
            gcm(
                2,
                &gcm_key.repeat(2),
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61\
                 e6393ba7a0abcc9f662",
                "76fc6ece0f4e1768cddf8853bb2d551b",
            ),
            (
                29,
                [
                    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
                    "070000004041424344454647",
                    "50515253c0c1c2c3c4c5c6c7",
                    &sunscreen,
                    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71\
                     de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def0\
                     8e4b7a9de576d26586cec64b6116",
                    "1ae10b594f09e26a7e902ecbd0600691",
                ]
                .map(unhex),
            ),
        ]
    }

    #[test]
    fn published_ciphertexts_are_decrypted() {
        for (enc_alg, [key, nonce, aad, plaintext, ciphertext, tag]) in published() {
            let mut part = ExternalPart { enc_alg, key, nonce, aad, ..ExternalPart::default() };
            let whole = [ciphertext, tag].concat();
            let mut file = whole.clone();
            assert_eq!(part.open(&mut file), Ok(()));
            assert_eq!(file, plaintext);
            // Whatever is another, nothing is decrypted.
            for at in [0, whole.len() - 17, whole.len() - 1] {
                let mut other = whole.clone();
                other[at] ^= 1;
                let before = other.clone();
                assert_eq!(part.open(&mut other), Err(ExternalError::NotGenuine));
                assert_eq!(other, before);
            }
            for short in [0, 15, 16] {
                assert_eq!(
                    part.open(&mut whole[..short].to_vec()),
                    Err(ExternalError::NotGenuine),
                    "{short}"
                );
            }
            part.aad.push(0);
            assert_eq!(part.open(&mut whole.clone()), Err(ExternalError::NotGenuine));
            part.aad.pop();
            part.nonce.push(0);
            assert_eq!(part.open(&mut whole.clone()), Err(ExternalError::Field("nonce")));
            part.key.push(0);
            assert_eq!(part.open(&mut whole.clone()), Err(ExternalError::Field("key")));
            part.enc_alg = 3;
            assert_eq!(part.open(&mut whole.clone()), Err(ExternalError::Algorithm(3)));
        }
    }

    #[test]
    fn what_is_sealed_is_opened() {
        for aead in [Aead::Aes128Gcm, Aead::Aes256Gcm, Aead::ChaCha20Poly1305] {
            assert_eq!(Aead::from_number(aead.number()), Some(aead));
            let mut rng = Counting(1);
            for file in [b"".as_slice(), b"a fish", &[7; 5_000]] {
                let mut bytes = file.to_vec();
                let part = aead.seal(&mut rng, &mut bytes).unwrap().at("https://example.org/f", "image/png");
                assert_eq!((bytes.len(), part.size), (file.len() + TAG_LEN, file.len() as u64));
                assert_eq!((part.key.len(), part.nonce.len(), part.hash_alg), (aead.key_len(), 12, 1));
                assert!(file.is_empty() || !bytes.starts_with(file));
                // It is a part that can be written, and is read back.
                let body = super::super::NestedPart::new(
                    super::super::Disposition::Inline,
                    super::super::Part::External(Box::new(part.clone())),
                );
                let message = super::super::MimiContent::new([1; 16], body);
                assert_eq!(super::super::MimiContent::parse(&message.to_bytes().unwrap()).unwrap(), message);

                let mut other = bytes.clone();
                other[0] ^= 1;
                assert_eq!(part.open(&mut other), Err(ExternalError::WrongHash));
                part.open(&mut bytes).unwrap();
                assert_eq!(bytes, file);
            }
        }
        assert_eq!(Aead::from_number(3), None);
        let mut rng = Counting(1);
        let of = |rng: &mut Counting| Aead::Aes128Gcm.seal(rng, &mut vec![0; 9]).unwrap().at("u", "");
        let (one, other) = (of(&mut rng), of(&mut rng));
        assert!(one.key != other.key && one.nonce != other.nonce, "every file has its own key");
    }

    #[test]
    fn either_size_is_the_files() {
        let mut bytes = b"a fish".to_vec();
        let mut part = Aead::Aes128Gcm.seal(&mut Counting(1), &mut bytes).unwrap().at("u", "");
        for (size, most) in [(6, 22), (22, 38), (0, 100)] {
            part.size = size;
            assert_eq!((part.open(&mut bytes.clone()), part.most_bytes(100)), (Ok(()), most));
        }
        for size in [5, 7, 21, 23, u64::MAX] {
            part.size = size;
            assert_eq!(part.open(&mut bytes.clone()), Err(ExternalError::Size { told: size, found: 22 }));
        }
        assert_eq!((part.most_bytes(100), part.most_bytes(u64::MAX)), (100, u64::MAX));
        // What is not encrypted has one size.
        let mut plain = ExternalPart { size: 6, ..ExternalPart::default() };
        assert_eq!((plain.open(&mut b"a fish".to_vec()), plain.most_bytes(100)), (Ok(()), 6));
        assert!(plain.open(&mut vec![0; 22]).is_err());
        plain.size = 0;
        assert_eq!(plain.open(&mut vec![0; 22]), Ok(()));
    }

    #[test]
    fn hashes_are_those_of_the_registry() {
        let abc = |hash_alg, hex: &str| {
            let part = ExternalPart { hash_alg, content_hash: unhex(hex), ..ExternalPart::default() };
            (part.open(&mut b"abc".to_vec()), part.open(&mut b"abd".to_vec()))
        };
        let sha_256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let sha_384 = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7";
        let sha_512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd\
                       454d4423643ce80e2a9ac94fa54ca49f";
        for (number, hex) in [(1, sha_256), (7, sha_384), (8, sha_512)] {
            assert_eq!(abc(number, hex), (Ok(()), Err(ExternalError::WrongHash)), "{number}");
            assert_eq!(abc(number, &hex[2..]).0, Err(ExternalError::Field("contentHash")));
        }
        assert_eq!(abc(6, &sha_256[..8]).0, Err(ExternalError::HashAlgorithm(6)));
    }
}
