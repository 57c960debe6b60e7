//! MLS messages, and the contents of events that carry them.

use mimi_linearized::encryption::{ApartContent, CommitContent, EncryptedContent, WelcomeMessage};
use mimi_linearized::json::{Value, canonical, strict};
use mimi_mls::framing::{self, MessageKind, check};
use mimi_mls::{DeviceCredential, DeviceObject, GroupTracker, KeyPackage, Suite, tree_hash};

/// Bytes from outside that MLS reads: frames, key packages, credentials, commits with their group state, trees, snapshots.
pub fn mls_framing(bytes: &[u8]) {
    for kind in [
        MessageKind::PublicMessage,
        MessageKind::PrivateMessage,
        MessageKind::Welcome,
        MessageKind::GroupInfo,
        MessageKind::KeyPackage,
    ] {
        let _ = check(kind, bytes);
    }
    let _ = KeyPackage::read(bytes, Suite::MANDATORY);
    if let Ok(credential) = DeviceCredential::decode(bytes) {
        assert!(credential.encode().is_ok_and(|again| again == bytes), "a credential has one encoding");
    }
    let (message, group_info) = bytes.split_at(bytes.len() / 2);
    let _ = GroupTracker::start("!room:hub.example", Suite::MANDATORY, message, group_info);
    let _ = framing::group_info(bytes);
    let _ = tree_hash(bytes, Suite::MANDATORY);
    let _ = GroupTracker::restore(bytes);
}

/// Contents of MLS events and messages, and device objects: what is read prints itself.
pub fn commit_content(bytes: &[u8]) {
    let Ok(Value::Object(object)) = strict::parse(bytes) else { return };
    if let Ok(commit) = CommitContent::parse(&object) {
        assert_eq!(CommitContent::parse(&commit.to_json()), Ok(commit));
    }
    if let Ok(Some(apart)) = ApartContent::parse(&object) {
        assert_eq!(ApartContent::parse(&apart.to_json()), Ok(Some(apart)));
    }
    if let Ok(encrypted) = EncryptedContent::parse(&object) {
        assert_eq!(EncryptedContent::parse(&encrypted.to_json()), Ok(encrypted));
    }
    if let Ok(welcome) = WelcomeMessage::parse(&object) {
        assert_eq!(WelcomeMessage::parse(&welcome.to_json()), Ok(welcome));
    }
    if let Ok(device) = DeviceObject::parse(Value::Object(object.clone())) {
        assert_eq!(canonical::object_to_vec(device.value()), canonical::object_to_vec(&object));
        let _ = device.verify();
    }
}

pub(crate) fn framing_seeds() -> Vec<Vec<u8>> {
    // MLSMessage: version mls10, then the wire formats 1 to 5.
    let mut seeds: Vec<Vec<u8>> =
        (1..=5).map(|format| vec![0, 1, 0, format, 3, b'a', b'b', b'c', 0, 0]).collect();
    let signature_key = vec![7; 32];
    let credential = mimi_mls::DeviceAddress::new("@alice:hub.example", "ABC")
        .ok()
        .and_then(|address| DeviceCredential::new(address, signature_key).ok()?.encode().ok());
    seeds.extend(credential);
    // A tree of three nodes: a blank leaf, a parent without unmerged leaves, a blank leaf.
    seeds.push(vec![9, 0, 1, 2, 1, 7, 1, 8, 0, 0]);
    seeds
}

pub(crate) fn content_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"message":"AAEAAQ","public_group_state":"AAEABA","prev_commit_event_id":"$abc"}"#,
        r#"{"org.mimi-interop.message_apart":{"sha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","size":9},"public_group_state":"AAEABA"}"#,
        r#"{"algorithm":"m.mls.v1.dhkemx25519-aes128gcm-sha256-ed25519","ciphertext":"AAEAAg","commit_event_id":"$abc"}"#,
        r#"{"algorithm":"m.mls.v1.welcome.dhkemx25519-aes128gcm-sha256-ed25519","ciphertext":"AAEAAw","commit_event_id":"$abc"}"#,
        r#"{"algorithms":[],"device_id":"ABC","keys":{},"signatures":{},"user_id":"@alice:hub.example"}"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
