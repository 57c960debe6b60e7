//! The catalogue: what the draft requires, and how its holes are read. It is part of the program.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `drafts/lm-04.toml`
const LM_04: &str = include_str!("../../drafts/lm-04.toml");
/// `drafts/errata.toml`
const ERRATA: &str = include_str!("../../drafts/errata.toml");

/// How much a requirement binds (RFC 2119).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize, clap::ValueEnum,
)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Level {
    /// A MUST or MUST NOT.
    Must,
    /// A SHOULD or SHOULD NOT.
    Should,
    /// A MAY.
    May,
}

impl Level {
    /// As RFC 2119 writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }
}

/// One sentence or step of the draft that binds somebody.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requirement {
    /// Its stable id, such as `LM-04/5.1/3`.
    pub(crate) id: String,
    /// The section it is in.
    pub(crate) section: String,
    /// How much it binds.
    pub(crate) level: Level,
    /// Whom it binds.
    pub(crate) role: String,
    /// What it says, in the words of the catalogue.
    pub(crate) says: String,
    /// Why no case can show it, if none can.
    pub(crate) untestable: Option<String>,
    /// Why the draft does not say enough, if it does not.
    pub(crate) unspecified: Option<String>,
}

/// How a hole in the draft is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reading {
    /// Its stable id, such as `R05`.
    pub(crate) id: String,
    /// What it is about.
    pub(crate) title: String,
    /// The sections it concerns.
    pub(crate) sections: Vec<String>,
    /// The entries of the list of errata that it settles.
    pub(crate) seeds: Vec<String>,
    /// What the draft says.
    pub(crate) draft: String,
    /// How it is read.
    pub(crate) reading: String,
    /// Why.
    pub(crate) reason: String,
    /// Another reading that a case must not fail.
    pub(crate) acceptable: Option<String>,
    /// The cases and tests that show it.
    pub(crate) shown_by: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequirementFile {
    requirement: Vec<Requirement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrataFile {
    reading: Vec<Reading>,
}

/// Every requirement and reading, by id.
#[derive(Debug)]
pub(crate) struct Catalogue {
    /// The requirements.
    pub(crate) requirements: BTreeMap<String, Requirement>,
    /// The readings.
    pub(crate) readings: BTreeMap<String, Reading>,
}

impl Catalogue {
    /// Reads the catalogue that the program was built with.
    pub(crate) fn read() -> Result<Self, toml::de::Error> {
        let requirements: RequirementFile = toml::from_str(LM_04)?;
        let errata: ErrataFile = toml::from_str(ERRATA)?;
        Ok(Self {
            requirements: requirements
                .requirement
                .into_iter()
                .map(|entry| (entry.id.clone(), entry))
                .collect(),
            readings: errata.reading.into_iter().map(|entry| (entry.id.clone(), entry)).collect(),
        })
    }

    /// Whether there is an entry with this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.requirements.contains_key(id) || self.readings.contains_key(id)
    }
}
