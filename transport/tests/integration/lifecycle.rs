//! Listeners that come and go, and clients that find the next one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mimi_transport::client::{ClientError, ClientLimits};
use mimi_transport::clock::now_ms;
use mimi_transport::server::{ServerLimits, serve_plain};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio_rustls::TlsAcceptor;

use crate::server::{World, key, name, soon};

/// A router whose `/slow` waits until it is let go.
fn slow(text: &'static str) -> (Router, Arc<Notify>, Arc<Notify>) {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, outside) = (Arc::clone(&entered), Arc::clone(&release));
    let wait = move || async move {
        inside.notify_one();
        outside.notified().await;
        text
    };
    (Router::new().route("/slow", get(wait)).route("/", get(move || async move { text })), entered, release)
}

#[tokio::test]
async fn shutdown_lets_requests_finish_and_takes_no_more() {
    let mut world = World::new();
    let (router, entered, release) = slow("done");
    // Idle connections end by themselves, not because the time to drain is over.
    let patient = ServerLimits { drain: Duration::from_secs(3600), ..ServerLimits::default() };
    let mut server = world.start_within("a.example", router, patient).await;
    let (name, address) = (server.name.clone(), server.address);
    let client = world.client("b.example", [key(1)]);
    let request = tokio::spawn({
        let (client, name) = (client.clone(), name.clone());
        async move { client.request(&name, &Method::GET, "/slow", None).await }
    });
    soon(entered.notified()).await;
    server.stop();
    // The listening socket is closed at once: sooner or later nobody is there to connect to.
    soon(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    assert!(!request.is_finished());
    release.notify_one();
    assert_eq!(soon(request).await.unwrap().unwrap().body, "done");
    server.stopped().await;
    let error = client.request(&name, &Method::GET, "/", None).await.unwrap_err();
    // Should another listener have got the port meanwhile, it has no certificate that this client trusts.
    assert!(matches!(error, ClientError::Connect { .. } | ClientError::Tls { .. }), "{error}");
}

#[tokio::test]
async fn a_client_finds_the_next_address_when_a_connection_is_gone() {
    let mut world = World::new();
    let first = world.start("a.example", slow("first").0).await;
    let second = world.start("a.example", slow("second").0).await;
    let (client, name) = (world.client("b.example", [key(1)]), second.name.clone());
    let ask = async || client.request(&name, &Method::GET, "/", None).await.unwrap().body;
    assert_eq!(ask().await, "first");
    first.stopped().await;
    assert_eq!(ask().await, "second");
    assert_eq!(ask().await, "second");
}

#[tokio::test]
async fn connections_are_kept_to_as_many_servers_as_the_limit_says() {
    let mut world = World::new();
    let whoami = || {
        Router::new()
            .route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }))
    };
    let servers = [world.start("a.example", whoami()).await, world.start("c.example", whoami()).await];
    let limits = ClientLimits { pooled_servers: 1, ..ClientLimits::default() };
    let client = world.client_within("b.example", [key(1)], limits);
    let mut seen = Vec::new();
    for server in [0, 0, 1, 1, 0] {
        let answer = client.request(&servers[server].name, &Method::GET, "/", None).await.unwrap();
        seen.push((server, answer.body));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[2], seen[3]);
    assert_ne!(seen[0], seen[4], "the first connection made room for the second");
}

#[tokio::test]
async fn a_request_on_a_connection_that_breaks_is_sent_once_more() {
    let mut world = World::new();
    // The first server cuts its connections off at shutdown.
    let abrupt = ServerLimits { drain: Duration::ZERO, ..ServerLimits::default() };
    let (router, entered, _release) = slow("first");
    let mut first = world.start_within("a.example", router, abrupt).await;
    let (router, _, release) = slow("second");
    let second = world.start("a.example", router).await;
    release.notify_one();
    let (client, name) = (world.client("b.example", [key(1)]), second.name.clone());
    assert_eq!(client.request(&name, &Method::GET, "/", None).await.unwrap().body, "first");
    let request = tokio::spawn(async move { client.request(&name, &Method::GET, "/slow", None).await });
    soon(entered.notified()).await;
    first.stop();
    assert_eq!(soon(request).await.unwrap().unwrap().body, "second");
}

#[tokio::test]
async fn a_request_that_fails_alone_is_sent_once_more_on_another_connection() {
    let mut world = World::new();
    let files =
        world.ca.server_certificate(&world.folder.path().join("a"), &["a.example"], now_ms()).unwrap();
    let acceptor = TlsAcceptor::from(files.server_config().unwrap());
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.place("a.example", tcp.local_addr().unwrap());
    // Tells which connection it is; on the first one `/fail` resets the stream and leaves the connection as it is.
    tokio::spawn(async move {
        for number in 0.. {
            let stream = acceptor.accept(tcp.accept().await.unwrap().0).await.unwrap();
            let service = service_fn(move |request: Request<Incoming>| async move {
                if number == 0 && request.uri().path() == "/fail" {
                    return Err("no");
                }
                Ok(http::Response::new(number.to_string()))
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    let (client, name) = (world.client("b.example", [key(1)]), name("a.example"));
    let ask =
        async |path| soon(client.request(&name, &Method::GET, path, None)).await.map(|answer| answer.body);
    assert!(matches!(ask("/fail").await, Err(ClientError::Protocol(_))), "the connection was new");
    assert_eq!(ask("/").await.unwrap(), "0");
    assert_eq!(ask("/fail").await.unwrap(), "1");
    assert_eq!(ask("/").await.unwrap(), "1");
}

#[tokio::test]
async fn a_request_that_breaks_a_new_connection_is_not_repeated() {
    let mut world = World::new();
    let abrupt = ServerLimits { drain: Duration::ZERO, ..ServerLimits::default() };
    let (router, entered, _release) = slow("first");
    let mut first = world.start_within("a.example", router, abrupt).await;
    let _second = world.start("a.example", slow("second").0).await;
    let (client, name) = (world.client("b.example", [key(1)]), first.name.clone());
    let request = tokio::spawn(async move { client.request(&name, &Method::GET, "/slow", None).await });
    soon(entered.notified()).await;
    first.stop();
    let error = soon(request).await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Protocol(_)), "{error}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_free_place() {
    let mut world = World::new();
    let limits = ServerLimits { connections: 1, ..ServerLimits::default() };
    let (router, entered, release) = slow("served");
    let server = world.start_within("a.example", router, limits).await;
    let ask = |path: &'static str| {
        // A client of its own has a connection of its own.
        let (client, name) = (world.client("b.example", [key(1)]), server.name.clone());
        tokio::spawn(async move {
            client.request(&name, &Method::GET, path, None).await.map(|answer| answer.body)
        })
    };
    let first = ask("/slow");
    soon(entered.notified()).await;
    let second = ask("/");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!second.is_finished());
    release.notify_one();
    assert_eq!(soon(first).await.unwrap().unwrap(), "served");
    assert_eq!(soon(second).await.unwrap().unwrap(), "served");
}

#[tokio::test]
async fn a_handshake_that_never_comes_is_given_up() {
    let mut world = World::new();
    let limits =
        ServerLimits { connections: 1, handshake: Duration::from_millis(20), ..ServerLimits::default() };
    let server = world.start_within("a.example", slow("served").0, limits).await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    // It holds the only place until its time is over.
    let client = world.client("b.example", [key(1)]);
    let answer = soon(client.request(&server.name, &Method::GET, "/", None)).await.unwrap();
    assert_eq!(answer.body, "served");
    drop(silent);
}

#[tokio::test]
async fn the_plain_listener_speaks_http11() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let whoami = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
    let (stop, stopped) = oneshot::channel::<()>();
    let router = Router::new().route("/", get(whoami));
    let serving = tokio::spawn(serve_plain(tcp, router, ServerLimits::default(), async {
        let _ = stopped.await;
    }));
    let stream = TcpStream::connect(address).await.unwrap();
    let own = stream.local_addr().unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("/").header("host", "x").body(Full::<Bytes>::default()).unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), own.to_string());
    // An idle connection ends with the listener.
    drop(stop);
    soon(serving).await.unwrap();
    soon(connection).await.unwrap().unwrap();
}
