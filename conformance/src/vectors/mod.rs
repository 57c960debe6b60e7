//! Test vectors: what a library of Linearized Matrix in any language has to compute, accept and refuse, as JSON.
//!
//! What is expected does not come from `mimi-linearized`. Decisions are written by hand from the draft and the readings;
//! hashes, ids, signatures and canonical forms come from [`oracle`], a second and naive implementation on other
//! libraries, or from RFCs. [`verify()`] runs `mimi-linearized` on the inputs and compares.

mod authorization;
mod chance;
mod contents;
mod evaluate;
mod events;
mod hashes;
mod identifiers;
mod json;
mod key_responses;
mod oracle;
mod power_levels;
mod rooms;
mod selection;
mod shapes;
mod signing;
mod verify;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::Catalogue;
use chance::Chance;
pub(crate) use verify::{missing, verify};

/// The draft that the vectors are about.
const DRAFT: &str = "draft-ralston-mimi-linearized-matrix-04";

/// Makes the groups of a file.
type Maker = fn(Chance) -> Vec<Group>;

/// The subjects, a file for each.
const SUBJECTS: [(&str, Maker); 14] = [
    ("identifiers", identifiers::groups),
    ("strict-json", json::strict),
    ("canonical-json", json::canonical),
    ("base64", hashes::base64),
    ("redaction", hashes::redaction),
    ("hashes", hashes::hashes),
    ("signatures", signing::groups),
    ("event-shapes", shapes::groups),
    ("power-levels", power_levels::groups),
    ("auth-events-selection", selection::groups),
    ("authorization", authorization::groups),
    ("rooms", rooms::groups),
    ("key-responses", key_responses::groups),
    ("contents", contents::groups),
];

/// One file of vectors.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// What wrote it.
    pub(crate) suite: String,
    /// The draft the vectors are about.
    pub(crate) draft: String,
    /// What the file is about; also its name.
    pub(crate) subject: String,
    /// The seed of the vectors that are derived from one.
    pub(crate) seed: u64,
    /// How many vectors there are.
    pub(crate) count: usize,
    /// What the flags of the vectors mean.
    pub(crate) flags: BTreeMap<String, String>,
    /// The readings that decide vectors of this file, by id.
    pub(crate) readings: BTreeMap<String, Words>,
    /// What the requirements say that the vectors of this file are about, by id.
    pub(crate) requirements: BTreeMap<String, String>,
    /// The vectors, by what is to be done with them.
    pub(crate) groups: Vec<Group>,
}

/// A reading in words.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    /// The subject in a few words.
    pub(crate) title: String,
    /// How the draft is read.
    pub(crate) reading: String,
    /// Why.
    pub(crate) reason: String,
    /// What else the draft allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acceptable: Option<String>,
}

/// Vectors that are used in the same way.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// What is to be done with the inputs, as a name.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The same in words: members of `input`, and what `expected` says.
    pub(crate) about: String,
    /// The requirements that the vectors are about, and the readings that decide them.
    pub(crate) covers: Vec<String>,
    /// The vectors.
    pub(crate) tests: Vec<Vector>,
}

/// One vector.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    /// Its name, unlike all others.
    pub(crate) id: String,
    /// The requirement of the catalogue, or the reading, that it is about.
    pub(crate) requirement: String,
    /// The reading that decides, where the draft alone does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reading: Option<String>,
    /// The authorization rule that decides, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    /// What is special about it.
    pub(crate) comment: String,
    /// What has to be known about it; the file says what each flag means.
    pub(crate) flags: Vec<Flag>,
    /// What is given.
    pub(crate) input: Value,
    /// What has to come out.
    pub(crate) expected: Value,
    /// Whether the input is sound.
    pub(crate) result: Outcome,
}

/// Whether an input is sound, in the manner of Wycheproof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It has to be accepted, and to give what is expected.
    Valid,
    /// It has to be refused.
    Invalid,
    /// The draft allows either; `expected` is what the reading has.
    Acceptable,
}

/// Something to know about a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Flag {
    /// The draft alone does not decide it: a reading does.
    Reading,
    /// It comes from the seed.
    Seeded,
    /// Others published what is expected.
    Published,
    /// Which rule decides is told besides whether the event is accepted.
    Rule,
}

impl Flag {
    fn meaning(self) -> &'static str {
        match self {
            Self::Reading => {
                "The draft is silent or contradicts itself here. `reading` names the reading that decides; `readings` \
                 of the file has its words."
            }
            Self::Seeded => "Names, keys or values come from the seed of the file.",
            Self::Published => {
                "The expected value was published by others: RFC 8032, RFC 8785, RFC 4648, or events that two \
                 independent codebases agree on."
            }
            Self::Rule => {
                "`rule` in `expected` is the rule that decides. An implementation that tells only whether an event is \
                 accepted compares `accepted` alone."
            }
        }
    }
}

impl Vector {
    fn new(requirement: &str, comment: &str, input: Value, expected: Value, result: Outcome) -> Self {
        let vector = Self {
            id: String::new(),
            requirement: requirement.to_owned(),
            reading: None,
            rule: None,
            comment: comment.to_owned(),
            flags: Vec::new(),
            input,
            expected,
            result,
        };
        if is_reading(requirement) { vector.read_by(requirement) } else { vector }
    }

    fn valid(requirement: &str, comment: &str, input: Value, expected: Value) -> Self {
        Self::new(requirement, comment, input, expected, Outcome::Valid)
    }

    /// A vector whose input is refused.
    fn refused(requirement: &str, comment: &str, input: Value) -> Self {
        Self::new(requirement, comment, input, serde_json::json!({"accepted": false}), Outcome::Invalid)
    }

    /// The draft alone does not decide: this reading does.
    fn read_by(mut self, reading: &str) -> Self {
        self.reading = Some(reading.to_owned());
        self.flag(Flag::Reading)
    }

    /// The draft allows something else as well.
    fn acceptable(mut self) -> Self {
        self.result = Outcome::Acceptable;
        self
    }

    /// The ids that its reader has to look up.
    fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.requirement).chain(&self.reading)
    }

    fn flag(mut self, flag: Flag) -> Self {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
            self.flags.sort_unstable();
        }
        self
    }
}

impl Group {
    fn new(kind: &str, about: &str, tests: Vec<Vector>) -> Self {
        let covers = covered(&tests);
        Self { kind: kind.to_owned(), about: about.to_owned(), covers, tests }
    }
}

/// Whether an id is that of a reading, and not of a requirement.
fn is_reading(id: &str) -> bool {
    id.starts_with('R')
}

/// The readings that a text names.
fn readings_in(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let digits = |word: &&str| word.len() == 3 && word.bytes().skip(1).all(|byte| byte.is_ascii_digit());
    words.filter(|word| is_reading(word)).filter(digits).map(ToOwned::to_owned)
}

/// The requirements and readings behind the rules that decide, by an expectation.
fn rules_in(expected: &Value) -> Vec<String> {
    match expected {
        Value::Array(elements) => elements.iter().flat_map(rules_in).collect(),
        Value::Object(members) => {
            let rule = members.get("rule").and_then(Value::as_str).map(|rule| match rule.split_once(' ') {
                None => format!("LM-04/auth/{rule}"),
                Some(("auth", place)) => format!("LM-04/auth/{place}"),
                Some((_, place)) if is_reading(place) => place.split('/').next().unwrap_or(place).to_owned(),
                Some((_, place)) => format!("LM-04/{place}"),
            });
            members.values().flat_map(rules_in).chain(rule).collect()
        }
        _ => Vec::new(),
    }
}

/// The ids that a group names, anywhere.
fn named(group: &Group) -> Vec<String> {
    let rules = group.tests.iter().flat_map(|test| rules_in(&test.expected));
    readings_in(&group.about).chain(rules).chain(group.covers.iter().cloned()).collect()
}

/// The requirements and readings of vectors, each once.
fn covered(tests: &[Vector]) -> Vec<String> {
    let mut covers: Vec<String> = Vec::new();
    for id in tests.iter().flat_map(Vector::names) {
        if !covers.contains(id) {
            covers.push(id.clone());
        }
    }
    covers
}

impl File {
    fn new(subject: &str, seed: u64, mut groups: Vec<Group>, catalogue: &Catalogue) -> Self {
        let mut flags = BTreeMap::new();
        let (mut readings, mut requirements) = (BTreeMap::new(), BTreeMap::new());
        let mut wanted: Vec<String> = groups.iter().flat_map(named).collect();
        while let Some(id) = wanted.pop() {
            let id = &id;
            if readings.contains_key(id) {
                continue;
            }
            match (catalogue.reading(id), catalogue.says(id)) {
                (Some(reading), _) => {
                    let words = Words {
                        title: reading.title.clone(),
                        reading: reading.reading.clone(),
                        reason: reading.reason.clone(),
                        acceptable: reading.acceptable.clone(),
                    };
                    let told = [Some(&words.reading), Some(&words.reason), words.acceptable.as_ref()];
                    wanted.extend(told.into_iter().flatten().flat_map(|text| readings_in(text)));
                    drop(readings.insert(id.clone(), words));
                }
                (None, Some(says)) => drop(requirements.insert(id.clone(), says.to_owned())),
                // Verification finds it.
                (None, None) => {}
            }
        }
        let mut count = 0_usize;
        for test in groups.iter_mut().flat_map(|group| &mut group.tests) {
            count = count.saturating_add(1);
            test.id = format!("{subject}/{count}");
            for flag in &test.flags {
                flags.insert(format!("{flag:?}"), flag.meaning().to_owned());
            }
        }
        Self {
            suite: concat!("mimi ", env!("CARGO_PKG_VERSION")).to_owned(),
            draft: DRAFT.to_owned(),
            subject: subject.to_owned(),
            seed,
            count,
            flags,
            readings,
            requirements,
            groups,
        }
    }

    /// The file as it is written. The same seed gives the same bytes.
    pub(crate) fn render(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Makes all files.
pub(crate) fn generate(seed: u64, catalogue: &Catalogue) -> Vec<File> {
    let file = |(subject, groups): (&str, Maker)| {
        File::new(subject, seed, groups(Chance::new(seed, subject)), catalogue)
    };
    SUBJECTS.into_iter().map(file).collect()
}

#[cfg(test)]
mod tests;
