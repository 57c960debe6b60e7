//! `mimi vectors`

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{code, output, text};

fn written(folder: &Path, more: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let written = output(&[&["vectors", folder.to_str().unwrap()], more].concat());
    assert_eq!(code(&written), 0, "{}", text(&written.stderr));
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

#[test]
fn what_is_written_verifies_until_one_character_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let files = written(folder.path(), &[]);
    let verified = output(&["vectors", "--verify", path]);
    assert_eq!(code(&verified), 0, "{}", text(&verified.stdout));

    let mut file: Value = serde_json::from_slice(&files["hashes.json"]).unwrap();
    let test = &mut file["groups"][0]["tests"][1];
    let (id, hash) = (test["id"].clone(), test["expected"]["sha256"].as_str().unwrap().to_owned());
    let other = if hash.starts_with('A') { "B" } else { "A" };
    test["expected"]["sha256"] = json!(format!("{other}{}", &hash[1..]));
    fs::write(folder.path().join("hashes.json"), file.to_string()).unwrap();
    let refused = output(&["vectors", "--verify", path]);
    let said = text(&refused.stdout);
    assert_eq!(code(&refused), 1, "{said}");
    assert!(said.starts_with(&format!("hashes.json: {}: ", id.as_str().unwrap())), "{said}");
    assert!(said.contains(&hash) && said.lines().count() == 2, "{said}");
}

#[test]
fn a_file_that_is_missing_or_has_another_name_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    written(folder.path(), &[]);
    fs::rename(folder.path().join("base64.json"), folder.path().join("base65.json")).unwrap();
    fs::remove_file(folder.path().join("rooms.json")).unwrap();
    let refused = output(&["vectors", "--verify", path]);
    let said = text(&refused.stdout);
    assert_eq!(code(&refused), 1, "{said}");
    assert!(
        said.contains("rooms.json: it is missing\n") && said.contains("base65.json: its `subject` is"),
        "{said}"
    );
    assert!(said.ends_with(" 2 failed\n"), "{said}");
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_one_vectors_that_hold_too() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |name: &str, seed: &str| written(&folder.path().join(name), &["--seed", seed]);
    let (one, again, other) = (in_folder("a", "5"), in_folder("b", "5"), in_folder("c", "6"));
    assert!(one == again && one != other);
    let total: u64 = one
        .values()
        .map(|file| serde_json::from_slice::<Value>(file).unwrap()["count"].as_u64().unwrap())
        .sum();
    assert!(total >= 300, "{total}");
    let verified = output(&["vectors", "--verify", folder.path().join("c").to_str().unwrap()]);
    assert_eq!(code(&verified), 0, "{}", text(&verified.stdout));
}

#[test]
fn what_cannot_be_verified_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for arguments in [
        vec!["vectors"],
        vec!["vectors", "--verify"],
        vec!["vectors", path, "--verify", path],
        vec!["vectors", path, "--seed", "x"],
        vec!["vectors", "--verify", "/nowhere"],
        vec!["vectors", "--verify", path],
    ] {
        let ended = output(&arguments);
        assert_eq!(code(&ended), 2, "{arguments:?}: {}", text(&ended.stdout));
    }
    fs::write(folder.path().join("poem.json"), "{}").unwrap();
    let ended = output(&["vectors", "--verify", path]);
    assert_eq!(code(&ended), 2);
    assert!(text(&ended.stderr).contains("poem.json"), "{}", text(&ended.stderr));
}
