//! What a hub and a participant make of events: receiving, authorization, encryption (LM-04 §4, §5).

mod authorization;
mod citing;
mod commit_history;
mod contents;
mod devices;
mod following;
mod hub;
mod large;
mod lifecycle;
mod mls;
mod proposals;
mod receiving;
mod soft_failure;
mod suites;
mod vetting;

use crate::case::Case;

pub(super) const CASES: &[&[Case]] = &[
    soft_failure::CASES,
    lifecycle::CASES,
    mls::CASES,
    proposals::CASES,
    commit_history::CASES,
    devices::CASES,
    suites::CASES,
    large::CASES,
    receiving::CASES,
    vetting::CASES,
    following::CASES,
    authorization::CASES,
    authorization::memberships::CASES,
    authorization::levels::CASES,
    citing::CASES,
    hub::CASES,
    contents::CASES,
    contents::RENDERED,
    contents::MIMI,
];
