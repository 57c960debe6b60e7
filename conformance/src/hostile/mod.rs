//! Hostile peers: servers that speak the protocol and lie in it, each in ways that have a name.
//!
//! A [`ScriptedHub`] has real rooms and tells others what it likes of them. A [`ScriptedParticipant`] takes part in rooms of
//! the server under test and sends what it likes. Both are a [`HostileServer`] with a name, a key, a certificate and a
//! listener, that tells each [`Lie`] [`When`] it is told to, and remembers what it told and what it saw. What is left to
//! chance in a lie follows from a seed.
//!
//! `docs/hostile-peers.md` has the table of lies, with what a sound server does. `conformance/examples/hostile_hub.rs` points a
//! hub at a server.
//!
//! ```no_run
//! use mimi_conformance::hostile::{HostileServer, Lie, ScriptedHub, Surroundings, When};
//! use mimi_linearized::id::ServerName;
//!
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # runtime.block_on(async {
//! let surroundings = Surroundings::of(ServerName::parse("localhost:8448")?)
//!     .trusting("data/ca.pem".as_ref())
//!     .authority_in("peers".as_ref())
//!     .control("http://127.0.0.1:8449")
//!     .build()?;
//! let hub = HostileServer::builder(&surroundings).lie(Lie::Tamper, When::endpoint("send").and(When::First(1)));
//! let hub = ScriptedHub::start(hub).await?;
//! let room = hub.create_room().await?;
//! surroundings.have_join("dora", room.id(), hub.server().name()).await?;
//! for delivery in hub.say(&room, "hello").await? {
//!     println!("{}: {:?} {}", delivery.server, delivery.status, delivery.answer);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answers;
mod bodies;
mod connection;
mod error;
mod events;
mod hub;
mod liar;
mod lie;
mod participant;
mod plan;
mod server;
mod speaker;
mod surroundings;
#[cfg(test)]
mod tests;
mod when;

pub use crate::evidence::Exchange;
pub use connection::Handshake;
pub use error::{Failure, HostileError};
pub use hub::{ScriptedHub, ScriptedRoom};
pub use liar::Told;
pub use lie::{Layer, Lie, UnknownLie};
pub use participant::ScriptedParticipant;
pub use server::{HostileServer, HostileServerBuilder};
pub use speaker::Delivery;
pub use surroundings::{Surroundings, SurroundingsBuilder};
pub use when::{NoTime, When};
