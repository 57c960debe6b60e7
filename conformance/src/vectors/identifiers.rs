//! Identifiers and their grammars.

use serde_json::{Value, json};

use super::chance::Chance;
use super::{Flag, Group, Vector};

/// A sound identifier, with its parts.
fn good(requirement: &str, kind: &str, text: &str, comment: &str, parts: &[(&str, Value)]) -> Vector {
    let mut expected = json!({"accepted": true});
    if let Value::Object(members) = &mut expected {
        members.extend(parts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    Vector::valid(requirement, comment, json!({"kind": kind, "text": text}), expected)
}

fn bad(requirement: &str, kind: &str, text: &str, comment: &str) -> Vector {
    Vector::refused(requirement, comment, json!({"kind": kind, "text": text}))
}

fn server_names() -> Vec<Vector> {
    let name = |text: &str, host: &str, port: Option<u16>, comment: &str| {
        good("LM-04/3.1/5", "server_name", text, comment, &[("host", json!(host)), ("port", json!(port))])
    };
    let no = |text: &str, comment: &str| bad("LM-04/3.1/5", "server_name", text, comment);
    let ip = |text: &str, comment: &str| bad("LM-04/3.1/3", "server_name", text, comment);
    let longest = "a".repeat(255);
    vec![
        name("example.org", "example.org", None, "a DNS name"),
        name("example.org:5678", "example.org", Some(5678), "a DNS name with a port"),
        name("localhost", "localhost", None, "one label"),
        name("EXAMPLE.org", "EXAMPLE.org", None, "upper case is kept: case matters"),
        name("a-b.c", "a-b.c", None, "a hyphen"),
        name("1and1.example", "1and1.example", None, "a label that begins with a digit"),
        name("example.org:1", "example.org", Some(1), "the shortest port"),
        name(&longest, &longest, None, "255 characters"),
        no("", "empty"),
        no(":80", "no host"),
        no("example.org:", "no port after the colon"),
        no("example.org:123456", "a port of six digits"),
        no("example.org:12x", "a port that is no number"),
        no("example.org:-1", "a negative port"),
        no("example.org:1:2", "two ports"),
        no("exa_mple.org", "an underscore"),
        no("exämple.org", "a letter beyond ASCII"),
        no("example.org/", "a slash"),
        no("exam ple.org", "a space"),
        no(" example.org", "a leading space"),
        no("example.org\n", "a line break at the end"),
        no(&"a".repeat(256), "256 characters"),
        ip("127.0.0.1", "an IPv4 address"),
        ip("127.0.0.1:8448", "an IPv4 address with a port"),
        ip("[::1]", "an IPv6 address"),
        ip("[2001:db8::1]:8448", "an IPv6 address with a port"),
        ip("2130706433", "an IPv4 address as one number, as resolvers read it").acceptable(),
        ip("0x7f000001", "an IPv4 address in hexadecimal, as resolvers read it").acceptable(),
    ]
}

fn scoped(chance: &mut Chance) -> Vec<Vector> {
    let room = |text: &str, namespace: &str, comment: &str| {
        good("LM-04/3.2/1", "room_id", text, comment, &[("server_name", json!(namespace))])
    };
    let user = |text: &str, local: &str, server: &str, comment: &str| {
        let parts = [("localpart", json!(local)), ("server_name", json!(server))];
        good("LM-04/3.3/1", "user_id", text, comment, &parts)
    };
    let no_room = |text: &str, comment: &str| bad("LM-04/3.2/1", "room_id", text, comment);
    let no_user = |text: &str, comment: &str| bad("LM-04/3.3/1", "user_id", text, comment);
    let fill = |sigil: &str, length: usize| {
        let local = "a".repeat(length.saturating_sub(":example.org".len()).saturating_sub(1));
        format!("{sigil}{local}:example.org")
    };
    let mut vectors = vec![
        room("!abc:example.org", "example.org", "the draft's example"),
        room("!a.B~_-9:example.org:1", "example.org:1", "every kind of character, and a port"),
        room("!A:localhost:80", "localhost:80", "one character"),
        no_room("abc:example.org", "no sigil"),
        no_room("#abc:example.org", "another sigil"),
        no_room("!:example.org", "an empty localpart"),
        no_room("!abc", "no server name"),
        no_room("!abc:", "an empty server name"),
        no_room("!a b:example.org", "a space"),
        no_room("!a/b:example.org", "a slash, which room ids do not have"),
        no_room("!a+b:example.org", "a plus sign, which room ids do not have"),
        no_room("!ä:example.org", "a letter beyond ASCII"),
        no_room("!abc:1.2.3.4", "an IP address for a server name"),
        no_room("!abc:example.org:", "a colon without a port"),
        no_room("", "empty"),
        bad("LM-04/3.2/2", "room_id", &fill("!", 256), "256 characters"),
        good(
            "LM-04/3.2/2",
            "room_id",
            &fill("!", 255),
            "255 characters",
            &[("server_name", json!("example.org"))],
        ),
        user("@alice:example.org", "alice", "example.org", "the draft's example"),
        user("@watch/for/slashes:example.org", "watch/for/slashes", "example.org", "the draft's example"),
        user("@a-._=/+0:example.org:8448", "a-._=/+0", "example.org:8448", "every kind of character"),
        no_user("alice:example.org", "no sigil"),
        no_user("@alice", "no server name"),
        no_user("@:example.org", "an empty localpart"),
        no_user("@al ice:example.org", "a space"),
        no_user("@al~ice:example.org", "a tilde, which room ids have and user ids do not"),
        no_user("@älice:example.org", "a letter beyond ASCII"),
        no_user("@alice:[::1]", "an IPv6 address for a server name"),
        no_user("@@alice:example.org", "two sigils"),
        bad("LM-04/3.3/5", "user_id", "@Alice:example.org", "an upper-case letter in the localpart"),
        bad("LM-04/3.3/2", "user_id", &fill("@", 256), "256 characters"),
    ];
    for _ in 0..8 {
        let (local, server) = (chance.word(9), format!("{}.example", chance.word(6)));
        let text = format!("@{local}:{server}");
        vectors.push(user(&text, &local, &server, "drawn from the seed").flag(Flag::Seeded));
    }
    vectors
}

fn others() -> Vec<Vector> {
    let hash = "$nKHVqt3iyLA_HEE8lT1yUaaVjjBRR-fAqpN4t7opadc";
    let ok = |requirement: &str, kind: &str, text: &str, comment: &str| {
        good(requirement, kind, text, comment, &[])
    };
    vec![
        ok("LM-04/3.5/24", "event_id", hash, "the draft's example"),
        bad("LM-04/3.5/24", "event_id", "$", "no hash"),
        bad("LM-04/3.5/24", "event_id", "nKHVqt3iyLA", "no sigil"),
        bad("LM-04/3.5/24", "event_id", "$a+b", "a character of the standard alphabet"),
        bad("LM-04/3.5/24", "event_id", "$a/b", "a character of the standard alphabet"),
        bad("LM-04/3.5/24", "event_id", "$YQ==", "padding"),
        bad("LM-04/3.5/24", "event_id", "$uuid:example.org", "an id of older Matrix rooms"),
        ok("LM-04/3.4/1", "device_id", "ABCDEF", "the draft's example"),
        ok("LM-04/3.4/1", "device_id", "a_9", "every kind of character"),
        bad("LM-04/3.4/1", "device_id", "", "empty"),
        bad("LM-04/3.4/1", "device_id", "AB-C", "a hyphen"),
        bad("LM-04/3.4/1", "device_id", "AB:C", "a colon"),
        bad("LM-04/3.4/1", "device_id", "ä", "a letter beyond ASCII"),
        ok("LM-04/6/6", "key_id", "ed25519:1", "the draft's example"),
        ok("LM-04/6/5", "key_id", "ed25519:a_B9", "every kind of character in the version"),
        bad("LM-04/6/6", "key_id", "ed25519", "no version"),
        bad("LM-04/6/5", "key_id", "ed25519:", "an empty version"),
        bad("LM-04/6/5", "key_id", "ed25519:a-b", "a hyphen in the version"),
        bad("LM-04/6/5", "key_id", "ed25519:1:2", "a colon in the version"),
        bad("LM-04/6/3", "key_id", "rsa:1", "another algorithm"),
        bad("LM-04/6/3", "key_id", "Ed25519:1", "case matters"),
        ok("LM-04/3.2.1/10", "room_version", "I.1", "the draft's example, against its own grammar")
            .read_by("R09"),
        ok("LM-04/3.2.1/10", "room_version", "1", "a version of Matrix"),
        ok("LM-04/3.2.1/10", "room_version", "org.example.my-room-version", "the draft's example"),
        ok("LM-04/3.2.1/10", "room_version", &"a".repeat(128), "128 characters"),
        bad("LM-04/3.2.1/10", "room_version", &"a".repeat(129), "129 characters"),
        bad("LM-04/3.2.1/10", "room_version", "", "empty"),
        bad("LM-04/3.2.1/10", "room_version", "i.1A", "an upper-case letter"),
        bad("LM-04/3.2.1/10", "room_version", "a_b", "an underscore"),
        bad("LM-04/3.2.1/10", "room_version", "1 2", "a space"),
    ]
}

pub(super) fn groups(mut chance: Chance) -> Vec<Group> {
    let about = "`text` is read as an identifier of the `kind` named. `accepted` says whether it is one; for a server \
                 name come `host` and `port` (null without one), for a room id `server_name`, for a user id \
                 `localpart` and `server_name`.";
    let tests = server_names().into_iter().chain(scoped(&mut chance)).chain(others()).collect();
    vec![Group::new("identifier", about, tests)]
}
