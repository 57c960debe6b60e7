//! Room versions: which algorithms a room follows, as data (LM-04 §3.2.1).
//!
//! Nothing outside this module compares a version's name. Code asks a [`RoomVersion`] what to do.
//!
//! | version | what it is |
//! |---|---|
//! | `I.1` and [`UNSTABLE`] | the algorithms of LM-04 |
//! | [`DRAFT_01`] | those of drafts -00 and -01: see [`RoomVersion::draft_01`] |
//! | [`TRANSFER`] | those of LM-04 with a hub that can change: see [`RoomVersion::transfer`] |
//!
//! A server implements the versions of a [`RoomVersions`]. It may have versions of its own:
//!
//! ```
//! use mimi_linearized::id::RoomVersionId;
//! use mimi_linearized::version::{EventLimits, RoomVersion, RoomVersions, Stability};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut small = RoomVersion::lm_04(RoomVersionId::parse("org.example.small")?, Stability::Unstable);
//! small.limits = EventLimits { event: 4_096, ..small.limits };
//! let versions = RoomVersions::lm_04().with(small)?;
//! assert!(versions.get("org.example.small").is_some());
//! assert_eq!(versions.default_version().id, "I.1");
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "mutants")]
mod faults;
mod known;
mod rules;
mod set;

#[cfg(feature = "mutants")]
pub use faults::{Faults, LevelFault};
pub use known::{DRAFT_01, STABLE, TRANSFER, UNSTABLE};
pub use rules::{
    Authorization, EventFormat, EventLimits, Hashing, HubSelection, Identifiers, Keep, OwnEvents,
    RedactionRules, Stability,
};
pub use set::{RoomVersions, VersionError};

use crate::id::RoomVersionId;

/// A room version: a name and the algorithms it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomVersion {
    /// Its name.
    pub id: RoomVersionId,
    /// Whether it is meant for production.
    pub stability: Stability,
    /// Bounds on events.
    pub limits: EventLimits,
    /// The fields of events.
    pub format: EventFormat,
    /// The identifiers in events.
    pub identifiers: Identifiers,
    /// The redaction algorithm.
    pub redaction: RedactionRules,
    /// The content hashes.
    pub hashing: Hashing,
    /// The authorization rules.
    pub authorization: Authorization,
    /// How the hub is found.
    pub hub_selection: HubSelection,
}

#[cfg(test)]
mod tests;
