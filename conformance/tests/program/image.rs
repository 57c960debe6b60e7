//! The image's `Dockerfile`: what of the project its build sees.

use std::fs;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSetBuilder};

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// A pattern for where builds put things may be the name of a folder with sources, too.
#[test]
fn nothing_that_is_compiled_is_kept_from_the_build() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut ignored = GlobSetBuilder::new();
    for line in fs::read_to_string(root.join(".dockerignore")).unwrap().lines() {
        for pattern in [line.to_owned(), format!("{line}/**")] {
            ignored.add(Glob::new(&pattern).unwrap());
        }
    }
    let (ignored, mut sources) = (ignored.build().unwrap(), Vec::new());
    for part in
        ["mls/src", "linearized/src", "transport/src", "conformance/src", "conformance/profiles", "drafts"]
    {
        files(&root.join(part), &mut sources);
    }
    assert!(sources.len() > 500, "{}", sources.len());
    let lost: Vec<_> = sources
        .iter()
        .map(|path| path.strip_prefix(root).unwrap())
        .filter(|path| ignored.is_match(path))
        .collect();
    assert_eq!(lost, Vec::<&Path>::new());
    assert!(ignored.is_match("target/release/mimi"));
}
