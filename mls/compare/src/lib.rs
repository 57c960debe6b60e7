//! MLS groups beside those of another implementation.
//!
//! `cargo bench -p mimi-mls-compare --features peers` compares times with those of `mls-rs`.
