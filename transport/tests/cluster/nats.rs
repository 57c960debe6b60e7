//! NATS servers that a test starts itself, on free ports.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether there is a `nats-server` to start. If not, a test has nothing to try, and says so where it is seen; with
/// `MIMI_REQUIRE_NATS=1` that is a failure.
pub(crate) fn is_here() -> bool {
    let version = Command::new("nats-server").arg("--version").stdout(Stdio::null()).status();
    let is_here = version.is_ok_and(|status| status.success());
    if !is_here {
        assert!(
            std::env::var_os("MIMI_REQUIRE_NATS").is_none_or(|value| value != "1"),
            "MIMI_REQUIRE_NATS=1, and there is no nats-server on the PATH"
        );
        // Not with `eprintln!`, which is only shown of tests that fail.
        let _ = writeln!(std::io::stderr(), "skipped: there is no nats-server on the PATH");
    }
    is_here
}

/// What a server is started with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    /// Its name.
    pub(crate) name: String,
    /// Where it is reached by clients and by other servers; free ports the first time.
    pub(crate) ports: Option<(u16, u16)>,
    /// The addresses of the other servers of its cluster; without any it is alone.
    pub(crate) routes: Vec<String>,
    /// The user and the password that a client has to have, if any.
    pub(crate) login: Option<(String, String)>,
}

/// A NATS server with JetStream. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct NatsServer {
    child: Child,
    client: u16,
    cluster: u16,
}

impl NatsServer {
    pub(crate) fn start(folder: &Path, setting: &Setting) -> Self {
        let ports = folder.join("ports");
        let _ = fs::remove_dir_all(&ports);
        fs::create_dir_all(&ports).unwrap();
        let port = |port: Option<u16>| port.map_or("-1".to_owned(), |port| port.to_string());
        let mut config = format!(
            "server_name: {}\nlisten: \"127.0.0.1:{}\"\nports_file_dir: \"{}\"\njetstream {{ store_dir: \"{}\" }}\n{}",
            setting.name,
            port(setting.ports.map(|ports| ports.0)),
            ports.display(),
            folder.join("data").display(),
            if std::env::var_os("MIMI_CLUSTER_KEEP").is_some() { "debug: true\n" } else { "" },
        );
        if !setting.routes.is_empty() {
            // What is advertised leads nowhere, so that the servers meet by their routes only.
            config += &format!(
                "cluster {{ name: test, listen: \"127.0.0.1:{}\", advertise: \"127.0.0.1:1\", no_advertise: true, routes: [{}] }}\n",
                port(setting.ports.map(|ports| ports.1)),
                setting
                    .routes
                    .iter()
                    .map(|route| format!("\"nats://{route}\""))
                    .collect::<Vec<_>>()
                    .join(", "),
            );
        }
        if let Some((user, password)) = &setting.login {
            config += &format!("authorization {{ user: \"{user}\", password: \"{password}\" }}\n");
        }
        let file = folder.join("nats.conf");
        fs::write(&file, config).unwrap();
        let log = folder.join("nats.log");
        let child = Command::new("nats-server")
            .arg("-c")
            .arg(&file)
            .arg("-l")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, client: 0, cluster: 0 };
        let found = server.await_ports(&ports, &log);
        let of = |kind: &str| {
            let url = found[kind].as_array().and_then(|urls| urls.first()?.as_str().map(ToOwned::to_owned));
            url.and_then(|url| url.rsplit(':').next()?.parse().ok()).unwrap_or(0)
        };
        (server.client, server.cluster) = (of("nats"), of("cluster"));
        server
    }

    /// The file in which the server says where it listens, once it does.
    fn await_ports(&mut self, folder: &Path, log: &Path) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let file: PathBuf = folder.join(format!("nats-server_{}.ports", self.child.id()));
        loop {
            if let Some(ports) = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
                return ports;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "nats-server does not start ({ended:?}): {}",
                fs::read_to_string(log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where clients reach it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports().0)
    }

    /// The ports at which clients and other servers reach it; 0 for the latter if it is alone.
    pub(crate) fn ports(&self) -> (u16, u16) {
        (self.client, self.cluster)
    }

    /// Kills it at once, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
