//! What only profiles ask for (`conformance/profiles/`, `docs/profiles/`): each file's cases are a group of their own, named
//! like the profile. Requirements are in `drafts/profiles.toml`.

mod closed_federation;
mod closed_rooms;
mod outside;

use crate::case::Case;

pub(super) const CASES: &[&[Case]] = &[closed_federation::CASES, closed_rooms::CASES];
