//! The head of the page, and the verdicts by section as a picture.

use maud::{Markup, html};

use super::super::{CaseResult, ProfileInfo, Report, Summary};
use super::{chip, lines, sections};
use crate::case::Verdict;

/// The verdicts in the order of the pictures, with their numbers.
fn counts(summary: &Summary) -> [(Verdict, usize); 5] {
    [
        (Verdict::Pass, summary.passed),
        (Verdict::Acceptable, summary.acceptable),
        (Verdict::Warn, summary.warned),
        (Verdict::Fail, summary.failed),
        (Verdict::Skip, summary.skipped),
    ]
}

fn words(summary: &Summary) -> String {
    let some = counts(summary).into_iter().filter(|(_, count)| *count > 0);
    some.map(|(verdict, count)| format!("{count} {}", verdict.as_str())).collect::<Vec<_>>().join(", ")
}

pub(super) fn header(report: &Report) -> Markup {
    let against = report.cases.iter().filter(|case| case.is_against()).count();
    let tried = report.cases.len().saturating_sub(report.summary.skipped);
    let (class, sentence) = match (against, report.summary.failed) {
        (0, 0) => ("pass", format!("Every required case of the {tried} that were tried passes.")),
        (0, known) => ("expected", format!("{known} cases fail, all of which are known to.")),
        (1, _) => ("fail", "One case is not as it should be.".to_owned()),
        (many, _) => ("fail", format!("{many} cases are not as they should be.")),
    };
    html! {
        header {
            div.title {
                p.eyebrow { "Linearized Matrix (LM-04), conformance" }
                h1 { (lines(&report.target.server_name)) }
                p class={ "sentence " (class) } { (sentence) }
                @if let Some(profile) = &report.profile { (of_profile(profile)) }
                p.meta {
                    (started(&report.suite.started)) ", " (seconds(report.suite.duration_ms)) ", driver " code { (lines(&report.target.driver)) }
                    ", seed " code { (report.suite.seed) } ", mimi " (lines(&report.suite.version))
                }
            }
            (donut(&report.summary))
        }
    }
}

/// Which profile it was, and what that is based on.
fn of_profile(profile: &ProfileInfo) -> Markup {
    html! {
        p.meta {
            "Profile " strong { (lines(&profile.name)) } ": " (lines(&profile.title)) ". "
            (profile.counts.as_str()) " and more binding levels count."
            @if !profile.based_on.is_empty() {
                " Based on "
                @for (number, source) in profile.based_on.iter().enumerate() {
                    @if number > 0 { ", " }
                    (lines(&source.title)) " (" (lines(&source.version)) ")"
                }
                "."
            }
        }
    }
}

/// When it started, to the second.
fn started(text: &str) -> String {
    lines(&match text.split_once('.') {
        Some((seconds, _)) => format!("{} UTC", seconds.replace('T', " ")),
        None => text.to_owned(),
    })
}

/// A time: in seconds from ten of them on, in milliseconds below.
pub(super) fn took(ms: u64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { seconds(ms) }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

/// All verdicts as a ring, with their numbers beside it.
fn donut(summary: &Summary) -> Markup {
    let counts = counts(summary);
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let mut offset: usize = 0;
    let arcs = counts.map(|(verdict, count)| {
        let (from, length) = (offset, per_thousand(count, total));
        offset = offset.saturating_add(length);
        (verdict, from, length)
    });
    html! {
        div.donut {
            svg viewBox="0 0 120 120" role="img" aria-label={ (total) " cases: " (words(summary)) } {
                @for (verdict, from, length) in arcs {
                    @if length > 0 {
                        circle class={ "arc " (verdict.as_str()) } cx="60" cy="60" r="46" pathLength="1000"
                            stroke-dasharray={ (length) " 1000" } stroke-dashoffset={ "-" (from) } transform="rotate(-90 60 60)" {}
                    }
                }
                text x="60" y="60" class="total" text-anchor="middle" { (total) }
                text x="60" y="76" class="unit" text-anchor="middle" { "cases" }
            }
            ul {
                @for (verdict, count) in counts {
                    li { (super::verdict(verdict)) " " strong { (count) } }
                }
            }
        }
    }
}

/// A share of a thousand, and something of whatever there is.
fn per_thousand(count: usize, total: usize) -> usize {
    let share = count.saturating_mul(1_000).checked_div(total).unwrap_or_default();
    if count > 0 { share.max(1) } else { 0 }
}

pub(super) fn view(report: &Report) -> Markup {
    html! {
        section #overview aria-labelledby="overview-title" {
            h2 #overview-title { "By section of the draft" }
            p.hint { "A bar is as long as the section has cases. It leads to them." }
            ul.bars {
                @let longest = report.sections().map(|(_, cases)| cases.len()).max().unwrap_or_default();
                @for (section, cases) in report.sections() {
                    (bar(section, &cases, longest))
                }
            }
            (baseline(report))
            (expected(report))
        }
    }
}

fn bar(section: &str, cases: &[&CaseResult], longest: usize) -> Markup {
    let summary = Summary::of(cases.iter().copied());
    let mut x: usize = 0;
    let parts = counts(&summary).map(|(verdict, count)| {
        let (from, width) = (x, per_thousand(count, longest));
        x = x.saturating_add(width);
        (verdict, from, width)
    });
    let title = sections::title(section);
    html! {
        li {
            a.bar href="#cases" data-section=(section) {
                span.name { span.number { (section) } " " span.words { (title) } }
                span.numbers { (words(&summary)) }
                svg viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
                    @for (verdict, from, width) in parts {
                        @if width > 0 {
                            rect class=(verdict.as_str()) x=(from) y="0" width=(width) height="10" {}
                        }
                    }
                }
            }
        }
    }
}

fn baseline(report: &Report) -> Markup {
    let Some(baseline) = &report.baseline else { return html! {} };
    html! {
        h3 { "Since the run of " (started(&baseline.started)) }
        @for (name, changes) in baseline.changes() {
            @if !changes.is_empty() {
                p.change { strong { (changes.len()) " " (name) } }
                ul.changes {
                    @for change in changes {
                        li { code { (lines(&change.id)) } " " (super::verdict(change.before)) " → " (super::verdict(change.now)) }
                    }
                }
            }
        }
        @for (name, ids) in [("new", &baseline.new), ("removed", &baseline.removed)] {
            @if !ids.is_empty() {
                details {
                    summary { (ids.len()) " " (name) }
                    ul.changes { @for id in ids { li { code { (lines(id)) } } } }
                }
            }
        }
        @if baseline.better.is_empty() && baseline.worse.is_empty() && baseline.unknown.is_empty() {
            p { "No case came out otherwise." }
        }
    }
}

fn expected(report: &Report) -> Markup {
    let expected: Vec<_> = report.cases.iter().filter(|case| case.expected.is_some()).collect();
    if expected.is_empty() {
        return html! {};
    }
    html! {
        h3 { "Expected to fail" }
        ul.changes {
            @for case in expected {
                @if let Some(expectation) = &case.expected {
                    li {
                        code { (case.id) } " " (super::verdict(case.verdict)) (super::standing(case)) " " (lines(&expectation.reason))
                        @if let Some(link) = expectation.link.as_ref().filter(|link| crate::expect::is_link(link)) {
                            " " a href=(link) rel="noreferrer noopener" { "more" }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn footer(report: &Report) -> Markup {
    html! {
        footer {
            p {
                "A case that passes shows that the server did what it should in that case. "
                (chip("acceptable", "≈", "acceptable")) " is where the draft can be read otherwise, "
                (chip("warn", "!", "warn")) " where it only recommends."
            }
            p { "Made by mimi " (lines(&report.suite.version)) ", which has " (report.suite.cases) " cases. This page loads nothing." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_in_seconds() {
        assert_eq!([0, 9_999, 10_000, 16_814].map(took), ["0 ms", "9999 ms", "10.0 s", "16.8 s"]);
    }
}
