//! `mimi vectors`: test vectors for other languages.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::catalogue::Catalogue;
use crate::output::print;
use crate::printable::printable;
use crate::vectors::{File, generate, missing, verify};
use crate::{FAILED, USAGE};

/// Write the test vectors as JSON, or verify a folder of them.
#[derive(Debug, Args)]
#[command(after_help = "\
A file holds groups of vectors of one type; `about` says what is given and what has to come out, `requirements` what the
draft requires, and `readings` how the draft is read where it alone does not decide, so that the files need nothing else
of this project. The same seed gives the same bytes. conformance/vectors.schema.json describes the form.

Verifying runs the library on every vector, and looks whether the files are whole: a file for each subject, no member that
is not known, no id twice, and words for everything that a vector names.

Exit codes: 0 written, or every vector holds; 1 a vector does not, or something is missing; 2 the command line, the folder
or a file is wrong.

Examples:
  mimi vectors ./vectors
  mimi vectors --verify ./vectors")]
pub(crate) struct VectorsArguments {
    /// The folder to write to; it is made if it is not there
    #[arg(value_name = "DIR", required_unless_present = "verify", conflicts_with = "verify")]
    folder: Option<PathBuf>,
    /// Run the library on the vectors of a folder
    #[arg(long, value_name = "DIR", conflicts_with = "seed")]
    verify: Option<PathBuf>,
    /// What keys, names and drawn values come from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Writes or verifies vectors.
pub(crate) fn run(arguments: &VectorsArguments) -> ExitCode {
    let outcome = match (&arguments.verify, &arguments.folder) {
        (Some(folder), _) => verify_folder(folder),
        (None, Some(folder)) => write(folder, arguments.seed),
        (None, None) => Err("a folder is needed".to_owned()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            eprintln!("mimi vectors: {}", printable(&error));
            ExitCode::from(USAGE)
        }
    }
}

fn write(folder: &Path, seed: u64) -> Result<bool, String> {
    let named = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
    let mut count = 0_usize;
    let files = generate(seed, &catalogue()?);
    for file in &files {
        let path = folder.join(format!("{}.json", file.subject));
        std::fs::write(&path, file.render()).map_err(|error| named(&path, error))?;
        count = count.saturating_add(file.count);
    }
    print(&format!("{count} vectors in {} files (seed {seed})\n", files.len()));
    Ok(true)
}

fn catalogue() -> Result<Catalogue, String> {
    Catalogue::read().map_err(|error| format!("the catalogue cannot be read: {error}"))
}

/// Verifies every file of a folder. Returns whether every vector holds and nothing is missing.
fn verify_folder(folder: &Path) -> Result<bool, String> {
    let catalogue = catalogue()?;
    let files = read_folder(folder)?;
    let (mut vectors, mut failed) = (0_usize, 0_usize);
    let mut fault = |what: &str| {
        failed = failed.saturating_add(1);
        print(&format!("{}\n", printable(what)));
    };
    for (name, file) in &files {
        vectors = file.groups.iter().fold(vectors, |sum, group| sum.saturating_add(group.tests.len()));
        if *name != format!("{}.json", file.subject) {
            fault(&format!("{name}: its `subject` is {:?}", file.subject));
        }
        for failure in verify(file, &catalogue) {
            fault(&format!("{name}: {}: {}", failure.id, failure.what));
        }
    }
    for subject in missing(files.iter().map(|(_, file)| file)) {
        fault(&format!("{subject}.json: it is missing"));
    }
    print(&format!("{vectors} vectors in {} files: {failed} failed\n", files.len()));
    Ok(failed == 0)
}

/// The files of vectors in a folder, by name and in order.
fn read_folder(folder: &Path) -> Result<Vec<(String, File)>, String> {
    let named = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(named)? {
        let path = entry.map_err(named)?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let file = serde_json::from_str(&text)
            .map_err(|error| format!("{} is no file of vectors: {error}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, file));
    }
    files.sort_by(|(a, _): &(String, File), (b, _)| a.cmp(b));
    if files.is_empty() {
        return Err(format!("{} has no files of vectors", folder.display()));
    }
    Ok(files)
}
