//! Reports: for people on a terminal, and as JSON for programs.

mod json;
mod terminal;

pub(crate) use json::{Report, SuiteInfo, TargetInfo};
pub(crate) use terminal::{Progress, summary};

use serde::Serialize;

use crate::case::{Outcome, Verdict};

/// How many cases came to which verdict.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
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
}

impl Summary {
    /// Counts verdicts.
    pub(crate) fn of<'o>(outcomes: impl IntoIterator<Item = &'o Outcome>) -> Self {
        let mut summary = Self::default();
        for outcome in outcomes {
            let count = match outcome.verdict {
                Verdict::Pass => &mut summary.passed,
                Verdict::Fail => &mut summary.failed,
                Verdict::Skip => &mut summary.skipped,
                Verdict::Warn => &mut summary.warned,
                Verdict::Acceptable => &mut summary.acceptable,
            };
            *count = count.saturating_add(1);
        }
        summary
    }
}
