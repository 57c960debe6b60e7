//! Who sent what, as a sequence diagram.

use maud::{Markup, html};

use super::super::CaseResult;
use super::exchange::{path, status};
use super::lines;

/// How far the lines of two parties are apart, and the margin, in pixels.
const APART: usize = 300;
const MARGIN: usize = 110;
/// The height of the head, and of one exchange.
const HEAD: usize = 44;
const ROW: usize = 36;
/// How many characters of a label fit.
const LABEL: usize = 46;
/// How many of them the status may have.
const STATUS: usize = 26;
/// How many exchanges are drawn.
const DRAWN: usize = 40;

/// The two parties of an exchange, as `between` names them.
fn parties(between: &str) -> (String, String) {
    let (from, to) = between.split_once(" -> ").unwrap_or((between, ""));
    (party(from), party(to))
}

fn party(text: &str) -> String {
    match text {
        "suite" => "the suite".to_owned(),
        "control API of the target" => "control API".to_owned(),
        other => shortened(&lines(other), 34),
    }
}

fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(length.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The path without what all of them have, and without its query.
fn short_path(url: &str) -> String {
    let path = path(url);
    let path = path.split('?').next().unwrap_or_default();
    let rest = ["/_matrix/federation", "/control/v1", "/_matrix"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix));
    lines(rest.filter(|rest| !rest.is_empty()).unwrap_or(path))
}

pub(super) fn diagram(case: &CaseResult, telling: Option<usize>) -> Markup {
    let skipped = case.evidence.len().saturating_sub(DRAWN);
    let exchanges = || case.evidence.iter().enumerate().skip(skipped);
    let mut names: Vec<String> = Vec::new();
    for (_, evidence) in exchanges() {
        let (from, to) = parties(&evidence.kept.exchange.between);
        for name in [from, to] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    // The target and its control API stand on the right.
    names.sort_by_key(|name| name.starts_with("target ") || name == "control API");
    let x = |name: &str| {
        let place = names.iter().position(|other| other == name).unwrap_or_default();
        MARGIN.saturating_add(place.saturating_mul(APART))
    };
    let rows = case.evidence.len().saturating_sub(skipped);
    let height = HEAD.saturating_add(rows.saturating_mul(ROW)).saturating_add(12);
    let width = MARGIN.saturating_mul(2).saturating_add(names.len().saturating_sub(1).saturating_mul(APART));
    html! {
        figure.sequence tabindex="0" role="group" aria-label={ "Sequence of the exchanges of " (case.id) } {
            svg width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="img"
                aria-label={ (rows) " exchanges between " (names.join(", ")) "; they are listed below" } {
                @for name in &names {
                    @let at = x(name);
                    line class="life" x1=(at) y1=(HEAD) x2=(at) y2=(height) {}
                    text class="party" x=(at) y="26" text-anchor="middle" { (name) }
                }
                @for (row, (index, evidence)) in exchanges().enumerate() {
                    @let (from, to) = parties(&evidence.kept.exchange.between);
                    @let (x1, x2) = (x(&from), x(&to));
                    @let y = HEAD.saturating_add(row.saturating_mul(ROW)).saturating_add(26);
                    (arrow(Arrow { x1, x2, y, telling: telling == Some(index) }, &label(index, evidence)))
                }
            }
            @if skipped > 0 { figcaption { "The last " (rows) " of " (case.evidence.len()) "." } }
        }
    }
}

fn label(index: usize, evidence: &super::super::Evidence) -> String {
    let kept = &evidence.kept;
    let times = if kept.times > 1 { format!(" ×{}", kept.times) } else { String::new() };
    let status = shortened(&status(evidence), STATUS);
    let room = LABEL.saturating_sub(status.chars().count());
    let request = shortened(&format!("{} {}", kept.exchange.method, short_path(&kept.exchange.url)), room);
    format!("{}. {request} → {status}{times}", index.saturating_add(1))
}

#[derive(Clone, Copy)]
struct Arrow {
    x1: usize,
    x2: usize,
    y: usize,
    telling: bool,
}

fn arrow(arrow: Arrow, label: &str) -> Markup {
    let Arrow { x1, x2, y, telling } = arrow;
    let right = x2 >= x1;
    let left_end = x1.min(x2);
    // The tip, drawn out: a marker would need an id that is not used twice.
    let back = if right { x2.saturating_sub(9) } else { x2.saturating_add(9) };
    let tip = format!("{x2},{y} {back},{} {back},{}", y.saturating_sub(4), y.saturating_add(4));
    let class = if telling { "arrow telling" } else { "arrow" };
    html! {
        g class=(class) {
            line x1=(x1) y1=(y) x2=(x2) y2=(y) {}
            polygon points=(tip) {}
            text x=(left_end.saturating_add(12)) y=(y.saturating_sub(6)) { (label) }
        }
    }
}
