//! A summary to paste into a README, or for a forge to show below a run.

use std::fmt::Write as _;

use super::{CaseResult, Report, Standing};
use crate::case::Verdict;
use crate::catalogue::Level;

/// How many cases are listed at most; the report in HTML has all of them.
const LISTED: usize = 50;
/// How much of a reason is shown, in characters.
const SHOWN: usize = 300;

/// The summary.
pub(crate) fn markdown(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_summary(&mut out, report);
    out
}

fn write_summary(out: &mut String, report: &Report) -> std::fmt::Result {
    let s = &report.summary;
    let (tried, whole) = (report.cases.len().saturating_sub(s.skipped), report.suite.cases);
    let against = report.cases.iter().filter(|case| case.is_against()).count();
    let verdict = match (against, s.failed, tried == whole) {
        (0, 0, true) => "every case that is required passes".to_owned(),
        (0, 0, false) => format!("every required case of the {tried} that were tried passes"),
        (0, failed, _) => format!("{failed} cases fail that are known to"),
        (1, ..) => "one case is not as it should be".to_owned(),
        (against, ..) => format!("{against} cases are not as they should be"),
    };
    let profile = report.profile.as_ref();
    let of_profile = profile.map(|profile| format!(", profile {}", text(&profile.name))).unwrap_or_default();
    writeln!(out, "### Linearized Matrix (LM-04){of_profile}: {verdict}\n")?;
    if let Some(profile) = profile {
        writeln!(
            out,
            "{}. {} and more binding levels count.\n",
            text(&profile.title),
            profile.counts.as_str()
        )?;
    }
    writeln!(out, "| | passed | failed | warned | acceptable | skipped |\n|---|--:|--:|--:|--:|--:|")?;
    for level in Level::ALL {
        let count = |verdict| {
            report.cases.iter().filter(|case| case.level == level && case.verdict == verdict).count()
        };
        let [pass, fail, warn, acceptable, skip] =
            [Verdict::Pass, Verdict::Fail, Verdict::Warn, Verdict::Acceptable, Verdict::Skip].map(count);
        let name = level.as_str();
        writeln!(out, "| {name} | {pass} | {fail} | {warn} | {acceptable} | {skip} |")?;
    }
    let (passed, failed, warned, acceptable, skipped) =
        (s.passed, s.failed, s.warned, s.acceptable, s.skipped);
    writeln!(out, "| all | {passed} | {failed} | {warned} | {acceptable} | {skipped} |\n")?;
    let listed = |out: &mut String, title: &str, is: &dyn Fn(&CaseResult) -> bool| -> std::fmt::Result {
        let cases: Vec<_> = report.cases.iter().filter(|case| is(case)).collect();
        if cases.is_empty() {
            return Ok(());
        }
        writeln!(out, "**{title}**\n")?;
        for case in cases.iter().take(LISTED) {
            let why = match (case.standing(), &case.expected) {
                (Standing::Plain, _) | (_, None) => text(case.reason.as_deref().unwrap_or_default()),
                (_, Some(expected)) => match &expected.link {
                    Some(link) => format!("{} (<{}>)", text(&expected.reason), address(link)),
                    None => text(&expected.reason),
                },
            };
            writeln!(out, "- `{}` ({}): {}. {why}", case.id, case.level.as_str(), text(&case.title))?;
        }
        if let Some(more) = cases.len().checked_sub(LISTED).filter(|more| *more > 0) {
            writeln!(out, "- and {more} more")?;
        }
        writeln!(out)
    };
    listed(out, "Failed", &|case| case.verdict == Verdict::Fail && case.standing() == Standing::Plain)?;
    listed(out, "Passed, and were expected to fail", &|case| case.standing() == Standing::UnexpectedPass)?;
    listed(out, "Failed, as expected", &|case| case.standing() == Standing::Expected)?;
    listed(out, "Warned", &|case| case.verdict == Verdict::Warn && case.standing() == Standing::Plain)?;
    if let Some(baseline) = &report.baseline {
        writeln!(out, "**Compared with the run of {}**\n", text(&baseline.started))?;
        for (name, changes) in baseline.changes() {
            for change in changes.iter().take(LISTED) {
                let (before, now) = (change.before.as_str(), change.now.as_str());
                writeln!(out, "- {name}: {} {before} → {now}", text(&change.id))?;
            }
        }
        let counts = [
            baseline.better.len(),
            baseline.worse.len(),
            baseline.unknown.len(),
            baseline.new.len(),
            baseline.removed.len(),
        ];
        let [better, worse, unknown, new, removed] = counts;
        writeln!(out, "- {better} better, {worse} worse, {unknown} unknown, {new} new, {removed} removed\n")?;
    }
    let (version, seed) = (&report.suite.version, report.suite.seed);
    let (target, driver) = (text(&report.target.server_name), text(&report.target.driver));
    let started = text(&report.suite.started);
    writeln!(out, "`mimi run` {version} against {target} (driver {driver}) on {started}, seed {seed}.")
}

/// Text that nobody vouches for, in a paragraph: nothing in it is markup.
fn text(text: &str) -> String {
    let mut shown = String::new();
    for (number, character) in text.chars().enumerate() {
        if number == SHOWN {
            shown.push('…');
            break;
        }
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            // A zero-width space keeps forges from notifying whoever has such a name.
            '@' => shown.push_str("@\u{200b}"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|' | '~'
            | '$' => {
                shown.push('\\');
                shown.push(character);
            }
            control if control.is_control() => shown.push(' '),
            other => shown.push(other),
        }
    }
    // An address is not to become a link by itself.
    shown.replace("://", ":\u{200b}//")
}

/// The address of a page between angle brackets.
fn address(link: &str) -> String {
    link.chars()
        .filter(|character| !matches!(character, '<' | '>' | ' ') && !character.is_control())
        .collect()
}
