//! The matrix for a terminal.

use std::fmt::Write as _;

use super::{Matrix, Verdict};
use crate::printable::printable;

/// How wide a column is at least, in characters.
const COLUMN: usize = 8;

/// A table for each room version: a line for each hub, a column for each participant, and below what did not work.
pub(crate) fn table(matrix: &Matrix) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_table(&mut out, matrix);
    out
}

fn write_table(out: &mut String, matrix: &Matrix) -> std::fmt::Result {
    let names: Vec<String> = matrix.servers.iter().map(|name| printable(name)).collect();
    let first = names.iter().map(|name| name.chars().count()).max().unwrap_or_default().max("hub".len());
    for version in &matrix.room_versions {
        writeln!(out, "room version {version}: hubs below, participants to the right\n")?;
        write!(out, "{:<first$}", "hub")?;
        for name in &names {
            write!(out, "  {name:>COLUMN$}")?;
        }
        writeln!(out)?;
        for (hub, name) in matrix.servers.iter().zip(&names) {
            write!(out, "{name:<first$}")?;
            for (participant, name) in matrix.servers.iter().zip(&names) {
                let width = name.chars().count().max(COLUMN);
                let verdict =
                    matrix.cell(hub, participant, version).map_or(Verdict::Skip, |cell| cell.verdict);
                write!(out, "  {:>width$}", verdict.as_str())?;
            }
            writeln!(out)?;
        }
        writeln!(out)?;
    }
    for cell in &matrix.cells {
        let failed = cell.steps.iter().find_map(|step| Some((step.name, step.error.as_ref()?)));
        let (hub, participant) = (printable(&cell.hub), printable(&cell.participant));
        let version = &cell.room_version;
        if let Some((step, error)) = failed {
            let error = printable(error);
            writeln!(
                out,
                "{:<6} {hub} with {participant} ({version}): {step}: {error}",
                cell.verdict.as_str()
            )?;
        }
        if let Some(reason) = &cell.reason {
            let reason = printable(reason);
            writeln!(out, "{:<6} {hub} with {participant} ({version}): {reason}", cell.verdict.as_str())?;
        }
    }
    let count = |verdict| matrix.cells.iter().filter(|cell| cell.verdict == verdict).count();
    let [pass, partly, fail, skip] =
        [Verdict::Pass, Verdict::Partly, Verdict::Fail, Verdict::Skip].map(count);
    writeln!(
        out,
        "{pass} pairs passed, {partly} partly, {fail} failed, {skip} skipped (seed {})",
        matrix.seed
    )
}
