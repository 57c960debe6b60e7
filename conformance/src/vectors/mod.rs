//! Test vectors: what a library of Linearized Matrix in any language has to compute, accept and refuse, as JSON.
//!
//! What is expected does not come from `mimi-linearized`. Decisions are written by hand from the draft and the readings;
//! hashes, ids, signatures and canonical forms come from [`oracle`], a second and naive implementation on other
//! libraries, or from RFCs. [`verify`] runs `mimi-linearized` on the inputs and compares.

mod authorization;
mod chance;
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

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::Catalogue;
use chance::Chance;

/// One file of vectors.
#[derive(Debug, Serialize, Deserialize)]
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
    /// The vectors, by what is to be done with them.
    pub(crate) groups: Vec<Group>,
}

/// Vectors that are used in the same way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    /// What is to be done with the inputs, as a name.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The same in words: members of `input`, and what `expected` says.
    pub(crate) about: String,
    /// The requirements that the vectors are about.
    pub(crate) covers: Vec<String>,
    /// The vectors.
    pub(crate) tests: Vec<Vector>,
}

/// One vector.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Vector {
    /// Its name, unlike all others.
    pub(crate) id: String,
    /// The requirement of the catalogue, or the reading, that it is about.
    pub(crate) requirement: String,
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
    /// The draft alone does not decide it.
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
                "The draft is silent or contradicts itself here. `requirement` names a reading (R01 to R30) of \
                 drafts/errata.toml, or a requirement that such a reading settles."
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
        Self {
            id: String::new(),
            requirement: requirement.to_owned(),
            rule: None,
            comment: comment.to_owned(),
            flags: Vec::new(),
            input,
            expected,
            result,
        }
    }

    fn valid(requirement: &str, comment: &str, input: Value, expected: Value) -> Self {
        Self::new(requirement, comment, input, expected, Outcome::Valid)
    }

    /// A vector whose input is refused.
    fn refused(requirement: &str, comment: &str, input: Value) -> Self {
        Self::new(requirement, comment, input, serde_json::json!({"accepted": false}), Outcome::Invalid)
    }

    fn acceptable(mut self) -> Self {
        self.result = Outcome::Acceptable;
        self
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
        let mut covers: Vec<String> = Vec::new();
        for test in &tests {
            if !covers.contains(&test.requirement) {
                covers.push(test.requirement.clone());
            }
        }
        Self { kind: kind.to_owned(), about: about.to_owned(), covers, tests }
    }
}

impl File {
    fn new(subject: &str, seed: u64, mut groups: Vec<Group>) -> Self {
        let mut flags = BTreeMap::new();
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
            draft: "draft-ralston-mimi-linearized-matrix-04".to_owned(),
            subject: subject.to_owned(),
            seed,
            count,
            flags,
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
pub(crate) fn generate(seed: u64) -> Vec<File> {
    let chance = |subject: &str| Chance::new(seed, subject);
    let file =
        |subject: &str, groups: fn(Chance) -> Vec<Group>| File::new(subject, seed, groups(chance(subject)));
    vec![
        file("identifiers", identifiers::groups),
        file("strict-json", json::strict),
        file("canonical-json", json::canonical),
        file("base64", hashes::base64),
        file("redaction", hashes::redaction),
        file("hashes", hashes::hashes),
        file("signatures", signing::groups),
        file("event-shapes", shapes::groups),
        file("power-levels", power_levels::groups),
        file("auth-events-selection", selection::groups),
        file("authorization", authorization::groups),
        file("rooms", rooms::groups),
        file("key-responses", key_responses::groups),
    ]
}

/// A vector that does not hold.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Which.
    pub(crate) id: String,
    /// What is wrong.
    pub(crate) what: String,
}

/// Runs the library on every vector of a file.
pub(crate) fn verify(file: &File, catalogue: &Catalogue) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut count = 0_usize;
    for group in &file.groups {
        for vector in &group.tests {
            count = count.saturating_add(1);
            if let Err(what) = verify_one(group, vector, catalogue) {
                failures.push(Failure { id: vector.id.clone(), what });
            }
        }
    }
    if count != file.count {
        let what = format!("`count` is {}, and there are {count} vectors", file.count);
        failures.push(Failure { id: file.subject.clone(), what });
    }
    failures
}

fn verify_one(group: &Group, vector: &Vector, catalogue: &Catalogue) -> Result<(), String> {
    if catalogue.says(&vector.requirement).is_none() {
        return Err(format!("the catalogue has no {:?}", vector.requirement));
    }
    let found = evaluate::evaluate(&group.kind, &vector.input).map_err(|error| error.to_string())?;
    if found != vector.expected {
        return Err(difference(&vector.expected, &found, ""));
    }
    let accepted = vector.expected.get("accepted").and_then(Value::as_bool).unwrap_or(true);
    let fits = match vector.result {
        Outcome::Valid => accepted,
        Outcome::Invalid => !accepted,
        Outcome::Acceptable => true,
    };
    if !fits {
        return Err(format!("`result` and `accepted` contradict each other: {:?}", vector.result));
    }
    let decides = vector.expected.get("rule").and_then(Value::as_str);
    if group.kind == "authorization" && decides != vector.rule.as_deref() {
        return Err(format!("`rule` is {:?}, the rule that decides {decides:?}", vector.rule));
    }
    Ok(())
}

/// The first place in which two values differ, and how.
fn difference(expected: &Value, found: &Value, at: &str) -> String {
    let pairs: Vec<(String, &Value, &Value)> = match (expected, found) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            let steps = a.iter().zip(b.values());
            steps.map(|((key, a), b)| (key.replace('~', "~0").replace('/', "~1"), a, b)).collect()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().map(|(index, (a, b))| (index.to_string(), a, b)).collect()
        }
        _ => Vec::new(),
    };
    match pairs.into_iter().find(|(_, a, b)| a != b) {
        Some((step, a, b)) => difference(a, b, &format!("{at}/{step}")),
        None => format!("at {at:?} expected {expected}, found {found}"),
    }
}

#[cfg(test)]
mod tests;
