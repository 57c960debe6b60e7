//! Base64, redaction, content hashes and event ids.

use serde_json::{Value, json};

use super::chance::Chance;
use super::events::{Cast, has_fraction};
use super::oracle::{self, canonical, hex};
use super::{Flag, Group, Vector};

/// Events that two independent codebases agree on.
const CROSSCHECK: &str = include_str!("../../../linearized/tests/data/crosscheck.json");

pub(super) fn base64(mut chance: Chance) -> Vec<Group> {
    let encode = |bytes: &[u8], standard: &str, url_safe: &str, comment: &str| {
        let expected = json!({"standard": standard, "url_safe": url_safe});
        Vector::valid("LM-04/10/1", comment, json!({"hex": hex(bytes)}), expected)
    };
    let mut encoded = vec![
        encode(b"", "", "", "nothing"),
        encode(b"f", "Zg", "Zg", "RFC 4648 section 10, without padding").flag(Flag::Published),
        encode(b"fo", "Zm8", "Zm8", "RFC 4648 section 10, without padding").flag(Flag::Published),
        encode(b"foo", "Zm9v", "Zm9v", "RFC 4648 section 10").flag(Flag::Published),
        encode(b"foob", "Zm9vYg", "Zm9vYg", "RFC 4648 section 10, without padding").flag(Flag::Published),
        encode(b"fooba", "Zm9vYmE", "Zm9vYmE", "RFC 4648 section 10, without padding").flag(Flag::Published),
        encode(b"foobar", "Zm9vYmFy", "Zm9vYmFy", "RFC 4648 section 10").flag(Flag::Published),
        encode(&[0xfb, 0xff], "+/8", "-_8", "the two characters in which the alphabets differ"),
        encode(&[0xff; 3], "////", "____", "the last character of the alphabets"),
        encode(&[0; 3], "AAAA", "AAAA", "the first character of the alphabets"),
    ];
    for _ in 0..4 {
        let bytes = chance.bytes();
        let (standard, url_safe) = (oracle::base64(&bytes), oracle::base64_url_safe(&bytes));
        encoded.push(encode(&bytes, &standard, &url_safe, "32 bytes drawn from the seed").flag(Flag::Seeded));
    }
    let decode = |text: &str, bytes: &[u8], comment: &str| {
        let expected = json!({"accepted": true, "hex": hex(bytes)});
        Vector::valid("LM-04/10/2", comment, json!({"text": text}), expected)
    };
    let no = |text: &str, comment: &str| Vector::refused("LM-04/10/1", comment, json!({"text": text}));
    let decoded = vec![
        decode("", b"", "nothing"),
        decode("Zg", b"f", "no padding"),
        decode("Zg==", b"f", "padding"),
        decode("Zm8", b"fo", "no padding"),
        decode("Zm8=", b"fo", "padding"),
        decode("Zm9v", b"foo", "none needed"),
        decode("+/8", &[0xfb, 0xff], "the standard alphabet"),
        decode("Zh", b"f", "bits beyond the last byte that are not zero").acceptable(),
        no("Z", "one character is no byte"),
        no("Zg=A", "padding in the middle"),
        no("Z===", "too much padding"),
        no("-_8", "the URL-safe alphabet where the standard one is meant"),
        no("Zm9v Zm9v", "a space"),
        no("Zm9v\n", "a line break"),
        no("Zä", "a character beyond ASCII"),
        no("Zm9v!", "a character that base64 does not have"),
    ];
    vec![
        Group::new(
            "base64-encode",
            "The bytes in `hex` are written as unpadded base64, in both alphabets.",
            encoded,
        ),
        Group::new(
            "base64-decode",
            "`text` is read as base64 of the standard alphabet, padded or not. `hex` has the bytes.",
            decoded,
        ),
    ]
}

pub(super) fn redaction(mut chance: Chance) -> Vec<Group> {
    let cast = Cast::new(&mut chance);
    let event = |kind: &str, content: Value| {
        let lpdu =
            oracle::lpdu(&cast.draft(&cast.bob, kind, Some(""), content), &cast.hub.name, &cast.second);
        oracle::seal(&lpdu, &["$a".to_owned()], &["$b".to_owned()], &cast.hub)
    };
    let vector = |requirement: &str, comment: &str, event: &Value, redacted: &Value| {
        let expected = json!({"redacted": canonical(redacted)});
        Vector::valid(requirement, comment, json!({"event": canonical(event)}), expected).flag(Flag::Seeded)
    };
    let keeping = |requirement: &str, comment: &str, kind: &str, content: Value, kept: Value| {
        let event = event(kind, content);
        vector(requirement, comment, &event, &oracle::with(&event, "content", kept))
    };
    let levels = json!({"ban": 1, "events": {"m.room.name": 50}, "events_default": 2, "kick": 3, "redact": 4,
                        "state_default": 5, "users": {cast.alice.as_str(): 100}, "users_default": 6, "invite": 7});
    let more_levels =
        oracle::with(&oracle::with(&levels, "notifications", json!({"room": 50})), "x", json!(1));
    let member = json!({"membership": "join", "displayname": "Bob", "reason": "why not",
                        "join_authorised_via_users_server": cast.alice, "third_party_invite": {"signed": {}}});
    let message = event("m.room.message", json!({"body": "hello"}));
    let extra = oracle::with(&oracle::with(&message, "event_id", json!("$x")), "depth", json!(12));
    let stripped = oracle::with(&message, "content", json!({}));
    let create = json!({"room_version": "I.1", "encryption": {"algorithm": "x"}, "more": [1]});
    let mut tests = vec![
        keeping("LM-04/8/3", "all of m.room.create", "m.room.create", create.clone(), create),
        keeping("LM-04/8/4", "membership alone", "m.room.member", member, json!({"membership": "join"})),
        keeping(
            "LM-04/8/5",
            "join_rule alone; not `allow`, which Matrix keeps",
            "m.room.join_rules",
            json!({"join_rule": "invite", "allow": []}),
            json!({"join_rule": "invite"}),
        ),
        keeping("LM-04/8/6", "nine levels", "m.room.power_levels", more_levels, levels),
        keeping(
            "LM-04/8/6",
            "a level that is kept whatever it is",
            "m.room.power_levels",
            json!({"ban": "x"}),
            json!({"ban": "x"}),
        ),
        keeping(
            "LM-04/8/7",
            "history_visibility alone",
            "m.room.history_visibility",
            json!({"history_visibility": "joined", "x": 1}),
            json!({"history_visibility": "joined"}),
        ),
        keeping("LM-04/8/4", "nothing of what is kept is there", "m.room.member", json!({"x": 1}), json!({})),
        keeping(
            "LM-04/8/4",
            "what is kept is kept with all that is in it",
            "m.room.member",
            json!({"membership": {"a": [1]}}),
            json!({"membership": {"a": [1]}}),
        ),
    ];
    for (kind, content) in [
        ("m.room.message", json!({"body": "hello"})),
        ("m.room.name", json!({"name": "A room"})),
        ("m.room.topic", json!({"topic": "T"})),
        ("m.mls.commit", json!({"message": "AAAA", "public_group_state": "AAAA"})),
        ("m.room.encrypted", json!({"ciphertext": "AAAA"})),
        ("m.room.redaction", json!({"redacts": "$x"})),
        ("M.Room.Member", json!({"membership": "join"})),
        ("org.example.custom", json!({"membership": "join"})),
    ] {
        let requirement = if kind == "m.room.redaction" { "R06" } else { "LM-04/8/2" };
        tests.push(keeping(requirement, &format!("nothing of {kind}"), kind, content, json!({})));
    }
    tests.push(vector(
        "LM-04/8/1",
        "top-level members that are not listed go, `event_id` among them",
        &extra,
        &stripped,
    ));
    tests.push(vector(
        "LM-04/8/1",
        "`unsigned` goes",
        &oracle::with(&message, "unsigned", json!({"age": 1})),
        &stripped,
    ));
    tests.push(vector("LM-04/8/1", "redacting twice changes nothing", &stripped, &stripped));
    tests.push(vector(
        "LM-04/8/1",
        "an event that is not a state event, not sealed, without its optional members",
        &oracle::less(&oracle::less(&message, "state_key"), "hub_server"),
        &oracle::less(&oracle::less(&stripped, "state_key"), "hub_server"),
    ));
    for event in crosscheck_events() {
        if let (Some(pdu), Some(redacted)) = (event.get("pdu"), event.get("redacted")) {
            let published = json!({"redacted": canonical(redacted)});
            let input = json!({"event": canonical(pdu)});
            tests.push(Vector::valid("LM-04/8/1", "published", input, published).flag(Flag::Published));
        }
    }
    let about =
        "`event` is the text of an event. `redacted` is the canonical JSON of what redaction leaves of it.";
    vec![Group::new("redaction", about, tests)]
}

fn crosscheck_events() -> Vec<Value> {
    let data: Value = serde_json::from_str(CROSSCHECK).unwrap_or_default();
    data.get("events").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Events of every kind, with what is special about them.
fn events(cast: &Cast, chance: &mut Chance) -> Vec<(String, Value)> {
    let plain = |draft: &Value| oracle::seal(draft, &["$auth".to_owned()], &["$prev".to_owned()], &cast.hub);
    let through = |draft: &Value| {
        let lpdu = oracle::lpdu(draft, &cast.hub.name, &cast.second);
        oracle::seal(&lpdu, &["$auth".to_owned()], &["$prev".to_owned()], &cast.hub)
    };
    let message = cast.message(&cast.bob, "hello");
    let mut events = vec![
        ("the hub's own create event".to_owned(), plain(&cast.create())),
        ("the hub's own join".to_owned(), plain(&cast.member(&cast.alice, &cast.alice, "join"))),
        ("a message through the hub".to_owned(), through(&message)),
        ("a join through the hub".to_owned(), through(&cast.member(&cast.bob, &cast.bob, "join"))),
        (
            "`unsigned` is covered by nothing".to_owned(),
            oracle::with(&through(&message), "unsigned", json!({"age": 7})),
        ),
        (
            "an unknown member at the top is covered by the content hashes".to_owned(),
            through(&oracle::with(&message, "org.example", json!({"x": 1}))),
        ),
        (
            "numbers are hashed in canonical form".to_owned(),
            through(&cast.draft(&cast.bob, "m.x", None, json!({"n": [50.0, 0.1, -0.0, 1e-7]}))),
        ),
        (
            "keys in UTF-16 order".to_owned(),
            through(&cast.draft(&cast.bob, "m.x", None, json!({"\u{fb33}": 1, "\u{1f600}": 2}))),
        ),
        (
            "power levels".to_owned(),
            plain(&cast.levels(&cast.alice, json!({"users": {cast.alice.as_str(): 100}, "x": 1}))),
        ),
    ];
    for _ in 0..6 {
        let content = json!({"body": chance.word(12), "n": chance.below(1_000)});
        events.push((
            "drawn from the seed".to_owned(),
            through(&cast.draft(&cast.bob, "m.room.message", None, content)),
        ));
    }
    events
}

pub(super) fn hashes(mut chance: Chance) -> Vec<Group> {
    let cast = Cast::new(&mut chance);
    let events = events(&cast, &mut chance);
    let each = |requirement: &str, of: &dyn Fn(&Value) -> Value| -> Vec<Vector> {
        let vector = |(comment, event): &(String, Value)| {
            let vector = Vector::valid(requirement, comment, json!({"event": canonical(event)}), of(event));
            let vector = vector.flag(Flag::Seeded);
            if has_fraction(event) { vector.read_by("R07").acceptable() } else { vector }
        };
        events.iter().map(vector).collect()
    };
    // Without an LPDU hash the letter has something else hashed.
    let of_whole = |vector: Vector, event: &Value| {
        let has_lpdu_hash = event.get("hashes").is_some_and(|hashes| hashes.get("lpdu").is_some());
        if has_lpdu_hash { vector } else { vector.read_by("R03").acceptable() }
    };
    let mut whole = each("LM-04/9.1/3", &|event| json!({"sha256": oracle::pdu_hash(event)}));
    whole = whole.into_iter().zip(&events).map(|(vector, (_, event))| of_whole(vector, event)).collect();
    let mut ids = each("LM-04/9.2/1", &|event| json!({"event_id": oracle::event_id(event)}));
    let is_through_hub = |vector: &Vector| {
        vector
            .input
            .get("event")
            .and_then(Value::as_str)
            .is_some_and(|event| event.contains("\"hub_server\""))
    };
    let mut partial = each("LM-04/9.1/2", &|event| json!({"sha256": oracle::lpdu_hash(event)}));
    partial.retain(is_through_hub);
    if let Some((_, sealed)) = events.get(2) {
        let same_id = json!({"event_id": oracle::event_id(sealed)});
        let changed = |requirement: &str, comment: &str, event: &Value| {
            Vector::valid(requirement, comment, json!({"event": canonical(event)}), same_id.clone())
                .flag(Flag::Seeded)
        };
        ids.push(changed(
            "LM-04/9.2/2",
            "without signatures the id is the same",
            &oracle::less(sealed, "signatures"),
        ));
        ids.push(changed("LM-04/9.2/1", "redaction does not change the id", &oracle::redact(sealed)));
        let lpdu = oracle::lpdu_of(sealed);
        let id = json!({"event_id": oracle::event_id(&lpdu)});
        let input = json!({"event": canonical(&lpdu)});
        ids.push(
            Vector::valid("R20", "an LPDU's own id, which is another than that of its PDU", input, id)
                .flag(Flag::Seeded),
        );
    }
    for event in crosscheck_events() {
        let text = |field: &str| event.get(field).and_then(Value::as_str).map(ToOwned::to_owned);
        let Some(pdu) = event.get("pdu") else { continue };
        let input = json!({"event": canonical(pdu)});
        let published = |requirement: &str, expected: Value| {
            Vector::valid(requirement, "published", input.clone(), expected).flag(Flag::Published)
        };
        let content_hash = published("LM-04/9.1/3", json!({"sha256": text("content_hash")}));
        whole.push(of_whole(content_hash, pdu));
        ids.push(published("LM-04/9.2/5", json!({"event_id": text("event_id")})));
        if let Some(hash) = text("lpdu_hash") {
            partial.push(published("LM-04/9.1/2", json!({"sha256": hash})));
        }
    }
    // The empty event, spelled out: what is hashed is `{"content":{}}`.
    let bare = json!({"event": r#"{"content":{},"hashes":{"sha256":"x"},"signatures":{}}"#});
    let by_hand = json!({"sha256": oracle::base64(&oracle::sha256(r#"{"content":{}}"#))});
    whole.push(
        Vector::valid("R03", "without an LPDU hash nothing of `hashes` is hashed", bare, by_hand)
            .acceptable(),
    );
    let with_lpdu = json!({"event": r#"{"content":{},"hashes":{"sha256":"x","lpdu":{"sha256":"y"},"md5":"z"},"signatures":{}}"#});
    let by_hand = r#"{"content":{},"hashes":{"lpdu":{"sha256":"y"}}}"#;
    let by_hand = json!({"sha256": oracle::base64(&oracle::sha256(by_hand))});
    whole.push(Vector::valid(
        "LM-04/9.1/3",
        "of `hashes`, `lpdu` is hashed and nothing else",
        with_lpdu,
        by_hand,
    ));
    vec![
        Group::new(
            "content-hash",
            "`event` is the text of a whole event. `sha256` is its content hash. Of `hashes`, `lpdu` alone is hashed; where \
             there is none, no `hashes` at all is (R03).",
            whole,
        ),
        Group::new(
            "lpdu-content-hash",
            "`event` is the text of an LPDU, or of the event a hub made of one. `sha256` is the LPDU's content hash.",
            partial,
        ),
        Group::new(
            "event-id",
            "`event` is the text of an event. `event_id` is its id, made of its reference hash.",
            ids,
        ),
    ]
}
