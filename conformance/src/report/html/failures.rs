//! What did not pass: why, the exchange that shows it, who sent what, and how to try it again.

use maud::{Markup, html};

use super::super::events::How;
use super::super::{CaseResult, Standing};
use super::{Page, anchor, exchange, lines, prose, sequence, standing, verdict};
use crate::case::Verdict;

fn is_finding(case: &CaseResult) -> bool {
    case.standing() == Standing::UnexpectedPass || !matches!(case.verdict, Verdict::Pass | Verdict::Skip)
}

/// How far up a finding is: what counts against the run first.
fn order(case: &CaseResult) -> u8 {
    match (case.standing(), case.verdict) {
        (Standing::Plain, Verdict::Fail) => 0,
        (Standing::UnexpectedPass, _) => 1,
        (Standing::Plain, Verdict::Warn) => 2,
        (Standing::Expected, _) => 3,
        (Standing::Plain, _) => 4,
    }
}

pub(super) fn view(page: &Page<'_>) -> Markup {
    let mut cases: Vec<_> = page.report.cases.iter().filter(|case| is_finding(case)).collect();
    cases.sort_by_key(|case| order(case));
    html! {
        section #findings aria-labelledby="findings-title" {
            h2 #findings-title { "Findings" }
            @if cases.is_empty() {
                p { "There are none: no case failed, warned, or found a difference." }
            } @else {
                p.tools {
                    button type="button" data-open="findings" { "Open all" } " "
                    button type="button" data-close="findings" { "Close all" }
                }
            }
            @for (index, case) in cases.into_iter().enumerate() {
                (finding(page, case, index == 0))
            }
        }
    }
}

fn finding(page: &Page<'_>, case: &CaseResult, open: bool) -> Markup {
    let name = anchor(&case.id);
    let command = format!("mimi run --only '{}' --seed {}", case.id, page.report.suite.seed);
    html! {
        details.finding id={ "finding-" (name) } open[open] {
            summary {
                span.line { (verdict(case.verdict)) (standing(case)) " " code { (case.id) } }
                span.what { (prose(&case.title)) }
            }
            div.inside {
                @if let Some(reason) = &case.reason { p.reason { (lines(reason)) } }
                @if let Some(expected) = &case.expected { p { "Expected to fail: " (lines(&expected.reason)) } }
                h4 { "What it is about" }
                dl.says {
                    @for id in &case.covers {
                        dt { code { (id) } }
                        dd { (prose(page.catalogue.says(id).unwrap_or_default())) }
                    }
                }
                (shown(page, case, &name))
                h4 { "Try it again" }
                p.command { code id={ "command-" (name) } { (command) } " "
                    button type="button" data-copy={ "command-" (name) } aria-label={ "Copy the command for " (case.id) } { "Copy" }
                }
                p.hint { "With " code { "--bundles DIR" } " the run leaves a folder from which " code { "mimi replay" }
                    " sends just this request again, to a target that still runs." }
            }
        }
    }
}

fn shown(page: &Page<'_>, case: &CaseResult, name: &str) -> Markup {
    if case.evidence.is_empty() {
        return html! { p.hint { "Nothing went over the wire that was written down." } };
    }
    let telling = case.telling.map(|telling| telling.exchange);
    let shows = telling.and_then(|index| Some((index, case.evidence.get(index)?)));
    let title = match case.telling.map(|telling| telling.how) {
        Some(How::Before) => "The last request before the suite waited in vain",
        _ => "The exchange that shows it",
    };
    html! {
        @if let Some((index, evidence)) = shows {
            h4 { (title) }
            (exchange::whole(page, evidence, &format!("{name}-{index}")))
        }
        h4 { "Who sent what" }
        (sequence::diagram(case, telling))
        details.all {
            summary { "All " (case.evidence.len()) " exchanges that were kept" }
            ol.exchanges {
                @for (index, evidence) in case.evidence.iter().enumerate() {
                    li {
                        details.exchange {
                            summary { (exchange::line(evidence)) }
                            @if telling == Some(index) {
                                p.hint { "It is shown above." }
                            } @else {
                                (exchange::whole(page, evidence, &format!("{name}-{index}")))
                            }
                        }
                    }
                }
            }
        }
    }
}
