//! The kinds of faults, by the place where they are installed.

use std::sync::Arc;

use mimi_linearized::version::{Faults, RoomVersion, RoomVersions};
use mimi_transport::start::ServerConfig as Settings;
use rustls::ServerConfig;

use super::mending::Mending;
use super::naming::Naming;
use super::outbound::{Fate, Sealing, Signed};
use super::seen::{Answer, Asked, Sent};
use super::store::StoreFault;

/// One fault of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The rules of its room versions.
    Rules(Faults),
    /// Anything else about its room versions.
    Version(fn(&mut RoomVersion)),
    /// Which room versions it has.
    Versions(fn(RoomVersions) -> RoomVersions),
    /// What it is set to.
    Settings(fn(&mut Settings)),
    /// What it remembers.
    Stores(StoreFault),
    /// Where it finds other servers.
    Names(Naming),
    /// What its listener offers of TLS.
    Tls(fn(Arc<ServerConfig>) -> Arc<ServerConfig>),
    /// What it takes requests to be: they are changed before it sees them, and what was signed stays signed.
    Takes(fn(&mut Sent)),
    /// What it accepts: what is wrong with a request is put right before the server sees it.
    Mends(Mending),
    /// Whether it waits for what becomes of a transaction: it does not.
    Hurries,
    /// What it answers other servers.
    Answers(fn(&Asked, &mut Answer)),
    /// What it does of what its users ask for.
    Does(fn(&mut Sent)),
    /// What it shows its users.
    Shows(fn(&Asked, &mut Answer)),
    /// What it sends to other servers.
    Sends(fn(&mut Sent) -> Fate),
    /// What its signatures of requests are about.
    Signs(fn(&mut Signed)),
    /// How it seals events as their hub: only those that it sends.
    Seals(Sealing),
    /// What it takes other servers' answers to be.
    Reads(fn(&Asked, &mut Answer)),
}
