//! The catalogues: what the drafts require, and how LM-04's holes are read. They are part of the program.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The catalogues in `drafts/`: the name of each file and what is in it.
const CATALOGUES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalogues.rs"));
/// `drafts/errata.toml`
const ERRATA: &str = include_str!("../../drafts/errata.toml");
/// `drafts/keywords.toml`
const KEYWORDS: &str = include_str!("../../drafts/keywords.toml");

/// The catalogue that is to be covered whole, and that the keywords are of.
pub(crate) const LM_04: &str = "lm-04";

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
    /// All of them, the most binding first.
    pub(crate) const ALL: [Self; 3] = [Self::Must, Self::Should, Self::May];

    /// As RFC 2119 writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }
}

/// Whom a requirement binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Binds {
    /// The hub of the room.
    Hub,
    /// Any other server.
    Participant,
    /// Whichever party it meets.
    Any,
    /// The software of a user's device alone.
    Client,
}

/// Why a requirement has no case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark<'r> {
    /// No case can observe it.
    Untestable(&'r str),
    /// The draft leaves open what is required.
    Unspecified(&'r str),
}

/// One sentence or step of a draft that binds somebody.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requirement {
    /// Its id: the draft's prefix, the section, a number.
    pub(crate) id: String,
    /// The section by the number of the rendered draft.
    pub(crate) section: String,
    /// How much it binds.
    pub(crate) level: Level,
    /// Whom.
    pub(crate) role: Binds,
    /// What it says.
    pub(crate) says: String,
    /// Where it stands, if its catalogue is of several documents.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for readers of the catalogue, and a test that looks for it")
    )]
    pub(crate) source: Option<String>,
    untestable: Option<String>,
    unspecified: Option<String>,
}

impl Requirement {
    /// Why it has no case, if that is said.
    pub(crate) fn mark(&self) -> Option<Mark<'_>> {
        let untestable = self.untestable.as_deref().map(Mark::Untestable);
        untestable.or_else(|| self.unspecified.as_deref().map(Mark::Unspecified))
    }
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

/// The keywords in the text of a section, in order, each with the requirements that are made of its sentence.
#[derive(Debug, Deserialize)]
pub(crate) struct Keywords {
    /// The section.
    pub(crate) number: String,
    keywords: Vec<Vec<String>>,
}

impl Keywords {
    /// Each keyword as the draft has it, with the ids.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.keywords.iter().filter_map(|of| of.split_first()).map(|(word, ids)| (word.as_str(), ids))
    }

    /// How many keywords there are of a level.
    pub(crate) fn count(&self, level: Level) -> usize {
        self.each().filter(|(word, _)| word.split(' ').next() == Some(level.as_str())).count()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequirementFile {
    requirement: Vec<Requirement>,
}

#[derive(Deserialize)]
struct ErrataFile {
    reading: Vec<Reading>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeywordFile {
    section: Vec<Keywords>,
}

/// A file that is no catalogue.
#[derive(Debug, thiserror::Error)]
#[error("drafts/{file}.toml: {error}")]
pub(crate) struct CatalogueError {
    file: &'static str,
    error: toml::de::Error,
}

fn parse<T: serde::de::DeserializeOwned>(file: &'static str, text: &str) -> Result<T, CatalogueError> {
    toml::from_str(text).map_err(|error| CatalogueError { file, error })
}

/// A draft and what it requires.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The name of its file.
    pub(crate) name: &'static str,
    /// What it requires, in its order.
    pub(crate) requirements: Vec<Requirement>,
}

impl fmt::Display for Draft {
    /// The prefix of its ids, such as `LM-04`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.requirements.first().and_then(|requirement| requirement.id.split('/').next());
        f.write_str(first.unwrap_or(self.name))
    }
}

/// Every draft, and every reading of LM-04 by its id.
#[derive(Debug)]
pub(crate) struct Catalogue {
    /// The drafts, LM-04 first.
    pub(crate) drafts: Vec<Draft>,
    /// The keywords in the text of LM-04.
    pub(crate) keywords: Vec<Keywords>,
    says: BTreeMap<String, String>,
    readings: BTreeMap<String, Reading>,
}

impl Catalogue {
    /// Reads what the program was built with.
    pub(crate) fn read() -> Result<Self, CatalogueError> {
        let draft = |(name, text): &(&'static str, &str)| -> Result<Draft, CatalogueError> {
            Ok(Draft { name, requirements: parse::<RequirementFile>(name, text)?.requirement })
        };
        let drafts = CATALOGUES.iter().map(draft).collect::<Result<Vec<_>, _>>()?;
        let keywords: KeywordFile = parse("keywords", KEYWORDS)?;
        let errata: ErrataFile = parse("errata", ERRATA)?;
        let requirements = drafts.iter().flat_map(|draft| &draft.requirements);
        let says = requirements.map(|entry| (entry.id.clone(), entry.says.clone())).collect();
        let readings = errata.reading.into_iter().map(|entry| (entry.id.clone(), entry)).collect();
        Ok(Self { drafts, keywords: keywords.section, says, readings })
    }

    /// What a requirement says, or a reading is about; nothing for an id that is in no file.
    pub(crate) fn says(&self, id: &str) -> Option<&str> {
        self.says.get(id).or_else(|| Some(&self.readings.get(id)?.title)).map(String::as_str)
    }

    /// A reading by its id.
    pub(crate) fn reading(&self, id: &str) -> Option<&Reading> {
        self.readings.get(id)
    }
}

#[cfg(test)]
mod tests;
