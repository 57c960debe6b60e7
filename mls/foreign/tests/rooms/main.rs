//! Rooms whose devices are of several MLS implementations.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in the functions its steps are made of too"
)]

mod mixed;
mod room;
mod ts_mls;
