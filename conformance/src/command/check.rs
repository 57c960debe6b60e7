//! `mimi check`: events, LPDUs, rooms, keys and evidence, from a file or standard input.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use mimi_linearized::id::RoomVersionId;
use mimi_linearized::version::{RoomVersion, RoomVersions};

use crate::check::{Checked, Kind, Remark, Severity, check, counted, read_keys};
use crate::output::print;
use crate::printable::printable;
use crate::{FAILED, USAGE};

/// Check an event, an LPDU, a whole room, published keys, or evidence against a hub, without any server.
#[derive(Debug, Args)]
#[command(after_help = "\
A room is an array of its events in order, from m.room.create on, as GET /rooms/{room}/events of the control API gives
it. Its create event names its room version, which may be any that this program knows. An event or an LPDU by itself
does not say what version its room has: --room-version does.

The keys are an answer to GET /_matrix/key/v2/server, an array of such answers, or a notary's answer. A key counts for an
event whose origin_server_ts is not past the key's validity, whatever the date is today.

Evidence is a document with which a participant proves that a hub misbehaved. It is checked from its own documents and
the hub's keys; nothing else that the accuser says is believed.

Of a message is told what kind it is, what is wrong with it, and what clients show of it: one that knows the kind, and one
that shows texts only.

Characters of a document that a terminal would act on are shown as escapes; --json has them as they are.

Exit codes: 0 nothing is wrong, or the evidence proves what it claims; 1 something is, or it does not, or the document
is no JSON that every reader takes for the same; 2 the command line, the keys or the form of the document is wrong.

Examples:
  mimi check --kind room --keys keys.json room.json
  mimi check --kind evidence --keys keys.json evidence.json
  mimi check --kind content message.json")]
pub(crate) struct CheckArguments {
    /// What the document is
    #[arg(long, value_enum, default_value_t = Kind::Auto)]
    kind: Kind,
    /// The servers' keys: an answer to GET /_matrix/key/v2/server, an array of them, or a notary's answer
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// The room version that a single event or LPDU is read by
    #[arg(long, value_name = "VERSION", default_value = "I.1", value_parser = room_version)]
    room_version: Arc<RoomVersion>,
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
            eprintln!("mimi check: {}", printable(&error));
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
    check(&read(path)?, arguments.kind, keys.as_ref(), &arguments.room_version)
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn room_version(name: &str) -> Result<Arc<RoomVersion>, String> {
    let versions = RoomVersions::all();
    versions.get(name).map(Arc::clone).ok_or_else(|| {
        let known: Vec<&str> = versions.ids().map(RoomVersionId::as_str).collect();
        format!("the known ones are {}", known.join(", "))
    })
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
    let what = subject(checked);
    let verdict = match faults {
        0 => format!("ok: {what}\n"),
        1 => format!("1 fault: {what} checked\n"),
        faults => format!("{faults} faults: {what} checked\n"),
    };
    text.push_str(&verdict);
    text
}

/// What was checked.
fn subject(checked: &Checked) -> String {
    match (checked.kind, checked.event_ids.as_slice()) {
        (_, _) if checked.events == 0 => "nothing could be".to_owned(),
        (Kind::Content, _) => "a message".to_owned(),
        (Kind::Keys, _) => counted(checked.events, "key response"),
        (Kind::Room, ids) => format!("{} of {}", checked.events, counted(ids.len(), "event")),
        (Kind::Evidence, ids) => format!("evidence about {}", ids.join(" and ")),
        (_, ids) => ids.join(" and "),
    }
}

/// A remark in lines. What comes from the document is escaped here, and nowhere before.
fn explain_remark(kind: Kind, remark: &Remark) -> String {
    let what = if kind == Kind::Keys { "entry" } else { "event" };
    let mut text = match remark.severity {
        Severity::Fault => "fault".to_owned(),
        Severity::Note => "note".to_owned(),
    };
    if let Some(index) = remark.index {
        text.push_str(&format!(" in {what} {index}"));
    }
    if let Some(id) = remark.event_id.as_deref().map(printable) {
        text.push_str(&format!(" {id}"));
    }
    if let Some(event) = remark.event.as_deref().map(printable) {
        text.push_str(&format!(" ({event})"));
    }
    text.push_str(&format!(": {}\n", printable(&remark.what)));
    if let Some(at) = remark.at.as_deref().map(printable) {
        text.push_str(&format!("  at: {}\n", if at.is_empty() { "the top" } else { &at }));
    }
    match (&remark.rule, &remark.requirement) {
        (Some(rule), Some(requirement)) => text.push_str(&format!("  rule: {rule} ({requirement})\n")),
        (None, Some(requirement)) => text.push_str(&format!("  rule: {requirement}\n")),
        _ => {}
    }
    if let Some(accepted) = remark.accepted.as_deref().map(printable) {
        text.push_str(&format!("  accepted: {accepted}\n"));
    }
    if let Some(help) = remark.help.as_deref().map(printable) {
        text.push_str(&format!("  {help}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use mimi_linearized::signing::ServerKeyRing;
    use serde_json::json;

    use super::*;

    const NASTY: &str = "x\n\u{1b}[31m\u{202e}ok: all is well";

    fn explained(document: &serde_json::Value, kind: Kind) -> String {
        let ring = ServerKeyRing::new();
        let version = room_version("I.1").unwrap();
        explain(&check(document.to_string().as_bytes(), kind, Some(&ring), &version).unwrap())
    }

    fn assert_harmless(text: &str) {
        let bad = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
        assert!(!text.chars().any(|c| bad(&c)), "{text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with('\u{1b}') || line.starts_with("ok: all")),
            "{text}"
        );
        assert!(text.contains(r"x\n\u{1b}[31m\u{202e}ok: all is well"), "{text}");
    }

    #[test]
    fn what_a_document_says_cannot_pose_as_output() {
        let lpdu = json!({
            "room_id": "!r:hub.example", "type": NASTY, "sender": "@bob:second.example", "origin_server_ts": 1,
            "content": {}, "hub_server": "hub.example", "hashes": {"lpdu": {"sha256": NASTY}}, "signatures": {},
        });
        // A type, in the line that says which event it is.
        assert_harmless(&explained(&json!([lpdu]), Kind::Room));
        // A hash, in what was found.
        assert_harmless(&explained(&lpdu, Kind::Lpdu));
        // A key, in the place.
        let mut text = json!({NASTY: {"a": 1}}).to_string();
        text = text.replace(r#"{"a":1}"#, r#"{"a":1,"a":2}"#);
        let version = room_version("I.1").unwrap();
        assert_harmless(&explain(&check(text.as_bytes(), Kind::Auto, None, &version).unwrap()));
        // The name of a server, in the answer that has its keys.
        let keys = json!([{"server_name": NASTY, "verify_keys": {}, "valid_until_ts": 1}]);
        assert_harmless(&explained(&keys, Kind::Keys));
    }

    #[test]
    fn a_verdict_about_nothing_and_about_one() {
        let verdict = |document: &str, kind| {
            let version = room_version("I.1").unwrap();
            let ring = ServerKeyRing::new();
            let said = explain(&check(document.as_bytes(), kind, Some(&ring), &version).unwrap());
            said.lines().last().unwrap().to_owned()
        };
        for kind in [Kind::Auto, Kind::Event, Kind::Lpdu, Kind::Room, Kind::Evidence, Kind::Keys] {
            assert_eq!(verdict("{", kind), "1 fault: nothing could be checked");
        }
        assert!(verdict("[{}]", Kind::Room).ends_with("1 of 1 event checked"));
    }
}
