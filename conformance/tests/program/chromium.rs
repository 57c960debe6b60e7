//! A Chromium without a window, driven over a pipe by its DevTools protocol: JSON messages, each ended by a NUL byte.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What it may be called.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// A browser with one page. It is killed when the test is over.
pub(crate) struct Chromium {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    next: u64,
    session: Option<String>,
    /// What the page told unasked: warnings and errors of its console, exceptions, what a policy refused.
    events: VecDeque<Value>,
    _profile: TempDir,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Chromium {
    /// Starts it. Where there is none, the test tries nothing and says so, unless `MIMI_REQUIRE_CHROMIUM` is set.
    pub(crate) fn start() -> Option<Self> {
        let is_there = |name: &&&str| {
            let found =
                Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            found.is_ok_and(|status| status.success())
        };
        let Some(name) = NAMES.iter().find(is_there) else {
            assert!(
                std::env::var_os("MIMI_REQUIRE_CHROMIUM").is_none(),
                "there is no Chromium, and it is required"
            );
            eprintln!("skipped: there is no Chromium here, so that the page is looked at by nobody");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        // The browser reads commands from descriptor 3 and writes to 4: what are standard input and output here.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", name])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--disable-background-networking", "--disable-extensions", "--hide-scrollbars"])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (session, events) = (None, VecDeque::new());
        let mut this = Self { child, to, from, next: 0, session, events, _profile: profile };
        let target = this.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attached =
            this.call("Target.attachToTarget", &json!({"targetId": target["targetId"], "flatten": true}));
        this.session = attached["sessionId"].as_str().map(ToOwned::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            this.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(this)
    }

    /// Calls a method and returns its result.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(message.to_string().as_bytes()).unwrap();
        self.to.write_all(&[0]).unwrap();
        self.to.flush().unwrap();
        loop {
            let message = self.read();
            if message["id"] == self.next {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push_back(message);
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "Chromium is gone");
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Opens a file and waits until it is loaded. What was told of pages before is forgotten.
    pub(crate) fn open(&mut self, path: &Path, fragment: &str) {
        // By way of an empty page: to another place of the same page there is nothing to load.
        for url in ["about:blank", &format!("file://{}{fragment}", path.display())] {
            self.events.clear();
            self.call("Page.navigate", &json!({"url": url}));
            while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
                let message = self.read();
                self.events.push_back(message);
            }
        }
    }

    /// Makes the page as wide and high as a screen.
    pub(crate) fn resize(&mut self, width: u32, height: u32, mobile: bool) {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", &screen);
    }

    /// Has it prefer light or dark.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// The value of an expression in the page, once everything that it set off there is done.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({
            "expression": format!("(async () => {{ const value = (() => {{ {expression} }})();
                await new Promise((done) => setTimeout(() => requestAnimationFrame(done), 0)); return value; }})()"),
            "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let result = self.call("Runtime.evaluate", &parameters);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// What the console has that is no information, and what went wrong besides.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        self.evaluate("return 0");
        let is_bad = |event: &&Value| match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => true,
            "Runtime.consoleAPICalled" => {
                matches!(event["params"]["type"].as_str(), Some("error" | "warning" | "assert"))
            }
            "Log.entryAdded" => {
                matches!(event["params"]["entry"]["level"].as_str(), Some("error" | "warning"))
            }
            _ => false,
        };
        self.events.iter().filter(is_bad).map(ToString::to_string).collect()
    }

    /// The URLs of everything that the page asked for.
    pub(crate) fn requested(&mut self) -> Vec<String> {
        self.evaluate("return 0");
        let requests = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        requests.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// Role and name of every control that somebody can reach, as assistive technology is told.
    pub(crate) fn controls(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let value = |node: &Value, what: &str| node[what]["value"].as_str().unwrap_or_default().to_owned();
        let is_control = |node: &&Value| {
            let roles = [
                "button",
                "link",
                "textbox",
                "searchbox",
                "combobox",
                "checkbox",
                "DisclosureTriangle",
                "image",
                "img",
            ];
            node["ignored"] != true && roles.contains(&value(node, "role").as_str())
        };
        let nodes = tree["nodes"].as_array().unwrap();
        nodes.iter().filter(is_control).map(|node| (value(node, "role"), value(node, "name"))).collect()
    }

    /// The page as PNG, for a person to look at.
    pub(crate) fn screenshot(&mut self, path: &Path, whole: bool) {
        let shot = self.call(
            "Page.captureScreenshot",
            &json!({"format": "png", "captureBeyondViewport": whole, "fromSurface": true}),
        );
        let text = shot["data"].as_str().unwrap().trim_end_matches('=');
        std::fs::write(path, mimi_linearized::base64::decode(text).unwrap()).unwrap();
    }
}
