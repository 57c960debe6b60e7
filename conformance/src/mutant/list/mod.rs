//! The mutants, in files by where their faults are.

mod accepts;
mod answers;
mod contents;
mod drops;
mod edus;
mod ephemeral;
mod errors;
mod events_made;
mod events_served;
mod further;
mod headers;
mod hostile;
mod keys;
mod levels;
mod listeners;
mod members;
mod mls;
mod names;
mod narrow;
mod notary;
mod of_profiles;
mod own_requests;
mod rules;
mod schema;
mod sealing;
mod sends;
mod shows;
mod stored;
mod takes;
mod versions;

use super::Mutant;
use super::profiles::OfProfile;

/// Every mutant, in the order of the files.
pub(crate) fn all() -> impl Iterator<Item = &'static Mutant> {
    let files = [
        versions::MUTANTS,
        schema::MUTANTS,
        rules::MUTANTS,
        levels::MUTANTS,
        mls::MUTANTS,
        listeners::MUTANTS,
        accepts::MUTANTS,
        headers::MUTANTS,
        takes::MUTANTS,
        drops::MUTANTS,
        errors::MUTANTS,
        answers::MUTANTS,
        events_served::MUTANTS,
        members::MUTANTS,
        keys::MUTANTS,
        notary::MUTANTS,
        sends::MUTANTS,
        sealing::MUTANTS,
        own_requests::MUTANTS,
        names::MUTANTS,
        edus::MUTANTS,
        ephemeral::MUTANTS,
        stored::MUTANTS,
        events_made::MUTANTS,
        further::MUTANTS,
        shows::MUTANTS,
        hostile::MUTANTS,
        contents::MUTANTS,
        narrow::MUTANTS,
    ];
    files.into_iter().flatten()
}

/// Every mutant that is tried with the settings of a profile; they are not among the others.
pub(crate) fn of_profiles() -> impl Iterator<Item = &'static OfProfile> {
    of_profiles::MUTANTS.iter()
}
