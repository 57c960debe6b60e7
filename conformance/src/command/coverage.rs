//! `mimi coverage`: the requirement catalogues against the cases.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::cases;
use crate::catalogue::Catalogue;
use crate::coverage::{Coverage, to_json, to_markdown, to_text};
use crate::output::print;
use crate::{FAILED, USAGE};

/// The requirement catalogues against the cases: what is covered, what is not, what cannot be tested.
#[derive(Debug, Args)]
#[command(after_help = "\
The table has a line for each section, and for MUST, SHOULD and MAY the number of requirements that are covered by a case,
untestable, unspecified in the draft, and open. Below it are the open requirements of LM-04, or of the draft that --draft
names.

Exit codes: 0 nothing is wrong; 1 a case covers nothing or an id that does not exist, a MUST of LM-04 is open, a requirement
that is marked untestable has a case, or a keyword of the draft's text stands for no requirement; 2 the command line is
wrong, or a file cannot be written.

Examples:
  mimi coverage
  mimi coverage --draft lm-04 --json coverage.json
  mimi coverage --markdown docs/coverage.md")]
pub(crate) struct CoverageArguments {
    /// Only this draft, by the name of its file in drafts/
    #[arg(long, value_name = "NAME")]
    draft: Option<String>,
    /// Write every requirement with its cases as JSON to this file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page of documentation to this file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// Shows the coverage.
pub(crate) fn run(arguments: &CoverageArguments) -> ExitCode {
    match arguments.execute() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            eprintln!("mimi coverage: {error}");
            ExitCode::from(USAGE)
        }
    }
}

impl CoverageArguments {
    /// Whether nothing is wrong.
    fn execute(&self) -> Result<bool, String> {
        let catalogue = Catalogue::read().map_err(|error| error.to_string())?;
        let mut coverage = Coverage::of(&catalogue, cases::everything().map(|case| (case.id, case.covers)));
        if let Some(name) = &self.draft {
            coverage = coverage.only(name);
            if coverage.drafts.is_empty() {
                let names: Vec<_> = catalogue.drafts.iter().map(|draft| draft.name).collect();
                return Err(format!("there is no draft {name}; there are {}", names.join(", ")));
            }
        }
        let table = to_text(&coverage);
        let mut is_taken = false;
        if let Some(path) = &self.json {
            let json =
                serde_json::to_string_pretty(&to_json(&coverage)).map_err(|error| error.to_string())?;
            is_taken |= write(path, &format!("{json}\n"))?;
        }
        if let Some(path) = &self.markdown {
            is_taken |= write(path, &to_markdown(&coverage))?;
        }
        if is_taken {
            eprint!("{table}");
        } else {
            print(&table);
        }
        Ok(coverage.faults.is_empty())
    }
}

/// Writes to a file, or to standard output if the path is `-`. Returns whether it was the latter.
fn write(path: &Path, text: &str) -> Result<bool, String> {
    if path == Path::new("-") {
        print(text);
        return Ok(true);
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(false)
}
