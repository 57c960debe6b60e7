//! The table that people see on a terminal.

use std::fmt::Write as _;

use super::{Coverage, DraftCoverage, Fault, Line, Status, Tally};
use crate::catalogue::{LM_04, Level};

/// The tables of all drafts, what has no case, and what is wrong.
pub(crate) fn to_text(coverage: &Coverage<'_>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_text(&mut out, coverage);
    out
}

fn write_text(out: &mut String, coverage: &Coverage<'_>) -> std::fmt::Result {
    for draft in &coverage.drafts {
        write_draft(out, draft)?;
    }
    // Of a draft that nobody asked for by name, there may be hundreds.
    let is_listed = |draft: &&DraftCoverage<'_>| coverage.drafts.len() == 1 || draft.draft.name == LM_04;
    for draft in coverage.drafts.iter().filter(is_listed) {
        write_open(out, draft, &coverage.faults)?;
    }
    for fault in &coverage.faults {
        writeln!(out, "wrong: {fault}")?;
    }
    match coverage.faults.len() {
        0 => writeln!(out, "every MUST of LM-04 is covered, or marked with a reason"),
        faults => writeln!(out, "\n{faults} faults"),
    }
}

/// The four numbers of a level.
fn cell(tally: Tally) -> String {
    let Tally { covered, untestable, unspecified, open } = tally;
    format!("{covered:>4} {untestable:>3} {unspecified:>3} {open:>3}")
}

fn cells<'l>(lines: &[&'l Line<'l>]) -> String {
    let of = |level| cell(Tally::of(lines.iter().copied(), level));
    Level::ALL.map(of).join("   ")
}

fn write_draft(out: &mut String, draft: &DraftCoverage<'_>) -> std::fmt::Result {
    let head = "cov. unt uns opn";
    let wide = draft.sections().iter().map(|(section, _)| section.len()).max().unwrap_or_default().max(11);
    writeln!(out, "{} ({}.toml): {} requirements", draft.draft, draft.draft.name, draft.lines.len())?;
    writeln!(out, "{:<wide$} {:<16}   {:<16}   {:<16}", "", "MUST", "SHOULD", "MAY")?;
    writeln!(out, "{:<wide$} {head:<16}   {head:<16}   {head:<16}", "section")?;
    for (section, lines) in draft.sections() {
        writeln!(out, "{section:<wide$} {}", cells(&lines))?;
    }
    let all: Vec<_> = draft.lines.iter().collect();
    writeln!(out, "{:<wide$} {}\n", "all", cells(&all))?;
    Ok(())
}

/// The requirements that nothing is wrong with and that have no case either.
fn write_open(out: &mut String, draft: &DraftCoverage<'_>, faults: &[Fault]) -> std::fmt::Result {
    let is_fault = |line: &Line<'_>| {
        let named = |fault: &Fault| matches!(fault, Fault::OpenMust { id, .. } if *id == line.requirement.id);
        faults.iter().any(named)
    };
    let open = draft.lines.iter().filter(|line| line.status() == Status::Open && !is_fault(line));
    let mut is_first = true;
    for line in open {
        if std::mem::take(&mut is_first) {
            writeln!(out, "open in {}:", draft.draft)?;
        }
        let requirement = line.requirement;
        writeln!(out, "  {} {}: {}", requirement.level.as_str(), requirement.id, requirement.says)?;
    }
    if is_first { Ok(()) } else { writeln!(out) }
}
