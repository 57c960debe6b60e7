//! The cases, in folders by what they are about.

mod events;
mod federation;
mod membership;
mod rooms;
pub(crate) mod steps;

use crate::case::{Case, place};

/// Every case, in the order of the draft.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    let files = [events::CASES, rooms::CASES, membership::CASES, federation::CASES];
    let mut cases: Vec<_> = files.into_iter().flatten().copied().flatten().collect();
    cases.sort_by_key(|case| place(case.section()));
    cases.into_iter()
}
