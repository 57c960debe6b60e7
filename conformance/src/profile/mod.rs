//! Profiles: what a server has to do in a certain federation, as a selection of cases and the settings under which the
//! reference server is tried. They are data; the cases know nothing of them.

mod federation_list;
mod scanner;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;

pub(crate) use self::scanner::test_file;
pub(crate) use self::server::ServerSettings;
#[cfg(feature = "mutants")]
pub(crate) use self::server::{SettingsError, Settled};

use crate::case::Case;
use crate::cases;
use crate::catalogue::Level;
use crate::report::{ProfileInfo, Source};

/// The profiles in `conformance/profiles/`: the name of each file and what is in it.
const PROFILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

/// What a profile makes different while cases run.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The least binding level that has to be met: what binds less warns.
    pub(crate) counts: Level,
    /// The host name of servers outside the target's federation, if the suite does not give out names itself.
    pub(crate) outsider_host: Option<String>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { counts: Level::Must, outsider_host: None }
    }
}

/// A profile.
#[derive(Debug)]
pub(crate) struct Profile {
    /// Its name: that of its file.
    pub(crate) name: String,
    file: ProfileFile,
    chosen: GlobSet,
    left_out: GlobSet,
}

/// What the file has.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ProfileFile {
    /// What it is called.
    title: String,
    /// The page about it, from the root of the repository.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for readers of the file, and a test that looks for the page")
    )]
    page: Option<String>,
    /// What it is based on.
    #[serde(default)]
    based_on: Vec<Source>,
    /// Patterns of the ids of its cases.
    cases: Vec<String>,
    /// Of these, the ones that are left out.
    #[serde(default)]
    except: Vec<String>,
    /// The levels of its cases; all, unless given.
    levels: Option<BTreeSet<Level>>,
    /// The least binding level that has to be met.
    #[serde(default = "must")]
    counts: Level,
    /// What the reference server is started with.
    #[serde(default)]
    server: ServerSettings,
}

fn must() -> Level {
    Level::Must
}

/// Why there is no such profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    /// It has a name that no profile has.
    #[error("there is no profile {name:?}; there are {}, and a path to a TOML file names one too", .known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// Its file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Its file is no profile.
    #[error("profile {name}: {error}")]
    Form {
        /// Its name.
        name: String,
        /// Why.
        error: Box<toml::de::Error>,
    },
    /// A pattern of its file is none.
    #[error("profile {name}: {error}")]
    Pattern {
        /// Its name.
        name: String,
        /// Why.
        error: globset::Error,
    },
    /// A pattern of its file names no case.
    #[error("profile {name}: no case is named {pattern}")]
    Idle {
        /// Its name.
        name: String,
        /// The pattern.
        pattern: String,
    },
}

impl Profile {
    /// The names of all profiles of the suite.
    pub(crate) fn names() -> Vec<&'static str> {
        PROFILES.iter().map(|(name, _)| *name).collect()
    }

    /// The profile of this name, or, if it ends in `.toml`, in this file.
    ///
    /// # Errors
    /// [`ProfileError`] says which names there are, or what is wrong with the file.
    pub(crate) fn find(name: &str) -> Result<Self, ProfileError> {
        if let Some((name, text)) = PROFILES.iter().find(|(known, _)| *known == name) {
            return Self::read(name, text);
        }
        let path = Path::new(name);
        if path.extension().is_none_or(|extension| extension != "toml") {
            return Err(ProfileError::Unknown { name: name.to_owned(), known: Self::names() });
        }
        let text =
            fs::read_to_string(path).map_err(|error| ProfileError::Read { path: path.to_owned(), error })?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Self::read(&stem.unwrap_or_default(), &text)
    }

    fn read(name: &str, text: &str) -> Result<Self, ProfileError> {
        let file: ProfileFile = toml::from_str(text)
            .map_err(|error| ProfileError::Form { name: name.to_owned(), error: Box::new(error) })?;
        let set = |patterns: &[String]| {
            let mut set = GlobSetBuilder::new();
            for pattern in patterns {
                let broken = |error| ProfileError::Pattern { name: name.to_owned(), error };
                let glob = Glob::new(pattern).map_err(broken)?;
                let matcher = glob.compile_matcher();
                // A case that was misspelt would be missing without anybody's noticing.
                if !cases::everything().any(|case| matcher.is_match(case.id)) {
                    return Err(ProfileError::Idle { name: name.to_owned(), pattern: pattern.clone() });
                }
                set.add(glob);
            }
            set.build().map_err(|error| ProfileError::Pattern { name: name.to_owned(), error })
        };
        let (chosen, left_out) = (set(&file.cases)?, set(&file.except)?);
        Ok(Self { name: name.to_owned(), file, chosen, left_out })
    }

    /// Its cases, in the order of the suite.
    pub(crate) fn cases(&self) -> impl Iterator<Item = &'static Case> + '_ {
        let of_level =
            |case: &Case| self.file.levels.as_ref().is_none_or(|levels| levels.contains(&case.level));
        cases::everything().filter(move |case| {
            self.chosen.is_match(case.id) && !self.left_out.is_match(case.id) && of_level(case)
        })
    }

    /// The least binding level that has to be met.
    pub(crate) fn counts(&self) -> Level {
        self.file.counts
    }

    /// What the reference server is started with.
    pub(crate) fn server(&self) -> &ServerSettings {
        &self.file.server
    }

    /// What a report says of it.
    pub(crate) fn info(&self) -> ProfileInfo {
        let ProfileFile { title, based_on, counts, .. } = self.file.clone();
        ProfileInfo { name: self.name.clone(), title, counts, based_on }
    }
}
