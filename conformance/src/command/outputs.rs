//! What `mimi run` leaves behind, and what it compares with.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::catalogue::{Catalogue, CatalogueError};
use crate::expect::{ExpectError, Expectations};
use crate::output::print;
use crate::report::{self, Baseline, BaselineError, ReadinessError, Report};

/// Forms in which a report is written.
#[derive(Debug, Args)]
pub(super) struct FormArguments {
    /// Write the report as one HTML file that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the report as JUnit XML, which GitLab and GitHub show
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a summary in Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write a badge in SVG
    #[arg(long, value_name = "FILE")]
    badge: Option<PathBuf>,
}

/// What a run leaves behind.
#[derive(Debug, Args)]
pub(super) struct OutputArguments {
    /// Write the report as JSON to this file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    forms: FormArguments,
    /// Write a folder for each case that failed or warned, from which `mimi replay` repeats what shows it
    #[arg(long, value_name = "DIR")]
    bundles: Option<PathBuf>,
    /// Cases that are expected to fail: a TOML file with an [[expect]] for each `case` (a glob), `reason` and `link`. They
    /// do not count; one that passes does
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// An earlier report in JSON: print what got better and what got worse. The exit code does not depend on it
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutputError {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: std::io::Error },
    #[error(transparent)]
    Expect(#[from] ExpectError),
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    #[error("the catalogue: {0}")]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Readiness(#[from] ReadinessError),
    #[error("JUnit: {0}")]
    Junit(#[from] quick_junit::SerializeError),
}

/// What was read before the run.
pub(super) struct Prepared {
    pub(super) expectations: Expectations,
    baseline: Option<Baseline>,
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> OutputError + '_ {
    |error| OutputError::File { path: path.to_owned(), error }
}

impl FormArguments {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.html, &self.junit, &self.markdown, &self.badge].into_iter().flatten()
    }

    /// Sees that every file can be written, before anything is done: whoever waited for it should not lose a report to a
    /// mistyped path.
    pub(super) fn touch(&self) -> Result<(), OutputError> {
        self.files().try_for_each(|path| touch(path))
    }

    /// Writes a report in each form that is asked for.
    pub(super) fn write(&self, report: &Report, catalogue: &Catalogue) -> Result<(), OutputError> {
        let write = |path: &Option<PathBuf>, text: &dyn Fn() -> Result<String, OutputError>| match path {
            Some(path) => std::fs::write(path, text()?).map_err(file(path)),
            None => Ok(()),
        };
        write(&self.html, &|| Ok(report::html(report, catalogue)?))?;
        write(&self.junit, &|| Ok(report::junit(report, catalogue)?))?;
        write(&self.markdown, &|| Ok(report::markdown(report)))?;
        write(&self.badge, &|| Ok(report::badge(report)))
    }
}

fn touch(path: &Path) -> Result<(), OutputError> {
    std::fs::OpenOptions::new().append(true).create(true).open(path).map(drop).map_err(file(path))
}

impl OutputArguments {
    /// Reads what a run is compared with, and sees that everything can be written.
    pub(super) fn prepare(&self) -> Result<Prepared, OutputError> {
        if let Some(path) = self.json.as_ref().filter(|path| path.as_os_str() != "-") {
            touch(path)?;
        }
        self.forms.touch()?;
        if let Some(folder) = &self.bundles {
            std::fs::create_dir_all(folder).map_err(file(folder))?;
        }
        let expectations = self.expect.as_deref().map(Expectations::read).transpose()?.unwrap_or_default();
        let baseline = self.baseline.as_deref().map(Baseline::read).transpose()?;
        Ok(Prepared { expectations, baseline })
    }

    /// Where bundles go.
    pub(super) fn bundles(&self) -> Option<&Path> {
        self.bundles.as_deref()
    }

    /// Prints the summary and writes everything that is asked for.
    pub(super) fn publish(&self, report: &mut Report, baseline: Option<Baseline>) -> Result<(), OutputError> {
        let catalogue = Catalogue::read()?;
        report.baseline = baseline.map(|baseline| baseline.compare(report));
        let mut summary = report::summary(report, &catalogue);
        if let Some(comparison) = &report.baseline {
            summary.push_str(&comparison.text());
        }
        if self.json.as_ref().is_some_and(|path| path.as_os_str() == "-") {
            eprint!("{summary}");
        } else {
            print(&summary);
        }
        if let Some(path) = &self.json {
            report.write(path).map_err(file(path))?;
        }
        self.forms.write(report, &catalogue)
    }
}

impl Prepared {
    /// What a run is compared with.
    pub(super) fn into_baseline(self) -> Option<Baseline> {
        self.baseline
    }
}
