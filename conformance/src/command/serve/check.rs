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
                writeln!(out, "{key} = {} # {}", quoted(&given.text), given.origin)
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

fn texts(values: &[Given]) -> Vec<&str> {
    let said = values.iter().filter(|given| given.origin != Origin::Default);
    said.map(|given| given.text.as_str()).collect()
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
