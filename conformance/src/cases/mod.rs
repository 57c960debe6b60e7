//! The cases, by section of the draft.

mod authorization;
mod devices;
mod lifecycle;
mod mls;
mod steps;

use crate::case::Case;

/// Every case, in the order of the draft.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [lifecycle::CASES, mls::CASES, authorization::CASES, devices::CASES].into_iter().flatten()
}
