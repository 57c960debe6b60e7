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
struct Requirement {
    id: String,
    says: String,
}

/// How a hole in the draft is read.
#[derive(Debug, Deserialize)]
pub(crate) struct Reading {
    id: String,
    /// The subject in a few words.
    pub(crate) title: String,
    /// What this project does.
    pub(crate) reading: String,
    /// Why.
    pub(crate) reason: String,
    /// A different behaviour that the text also allows.
    pub(crate) acceptable: Option<String>,
}

#[derive(Deserialize)]
struct RequirementFile {
    requirement: Vec<Requirement>,
}

#[derive(Deserialize)]
struct ErrataFile {
    reading: Vec<Reading>,
}

/// What every requirement says and every reading is about, by id.
#[derive(Debug)]
pub(crate) struct Catalogue {
    requirements: BTreeMap<String, String>,
    readings: BTreeMap<String, Reading>,
}

impl Catalogue {
    /// Reads the catalogue that the program was built with.
    pub(crate) fn read() -> Result<Self, toml::de::Error> {
        let requirements: RequirementFile = toml::from_str(LM_04)?;
        let errata: ErrataFile = toml::from_str(ERRATA)?;
        let requirements = requirements.requirement.into_iter().map(|entry| (entry.id, entry.says));
        let readings = errata.reading.into_iter().map(|entry| (entry.id.clone(), entry));
        Ok(Self { requirements: requirements.collect(), readings: readings.collect() })
    }

    /// What a requirement says, or a reading is about; nothing for an id that is in neither file.
    pub(crate) fn says(&self, id: &str) -> Option<&str> {
        self.requirements.get(id).or_else(|| Some(&self.readings.get(id)?.title)).map(String::as_str)
    }

    /// A reading by its id.
    pub(crate) fn reading(&self, id: &str) -> Option<&Reading> {
        self.readings.get(id)
    }
}

#[cfg(test)]
mod tests;
