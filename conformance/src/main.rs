//! `mimi`: a conformance suite for Linearized Matrix servers, and a reference server.

use std::process::ExitCode;

fn main() -> ExitCode {
    mimi_conformance::main()
}
