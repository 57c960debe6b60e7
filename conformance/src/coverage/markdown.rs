//! Coverage as a page of the documentation.

use std::fmt::Write as _;

use super::{Coverage, DraftCoverage, Line, Status, Tally};
use crate::catalogue::{Keywords, LM_04, Level};

const HEAD: &str = "\
# What the suite covers

Written by `mimi coverage --markdown docs/coverage.md`, and held to be current by a test. `mimi coverage --json -` has each
requirement with its cases.

A requirement is *covered* if a case shows it, *untestable* if no case could, *unspecified* if the draft leaves open what is
required, and otherwise *open*. Each MUST is one of the first three. A cell has the number of covered requirements,
and behind it, where there are any, those that are untestable (`t`), unspecified (`s`) and open (`o`).

Of LM-04, those without a case are listed. Of the other drafts a server can show what they share with LM-04, and that it
carries their messages unread; why it is not more is in their catalogues, at each requirement. PROFILE has what
[profiles](../conformance/README.md#profiles) ask for, by profile: their cases are in runs with `--profile` alone.
";

/// The page.
pub(crate) fn to_markdown(coverage: &Coverage<'_>) -> String {
    let mut out = HEAD.to_owned();
    // Writing to a string cannot fail.
    let _ = write_page(&mut out, coverage);
    out
}

fn write_page(out: &mut String, coverage: &Coverage<'_>) -> std::fmt::Result {
    writeln!(out, "\n| draft | MUST | SHOULD | MAY |\n|---|---|---|---|")?;
    for draft in &coverage.drafts {
        let all: Vec<_> = draft.lines.iter().collect();
        writeln!(out, "| [{}](../drafts/{}.toml) | {} |", draft.draft, draft.draft.name, cells(&all))?;
    }
    for draft in &coverage.drafts {
        let keywords = (draft.draft.name == LM_04).then_some(coverage.catalogue.keywords.as_slice());
        write_draft(out, draft, keywords)?;
    }
    if coverage.faults.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## What is wrong\n")?;
    coverage.faults.iter().try_for_each(|fault| writeln!(out, "- {fault}"))
}

fn cell(tally: Tally) -> String {
    if tally.total() == 0 {
        return String::new();
    }
    let mut cell = tally.covered.to_string();
    for (count, letter) in [(tally.untestable, 't'), (tally.unspecified, 's'), (tally.open, 'o')] {
        if count > 0 {
            // Writing to a string cannot fail.
            let _ = write!(cell, " +{count}{letter}");
        }
    }
    cell
}

fn cells<'l>(lines: &[&'l Line<'l>]) -> String {
    Level::ALL.map(|level| cell(Tally::of(lines.iter().copied(), level))).join(" | ")
}

fn write_draft(
    out: &mut String,
    draft: &DraftCoverage<'_>,
    keywords: Option<&[Keywords]>,
) -> std::fmt::Result {
    writeln!(out, "\n## {}\n", draft.draft)?;
    if let Some(keywords) = keywords {
        write_keywords(out, draft, keywords)?;
    }
    let more = if keywords.is_some() { (" keywords: MUST, SHOULD, MAY |", "---|") } else { ("", "") };
    writeln!(out, "| section |{} MUST | SHOULD | MAY |\n|---|{}---|---|---|", more.0, more.1)?;
    for (section, lines) in draft.sections() {
        write!(out, "| {section} | ")?;
        if let Some(keywords) = keywords {
            let of = keywords.iter().find(|keywords| keywords.number == section);
            let counts = of.map(|of| Level::ALL.map(|level| of.count(level).to_string()).join(", "));
            write!(out, "{} | ", counts.unwrap_or_default())?;
        }
        writeln!(out, "{} |", cells(&lines))?;
    }
    if keywords.is_none() {
        return Ok(());
    }
    write_list(out, draft, "Open", |status| matches!(status, Status::Open))?;
    write_list(out, draft, "Untestable", |status| matches!(status, Status::Untestable(_)))?;
    write_list(out, draft, "Unspecified", |status| matches!(status, Status::Unspecified(_)))
}

/// How the catalogue accounts for the text.
fn write_keywords(out: &mut String, draft: &DraftCoverage<'_>, keywords: &[Keywords]) -> std::fmt::Result {
    let [must, should, may] =
        Level::ALL.map(|level| keywords.iter().map(|of| of.count(level)).sum::<usize>());
    let stood_for: std::collections::BTreeSet<&str> =
        keywords.iter().flat_map(Keywords::each).flat_map(|(_, ids)| ids).map(String::as_str).collect();
    writeln!(
        out,
        "The text has {} keywords of BCP 14: {must} MUST, {should} SHOULD, {may} MAY, the negated ones included.\n\
         [keywords.toml](../drafts/keywords.toml) says of each which requirements stand for it; they are {} of the {} here. The\n\
         others are made of what binds without a keyword: steps of procedures, rules, schemas, statuses.\n",
        must.saturating_add(should).saturating_add(may),
        stood_for.len(),
        draft.lines.len(),
    )
}

fn write_list(
    out: &mut String,
    draft: &DraftCoverage<'_>,
    title: &str,
    is: impl Fn(Status<'_>) -> bool,
) -> std::fmt::Result {
    let listed: Vec<_> = draft.lines.iter().filter(|line| is(line.status())).collect();
    if listed.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### {title} ({})\n", draft.draft)?;
    for line in listed {
        let requirement = line.requirement;
        write!(out, "- `{}` {}: {}", requirement.id, requirement.level.as_str(), requirement.says)?;
        match line.status() {
            Status::Untestable(why) | Status::Unspecified(why) => writeln!(out, " *{why}*")?,
            Status::Covered | Status::Open => writeln!(out)?,
        }
    }
    Ok(())
}
