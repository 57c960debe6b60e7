//! Room versions with other limits, identifiers, hashes and redactions than LM-04's (LM-04 §3, §8, §9).

use mimi_linearized::id::RoomVersionId;
use mimi_linearized::version::{
    Hashing, HubSelection, Keep, OwnEvents, RoomVersion, RoomVersions, Stability, UNSTABLE,
};

use crate::mutant::{Fault, Mutant, mutant};

/// What redaction keeps of an event, without `field`.
fn without(version: &mut RoomVersion, field: &str) {
    let kept: Vec<_> = version.redaction.fields.iter().copied().filter(|kept| *kept != field).collect();
    // A handful of bytes for each mutant, as long as the program runs.
    version.redaction.fields = Box::leak(kept.into_boxed_slice());
}

/// Changes what redaction keeps of a type's content; `None` keeps nothing.
pub(super) fn keep(version: &mut RoomVersion, kind: &'static str, what: Option<Keep>) {
    let others = version.redaction.content.iter().copied().filter(|(other, _)| *other != kind);
    let kept: Vec<_> = others.chain(what.map(|what| (kind, what))).collect();
    version.redaction.content = Box::leak(kept.into_boxed_slice());
}

/// LM-04 under one more name.
fn one_more(versions: RoomVersions, name: &str) -> RoomVersions {
    let Ok(id) = RoomVersionId::parse(name) else { return versions };
    let more = versions.clone().with(RoomVersion::lm_04(id, Stability::Stable));
    more.unwrap_or(versions)
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "3.2.1/i2-is-supported",
        "a version that only looks like a known one is supported",
        &["LM-04/3.2.1/5", "LM-04/3.2.1/10"],
        Fault::Versions(|versions| one_more(versions, "I.2")),
    ),
    mutant(
        "3.2.1/other-default",
        "new rooms have another version than I.1",
        &["LM-04/3.2.1/4"],
        Fault::Versions(|versions| {
            let changed = versions.clone().with_default(UNSTABLE);
            changed.unwrap_or(versions)
        }),
    ),
    mutant(
        "3.3/no-plus",
        "a localpart may have no plus sign",
        &["LM-04/3.3/1"],
        Fault::Version(|version| version.identifiers.localpart_marks = "-.=_/"),
    ),
    mutant(
        "3.5/large-events",
        "events may be a byte larger",
        &["LM-04/3.5/25"],
        Fault::Version(|version| version.limits.event = 65_537),
    ),
    mutant(
        "3.5/small-events",
        "events have to be a byte smaller",
        &["LM-04/3.5/25"],
        Fault::Version(|version| version.limits.event = 65_535),
    ),
    mutant(
        "3.5/long-types",
        "types may have 256 characters",
        &["LM-04/3.5/5"],
        Fault::Version(|version| version.limits.kind = 256),
    ),
    mutant(
        "3.5/short-types",
        "types have at most 254 characters",
        &["LM-04/3.5/5"],
        Fault::Version(|version| version.limits.kind = 254),
    ),
    mutant(
        "3.5/long-state-keys",
        "state keys may have 256 characters",
        &["LM-04/3.5/7"],
        Fault::Version(|version| version.limits.state_key = 256),
    ),
    mutant(
        "3.5/short-state-keys",
        "state keys have at most 254 characters",
        &["LM-04/3.5/7"],
        Fault::Version(|version| version.limits.state_key = 254),
    ),
    mutant(
        "3.5/own-events-name-the-hub",
        "the hub's own events name it",
        &["R04"],
        Fault::Version(|version| version.format.own_events = OwnEvents::WithHub),
    ),
    mutant(
        "9.1/no-lpdu-hash",
        "LPDUs have no hash",
        &["LM-04/3.5/16", "LM-04/9.1/3"],
        Fault::Version(|version| version.hashing = Hashing::Sha256),
    ),
    mutant(
        "11/hub-can-change",
        "the hub is whom m.room.hub names",
        &["LM-04/11/1", "R16"],
        Fault::Version(|version| version.hub_selection = HubSelection::StateEvent),
    ),
    mutant(
        "8/hashes-redacted",
        "redaction takes `hashes` away",
        &["LM-04/8/1", "LM-04/9.2/3"],
        Fault::Version(|version| without(version, "hashes")),
    ),
    mutant(
        "8/timestamp-redacted",
        "redaction takes `origin_server_ts` away",
        &["LM-04/8/1", "LM-04/3.5/23", "LM-04/9.2/1"],
        Fault::Version(|version| without(version, "origin_server_ts")),
    ),
    mutant(
        "8/state-key-redacted",
        "redaction takes `state_key` away",
        &["LM-04/8/1"],
        Fault::Version(|version| without(version, "state_key")),
    ),
    mutant(
        "8/prev-events-redacted",
        "redaction takes `prev_events` away",
        &["LM-04/8/1"],
        Fault::Version(|version| without(version, "prev_events")),
    ),
    mutant(
        "8/auth-events-redacted",
        "redaction takes `auth_events` away",
        &["LM-04/8/1"],
        Fault::Version(|version| without(version, "auth_events")),
    ),
    mutant(
        "8/hub-server-redacted",
        "redaction takes `hub_server` away",
        &["LM-04/8/1"],
        Fault::Version(|version| without(version, "hub_server")),
    ),
    mutant(
        "8/messages-kept",
        "redaction keeps the content of messages",
        &["LM-04/8/2", "LM-04/6.3/6"],
        Fault::Version(|version| keep(version, "m.room.message", Some(Keep::All))),
    ),
    mutant(
        "8/commits-kept",
        "redaction keeps the content of commits",
        &["LM-04/8/2"],
        Fault::Version(|version| keep(version, "m.mls.commit", Some(Keep::All))),
    ),
    mutant(
        "8/redactions-kept",
        "redaction keeps what a redaction names",
        &["R06"],
        Fault::Version(|version| keep(version, "m.room.redaction", Some(Keep::Keys(&["redacts"])))),
    ),
    mutant(
        "8/create-redacted",
        "redaction keeps only the version of a create event",
        &["LM-04/8/3"],
        Fault::Version(|version| keep(version, "m.room.create", Some(Keep::Keys(&["room_version"])))),
    ),
    mutant(
        "8/members-kept",
        "redaction keeps all of a membership's content",
        &["LM-04/8/4"],
        Fault::Version(|version| keep(version, "m.room.member", Some(Keep::All))),
    ),
    mutant(
        "8/join-rules-kept",
        "redaction keeps all of join rules",
        &["LM-04/8/5"],
        Fault::Version(|version| keep(version, "m.room.join_rules", Some(Keep::All))),
    ),
    mutant(
        "8/join-rules-redacted",
        "redaction keeps nothing of join rules",
        &["LM-04/8/5"],
        Fault::Version(|version| keep(version, "m.room.join_rules", None)),
    ),
    mutant(
        "8/levels-kept",
        "redaction keeps all of power levels",
        &["LM-04/8/6"],
        Fault::Version(|version| keep(version, "m.room.power_levels", Some(Keep::All))),
    ),
    mutant(
        "8/invite-level-redacted",
        "redaction takes the level to invite away, as in rooms of Matrix",
        &["LM-04/8/6"],
        Fault::Version(|version| {
            keep(
                version,
                "m.room.power_levels",
                Some(Keep::Keys(&[
                    "ban",
                    "events",
                    "events_default",
                    "kick",
                    "redact",
                    "state_default",
                    "users",
                    "users_default",
                ])),
            );
        }),
    ),
    mutant(
        "8/visibility-kept",
        "redaction keeps all of the history visibility",
        &["LM-04/8/7"],
        Fault::Version(|version| keep(version, "m.room.history_visibility", Some(Keep::All))),
    ),
    mutant(
        "8/visibility-redacted",
        "redaction keeps nothing of the history visibility",
        &["LM-04/8/7"],
        Fault::Version(|version| keep(version, "m.room.history_visibility", None)),
    ),
];
