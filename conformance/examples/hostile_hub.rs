//! A hub that lies, pointed at a server: what the server makes of it is printed.
//!
//! Without a server it starts the reference server for itself:
//!
//! ```sh
//! cargo run -p mimi-conformance --example hostile_hub
//! cargo run -p mimi-conformance --example hostile_hub -- equivocate
//! ```
//!
//! With one, that server has to trust the certificates of this hub (`peers/ca.pem`), and this hub its own:
//!
//! ```sh
//! cargo run -p mimi-conformance --example hostile_hub -- tamper \
//!     --target localhost:8448 --ca data/ca.pem --peers ./peers --control http://127.0.0.1:8449
//! ```
//!
//! `--when` says when the lie is told, such as `endpoint=send+first=1`. Without `--control` a user of the server has to join the room by hand, whose id is printed.

use std::error::Error;
use std::path::Path;

use mimi_conformance::hostile::{
    HostileServer, HostileServerBuilder, Layer, Lie, ScriptedHub, Surroundings, When,
};
use mimi_linearized::id::ServerName;
use mimi_transport::start::{Server, ServerConfig};
use tokio::net::TcpListener;

/// What the command line says.
struct Arguments {
    lie: Lie,
    when: Option<When>,
    target: Option<String>,
    ca: Option<String>,
    peers: Option<String>,
    control: Option<String>,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut found =
        Arguments { lie: Lie::Tamper, when: None, target: None, ca: None, peers: None, control: None };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--when" => found.when = Some(value()?.parse()?),
            "--target" => found.target = Some(value()?),
            "--ca" => found.ca = Some(value()?),
            "--peers" => found.peers = Some(value()?),
            "--control" => found.control = Some(value()?),
            name => found.lie = name.parse()?,
        }
    }
    Ok(found)
}

/// Starts a reference server in a folder that trusts an authority there.
async fn reference_server(folder: &Path) -> Result<(Server, ServerName), Box<dyn Error>> {
    let federation = TcpListener::bind("127.0.0.1:0").await?;
    let control = TcpListener::bind("127.0.0.1:0").await?;
    let name = ServerName::parse(&format!("localhost:{}", federation.local_addr()?.port()))?;
    let mut config = ServerConfig::new(name.clone(), folder.join("data"));
    config.cas.push(folder.join("peers/ca.pem"));
    Ok((Server::start(config, federation, Some(control)).await?, name))
}

/// A server that tells a lie then, or else where it shows most.
fn liar(surroundings: &Surroundings, lie: Lie, when: Option<When>) -> HostileServerBuilder {
    let builder = HostileServer::builder(surroundings);
    match (when, lie.layer()) {
        (Some(when), _) => builder.lie(lie, when),
        (None, Layer::Events) => builder.lie(lie, When::endpoint("send")),
        // An event is not sent, so that it is asked for.
        (None, Layer::Answer) => builder
            .lie(Lie::Withhold, When::endpoint("send").and(When::First(1)))
            .lie(lie, When::endpoint("backfill"))
            .lie(lie, When::endpoint("event")),
        (None, _) => builder.lie(lie, When::Always),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let folder = tempfile::tempdir()?;
    let peers = arguments.peers.as_ref().map_or_else(|| folder.path().join("peers"), Into::into);
    let own = match &arguments.target {
        Some(_) => None,
        None => {
            // The authority has to be there before the server that trusts it.
            Surroundings::of(ServerName::parse("localhost:1")?).authority_in(&peers).build()?;
            Some(reference_server(folder.path()).await?)
        }
    };
    let mut surroundings = match (&own, &arguments.target) {
        (Some((server, name)), _) => {
            let control = server.control().ok_or("the reference server has no control API")?;
            Surroundings::of(name.clone()).trusting(server.ca()).control(&format!("http://{control}"))
        }
        (None, Some(target)) => Surroundings::of(ServerName::parse(target)?),
        (None, None) => return Err("there is nobody to lie to".into()),
    };
    if let Some(ca) = &arguments.ca {
        surroundings = surroundings.trusting(ca.as_ref());
    }
    if let Some(control) = &arguments.control {
        surroundings = surroundings.control(control);
    }
    let surroundings = surroundings.authority_in(&peers).seed(1).build()?;

    let hub = ScriptedHub::start(liar(&surroundings, arguments.lie, arguments.when)).await?;
    println!("{}: {} A sound server {}.", arguments.lie, arguments.lie.account(), arguments.lie.sound());
    let room = hub.create_room().await?;
    println!("the room is {}, and the hub {}", room.id(), hub.server().name());
    if own.is_some() || arguments.control.is_some() {
        surroundings.have_join("dora", room.id(), hub.server().name()).await?;
    }
    hub.until_joined(&room, surroundings.target()).await?;

    for body in ["one", "two", "three"] {
        for delivery in hub.say(&room, body).await? {
            let status = delivery.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            println!("sent {} of {body:?}: {status} {}", delivery.pdus.len(), delivery.answer);
        }
    }
    hub.server().relent();
    hub.say(&room, "the truth").await?;
    for told in hub.server().told() {
        println!("lied: {} on {}", told.lie, told.endpoint.as_deref().unwrap_or("a connection"));
    }
    for exchange in hub.server().exchanges() {
        let status = exchange.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        println!(
            "{} {} {} {status} {}",
            exchange.between,
            exchange.method,
            exchange.url,
            exchange.lie.as_deref().unwrap_or("")
        );
    }
    if own.is_some() || arguments.control.is_some() {
        for event in surroundings.list(room.id()).await? {
            let field = |name| event.get(name).cloned().unwrap_or_default();
            println!("listed: {} {}", field("type"), field("content"));
        }
    }
    if let Some((server, _)) = own {
        server.stop().await?;
    }
    Ok(())
}
