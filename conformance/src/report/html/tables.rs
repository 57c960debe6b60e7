//! The requirements and the cases, with filters.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::readiness::{Shown, shown};
use super::super::{CaseResult, Report};
use super::overview::took;
use super::{Page, anchor, chip, lines, prose, sections, standing, verdict};
use crate::case::{Verdict, place};
use crate::catalogue::{Binds, Mark, Requirement};

/// A control that narrows a table: its name, what it is called, and the values there are.
struct Choice<'v> {
    name: &'static str,
    label: &'static str,
    values: Vec<(&'v str, String)>,
}

fn filters(table: &str, choices: &[Choice<'_>]) -> Markup {
    html! {
        form.filters data-filters=(table) hidden role="search" aria-label={ "Filter the " (table) } {
            @for choice in choices {
                @let id = format!("{table}-{}", choice.name);
                span.control {
                    label for=(id) { (choice.label) }
                    select id=(id) data-filter=(choice.name) {
                        option value="" { "all" }
                        @for (value, shown) in &choice.values { option value=(value) { (shown) } }
                    }
                }
            }
            @let id = format!("{table}-text");
            span.control.text {
                label for=(id) { "Text" }
                input id=(id) type="search" data-filter="text" autocomplete="off" placeholder="any words";
            }
            button type="reset" { "Show all" }
            p.count role="status" data-count=(table) {}
        }
    }
}

fn plain(values: &[&'static str]) -> Vec<(&'static str, String)> {
    values.iter().map(|value| (*value, (*value).to_owned())).collect()
}

/// What is said of a requirement, in one word for filters, and its sign.
fn word(requirement: &Requirement, shown: Shown) -> (&'static str, &'static str, &'static str) {
    match (shown, requirement.mark()) {
        (Shown::Yes, _) => ("pass", "✓", "shown"),
        (Shown::No(Verdict::Fail), _) => ("fail", "✕", "fail"),
        (Shown::No(_), _) => ("warn", "!", "warn"),
        (Shown::Skipped, _) => ("skip", "–", "skipped"),
        (Shown::NotRun, _) => ("skip", "–", "not run"),
        (Shown::NoCase, Some(Mark::Untestable(_))) => ("none", "·", "untestable"),
        (Shown::NoCase, Some(Mark::Unspecified(_))) => ("none", "?", "unspecified"),
        (Shown::NoCase, None) => ("none", "·", "no case"),
    }
}

fn binds(requirement: &Requirement) -> &'static str {
    match requirement.role {
        Binds::Hub => "hub",
        Binds::Participant => "participant",
        Binds::Any => "any",
        Binds::Client => "client",
    }
}

pub(super) fn requirements(page: &Page<'_>) -> Markup {
    let drafts = &page.catalogue.drafts;
    let mut found: BTreeMap<(Vec<u32>, &str), &str> = BTreeMap::new();
    for requirement in drafts.iter().flat_map(|draft| &draft.requirements) {
        let section = requirement.section.as_str();
        found.insert((place(section), section), section);
    }
    let in_list = found.values().map(|section| (*section, (*section).to_owned())).collect();
    let of_draft = drafts.iter().map(|draft| (draft.name, draft.to_string())).collect();
    let choices = [
        Choice { name: "draft", label: "Draft", values: of_draft },
        Choice { name: "level", label: "Level", values: plain(&["MUST", "SHOULD", "MAY"]) },
        Choice { name: "role", label: "Binds", values: plain(&["hub", "participant", "any", "client"]) },
        Choice {
            name: "verdict",
            label: "Verdict",
            values: plain(&[
                "shown",
                "fail",
                "warn",
                "skipped",
                "not run",
                "untestable",
                "unspecified",
                "no case",
            ]),
        },
        Choice { name: "section", label: "Section", values: in_list },
    ];
    html! {
        section #requirements aria-labelledby="requirements-title" {
            h2 #requirements-title { "Requirements" }
            (filters("requirements", &choices))
            table.rows data-rows="requirements" {
                thead { tr {
                    th scope="col" { "Id" } th scope="col" { "Level" } th scope="col" { "Binds" } th scope="col" { "Verdict" }
                    th scope="col" { "What it says" } th scope="col" { "Cases" }
                } }
                tbody {
                    @for draft in drafts {
                        @for requirement in &draft.requirements { (requirement_row(page, draft.name, requirement)) }
                    }
                }
            }
        }
    }
}

fn requirement_row(page: &Page<'_>, draft: &str, requirement: &Requirement) -> Markup {
    let (class, sign, word) = word(requirement, shown(page.report, &requirement.id));
    let about = |case: &&CaseResult| case.covers.contains(&requirement.id);
    html! {
        tr id={ "req-" (anchor(&requirement.id)) } data-draft=(draft) data-level=(requirement.level.as_str())
            data-role=(binds(requirement)) data-verdict=(word) data-section=(requirement.section) {
            td data-label="Id" { code { (requirement.id) } }
            td data-label="Level" { (requirement.level.as_str()) }
            td data-label="Binds" { (binds(requirement)) }
            td data-label="Verdict" { (chip(class, sign, word)) }
            td data-label="What it says" {
                (prose(&requirement.says))
                @if let (Some(Mark::Untestable(why) | Mark::Unspecified(why)), "untestable" | "unspecified") = (requirement.mark(), word) {
                    p.note { (prose(why)) }
                }
            }
            td data-label="Cases" {
                @for case in page.report.cases.iter().filter(about) {
                    a href={ "#case-" (anchor(&case.id)) } { (case.id) } " "
                }
            }
        }
    }
}

pub(super) fn cases(report: &Report) -> Markup {
    let named = |section| {
        let title = sections::title(section);
        if title.is_empty() { section.to_owned() } else { format!("{section} {title}") }
    };
    let in_report = report.sections().map(|(section, _)| (section, named(section))).collect();
    let choices = [
        Choice { name: "level", label: "Level", values: plain(&["MUST", "SHOULD", "MAY"]) },
        Choice { name: "role", label: "Role", values: plain(&["hub", "participant", "server"]) },
        Choice {
            name: "verdict",
            label: "Verdict",
            values: plain(&["pass", "fail", "warn", "acceptable", "skip"]),
        },
        Choice { name: "section", label: "Section", values: in_report },
    ];
    html! {
        section #cases aria-labelledby="cases-title" {
            h2 #cases-title { "Cases" }
            (filters("cases", &choices))
            table.rows data-rows="cases" {
                thead { tr {
                    th scope="col" { "Id" } th scope="col" { "Level" } th scope="col" { "Role" } th scope="col" { "Verdict" }
                    th scope="col" { "What the target should do" } th scope="col" { "Time" }
                } }
                tbody { @for case in &report.cases { (case_row(case)) } }
            }
        }
    }
}

fn case_row(case: &CaseResult) -> Markup {
    let has_finding = !matches!(case.verdict, Verdict::Pass | Verdict::Skip) || case.is_against();
    let name = anchor(&case.id);
    html! {
        tr id={ "case-" (name) } data-level=(case.level.as_str()) data-role=(case.role)
            data-verdict=(case.verdict.as_str()) data-section=(case.section()) {
            td data-label="Id" {
                @if has_finding { a href={ "#finding-" (name) } { code { (case.id) } } } @else { code { (case.id) } }
            }
            td data-label="Level" { (case.level.as_str()) }
            td data-label="Role" { (case.role) }
            td data-label="Verdict" { (verdict(case.verdict)) (standing(case)) }
            td data-label="Should" {
                (prose(&case.title))
                @if let Some(reason) = case.reason.as_ref().filter(|_| case.verdict == Verdict::Skip) { p.note { (lines(reason)) } }
            }
            td data-label="Time" { (took(case.duration_ms)) }
        }
    }
}
