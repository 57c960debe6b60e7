//! Why keys are not there.

use std::sync::Arc;

use mimi_linearized::id::ServerName;
use mimi_linearized::json::strict;
use mimi_linearized::signing::{ServerKeysError, SignatureError};

use super::Asker;
use crate::client::ClientError;

/// Why a server's keys were not fetched.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFetchError {
    /// There is no answer, or it is an error.
    #[error(transparent)]
    Client(Arc<ClientError>),
    /// The answer is not JSON that everybody reads alike.
    #[error("the key response: {0}")]
    Json(Arc<strict::JsonError>),
    /// The answer is no key response, or its keys have not signed it (`LM-04/12.4.1.2/2`).
    #[error("the key response: {0}")]
    Keys(#[from] ServerKeysError),
    /// The answer is another server's (`LM-04/12.4.1.2/3`).
    #[error("the key response is that of {0}")]
    WrongServer(ServerName),
    /// The answer of a notary has no array of objects `server_keys` (`LM-04/12.4.1.3/3`).
    #[error("the answer of the notary has no array of objects `server_keys`")]
    NoList,
    /// The notary has not signed what it gives out, or not with a key of its own (`LM-04/12.4.1.3/6`).
    #[error("the signature of the notary: {0}")]
    Notary(#[from] SignatureError),
    /// There was no answer in time.
    #[error("the keys did not arrive in time")]
    TimedOut,
    /// The attempt was broken off, or is still under way.
    #[error("fetching the keys was interrupted")]
    Interrupted,
    /// Nobody was asked, because too many fetches are made on behalf of one asker already.
    #[error("too many keys are fetched on behalf of {0}")]
    TooMany(Asker),
}

impl PartialEq for KeyFetchError {
    /// Errors of the network are equal only if they are the same one.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Client(a), Self::Client(b)) => Arc::ptr_eq(a, b),
            (Self::Json(a), Self::Json(b)) => Arc::ptr_eq(a, b),
            (Self::Keys(a), Self::Keys(b)) => a == b,
            (Self::WrongServer(a), Self::WrongServer(b)) => a == b,
            (Self::Notary(a), Self::Notary(b)) => a == b,
            (Self::TooMany(a), Self::TooMany(b)) => a == b,
            (Self::NoList, Self::NoList)
            | (Self::TimedOut, Self::TimedOut)
            | (Self::Interrupted, Self::Interrupted) => true,
            _ => false,
        }
    }
}
