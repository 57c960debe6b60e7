//! Faults of servers that are started with the settings of a profile.

use http::StatusCode;
use mimi_linearized::version::{Faults, Keep, LevelFault};
use serde_json::{Value as Json, json};
use toml::Value;

use super::versions::keep;
use crate::mutant::mending::Mending;
use crate::mutant::outbound::Fate;
use crate::mutant::profiles::OfProfile;
use crate::mutant::seen::{Answer, Asked, Sent, list, remove, set};
use crate::mutant::{Fault, Mutant};
use crate::profile::ServerSettings;

/// The type of the TI-Messenger's rooms.
const ROOM_TYPE: &str = "de.gematik.tim.roomtype.default.v1";
/// The state event with which a room of Tchap's says whom it is open to.
const ACCESS: &str = "im.vector.room.access_rules";

const fn fault(
    id: &'static str,
    says: &'static str,
    covers: &'static [&'static str],
    fault: Fault,
    red: &'static [&'static str],
) -> OfProfile {
    OfProfile { mutant: Mutant { id, says, covers, fault }, red }
}

/// Looks at no list of servers. What is asked of rooms stays.
fn open(settings: &mut ServerSettings) {
    if let Some(policy) = &mut settings.policy {
        policy.retain(|name, _| name == "rooms");
        policy.insert("mode".to_owned(), Value::from("open"));
    }
}

/// Changes what is asked of rooms; nothing is asked any more where `to` is none.
fn ask_of_rooms(settings: &mut ServerSettings, name: &str, to: Option<Value>) {
    let rooms = settings.policy.as_mut().and_then(|policy| policy.get_mut("rooms")?.as_table_mut());
    if let Some(rooms) = rooms {
        match to {
            Some(to) => rooms.insert(name.to_owned(), to),
            None => rooms.remove(name),
        };
    }
}

/// Answers otherwise where it would refuse.
fn refuse_otherwise(asked: &Asked, answer: &mut Answer, endpoints: &[&str], to: (StatusCode, &Json)) {
    if asked.is(endpoints) && answer.status == StatusCode::FORBIDDEN {
        answer.status = to.0;
        answer.set(to.1);
    }
}

/// Serves whatever is asked for, at an endpoint for media.
fn serve_media(asked: &Asked, answer: &mut Answer) {
    let is_media = asked.target.contains("/media/") && !asked.target.ends_with("/media");
    if is_media && !answer.status.is_success() {
        answer.status = StatusCode::OK;
        answer.set(&json!("whatever it is"));
    }
}

/// Changes what a user asks for as a room is created.
fn create(sent: &mut Sent, change: impl FnOnce(&mut Json)) {
    if sent.is(&["rooms"]) {
        change(&mut sent.body);
    }
}

/// Takes the rule that a room is created with for another.
fn access_rule(sent: &mut Sent, from: &str, to: &str) {
    create(sent, |body| {
        for event in list(body, "initial_state").into_iter().flatten() {
            if event.get("type") == Some(&json!(ACCESS))
                && event.pointer("/content/rule") == Some(&json!(from))
            {
                set(event, "content", json!({"rule": to}));
            }
        }
    });
}

/// Changes what a user asks for as to who may invite them.
fn permissions(sent: &mut Sent, change: impl FnOnce(&mut Json)) {
    if sent.is(&["permissions"]) {
        change(&mut sent.body);
    }
}

/// Whoever is joined sets state, whatever the room says.
const STATE_FOR_ALL: Fault = Fault::Rules(Faults {
    waived: &[],
    barred: &[],
    uncited: &[],
    levels: &[
        LevelFault::Ignored("events"),
        LevelFault::Ignored("state_default"),
        LevelFault::Assumed("state_default", 0),
    ],
});

pub(super) static MUTANTS: &[OfProfile] = &[
    fault(
        "closed-federation/list-not-read",
        "the list of servers is not looked at",
        &["PROFILE/closed-federation/1", "PROFILE/closed-federation/3", "PROFILE/closed-federation/4"],
        Fault::Profile(open),
        &[
            "closed-federation/outsider",
            "closed-federation/further-endpoints",
            "closed-federation/keys-of-outsiders",
            "closed-federation/notary-of-outsiders",
            "closed-federation/no-notary-is-asked",
            "closed-federation/nothing-leaks",
            "closed-federation/outsider-is-not-invited",
            "closed-federation/insider-invites-outsider",
            "closed-federation/outsider-does-not-join",
            "closed-federation/outsiders-room",
            "closed-federation/outsiders-invite",
            "closed-federation/outsider-in-a-room",
        ],
    ),
    fault(
        "closed-federation/nobody-listed",
        "the list is read as one that has nobody",
        &["PROFILE/closed-federation/11"],
        Fault::Profile(|settings| {
            if let Some(policy) = &mut settings.policy {
                policy.insert("servers".to_owned(), Value::from(vec!["nobody.example"]));
            }
        }),
        &["closed-federation/insiders-are-served"],
    ),
    fault(
        "closed-federation/history-says-not-found",
        "servers outside are told that there is no history rather than that it is not for them",
        &["PROFILE/closed-federation/1"],
        Fault::Answers(|asked, answer| {
            let error = json!({"errcode": "M_NOT_FOUND", "error": "There is no such room."});
            refuse_otherwise(asked, answer, &["backfill"], (StatusCode::NOT_FOUND, &error));
        }),
        &["closed-federation/outsider", "closed-federation/nothing-leaks"],
    ),
    fault(
        "closed-federation/media-for-all",
        "endpoints for media are open to servers outside",
        &["PROFILE/closed-federation/1"],
        Fault::Answers(serve_media),
        &["closed-federation/further-endpoints"],
    ),
    fault(
        "closed-federation/tells-what-is-not-there",
        "servers outside are told which rooms there are not",
        &["PROFILE/closed-federation/2"],
        Fault::Answers(|asked, answer| {
            if asked.target.contains("none") {
                let error = json!({"errcode": "M_NOT_FOUND", "error": "There is no such room."});
                let all = ["event", "state", "state_ids", "backfill", "make_join", "make_knock"];
                refuse_otherwise(asked, answer, &all, (StatusCode::NOT_FOUND, &error));
            }
        }),
        &["closed-federation/nothing-leaks"],
    ),
    fault(
        "ti-messenger/list-not-read",
        "the signed list is not looked at",
        &["PROFILE/ti-messenger/1", "PROFILE/ti-messenger/2"],
        Fault::Profile(open),
        &[
            "ti-messenger/not-on-the-list",
            "ti-messenger/keys-of-unlisted",
            "ti-messenger/invite-by-unlisted",
            "ti-messenger/invite-of-unlisted",
            "ti-messenger/participant-invites-unlisted",
        ],
    ),
    fault(
        "ti-messenger/blocking-forgotten",
        "who blocks everybody is invited all the same",
        &["PROFILE/ti-messenger/3"],
        Fault::Does(|sent| permissions(sent, |body| set(body, "default", json!("allow")))),
        &["ti-messenger/block-all", "ti-messenger/block-all-but"],
    ),
    fault(
        "ti-messenger/blocking-stays",
        "who has ever blocked everybody is invited by nobody",
        &["PROFILE/ti-messenger/3"],
        Fault::Does(|sent| permissions(sent, |body| set(body, "default", json!("block")))),
        &["ti-messenger/block-all", "ti-messenger/allow-all-but"],
    ),
    fault(
        "ti-messenger/servers-not-excepted",
        "users can be excepted, and servers cannot",
        &["PROFILE/ti-messenger/4"],
        Fault::Does(|sent| {
            permissions(sent, |body| {
                if let Some(except) = body.get_mut("except") {
                    remove(except, "servers");
                }
            });
        }),
        &["ti-messenger/block-all-but", "ti-messenger/allow-all-but"],
    ),
    fault(
        "ti-messenger/users-not-excepted",
        "servers can be excepted, and users cannot",
        &["PROFILE/ti-messenger/4"],
        Fault::Does(|sent| {
            permissions(sent, |body| {
                if let Some(except) = body.get_mut("except") {
                    remove(except, "users");
                }
            });
        }),
        &["ti-messenger/block-all-but", "ti-messenger/allow-all-but"],
    ),
    fault(
        "ti-messenger/another-type",
        "a room is created with another type than the one that is asked for",
        &["PROFILE/ti-messenger/5"],
        Fault::Does(|sent| {
            create(sent, |body| {
                if body.get("type").is_some() {
                    set(body, "type", json!("m.space"));
                }
            });
        }),
        &["ti-messenger/room-type"],
    ),
    fault(
        "ti-messenger/type-not-shown",
        "who is invited is not shown the type of the room",
        &["PROFILE/ti-messenger/5"],
        Fault::Sends(|sent| {
            if sent.is(&["invite"]) {
                for event in sent.list("invite_room_state").into_iter().flatten() {
                    if let Some(content) = event.get_mut("content") {
                        remove(content, "type");
                    }
                }
            }
            Fate::Goes
        }),
        &["ti-messenger/room-type"],
    ),
    fault(
        "ti-messenger/types-of-others-refused",
        "a participant takes part in no room that has a type",
        &["PROFILE/ti-messenger/5"],
        Fault::Reads(|asked, answer| {
            if asked.is(&["send_join"]) && String::from_utf8_lossy(&answer.body).contains(ROOM_TYPE) {
                answer.status = StatusCode::NOT_FOUND;
                answer.set(&json!({"errcode": "M_NOT_FOUND", "error": "No such room."}));
            }
        }),
        &["ti-messenger/room-type-of-others"],
    ),
    fault(
        "ti-messenger/created-bare",
        "a room is created without the state that is asked for",
        &["PROFILE/ti-messenger/6"],
        Fault::Does(|sent| create(sent, |body| remove(body, "initial_state"))),
        &["ti-messenger/name-and-topic"],
    ),
    fault(
        "ti-messenger/named-by-anybody",
        "whoever is in a room sets its name and topic",
        &["PROFILE/ti-messenger/6"],
        STATE_FOR_ALL,
        &["ti-messenger/name-and-topic"],
    ),
    fault(
        "ti-messenger/names-not-redacted",
        "ids and signatures cover the name and topic of a room",
        &["PROFILE/ti-messenger/7"],
        Fault::Version(|version| {
            keep(version, "de.gematik.tim.room.name", Some(Keep::All));
            keep(version, "de.gematik.tim.room.topic", Some(Keep::All));
        }),
        &["ti-messenger/redaction"],
    ),
    fault(
        "ti-messenger/history-shared",
        "a new room shows its history to whoever joins",
        &["PROFILE/ti-messenger/8"],
        Fault::Profile(|settings| {
            ask_of_rooms(settings, "history-visibility", Some(Value::from("shared")));
        }),
        &["ti-messenger/history"],
    ),
    fault(
        "bw-messenger/unencrypted",
        "rooms that are not encrypted are created",
        &["PROFILE/bw-messenger/1"],
        Fault::Profile(|settings| ask_of_rooms(settings, "encrypted", None)),
        &["bw-messenger/unencrypted-room"],
    ),
    fault(
        "bw-messenger/previews",
        "who is not in a room is shown it",
        &["PROFILE/bw-messenger/3"],
        Fault::Mends(Mending::Outsiders),
        &["bw-messenger/no-preview"],
    ),
    fault(
        "bw-messenger/no-scanner",
        "nobody looks at media",
        &["PROFILE/bw-messenger/4"],
        Fault::Profile(|settings| settings.media_scanner = false),
        &["bw-messenger/scanned-for-others", "bw-messenger/scanned-for-users"],
    ),
    fault(
        "bw-messenger/others-get-everything",
        "media are served to other servers whatever was found in them",
        &["PROFILE/bw-messenger/4"],
        Fault::Answers(serve_media),
        &["bw-messenger/scanned-for-others"],
    ),
    fault(
        "bw-messenger/users-get-everything",
        "media are served to users whatever was found in them",
        &["PROFILE/bw-messenger/4"],
        Fault::Shows(serve_media),
        &["bw-messenger/scanned-for-users"],
    ),
    fault(
        "bw-messenger/acl-not-read",
        "what a room says of servers in `m.room.server_acl` is not looked at",
        &[
            "PROFILE/bw-messenger/5",
            "PROFILE/bw-messenger/6",
            "PROFILE/bw-messenger/7",
            "PROFILE/bw-messenger/8",
        ],
        Fault::Profile(|settings| ask_of_rooms(settings, "server-acl", None)),
        &[
            "bw-messenger/acl-speaking",
            "bw-messenger/acl-reading",
            "bw-messenger/acl-joining",
            "bw-messenger/acl-lifted",
        ],
    ),
    fault(
        "bw-messenger/denied-servers-read",
        "servers that a room denies speak no more in it, and read on",
        &["PROFILE/bw-messenger/6"],
        Fault::Mends(Mending::Outsiders),
        &["bw-messenger/acl-reading"],
    ),
    fault(
        "bw-messenger/acl-by-anybody",
        "whoever is in a room sets its `m.room.server_acl`",
        &["PROFILE/bw-messenger/9"],
        STATE_FOR_ALL,
        &["bw-messenger/acl-by-others"],
    ),
    fault(
        "tchap/rules-not-known",
        "`im.vector.room.access_rules` is state like any other",
        &["PROFILE/tchap/1", "PROFILE/tchap/2", "PROFILE/tchap/4", "PROFILE/tchap/6", "PROFILE/tchap/8"],
        Fault::Profile(|settings| ask_of_rooms(settings, "external-servers", None)),
        &[
            "tchap/new-rooms-are-restricted",
            "tchap/restricted-invite",
            "tchap/restricted-join",
            "tchap/unrestricted-join",
            "tchap/levels",
            "tchap/direct-has-two",
            "tchap/direct-is-bare",
            "tchap/changes",
        ],
    ),
    fault(
        "tchap/nobody-is-external",
        "external servers are taken for those of the federation",
        &["PROFILE/tchap/2", "PROFILE/tchap/4", "PROFILE/tchap/5"],
        Fault::Profile(|settings| {
            ask_of_rooms(settings, "external-servers", Some(Value::from(vec!["nobody.example"])));
        }),
        &["tchap/restricted-invite", "tchap/unrestricted-join", "tchap/levels"],
    ),
    fault(
        "tchap/unrestricted-is-restricted",
        "an unrestricted room is created as a restricted one",
        &["PROFILE/tchap/3"],
        Fault::Does(|sent| access_rule(sent, "unrestricted", "restricted")),
        &["tchap/unrestricted-invite"],
    ),
    fault(
        "tchap/direct-is-unrestricted",
        "a direct room is created as an unrestricted one",
        &["PROFILE/tchap/6", "PROFILE/tchap/7"],
        Fault::Does(|sent| access_rule(sent, "direct", "unrestricted")),
        &["tchap/direct-has-two", "tchap/direct-is-bare"],
    ),
];
