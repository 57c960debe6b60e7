//! `mimi run --driver matrix=URL` with a real homeserver: Synapse, from PyPI, on loopback.
//!
//! `MIMI_SYNAPSE` names a Python that has it (`pip install matrix-synapse`); `python3` unless set. Where there is none the
//! test tries nothing and says so, unless `MIMI_REQUIRE_SYNAPSE` is set.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{code, http, mimi, output, text};

/// How long it may take to start, with its database to be made.
const PATIENCE: Duration = Duration::from_secs(180);

/// A Python that has Synapse.
fn python() -> Option<String> {
    let python = std::env::var("MIMI_SYNAPSE").unwrap_or_else(|_| "python3".to_owned());
    let mut probe = Command::new(&python);
    probe.args(["-c", "import synapse.app.homeserver"]).stdin(Stdio::null());
    let found = probe.output().is_ok_and(|output| output.status.success());
    assert!(found || std::env::var_os("MIMI_REQUIRE_SYNAPSE").is_none(), "{python} has no Synapse");
    found.then_some(python)
}

/// A homeserver while it runs. It is killed when the test is over.
struct Homeserver {
    child: Child,
    name: String,
    client_api: String,
}

impl Drop for Homeserver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Homeserver {
    /// Starts one that trusts the suite's CA and has a certificate of it, and waits until it says that it is ready.
    fn start(python: &str, folder: &Path, peers: &Path) -> Self {
        // Both are held until both are known, so that they differ.
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [federation, client] = ports.map(|port| port.local_addr().unwrap().port());
        let (name, config) = (format!("localhost:{federation}"), folder.join("homeserver.json"));
        let generous = serde_json::json!({"per_second": 1000, "burst_count": 1000});
        // YAML is a superset of JSON.
        let settings = serde_json::json!({
            "server_name": name, "pid_file": folder.join("pid"), "report_stats": false,
            "listeners": [
                {"port": federation, "tls": true, "type": "http", "bind_addresses": ["127.0.0.1"],
                 "resources": [{"names": ["federation"]}]},
                {"port": client, "tls": false, "type": "http", "bind_addresses": ["127.0.0.1"],
                 "resources": [{"names": ["client"]}]},
            ],
            "tls_certificate_path": peers.join("tls.pem"), "tls_private_key_path": peers.join("tls-key.pem"),
            "federation_custom_ca_list": [peers.join("ca.pem")],
            "ip_range_blacklist": [],
            "database": {"name": "sqlite3", "args": {"database": folder.join("homeserver.db")}},
            "media_store_path": folder.join("media"), "signing_key_path": folder.join("signing.key"),
            "macaroon_secret_key": "of a test", "form_secret": "of a test",
            "enable_registration": true, "enable_registration_without_verification": true,
            "trusted_key_servers": [], "suppress_key_server_warning": true, "bcrypt_rounds": 4,
            "rc_registration": generous, "rc_message": generous,
            "rc_login": {"address": generous, "account": generous},
        });
        std::fs::write(&config, settings.to_string()).unwrap();
        let run = |more: &[&str]| {
            let mut command = Command::new(python);
            command.args(["-m", "synapse.app.homeserver", "-c", config.to_str().unwrap()]).args(more);
            command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
            command
        };
        let keys = run(&["--generate-keys"]).output().unwrap();
        assert!(keys.status.success(), "{}", text(&keys.stderr));
        // It tells systemd, or whoever has it started, when it is ready.
        let (socket, log) = (folder.join("notify"), std::fs::File::create(folder.join("log")).unwrap());
        let notices = UnixDatagram::bind(&socket).unwrap();
        let child = run(&[]).env("NOTIFY_SOCKET", &socket).stderr(log).spawn().unwrap();
        let homeserver = Self { child, name, client_api: format!("127.0.0.1:{client}") };
        notices.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut notice = [0; 256];
        let read = notices.recv(&mut notice).unwrap();
        let said = text(&notice[..read]);
        assert!(said.contains("READY=1"), "{said}");
        homeserver
    }
}

#[test]
fn a_homeserver_is_driven_and_judged() {
    let Some(python) = python() else {
        return eprintln!(
            "skipped: there is no Synapse here (`pip install matrix-synapse`), so this tries nothing"
        );
    };
    let folder = tempfile::tempdir().unwrap();
    let peers = folder.path().join("peers");
    let peers_text = peers.to_str().unwrap();
    let setup = output(&["run", "--print-setup", "--target", "localhost", "--peer-ca-dir", peers_text]);
    assert_eq!(code(&setup), 0, "{}", text(&setup.stderr));
    let homeserver = Homeserver::start(&python, folder.path(), &peers);
    let run = |more: &[&str]| {
        let driver = format!("matrix=http://{}", homeserver.client_api);
        let mut arguments = vec!["run", "--target", &homeserver.name, "--driver", &driver];
        arguments.extend(["--peer-ca-dir", peers_text, "--json", "-"]);
        arguments.extend(more);
        mimi(&arguments).output().unwrap()
    };
    // It has no HTTP/2, so that the suite's servers have to have HTTP/1.1, or nothing can be judged.
    assert_eq!(code(&run(&["--only", "12.4*"])), 3);

    let judged = run(&["--peer-http1"]);
    let said = text(&judged.stderr);
    assert!(said.contains("joined and wrote, and it was read back"), "{said}");
    let report: Value = serde_json::from_slice(&judged.stdout).unwrap();
    let verdict = |id: &str| {
        let case = report["cases"].as_array().unwrap().iter().find(|case| case["id"] == id).unwrap();
        (case["verdict"].as_str().unwrap().to_owned(), case["reason"].as_str().unwrap_or_default().to_owned())
    };
    // Its key server, notary and authentication are judged, rightly: it answers 401 where a 401 is due, by another name.
    assert_eq!(verdict("12.4.1.2/response").0, "pass");
    assert_eq!(verdict("12.4.1.2/active-key").0, "pass");
    assert_eq!(verdict("12.4.1.4/no-servers").0, "pass");
    assert_eq!(verdict("12.1/certificate").0, "pass");
    assert_eq!(verdict("12/http2").0, "fail");
    let (failed, why) = verdict("12.4/wrong-destination");
    assert!(failed == "fail" && why.contains("M_UNAUTHORIZED"), "{failed}: {why}");
    // What needs a room of Linearized Matrix is skipped, and says so.
    let (skipped, why) = verdict("5.2.3/not-joined");
    assert!(skipped == "skip" && why.contains("no room version of Linearized Matrix"), "{skipped}: {why}");
    assert_eq!(code(&judged), 1);

    // The users are there by now, and are logged in.
    let again = run(&["--peer-http1", "--only", "12.4.1.2/response"]);
    assert_eq!(code(&again), 0, "{}", text(&again.stderr));
    // A password that is not theirs drives nothing.
    let wrong = run(&["--peer-http1", "--matrix-password", "another"]);
    assert_eq!(code(&wrong), 3);
    assert!(text(&wrong.stderr).contains("two users are registered, or log in"), "{}", text(&wrong.stderr));
    let (status, _) = http(&homeserver.client_api, "GET", "/_matrix/client/versions", None);
    assert_eq!(status, 200);
    has_a_place_in_the_matrix(&homeserver, folder.path());
}

/// A homeserver without rooms of Linearized Matrix is in the table, with the reason why nothing is tried.
fn has_a_place_in_the_matrix(homeserver: &Homeserver, folder: &Path) {
    let (file, name) = (folder.join("matrix.toml"), &homeserver.name);
    let entries = |password: &str| {
        format!(
            "[[server]]\nname = 'synapse'\nserver-name = '{name}'\ndriver = 'matrix=http://{}'\nca = 'peers/ca.pem'\n\
             {password}[[server]]\nname = 'broken'\nstart = ['{{mimi}}', 'no-such-command']\n",
            homeserver.client_api
        )
    };
    let cells = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let tried = output(&["matrix", file.to_str().unwrap(), "--json", "-"]);
        assert_eq!(code(&tried), 1, "{}", text_of(&tried));
        let matrix: Value = serde_json::from_slice(&tried.stdout).unwrap();
        matrix["cells"].as_array().unwrap().clone()
    };
    let with_itself = &cells(&entries(""))[0];
    assert_eq!(with_itself["verdict"], "skip", "{with_itself}");
    // Its password is looked at before anything else.
    let refused = &cells(&entries("password = 'another'\n"))[1];
    assert!(refused["reason"].as_str().unwrap().contains("two users are registered, or log in"), "{refused}");

    let reference = "[[server]]\nname = 'ours'\nstart = ['{mimi}', 'serve', '--server-name', '{name}', '--listen', '{listen}', \
                     '--control', '127.0.0.1:0', '--data-dir', '{data}', '--tls-cert', '{cert}', '--tls-key', '{key}', \
                     '--ca', '{ca}', '--allow-private']\n";
    let homeserver = entries("");
    let homeserver = homeserver.split("[[server]]\nname = 'broken'").next().unwrap();
    std::fs::write(&file, format!("{homeserver}{reference}")).unwrap();
    let tried = output(&["matrix", file.to_str().unwrap(), "--json", "-"]);
    assert_eq!(code(&tried), 0, "{}", text_of(&tried));
    let matrix: Value = serde_json::from_slice(&tried.stdout).unwrap();
    let verdicts: Vec<_> = matrix["cells"].as_array().unwrap().iter().map(|cell| &cell["verdict"]).collect();
    assert_eq!(verdicts, ["skip", "skip", "skip", "pass"], "{matrix}");
    let why = matrix["cells"][1]["reason"].as_str().unwrap();
    assert!(why.contains("synapse") && why.contains("no room version of Linearized Matrix"), "{why}");
}

fn text_of(output: &std::process::Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}
