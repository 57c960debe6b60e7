//! What is otherwise than in an earlier report.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Report;
use crate::case::{Verdict, place};
use crate::cases;
use crate::printable::printable;

/// Why a file is no report to compare with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaselineError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no report.
    #[error("{path} is no report of `mimi run --json`: {error}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
}

/// What matters of an earlier report. Of other members it does not matter what they were like then.
#[derive(Debug, Deserialize)]
pub(crate) struct Baseline {
    suite: EarlierSuite,
    cases: Vec<EarlierCase>,
}

#[derive(Debug, Deserialize)]
struct EarlierSuite {
    version: String,
    started: String,
}

#[derive(Debug, Deserialize)]
struct EarlierCase {
    id: String,
    verdict: Verdict,
}

/// A case that came out otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The case.
    pub(crate) id: String,
    /// What came of it then.
    pub(crate) before: Verdict,
    /// What came of it now.
    pub(crate) now: Verdict,
}

/// What is otherwise than in an earlier report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// When the earlier run started, as that report has it.
    pub(crate) started: String,
    /// The version of the suite that made it.
    pub(crate) version: String,
    /// Cases that came out better.
    pub(crate) better: Vec<Change>,
    /// Cases that came out worse.
    pub(crate) worse: Vec<Change>,
    /// Cases that did not pass and are skipped now, so that nothing is known of them.
    pub(crate) unknown: Vec<Change>,
    /// Cases of this run that the earlier one does not have.
    pub(crate) new: Vec<String>,
    /// Cases of the earlier run that the suite does not have any more.
    pub(crate) removed: Vec<String>,
}

enum Direction {
    Same,
    Better,
    Worse,
    Unknown,
}

/// How one verdict is to another: a skip says nothing, so that it is worse than to pass, and no better than to fail.
fn direction(before: Verdict, now: Verdict) -> Direction {
    let rank = |verdict| match verdict {
        Verdict::Fail => 0,
        Verdict::Warn => 1,
        Verdict::Skip => 2,
        Verdict::Acceptable => 3,
        Verdict::Pass => 4,
    };
    match (before, now) {
        (before, now) if before == now => Direction::Same,
        (Verdict::Fail | Verdict::Warn, Verdict::Skip) => Direction::Unknown,
        (before, now) if rank(before) < rank(now) => Direction::Better,
        _ => Direction::Worse,
    }
}

impl Baseline {
    /// Reads an earlier report.
    pub(crate) fn read(path: &Path) -> Result<Self, BaselineError> {
        let bytes =
            std::fs::read(path).map_err(|error| BaselineError::File { path: path.to_owned(), error })?;
        serde_json::from_slice(&bytes).map_err(|error| BaselineError::Json { path: path.to_owned(), error })
    }

    /// Compares a report with it. Cases that were not asked for this time say nothing.
    pub(crate) fn compare(self, report: &Report) -> Comparison {
        let earlier: BTreeMap<_, _> = self.cases.into_iter().map(|case| (case.id, case.verdict)).collect();
        let mut comparison = Comparison {
            started: self.suite.started,
            version: self.suite.version,
            better: Vec::new(),
            worse: Vec::new(),
            unknown: Vec::new(),
            new: Vec::new(),
            removed: Vec::new(),
        };
        for case in &report.cases {
            let Some(&before) = earlier.get(&case.id) else {
                comparison.new.push(case.id.clone());
                continue;
            };
            let change = Change { id: case.id.clone(), before, now: case.verdict };
            match direction(before, case.verdict) {
                Direction::Same => {}
                Direction::Better => comparison.better.push(change),
                Direction::Worse => comparison.worse.push(change),
                Direction::Unknown => comparison.unknown.push(change),
            }
        }
        let known: BTreeSet<&str> = cases::everything().map(|case| case.id).collect();
        comparison.removed = earlier.into_keys().filter(|id| !known.contains(id.as_str())).collect();
        comparison.removed.sort_by_key(|id| place(id.split('/').next().unwrap_or_default()));
        comparison
    }
}

impl Comparison {
    /// Each list of changes with what it is called.
    pub(crate) fn changes(&self) -> [(&'static str, &[Change]); 3] {
        [("worse", &self.worse), ("better", &self.better), ("unknown", &self.unknown)]
    }

    /// As text for a terminal.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let (started, version) = (printable(&self.started), printable(&self.version));
        writeln!(out, "\ncompared with the run of {started} (suite {version}):")?;
        for (name, changes) in self.changes() {
            for change in changes {
                let (before, now) = (change.before.as_str(), change.now.as_str());
                writeln!(out, "  {name:<8} {}: {before} -> {now}", printable(&change.id))?;
            }
        }
        for (name, ids) in [("new", &self.new), ("removed", &self.removed)] {
            for id in ids {
                writeln!(out, "  {name:<8} {}", printable(id))?;
            }
        }
        let counts =
            [self.better.len(), self.worse.len(), self.unknown.len(), self.new.len(), self.removed.len()];
        let [better, worse, unknown, new, removed] = counts;
        writeln!(out, "  {better} better, {worse} worse, {unknown} unknown, {new} new, {removed} removed")
    }
}
