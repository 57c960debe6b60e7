use super::*;
use crate::id::EventId;

fn content() -> ApartContent {
    ApartContent {
        message: MessageDigest::of(b"a commit"),
        public_group_state: vec![3],
        prev_commit_event_id: Some(EventId::parse("$abc").unwrap()),
    }
}

#[test]
fn contents_read_back() {
    let json = content().to_json();
    assert_eq!(json[MESSAGE_APART]["size"], 8);
    assert_eq!(json[MESSAGE_APART]["sha256"].as_str().unwrap().len(), 43);
    assert_eq!(ApartContent::parse(&json), Ok(Some(content())));
    let mut first = content();
    first.prev_commit_event_id = None;
    assert_eq!(ApartContent::parse(&first.to_json()), Ok(Some(first)));
}

#[test]
fn a_message_of_its_own_counts() {
    let mut json = content().to_json();
    json.insert("message".to_owned(), json!("AAAA"));
    assert_eq!(ApartContent::parse(&json), Ok(None));
    assert_eq!(ApartContent::parse(&Object::new()), Ok(None));
}

#[test]
fn the_field_at_fault_is_named() {
    let sha256 = base64::encode(&[0; 32]);
    for apart in [
        json!(null),
        json!("x"),
        json!({}),
        json!({"sha256": sha256}),
        json!({"size": 1}),
        json!({"sha256": "AAAA", "size": 1}),
        json!({"sha256": sha256, "size": -1}),
        json!({"sha256": sha256, "size": 1.5}),
        json!({"sha256": sha256, "size": "1"}),
        json!({"sha256": sha256, "size": MAX_COMMIT_LEN + 1}),
    ] {
        let mut json = content().to_json();
        json.insert(MESSAGE_APART.to_owned(), apart.clone());
        assert_eq!(ApartContent::parse(&json), Err(MESSAGE_APART), "{apart}");
    }
    for (field, value) in [("public_group_state", json!("!")), ("prev_commit_event_id", json!(1))] {
        let mut json = content().to_json();
        json.insert(field.to_owned(), value);
        assert_eq!(ApartContent::parse(&json), Err(field));
    }
    let mut largest = content().to_json();
    largest.insert(MESSAGE_APART.to_owned(), json!({"sha256": sha256, "size": MAX_COMMIT_LEN}));
    assert!(ApartContent::parse(&largest).unwrap().is_some());
}

#[test]
fn digests_name_one_message() {
    let digest = MessageDigest::of(b"a commit");
    digest.check(b"a commit").unwrap();
    for (other, what) in [(&b"a Commit"[..], "hash"), (b"a commit ", "size"), (b"", "size")] {
        let refusal = digest.check(other).unwrap_err();
        assert_eq!(refusal.rule, MlsRule::Apart.into());
        assert!(refusal.to_string().contains(what), "{refusal}");
    }
}
