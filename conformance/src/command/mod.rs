//! The command line.

mod check;
mod coverage;
mod matrix;
mod mutants;
mod outputs;
mod replay;
mod report;
mod run;
mod serve;
mod vectors;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Linearized Matrix: is this server interoperable?
#[derive(Debug, Parser)]
#[command(name = "mimi", version, about, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::RunArguments>),
    Report(report::ReportArguments),
    Replay(replay::ReplayArguments),
    Serve(serve::ServeArguments),
    Check(check::CheckArguments),
    Vectors(vectors::VectorsArguments),
    Coverage(coverage::CoverageArguments),
    Mutants(mutants::MutantsArguments),
    Matrix(matrix::MatrixArguments),
}

/// Runs a command.
pub(crate) async fn execute(arguments: Arguments) -> ExitCode {
    // A server is told what to log with its other settings.
    if !matches!(arguments.command, Command::Serve(_)) {
        log();
    }
    match arguments.command {
        Command::Run(arguments) => run::run(*arguments).await,
        Command::Report(arguments) => report::report(&arguments),
        Command::Replay(arguments) => replay::replay(arguments).await,
        Command::Serve(arguments) => serve::serve(arguments).await,
        Command::Check(arguments) => check::run(&arguments),
        Command::Vectors(arguments) => vectors::run(&arguments),
        Command::Coverage(arguments) => coverage::run(&arguments),
        Command::Mutants(arguments) => mutants::mutants(arguments).await,
        Command::Matrix(arguments) => matrix::matrix(arguments).await,
    }
}

/// Logs to standard error; `MIMI_LOG` says how much, as `RUST_LOG` does elsewhere. Unless it says so nothing is logged: the
/// suite reports what it sees, and what its own servers log is noise.
fn log() {
    let filter = EnvFilter::try_from_env("MIMI_LOG").unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
