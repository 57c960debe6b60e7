//! Reports: for people on a terminal, on a page, and in a README; as JSON and JUnit for programs.

mod badge;
mod baseline;
mod events;
mod html;
mod json;
mod junit;
mod markdown;
mod readiness;
mod terminal;

pub(crate) use badge::badge;
pub(crate) use baseline::{Baseline, BaselineError};
pub(crate) use html::{STYLE, html, lines, style_policy};
pub(crate) use json::{CaseResult, Evidence, FORMAT, ProfileInfo, Report, Source, SuiteInfo, TargetInfo};
pub(crate) use junit::junit;
pub(crate) use markdown::markdown;
pub(crate) use readiness::ReadinessError;
pub(crate) use terminal::{Progress, summary};

use serde::{Deserialize, Serialize};

use crate::case::Verdict;

/// Whether a case came out as it was expected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing was expected but that it passes.
    Plain,
    /// It was expected not to pass, and did not.
    Expected,
    /// It was expected not to pass, and did.
    UnexpectedPass,
}

/// How many cases came to which verdict.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Passed.
    pub(crate) passed: usize,
    /// Failed.
    pub(crate) failed: usize,
    /// Skipped.
    pub(crate) skipped: usize,
    /// A SHOULD that is not met.
    pub(crate) warned: usize,
    /// Differs where the draft is ambiguous.
    pub(crate) acceptable: usize,
    /// Failed or warned, as was expected; they are counted there too.
    pub(crate) expected: usize,
    /// Passed, or are acceptable, although they were expected to fail; they are counted there too.
    pub(crate) unexpected_passes: usize,
}

impl Summary {
    /// Counts verdicts.
    pub(crate) fn of<'c>(cases: impl IntoIterator<Item = &'c CaseResult>) -> Self {
        let mut summary = Self::default();
        for case in cases {
            let count = match case.verdict {
                Verdict::Pass => &mut summary.passed,
                Verdict::Fail => &mut summary.failed,
                Verdict::Skip => &mut summary.skipped,
                Verdict::Warn => &mut summary.warned,
                Verdict::Acceptable => &mut summary.acceptable,
            };
            *count = count.saturating_add(1);
            let count = match case.standing() {
                Standing::Plain => continue,
                Standing::Expected => &mut summary.expected,
                Standing::UnexpectedPass => &mut summary.unexpected_passes,
            };
            *count = count.saturating_add(1);
        }
        summary
    }
}
