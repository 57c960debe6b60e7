//! A bit that flips in the database is reported. What is served is what was written.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::pair::list;
use super::{Serving, code, http, mimi, output, segment, text};

const NAME: &str = "localhost:9";

/// A server's folder with a room in which something was said, and the room's list. The server has ended.
fn written(data: &Path) -> (Value, Vec<Value>) {
    let mut serving = Serving::start(data, NAME, "127.0.0.1:0", &[]);
    let (_, room) = serving.control("POST", "/rooms", Some(&json!({"creator": "alice"})));
    for number in 0..20 {
        let content = json!({"number": number, "body": "some words that can be damaged"});
        let body = json!({"sender": "alice", "type": "m.room.message", "content": content});
        assert_eq!(serving.control("POST", &format!("/rooms/{}/events", segment(&room)), Some(&body)).0, 200);
    }
    let all = list(&serving, &room);
    // All has to be in the file that is damaged, nothing in the log beside it.
    loop {
        serving.signal("-TERM");
        assert_eq!(serving.child.wait().unwrap().code(), Some(0));
        if !data.join("store.sqlite3-wal").exists() {
            return (room, all);
        }
        serving = Serving::start(data, NAME, "127.0.0.1:0", &[]);
    }
}

/// What a server with a damaged file did.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It did not start, and said why.
    NotStarted,
    /// It answered with an error.
    Refused,
    /// What it served is what was written.
    Unharmed,
}

/// Starts a server on what is in the folder, and asks for the room's list.
fn serve(data: &Path, room: &Value, all: &[Value], more: &[&str]) -> Outcome {
    let folder = data.to_str().unwrap();
    let mut arguments = vec!["serve", "--server-name", NAME, "--listen", "127.0.0.1:0", "--data-dir", folder];
    arguments.extend(["--control", "127.0.0.1:0"]);
    arguments.extend(more);
    let mut child = mimi(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
        .unwrap();
    let Ok(ready) = serde_json::from_str::<Value>(&line) else {
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(code(&output), 2, "{said}");
        assert!(said.contains("mimi serve: the database"), "{said}");
        return Outcome::NotStarted;
    };
    let path = format!("/control/v1/rooms/{}/events", segment(room));
    let (status, answer) = http(ready["control"].as_str().unwrap(), "GET", &path, None);
    child.kill().unwrap();
    child.wait().unwrap();
    if status == 200 {
        assert_eq!(answer["events"].as_array().unwrap(), all, "something else is served than was written");
        return Outcome::Unharmed;
    }
    // A room whose name is damaged is not known any more.
    assert!(status == 500 || status == 404, "{status} {answer}");
    Outcome::Refused
}

fn flip(original: &[u8], bit: usize) -> Vec<u8> {
    let mut damaged = original.to_vec();
    damaged[bit / 8] ^= 1 << (bit % 8);
    damaged
}

#[test]
fn a_flipped_bit_is_reported_and_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (room, all) = written(data);
    let file = data.join("store.sqlite3");
    let original = std::fs::read(&file).unwrap();

    // In what somebody said, which SQLite has no opinion on: the room is not served. Pages have remains of what stood in
    // them before, so all of them are damaged.
    let words = b"some words that can be damaged";
    let places: Vec<usize> =
        (0..original.len() - words.len()).filter(|at| original[*at..].starts_with(words)).collect();
    assert!(places.len() >= 20, "{}", places.len());
    let damaged = places.iter().fold(original.clone(), |damaged, at| flip(&damaged, at * 8));
    std::fs::write(&file, damaged).unwrap();
    assert_eq!(serve(data, &room, &all, &[]), Outcome::Refused);
    // In the file's structure: the server does not start.
    let tree = places.last().unwrap() / 4096 * 4096;
    std::fs::write(&file, flip(&original, (tree + 8) * 8 + 6)).unwrap();
    assert_eq!(serve(data, &room, &all, &[]), Outcome::NotStarted);
    let checked = output(&[
        "serve",
        "--server-name",
        NAME,
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
    ]);
    assert_eq!(code(&checked), 2);
    assert!(text(&checked.stderr).contains("malformed database file"), "{}", text(&checked.stderr));

    // Anywhere where there is something.
    let used: Vec<usize> = (0..original.len()).filter(|at| original[*at] != 0).collect();
    let mut outcomes = Vec::new();
    for _ in 0..12 {
        let bit = used[rand::random::<u32>() as usize % used.len()] * 8 + rand::random::<u8>() as usize % 8;
        eprintln!("bit {bit}");
        std::fs::write(&file, flip(&original, bit)).unwrap();
        let _ = std::fs::remove_file(data.join("store.sqlite3-wal"));
        outcomes.push(serve(data, &room, &all, &[]));
    }
    eprintln!("{outcomes:?}");
    std::fs::write(&file, &original).unwrap();
    assert_eq!(serve(data, &room, &all, &[]), Outcome::Unharmed);
}
