//! Which keys count, and until when (LM-04 §12.4.1.1).

use std::collections::HashMap;

use super::{ServerKeys, VerifyKey};
use crate::id::{KeyId, ServerName};

/// What is known of a key at a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStanding {
    /// The key is known and counts at that time.
    Valid(VerifyKey),
    /// The key is known, but its validity ended before that time.
    Expired,
    /// The key is not known.
    Unknown,
}

/// A source of servers' public keys. Implementations do no I/O: whoever calls a check fetches keys beforehand.
pub trait KeyRing {
    /// The standing of a server's key at `at`, in milliseconds since the Unix epoch.
    fn standing(&self, server: &ServerName, key: &KeyId, at: i64) -> KeyStanding;
}

/// A ring made from published key responses.
#[derive(Debug, Clone, Default)]
pub struct ServerKeyRing {
    servers: HashMap<ServerName, HashMap<KeyId, (VerifyKey, i64)>>,
}

impl ServerKeyRing {
    /// A ring without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds every key of a response. A key counts until the response's `valid_until_ts`, a retired one until its
    /// `expired_ts`; where two responses have the same key, the later end holds.
    pub fn add(&mut self, keys: &ServerKeys) {
        for (id, key, until) in keys.keys() {
            self.insert(keys.server_name(), id, key, until);
        }
    }

    /// Adds one key that counts until `valid_until`, in milliseconds since the Unix epoch.
    pub fn insert(&mut self, server: &ServerName, id: &KeyId, key: VerifyKey, valid_until: i64) {
        let known = self.servers.entry(server.clone()).or_default();
        match known.get_mut(id) {
            Some((existing, until)) if *existing == key => *until = valid_until.max(*until),
            _ => {
                known.insert(id.clone(), (key, valid_until));
            }
        }
    }
}

impl KeyRing for ServerKeyRing {
    fn standing(&self, server: &ServerName, key: &KeyId, at: i64) -> KeyStanding {
        match self.servers.get(server).and_then(|keys| keys.get(key)) {
            Some((key, until)) if at <= *until => KeyStanding::Valid(*key),
            Some(_) => KeyStanding::Expired,
            None => KeyStanding::Unknown,
        }
    }
}
