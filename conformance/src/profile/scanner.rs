//! A scanner of media, for a reference server that has to have one.

use axum::Router;
use axum::body::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The test file that every scanner is to find (EICAR, 2006), in two parts: scanners of source code find it too.
const TEST_FILE: [&str; 2] = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-", "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];

/// The test file that every scanner is to find.
pub(crate) fn test_file() -> String {
    TEST_FILE.concat()
}

/// A scanner that finds the test file and nothing else. It runs until it is dropped.
#[derive(Debug)]
pub(super) struct Scanner {
    pub(super) url: String,
    task: JoinHandle<()>,
}

impl Drop for Scanner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scanner {
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/scan", listener.local_addr()?);
        let scan = async |content: Bytes| {
            let found = String::from_utf8_lossy(&content).contains(&test_file());
            let info = if found { "the test file" } else { "" };
            ([(CONTENT_TYPE, "application/json")], json!({"clean": !found, "info": info}).to_string())
        };
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, Router::new().fallback(scan)).await {
                tracing::warn!(%error, "the scanner of media ended");
            }
        });
        Ok(Self { url, task })
    }
}
