//! The room versions that this crate brings along.

use super::{
    Authorization, EventFormat, EventLimits, Hashing, HubSelection, Identifiers, Keep, OwnEvents,
    RedactionRules, RoomVersion, Stability,
};
use crate::id::RoomVersionId;

/// The room version of LM-04.
pub const STABLE: &str = "I.1";
/// The name under which drafts -02 to -04 are tried out (reading R09).
pub const UNSTABLE: &str = "org.matrix.i-d.ralston-mimi-linearized-matrix.02";
/// The name under which drafts -00 and -01 are tried out.
pub const DRAFT_01: &str = "org.matrix.i-d.ralston-mimi-linearized-matrix.00";
/// A version of this project's own, in which a room's hub can change.
pub const TRANSFER: &str = "org.mimi-interop.transfer.1";

/// What redaction keeps of one type's content.
type KeptContent = (&'static str, Keep);

/// The fields that redaction keeps (LM-04 §8, and the same in the drafts before it).
const FIELDS: &[&str] = &[
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
];
const OF_CREATE: KeptContent = ("m.room.create", Keep::All);
const OF_MEMBER: KeptContent = ("m.room.member", Keep::Keys(&["membership"]));
const OF_JOIN_RULES: KeptContent = ("m.room.join_rules", Keep::Keys(&["join_rule"]));
const OF_POWER_LEVELS: KeptContent = (
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
);
const OF_VISIBILITY: KeptContent = ("m.room.history_visibility", Keep::Keys(&["history_visibility"]));
const OF_HUB: KeptContent = ("m.room.hub", Keep::Keys(&["hub_server"]));

/// LM-04 §8.
const LM_04_REDACTION: RedactionRules = RedactionRules {
    fields: FIELDS,
    content: &[OF_CREATE, OF_MEMBER, OF_JOIN_RULES, OF_POWER_LEVELS, OF_VISIBILITY],
};
/// The same with the name of the next hub, so that signatures and the event id cover it.
const TRANSFER_REDACTION: RedactionRules = RedactionRules {
    fields: FIELDS,
    content: &[OF_CREATE, OF_MEMBER, OF_JOIN_RULES, OF_POWER_LEVELS, OF_VISIBILITY, OF_HUB],
};

impl RoomVersion {
    /// The algorithms of LM-04 under a name. A version of one's own starts from these and changes fields.
    #[must_use]
    pub fn lm_04(id: RoomVersionId, stability: Stability) -> Self {
        Self {
            id,
            stability,
            limits: EventLimits { event: 65_536, kind: 255, state_key: 255 },
            format: EventFormat { own_events: OwnEvents::WithoutHub },
            identifiers: Identifiers { localpart_marks: "-.=_/+" },
            redaction: LM_04_REDACTION,
            hashing: Hashing::Sha256WithLpdu,
            authorization: Authorization::Lm04,
            hub_selection: HubSelection::Creator,
        }
    }

    /// The algorithms of drafts -00 and -01, under their name [`DRAFT_01`].
    ///
    /// They differ from LM-04 in three things:
    ///
    /// - An LPDU has no `hashes`, and the one content hash, `hashes.sha256`, is taken over the event without `hashes`.
    ///   The sender's signature therefore does not cover the content: a hub may change it unnoticed. For the same
    ///   reason two LPDUs that differ in content alone have one id, so a sender gives each its own
    ///   `origin_server_ts`.
    /// - Every event has `hub_server`, those of the hub's own users too.
    /// - A localpart has no `+`.
    ///
    /// Redaction, signing, ids and authorization are the same. The drafts state no bounds on the size of an event, its
    /// type or its state key; those of LM-04 hold here, which any event made by software for Matrix meets. They
    /// define no encryption either; what LM-04 §4 has is used.
    #[must_use]
    pub fn draft_01() -> Self {
        Self {
            format: EventFormat { own_events: OwnEvents::WithHub },
            identifiers: Identifiers { localpart_marks: "-.=_/" },
            hashing: Hashing::Sha256,
            ..Self::lm_04(name(DRAFT_01), Stability::Unstable)
        }
    }

    /// LM-04 with a hub that can change, under the name [`TRANSFER`] (reading R32).
    ///
    /// The hub is the server that the current `m.room.hub` names, and redaction keeps that name. See
    /// [`hub::transfer`](crate::hub::transfer).
    #[must_use]
    pub fn transfer() -> Self {
        Self {
            redaction: TRANSFER_REDACTION,
            hub_selection: HubSelection::StateEvent,
            ..Self::lm_04(name(TRANSFER), Stability::Unstable)
        }
    }
}

/// A name from this file.
#[expect(clippy::expect_used, reason = "the names are constants; a test parses them all")]
pub(super) fn name(text: &'static str) -> RoomVersionId {
    RoomVersionId::parse(text).expect("a constant room version")
}
