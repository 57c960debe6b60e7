//! Which case catches which mutant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Mutant;
use super::run::Tried;
use crate::case::Case;

/// The result of the last full run, a line a mutant.
const RECORDED: &str = include_str!("../../mutants.jsonl");

/// How many cases catch a mutant whose fault is in the way of everything.
const BLUNT: usize = 30;

/// A line of `mutants.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// The mutant.
    pub(crate) id: String,
    /// What it breaks.
    pub(crate) covers: Vec<String>,
    /// The cases that catch it, in the order of the draft.
    pub(crate) caught_by: Vec<String>,
    /// The one of them that took the least time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quickest: Option<String>,
}

impl Recorded {
    /// The recorded result that the program was built with.
    pub(crate) fn all() -> Result<Vec<Self>, serde_json::Error> {
        Self::read(RECORDED)
    }

    /// The lines of a file.
    pub(crate) fn read(text: &str) -> Result<Vec<Self>, serde_json::Error> {
        text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect()
    }

    /// The text of a file with these lines.
    pub(crate) fn file(lines: &[Self]) -> Result<String, serde_json::Error> {
        let mut text = String::new();
        for line in lines {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        Ok(text)
    }
}

/// What came of the runs.
#[derive(Default)]
pub(crate) struct Matrix {
    /// Each mutant with what came of it, in the order of the mutants.
    pub(crate) rows: Vec<(&'static Mutant, Tried)>,
    /// The cases, if all of them ran against all mutants.
    pub(crate) full: Option<Vec<&'static Case>>,
    /// The cases that fail against a sound server.
    pub(crate) unsound: Vec<&'static str>,
    /// Whatever else stands in the way of believing the result.
    pub(crate) notes: Vec<String>,
}

impl Matrix {
    /// The mutants that no case catches.
    pub(crate) fn uncaught(&self) -> Vec<&'static str> {
        self.rows
            .iter()
            .filter(|(_, tried)| tried.caught_by.is_empty())
            .map(|(mutant, _)| mutant.id)
            .collect()
    }

    /// The cases that catch no mutant; nothing is said of them unless all ran against all.
    pub(crate) fn idle(&self) -> Vec<&'static str> {
        let busy: BTreeSet<_> = self.rows.iter().flat_map(|(_, tried)| &tried.caught_by).copied().collect();
        let all = self.full.iter().flatten().map(|case| case.id);
        all.filter(|id| !busy.contains(id)).collect()
    }

    /// The cases that catch only mutants which [`BLUNT`] cases and more catch: a fault that makes every room fail, say.
    /// Whether they would notice the fault that they are about, the mutants do not show.
    pub(crate) fn blunt(&self) -> Vec<&'static str> {
        let sharp = self.rows.iter().filter(|(_, tried)| tried.caught_by.len() < BLUNT);
        let sharp: BTreeSet<_> = sharp.flat_map(|(_, tried)| &tried.caught_by).copied().collect();
        let idle = self.idle();
        let all = self.full.iter().flatten().map(|case| case.id);
        all.filter(|id| !sharp.contains(id) && !idle.contains(id)).collect()
    }

    /// Whether everything is as it should be.
    pub(crate) fn is_sound(&self) -> bool {
        self.uncaught().is_empty()
            && self.idle().is_empty()
            && self.unsound.is_empty()
            && self.notes.is_empty()
    }

    /// The lines for `mutants.jsonl`: those of this run, and of other mutants those from before.
    pub(crate) fn recorded(&self, before: &[Recorded], all: &[&'static Mutant]) -> Vec<Recorded> {
        let now: BTreeMap<&str, &Tried> =
            self.rows.iter().map(|(mutant, tried)| (mutant.id, tried)).collect();
        let line = |mutant: &&'static Mutant| {
            let (caught_by, quickest) = match now.get(mutant.id) {
                Some(tried) => {
                    let caught_by = tried.caught_by.iter().map(ToString::to_string).collect();
                    (caught_by, tried.quickest.map(str::to_owned))
                }
                None => {
                    let line = before.iter().find(|line| line.id == mutant.id)?;
                    (line.caught_by.clone(), line.quickest.clone())
                }
            };
            let covers = mutant.covers.iter().map(ToString::to_string).collect();
            Some(Recorded { id: mutant.id.to_owned(), covers, caught_by, quickest })
        };
        all.iter().filter_map(line).collect()
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|(mutant, tried)| {
            json!({
                "id": mutant.id,
                "says": mutant.says,
                "covers": mutant.covers,
                "caught_by": tried.caught_by,
                "quickest": tried.quickest,
                "reasons": tried.reasons.iter().cloned().collect::<BTreeMap<_, _>>(),
                "unended": tried.unended,
                "duration_ms": u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX),
            })
        });
        json!({
            "mutants": rows.collect::<Vec<_>>(),
            "uncaught": self.uncaught(),
            "idle_cases": self.idle(),
            "blunt_cases": self.blunt(),
            "unsound_cases": self.unsound,
            "notes": self.notes,
        })
    }

    /// For people: a line a mutant with the cases that catch it, then what is to be found fault with.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        for (mutant, tried) in &self.rows {
            let how = if tried.caught_by.is_empty() { "MISSED" } else { "caught" };
            writeln!(out, "{how} {:<34} {}", mutant.id, mutant.says)?;
            for case in &tried.caught_by {
                writeln!(out, "         {case}")?;
            }
        }
        writeln!(out)?;
        for id in self.uncaught() {
            writeln!(out, "no case catches {id}")?;
        }
        for id in self.idle() {
            writeln!(out, "{id} catches no mutant")?;
        }
        for id in self.blunt() {
            writeln!(out, "{id} catches only mutants that {BLUNT} cases and more catch")?;
        }
        for id in &self.unsound {
            writeln!(out, "{id} fails against a sound server")?;
        }
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        let caught = self.rows.len().saturating_sub(self.uncaught().len());
        let cases: BTreeSet<_> = self.rows.iter().flat_map(|(_, tried)| &tried.caught_by).collect();
        writeln!(out, "{caught} of {} mutants caught, by {} cases", self.rows.len(), cases.len())
    }
}
