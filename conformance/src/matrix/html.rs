//! The matrix as one HTML file that needs nothing else.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use super::pair::STEPS;
use super::{Cell, Matrix, Verdict};
use crate::report::{STYLE, lines, style_policy};

/// The page.
pub(crate) fn html(matrix: &Matrix) -> String {
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(style_policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Linearized Matrix: who interoperates with whom" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { div.title {
                    p.eyebrow { "Linearized Matrix (LM-04), pairs of servers" }
                    h1 { "Who interoperates with whom" }
                    p.meta { (lines(&matrix.started)) ", seed " code { (matrix.seed) } ", mimi " (lines(&matrix.suite)) }
                } }
                main {
                    @for version in &matrix.room_versions { (table(matrix, version)) }
                    section aria-labelledby="pairs" {
                        h2 #pairs { "Pairs" }
                        @for cell in &matrix.cells { (pair(cell)) }
                    }
                }
            }
        }
    };
    page.into_string()
}

fn verdict(verdict: Verdict) -> Markup {
    let class = if verdict == Verdict::Partly { "warn" } else { verdict.as_str() };
    markup! { span class={ "chip " (class) } { span aria-hidden="true" { (verdict.sign()) " " } (verdict.as_str()) } }
}

fn table(matrix: &Matrix, version: &str) -> Markup {
    markup! {
        section {
            h2 { "Rooms of version " (lines(version)) }
            div.wide tabindex="0" role="region" aria-label={ "Pairs in rooms of version " (lines(version)) } {
                table.matrix {
                    caption { "Rows are hubs, columns participants." }
                    thead { tr { th scope="col" { "Hub" } @for name in &matrix.servers { th scope="col" { (lines(name)) } } } }
                    tbody {
                        @for hub in &matrix.servers {
                            tr {
                                th scope="row" { (lines(hub)) }
                                @for participant in &matrix.servers {
                                    td { @if let Some(cell) = matrix.cell(hub, participant, version) { (verdict(cell.verdict)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn pair(cell: &Cell) -> Markup {
    markup! {
        details.finding open[!matches!(cell.verdict, Verdict::Pass | Verdict::Skip)] {
            summary {
                span.line { (verdict(cell.verdict)) " " (lines(&cell.hub)) " with " (lines(&cell.participant)) }
                span.what { "Rooms of version " (lines(&cell.room_version)) }
            }
            div.inside {
                @if let Some(reason) = &cell.reason { p.reason { (lines(reason)) } }
                ol {
                    @for step in &cell.steps {
                        li {
                            (verdict(if step.error.is_none() { Verdict::Pass } else { Verdict::Fail })) " " (step.name)
                            span.note { ", " (step.duration_ms) " ms" }
                            @if let Some(error) = &step.error { p.reason { (lines(error)) } }
                        }
                    }
                    @for step in STEPS.iter().skip(cell.steps.len()).filter(|_| cell.reason.is_none()) {
                        li { (verdict(Verdict::Skip)) " " (step) }
                    }
                }
            }
        }
    }
}
