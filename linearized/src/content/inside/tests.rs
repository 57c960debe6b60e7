use proptest::prelude::*;

use super::super::mimi::NestedPart;
use super::*;
use crate::id::EventId;

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => panic!(),
    }
}

fn event(kind: &str, content: Value) -> InnerEvent {
    InnerEvent { kind: kind.to_owned(), content: object(content) }
}

fn read(plaintext: &Value, outside: Value) -> Result<Plaintext, PlaintextError> {
    Plaintext::read(plaintext.to_string().as_bytes(), &object(outside))
}

#[test]
fn what_an_event_says_is_inside_and_what_it_is_about_is_seen() {
    let content = json!({
        "m.text": "yes", "m.relates_to": {
            "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true, "key": "\u{1f44d}",
            "m.in_reply_to": {"event_id": "$last", "org.example.quote": "a secret"},
        },
    });
    let prepared = event("m.message", content.clone()).prepare().unwrap();
    let seen = json!({
        "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true, "m.in_reply_to": {"event_id": "$last"},
    });
    assert_eq!(prepared.relates_to.clone().map(Value::Object), Some(seen.clone()));
    let inside: Value = serde_json::from_slice(&prepared.plaintext).unwrap();
    assert_eq!(inside, json!({"type": "m.message", "content": content}));

    let encrypted = EncryptedContent {
        algorithm: "m.mls.v1.x".to_owned(),
        ciphertext: vec![1],
        commit_event_id: EventId::parse("$commit").unwrap(),
    };
    let plaintext = prepared.plaintext.clone();
    let around = prepared.around(&encrypted);
    assert_eq!(EncryptedContent::parse(&around), Ok(encrypted));
    assert_eq!(around["m.relates_to"], seen);
    assert!(!Value::Object(around.clone()).to_string().contains("secret"));
    let opened = Plaintext::read(&plaintext, &around).unwrap();
    let wanted = Plaintext::Event { event: event("m.message", content), relation: SettledRelation::Same };
    assert_eq!(opened, wanted);
}

#[test]
fn an_event_about_nothing_shows_nothing() {
    for content in [json!({"m.text": "x"}), json!({"m.relates_to": {"key": "x"}}), json!({"m.relates_to": 1})]
    {
        assert_eq!(event("m.message", content).prepare().unwrap().relates_to, None);
    }
}

#[test]
fn the_relation_that_counts_is_one_that_nobody_could_forge_or_hide() {
    let about = |id: &str| json!({"rel_type": "m.annotation", "event_id": id});
    let reaction = json!({"rel_type": "m.annotation", "event_id": "$a", "key": "x"});
    for (inside, outside, counts, relation) in [
        (None, None, None, SettledRelation::None),
        (Some(reaction.clone()), Some(about("$a")), Some(reaction.clone()), SettledRelation::Same),
        (None, Some(about("$a")), Some(about("$a")), SettledRelation::Outside),
        (Some(about("$a")), None, None, SettledRelation::Inside),
        (Some(reaction.clone()), Some(about("$b")), None, SettledRelation::Different),
        (Some(reaction.clone()), Some(reaction), None, SettledRelation::Different),
        // What is no relation is none.
        (Some(json!(1)), Some(json!([])), None, SettledRelation::None),
    ] {
        let with = |relation: Option<Value>| {
            relation.map_or(json!({}), |relation| json!({"m.relates_to": relation}))
        };
        let plaintext = json!({"type": "m.reaction", "content": with(inside)});
        let opened = read(&plaintext, with(outside)).unwrap();
        assert_eq!(opened, Plaintext::Event { event: event("m.reaction", with(counts)), relation });
    }
}

#[test]
fn what_servers_have_to_see_is_not_inside() {
    for kind in ["m.room.redaction", "m.room.encrypted", "m.mls.commit"] {
        let inside = event(kind, json!({}));
        assert_eq!(inside.prepare(), Err(NotInside::Type(kind.to_owned())));
        let error = read(&json!({"type": kind, "content": {}}), json!({})).unwrap_err();
        assert!(matches!(error, PlaintextError::NotInside(NotInside::Type(_))), "{error}");
    }
    let state = json!({"type": "m.room.name", "content": {}, "state_key": ""});
    assert!(matches!(read(&state, json!({})), Err(PlaintextError::NotInside(NotInside::State))));
}

#[test]
fn a_plaintext_is_told_by_its_first_byte() {
    let content = MimiContent::new([3; 16], NestedPart::text("x"));
    let read = |bytes: &[u8]| Plaintext::read(bytes, &Object::new());
    assert_eq!(read(&content.to_bytes().unwrap()).unwrap(), Plaintext::Mimi(Box::new(content)));
    for unknown in [b"".as_slice(), b"hello", b" {}", b"[]", b"\"x\"", &[0x86]] {
        assert!(matches!(read(unknown), Err(PlaintextError::Unknown)), "{unknown:?}");
    }
    assert!(matches!(read(&[0x87, 0]), Err(PlaintextError::Mimi(_))));
    for broken in [r#"{"type":"x"#, r#"{"type":"x","type":"y","content":{}}"#] {
        assert!(matches!(read(broken.as_bytes()), Err(PlaintextError::Json(_))), "{broken}");
    }
    for (broken, field) in [
        (r#"{"content":{}}"#, "type"),
        (r#"{"type":1,"content":{}}"#, "type"),
        (r#"{"type":"m.message"}"#, "content"),
        (r#"{"type":"m.message","content":[]}"#, "content"),
    ] {
        let error = read(broken.as_bytes()).unwrap_err();
        assert!(matches!(error, PlaintextError::Malformed(at) if at == field), "{broken}");
    }
}

#[test]
fn a_relation_beside_mimi_content_does_not_count() {
    let content = MimiContent::new([3; 16], NestedPart::text("hello"));
    let outside = object(json!({"m.relates_to": {"rel_type": "m.replace", "event_id": "$a"}}));
    let read = Plaintext::read(&content.to_bytes().unwrap(), &outside).unwrap();
    assert_eq!(read, Plaintext::Mimi(Box::new(content)));
}

proptest! {
    #[test]
    fn what_is_prepared_is_read_back(kind in "m\\.[a-z]{1,9}", text in ".{0,20}", about in "\\$[a-z]{1,9}", related in any::<bool>()) {
        let mut content = json!({"m.text": text});
        if related {
            content["m.relates_to"] = json!({"rel_type": "m.reference", "event_id": about, "x": text});
        }
        let inner = event(&kind, content);
        let prepared = inner.prepare().unwrap();
        let outside = prepared.relates_to.map(|relation| json!({"m.relates_to": relation}));
        let opened = Plaintext::read(&prepared.plaintext, &object(outside.unwrap_or(json!({})))).unwrap();
        let relation = if related { SettledRelation::Same } else { SettledRelation::None };
        prop_assert_eq!(opened, Plaintext::Event { event: inner, relation });
    }

    #[test]
    fn no_bytes_stop_the_reader(bytes in any::<Vec<u8>>()) {
        let _ = Plaintext::read(&bytes, &Object::new());
    }
}
