//! Cases that are expected to fail, with the reason.

use std::path::{Path, PathBuf};

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};

use crate::cases;

/// Why a file has no expectations.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExpectError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no list of expectations.
    #[error("{path}: {error}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: Box<toml::de::Error>,
    },
    /// A pattern is none.
    #[error("{path}: {error}")]
    Glob {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: globset::Error,
    },
    /// A pattern matches no case of the suite.
    #[error("{path}: no case matches {glob:?}; `mimi run --list` shows all of them")]
    Nothing {
        /// The file.
        path: PathBuf,
        /// The pattern.
        glob: String,
    },
    /// A link that nobody should follow.
    #[error("{path}: the link {link:?} of {glob:?} does not begin with https:// or http://")]
    Link {
        /// The file.
        path: PathBuf,
        /// The pattern.
        glob: String,
        /// The link.
        link: String,
    },
}

/// That a case fails, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expectation {
    /// The cases: a pattern for ids, such as `5.2.3/*`.
    pub(crate) case: String,
    /// Why they fail.
    pub(crate) reason: String,
    /// Where more is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    expect: Vec<Expectation>,
}

/// What is expected of the cases; of those that no entry names, that they pass.
#[derive(Debug, Default)]
pub(crate) struct Expectations(Vec<(GlobMatcher, Expectation)>);

impl Expectations {
    /// Reads a file of `[[expect]]` tables.
    pub(crate) fn read(path: &Path) -> Result<Self, ExpectError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ExpectError::File { path: path.to_owned(), error })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ExpectError> {
        let path = || path.to_owned();
        let file: File = toml::from_str(text)
            .map_err(|error| ExpectError::Toml { path: path(), error: Box::new(error) })?;
        let mut entries = Vec::with_capacity(file.expect.len());
        for entry in file.expect {
            let glob = Glob::new(&entry.case).map_err(|error| ExpectError::Glob { path: path(), error })?;
            let glob = glob.compile_matcher();
            if !cases::everything().any(|case| glob.is_match(case.id)) {
                return Err(ExpectError::Nothing { path: path(), glob: entry.case });
            }
            if let Some(link) = entry.link.as_ref().filter(|link| !is_link(link)) {
                return Err(ExpectError::Link { path: path(), glob: entry.case.clone(), link: link.clone() });
            }
            entries.push((glob, entry));
        }
        Ok(Self(entries))
    }

    /// What is expected of a case: the first entry that names it.
    pub(crate) fn of(&self, case: &str) -> Option<&Expectation> {
        self.0.iter().find(|(glob, _)| glob.is_match(case)).map(|(_, expectation)| expectation)
    }
}

/// Whether a text is the address of a page.
pub(crate) fn is_link(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Expectations, String> {
        Expectations::parse(Path::new("known.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_entry_that_names_a_case_says_what_is_expected_of_it() {
        let expectations = parse(
            "[[expect]]\ncase = '5.2.3/ban*'\nreason = 'bans'\nlink = 'https://example.org/1'\n\
             [[expect]]\ncase = '5.2.3/*'\nreason = 'rules'\n",
        )
        .unwrap();
        let reason = |case| expectations.of(case).map(|entry| entry.reason.as_str());
        let banned = cases::all().find(|case| case.id.starts_with("5.2.3/ban")).unwrap().id;
        assert_eq!(reason(banned), Some("bans"));
        assert_eq!(reason("5.2.3/not-joined"), Some("rules"));
        assert_eq!(reason("5.1/forged-signature"), None);
        assert!(parse("").unwrap().of(banned).is_none());
    }

    #[test]
    fn what_expects_nothing_that_can_be_is_an_error() {
        for (text, says) in [
            ("[[expect]]\ncase = '99/*'\nreason = 'x'", "no case matches \"99/*\""),
            ("[[expect]]\ncase = '5.2.3/['\nreason = 'x'", "5.2.3/["),
            ("[[expect]]\ncase = '5.2.3/*'", "missing field `reason`"),
            ("[[expect]]\ncase = '5.2.3/*'\nreason = 'x'\nlinks = 'x'", "links"),
            ("[[expect]]\ncase = '5.2.3/*'\nreason = 'x'\nlink = 'javascript:alert(1)'", "javascript:"),
            ("[[except]]\n", "except"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says) && error.starts_with("known.toml: "), "{error}");
        }
    }
}
