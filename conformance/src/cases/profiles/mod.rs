//! What only profiles ask for (`conformance/profiles/`, `docs/profiles/`): each file's cases are a group of their own, named
//! like the profile. Requirements are in `drafts/profiles.toml`.

mod bw_messenger;
mod closed_federation;
mod closed_rooms;
mod outside;
mod server_acl;
mod tchap;
mod ti_messenger;
mod ti_rooms;

use crate::case::Case;

pub(super) const CASES: &[&[Case]] = &[
    closed_federation::CASES,
    closed_rooms::CASES,
    ti_messenger::CASES,
    ti_rooms::CASES,
    bw_messenger::CASES,
    server_acl::CASES,
    tchap::CASES,
];
