//! What an event is made of, and what vouches for it: identifiers, fields, signatures, hashes (LM-04 §3, §6 to §10).

mod canonical_json;
mod contents;
mod fields;
mod hashes;
mod identifiers;
mod signing;
mod state_events;

use crate::case::Case;

pub(super) const CASES: &[&[Case]] = &[
    identifiers::CASES,
    fields::CASES,
    contents::CASES,
    state_events::CASES,
    signing::CASES,
    canonical_json::CASES,
    hashes::CASES,
];
