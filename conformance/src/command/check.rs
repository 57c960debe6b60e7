//! `mimi check`: events, LPDUs, rooms, keys and evidence, from a file or standard input.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::check::{Checked, Kind, Remark, Severity, check, read_keys};
use crate::output::print;
use crate::{FAILED, USAGE};

/// Check an event, an LPDU, a whole room, published keys, or evidence against a hub, without any server.
#[derive(Debug, Args)]
#[command(after_help = "\
A room is an array of its events in order, from m.room.create on, as GET /rooms/{room}/events of the control API gives
it. The keys are an array of answers to GET /_matrix/key/v2/server; a key counts for an event whose origin_server_ts is
not past the key's validity, whatever the date is today.

Evidence is a document with which a participant proves that a hub misbehaved. It is checked from its own documents and
the hub's keys; nothing else that the accuser says is believed.

Exit codes: 0 nothing is wrong, or the evidence proves what it claims; 1 something is, or it does not; 2 the command
line, the keys or the form of the document is wrong.

Examples:
  mimi check --kind room --keys keys.json room.json
  mimi check --kind evidence --keys keys.json evidence.json")]
pub(crate) struct CheckArguments {
    /// What the document is
    #[arg(long, value_enum, default_value_t = Kind::Auto)]
    kind: Kind,
    /// The servers' keys: a JSON array of answers to GET /_matrix/key/v2/server
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Write the outcome as JSON
    #[arg(long)]
    json: bool,
    /// The document; `-`, or nothing, is standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Checks a document.
pub(crate) fn run(arguments: &CheckArguments) -> ExitCode {
    match outcome(arguments) {
        Ok(checked) => {
            if arguments.json {
                print(&format!("{}\n", serde_json::to_string_pretty(&checked).unwrap_or_default()));
            } else {
                print(&explain(&checked));
            }
            if checked.ok { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
        }
        Err(error) => {
            eprintln!("mimi check: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn outcome(arguments: &CheckArguments) -> Result<Checked, String> {
    let keys = match &arguments.keys {
        None => None,
        Some(path) => Some(read_keys(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))?),
    };
    let path = arguments.file.as_deref().unwrap_or(Path::new("-"));
    check(&read(path)?, arguments.kind, keys.as_ref()).map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let result = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    result.map(|()| bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// The outcome in words.
fn explain(checked: &Checked) -> String {
    let mut text: String =
        checked.remarks.iter().map(|remark| explain_remark(checked.kind, remark)).collect();
    let faults = checked.remarks.iter().filter(|remark| remark.severity == Severity::Fault).count();
    let what = match (checked.kind, checked.event_ids.as_slice()) {
        (Kind::Keys, _) => {
            format!("{} key response{}", checked.events, if checked.events == 1 { "" } else { "s" })
        }
        (Kind::Room, ids) => format!("{} of {} events", checked.events, ids.len()),
        (Kind::Evidence, ids) => format!("evidence about {}", ids.join(" and ")),
        (_, [id]) => id.clone(),
        _ => "nothing".to_owned(),
    };
    let verdict = match faults {
        0 => format!("ok: {what}\n"),
        1 => format!("1 fault: {what} checked\n"),
        faults => format!("{faults} faults: {what} checked\n"),
    };
    text.push_str(&verdict);
    text
}

fn explain_remark(kind: Kind, remark: &Remark) -> String {
    let what = if kind == Kind::Keys { "entry" } else { "event" };
    let mut text = match remark.severity {
        Severity::Fault => "fault".to_owned(),
        Severity::Note => "note".to_owned(),
    };
    if let Some(index) = remark.index {
        text.push_str(&format!(" in {what} {index}"));
    }
    if let Some(id) = &remark.event_id {
        text.push_str(&format!(" {id}"));
    }
    if let Some(event) = &remark.event {
        text.push_str(&format!(" ({event})"));
    }
    text.push_str(&format!(": {}\n", remark.what));
    if let Some(at) = &remark.at {
        text.push_str(&format!("  at: {}\n", if at.is_empty() { "the top" } else { at }));
    }
    match (&remark.rule, &remark.requirement) {
        (Some(rule), Some(requirement)) => text.push_str(&format!("  rule: {rule} ({requirement})\n")),
        (None, Some(requirement)) => text.push_str(&format!("  rule: {requirement}\n")),
        _ => {}
    }
    if let Some(accepted) = &remark.accepted {
        text.push_str(&format!("  accepted: {accepted}\n"));
    }
    if let Some(help) = &remark.help {
        text.push_str(&format!("  {help}\n"));
    }
    text
}
