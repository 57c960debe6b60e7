//! A server of one's own, as small as can be, that joins a room elsewhere through [`FederationClient`]: it fetches keys,
//! joins, speaks, and reads state and history.
//!
//! `cargo run -p mimi-transport --example federation_client`
//!
//! The server that it talks to is started here as well, with a room in it. In between are real names, certificates and
//! HTTP/2, on loopback.

use std::net::SocketAddr;

use axum::extract::State;
use axum::routing::{get, put};
use axum::{Json, Router};
use mimi_linearized::auth::Membership;
use mimi_linearized::event::{Draft, OutgoingLpdu, Pdu};
use mimi_linearized::id::{EventId, KeyId, RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_linearized::signing::{ServerKeyRing, ServerKeys, SigningKey};
use mimi_linearized::version::RoomVersions;
use mimi_transport::client::{ClientLimits, FederationClient, Transaction};
use mimi_transport::clock;
use mimi_transport::resolve::{AddressPolicy, ResolveOptions, Resolver};
use mimi_transport::rooms::{HandshakeKind, NewRoom};
use mimi_transport::server::HttpsListener;
use mimi_transport::start::{Server, ServerConfig};
use mimi_transport::tls::{ClientOffer, DevCa, Roots, client_config};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What is on this side: a name, a key, and the transactions that arrive.
struct Own {
    name: ServerName,
    key: SigningKey,
    inbound: mpsc::UnboundedReceiver<Value>,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let ca = DevCa::open(folder.path(), clock::now_ms())?;
    let (server, hub, room) = start_hub(&folder, &ca).await?;
    let mut own = start_own(&folder, &ca).await?;

    // A client: in whose name it asks, how it finds others, and whom it trusts.
    let mut roots = Roots::none();
    roots.add_pem_file(ca.certificate())?;
    let policy = AddressPolicy { allow_loopback: true, ..AddressPolicy::default() };
    let resolver = Resolver::new(&roots, ResolveOptions { policy, ..ResolveOptions::default() })?;
    let tls = client_config(&roots, ClientOffer::default())?;
    let limits = ClientLimits::default();
    let client = FederationClient::new(own.name.clone(), [own.key.clone()], resolver, tls, limits);

    // The hub's keys, and with them everything that it has signed.
    let keys = client.server_keys(&hub).await?;
    println!("{hub} signs with {:?}", keys.verify_keys().keys().map(KeyId::as_str).collect::<Vec<_>>());
    let mut ring = ServerKeyRing::new();
    ring.add(&keys);
    ring.insert(&own.name, own.key.id(), own.key.verify_key(), i64::MAX);

    // The handshake: what may be sent, and what is.
    let versions = RoomVersions::lm_04();
    let bob = UserId::new("bob", &own.name)?;
    let template = client.make(HandshakeKind::Join, &hub, &room, &bob, &versions).await?;
    let version = versions.get(&template.room_version).ok_or("a room version that is not known")?;
    let join = Draft::member(room.clone(), &bob, &bob, Membership::Join, clock::now_ms());
    let lpdu = join.into_lpdu(&hub, &own.key, version)?;
    let joined = client.send_join(&hub, lpdu.id.as_str(), &json_of(&lpdu)?).await?;
    let event = Pdu::from_object(joined.event, version)?.verify(&ring)?;
    println!("joined {room} with {}, into a state of {} events", event.event().id(), joined.state.len());

    // A message: an LPDU goes to the hub, which sends it back to everybody as an event in its place.
    let content = json!({"body": "hello from a server of my own"});
    let lpdu = message(&room, &bob, content)?.into_lpdu(&hub, &own.key, version)?;
    let transaction = Transaction { pdus: vec![json_of(&lpdu)?], edus: Vec::new() };
    let failed = client.send(&hub, "the-first", &transaction).await?;
    assert!(failed.is_empty(), "{failed:?}");
    let said = loop {
        let arrived = own.inbound.recv().await.ok_or("nothing comes in any more")?;
        let objects = arrived.get("pdus").and_then(Value::as_array).into_iter().flatten();
        let objects = objects.filter_map(Value::as_object);
        let pdus = objects.filter_map(|object| Pdu::from_object(object.clone(), version).ok());
        let mut verified = pdus.filter_map(|pdu| pdu.verify(&ring).ok());
        if let Some(pdu) = verified.find(|pdu| pdu.event().lpdu_id() == Some(&lpdu.id)) {
            break pdu.event().id().clone();
        }
    };
    println!("the message came back as {said}");

    // What is there.
    let state = client.state(&hub, &room, &said).await?;
    let ids = client.state_ids(&hub, &room, &said).await?;
    assert_eq!(state.pdus.len(), ids.pdu_ids.len());
    println!("before it, the state has {}", kinds(&state.pdus));
    let event = client.event(&hub, &said).await?;
    assert_eq!(event.get("content"), Some(&json!({"body": "hello from a server of my own"})));
    let history = client.backfill(&hub, &room, &said, 100).await?;
    println!("up to it, the list has {}", kinds(&history));

    // What is refused says why.
    let nothing = client.event(&hub, &EventId::parse("$nothing")?).await;
    println!("an event that is not there: {}", nothing.err().ok_or("an event that nobody sent")?);
    server.stop().await?;
    Ok(())
}

/// The server to talk to: a whole one, with a public room.
async fn start_hub(folder: &TempDir, ca: &DevCa) -> Outcome<(Server, ServerName, RoomId)> {
    let (tcp, name) = listen().await?;
    let certificate = ca.server_certificate(folder.path(), &["localhost"], clock::now_ms())?;
    let config = ServerConfig {
        certificate: Some(certificate),
        cas: vec![ca.certificate().to_owned()],
        ..ServerConfig::new(name.clone(), folder.path().join("hub"))
    };
    let server = Server::start(config, tcp, None).await?;
    let room = NewRoom {
        creator: UserId::new("alice", &name)?,
        room_version: None,
        join_rule: Some("public".to_owned()),
        room_type: None,
        history_visibility: None,
        name: Some("Lounge".to_owned()),
        topic: None,
        encryption: None,
        power_levels: Object::new(),
        initial_state: Vec::new(),
    };
    let room = server.node().create_room(room).await?;
    Ok((server, name, room))
}

/// A server that publishes its key, and takes note of what it is sent. A real one would check who sends it.
async fn start_own(folder: &TempDir, ca: &DevCa) -> Outcome<Own> {
    let (tcp, name) = listen().await?;
    let key = SigningKey::from_seed(KeyId::ed25519("example")?, &rand::random());
    let valid_until = clock::now_ms().saturating_add(12 * 60 * 60 * 1_000);
    let keys = Value::Object(ServerKeys::publish(&name, &key, valid_until).as_object().clone());
    let (arrived, inbound) = mpsc::unbounded_channel();
    let router = Router::new()
        .route("/_matrix/key/v2/server", get(async move || Json(keys)))
        .route("/_matrix/federation/v2/send/{txn}", put(take))
        .with_state(arrived);
    let certificate = ca.server_certificate(&folder.path().join("own"), &["localhost"], clock::now_ms())?;
    let listener = HttpsListener::new(tcp, certificate.server_config()?);
    tokio::spawn(listener.serve(router, std::future::pending()));
    Ok(Own { name, key, inbound })
}

async fn take(State(arrived): State<mpsc::UnboundedSender<Value>>, Json(body): Json<Value>) -> Json<Value> {
    // Once the example has ended, nobody listens.
    let _ = arrived.send(body);
    Json(json!({"failed_pdus": {}}))
}

async fn listen() -> Outcome<(TcpListener, ServerName)> {
    let tcp = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let name = ServerName::parse(&format!("localhost:{}", tcp.local_addr()?.port()))?;
    Ok((tcp, name))
}

fn message(room: &RoomId, sender: &UserId, content: Value) -> Outcome<Draft> {
    let Value::Object(content) = content else { return Err("the content of an event is an object".into()) };
    Ok(Draft {
        room_id: room.clone(),
        kind: "m.room.message".to_owned(),
        state_key: None,
        sender: sender.clone(),
        content,
        origin_server_ts: clock::now_ms(),
    })
}

fn json_of(lpdu: &OutgoingLpdu) -> Outcome<Value> {
    Ok(serde_json::from_slice(&lpdu.bytes)?)
}

fn kinds(events: &[Object]) -> String {
    let kinds: Vec<&str> = events.iter().filter_map(|event| event.get("type")?.as_str()).collect();
    kinds.join(", ")
}
