//! What a hub and a participant make of events: receiving, authorization, encryption (LM-04 §4, §5).

mod authorization;
mod lifecycle;
mod mls;

use crate::case::Case;

pub(super) const CASES: &[&[Case]] = &[lifecycle::CASES, mls::CASES, authorization::CASES];
