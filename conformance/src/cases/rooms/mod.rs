//! What a hub and a participant make of events: receiving, authorization, encryption (LM-04 §4, §5).

mod authorization;
mod following;
mod hub;
mod large;
mod lifecycle;
mod mls;
mod receiving;
mod vetting;

use crate::case::Case;

pub(super) const CASES: &[&[Case]] = &[
    lifecycle::CASES,
    mls::CASES,
    large::CASES,
    receiving::CASES,
    vetting::CASES,
    following::CASES,
    authorization::CASES,
    hub::CASES,
];
