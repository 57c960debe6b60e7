//! A conformance suite for Linearized Matrix servers: the program `mimi` is a call of [`main`]. Its servers that misbehave are
//! there for others too: [`hostile`].

mod bundle;
mod case;
mod cases;
mod catalogue;
mod check;
mod command;
mod context;
mod coverage;
mod environment;
mod evidence;
mod expect;
mod forgery;
pub mod hostile;
mod matrix;
mod mls;
#[cfg(feature = "mutants")]
mod mutant;
mod network;
mod output;
mod peer;
mod preflight;
mod printable;
mod profile;
mod published;
mod report;
mod runner;
mod target;
mod unstable;
mod vectors;
mod wire;

use std::process::ExitCode;

use clap::Parser;

/// The exit code when a required case failed, or a check found a fault.
const FAILED: u8 = 1;
/// The exit code of a command line or a configuration that is wrong.
const USAGE: u8 = 2;
/// The exit code when the target cannot be reached, or cannot reach the suite.
const UNREACHABLE: u8 = 3;

/// Does what the command line says. Exit codes are in the help of each command.
pub fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mimi: the runtime cannot be started: {error}");
            return ExitCode::from(USAGE);
        }
    };
    runtime.block_on(command::execute(arguments))
}
