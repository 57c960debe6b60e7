//! Finds the requirement catalogues and the profiles, so that one more is a file in `drafts/` or `profiles/` and no change to
//! the program.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What else is in `drafts/`: readings, and the keywords of LM-04.
const OTHERS: [&str; 2] = ["errata", "keywords"];

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let drafts = here.join("../drafts");
    let mut names = names(&drafts)?;
    names.retain(|name| !OTHERS.contains(&name.as_str()));
    // The room model comes first, since everything else is about it; profiles, which are of nobody's draft, last.
    names.sort_by_key(|name| (name != "lm-04", name == "profiles", name.clone()));
    include(&drafts, &names, "catalogues.rs")?;
    let profiles = here.join("profiles");
    include(&profiles, &self::names(&profiles)?, "profiles.rs")
}

/// The TOML files of a folder, without their ending, in order.
fn names(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            names.push(path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Writes an array of those files' names and texts.
fn include(folder: &Path, names: &[String], to: &str) -> Result<(), Box<dyn Error>> {
    let mut code = String::from("&[");
    for name in names {
        let path = fs::canonicalize(folder.join(format!("{name}.toml")))?;
        write!(code, "({name:?}, include_str!({path:?})), ")?;
    }
    code.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join(to), code)?;
    Ok(())
}
