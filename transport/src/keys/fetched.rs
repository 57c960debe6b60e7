//! The keys that were asked for.

use std::collections::BTreeMap;

use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::signing::{KeyRing, KeyStanding, ServerKeyRing};

use super::KeyFetchError;

/// The keys that were asked for, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct FetchedKeys {
    pub(super) ring: ServerKeyRing,
    pub(super) unavailable: BTreeMap<ServerName, KeyFetchError>,
}

impl FetchedKeys {
    /// The keys.
    #[must_use]
    pub fn ring(&self) -> &ServerKeyRing {
        &self.ring
    }

    /// The keys, for who does not need to know what is unavailable.
    #[must_use]
    pub fn into_ring(self) -> ServerKeyRing {
        self.ring
    }

    /// The servers of which a key was wanted that is not known, and which could not be asked for it. A check that fails
    /// for want of their keys says nothing about the signature. A server that answered without the key is not here.
    #[must_use]
    pub fn unavailable(&self) -> &BTreeMap<ServerName, KeyFetchError> {
        &self.unavailable
    }
}

impl KeyRing for FetchedKeys {
    fn standing(&self, server: &ServerName, key: &KeyId, at: i64) -> KeyStanding {
        self.ring.standing(server, key, at)
    }
}
