//! The cases, by section of the draft.

mod authorization;
mod steps;

use crate::case::Case;

/// Every case, in the order of the draft.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [authorization::CASES].into_iter().flatten()
}
