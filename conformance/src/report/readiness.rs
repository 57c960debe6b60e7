//! What a run shows of the functions that Article 7 of the Digital Markets Act names. `readiness.toml` says which
//! requirements speak for each; no function is ever called compliant.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use super::Report;
use crate::case::Verdict;
use crate::cases;
use crate::catalogue::{Catalogue, Level, Requirement};

/// `readiness.toml`
const FUNCTIONS: &str = include_str!("../../readiness.toml");

/// The file of functions is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadinessError {
    /// It is no TOML of that form.
    #[error("readiness.toml: {0}")]
    Toml(#[from] toml::de::Error),
    /// A pattern is none.
    #[error("readiness.toml: {0}")]
    Glob(#[from] globset::Error),
}

#[derive(Debug, Deserialize)]
struct File {
    function: Vec<Function>,
}

/// A function of Article 7.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    id: String,
    name: String,
    article: String,
    #[serde(default)]
    needs: Vec<String>,
    gap: Option<String>,
    unspecified: Option<String>,
    process: Option<String>,
}

/// How far a function is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Everything that it needs was shown.
    Demonstrated,
    /// Some of it.
    Partly,
    /// None of it.
    NotDemonstrated,
    /// The drafts say nothing that could be.
    Unspecified,
    /// No program can show it.
    Process,
}

impl Status {
    /// As the view has it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Demonstrated => "demonstrated",
            Self::Partly => "partly demonstrated",
            Self::NotDemonstrated => "not demonstrated",
            Self::Unspecified => "unspecified in the draft",
            Self::Process => "process",
        }
    }
}

/// A line of the view.
#[derive(Debug)]
pub(super) struct Line {
    /// The function's id.
    pub(super) id: String,
    /// What it is called.
    pub(super) name: String,
    /// Where it is in the regulation.
    pub(super) article: String,
    /// How far it is shown.
    pub(super) status: Status,
    /// Why it is no more than that, where that is known beforehand.
    pub(super) note: Option<String>,
    /// The requirements it needs that cases of this run show.
    pub(super) shown: Vec<String>,
    /// Those that a case found wanting.
    pub(super) failed: Vec<String>,
    /// Those that no case of this run has shown or refuted.
    pub(super) untried: Vec<String>,
}

/// What the cases of a report say of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Every case about it that was tried found it in order.
    Yes,
    /// One did not.
    No(Verdict),
    /// None was tried.
    Skipped,
    /// The suite has one, which was not asked for.
    NotRun,
    /// The suite has none.
    NoCase,
}

/// The verdict on a requirement: that of the case about it that came out worst.
pub(super) fn shown(report: &Report, id: &str) -> Shown {
    let mut shown = None;
    for case in report.cases.iter().filter(|case| case.covers.iter().any(|covered| covered == id)) {
        let this = match case.verdict {
            Verdict::Pass | Verdict::Acceptable => Shown::Yes,
            Verdict::Skip => Shown::Skipped,
            bad @ (Verdict::Fail | Verdict::Warn) => Shown::No(bad),
        };
        let rank = |shown| match shown {
            Shown::No(Verdict::Fail) => 3,
            Shown::No(_) => 2,
            Shown::Yes => 1,
            Shown::Skipped | Shown::NotRun | Shown::NoCase => 0,
        };
        if shown.is_none_or(|before| rank(this) > rank(before)) {
            shown = Some(this);
        }
    }
    shown.unwrap_or_else(|| {
        let has_case = cases::all().any(|case| case.covers.contains(&id));
        if has_case { Shown::NotRun } else { Shown::NoCase }
    })
}

fn patterns(needs: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for need in needs {
        set.add(GlobBuilder::new(need).literal_separator(true).build()?);
    }
    set.build()
}

/// The view: every function with what a report shows of it.
pub(super) fn readiness(report: &Report, catalogue: &Catalogue) -> Result<Vec<Line>, ReadinessError> {
    let File { function } = toml::from_str(FUNCTIONS)?;
    function.into_iter().map(|function| line(function, report, catalogue)).collect()
}

fn line(function: Function, report: &Report, catalogue: &Catalogue) -> Result<Line, ReadinessError> {
    let Function { id, name, article, needs, gap, unspecified, process } = function;
    let wanted = patterns(&needs)?;
    let requirements = catalogue.drafts.iter().flat_map(|draft| &draft.requirements);
    let needed = |requirement: &&Requirement| {
        requirement.mark().is_none() && requirement.level != Level::May && wanted.is_match(&requirement.id)
    };
    let mut lists: [BTreeSet<(usize, String)>; 3] = Default::default();
    for (place, requirement) in requirements.filter(needed).enumerate() {
        let [yes, no, untried] = &mut lists;
        let list = match shown(report, &requirement.id) {
            Shown::Yes => yes,
            Shown::No(_) => no,
            Shown::Skipped | Shown::NotRun | Shown::NoCase => untried,
        };
        list.insert((place, requirement.id.clone()));
    }
    let [shown, failed, untried] =
        lists.map(|list| list.into_iter().map(|(_, id)| id).collect::<Vec<String>>());
    let status = match (&process, &unspecified) {
        (Some(_), _) => Status::Process,
        (None, Some(_)) => Status::Unspecified,
        (None, None) if shown.is_empty() => Status::NotDemonstrated,
        (None, None) if failed.is_empty() && untried.is_empty() && gap.is_none() => Status::Demonstrated,
        (None, None) => Status::Partly,
    };
    let note = process.or(unspecified).or(gap);
    Ok(Line { id, name, article, status, note, shown, failed, untried })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_needs_what_the_catalogues_have_or_says_why_nothing() {
        let File { function } = toml::from_str(FUNCTIONS).unwrap();
        let catalogue = Catalogue::read().unwrap();
        let ids: BTreeSet<_> = function.iter().map(|function| function.id.as_str()).collect();
        assert_eq!(ids.len(), function.len());
        for Function { id, needs, unspecified, process, .. } in &function {
            let reasons = [unspecified, process].into_iter().flatten().count();
            assert_eq!(reasons + usize::from(!needs.is_empty()), 1, "{id} has either needs or one reason");
            for need in needs {
                let wanted = patterns(std::slice::from_ref(need)).unwrap();
                let mut requirements = catalogue.drafts.iter().flat_map(|draft| &draft.requirements);
                assert!(requirements.any(|requirement| wanted.is_match(&requirement.id)), "{id}: {need}");
            }
        }
        assert!(!FUNCTIONS.to_lowercase().contains("compliant"));
    }
}
