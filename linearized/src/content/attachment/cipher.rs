//! AES-256-CTR with SHA-256 over the ciphertext.

use core::fmt;

use aes::Aes256;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use super::file::EncryptedFile;
use crate::json::Object;

/// The last 64 bits of the counter block count, as in the test vectors that Matrix's implementations share.
type Cipher = ctr::Ctr64BE<Aes256>;

/// A file's key and the first counter block. Not `Clone`: it encrypts one file.
#[derive(PartialEq, Eq)]
pub(super) struct Secret {
    pub(super) key: Zeroizing<[u8; 32]>,
    pub(super) iv: [u8; 16],
}

impl Secret {
    /// A new one. Of the counter block the first 64 bits are random, and the others, which count, are zero.
    fn generate(rng: &mut impl CryptoRng) -> Self {
        let (mut key, mut nonce) = (Zeroizing::new([0; 32]), [0; 8]);
        rng.fill_bytes(key.as_mut_slice());
        rng.fill_bytes(&mut nonce);
        let mut iv = [0; 16];
        iv.iter_mut().zip(nonce).for_each(|(to, from)| *to = from);
        Self { key, iv }
    }

    fn cipher(&self) -> Cipher {
        Cipher::new((&*self.key).into(), (&self.iv).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Encrypts a file piece by piece.
pub struct Encryptor {
    secret: Secret,
    cipher: Cipher,
    hash: Sha256,
}

/// A file that is encrypted and not yet anywhere.
#[derive(Debug)]
#[must_use = "the key is lost with it"]
pub struct SealedFile {
    secret: Secret,
    sha256: [u8; 32],
}

/// Decrypts a file piece by piece.
pub struct Decryptor {
    cipher: Cipher,
    hash: Sha256,
    wanted: [u8; 32],
}

/// What was downloaded is not what was uploaded: its hash is another. It must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the file has another hash than its event says")]
pub struct WrongHash;

/// Encrypts a whole file in place.
pub fn encrypt(rng: &mut impl CryptoRng, file: &mut [u8]) -> SealedFile {
    let mut encryptor = Encryptor::new(rng);
    encryptor.update(file);
    encryptor.finish()
}

impl Encryptor {
    /// Begins a file, with a new key.
    #[must_use]
    pub fn new(rng: &mut impl CryptoRng) -> Self {
        let secret = Secret::generate(rng);
        Self { cipher: secret.cipher(), secret, hash: Sha256::new() }
    }

    /// Encrypts the next piece in place, of any length.
    pub fn update(&mut self, piece: &mut [u8]) {
        self.cipher.apply_keystream(piece);
        self.hash.update(piece);
    }

    /// Ends the file.
    pub fn finish(self) -> SealedFile {
        SealedFile { secret: self.secret, sha256: self.hash.finalize().into() }
    }
}

impl SealedFile {
    /// Says where the ciphertext was uploaded to, an `mxc://` URI.
    #[must_use]
    pub fn at(self, url: &str) -> EncryptedFile {
        let Self { secret, sha256 } = self;
        EncryptedFile { url: url.to_owned(), secret, sha256, others: Object::new() }
    }
}

impl EncryptedFile {
    /// Decrypts a whole file in place, once its hash is found to be right.
    ///
    /// # Errors
    /// [`WrongHash`]; the bytes are as they were then.
    pub fn decrypt(&self, ciphertext: &mut [u8]) -> Result<(), WrongHash> {
        compare(&Sha256::digest(&*ciphertext).into(), &self.sha256)?;
        self.secret.cipher().apply_keystream(ciphertext);
        Ok(())
    }

    /// Begins to decrypt a file piece by piece.
    #[must_use]
    pub fn decryptor(&self) -> Decryptor {
        Decryptor { cipher: self.secret.cipher(), hash: Sha256::new(), wanted: self.sha256 }
    }
}

impl Decryptor {
    /// Decrypts the next piece in place, of any length. Whether it is genuine is not known before
    /// [`finish`](Self::finish): until then put it where nothing reads it, such as a file under another name.
    pub fn update(&mut self, piece: &mut [u8]) {
        self.hash.update(&*piece);
        self.cipher.apply_keystream(piece);
    }

    /// Ends the file, and says whether what was decrypted may be used.
    ///
    /// # Errors
    /// [`WrongHash`]: all of it has to be thrown away.
    pub fn finish(self) -> Result<(), WrongHash> {
        compare(&self.hash.finalize().into(), &self.wanted)
    }
}

fn compare(found: &[u8; 32], wanted: &[u8; 32]) -> Result<(), WrongHash> {
    if bool::from(found.ct_eq(wanted)) { Ok(()) } else { Err(WrongHash) }
}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encryptor(..)")
    }
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decryptor(..)")
    }
}
