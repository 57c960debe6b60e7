//! The cases, in folders by what they are about.

mod events;
mod federation;
mod membership;
mod profiles;
mod rooms;
pub(crate) mod steps;

use crate::case::{Case, place};

/// Every case about the draft, in its order.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    let files = [events::CASES, rooms::CASES, membership::CASES, federation::CASES];
    let mut cases: Vec<_> = files.into_iter().flatten().copied().flatten().collect();
    cases.sort_by_key(|case| place(case.section()));
    cases.into_iter()
}

/// The cases that only profiles select, in groups that are named like the profile each is of.
pub(crate) fn of_profiles() -> impl Iterator<Item = &'static Case> {
    profiles::CASES.iter().copied().flatten()
}

/// Both.
pub(crate) fn everything() -> impl Iterator<Item = &'static Case> {
    all().chain(of_profiles())
}
