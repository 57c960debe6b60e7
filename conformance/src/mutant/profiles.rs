//! Mutants of the servers that profiles ask for: which cases of a profile each of them has to turn red.

use std::sync::Arc;

use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RoomVersions;
use mimi_transport::assembly::{Assembly, Unchanged};
use mimi_transport::client::Carrier;
use mimi_transport::node::Node;
use mimi_transport::resolve::{Locate, Lookups};
use mimi_transport::start::ServerConfig as Settings;
use mimi_transport::store::Store;
use mimi_transport::tls::Roots;
use rustls::{ClientConfig, ServerConfig};

use super::{Fault, Mutant};
use crate::case::Case;
use crate::cases;
use crate::profile::{Profile, ServerSettings, Settled};

/// A faulty server under the settings of a profile.
#[derive(Debug)]
pub(crate) struct OfProfile {
    /// The server.
    pub(crate) mutant: Mutant,
    /// The cases that have to notice the fault, all of them.
    pub(crate) red: &'static [&'static str],
}

impl OfProfile {
    /// The name of the profile: the group that the mutant's id begins with.
    pub(crate) fn profile(&self) -> &'static str {
        self.mutant.id.split('/').next().unwrap_or_default()
    }

    /// What the server is started with.
    pub(crate) fn settings(&self, profile: &Profile) -> ServerSettings {
        let mut settings = profile.server().clone();
        if let Fault::Profile(change) = self.mutant.fault {
            change(&mut settings);
        }
        settings
    }

    /// The cases that have to notice it.
    pub(crate) fn cases(&self) -> Vec<&'static Case> {
        cases::of_profiles().filter(|case| self.red.contains(&case.id)).collect()
    }
}

/// The cases that only this profile has.
pub(crate) fn own_cases(profile: &str) -> Vec<&'static Case> {
    cases::of_profiles().filter(|case| case.section() == profile).collect()
}

/// What is wrong with a list of mutants: cases of these profiles that none has to turn red, and such as there are not.
pub(crate) fn gaps(mutants: &[&OfProfile], profiles: &[&str]) -> Vec<String> {
    let named = |id: &str| mutants.iter().any(|mutant| mutant.red.contains(&id));
    let own = profiles.iter().flat_map(|profile| own_cases(profile)).filter(|case| !named(case.id));
    let own = own.map(|case| format!("{} has no mutant that has to turn it red", case.id));
    let strange = mutants.iter().flat_map(|mutant| {
        let other = |id: &&&str| !own_cases(mutant.profile()).iter().any(|case| case.id == **id);
        mutant
            .red
            .iter()
            .filter(other)
            .map(|id| format!("{} names {id}, which is no case of its profile", mutant.mutant.id))
    });
    own.chain(strange).collect()
}

/// A server with the settings of a profile, and with or without a fault.
#[derive(Debug)]
pub(super) struct Under<'a> {
    /// The settings; none outside profiles.
    pub(super) settled: Option<&'a Settled>,
    /// The fault.
    pub(super) mutant: Option<&'a Mutant>,
}

impl Under<'_> {
    fn inner(&self) -> &dyn Assembly {
        self.mutant.map_or(&Unchanged, |mutant| mutant)
    }
}

impl Assembly for Under<'_> {
    fn settings(&self, settings: Settings) -> Settings {
        let settings = match self.settled {
            Some(settled) => settled.settings(settings),
            None => settings,
        };
        self.inner().settings(settings)
    }

    fn versions(&self, versions: RoomVersions) -> RoomVersions {
        self.inner().versions(versions)
    }

    fn store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        self.inner().store(store)
    }

    fn lookups(&self, lookups: Arc<dyn Lookups>) -> Arc<dyn Lookups> {
        self.inner().lookups(lookups)
    }

    fn locate(&self, locate: Arc<dyn Locate>) -> Arc<dyn Locate> {
        self.inner().locate(locate)
    }

    fn client_tls(&self, config: Arc<ClientConfig>, roots: &Roots) -> Arc<ClientConfig> {
        self.inner().client_tls(config, roots)
    }

    fn carrier(&self, carrier: Arc<dyn Carrier>, key: &SigningKey) -> Arc<dyn Carrier> {
        self.inner().carrier(carrier, key)
    }

    fn federation(&self, router: axum::Router, node: &Node) -> axum::Router {
        self.inner().federation(router, node)
    }

    fn control(&self, router: axum::Router, node: &Node) -> axum::Router {
        self.inner().control(router, node)
    }

    fn tls(&self, config: Arc<ServerConfig>) -> Arc<ServerConfig> {
        self.inner().tls(config)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::mutant::of_profiles;

    #[test]
    fn every_case_of_a_profile_has_a_mutant_that_has_to_turn_it_red() {
        let (mutants, profiles) = (of_profiles().collect::<Vec<_>>(), Profile::names());
        assert_eq!(gaps(&mutants, &profiles), Vec::<String>::new());
        assert_eq!(gaps(&[], &profiles).len(), cases::of_profiles().count());
    }

    #[test]
    fn ids_of_mutants_are_distinct_and_begin_with_a_profile() {
        let mut ids = BTreeSet::new();
        for mutant in of_profiles() {
            assert!(Profile::names().contains(&mutant.profile()), "{}", mutant.mutant.id);
            assert!(ids.insert(mutant.mutant.id), "{}", mutant.mutant.id);
        }
    }
}
