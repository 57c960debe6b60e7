//! `mimi check`

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Serving, code, mimi, output, segment, text};

/// A room of a real server and its keys, as files.
fn dumped(folder: &std::path::Path) -> (String, String, Vec<Value>) {
    let data = folder.join("data");
    let serving = Serving::start(&data, "localhost:9", "127.0.0.1:0", &[]);
    let settings = json!({"creator": "alice", "name": "dumped", "encrypted": true});
    let room = serving.control("POST", "/rooms", Some(&settings)).1;
    let events =
        serving.control("GET", &format!("/rooms/{}/events", segment(&room)), None).1["events"].clone();
    // The keys are taken from the data folder: the test speaks no TLS.
    let line = fs::read_to_string(data.join("signing.key")).unwrap();
    let (id, seed) = line.trim().split_once(' ').unwrap();
    let seed = mimi_linearized::base64::decode_array(seed).unwrap();
    let key = mimi_linearized::signing::SigningKey::from_seed(id.parse().unwrap(), &seed);
    let until = events[0]["origin_server_ts"].as_i64().unwrap() + 60_000;
    let keys = mimi_linearized::signing::ServerKeys::publish(&"localhost:9".parse().unwrap(), &key, until);
    let (room_file, keys_file) = (folder.join("room.json"), folder.join("keys.json"));
    fs::write(&room_file, events.to_string()).unwrap();
    fs::write(&keys_file, json!([keys.as_object()]).to_string()).unwrap();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    (path(&room_file), path(&keys_file), events.as_array().unwrap().clone())
}

#[test]
fn a_dumped_room_is_accepted_and_a_changed_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (room, keys, mut events) = dumped(folder.path());
    let accepted = output(&["check", "--kind", "room", "--keys", &keys, &room]);
    assert_eq!(code(&accepted), 0, "{}", text(&accepted.stdout));

    let name = events.iter_mut().find(|event| event["type"] == "m.room.name").unwrap();
    name["content"]["name"] = json!("dumpee");
    fs::write(&room, json!(events).to_string()).unwrap();
    let refused = output(&["check", "--kind", "room", "--keys", &keys, &room]);
    assert_eq!(code(&refused), 1);
    let said = text(&refused.stdout);
    assert!(said.contains("m.room.name") && said.contains("content hash"), "{said}");

    let as_json = output(&["check", "--kind", "room", "--keys", &keys, "--json", &room]);
    let outcome: Value = serde_json::from_slice(&as_json.stdout).unwrap();
    assert_eq!((code(&as_json), &outcome["ok"]), (1, &json!(false)));
    let remark = &outcome["remarks"][0];
    assert!(remark["event_id"].is_string() && remark["index"].is_u64());
}

#[test]
fn a_document_comes_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let (_, keys, events) = dumped(folder.path());
    let mut child =
        mimi(&["check", "--keys", &keys]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(events[0].to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
}

#[test]
fn what_cannot_be_checked_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let (room, keys, _) = dumped(folder.path());
    for arguments in [
        vec!["check", "/nowhere.json"],
        vec!["check", "--keys", "/nowhere.json", &room],
        vec!["check", "--keys", &room, &room],
        vec!["check", "--kind", "room", &room],
        vec!["check", "--kind", "event", "--keys", &keys, &room],
        vec!["check", "--kind", "poem", &room],
    ] {
        let output = output(&arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", text(&output.stdout));
    }
}

/// A rejection is explained: what, where, by which rule, and what would have been accepted.
#[test]
fn a_rejection_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("event.json");
    let explained = |document: &str| {
        fs::write(&file, document).unwrap();
        let ended = output(&["check", file.to_str().unwrap()]);
        assert_eq!(code(&ended), 1, "{document}: {}", text(&ended.stdout));
        text(&ended.stdout)
    };
    let lpdu = json!({
        "room_id": "!r:hub.example", "type": "m.x", "sender": "@bob:second.example", "origin_server_ts": 1,
        "content": {}, "hub_server": "hub.example", "hashes": {"lpdu": {"sha256": "AAAA"}}, "signatures": {},
    });
    let with = |field: &str, value: Value| {
        let mut lpdu = lpdu.clone();
        lpdu[field] = value;
        lpdu.to_string()
    };
    for (document, expected) in [
        ("{\"a\": 1,\n x}".to_owned(), vec!["line 2, column 2", "rule: LM-04/7/2"]),
        (
            r#"{"a":[{"b~/":1,"b~/":2}]}"#.to_owned(),
            vec!["occurs twice", "at: /a/0/b~0~1", "accepted: each key once"],
        ),
        (
            r#"{"a":[0,9007199254740992]}"#.to_owned(),
            vec!["at: /a/1", "accepted: an integer from -9007199254740991"],
        ),
        (
            with("sender", json!("@Bob:x.example")),
            vec!["'B'", "at: /sender", "rule: LM-04/3.5/8", "accepted: `@`, small"],
        ),
        (
            with("origin_server_ts", json!("1")),
            vec!["at: /origin_server_ts", "rule: LM-04/3.5/9", "accepted: an integer"],
        ),
        (
            with("hashes", json!({})),
            vec!["at: /hashes/lpdu", "rule: LM-04/3.5/16", "accepted: `lpdu`, an object"],
        ),
        (
            with("prev_events", json!([])),
            vec!["at: /prev_events", "LM-04/3.5.1/3", "accepted: both `auth_events` and"],
        ),
        (lpdu.to_string(), vec!["it is AAAA", "at: /hashes/lpdu/sha256", "LM-04/5.1/11", "accepted: "]),
    ] {
        let said = explained(&document);
        for part in expected {
            assert!(said.contains(part), "{document}: no {part:?} in\n{said}");
        }
    }
}

#[test]
fn a_refused_event_of_a_room_is_explained_too() {
    let folder = tempfile::tempdir().unwrap();
    let (room, keys, mut events) = dumped(folder.path());
    let swapped = events.len() - 1;
    events.swap(swapped, swapped - 1);
    fs::write(&room, json!(events).to_string()).unwrap();
    let said = text(&output(&["check", "--kind", "room", "--keys", &keys, &room]).stdout);
    for part in ["at: /prev_events", "rule: LM-04/3.5/21", "accepted: the id of the event before it, $"] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
}

#[test]
fn published_keys_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (_, keys, _) = dumped(folder.path());
    let sound = output(&["check", &keys]);
    assert_eq!((code(&sound), text(&sound.stdout).as_str()), (0, "ok: 1 key response\n"));

    let mut responses: Value = serde_json::from_slice(&fs::read(&keys).unwrap()).unwrap();
    let original = responses[0].clone();
    responses[0]["valid_until_ts"] = json!(1);
    let mut textual = original.clone();
    textual["valid_until_ts"] = json!("soon");
    responses.as_array_mut().unwrap().extend([textual, original]);
    fs::write(&keys, responses.to_string()).unwrap();
    let refused = output(&["check", "--kind", "keys", &keys]);
    let said = text(&refused.stdout);
    assert_eq!(code(&refused), 1);
    for part in [
        "fault in entry 0 (keys of localhost:9): ",
        "at: /signatures",
        "fault in entry 1 (keys of localhost:9): `valid_until_ts`",
        "at: /valid_until_ts\n  rule: LM-04/12.4.1.2/4\n  accepted: an integer of milliseconds",
        "2 faults: 3 key responses checked",
    ] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    let as_json = output(&["check", "--json", &keys]);
    let outcome: Value = serde_json::from_slice(&as_json.stdout).unwrap();
    assert_eq!((&outcome["kind"], &outcome["remarks"][1]["at"]), (&json!("keys"), &json!("/valid_until_ts")));
    assert!(outcome["remarks"][1]["accepted"].is_string());
}
