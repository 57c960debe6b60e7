//! What the fuzz targets in `fuzz/` do with their bytes.
//!
//! Each body takes any bytes, and panics if the library does, or if something does not hold that always has to. The
//! targets need a nightly toolchain and cargo-fuzz; a short run of each body is part of the ordinary tests, so that the
//! targets cannot rot.

#![expect(clippy::missing_panics_doc, reason = "a fuzz target reports by panicking, and every body may")]

mod contents;
mod documents;
mod events;
mod groups;
mod mimi;
mod mls;
mod room;

pub use contents::message_content;
pub use documents::{base64, canonical_json, identifiers, key_response, strict_json, x_matrix};
pub use events::{lpdu, pdu};
pub use groups::{mls_engine, mls_key_package, mls_tracker};
pub use mimi::{markdown, mimi_content};
pub use mls::{commit_content, mls_framing};
pub use room::authorise_apply;

/// A fuzz target: the name of its file in `fuzz/fuzz_targets/`, and what it does.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// What it does with bytes.
    pub body: fn(&[u8]),
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "identifiers", body: identifiers, seeds: documents::identifier_seeds },
    Target { name: "strict_json", body: strict_json, seeds: documents::json_seeds },
    Target { name: "canonical_json", body: canonical_json, seeds: documents::json_seeds },
    Target { name: "base64", body: base64, seeds: documents::base64_seeds },
    Target { name: "key_response", body: key_response, seeds: documents::key_response_seeds },
    Target { name: "x_matrix", body: x_matrix, seeds: documents::x_matrix_seeds },
    Target { name: "lpdu", body: lpdu, seeds: events::lpdu_seeds },
    Target { name: "pdu", body: pdu, seeds: events::pdu_seeds },
    Target { name: "mls_framing", body: mls_framing, seeds: mls::framing_seeds },
    Target { name: "mls_engine", body: mls_engine, seeds: groups::engine_seeds },
    Target { name: "mls_tracker", body: mls_tracker, seeds: groups::tracker_seeds },
    Target { name: "mls_key_package", body: mls_key_package, seeds: groups::key_package_seeds },
    Target { name: "commit_content", body: commit_content, seeds: mls::content_seeds },
    Target { name: "message_content", body: message_content, seeds: contents::content_seeds },
    Target { name: "mimi_content", body: mimi_content, seeds: mimi::message_seeds },
    Target { name: "markdown", body: markdown, seeds: mimi::markdown_seeds },
    Target { name: "authorise_apply", body: authorise_apply, seeds: room::seeds },
];

#[cfg(test)]
mod tests;
