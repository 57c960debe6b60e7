//! The functions of Article 7 of the Digital Markets Act, and what the run shows of each.

use maud::{Markup, html};

use super::super::Report;
use super::super::readiness::{Line, ReadinessError, Status, readiness};
use super::chip;
use crate::catalogue::Catalogue;

pub(super) fn view(report: &Report, catalogue: &Catalogue) -> Result<Markup, ReadinessError> {
    let lines = readiness(report, catalogue)?;
    Ok(html! {
        section #readiness aria-labelledby="readiness-title" {
            h2 #readiness-title { "Readiness for Article 7 of the Digital Markets Act" }
            p.hint {
                "What this run has shown of what Regulation (EU) 2022/1925 asks for, function by function. It is no legal "
                "assessment. Whether a gatekeeper meets its obligations is not for a test suite to say."
            }
            ul.functions { @for line in &lines { (function(line)) } }
        }
    })
}

fn status(status: Status) -> Markup {
    let (class, sign) = match status {
        Status::Demonstrated => ("pass", "✓"),
        Status::Partly => ("warn", "◐"),
        Status::NotDemonstrated => ("fail", "✕"),
        Status::Unspecified => ("acceptable", "?"),
        Status::Process => ("skip", "§"),
    };
    chip(class, sign, status.as_str())
}

fn function(line: &Line) -> Markup {
    let shown = line.shown.len();
    let all = shown.saturating_add(line.failed.len()).saturating_add(line.untried.len());
    html! {
        li.function id={ "function-" (line.id) } {
            p.top { span.article { "Art. " (line.article) } (status(line.status)) }
            h3 { (line.name) }
            @if all > 0 {
                svg.progress viewBox="0 0 1000 10" preserveAspectRatio="none" role="img"
                    aria-label={ (shown) " of " (all) " requirements shown" } {
                    @let share = |count: usize| count.saturating_mul(1_000) / all;
                    rect class="rest" width="1000" height="10" {}
                    rect class="pass" width=(share(shown)) height="10" {}
                    rect class="fail" x=(share(shown)) width=(share(line.failed.len())) height="10" {}
                }
                p { (shown) " of " (all) " requirements shown" @if !line.failed.is_empty() { ", " (line.failed.len()) " found wanting" } "." }
            }
            @if let Some(note) = &line.note { p.note { (note) } }
            (ids("Found wanting", &line.failed))
            (ids("Not shown by this run", &line.untried))
        }
    }
}

fn ids(title: &str, ids: &[String]) -> Markup {
    html! {
        @if !ids.is_empty() {
            details {
                summary { (title) ": " (ids.len()) }
                p.ids { @for id in ids { a href={ "#req-" (super::anchor(id)) } { (id) } " " } }
            }
        }
    }
}
