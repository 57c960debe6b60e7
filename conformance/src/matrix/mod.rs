//! The matrix of implementations: each server as the hub of a room with each other one as a participant.

mod config;
mod html;
mod pair;
mod server;
mod table;

pub(crate) use config::{Config, ServerConfig};
pub(crate) use html::html;
pub(crate) use pair::try_pair;
pub(crate) use server::{Running, Start};
pub(crate) use table::table;

use serde::Serialize;

/// The version of the format: the next one is another format, to which members were not only added.
pub(crate) const FORMAT: u32 = 1;

/// Every pair in every room version.
#[derive(Debug, Serialize)]
pub(crate) struct Matrix {
    /// [`FORMAT`]
    pub(crate) format: u32,
    /// The suite's version.
    pub(crate) suite: String,
    /// When it started, in RFC 3339.
    pub(crate) started: String,
    /// The seed of the suite's random choices.
    pub(crate) seed: u64,
    /// The servers, by what they are called in the table.
    pub(crate) servers: Vec<String>,
    /// The room versions.
    pub(crate) room_versions: Vec<String>,
    /// A cell for each hub, participant and room version.
    pub(crate) cells: Vec<Cell>,
}

/// What came of a pair.
#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    /// The server that is the hub.
    pub(crate) hub: String,
    /// The server that participates.
    pub(crate) participant: String,
    /// The version of the room.
    pub(crate) room_version: String,
    /// In one word.
    pub(crate) verdict: Verdict,
    /// What was tried, in order; the first that did not work is the last.
    pub(crate) steps: Vec<Step>,
    /// Why nothing was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// What came of a pair, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Everything works.
    Pass,
    /// Something works: they share a room, but not everything in it.
    Partly,
    /// They share no room.
    Fail,
    /// There are no two such servers to try.
    Skip,
}

impl Verdict {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Partly => "partly",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }

    /// The sign that stands for it.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Pass => "✓",
            Self::Partly => "◐",
            Self::Fail => "✕",
            Self::Skip => "–",
        }
    }
}

/// Something that was tried.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    /// What.
    pub(crate) name: &'static str,
    /// How long it took.
    pub(crate) duration_ms: u64,
    /// Why it did not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl Matrix {
    /// Whether every pair that was tried works.
    pub(crate) fn is_success(&self) -> bool {
        self.cells.iter().all(|cell| matches!(cell.verdict, Verdict::Pass | Verdict::Skip))
    }

    /// The cell of a pair.
    pub(crate) fn cell(&self, hub: &str, participant: &str, room_version: &str) -> Option<&Cell> {
        let is = |cell: &&Cell| {
            cell.hub == hub && cell.participant == participant && cell.room_version == room_version
        };
        self.cells.iter().find(is)
    }
}
