//! Verdicts, hashes and signatures beside those of `ruma`, which implements Matrix room version 11.
//!
//! LM-04 grew out of that version, so most of it has to come out the same. Where it does not, [`authorization`] and
//! [`signatures`] list the difference with the section or reading that decides it; anything else that differs is a fault
//! in one of the two. Only the public interface of `ruma` is used.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here is the test, and so it should"
)]

mod authorization;
mod dice;
mod peer;
mod rooms;
mod signatures;
