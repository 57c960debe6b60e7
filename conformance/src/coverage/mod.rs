//! The catalogues against the cases: what is covered, what is not, what cannot be.

mod json;
mod markdown;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use json::to_json;
pub(crate) use markdown::to_markdown;
pub(crate) use table::to_text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::case::place;
use crate::catalogue::{Catalogue, Draft, LM_04, Level, Mark, Requirement};

/// A case as far as coverage goes: its id and the ids that it covers.
pub(crate) type Covers<'c> = (&'c str, &'c [&'c str]);

/// Whether a requirement is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status<'r> {
    /// Cases cover it.
    Covered,
    /// No case can observe it, for this reason.
    Untestable(&'r str),
    /// The draft leaves open what is required, in this way.
    Unspecified(&'r str),
    /// No case covers it, and nothing says why.
    Open,
}

impl Status<'_> {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Covered => "covered",
            Self::Untestable(_) => "untestable",
            Self::Unspecified(_) => "unspecified",
            Self::Open => "open",
        }
    }
}

/// A requirement and the cases that cover it.
#[derive(Debug)]
pub(crate) struct Line<'r> {
    /// The requirement.
    pub(crate) requirement: &'r Requirement,
    /// The ids of the cases, in the order of the draft.
    pub(crate) cases: Vec<&'r str>,
}

impl<'r> Line<'r> {
    /// Whether it is tested.
    pub(crate) fn status(&self) -> Status<'r> {
        match self.requirement.mark() {
            _ if !self.cases.is_empty() => Status::Covered,
            Some(Mark::Untestable(why)) => Status::Untestable(why),
            Some(Mark::Unspecified(why)) => Status::Unspecified(why),
            None => Status::Open,
        }
    }
}

/// How many requirements are in which state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Tally {
    /// With a case.
    pub(crate) covered: usize,
    /// Marked as what no case can observe.
    pub(crate) untestable: usize,
    /// Marked as left open by the draft.
    pub(crate) unspecified: usize,
    /// Neither.
    pub(crate) open: usize,
}

impl Tally {
    /// Of these lines, those of a level.
    pub(crate) fn of<'l>(lines: impl IntoIterator<Item = &'l Line<'l>>, level: Level) -> Self {
        let mut tally = Self::default();
        for line in lines.into_iter().filter(|line| line.requirement.level == level) {
            let count = match line.status() {
                Status::Covered => &mut tally.covered,
                Status::Untestable(_) => &mut tally.untestable,
                Status::Unspecified(_) => &mut tally.unspecified,
                Status::Open => &mut tally.open,
            };
            *count = count.saturating_add(1);
        }
        tally
    }

    /// All together.
    pub(crate) fn total(self) -> usize {
        [self.covered, self.untestable, self.unspecified, self.open].iter().sum()
    }
}

/// A draft and the state of each of its requirements.
#[derive(Debug)]
pub(crate) struct DraftCoverage<'r> {
    /// The draft.
    pub(crate) draft: &'r Draft,
    /// Its requirements.
    pub(crate) lines: Vec<Line<'r>>,
}

impl<'r> DraftCoverage<'r> {
    /// The requirements of each section, in the order of the draft.
    pub(crate) fn sections(&self) -> Vec<(&'r str, Vec<&Line<'r>>)> {
        let mut sections: BTreeMap<(Vec<u32>, &str), Vec<&Line<'_>>> = BTreeMap::new();
        for line in &self.lines {
            let section = line.requirement.section.as_str();
            sections.entry((place(section), section)).or_default().push(line);
        }
        sections.into_iter().map(|((_, section), lines)| (section, lines)).collect()
    }
}

/// What is wrong with the catalogue or the cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A case covers an id that is in no file.
    UnknownId {
        /// The case.
        case: String,
        /// The id.
        id: String,
    },
    /// A case covers nothing.
    IdleCase {
        /// The case.
        case: String,
    },
    /// A MUST has neither a case nor a mark.
    OpenMust {
        /// Its id.
        id: String,
        /// What it says.
        says: String,
    },
    /// Cases cover what is said to be untestable.
    TestedAfterAll {
        /// The requirement.
        id: String,
        /// The first of the cases.
        case: String,
    },
    /// A keyword of the text stands for an id that does not exist, is in another section or binds otherwise.
    Keyword {
        /// The section.
        section: String,
        /// The keyword.
        word: String,
        /// The id.
        id: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownId { case, id } => write!(f, "{case} covers {id}, which is in no catalogue"),
            Self::IdleCase { case } => write!(f, "{case} covers nothing"),
            Self::OpenMust { id, says } => write!(f, "{id} has no case and no mark: {says}"),
            Self::TestedAfterAll { id, case } => write!(f, "{id} is marked untestable, and {case} covers it"),
            Self::Keyword { section, word, id } => {
                write!(f, "{word} in {section} stands for {id}, which is no such requirement of that section")
            }
        }
    }
}

/// The catalogues against the cases.
#[derive(Debug)]
pub(crate) struct Coverage<'r> {
    /// The catalogues.
    pub(crate) catalogue: &'r Catalogue,
    /// Each draft.
    pub(crate) drafts: Vec<DraftCoverage<'r>>,
    /// What is wrong.
    pub(crate) faults: Vec<Fault>,
}

impl<'r> Coverage<'r> {
    /// Holds the catalogues against these cases.
    pub(crate) fn of<'c: 'r>(catalogue: &'r Catalogue, cases: impl IntoIterator<Item = Covers<'c>>) -> Self {
        let mut covering: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut faults = Vec::new();
        for (case, ids) in cases {
            if ids.is_empty() {
                faults.push(Fault::IdleCase { case: case.to_owned() });
            }
            for id in ids {
                covering.entry(id).or_default().push(case);
                if catalogue.says(id).is_none() {
                    faults.push(Fault::UnknownId { case: case.to_owned(), id: (*id).to_owned() });
                }
            }
        }
        let line = |requirement: &'r Requirement| {
            let cases = covering.get(requirement.id.as_str()).cloned().unwrap_or_default();
            Line { requirement, cases }
        };
        let of_draft =
            |draft: &'r Draft| DraftCoverage { draft, lines: draft.requirements.iter().map(line).collect() };
        let drafts: Vec<_> = catalogue.drafts.iter().map(of_draft).collect();
        faults
            .extend(drafts.iter().flat_map(|draft| draft.lines.iter().filter_map(|line| draft.fault(line))));
        faults.extend(keyword_faults(catalogue));
        Self { catalogue, drafts, faults }
    }

    /// Without the drafts that have another name.
    pub(crate) fn only(self, name: &str) -> Self {
        let drafts = self.drafts.into_iter().filter(|draft| draft.draft.name == name).collect();
        Self { drafts, ..self }
    }
}

impl DraftCoverage<'_> {
    fn fault(&self, line: &Line<'_>) -> Option<Fault> {
        let Requirement { id, says, level, .. } = line.requirement;
        match (line.requirement.mark(), line.cases.first()) {
            (Some(Mark::Untestable(_)), Some(case)) => {
                Some(Fault::TestedAfterAll { id: id.clone(), case: (*case).to_owned() })
            }
            (None, None) if *level == Level::Must => {
                Some(Fault::OpenMust { id: id.clone(), says: says.clone() })
            }
            _ => None,
        }
    }
}

fn keyword_faults(catalogue: &Catalogue) -> Vec<Fault> {
    let requirements = catalogue.drafts.iter().filter(|draft| draft.name == LM_04);
    let known: BTreeSet<(&str, &str, &str)> = requirements
        .flat_map(|draft| &draft.requirements)
        .map(|entry| (entry.section.as_str(), entry.level.as_str(), entry.id.as_str()))
        .collect();
    let mut faults = Vec::new();
    for section in &catalogue.keywords {
        for (word, ids) in section.each() {
            let level = word.split(' ').next().unwrap_or_default();
            let wrong =
                ids.iter().filter(|id| !known.contains(&(section.number.as_str(), level, id.as_str())));
            faults.extend(wrong.map(|id| Fault::Keyword {
                section: section.number.clone(),
                word: word.to_owned(),
                id: id.clone(),
            }));
        }
    }
    faults
}
