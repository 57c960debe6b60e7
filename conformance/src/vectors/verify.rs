//! Whether files of vectors are whole, say nothing that contradicts itself, and hold for the library.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{DRAFT, File, Flag, Group, Outcome, SUBJECTS, Vector, covered, evaluate, is_reading};
use crate::catalogue::Catalogue;

/// A vector that does not hold, or a file that is damaged.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Which vector, or which file by its subject.
    pub(crate) id: String,
    /// What is wrong.
    pub(crate) what: String,
}

/// The subjects that none of the files is about.
pub(crate) fn missing<'f>(files: impl IntoIterator<Item = &'f File>) -> Vec<&'static str> {
    let there: BTreeSet<&str> = files.into_iter().map(|file| file.subject.as_str()).collect();
    SUBJECTS.into_iter().map(|(subject, _)| subject).filter(|subject| !there.contains(subject)).collect()
}

/// Looks at everything that a file says, and runs the library on every vector.
pub(crate) fn verify(file: &File, catalogue: &Catalogue) -> Vec<Failure> {
    let of_file = |what: String| Failure { id: file.subject.clone(), what };
    let mut failures: Vec<Failure> = whole(file).into_iter().map(of_file).collect();
    let mut ids = BTreeSet::new();
    for group in &file.groups {
        for vector in &group.tests {
            let unique =
                if ids.insert(&vector.id) { Ok(()) } else { Err("the id is there twice".to_owned()) };
            let sound = unique
                .and_then(|()| consistent(file, group, vector, catalogue))
                .and_then(|()| holds(group, vector));
            if let Err(what) = sound {
                failures.push(Failure { id: vector.id.clone(), what });
            }
        }
    }
    failures
}

/// What is wrong with a file apart from its vectors.
fn whole(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |wrong: bool, what: &dyn Fn() -> String| {
        if wrong {
            faults.push(what());
        }
    };
    fault(file.draft != DRAFT, &|| {
        format!("`draft` is {:?}, and the vectors known here are of {DRAFT}", file.draft)
    });
    let known = SUBJECTS.iter().any(|(subject, _)| *subject == file.subject);
    fault(!known, &|| format!("there is no subject {:?}", file.subject));
    let tests = || file.groups.iter().flat_map(|group| &group.tests);
    let count = tests().count();
    fault(count != file.count, &|| format!("`count` is {}, and there are {count} vectors", file.count));
    fault(file.groups.is_empty(), &|| "`groups` is empty".to_owned());
    for group in &file.groups {
        fault(group.tests.is_empty(), &|| format!("the group {:?} is empty", group.kind));
        fault(group.about.trim().is_empty(), &|| {
            format!("the group {:?} says nothing in `about`", group.kind)
        });
        fault(group.covers != covered(&group.tests), &|| {
            format!("`covers` of the group {:?} is not what its vectors name", group.kind)
        });
    }
    let flags: BTreeMap<String, String> = tests()
        .flat_map(|vector| &vector.flags)
        .map(|flag| (format!("{flag:?}"), flag.meaning().to_owned()))
        .collect();
    fault(file.flags != flags, &|| "`flags` are not those of the vectors, or mean something else".to_owned());
    faults
}

/// Whether what a vector says of itself fits.
fn consistent(file: &File, group: &Group, vector: &Vector, catalogue: &Catalogue) -> Result<(), String> {
    for id in vector.names() {
        if catalogue.says(id).is_none() {
            return Err(format!("the catalogue has no {id:?}"));
        }
        if !file.requirements.contains_key(id) && !file.readings.contains_key(id) {
            return Err(format!("the file has no words for {id:?}"));
        }
    }
    if vector.flags.contains(&Flag::Reading) != vector.reading.is_some() {
        return Err("the flag `Reading` and the member `reading` go together".to_owned());
    }
    if is_reading(&vector.requirement) && vector.reading.as_ref() != Some(&vector.requirement) {
        return Err("`requirement` is a reading, and `reading` is not that one".to_owned());
    }
    if let Some(reading) = &vector.reading {
        let Some(words) = catalogue.reading(reading) else {
            return Err(format!("{reading:?} is no reading"));
        };
        if vector.result == Outcome::Acceptable && words.acceptable.is_none() {
            return Err(format!("the result is `acceptable`, and {reading} has nothing else to accept"));
        }
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

/// Whether the library finds what is expected.
fn holds(group: &Group, vector: &Vector) -> Result<(), String> {
    let found = evaluate::evaluate(&group.kind, &vector.input).map_err(|error| error.to_string())?;
    if found == vector.expected { Ok(()) } else { Err(difference(&vector.expected, &found, "")) }
}

/// The first place in which two values differ, and how.
pub(super) fn difference(expected: &Value, found: &Value, at: &str) -> String {
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
