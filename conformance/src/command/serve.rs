//! `mimi serve`: one server, hub and participant.

mod check;
mod layers;
mod services;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use mimi_transport::start::{Server, StartError};
use serde_json::json;
use tokio::net::TcpListener;

use self::layers::Layers;
use self::settings::{Settings, Start};
use self::signals::Signals;
use crate::USAGE;
use crate::output::print;

/// The command line of `mimi serve`, as it was given: what it means is known when the environment and the file are too.
#[derive(Debug, Clone)]
pub(crate) struct ServeArguments(ArgMatches);

impl FromArgMatches for ServeArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

impl Args for ServeArguments {
    fn augment_args(command: Command) -> Command {
        Settings::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Settings::augment_args_for_update(command)
    }
}

/// Runs the server until it is told to end.
pub(crate) async fn serve(arguments: ServeArguments) -> ExitCode {
    let layers = settings::layers(&arguments.0, std::env::vars());
    if arguments.0.get_flag("check_config") {
        return check::check(layers);
    }
    let Layers { settings, errors, strangers, .. } = layers;
    let start = match settings {
        Some(settings) if errors.is_empty() => settings.start(),
        _ => {
            errors.iter().for_each(|error| eprintln!("mimi serve: {error}"));
            return ExitCode::from(USAGE);
        }
    };
    let start = match start {
        Ok(start) => start,
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("mimi serve: {error}"));
            return ExitCode::from(USAGE);
        }
    };
    start.log.install();
    for stranger in strangers {
        tracing::warn!(variable = %stranger, "there is no such setting");
    }
    match run(start).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mimi serve: {error}");
            ExitCode::from(USAGE)
        }
    }
}

async fn run(start: Start) -> Result<ExitCode, StartError> {
    let mut signals = Signals::install().map_err(StartError::Listen)?;
    let federation = bind(start.listen).await?;
    let control = match start.control {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let server = Server::start(start.server, federation, control).await?;
    let ready = json!({
        "server_name": server.node().name,
        "federation": server.federation().to_string(),
        "control": server.control().map(|address| address.to_string()),
        "ca": server.ca(),
    });
    print(&format!("{ready}\n"));
    signals.wait().await;
    Ok(match server.stop().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mimi serve: {error}");
            ExitCode::FAILURE
        }
    })
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Listen(std::io::Error::new(error.kind(), format!("{address}: {error}"))))
}
