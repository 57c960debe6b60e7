//! What people see: progress while the suite runs, and a summary by section.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{CaseResult, Report, Standing, Summary};
use crate::case::{Outcome, Verdict};
use crate::catalogue::Catalogue;
use crate::printable::printable;

/// Live progress on standard error; invisible where that is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Progress over this many cases.
    pub(crate) fn new(cases: usize) -> Self {
        let bar = ProgressBar::new(u64::try_from(cases).unwrap_or(u64::MAX));
        let style = ProgressStyle::with_template("{elapsed:>4} [{bar:40}] {pos}/{len} {msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    /// A case has ended. One that did not pass leaves a line behind.
    pub(crate) fn ended(&self, outcome: &Outcome) {
        self.bar.inc(1);
        self.bar.set_message(outcome.id);
        if !matches!(outcome.verdict, Verdict::Pass | Verdict::Skip) {
            let reason = outcome.reason.as_deref().unwrap_or_default();
            let reason = printable(reason);
            self.bar.println(format!("{:<10} {}  {reason}", outcome.verdict.as_str(), outcome.id));
        }
    }

    /// Every case has ended.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// The summary: every section with its numbers, then what did not pass, then the total.
pub(crate) fn summary(report: &Report, catalogue: &Catalogue) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_summary(&mut out, report, catalogue);
    out
}

fn write_summary(out: &mut String, report: &Report, catalogue: &Catalogue) -> std::fmt::Result {
    let wide = report.sections().map(|(section, _)| section.len()).max().unwrap_or_default().max(12);
    writeln!(
        out,
        "{:<wide$} {:>5} {:>5} {:>5} {:>11} {:>5}",
        "section", "pass", "fail", "warn", "acceptable", "skip"
    )?;
    for (section, outcomes) in report.sections() {
        let s = Summary::of(outcomes);
        let (passed, failed, warned) = (s.passed, s.failed, s.warned);
        writeln!(
            out,
            "{section:<wide$} {passed:>5} {failed:>5} {warned:>5} {:>11} {:>5}",
            s.acceptable, s.skipped
        )?;
    }
    let mut others: Vec<&CaseResult> =
        report.cases.iter().filter(|case| case.verdict != Verdict::Pass || case.is_against()).collect();
    others.sort_by_key(|outcome| outcome.verdict == Verdict::Skip);
    if !others.is_empty() {
        writeln!(out)?;
    }
    for outcome in others {
        writeln!(out, "{:<10} {}: {}", outcome.verdict.as_str(), outcome.id, outcome.title)?;
        writeln!(out, "           {}", printable(outcome.reason.as_deref().unwrap_or_default()))?;
        match (outcome.standing(), &outcome.expected) {
            (Standing::Expected, Some(expected)) => {
                writeln!(out, "           as expected: {}", expected.reason)?;
            }
            (Standing::UnexpectedPass, Some(expected)) => {
                writeln!(out, "           it was expected to fail: {}", expected.reason)?;
            }
            _ => {}
        }
        if matches!(outcome.verdict, Verdict::Fail | Verdict::Warn) {
            for id in &outcome.covers {
                writeln!(out, "           {id}: {}", catalogue.says(id).unwrap_or_default())?;
            }
        }
    }
    let with_devices: Vec<&CaseResult> =
        report.cases.iter().filter(|outcome| !outcome.mls.is_empty()).collect();
    if !with_devices.is_empty() {
        let mixed = with_devices.iter().filter(|outcome| outcome.has_mixed_room()).count();
        writeln!(
            out,
            "\n{} cases have MLS devices of the suite ({}), in {mixed} of them of several implementations",
            with_devices.len(),
            report.suite.mls,
        )?;
    }
    if let Some(profile) = &report.profile {
        writeln!(out, "\nprofile {}: {}", printable(&profile.name), printable(&profile.title))?;
    }
    let s = report.summary;
    let seconds = Duration::from_millis(report.suite.duration_ms).as_secs_f64();
    writeln!(
        out,
        "\n{}: {} passed, {} failed, {} warned, {} acceptable, {} skipped in {seconds:.1} s (seed {})",
        report.target.server_name, s.passed, s.failed, s.warned, s.acceptable, s.skipped, report.suite.seed,
    )?;
    if s.expected > 0 || s.unexpected_passes > 0 {
        let (expected, unexpected) = (s.expected, s.unexpected_passes);
        writeln!(out, "{expected} did not pass as expected, {unexpected} passed that were expected to fail")?;
    }
    Ok(())
}
