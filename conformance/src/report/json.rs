//! The stable report format.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::Summary;
use crate::case::Outcome;
use crate::output::print;

/// The suite that made a report.
#[derive(Debug, Serialize)]
pub(crate) struct SuiteInfo {
    /// Its version.
    pub(crate) version: &'static str,
    /// The seed of its random choices; the same seed makes the same choices.
    pub(crate) seed: u64,
    /// Which MLS implementations its devices are of.
    pub(crate) mls: String,
    /// When it started, in RFC 3339.
    pub(crate) started: String,
    /// How long it took.
    pub(crate) duration_ms: u64,
}

/// What was tested.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TargetInfo {
    /// The server's name.
    pub(crate) server_name: String,
    /// How it was driven.
    pub(crate) driver: String,
}

/// A report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Who made it.
    pub(crate) suite: SuiteInfo,
    /// About what.
    pub(crate) target: TargetInfo,
    /// The verdicts in numbers.
    pub(crate) summary: Summary,
    /// Every case.
    pub(crate) cases: Vec<Outcome>,
}

impl Report {
    /// Writes the report to a file, or to standard output if the path is `-`.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        text.push('\n');
        if path == Path::new("-") {
            print(&text);
            return Ok(());
        }
        fs::write(path, text)
    }
}
