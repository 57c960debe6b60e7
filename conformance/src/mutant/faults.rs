//! The kinds of faults, by the place where they are installed.

use std::sync::Arc;

use http::StatusCode;
use mimi_linearized::version::{Faults, RoomVersion, RoomVersions};
use mimi_transport::start::ServerConfig as Settings;
use rustls::ServerConfig;
use serde_json::Value;

use super::connecting::Connecting;
use super::mending::Mending;
use super::naming::Naming;
use super::outbound::{Fate, Sealing, Signed};
use super::seen::{Answer, Asked, Sent};
use super::store::StoreFault;
use crate::profile::ServerSettings;

/// What a body is taken for: as it is, something else, or an error.
pub(crate) type Misreads = fn(&[u8]) -> Result<Option<Vec<u8>>, StatusCode>;

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
    /// What a profile has it started with.
    Profile(fn(&mut ServerSettings)),
    /// What it remembers.
    Stores(StoreFault),
    /// Where it finds other servers.
    Names(Naming),
    /// What it offers other servers as it connects to them, and what it minds about their certificates.
    Connects(Connecting),
    /// What its listener offers of TLS.
    Tls(fn(Arc<ServerConfig>) -> Arc<ServerConfig>),
    /// What it takes requests to be: they are changed before it sees them, and what was signed stays signed.
    Takes(fn(&mut Sent)),
    /// What it makes of the bytes of a body before it reads them; an error is a failure of its own.
    Bytes(Misreads),
    /// What it accepts: what is wrong with a request is put right before the server sees it.
    Mends(Mending),
    /// Whether it waits for what becomes of a transaction: it does not.
    Hurries,
    /// How many transactions it can do with at the same time: any more are answered with a failure of its own.
    Jams(usize),
    /// What it answers other servers.
    Answers(fn(&Asked, &mut Answer)),
    /// What it does of what its users ask for.
    Does(fn(&mut Sent)),
    /// What it shows its users.
    Shows(fn(&Asked, &mut Answer)),
    /// What its clients show of an event: the request for that, and the answer.
    Renders(fn(&Value, &mut Answer)),
    /// What it sends to other servers.
    Sends(fn(&mut Sent) -> Fate),
    /// What its signatures of requests are about.
    Signs(fn(&mut Signed)),
    /// How it seals events as their hub: only those that it sends.
    Seals(Sealing),
    /// What it takes other servers' answers to be.
    Reads(fn(&Asked, &mut Answer)),
    /// Which of its own requests wait for each other, whomever they are for: by endpoint and body the name of the queue.
    Queues(fn(&str, &[u8]) -> Option<String>),
    /// The answers of which endpoints it unpacks.
    Unpacks(&'static [&'static str]),
    /// Whether it knows the keys of those alone with whom it has talked.
    Acquainted,
}
