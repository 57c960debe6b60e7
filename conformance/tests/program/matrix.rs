//! `mimi matrix`

#[path = "../../../transport/tests/cluster/nats.rs"]
mod nats;

use serde_json::{Value, json};

use super::{Serving, code, mimi, output, text};

#[test]
fn the_reference_server_works_with_itself_in_every_room_version() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("matrix.html");
    let output = output(&["matrix", "--seed", "4", "--json", "-", "--html", page.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let matrix: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&matrix["format"], &matrix["servers"]), (&json!(1), &json!(["mimi, embedded"])));
    let versions = matrix["room_versions"].as_array().unwrap();
    let cells = matrix["cells"].as_array().unwrap();
    assert!(versions.len() == 2 && cells.len() == 2, "{matrix}");
    for (cell, version) in cells.iter().zip(versions) {
        assert_eq!((&cell["verdict"], &cell["room_version"]), (&json!("pass"), version));
        let steps: Vec<_> =
            cell["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
        assert!(steps.len() == 7 && steps.contains(&"encrypted both ways"), "{steps:?}");
    }
    assert!(text(&output.stderr).contains("2 pairs passed, 0 partly, 0 failed, 0 skipped"));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && !page.contains("<script"));
}

#[test]
fn the_pairs_of_one_implementation_are_its_stores() {
    if !nats::is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let setting = nats::Setting { name: "alone".to_owned(), ..nats::Setting::default() };
    let server = nats::NatsServer::start(folder.path(), &setting);
    let store = format!("nats://{}?replicas=1&prefix=lab", server.address());
    let output = output(&["matrix", "--store", "embedded", "--store", &store]);
    assert_eq!(code(&output), 0, "{}{}", text(&output.stdout), text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.contains("8 pairs passed, 0 partly, 0 failed, 0 skipped"), "{table}");
    assert!(table.contains("mimi, nats") && !table.contains(&server.address()), "{table}");
}

#[test]
fn servers_that_run_are_tried_in_both_roles_and_what_does_not_work_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let ca_dir = path("lab");
    assert_eq!(code(&output(&["run", "--print-setup", "--peer-ca-dir", &ca_dir])), 0);
    let ca = path("lab/ca.pem");
    // One that others find only if they are told where; one that nobody tells.
    let alone = Serving::start(
        &folder.path().join("data"),
        "localhost:9",
        "127.0.0.1:0",
        &["--ca", &ca, "--allow-private"],
    );
    let trusted = alone.address("ca");
    let reference = format!(
        "start = ['{{mimi}}', 'serve', '--server-name', '{{name}}', '--listen', '{{listen}}', '--control', '127.0.0.1:0',
         '--data-dir', '{{data}}', '--tls-cert', '{{cert}}', '--tls-key', '{{key}}', '--ca', '{{ca}}', '--ca', '{trusted}',
         '--allow-private']"
    );
    let file = format!(
        "[[server]]\nname = 'found'\n{reference}\n[[server]]\nname = 'lost'\nserver-name = 'localhost:9'\n\
         driver = 'control=http://{}'\nca = '{trusted}'\nresolve = ['localhost:9={}']\n\
         [[server]]\nname = 'broken'\nstart = ['{{mimi}}', 'no-such-command']\n",
        alone.address("control"),
        alone.address("federation"),
    );
    std::fs::write(folder.path().join("matrix.toml"), file).unwrap();
    let output = mimi(&["matrix", "matrix.toml", "--ca-dir", "lab", "--json", "matrix.json"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 1, "{}", text(&output.stderr));
    let matrix: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("matrix.json")).unwrap()).unwrap();
    let cell = |hub: &str, participant: &str| {
        let mut cells = matrix["cells"].as_array().unwrap().iter();
        cells.find(|cell| cell["hub"] == hub && cell["participant"] == participant).unwrap().clone()
    };
    assert_eq!(cell("found", "found")["verdict"], "pass");
    // It is one, and cannot be in its own room from outside.
    assert_eq!(cell("lost", "lost")["verdict"], "skip");
    // The room is made, and the server that should join it is not found.
    let (steps, verdict) = (cell("found", "lost")["steps"].clone(), cell("found", "lost")["verdict"].clone());
    assert_eq!(
        (verdict, &steps[0]["name"], steps[0].get("error")),
        (json!("fail"), &json!("room made"), None)
    );
    assert!(steps[1]["name"] == "invited and joined" && steps[1]["error"].is_string(), "{steps}");
    for (hub, participant) in [("broken", "found"), ("found", "broken"), ("broken", "broken")] {
        let cell = cell(hub, participant);
        assert!(
            cell["verdict"] == "fail" && cell["reason"].as_str().unwrap().contains("unrecognized subcommand"),
            "{cell}"
        );
    }
    let table = text(&output.stdout);
    assert!(table.contains("fail   found with lost (I.1): invited and joined: "), "{table}");
}

#[test]
fn a_file_without_servers_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("matrix.toml");
    std::fs::write(&file, "room-versions = ['I.1']\n").unwrap();
    let refused = output(&["matrix", file.to_str().unwrap()]);
    assert_eq!(code(&refused), 2);
    assert!(text(&refused.stderr).contains("names no [[server]]"));
    assert_eq!(code(&output(&["matrix", "/nowhere.toml"])), 2);
}
