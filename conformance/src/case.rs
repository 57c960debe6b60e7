//! Cases: what is tried, what it shows, and what came of it.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::catalogue::Level;
use crate::context::Context;
use crate::evidence::Kept;

/// Something a case needs of the target. Without it the case is skipped, and says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The target can be driven: rooms created, events sent.
    Control,
    /// The target asks the suite's name server, so that the suite decides what a name leads to.
    Names,
}

/// What the target is in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The hub of a room.
    Hub,
    /// A participant in a room whose hub the suite plays.
    Participant,
    /// A server, whatever its rooms are.
    Server,
}

impl Role {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Participant => "participant",
            Self::Server => "server",
        }
    }
}

/// A case while it runs.
pub(crate) type Running<'c> = Pin<Box<dyn Future<Output = Result<(), Finding>> + Send + 'c>>;

/// A case.
pub(crate) struct Case {
    /// Its id: the section it is about, and a name. Ids never change.
    pub(crate) id: &'static str,
    /// What the target should do, in a few words.
    pub(crate) title: &'static str,
    /// How much it binds: a MUST that is not met fails, a SHOULD warns.
    pub(crate) level: Level,
    /// What the target is.
    pub(crate) role: Role,
    /// The requirements and readings it shows.
    pub(crate) covers: &'static [&'static str],
    /// What it needs of the target.
    pub(crate) needs: &'static [Need],
    /// Whether it runs after all others and by itself, because it gets in the way of whatever runs beside it.
    pub(crate) alone: bool,
    /// What it does.
    pub(crate) run: for<'c> fn(&'c Context) -> Running<'c>,
}

impl Case {
    /// The same case, run after all others and by itself.
    pub(crate) const fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// The section of the draft it is about.
    pub(crate) fn section(&self) -> &'static str {
        self.id.split_once('/').map_or(self.id, |(section, _)| section)
    }
}

/// Where a section is in the draft: `12.10` is after `12.9`.
pub(crate) fn place(section: &str) -> Vec<u32> {
    section.split('.').map(|part| part.parse().unwrap_or(u32::MAX)).collect()
}

/// Why a case did not simply pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Finding {
    /// The target does not do what it should.
    #[error("{0}")]
    Fault(String),
    /// The target reads the draft otherwise than the suite does, and may.
    #[error("{reading}: {what}")]
    Acceptable {
        /// The reading.
        reading: &'static str,
        /// What the target does.
        what: String,
    },
    /// What the case is about did not come about, so that there is nothing to judge.
    #[error("{0}")]
    Untried(String),
    /// The suite itself could not go on.
    #[error("the suite could not go on: {0}")]
    Suite(String),
}

/// What a value is, in words that a report may have: as JSON, and `nothing` for what is not there.
pub(crate) fn said<T: Serialize + ?Sized>(value: &T) -> String {
    match serde_json::to_string(value) {
        Ok(text) if text == "null" => "nothing".to_owned(),
        Ok(text) => text,
        Err(_) => "something that JSON does not have".to_owned(),
    }
}

/// A finding against the target.
pub(crate) fn fault(what: impl Into<String>) -> Finding {
    Finding::Fault(what.into())
}

/// Checks something that the target has to make true.
macro_rules! check {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err($crate::case::fault(format!($($what)+)));
        }
    };
}
pub(crate) use check;

/// A case that needs nothing but federation.
macro_rules! case {
    ($level:ident, $role:ident, $id:literal, $title:literal, [$($covers:literal),+ $(,)?], $run:path $(,)?) => {
        $crate::case::Case {
            id: $id,
            title: $title,
            level: $crate::catalogue::Level::$level,
            role: $crate::case::Role::$role,
            covers: &[$($covers),+],
            needs: &[],
            alone: false,
            run: |ctx| Box::pin($run(ctx)),
        }
    };
}
pub(crate) use case;

/// A case that drives the target through the control API.
macro_rules! driven_case {
    ($level:ident, $role:ident, $id:literal, $title:literal, [$($covers:literal),+ $(,)?], $run:path $(,)?) => {
        $crate::case::Case {
            id: $id,
            title: $title,
            level: $crate::catalogue::Level::$level,
            role: $crate::case::Role::$role,
            covers: &[$($covers),+],
            needs: &[$crate::case::Need::Control],
            alone: false,
            run: |ctx| Box::pin($run(ctx)),
        }
    };
}
pub(crate) use driven_case;

/// A case about what a name leads to, in which the target asks the suite's name server, and whatever else it needs.
macro_rules! named_case {
    ($level:ident, [$($need:ident),*], $id:literal, $title:literal, [$($covers:literal),+ $(,)?], $run:path $(,)?) => {
        $crate::case::Case {
            id: $id,
            title: $title,
            level: $crate::catalogue::Level::$level,
            role: $crate::case::Role::Server,
            covers: &[$($covers),+],
            needs: &[$crate::case::Need::Names $(, $crate::case::Need::$need)*],
            alone: false,
            run: |ctx| Box::pin($run(ctx)),
        }
    };
}
pub(crate) use named_case;

/// What came of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The target does what it should.
    Pass,
    /// It does not do what it must.
    Fail,
    /// It does not do what it should.
    Warn,
    /// It reads the draft otherwise, and may.
    Acceptable,
    /// The case was not tried, or came to nothing that could be judged, for a declared reason.
    Skip,
}

impl Verdict {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Acceptable => "acceptable",
            Self::Skip => "skip",
        }
    }

    /// What a finding means for a case of this level, if what binds as much as `counts` has to be met.
    pub(crate) fn of(result: &Result<(), Finding>, level: Level, counts: Level) -> Self {
        match result {
            Ok(()) => Self::Pass,
            Err(Finding::Acceptable { .. }) => Self::Acceptable,
            Err(Finding::Untried(_)) => Self::Skip,
            Err(Finding::Fault(_)) if level > counts => Self::Warn,
            Err(Finding::Fault(_) | Finding::Suite(_)) => Self::Fail,
        }
    }
}

/// A case with its verdict.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The case's id.
    pub(crate) id: &'static str,
    /// The case's title.
    pub(crate) title: &'static str,
    /// What came of it.
    pub(crate) verdict: Verdict,
    /// How much it binds.
    pub(crate) level: Level,
    /// What the target is in it.
    pub(crate) role: Role,
    /// What it shows.
    pub(crate) covers: &'static [&'static str],
    /// How long it took.
    pub(crate) duration_ms: u64,
    /// The MLS implementations of the suite's devices in this case, in the order in which the devices are made: once for
    /// each time the case was tried.
    pub(crate) mls: Vec<Vec<&'static str>>,
    /// Why the verdict is not simply a pass.
    pub(crate) reason: Option<String>,
    /// The requests and answers that show it.
    pub(crate) evidence: Vec<Kept>,
}
