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

/// A key, and until when it counts.
#[derive(Debug, Clone, Copy)]
struct Known {
    key: VerifyKey,
    until: i64,
    retired: bool,
}

/// A ring made from published key responses.
#[derive(Debug, Clone, Default)]
pub struct ServerKeyRing {
    servers: HashMap<ServerName, HashMap<KeyId, Known>>,
}

impl ServerKeyRing {
    /// A ring without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds every key of a response. A key counts until the response's `valid_until_ts`, and where two responses have
    /// it, until the later one's. A retired key counts until its `expired_ts`, whatever any response says of its
    /// validity (`LM-04/12.4.1.2/8`).
    pub fn add(&mut self, keys: &ServerKeys) {
        for (id, key) in keys.verify_keys() {
            self.insert(keys.server_name(), id, *key, keys.valid_until_ts());
        }
        for (id, old) in keys.old_verify_keys() {
            self.put(keys.server_name(), id, Known { key: old.key, until: old.expired_ts, retired: true });
        }
    }

    /// Adds one key that counts until `valid_until`, in milliseconds since the Unix epoch.
    pub fn insert(&mut self, server: &ServerName, id: &KeyId, key: VerifyKey, valid_until: i64) {
        self.put(server, id, Known { key, until: valid_until, retired: false });
    }

    fn put(&mut self, server: &ServerName, id: &KeyId, new: Known) {
        let known = self.servers.entry(server.clone()).or_default();
        match known.get_mut(id) {
            Some(old) if old.key == new.key => match (old.retired, new.retired) {
                (true, false) => {}
                (false, true) => *old = new,
                (true, true) => old.until = old.until.min(new.until),
                (false, false) => old.until = old.until.max(new.until),
            },
            _ => {
                known.insert(id.clone(), new);
            }
        }
    }
}

impl KeyRing for ServerKeyRing {
    fn standing(&self, server: &ServerName, key: &KeyId, at: i64) -> KeyStanding {
        match self.servers.get(server).and_then(|keys| keys.get(key)) {
            Some(known) if at <= known.until => KeyStanding::Valid(known.key),
            Some(_) => KeyStanding::Expired,
            None => KeyStanding::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::SigningKey;

    #[test]
    fn validity_grows_until_the_key_is_retired() {
        let server = ServerName::parse("a.example").unwrap();
        let id = KeyId::ed25519("1").unwrap();
        let key = SigningKey::from_seed(id.clone(), &[1; 32]).verify_key();
        let mut ring = ServerKeyRing::new();
        let until = |ring: &mut ServerKeyRing, until, retired| {
            ring.put(&server, &id, Known { key, until, retired });
            (0..200).rev().find(|at| ring.standing(&server, &id, *at) == KeyStanding::Valid(key))
        };
        assert_eq!(until(&mut ring, 50, false), Some(50));
        assert_eq!(until(&mut ring, 100, false), Some(100));
        assert_eq!(until(&mut ring, 70, false), Some(100));
        assert_eq!(until(&mut ring, 80, true), Some(80));
        assert_eq!(until(&mut ring, 150, false), Some(80), "a retired key stays retired");
        assert_eq!(until(&mut ring, 60, true), Some(60));
    }
}
