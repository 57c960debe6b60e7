//! Lies about single events.

use mimi_linearized::base64;
use mimi_linearized::event::hash;
use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::json::Object;
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RedactionRules;
use serde_json::{Value, json};

use super::lie::Lie;

/// What an event of more than the largest size is filled with, in bytes.
const PADDING: usize = 70_000;

/// What a server needs to make other events of those it has: PDUs as a hub, LPDUs as a participant.
#[derive(Debug)]
pub(super) struct Forger {
    pub(super) name: ServerName,
    pub(super) key: SigningKey,
    /// Another key under the same id.
    wrong: SigningKey,
    rules: RedactionRules,
}

impl Forger {
    /// For the server of this name and key; `seed` makes the key that is not its own.
    pub(super) fn new(name: ServerName, key: SigningKey, seed: &[u8; 32], rules: RedactionRules) -> Self {
        let id: KeyId = key.id().clone();
        Self { name, key, wrong: SigningKey::from_seed(id, seed), rules }
    }

    /// What becomes of an event that is sent to a server; without a lie about single events, the event itself.
    pub(super) fn twist(&self, lie: Lie, to: Option<&ServerName>, event: &Value) -> Value {
        let Value::Object(object) = event else { return event.clone() };
        let mut object = object.clone();
        match lie {
            Lie::Forge => self.sign(&mut object, &self.wrong),
            Lie::Tamper => set_content(&mut object, "body", json!("what nobody said")),
            Lie::OtherSender => {
                let whose = to.unwrap_or(&self.name);
                object.insert("sender".to_owned(), json!(format!("@nobody:{whose}")));
                self.remake(&mut object);
            }
            Lie::Equivocate if self.is_own(&object) => {
                set_content(&mut object, "body", json!("something else"));
                self.remake(&mut object);
            }
            Lie::OversizeEvent if self.is_own(&object) => {
                set_content(&mut object, "padding", json!("x".repeat(PADDING)));
                self.remake(&mut object);
            }
            _ => {}
        }
        Value::Object(object)
    }

    /// Whether the server can make the event anew as it likes: it is of a user of its own.
    fn is_own(&self, event: &Object) -> bool {
        let sender = event.get("sender").and_then(Value::as_str);
        sender
            .and_then(|sender| sender.split_once(':'))
            .is_some_and(|(_, server)| *server == *self.name.as_str())
    }

    /// Makes hash and signature right again.
    fn remake(&self, event: &mut Object) {
        if event.contains_key("prev_events") {
            let hash = base64::encode(&hash::pdu_content_hash(event));
            set_hash(event, "sha256", json!(hash));
        } else {
            let hash = base64::encode(&hash::lpdu_content_hash(event));
            set_hash(event, "lpdu", json!({"sha256": hash}));
        }
        self.sign(event, &self.key);
    }

    fn sign(&self, event: &mut Object, key: &SigningKey) {
        let signature = key.sign(&hash::signing_bytes(event, &self.rules)).to_base64();
        let signatures = event.entry("signatures").or_insert_with(|| json!({}));
        if let Value::Object(signatures) = signatures {
            signatures.insert(self.name.to_string(), json!({key.id().as_str(): signature}));
        }
    }
}

fn set_hash(event: &mut Object, name: &str, hash: Value) {
    if let Value::Object(hashes) = event.entry("hashes").or_insert_with(|| json!({})) {
        hashes.insert(name.to_owned(), hash);
    }
}

fn set_content(event: &mut Object, name: &str, value: Value) {
    if let Value::Object(content) = event.entry("content").or_insert_with(|| json!({})) {
        content.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use mimi_linearized::event::{Lpdu, reference_id};
    use mimi_linearized::json::canonical;
    use mimi_linearized::signing::ServerKeyRing;
    use mimi_linearized::version::RoomVersions;

    use super::*;

    fn forger() -> Forger {
        let name = ServerName::parse("evil.org").unwrap();
        let key = SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &[3; 32]);
        let rules = RoomVersions::lm_04().default_version().redaction;
        Forger::new(name, key, &[4; 32], rules)
    }

    /// An LPDU of a user of that server for a hub `hub.org`.
    fn lpdu(forger: &Forger) -> Value {
        let mut event = json!({
            "type": "m.room.message", "room_id": "!r:hub.org", "sender": "@eve:evil.org", "origin_server_ts": 1,
            "content": {"body": "said"}, "hub_server": "hub.org"
        });
        forger.remake(event.as_object_mut().unwrap());
        event
    }

    /// Whether an LPDU's signature holds, and whether its hash does.
    fn holds(forger: &Forger, lpdu: &Value) -> (bool, bool) {
        let versions = RoomVersions::lm_04();
        let version = versions.default_version();
        let mut ring = ServerKeyRing::new();
        ring.insert(&forger.name, forger.key.id(), forger.key.verify_key(), i64::MAX);
        let object = lpdu.as_object().unwrap().clone();
        let hash = base64::encode(&hash::lpdu_content_hash(&object));
        let same = lpdu["hashes"]["lpdu"]["sha256"] == hash;
        (Lpdu::from_object(object, version).unwrap().verify(&ring).is_ok(), same)
    }

    #[test]
    fn each_lie_is_wrong_in_its_own_way() {
        let forger = forger();
        let (truth, hub) = (lpdu(&forger), ServerName::parse("hub.org").unwrap());
        assert_eq!(holds(&forger, &truth), (true, true));
        let twisted = |lie| forger.twist(lie, Some(&hub), &truth);
        assert_eq!(twisted(Lie::Replay), truth);
        assert_eq!(holds(&forger, &twisted(Lie::Forge)), (false, true));
        assert_eq!(twisted(Lie::Forge)["content"], truth["content"]);
        assert_eq!(holds(&forger, &twisted(Lie::Tamper)), (true, false));
        assert_eq!(twisted(Lie::OtherSender)["sender"], "@nobody:hub.org");
        assert_eq!(holds(&forger, &twisted(Lie::OtherSender)), (false, true));
        let other = twisted(Lie::Equivocate);
        assert_eq!(holds(&forger, &other), (true, true));
        let version = RoomVersions::lm_04();
        let id = |event: &Value| reference_id(event.as_object().unwrap(), version.default_version());
        assert_ne!(id(&other), id(&truth));
        assert_eq!(id(&other), id(&twisted(Lie::Equivocate)), "the other version is always the same");
        assert!(canonical::to_vec(&twisted(Lie::OversizeEvent)).len() > 65_536);
    }
}
