//! The room model beside other people's implementations.
//!
//! `cargo test -p mimi-compare --features peers` compares verdicts, hashes and signatures with those of `ruma`;
//! `cargo bench -p mimi-compare --features peers` compares times.
