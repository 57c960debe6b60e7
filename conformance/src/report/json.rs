//! The stable report format. `report.schema.json` describes it; every other form of a report is made of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::baseline::Comparison;
use super::events::{self, EventSeen, Telling};
use super::{Standing, Summary};
use crate::case::{Outcome, Verdict, place};
use crate::catalogue::Level;
use crate::evidence::Kept;
use crate::expect::{Expectation, Expectations};
use crate::output::print;

/// The version of the format: the next one is another format, to which members were not only added.
pub(crate) const FORMAT: u32 = 1;

/// The suite that made a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SuiteInfo {
    /// Its version.
    pub(crate) version: String,
    /// The seed of its random choices; the same seed makes the same choices.
    pub(crate) seed: u64,
    /// Which MLS implementations its devices are of.
    pub(crate) mls: String,
    /// When it started, in RFC 3339.
    pub(crate) started: String,
    /// How long it took.
    pub(crate) duration_ms: u64,
    /// How many cases the suite has, or the profile, whether or not they were asked for.
    pub(crate) cases: usize,
}

/// What was tested.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TargetInfo {
    /// The server's name.
    pub(crate) server_name: String,
    /// How it was driven.
    pub(crate) driver: String,
}

/// The profile of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProfileInfo {
    /// Its name.
    pub(crate) name: String,
    /// Its title.
    pub(crate) title: String,
    /// The least binding level that has to be met.
    pub(crate) counts: Level,
    /// What it is based on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) based_on: Vec<Source>,
}

/// A document that a profile is based on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// Its title.
    pub(crate) title: String,
    /// Its version or date.
    pub(crate) version: String,
    /// Where it is.
    pub(crate) link: String,
}

/// A report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// [`FORMAT`]
    pub(crate) format: u32,
    /// Who made it.
    pub(crate) suite: SuiteInfo,
    /// About what.
    pub(crate) target: TargetInfo,
    /// By which profile, if by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<ProfileInfo>,
    /// The verdicts in numbers.
    pub(crate) summary: Summary,
    /// What is otherwise than in an earlier report, if there is one to compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) baseline: Option<Comparison>,
    /// Every case.
    pub(crate) cases: Vec<CaseResult>,
}

/// A case with its verdict.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CaseResult {
    /// The case's id.
    pub(crate) id: String,
    /// The case's title.
    pub(crate) title: String,
    /// What came of it.
    pub(crate) verdict: Verdict,
    /// How much it binds.
    pub(crate) level: Level,
    /// What the target is in it: hub, participant or server.
    pub(crate) role: String,
    /// What it shows.
    pub(crate) covers: Vec<String>,
    /// How long it took.
    pub(crate) duration_ms: u64,
    /// The MLS implementations of the suite's devices in this case, in the order in which the devices are made: once for
    /// each time the case was tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mls: Vec<Vec<String>>,
    /// Why the verdict is not simply a pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The case is expected to fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<Expectation>,
    /// Which entry of `evidence` shows it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) telling: Option<Telling>,
    /// The requests and answers that led to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) evidence: Vec<Evidence>,
}

/// A request, its answer, and the events in both.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Evidence {
    /// Request and answer.
    #[serde(flatten)]
    pub(crate) kept: Kept,
    /// The events in both, with the ids that the suite computes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<EventSeen>,
    /// The event ids that the answer names, as whoever answered has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) named: Vec<String>,
}

impl CaseResult {
    fn of(outcome: Outcome, expectations: &Expectations) -> Self {
        let telling = events::telling(outcome.verdict, outcome.reason.as_deref(), &outcome.evidence);
        let evidence = |kept: Kept| {
            let (events, named) = (events::seen(&kept.exchange), events::named(&kept.exchange.answer));
            Evidence { kept, events, named }
        };
        let owned = |stacks: Vec<&'static str>| stacks.into_iter().map(ToOwned::to_owned).collect();
        Self {
            id: outcome.id.to_owned(),
            title: outcome.title.to_owned(),
            verdict: outcome.verdict,
            level: outcome.level,
            role: outcome.role.as_str().to_owned(),
            covers: outcome.covers.iter().map(|id| (*id).to_owned()).collect(),
            duration_ms: outcome.duration_ms,
            mls: outcome.mls.into_iter().map(owned).collect(),
            reason: outcome.reason,
            expected: expectations.of(outcome.id).cloned(),
            telling,
            evidence: outcome.evidence.into_iter().map(evidence).collect(),
        }
    }

    /// The section of the draft it is about.
    pub(crate) fn section(&self) -> &str {
        self.id.split_once('/').map_or(self.id.as_str(), |(section, _)| section)
    }

    /// Whether the verdict is what was expected.
    pub(crate) fn standing(&self) -> Standing {
        match (&self.expected, self.verdict) {
            (Some(_), Verdict::Fail | Verdict::Warn) => Standing::Expected,
            (Some(_), Verdict::Pass | Verdict::Acceptable) => Standing::UnexpectedPass,
            (Some(_), Verdict::Skip) | (None, _) => Standing::Plain,
        }
    }

    /// Whether the run is no success because of this case.
    pub(crate) fn is_against(&self) -> bool {
        match self.standing() {
            Standing::Plain => self.verdict == Verdict::Fail,
            Standing::Expected => false,
            Standing::UnexpectedPass => true,
        }
    }

    /// Whether devices of several MLS implementations were in the case at once.
    pub(crate) fn has_mixed_room(&self) -> bool {
        self.mls.iter().any(|stacks| stacks.iter().any(|stack| Some(stack) != stacks.first()))
    }
}

impl Report {
    /// Puts it together.
    pub(crate) fn new(
        suite: SuiteInfo,
        target: TargetInfo,
        outcomes: Vec<Outcome>,
        expectations: &Expectations,
    ) -> Self {
        let cases: Vec<_> =
            outcomes.into_iter().map(|outcome| CaseResult::of(outcome, expectations)).collect();
        let summary = Summary::of(&cases);
        Self { format: FORMAT, suite, target, profile: None, summary, baseline: None, cases }
    }

    /// Whether every required case passed, as far as it was not expected to fail, and none passed that was.
    pub(crate) fn is_success(&self) -> bool {
        !self.cases.iter().any(CaseResult::is_against)
    }

    /// The cases by section, in the draft's order.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (&str, Vec<&CaseResult>)> {
        let mut sections: BTreeMap<(Vec<u32>, &str), Vec<&CaseResult>> = BTreeMap::new();
        for case in &self.cases {
            let section = case.section();
            sections.entry((place(section), section)).or_default().push(case);
        }
        sections.into_iter().map(|((_, section), cases)| (section, cases))
    }

    /// Writes the report to a file, or to standard output if the path is `-`.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        text.push('\n');
        if path == Path::new("-") {
            print(&text);
            return Ok(());
        }
        fs::write(path, text)
    }
}
