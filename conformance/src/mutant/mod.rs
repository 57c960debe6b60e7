//! Mutants: reference servers with one fault each, to see whether the suite notices.
//!
//! A fault is installed where a server takes its parts from outside ([`Assembly`]): a room version with a rule taken
//! away, a layer around what it answers, a layer around what carries its requests. The server itself is the one that
//! `mimi serve` runs. A mutant is named by the section that it breaks, and says which requirements those are.

mod acquaintance;
mod connecting;
mod faults;
mod inbound;
mod list;
mod matrix;
mod mending;
mod naming;
mod outbound;
mod profiles;
mod queue;
mod run;
mod seen;
mod store;
mod unpacking;
mod wording;

use std::sync::Arc;

use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::{Authorization, RoomVersion, RoomVersions, STABLE, UNSTABLE};
use mimi_transport::assembly::Assembly;
use mimi_transport::client::Carrier;
use mimi_transport::node::Node;
use mimi_transport::resolve::{Locate, Lookups};
use mimi_transport::start::ServerConfig as Settings;
use mimi_transport::store::Store;
use mimi_transport::tls::Roots;
use rustls::{ClientConfig, ServerConfig};

use crate::case::Case;

pub(crate) use faults::Fault;
pub(crate) use list::{all, of_profiles};
pub(crate) use matrix::{Matrix, Recorded};
pub(crate) use profiles::{OfProfile, gaps, own_cases};
pub(crate) use run::{Plan, Until, run};
pub(crate) use wording::is_in_rust;

/// A faulty server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mutant {
    /// Its id: the section it breaks, and a name. Ids never change.
    pub(crate) id: &'static str,
    /// What is wrong with it.
    pub(crate) says: &'static str,
    /// The requirements and readings it breaks.
    pub(crate) covers: &'static [&'static str],
    /// The fault.
    pub(crate) fault: Fault,
}

impl Mutant {
    /// Whether a case is about what the mutant breaks.
    pub(crate) fn is_near(&self, case: &Case) -> bool {
        let section = |id: &'static str| match id.split('/').collect::<Vec<_>>().as_slice() {
            ["LM-04", "auth", _] => Some("5.2.3"),
            ["LM-04", section, _] => Some(*section),
            [section, _] => Some(*section),
            _ => None,
        };
        let about = |id: &'static str| case.covers.contains(&id) || section(id) == Some(case.section());
        about(self.id) || self.covers.iter().copied().any(about)
    }
}

impl Assembly for Mutant {
    fn versions(&self, versions: RoomVersions) -> RoomVersions {
        match self.fault {
            Fault::Rules(faults) => {
                altered(&versions, |version| version.authorization = Authorization::Faulty(faults))
            }
            Fault::Version(alter) => altered(&versions, alter),
            Fault::Versions(alter) => alter(versions),
            _ => versions,
        }
    }

    fn settings(&self, mut settings: Settings) -> Settings {
        if let Fault::Settings(change) = self.fault {
            change(&mut settings);
        }
        settings
    }

    fn store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        match self.fault {
            Fault::Stores(fault) => store::wrap(store, fault),
            _ => store,
        }
    }

    fn lookups(&self, lookups: Arc<dyn Lookups>) -> Arc<dyn Lookups> {
        match self.fault {
            Fault::Names(fault) => naming::lookups(lookups, fault),
            _ => lookups,
        }
    }

    fn locate(&self, locate: Arc<dyn Locate>) -> Arc<dyn Locate> {
        match self.fault {
            Fault::Names(fault) => naming::locate(locate, fault),
            _ => locate,
        }
    }

    fn client_tls(&self, config: Arc<ClientConfig>, roots: &Roots) -> Arc<ClientConfig> {
        match self.fault {
            Fault::Names(fault) => naming::client_tls(config, fault),
            Fault::Connects(fault) => connecting::client_tls(config, roots, fault),
            _ => config,
        }
    }

    fn carrier(&self, carrier: Arc<dyn Carrier>, key: &SigningKey) -> Arc<dyn Carrier> {
        match self.fault {
            Fault::Signs(fault) => outbound::wrap(carrier, key.clone(), outbound::Spoiler::Signs(fault)),
            Fault::Seals(fault) => outbound::wrap(carrier, key.clone(), outbound::Spoiler::Seals(fault)),
            Fault::Sends(fault) => outbound::wrap(carrier, key.clone(), outbound::Spoiler::Sends(fault)),
            Fault::Reads(fault) => outbound::wrap(carrier, key.clone(), outbound::Spoiler::Reads(fault)),
            Fault::Queues(which) => queue::wrap(carrier, which),
            Fault::Unpacks(which) => unpacking::wrap(carrier, which),
            Fault::Acquainted => {
                outbound::wrap(carrier, key.clone(), outbound::Spoiler::Reads(acquaintance::refuse))
            }
            _ => carrier,
        }
    }

    fn tls(&self, config: Arc<ServerConfig>) -> Arc<ServerConfig> {
        match self.fault {
            Fault::Tls(change) => change(config),
            _ => config,
        }
    }

    fn federation(&self, router: axum::Router, node: &Node) -> axum::Router {
        match self.fault {
            Fault::Answers(_) | Fault::Takes(_) | Fault::Mends(_) | Fault::Hurries | Fault::Jams(_) => {
                inbound::wrap(router, node.clone(), self.fault)
            }
            Fault::Bytes(_) => inbound::wrap(router, node.clone(), self.fault),
            Fault::Acquainted => inbound::wrap(router, node.clone(), Fault::Takes(acquaintance::note)),
            _ => router,
        }
    }

    fn control(&self, router: axum::Router, node: &Node) -> axum::Router {
        match self.fault {
            Fault::Shows(fault) => inbound::wrap(router, node.clone(), Fault::Answers(fault)),
            Fault::Does(fault) => inbound::wrap(router, node.clone(), Fault::Takes(fault)),
            Fault::Renders(_) => inbound::wrap(router, node.clone(), self.fault),
            _ => router,
        }
    }
}

/// The two versions of LM-04, changed alike.
fn altered(versions: &RoomVersions, alter: impl Fn(&mut RoomVersion)) -> RoomVersions {
    let version = |name: &str| {
        versions.get(name).map(|version| {
            let mut version = RoomVersion::clone(version);
            alter(&mut version);
            version
        })
    };
    let Some(stable) = version(STABLE) else { return versions.clone() };
    let altered = RoomVersions::new(stable);
    match version(UNSTABLE).map(|version| altered.clone().with(version)) {
        Some(Ok(both)) => both,
        _ => altered,
    }
}

/// A mutant: its id, what is wrong with it, what it breaks, and its fault.
const fn mutant(
    id: &'static str,
    says: &'static str,
    covers: &'static [&'static str],
    fault: Fault,
) -> Mutant {
    Mutant { id, says, covers, fault }
}
