//! The mutants, in files by where their faults are.

mod accepts;
mod answers;
mod drops;
mod edus;
mod errors;
mod events_served;
mod headers;
mod keys;
mod listeners;
mod members;
mod mls;
mod own_requests;
mod rules;
mod sends;
mod shows;
mod takes;
mod versions;

use super::Mutant;

/// Every mutant, in the order of the files.
pub(crate) fn all() -> impl Iterator<Item = &'static Mutant> {
    let files = [
        versions::MUTANTS,
        rules::MUTANTS,
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
        sends::MUTANTS,
        own_requests::MUTANTS,
        edus::MUTANTS,
        shows::MUTANTS,
    ];
    files.into_iter().flatten()
}
