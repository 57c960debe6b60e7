//! The schema of events: what is an LPDU, what a PDU, and what is neither.

use serde_json::{Value, json};

use super::chance::Chance;
use super::events::{Cast, TS};
use super::oracle::{self, canonical, less, with};
use super::{Flag, Group, Vector};

/// The largest event, in bytes of canonical JSON.
const LARGEST: usize = 65_536;

/// An event whose canonical JSON has exactly so many bytes.
fn of_size(event: &Value, bytes: usize) -> Value {
    let filled = |length: usize| with(event, "content", json!({"body": "x".repeat(length)}));
    filled(bytes.saturating_sub(canonical(&filled(0)).len()))
}

struct Shapes<'e> {
    kind: &'static str,
    sound: &'e Value,
}

impl Shapes<'_> {
    fn input(&self, event: &Value) -> Value {
        json!({"event": canonical(event)})
    }

    fn yes(&self, requirement: &str, comment: &str, event: &Value) -> Vector {
        let expected = json!({"accepted": true, "is": self.kind, "event_id": oracle::event_id(event)});
        Vector::valid(requirement, comment, self.input(event), expected).flag(Flag::Seeded)
    }

    fn no(&self, requirement: &str, comment: &str, event: &Value) -> Vector {
        Vector::refused(requirement, comment, self.input(event)).flag(Flag::Seeded)
    }

    /// What an LPDU and a PDU have in common.
    fn shared(&self) -> Vec<Vector> {
        let event = self.sound;
        let set = |field: &str, value: Value| with(event, field, value);
        let long = "x".repeat(255);
        let too_long = "x".repeat(256);
        let umlauts = "\u{e4}".repeat(128);
        let mut tests = vec![
            self.yes("LM-04/5.1/4", "a sound event", event),
            self.yes("LM-04/3.5/6", "no state key", &less(event, "state_key")),
            self.yes("LM-04/3.5/6", "an empty state key", &set("state_key", json!(""))),
            self.yes("LM-04/3.5/7", "a state key of 255 bytes", &set("state_key", json!(long))),
            self.no("LM-04/3.5/7", "a state key of 256 bytes", &set("state_key", json!(too_long))),
            self.no("R07", "a state key of 128 characters and 256 bytes", &set("state_key", json!(umlauts))),
            self.no("LM-04/3.5/6", "a state key that is null", &set("state_key", Value::Null)),
            self.no("LM-04/3.5/6", "a state key that is a number", &set("state_key", json!(1))),
            self.yes("LM-04/3.5/5", "a type of 255 bytes", &set("type", json!(long))),
            self.no("LM-04/3.5/5", "a type of 256 bytes", &set("type", json!(too_long))),
            self.no("LM-04/3.5/3", "a type that is a number", &set("type", json!(1))),
            self.no("LM-04/3.5/2", "a room id without a sigil", &set("room_id", json!("abc:hub.example"))),
            self.no("LM-04/3.5/2", "a room id that is a number", &set("room_id", json!(1))),
            self.no(
                "LM-04/3.5/8",
                "a sender that is no user id",
                &set("sender", json!("@Bob:second.example")),
            ),
            self.no("LM-04/3.5/8", "a sender that is null", &set("sender", Value::Null)),
            self.yes("LM-04/3.5/9", "a time before 1970", &set("origin_server_ts", json!(-1))),
            self.no("LM-04/3.5/9", "a time as text", &set("origin_server_ts", json!(TS.to_string()))),
            self.no("LM-04/3.5/9", "a time with a fraction", &set("origin_server_ts", json!(1.5))),
            self.no("LM-04/3.5/9", "a time that is null", &set("origin_server_ts", Value::Null)),
            self.no("LM-04/3.5/13", "content that is an array", &set("content", json!([]))),
            self.no("LM-04/3.5/13", "content that is null", &set("content", Value::Null)),
            self.yes("LM-04/5.1/5", "content that breaks its type's schema is no matter of shape", &{
                let member = set("type", json!("m.room.member"));
                with(&member, "content", json!({"membership": 7}))
            }),
            self.no("LM-04/3.5/11", "a hub that is an IP address", &set("hub_server", json!("127.0.0.1"))),
            self.no("LM-04/3.5/11", "a hub that is null", &set("hub_server", Value::Null)),
            self.no("LM-04/3.5/15", "hashes that are text", &set("hashes", json!("x"))),
            self.no(
                "LM-04/3.5/15",
                "an LPDU hash that is text",
                &set("hashes", json!({"sha256": "AAAA", "lpdu": "AAAA"})),
            ),
            self.no("LM-04/3.5/18", "signatures that are an array", &set("signatures", json!([]))),
            self.no(
                "LM-04/3.5/18",
                "a server's signatures that are text",
                &set("signatures", json!({"hub.example": "x"})),
            ),
            self.no(
                "LM-04/3.5/18",
                "a signature that is a number",
                &set("signatures", json!({"hub.example": {"ed25519:1": 1}})),
            ),
            self.yes("LM-04/3.5/25", "exactly 65,536 bytes", &of_size(event, LARGEST)),
            self.no("LM-04/3.5/25", "65,537 bytes", &of_size(event, LARGEST.saturating_add(1))),
            self.yes(
                "LM-04/8/1",
                "a member that nobody knows",
                &set("org.example.x", json!([1, {"a": null}])),
            ),
        ];
        for (requirement, field) in [
            ("LM-04/3.5/2", "room_id"),
            ("LM-04/3.5/3", "type"),
            ("LM-04/3.5/8", "sender"),
            ("LM-04/3.5/9", "origin_server_ts"),
            ("LM-04/3.5/13", "content"),
            ("LM-04/3.5/15", "hashes"),
            ("LM-04/3.5/18", "signatures"),
        ] {
            tests.push(self.no(requirement, &format!("no `{field}`"), &less(event, field)));
        }
        let integral = canonical(event).replace(&TS.to_string(), &format!("{TS}.0"));
        let expected = json!({"accepted": true, "is": self.kind, "event_id": oracle::event_id(event)});
        let input = json!({"event": integral});
        let comment = "a time with a fraction of zero is an integer, and hashed as one";
        tests.push(Vector::valid("R07", comment, input, expected).flag(Flag::Seeded));
        for (text, comment) in [
            ("[]", "an array"),
            ("1", "a number"),
            ("", "nothing"),
            ("{", "no JSON"),
            ("{}", "an empty object"),
        ] {
            tests.push(Vector::refused("LM-04/5.1/4", comment, json!({"event": text})));
        }
        let twice = canonical(event).replacen('{', r#"{"type":"m.other","#, 1);
        tests.push(Vector::refused("R07", "a key twice", json!({"event": twice})).flag(Flag::Seeded));
        tests
    }
}

pub(super) fn groups(mut chance: Chance) -> Vec<Group> {
    let cast = Cast::new(&mut chance);
    let lpdu = oracle::lpdu(&cast.message(&cast.bob, "hello"), &cast.hub.name, &cast.second);
    let pdu = oracle::seal(&lpdu, &["$auth".to_owned()], &["$prev".to_owned()], &cast.hub);
    let partial = Shapes { kind: "lpdu", sound: &lpdu };
    let whole = Shapes { kind: "pdu", sound: &pdu };
    let mut of_lpdus = partial.shared();
    of_lpdus.extend([
        partial.no("LM-04/3.5.1/2", "an LPDU with auth events alone", &with(&lpdu, "auth_events", json!([]))),
        partial.no(
            "LM-04/3.5.1/3",
            "an LPDU with predecessors alone",
            &with(&lpdu, "prev_events", json!([])),
        ),
        partial.no(
            "LM-04/3.5.1/4",
            "an LPDU with the hash of a whole event",
            &with(&lpdu, "hashes", json!({"lpdu": {"sha256": "AAAA"}, "sha256": "AAAA"})),
        ),
        partial.no(
            "LM-04/3.5.1/4",
            "an LPDU with another hash beside",
            &with(&lpdu, "hashes", json!({"lpdu": {"sha256": "AAAA"}, "md5": "AAAA"})),
        ),
        partial.no("LM-04/3.5.1/5", "an LPDU without its hash", &with(&lpdu, "hashes", json!({}))),
        partial.no(
            "LM-04/3.5.1/5",
            "an LPDU hash by another algorithm alone",
            &with(&lpdu, "hashes", json!({"lpdu": {"md5": "AAAA"}})),
        ),
        partial.yes(
            "LM-04/3.5/15",
            "an LPDU hash by a second algorithm",
            &with(&lpdu, "hashes", json!({"lpdu": {"sha256": "AAAA", "sha512": "AAAA"}})),
        ),
        partial.yes(
            "LM-04/5.1/4",
            "the hash does not match: that is no matter of shape",
            &with(&lpdu, "content", json!({})),
        ),
        partial.yes(
            "LM-04/5.1/4",
            "no signatures: that is no matter of shape",
            &with(&lpdu, "signatures", json!({})),
        ),
    ]);
    let mut of_pdus = whole.shared();
    of_pdus.extend([
        whole.no("LM-04/3.5/19", "auth events that are text", &with(&pdu, "auth_events", json!("$auth"))),
        whole.no("LM-04/3.5/19", "an auth event that is a number", &with(&pdu, "auth_events", json!([1]))),
        whole.no(
            "LM-04/3.5/19",
            "an auth event that is no event id",
            &with(&pdu, "auth_events", json!(["auth"])),
        ),
        whole.no("LM-04/3.5/20", "predecessors that are text", &with(&pdu, "prev_events", json!("$prev"))),
        whole.no(
            "LM-04/3.5/20",
            "a predecessor that is no event id",
            &with(&pdu, "prev_events", json!([""])),
        ),
        whole.yes("LM-04/3.5/22", "two predecessors, without a hub", &{
            let own = oracle::seal(&cast.message(&cast.alice, "x"), &[], &[], &cast.hub);
            with(&own, "prev_events", json!(["$a", "$b"]))
        }),
        whole.no("LM-04/3.5/19", "predecessors without auth events", &less(&pdu, "auth_events")),
        whole.no("LM-04/3.5/20", "auth events without predecessors", &less(&pdu, "prev_events")),
        whole.no(
            "LM-04/3.5/15",
            "no hash of the whole event",
            &with(&pdu, "hashes", json!({"lpdu": {"sha256": "AAAA"}})),
        ),
        whole.no("LM-04/3.5/16", "a hub, and no LPDU hash", &with(&pdu, "hashes", json!({"sha256": "AAAA"}))),
        whole.no("LM-04/3.5/17", "an LPDU hash, and no hub", &less(&pdu, "hub_server")),
        whole.yes("LM-04/3.5/15", "a hash by a second algorithm", &{
            let hashes = json!({"sha256": "AAAA", "sha512": "AAAA", "lpdu": {"sha256": "AAAA"}});
            with(&pdu, "hashes", hashes)
        }),
    ]);
    let about = "`event` is a text that somebody sends as an entry of `pdus`. `accepted` says whether it has the shape of \
                 an event at all (anything else is dropped), `is` tells an LPDU (`lpdu`) from a whole event (`pdu`), \
                 `event_id` is its id.";
    vec![Group::new("event-shape", about, [of_lpdus, of_pdus].concat())]
}
