//! Finds the requirement catalogues, so that one more is a file in `drafts/` and no change to the program.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What else is in `drafts/`: readings, and the keywords of LM-04.
const OTHERS: [&str; 2] = ["errata", "keywords"];

fn main() -> Result<(), Box<dyn Error>> {
    let drafts = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../drafts");
    println!("cargo::rerun-if-changed={}", drafts.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&drafts)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.extension().is_some_and(|extension| extension == "toml") && !OTHERS.contains(&name.as_str()) {
            names.push(name);
        }
    }
    // The room model comes first, since everything else is about it.
    names.sort_by_key(|name| (name != "lm-04", name.clone()));
    let mut code = String::from("&[");
    for name in names {
        let path = fs::canonicalize(drafts.join(format!("{name}.toml")))?;
        write!(code, "({name:?}, include_str!({path:?})), ")?;
    }
    code.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("catalogues.rs"), code)?;
    Ok(())
}
