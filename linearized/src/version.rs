//! Room versions: which algorithms a room follows, as data (LM-04 §3.2.1).
//!
//! Nothing outside this module compares a version's name. Code asks a [`RoomVersion`] what to do.

use std::sync::Arc;

use crate::id::RoomVersionId;

/// Whether a version is meant for production (LM-04 §3.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// Meant for production.
    Stable,
    /// For trials.
    Unstable,
}

/// Bounds on an event's fields, in bytes (LM-04 §3.5; "characters" are bytes, reading R07).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLimits {
    /// The whole event in canonical JSON, signatures included.
    pub event: usize,
    /// `type`.
    pub kind: usize,
    /// `state_key`.
    pub state_key: usize,
}

/// What redaction keeps of an event's `content`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Everything.
    All,
    /// These keys, with all that is below them.
    Keys(&'static [&'static str]),
}

/// What redaction keeps of an event (LM-04 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedactionRules {
    /// The fields of the event that stay.
    pub fields: &'static [&'static str],
    /// What stays of `content`, by event type; of every other type, nothing.
    pub content: &'static [(&'static str, Keep)],
}

/// How an event's content hashes are made (LM-04 §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hashing {
    /// SHA-256; an LPDU has a hash of its own under `hashes.lpdu`.
    Sha256WithLpdu,
}

/// Which authorization rules hold (LM-04 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authorization {
    /// The rules of LM-04 §5.2.3.
    Lm04,
}

/// How a room's hub is found (LM-04 §11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubSelection {
    /// The server of the sender of `m.room.create`, for the room's whole life (reading R16).
    Creator,
}

/// A room version: a name and the algorithms it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomVersion {
    /// Its name.
    pub id: RoomVersionId,
    /// Whether it is meant for production.
    pub stability: Stability,
    /// Bounds on events.
    pub limits: EventLimits,
    /// The redaction algorithm.
    pub redaction: RedactionRules,
    /// The content hashes.
    pub hashing: Hashing,
    /// The authorization rules.
    pub authorization: Authorization,
    /// How the hub is found.
    pub hub_selection: HubSelection,
}

/// LM-04 §8.
const LM_04_REDACTION: RedactionRules = RedactionRules {
    fields: &[
        "type",
        "room_id",
        "sender",
        "state_key",
        "content",
        "origin_server_ts",
        "hashes",
        "signatures",
        "prev_events",
        "auth_events",
        "hub_server",
    ],
    content: &[
        ("m.room.create", Keep::All),
        ("m.room.member", Keep::Keys(&["membership"])),
        ("m.room.join_rules", Keep::Keys(&["join_rule"])),
        (
            "m.room.power_levels",
            Keep::Keys(&[
                "ban",
                "events",
                "events_default",
                "kick",
                "redact",
                "state_default",
                "users",
                "users_default",
                "invite",
            ]),
        ),
        ("m.room.history_visibility", Keep::Keys(&["history_visibility"])),
    ],
};

impl RoomVersion {
    /// The algorithms of LM-04 under a name.
    fn lm_04(id: RoomVersionId, stability: Stability) -> Self {
        Self {
            id,
            stability,
            limits: EventLimits { event: 65_536, kind: 255, state_key: 255 },
            redaction: LM_04_REDACTION,
            hashing: Hashing::Sha256WithLpdu,
            authorization: Authorization::Lm04,
            hub_selection: HubSelection::Creator,
        }
    }
}

/// The room versions that a server implements.
#[derive(Debug, Clone)]
pub struct RoomVersions {
    versions: Vec<Arc<RoomVersion>>,
    default: Arc<RoomVersion>,
}

impl RoomVersions {
    /// `I.1`, which new rooms use, and its unstable name (reading R09).
    ///
    /// # Panics
    /// Never: the names are constants of the right form.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the names are constants; a test parses them")]
    pub fn lm_04() -> Self {
        let id = |text| RoomVersionId::parse(text).expect("a constant room version");
        let default = Arc::new(RoomVersion::lm_04(id("I.1"), Stability::Stable));
        let unstable = Arc::new(RoomVersion::lm_04(
            id("org.matrix.i-d.ralston-mimi-linearized-matrix.02"),
            Stability::Unstable,
        ));
        Self { versions: vec![Arc::clone(&default), unstable], default }
    }

    /// The version with this name, if it is implemented.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<RoomVersion>> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// The version that new rooms use unless told otherwise.
    #[must_use]
    pub fn default_version(&self) -> &Arc<RoomVersion> {
        &self.default
    }

    /// The names of all versions, the default first.
    pub fn ids(&self) -> impl Iterator<Item = &RoomVersionId> {
        self.versions.iter().map(|version| &version.id)
    }
}

impl Default for RoomVersions {
    fn default() -> Self {
        Self::lm_04()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_have_the_same_algorithms() {
        let versions = RoomVersions::lm_04();
        let stable = versions.get("I.1").unwrap();
        let unstable = versions.get("org.matrix.i-d.ralston-mimi-linearized-matrix.02").unwrap();
        assert_eq!(versions.default_version(), stable);
        assert_eq!((stable.stability, unstable.stability), (Stability::Stable, Stability::Unstable));
        assert_eq!(
            RoomVersion { id: stable.id.clone(), stability: stable.stability, ..(**unstable).clone() },
            **stable
        );
        assert!(versions.get("11").is_none());
    }
}
