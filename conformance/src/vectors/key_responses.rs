//! Published keys: answers to `GET /_matrix/key/v2/server` (LM-04 §12.4.1.2).

use serde_json::{Value, json};

use super::chance::Chance;
use super::events::TS;
use super::oracle::{self, Server, canonical, with};
use super::{Flag, Group, Vector};

fn published(server: &Server) -> Value {
    json!({
        "server_name": server.name,
        "valid_until_ts": TS,
        "m.linearized": true,
        "verify_keys": {server.key_id.as_str(): {"key": server.public()}},
        "old_verify_keys": {},
    })
}

fn responses(server: &Server, old: &Server) -> Vec<Vector> {
    let plain = published(server);
    let sign = |object: &Value| oracle::signed_object(object, server);
    let retired = json!({old.key_id.as_str(): {"key": old.public(), "expired_ts": 100}});
    let read = |verify: Value, old: Value| json!({"accepted": true, "server_name": server.name, "valid_until_ts": TS, "verify_keys": verify, "old_verify_keys": old});
    let own = json!({server.key_id.as_str(): server.public()});
    let input = |object: &Value| json!({"response": canonical(object)});
    let yes = |requirement: &str, comment: &str, object: &Value, expected: &Value| {
        Vector::valid(requirement, comment, input(object), expected.clone()).flag(Flag::Seeded)
    };
    let no = |requirement: &str, comment: &str, object: &Value| {
        Vector::refused(requirement, comment, input(object)).flag(Flag::Seeded)
    };
    let set = |field: &str, value: Value| sign(&with(&plain, field, value));
    let sound = read(own.clone(), json!({}));
    let with_old =
        read(own.clone(), json!({old.key_id.as_str(): {"public_key": old.public(), "expired_ts": 100}}));
    let padded = json!({server.key_id.as_str(): {"key": format!("{}=", server.public())}});
    let two =
        json!({server.key_id.as_str(): {"key": server.public()}, "ed25519:other": {"key": old.public()}});
    let both = json!({server.key_id.as_str(): server.public(), "ed25519:other": old.public()});
    let foreign = json!({server.key_id.as_str(): {"key": server.public()}, "rsa:1": {"key": "AAAA"}});
    vec![
        yes("LM-04/12.4.1.2/2", "a sound answer", &sign(&plain), &sound),
        yes(
            "LM-04/12.4.1.2/5",
            "without `m.linearized`",
            &sign(&oracle::less(&plain, "m.linearized")),
            &sound,
        ),
        yes(
            "LM-04/12.4.1.2/7",
            "without `old_verify_keys`",
            &sign(&oracle::less(&plain, "old_verify_keys")),
            &sound,
        ),
        yes("LM-04/12.4.1.2/7", "with a retired key", &set("old_verify_keys", retired), &with_old),
        yes("LM-04/12.4.1.2/6", "two keys, signed by one", &set("verify_keys", two), &read(both, json!({}))),
        yes("LM-04/10/2", "a key with padding", &set("verify_keys", padded), &sound),
        yes(
            "LM-04/6/3",
            "a key of another algorithm beside is left aside",
            &set("verify_keys", foreign),
            &sound,
        ),
        yes("LM-04/12.4.1.2/2", "a member that nobody knows", &set("x", json!(1)), &sound),
        yes(
            "LM-04/12.4.1.3/6",
            "a notary's signature beside",
            &oracle::signed_object(&sign(&plain), old),
            &sound,
        ),
        no("LM-04/12.4.1.2/2", "not signed", &plain),
        no(
            "LM-04/12.4.1.2/2",
            "signed by a key that it does not list",
            &oracle::signed_object(&plain, &Server { name: server.name.clone(), ..old.clone() }),
        ),
        no("LM-04/12.4.1.2/2", "signed by another server alone", &oracle::signed_object(&plain, old)),
        no(
            "LM-04/12.4.1.2/2",
            "changed after it was signed",
            &with(&sign(&plain), "valid_until_ts", json!(TS.saturating_add(1))),
        ),
        no("LM-04/12.4.1.2/3", "no server name", &sign(&oracle::less(&plain, "server_name"))),
        no("LM-04/12.4.1.2/3", "an IP address for a server name", &set("server_name", json!("127.0.0.1"))),
        no("LM-04/12.4.1.2/4", "a validity as text", &set("valid_until_ts", json!(TS.to_string()))),
        no("LM-04/12.4.1.2/4", "no validity", &sign(&oracle::less(&plain, "valid_until_ts"))),
        no("LM-04/12.4.1.2/6", "no keys", &sign(&oracle::less(&plain, "verify_keys"))),
        no(
            "LM-04/12.4.1.2/6",
            "a key that is text where an object should be",
            &set("verify_keys", json!({server.key_id.as_str(): server.public()})),
        ),
        no(
            "LM-04/6/4",
            "a key of 31 bytes",
            &set("verify_keys", json!({server.key_id.as_str(): {"key": oracle::base64(&[9; 31])}})),
        ),
        no(
            "R08",
            "a key of small order",
            &set("verify_keys", json!({server.key_id.as_str(): {"key": oracle::base64(&[0; 32])}})),
        ),
        no(
            "LM-04/12.4.1.2/7",
            "a retired key without `expired_ts`",
            &set("old_verify_keys", json!({old.key_id.as_str(): {"key": old.public()}})),
        ),
        no("LM-04/12.4.1.2/2", "an array", &json!([])),
    ]
}

fn standings(server: &Server, old: &Server) -> Vec<Vector> {
    let current = oracle::signed_object(&published(server), server);
    let rotated = {
        let next = Server::new(&server.name, "next", old.seed);
        let keys = json!({next.key_id.as_str(): {"key": next.public()}});
        let retired = json!({server.key_id.as_str(): {"key": server.public(), "expired_ts": 1_000}});
        let object = with(&with(&published(server), "verify_keys", keys), "old_verify_keys", retired);
        oracle::signed_object(&object, &next)
    };
    let vector = |requirement: &str, comment: &str, response: &Value, key: &str, at: i64, standing: &str| {
        let input =
            json!({"response": canonical(response), "server_name": server.name, "key_id": key, "at": at});
        Vector::valid(requirement, comment, input, json!({"standing": standing})).flag(Flag::Seeded)
    };
    let (key, after) = (server.key_id.as_str(), TS.saturating_add(1));
    vec![
        vector("LM-04/12.4.1.1/4", "at the last moment", &current, key, TS, "valid").read_by("R33"),
        vector("LM-04/12.4.1.1/4", "a moment later", &current, key, after, "expired")
            .read_by("R33")
            .acceptable(),
        vector("LM-04/6.3/3", "a key that is not listed", &current, "ed25519:no", TS, "unknown"),
        vector("LM-04/12.4.1.2/8", "a retired key while it counted", &rotated, key, 1_000, "valid")
            .read_by("R33"),
        vector("LM-04/12.4.1.2/8", "a retired key afterwards", &rotated, key, 1_001, "expired")
            .read_by("R33")
            .acceptable(),
        vector("LM-04/12.4.1.1/4", "its successor", &rotated, "ed25519:next", TS, "valid").read_by("R33"),
    ]
}

pub(super) fn groups(mut chance: Chance) -> Vec<Group> {
    let server = Server::new("server.example", &chance.word(4), chance.bytes());
    let old = Server::new("notary.example", "old", chance.bytes());
    let about = "`response` is the text of an answer. `accepted` says whether it is usable and signed by a key it lists; \
                 then come its members, with public keys in base64 and keys of other algorithms left out.";
    let about_at = "After the answer in `response`, `standing` is that of a key for something that is dated `at`: \
                    `valid`, `expired` or `unknown`.";
    vec![
        Group::new("key-response", about, responses(&server, &old)),
        Group::new("key-standing", about_at, standings(&server, &old)),
    ]
}
