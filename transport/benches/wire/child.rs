//! The processes that receive.

use axum::Router;
use axum::body::Bytes;
use mimi_linearized::auth::Membership;
use mimi_linearized::id::{RoomId, ServerName, UserId};
use mimi_transport::server::HttpsListener;
use mimi_transport::start::Server;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::processes::{World, cpu};

/// The argument for a participant.
pub(crate) const PARTICIPANT: &str = "participant";
/// The argument for an echo server.
pub(crate) const ECHO: &str = "echo";

/// A question: `cpu`, `join ROOM HUB`, or `length ROOM`.
async fn question() -> Option<Vec<String>> {
    let read = || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).unwrap();
        (read > 0).then(|| line.split_whitespace().map(ToOwned::to_owned).collect())
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

async fn listener() -> (TcpListener, String) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("localhost:{}", tcp.local_addr().unwrap().port());
    (tcp, name)
}

fn ready(what: &Value) {
    println!("{what}");
}

/// A server that takes part in rooms.
pub(crate) async fn participant(folder: &str) {
    let (tcp, name) = listener().await;
    let config = World::Given(folder.to_owned()).config(&name, PARTICIPANT, Vec::new());
    let server = Server::start(config, tcp, None).await.unwrap();
    let node = server.node();
    ready(
        &json!({"name": name, "key_id": node.key().id().as_str(), "key": node.key().verify_key().to_base64()}),
    );
    while let Some(words) = question().await {
        match words[0].as_str() {
            "join" => {
                let (room, hub) = (RoomId::parse(&words[1]).unwrap(), ServerName::parse(&words[2]).unwrap());
                let bob = UserId::new("bob", &node.name).unwrap();
                node.change_membership(&room, &bob, &bob, Membership::Join, None, &[hub]).await.unwrap();
                println!("joined");
            }
            "length" => {
                let room = RoomId::parse(&words[1]).unwrap();
                println!("{}", node.summary(&room).await.unwrap().unwrap().length);
            }
            _ => println!("{}", cpu().as_nanos()),
        }
    }
    server.stop().await.unwrap();
}

/// A server that answers with what it is sent.
pub(crate) async fn echo(folder: &str) {
    let (tcp, name) = listener().await;
    let certificate = World::Given(folder.to_owned()).certificate();
    let router = Router::new().fallback(|body: Bytes| async { body });
    let listener = HttpsListener::new(tcp, certificate.server_config().unwrap());
    let serving = tokio::spawn(listener.serve(router, std::future::pending()));
    ready(&json!({"name": name}));
    while question().await.is_some() {
        println!("{}", cpu().as_nanos());
    }
    serving.abort();
}
