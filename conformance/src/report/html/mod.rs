//! The report as one HTML file that needs nothing else: no network, no fonts, no other file.
//!
//! What a server answered is shown, and a server may be hostile: all text goes through `maud`, which escapes it, nothing of
//! it is in a script or a style, and a policy in the head lets the page run its own script and style and load nothing.

mod curl;
mod exchange;
mod failures;
mod overview;
mod readiness;
mod sections;
mod sequence;
mod tables;

use std::cell::Cell;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use mimi_linearized::base64;
use mimi_linearized::event::hash::sha256;

use super::readiness::ReadinessError;
use super::{CaseResult, Report, Standing};
use crate::case::Verdict;
use crate::catalogue::Catalogue;
use crate::printable::printable;

/// The style of every page.
pub(crate) const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// How much of all bodies together is shown, in bytes; the JSON report has them whole.
const SHOWN_BODIES: usize = 24 * 1024 * 1024;

/// What the parts of the page share.
struct Page<'r> {
    report: &'r Report,
    catalogue: &'r Catalogue,
    /// How much more of bodies may be shown, in bytes.
    left: Cell<usize>,
}

/// The page.
pub(crate) fn html(report: &Report, catalogue: &Catalogue) -> Result<String, ReadinessError> {
    let page = Page { report, catalogue, left: Cell::new(SHOWN_BODIES) };
    let target = lines(&report.target.server_name);
    let readiness = readiness::view(report, catalogue)?;
    let failures = failures::view(&page);
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                title { "Linearized Matrix: " (target) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip-link href="#main" { "Skip to the report" }
                (overview::header(report))
                nav aria-label="Parts of the report" {
                    ul {
                        li { a href="#overview" { "Overview" } }
                        li { a href="#findings" { "Findings" } }
                        li { a href="#readiness" { "DMA Article 7" } }
                        li { a href="#requirements" { "Requirements" } }
                        li { a href="#cases" { "Cases" } }
                    }
                }
                main #main {
                    (overview::view(report))
                    (failures)
                    (readiness)
                    (tables::requirements(&page))
                    (tables::cases(report))
                }
                (overview::footer(report))
                div #status .visually-hidden role="status" {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(document.into_string())
}

/// What a page without a script may do: have its own style, and nothing else.
pub(crate) fn style_policy() -> String {
    format!("default-src 'none'; style-src {}; base-uri 'none'; form-action 'none'", hash(STYLE))
}

/// How a policy names a text. A hash in a policy is padded.
fn hash(text: &str) -> String {
    format!("'sha256-{}='", base64::encode(&sha256(text.as_bytes())))
}

/// What the page may do: run its own style and script, and nothing else.
fn policy() -> String {
    format!(
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT),
    )
}

/// A verdict as a word with a sign, so that nobody depends on its colour.
fn verdict(verdict: Verdict) -> Markup {
    let sign = match verdict {
        Verdict::Pass => "✓",
        Verdict::Fail => "✕",
        Verdict::Warn => "!",
        Verdict::Acceptable => "≈",
        Verdict::Skip => "–",
    };
    chip(verdict.as_str(), sign, verdict.as_str())
}

/// A word on a coloured ground.
fn chip(class: &str, sign: &str, word: &str) -> Markup {
    html! { span class={ "chip " (class) } { span aria-hidden="true" { (sign) " " } (word) } }
}

/// How a case stands to what was expected of it.
fn standing(case: &CaseResult) -> Markup {
    match case.standing() {
        Standing::Plain => html! {},
        Standing::Expected => html! { " " (chip("expected", "○", "expected")) },
        Standing::UnexpectedPass => html! { " " (chip("fail", "✕", "unexpected pass")) },
    }
}

/// The name of a case's place in the page.
fn anchor(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' }).collect()
}

/// A text of the catalogue, in which what stands between backticks is code.
fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// Text that nobody vouches for, of several lines: what cannot be seen, or turns the direction of text, is escaped.
pub(crate) fn lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}
