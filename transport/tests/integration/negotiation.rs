//! What is negotiated, and what is refused (LM-04 §12, §12.1, reading R26).

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{Method, Version};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use mimi_transport::client::{Blame, ClientError, ClientLimits, FederationClient};
use mimi_transport::resolve::{AddressPolicy, ResolveError, ResolveOptions, Resolver};
use mimi_transport::server::HttpsListener;
use mimi_transport::tls::{
    ClientOffer, HttpVersions, Roots, TlsVersions, client_config, load_chain, load_key,
};
use rustls::crypto::ring;
use rustls::{ProtocolVersion, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::server::{World, key, name, soon};

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

async fn get_root(
    client: &FederationClient,
    host: &str,
) -> Result<mimi_transport::client::Response, ClientError> {
    client.request(&name(host), &Method::GET, "/", None).await
}

#[tokio::test]
async fn http2_over_tls13_works() {
    let mut world = World::new();
    let _server = world.start("a.example", hello()).await;
    let response = get_root(&world.client("b.example", [key(1)]), "a.example").await.unwrap();
    assert_eq!((response.status.as_u16(), &response.body[..]), (200, &b"hello"[..]));
    assert_eq!(response.http_version, Version::HTTP_2);
    assert_eq!(response.tls_version, Some(ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn http11_is_spoken_where_it_is_allowed() {
    let mut world = World::new();
    let _server = world.start_with("a.example", hello(), HttpsListener::and_http1).await;
    for (http, version) in [
        (HttpVersions::Http11, Version::HTTP_11),
        (HttpVersions::Silent, Version::HTTP_11),
        (HttpVersions::Http2AndHttp11, Version::HTTP_2),
        (HttpVersions::Http2, Version::HTTP_2),
    ] {
        let offer = ClientOffer { http, ..ClientOffer::default() };
        let response = get_root(&world.client_offering("b.example", [key(1)], offer), "a.example").await;
        let response = response.unwrap();
        assert_eq!((response.http_version, &response.body[..]), (version, &b"hello"[..]), "{http:?}");
    }
}

#[tokio::test]
async fn older_versions_are_refused() {
    let mut world = World::new();
    let server = world.start("a.example", hello()).await;
    let refused = async |tls, http| {
        let client = world.client_offering("b.example", [key(1)], ClientOffer { tls, http });
        get_root(&client, "a.example").await.unwrap_err()
    };
    let error = refused(TlsVersions::Tls12, HttpVersions::Http2).await;
    assert!(
        matches!(error, ClientError::Tls { .. }) && error.to_string().contains("ProtocolVersion"),
        "{error}"
    );
    let error = refused(TlsVersions::Tls13, HttpVersions::Http11).await;
    assert!(matches!(error, ClientError::Tls { .. }), "{error}");
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    // Without ALPN the handshake is fine, and then the connection is closed.
    let error = refused(TlsVersions::Tls13, HttpVersions::Silent).await;
    assert!(matches!(error, ClientError::Protocol(_)), "{error}");
    // Even a client that speaks HTTP/2 without having negotiated it.
    let offer = ClientOffer { tls: TlsVersions::Tls13, http: HttpVersions::Silent };
    let tls = client_config(&world.roots(), offer).unwrap();
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let domain = rustls::pki_types::ServerName::try_from("a.example").unwrap();
    let stream = TlsConnector::from(tls).connect(domain, tcp).await.unwrap();
    let executor = TokioExecutor::new();
    let handshake = hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://a.example/").body(Empty::<Bytes>::new()).unwrap();
    assert!(soon(sender.send_request(request)).await.is_err());
    // Whoever offers more than that gets the best.
    let (tls, http) = (TlsVersions::Tls12AndTls13, HttpVersions::Http2AndHttp11);
    let client = world.client_offering("b.example", [key(1)], ClientOffer { tls, http });
    assert_eq!(get_root(&client, "a.example").await.unwrap().http_version, Version::HTTP_2);
}

#[tokio::test]
async fn a_certificate_for_another_name_or_by_a_stranger_is_refused() {
    let mut world = World::new();
    let server = world.start("a.example", hello()).await;
    world.place("c.example", server.address);
    let error = get_root(&world.client("b.example", [key(1)]), "c.example").await.unwrap_err();
    assert!(
        matches!(error, ClientError::Tls { .. }) && error.to_string().contains("not valid for"),
        "{error}"
    );
    assert_eq!(error.blame(), Blame::Peer);
    let tls = client_config(&Roots::none(), ClientOffer::default()).unwrap();
    let limits = ClientLimits::default();
    let client = FederationClient::new(name("b.example"), [key(1)], world.resolver.clone(), tls, limits);
    let error = get_root(&client, "a.example").await.unwrap_err();
    assert!(
        matches!(error, ClientError::Tls { .. }) && error.to_string().contains("UnknownIssuer"),
        "{error}"
    );
    // That says more than that nobody is at another of its addresses.
    world.start("c.example", hello()).await.stopped().await;
    let error = get_root(&world.client("b.example", [key(1)]), "c.example").await.unwrap_err();
    assert!(matches!(error, ClientError::Tls { address, .. } if address == server.address), "{error}");
}

/// Starts a server of an older kind: TLS 1.2, HTTP/1.1, with or without ALPN. Returns where it is.
async fn start_old(world: &mut World, host: &str, alpn: &[&[u8]]) {
    let now = mimi_transport::clock::now_ms();
    let files = world.ca.server_certificate(&world.folder.path().join(host), &[host], now).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(load_chain(&files.certificate).unwrap(), load_key(&files.key).unwrap())
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.place(host, tcp.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = tcp.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let router = Router::new().fallback(|request: axum::extract::Request| async move {
                let host = request.headers()[http::header::HOST].to_str().unwrap().to_owned();
                format!("{host} {}", request.uri())
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
            tokio::spawn(connection);
        }
    });
}

#[tokio::test]
async fn probes_speak_to_older_servers_and_the_federation_client_does_not() {
    let mut world = World::new();
    start_old(&mut world, "old.example", &[b"http/1.1"]).await;
    start_old(&mut world, "silent.example", &[]).await;
    let offer = ClientOffer { tls: TlsVersions::Tls12AndTls13, http: HttpVersions::Http2AndHttp11 };
    let probe = world.client_offering("b.example", [key(1)], offer);
    for host in ["old.example", "silent.example"] {
        // Twice, because such a connection is not used again.
        for _ in 0..2 {
            let response = probe.request(&name(host), &Method::GET, "/x?y=1", None).await.unwrap();
            assert_eq!(response.body, format!("{host} /x?y=1"));
            assert_eq!(response.http_version, Version::HTTP_11);
            assert_eq!(response.tls_version, Some(ProtocolVersion::TLSv1_2));
        }
    }
    let client = world.client("b.example", [key(1)]);
    assert!(matches!(get_root(&client, "old.example").await, Err(ClientError::Tls { .. })));
    let offer = ClientOffer { tls: TlsVersions::Tls12AndTls13, http: HttpVersions::Http2 };
    let client = world.client_offering("b.example", [key(1)], offer);
    assert!(matches!(get_root(&client, "silent.example").await, Err(ClientError::Negotiation { .. })));
}

#[tokio::test]
async fn nothing_is_sent_to_addresses_that_are_not_allowed() {
    let mut world = World::new();
    let server = world.start("localhost", hello()).await;
    let port = server.address.port();
    let client = |policy| {
        let tls = client_config(&world.roots(), ClientOffer::default()).unwrap();
        FederationClient::new(
            name("b.example"),
            [key(1)],
            Resolver::new(&world.roots(), ResolveOptions { policy, ..ResolveOptions::default() }).unwrap(),
            tls,
            ClientLimits::default(),
        )
    };
    let host = format!("localhost:{port}");
    let error = get_root(&client(AddressPolicy::default()), &host).await.unwrap_err();
    assert!(matches!(error, ClientError::Resolve(ResolveError::Refused { .. })), "{error}");
    // `localhost` may be at `::1` too, where nobody listens: each address is tried.
    let policy = AddressPolicy { allow_loopback: true, ..AddressPolicy::default() };
    assert_eq!(get_root(&client(policy), &host).await.unwrap().body, "hello");
}
