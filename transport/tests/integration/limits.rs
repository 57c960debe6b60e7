//! Connections that take more than their share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mimi_transport::client::{ClientError, RawRequest};
use mimi_transport::server::ServerLimits;
use mimi_transport::tls::{ClientOffer, client_config};
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::server::{World, key, soon};

/// A connection of one's own, and what becomes of it.
async fn connect(
    world: &World,
    address: SocketAddr,
) -> (http2::SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let tls = TlsConnector::from(client_config(&world.roots(), ClientOffer::default()).unwrap());
    let tcp = TcpStream::connect(address).await.unwrap();
    let tls = tls.connect(ServerName::try_from("a.example").unwrap(), tcp).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn get_slow() -> Request<Full<Bytes>> {
    Request::get("https://a.example/slow").body(Full::default()).unwrap()
}

/// A router whose `/slow` never answers, and counts how often it is asked.
fn never() -> (Router, Arc<AtomicUsize>, Arc<Notify>) {
    let (asked, more) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, notify) = (Arc::clone(&asked), Arc::clone(&more));
    let wait = move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        notify.notify_one();
        std::future::pending::<()>().await;
    };
    (Router::new().route("/slow", get(wait)).route("/", get(async || "fine")), asked, more)
}

#[tokio::test]
async fn one_address_gets_no_more_connections_than_its_share() {
    let mut world = World::new();
    // A connection that is not closed at once stays silent for longer than the test waits.
    let handshake = Duration::from_secs(3_600);
    let limits = ServerLimits { connections_per_address: 1, handshake, ..ServerLimits::default() };
    let server = world.start_within("a.example", never().0, limits).await;
    let (first, connection) = connect(&world, server.address).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let ended = soon(second.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    drop(first);
    soon(connection).await.unwrap().unwrap();
    // There is room again once the server has seen the end of the first.
    let client = world.client("b.example", [key(1)]);
    soon(async {
        while client.request(&server.name, &Method::GET, "/", None).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_has_no_more_requests_at_once_than_its_share() {
    let mut world = World::new();
    let limits = ServerLimits { streams: 2, ..ServerLimits::default() };
    let (router, asked, more) = never();
    let server = world.start_within("a.example", router, limits).await;
    let (mut sender, _connection) = connect(&world, server.address).await;
    // With the first answer the client has been told how many there may be.
    let first = Request::get("https://a.example/").body(Full::default()).unwrap();
    assert_eq!(soon(sender.send_request(first)).await.unwrap().status(), 200);
    let requests: Vec<_> = (0..2).map(|_| tokio::spawn(sender.send_request(get_slow()))).collect();
    while asked.load(Ordering::SeqCst) < 2 {
        soon(more.notified()).await;
    }
    let third = tokio::spawn(sender.send_request(get_slow()));
    // It does not arrive. A server that let it through would have it soon.
    let arrives = async {
        while asked.load(Ordering::SeqCst) < 3 {
            more.notified().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(300), arrives).await.is_err());
    for request in requests {
        request.abort();
    }
    while asked.load(Ordering::SeqCst) < 3 {
        soon(more.notified()).await;
    }
    assert!(!third.is_finished());
}

#[tokio::test]
async fn a_connection_on_which_requests_are_given_up_is_closed() {
    let mut world = World::new();
    let limits = ServerLimits { resets: 5, ..ServerLimits::default() };
    let (router, asked, more) = never();
    let server = world.start_within("a.example", router, limits).await;
    let (mut sender, connection) = connect(&world, server.address).await;
    let requests: Vec<_> = (0..50).map(|_| tokio::spawn(sender.send_request(get_slow()))).collect();
    while asked.load(Ordering::SeqCst) < 50 {
        soon(more.notified()).await;
    }
    assert!(!connection.is_finished());
    for request in requests {
        request.abort();
    }
    // However it ends: the server breaks off.
    let _ = soon(connection).await.unwrap();
    let client = world.client("b.example", [key(1)]);
    client.request(&server.name, &Method::GET, "/", None).await.unwrap();
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_asked_is_closed() {
    let mut world = World::new();
    let limits = ServerLimits { idle: Duration::from_millis(10), ..ServerLimits::default() };
    let server = world.start_within("a.example", never().0, limits).await;
    let (_sender, connection) = connect(&world, server.address).await;
    soon(connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_head_that_is_far_too_large_is_refused_by_http_itself() {
    let mut world = World::new();
    let limits = ServerLimits { header_bytes: 2_000, ..ServerLimits::default() };
    let server = world.start_within("a.example", never().0, limits).await;
    let client = world.client("b.example", [key(1)]);
    let ask = async |size: usize| {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-padding", "x".repeat(size).parse().unwrap());
        let request = RawRequest { method: Method::GET, target: "/".to_owned(), headers, body: Bytes::new() };
        client.send_raw(&server.name, request, mimi_transport::client::CallLimits::default()).await
    };
    assert_eq!(ask(1_000).await.unwrap().status, 200);
    match ask(4_000).await {
        Ok(answer) => assert_eq!(answer.status, 431),
        Err(error) => assert!(matches!(error, ClientError::Protocol(_)), "{error}"),
    }
}
