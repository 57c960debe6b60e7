//! `mimi serve --check-config`: what would be in force, and what is wrong with it.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::layers::{Entry, Given, Kind, Layers, Origin};
use super::settings::Settings;
use crate::USAGE;
use crate::output::print;

/// Prints the settings as a file that says the same, each with where it is from, and what is wrong on standard error.
pub(super) fn check(layers: Layers<Settings>) -> ExitCode {
    print(&listed(&layers.entries));
    for stranger in &layers.strangers {
        eprintln!("mimi serve: {stranger}: there is no such setting; it is passed over");
    }
    let mut problems: Vec<String> = layers.errors.iter().map(ToString::to_string).collect();
    match layers.settings.map(Settings::start) {
        Some(Ok(start)) => problems.extend(start.server.problems().iter().map(ToString::to_string)),
        Some(Err(errors)) => problems.extend(errors.iter().map(ToString::to_string)),
        None => {}
    }
    for problem in &problems {
        eprintln!("mimi serve: {problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(USAGE) }
}

/// The settings in the order of the help, as TOML.
fn listed(entries: &[Entry]) -> String {
    let mut out = String::new();
    for Entry { key, values, kind } in entries {
        let written = match (kind, values.as_slice()) {
            // A file does not say where it is.
            _ if key == "config" => writeln!(out, "# config: {}", texts(values).join(" ")),
            (_, []) => writeln!(out, "# {key} is not set"),
            (Kind::Flag, [given, ..]) => writeln!(out, "{key} = {} # {}", given.text, given.origin),
            (Kind::Single, [given, ..]) => {
                let text = if key == "store" { &without_login(&given.text) } else { &given.text };
                writeln!(out, "{key} = {} # {}", quoted(text), given.origin)
            }
            (Kind::List | Kind::Named, values) => {
                let lines =
                    values.iter().map(|given| format!("    {}, # {}\n", quoted(&given.text), given.origin));
                writeln!(out, "{key} = [\n{}]", lines.collect::<String>())
            }
        };
        // Writing to a string does not fail.
        let _ = written;
    }
    out
}

/// A store's address without its users and passwords: what is printed here is in the system's journal at every start.
fn without_login(store: &str) -> String {
    let Some((scheme, rest)) = store.split_once("://") else { return store.to_owned() };
    let (servers, settings) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let servers = servers.split(',').map(|server| match server.rsplit_once('@') {
        Some((_, address)) => format!("…@{address}"),
        None => server.to_owned(),
    });
    format!("{scheme}://{}{settings}", servers.collect::<Vec<_>>().join(","))
}

fn texts(values: &[Given]) -> Vec<&str> {
    let said = values.iter().filter(|given| given.origin != Origin::Default);
    said.map(|given| given.text.as_str()).collect()
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::without_login;

    #[test]
    fn a_store_is_shown_without_its_password() {
        for (store, shown) in [
            ("embedded", "embedded"),
            ("nats://a:4222,b?replicas=3", "nats://a:4222,b?replicas=3"),
            ("tls://mimi:p%40s@a:4222,t0ken@b?prefix=x@y", "tls://…@a:4222,…@b?prefix=x@y"),
        ] {
            assert_eq!(without_login(store), shown);
        }
    }
}
