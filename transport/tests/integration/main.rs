//! Servers and clients against each other on loopback, over real TLS and HTTP/2: from single connections to whole rooms.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what fails here is the test, and so it should"
)]

mod authentication;
mod calls;
mod certificate;
mod exchange;
mod lifecycle;
mod limits;
mod negotiation;
mod resolve;
mod server;
mod servers;
