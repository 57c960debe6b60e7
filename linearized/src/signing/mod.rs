//! Signatures: keys, who is trusted with which key, and signing of JSON objects (LM-04 §6).

mod key;
mod object;
mod ring;
mod server_keys;

pub use key::{KeyError, Signature, SigningKey, VerifyKey};
pub use object::{SignatureError, check_object, sign_object};
pub(crate) use object::{check_entity, signature_entry, verified_entry};
pub use ring::{KeyRing, KeyStanding, ServerKeyRing};
pub use server_keys::{OldVerifyKey, ServerKeys, ServerKeysError};
