//! `mimi vectors`: test vectors for other languages.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::catalogue::Catalogue;
use crate::output::print;
use crate::vectors::{File, generate, verify};
use crate::{FAILED, USAGE};

/// Write the test vectors as JSON, or verify a folder of them.
#[derive(Debug, Args)]
#[command(after_help = "\
A file holds groups of vectors of one type; `about` says what is given and what has to come out, so that the files need
nothing else of this project. The same seed gives the same bytes. conformance/vectors.schema.json describes the form.

Exit codes: 0 written, or every vector holds; 1 a vector does not; 2 the command line, the folder or a file is wrong.

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
            eprintln!("mimi vectors: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn write(folder: &Path, seed: u64) -> Result<bool, String> {
    let named = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
    let mut count = 0_usize;
    let files = generate(seed);
    for file in &files {
        let path = folder.join(format!("{}.json", file.subject));
        std::fs::write(&path, file.render()).map_err(|error| named(&path, error))?;
        count = count.saturating_add(file.count);
    }
    print(&format!("{count} vectors in {} files (seed {seed})\n", files.len()));
    Ok(true)
}

/// Verifies every file of a folder. Returns whether every vector holds.
fn verify_folder(folder: &Path) -> Result<bool, String> {
    let catalogue = Catalogue::read().map_err(|error| format!("the catalogue cannot be read: {error}"))?;
    let files = read_folder(folder)?;
    let (mut vectors, mut failed) = (0_usize, 0_usize);
    for (name, file) in &files {
        vectors = vectors.saturating_add(file.count);
        for failure in verify(file, &catalogue) {
            failed = failed.saturating_add(1);
            print(&format!("{name}: {}: {}\n", failure.id, failure.what));
        }
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
