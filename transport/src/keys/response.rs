//! A key response as it is kept, and what a notary is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use mimi_linearized::id::ServerName;
use mimi_linearized::json::{Value, canonical};
use mimi_linearized::signing::{ServerKeys, SigningKey, sign_object};

use super::cache::MAX_VALIDITY_MS;

/// A server's key response as it was fetched.
#[derive(Debug)]
pub struct KeyResponse {
    /// The response, which its own keys have signed.
    pub keys: ServerKeys,
    /// When it was fetched, in milliseconds since the Unix epoch.
    pub fetched_at_ms: i64,
    /// The size of its JSON, in bytes.
    bytes: usize,
    /// How this server gives it out as a notary: made when it is wanted first.
    notarised: OnceLock<Arc<[u8]>>,
}

impl KeyResponse {
    /// A response of `bytes` bytes that was fetched at `fetched_at_ms`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn new(keys: ServerKeys, fetched_at_ms: i64, bytes: usize) -> Self {
        Self { keys, fetched_at_ms, bytes, notarised: OnceLock::new() }
    }

    /// Until when it is relied on: what it says, but no longer than seven days after it was fetched
    /// (`LM-04/12.4.1.1/2`). In milliseconds since the Unix epoch.
    #[must_use]
    pub fn valid_until_ms(&self) -> i64 {
        self.clamp(self.keys.valid_until_ts())
    }

    pub(super) fn clamp(&self, end: i64) -> i64 {
        end.min(self.fetched_at_ms.saturating_add(MAX_VALIDITY_MS))
    }

    /// The size of its JSON, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The keys, written so that two responses of a server with the same keys, current and retired, have the same
    /// text, whatever else they differ in.
    #[must_use]
    pub fn key_set(&self) -> String {
        let current = self.keys.verify_keys().iter().map(|(id, key)| format!("{id} {}", key.to_base64()));
        let old = self.keys.old_verify_keys().iter();
        let old = old.map(|(id, old)| format!("{id} {} until {}", old.key.to_base64(), old.expired_ts));
        current.chain(old).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn has_keys_of(&self, other: &Self) -> bool {
        self.keys.verify_keys() == other.keys.verify_keys()
            && self.keys.old_verify_keys() == other.keys.old_verify_keys()
    }

    /// Whether a key with this id, of whatever algorithm, is among the current or the retired ones.
    fn lists(&self, id: &str) -> bool {
        let object = self.keys.as_object();
        ["verify_keys", "old_verify_keys"].into_iter().any(|field| {
            object.get(field).and_then(Value::as_object).is_some_and(|keys| keys.contains_key(id))
        })
    }

    /// The JSON of the response with the signatures of the server itself and that of the notary `name`, which is this
    /// server (`LM-04/12.4.1.3/6`). It is signed once. What others have signed is left out: nobody here has checked
    /// it, and a caller is to check all signatures (reading R41).
    pub(super) fn notarised(&self, name: &ServerName, key: &SigningKey) -> Arc<[u8]> {
        let made = self.notarised.get_or_init(|| {
            let mut object = self.keys.as_object().clone();
            if let Some(Value::Object(signatures)) = object.get_mut("signatures") {
                signatures.retain(|signer, _| signer == self.keys.server_name().as_str());
            }
            sign_object(&mut object, name, key);
            canonical::object_to_vec(&object).into()
        });
        Arc::clone(made)
    }
}

/// Which of a server's key responses a notary is asked for (LM-04 §12.4.1.3, §12.4.1.4). Times are in milliseconds
/// since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyCriteria {
    /// All that are valid until this time.
    All(i64),
    /// Those that list one of these key ids, and are valid until the time beside it.
    Ids(BTreeMap<String, i64>),
}

impl KeyCriteria {
    /// Whether a response is asked for (`LM-04/12.4.1.3/5`, `LM-04/12.4.1.4/5`, `LM-04/12.4.1.4/6`).
    #[must_use]
    pub fn admits(&self, response: &KeyResponse) -> bool {
        let valid = |minimum: &i64| response.valid_until_ms() >= *minimum;
        match self {
            Self::All(minimum) => valid(minimum),
            Self::Ids(ids) => ids.iter().any(|(id, minimum)| valid(minimum) && response.lists(id)),
        }
    }

    /// Whether a response that were fetched now could be asked for while none of these is.
    pub(super) fn lacks(&self, responses: &[Arc<KeyResponse>], now: i64) -> bool {
        // A response fetched now is relied on for seven days, so that a later time is out of its reach.
        let in_reach = |minimum: i64| minimum <= now.saturating_add(MAX_VALIDITY_MS);
        match self {
            // The latest is the one that a fetch would prolong.
            Self::All(minimum) => {
                in_reach(*minimum) && responses.last().is_none_or(|latest| latest.valid_until_ms() < *minimum)
            }
            Self::Ids(ids) => ids.iter().any(|(id, minimum)| {
                let met =
                    |response: &Arc<KeyResponse>| response.valid_until_ms() >= *minimum && response.lists(id);
                in_reach(*minimum) && !responses.iter().any(met)
            }),
        }
    }
}
