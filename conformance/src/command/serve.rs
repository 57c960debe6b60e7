//! `mimi serve`: one server, hub and participant.

mod check;
mod layers;
mod services;
mod settings;
mod signals;

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use mimi_transport::start::{Server, StartError};
use mimi_transport::store::StoreError;
use mimi_transport::telemetry::Waiting;
use serde_json::json;
use tokio::net::TcpListener;

use self::layers::Layers;
use self::settings::{Settings, Start};
use self::signals::Signals;
use crate::output::print;
use crate::{FAILED, USAGE};

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
        // A store elsewhere comes back by itself; whoever watches the process may start it again.
        Err(error @ StartError::Store(StoreError::Unavailable(_))) => {
            eprintln!(
                "mimi serve: {error}\n  is it running, and do address, user and password agree with it?"
            );
            ExitCode::from(FAILED)
        }
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
    let ended = tokio::select! {
        ended = end(server, start.drain_timeout) => ended,
        () = signals.wait() => {
            tracing::warn!("told to end a second time");
            // Whatever still runs is left alone, as it would be by SIGKILL.
            std::process::exit(FAILED.into())
        }
    };
    Ok(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mimi serve: {error}");
            ExitCode::from(FAILED)
        }
    })
}

/// Lets the server come to its end, and says what is left for a new start.
async fn end(server: Server, drain_timeout: Duration) -> Result<(), StoreError> {
    tracing::info!("told to end; nothing new is taken");
    let drained = server.drain(drain_timeout).await;
    for Waiting { destination, events, items } in drained.iter().flatten() {
        tracing::warn!(%destination, events, items, "something waits that a new start sends");
    }
    server.stop().await?;
    tracing::info!("ended");
    drained.map(drop)
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Listen(std::io::Error::new(error.kind(), format!("{address}: {error}"))))
}
