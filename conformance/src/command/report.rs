//! `mimi report`: another form of a report that there is already.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::outputs::FormArguments;
use crate::USAGE;
use crate::catalogue::Catalogue;
use crate::output::print;
use crate::report::{FORMAT, Report, summary};

/// Write a report of `mimi run --json` in other forms, and print its summary.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 the report was read, whatever it says; 2 it cannot be read, or a file cannot be written.

Example:
  mimi report report.json --html report.html --markdown summary.md")]
pub(super) struct ReportArguments {
    /// The report, in JSON
    #[arg(value_name = "FILE")]
    report: PathBuf,
    #[command(flatten)]
    forms: FormArguments,
}

/// Reads a report and writes it.
pub(super) fn report(arguments: &ReportArguments) -> ExitCode {
    match convert(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mimi report: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn convert(arguments: &ReportArguments) -> Result<(), Box<dyn std::error::Error>> {
    let path = arguments.report.display();
    let bytes = std::fs::read(&arguments.report).map_err(|error| format!("{path}: {error}"))?;
    let report: Report = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{path} is no report of `mimi run --json`: {error}"))?;
    if report.format != FORMAT {
        return Err(format!("{path} has format {}, and this program reads {FORMAT}", report.format).into());
    }
    let catalogue = Catalogue::read()?;
    arguments.forms.write(&report, &catalogue)?;
    print(&summary(&report, &catalogue));
    Ok(())
}
