//! `mimi check`

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
    let line = std::fs::read_to_string(data.join("signing.key")).unwrap();
    let (id, seed) = line.trim().split_once(' ').unwrap();
    let seed = mimi_linearized::base64::decode_array(seed).unwrap();
    let key = mimi_linearized::signing::SigningKey::from_seed(id.parse().unwrap(), &seed);
    let until = events[0]["origin_server_ts"].as_i64().unwrap() + 60_000;
    let keys = mimi_linearized::signing::ServerKeys::publish(&"localhost:9".parse().unwrap(), &key, until);
    let (room_file, keys_file) = (folder.join("room.json"), folder.join("keys.json"));
    std::fs::write(&room_file, events.to_string()).unwrap();
    std::fs::write(&keys_file, json!([keys.as_object()]).to_string()).unwrap();
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
    std::fs::write(&room, json!(events).to_string()).unwrap();
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
