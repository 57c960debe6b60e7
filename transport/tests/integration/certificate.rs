//! A server that gets a new certificate while it runs.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mimi_linearized::id::ServerName;
use mimi_transport::clock;
use mimi_transport::start::{Server, ServerConfig};
use mimi_transport::tls::{ClientOffer, DevCa, Roots, client_config};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// How long a new certificate may take to be shown: the files are looked at every five seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a new connection to the server is good for somebody who trusts this CA alone.
async fn is_good(server: &Server, ca: &Path) -> bool {
    let mut roots = Roots::none();
    roots.add_pem_file(ca).unwrap();
    let tls = client_config(&roots, ClientOffer::default()).unwrap();
    let tcp = TcpStream::connect(server.federation()).await.unwrap();
    TlsConnector::from(tls).connect("localhost".try_into().unwrap(), tcp).await.is_ok()
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let issue = |name: &str| {
        let ca = DevCa::open(&at(name), clock::now_ms()).unwrap();
        let certificate = ca.server_certificate(&at(name), &["localhost"], clock::now_ms()).unwrap();
        (ca.certificate().to_owned(), certificate)
    };
    let ((first, files), (second, others)) = (issue("first"), issue("second"));
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("localhost:{}", tcp.local_addr().unwrap().port());
    let config = ServerConfig {
        certificate: Some(files.clone()),
        ..ServerConfig::new(ServerName::parse(&name).unwrap(), at("data"))
    };
    let server = Server::start(config, tcp, None).await.unwrap();
    assert!(is_good(&server, &first).await && !is_good(&server, &second).await);

    fs::copy(&others.key, &files.key).unwrap();
    fs::copy(&others.certificate, &files.certificate).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !is_good(&server, &second).await {
        assert!(Instant::now() < deadline, "the new certificate is not shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!is_good(&server, &first).await);
    server.stop().await.unwrap();
}
