//! The room model against other people's implementations and against properties that hold whatever happens.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here is the test, and so it should"
)]

mod authorization;
mod canonical_json;
mod room;
