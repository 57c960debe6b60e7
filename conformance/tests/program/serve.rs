//! `mimi serve`

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{Serving, code, http, mimi, output, segment, text};

#[test]
fn it_says_when_it_is_ready_and_ends_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(folder.path(), "localhost:9", "127.0.0.1:0", &[]);
    assert_eq!(serving.ready["server_name"], "localhost:9");
    assert!(serving.address("federation").starts_with("127.0.0.1:"));
    let ca = serving.address("ca");
    assert!(Path::new(&ca).is_absolute() && Path::new(&ca).exists());
    serving.signal("-TERM");
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_configuration_file_does_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (folder.path().join("mimi.toml"), folder.path().join("data"));
    std::fs::write(
        &config,
        format!(
            "server-name = \"localhost:9\"\ndata-dir = {data:?}\nlisten = \"127.0.0.1:0\"\n\
             dns = \"127.0.0.1:53\"\ndelegate-to = \"matrix.example.org:443\"\nnotary = [\"example.org\"]\n\
             limit = [\"idle=60s\", \"body-bytes=4MiB\"]\nrate-limit = [\"off\", \"reads=50/s,500\"]\n"
        ),
    )
    .unwrap();
    let mut child = mimi(&["serve", "--config", config.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&ready["server_name"], &ready["control"]), (&json!("localhost:9"), &Value::Null));
}

/// The command line has precedence over the environment, that over the file; what comes out is a file that says the same.
#[test]
fn a_configuration_can_be_checked_without_starting() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (folder.path().join("mimi.toml"), folder.path().join("data"));
    std::fs::write(
        &config,
        format!(
            "server-name = \"from.file\"\ndata-dir = {data:?}\nlisten = \"127.0.0.1:1\"\n\
             [limit]\nidle = \"60s\"\nbody-bytes = \"4MiB\"\n"
        ),
    )
    .unwrap();
    let check = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = mimi(&["serve", "--check-config"]);
        command.args(arguments).envs(variables.iter().copied()).output().unwrap()
    };
    let file = config.to_str().unwrap();
    let variables = [("MIMI_CONFIG", file), ("MIMI_LISTEN", "127.0.0.1:2"), ("MIMI_DNS", "127.0.0.1:53")];
    let checked = check(&["--listen", "127.0.0.1:3", "--allow-private"], &variables);
    let said = text(&checked.stdout);
    assert_eq!((code(&checked), text(&checked.stderr).as_str()), (0, ""), "{said}");
    for line in [
        format!("server-name = \"from.file\" # {file}:1"),
        "listen = \"127.0.0.1:3\" # command line".to_owned(),
        "dns = \"127.0.0.1:53\" # MIMI_DNS".to_owned(),
        "allow-private = true # command line".to_owned(),
        "log-format = \"text\" # default".to_owned(),
        format!("    \"body-bytes=4MiB\", # {file}:6"),
        "# control is not set".to_owned(),
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert!(!data.exists(), "nothing is made");

    let again = folder.path().join("again.toml");
    std::fs::write(&again, &said).unwrap();
    let second = check(&["--config", again.to_str().unwrap()], &[]);
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("# config"));
        lines.map(|line| line.split(" # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(values(&text(&second.stdout)), values(&said));
}

#[test]
fn every_mistake_in_a_configuration_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("mimi.toml");
    let file = config.to_str().unwrap();
    std::fs::write(&config, "server-nam = \"a.org\"\nlisten = \"here\"\n").unwrap();
    let variables = [("MIMI_DNS", "somebody"), ("MIMI_LISTN", "127.0.0.1:1")];
    for check in [true, false] {
        let mut command = mimi(&["serve", "--config", file]);
        let output = command.args(check.then_some("--check-config")).envs(variables).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(code(&output), 2, "{said}");
        for word in ["mimi.toml:1: there is no setting `server-nam`", "mimi.toml:2: ", "MIMI_DNS: "] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert_eq!(said.contains("MIMI_LISTN: there is no such setting"), check, "{said}");
    }
    std::fs::write(&config, "tls-cert = \"/nowhere.pem\"\ncontrol = \"0.0.0.0:1\"\n").unwrap();
    let output = output(&["serve", "--check-config", "--config", file]);
    let said = text(&output.stderr);
    assert_eq!(code(&output), 2);
    for word in ["--tls-key", "loopback", "--server-name", "--listen", "--data-dir"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_wrong_configuration_ends_with_2_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let with = |more: &[&'static str]| {
        let mut arguments = vec!["serve", "--data-dir", data];
        arguments.extend(more);
        output(&arguments)
    };
    for (more, word) in [
        (vec!["--listen", "127.0.0.1:0"], "--server-name"),
        (vec!["--server-name", "localhost"], "--listen"),
        (vec!["--server-name", "127.0.0.1", "--listen", "127.0.0.1:0"], "IP address"),
        (vec!["--server-name", "localhost", "--listen", "somewhere"], "--listen"),
        (vec!["--server-name", "localhost", "--listen", "127.0.0.1:0", "--control", "0.0.0.0:0"], "loopback"),
        (
            vec!["--server-name", "localhost", "--listen", "127.0.0.1:0", "--ca", "/nowhere.pem"],
            "/nowhere.pem",
        ),
        (vec!["--server-name", "localhost", "--listen", "127.0.0.1:0", "--tls-cert", "x.pem"], "--tls-key"),
        (vec!["--server-name", "localhost", "--listen", "127.0.0.1:0", "--resolve", "x"], "NAME=IP:PORT"),
        (vec!["--server-name", "localhost", "--listen", "127.0.0.1:0", "--dns", "localhost:53"], "--dns"),
        (
            vec!["--server-name", "localhost", "--listen", "127.0.0.1:0", "--delegate-to", "127.0.0.1:1"],
            "IP address",
        ),
        (
            vec!["--server-name", "localhost", "--listen", "127.0.0.1:0", "--delegate-to", "a..org"],
            "not the name of a host that can be contacted",
        ),
        (vec!["--server-name", "localhost", "--rate-limit", "reads=fast"], "is no rate"),
        (vec!["--server-name", "localhost", "--rate-limit", "writes=5/s"], "none of reads"),
        (vec!["--server-name", "localhost", "--limit", "idle=0"], "is no number"),
        (vec!["--server-name", "localhost", "--limit", "patience=5"], "connections-per-address"),
        (vec!["--config", "/nowhere.toml"], "/nowhere.toml"),
    ] {
        let output = with(&more);
        assert_eq!(code(&output), 2, "{more:?}");
        assert!(text(&output.stderr).contains(word), "{more:?}: {}", text(&output.stderr));
    }
}

/// It may be there later: systemd starts the process again, as it does not after a 2.
#[test]
fn a_store_that_is_not_there_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens at a port that was let go of.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = format!("nats://mimi:s3cret@127.0.0.1:{port}?replicas=1");
    let data = folder.path().to_str().unwrap();
    let arguments = [
        "serve",
        "--server-name",
        "localhost:9",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data,
        "--store",
        &store,
    ];
    let ended = output(&arguments);
    assert_eq!(code(&ended), 1, "{}", text(&ended.stderr));
    assert!(text(&ended.stderr).contains("the store cannot be reached"), "{}", text(&ended.stderr));
    let mut check = arguments.to_vec();
    check.push("--check-config");
    let checked = output(&check);
    assert_eq!(code(&checked), 0, "{}", text(&checked.stderr));
    assert!(!text(&checked.stdout).contains("s3cret"), "{}", text(&checked.stdout));
}

#[test]
fn two_servers_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Serving::start(folder.path(), "localhost:9", "127.0.0.1:0", &[]);
    let data = folder.path().to_str().unwrap();
    let second =
        output(&["serve", "--server-name", "localhost:9", "--listen", "127.0.0.1:0", "--data-dir", data]);
    assert_eq!(code(&second), 2, "{}", text(&second.stderr));
}

/// Whatever was acknowledged before `kill -9` is there afterwards, in one unbroken list.
#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut room = Value::Null;
    for round in 0..3 {
        let mut serving = Serving::start(folder.path(), "localhost:9", "127.0.0.1:0", &[]);
        if round == 0 {
            room = serving.control("POST", "/rooms", Some(&json!({"creator": "alice"}))).1;
        }
        let (address, path) =
            (serving.address("control"), format!("/control/v1/rooms/{}/events", segment(&room)));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut ids = Vec::new();
                for number in 0..10_000 {
                    let body = json!({"sender": "alice", "type": "m.room.message", "content": {"n": number}});
                    let sent = std::panic::catch_unwind(|| http(&address, "POST", &path, Some(&body)));
                    match sent {
                        Ok((200, answer)) => ids.push(answer["event_id"].as_str().unwrap().to_owned()),
                        _ => break,
                    }
                    if ids.len() == 50 {
                        done.store(true, Ordering::Release);
                    }
                }
                ids
            });
            while !done.load(Ordering::Acquire) && !writer.is_finished() {
                std::thread::yield_now();
            }
            serving.child.kill().unwrap();
            acknowledged.extend(writer.join().unwrap());
        });
    }
    assert!(acknowledged.len() >= 150);
    let serving = Serving::start(folder.path(), "localhost:9", "127.0.0.1:0", &[]);
    let (status, list) = serving.control("GET", &format!("/rooms/{}/events", segment(&room)), None);
    assert_eq!(status, 200);
    let (_, summary) = serving.control("GET", &format!("/rooms/{}", segment(&room)), None);
    let mut all = list["events"].as_array().unwrap().clone();
    let mut next = list["next"].clone();
    while let Some(from) = next.as_u64() {
        let page = serving.control("GET", &format!("/rooms/{}/events?from={from}", segment(&room)), None).1;
        all.extend(page["events"].as_array().unwrap().iter().cloned());
        next = page["next"].clone();
    }
    assert_eq!(summary["length"], all.len());
    let followed: BTreeSet<String> = all
        .iter()
        .filter_map(|event| Some(event["prev_events"][0].as_str()?.to_owned()))
        .chain([summary["head"].as_str().unwrap().to_owned()])
        .collect();
    assert_eq!(followed.len(), all.len(), "one unbroken list");
    assert!(acknowledged.is_subset(&followed), "an acknowledged event is gone");
}
