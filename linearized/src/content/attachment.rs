//! Files that are encrypted before they are uploaded: Matrix's `EncryptedFile`, version `v2`.
//!
//! A server that stores a file sees neither what is in it nor who may read it: the key is in the event that sends the
//! file, which is encrypted itself. The cipher is AES-256-CTR, and the hash of the ciphertext (SHA-256) is in the event
//! too, so that the server cannot change what it stores (client-server API of Matrix v1.4, *Sending encrypted
//! attachments*; draft-ralston-mimi-matrix-message-format-01 §2).
//!
//! This module encrypts and decrypts; uploading and downloading is the caller's. A key encrypts one file and is used for
//! no other: it is made for the file, from the caller's random numbers.
//!
//! ```
//! use mimi_linearized::content::attachment::{self, EncryptedFile};
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
//! let mut bytes = b"what is in the file".to_vec();
//! let sealed = attachment::encrypt(&mut rng, &mut bytes);
//! // Upload the bytes, then say where they are: this goes into an event.
//! let file = sealed.at("mxc://example.org/abc").to_json();
//!
//! let file = EncryptedFile::parse(&file)?;
//! file.decrypt(&mut bytes)?;
//! assert_eq!(bytes, b"what is in the file");
//! # Ok(())
//! # }
//! ```

mod cipher;
mod file;

pub use cipher::{Decryptor, Encryptor, SealedFile, WrongHash, encrypt};
pub use file::{EncryptedFile, FileError};

#[cfg(test)]
mod tests;
