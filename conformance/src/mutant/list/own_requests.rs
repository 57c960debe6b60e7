//! A server's own requests made wrongly (LM-04 §12.2.1, §12.4, §12.7).

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::sends::{edit_pdus, server_of};
use crate::mutant::outbound::Fate;
use crate::mutant::seen::{Sent, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

/// Changes the `Authorization` headers.
fn edit_header(sent: &mut Sent, change: impl Fn(&str) -> String) -> Fate {
    let old = sent.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(Ok(new)) = old.map(|old| HeaderValue::from_str(&change(old))) {
        sent.headers.insert(AUTHORIZATION, new);
    }
    Fate::Goes
}

fn edit_invite(sent: &mut Sent, change: impl FnOnce(&mut Value)) -> Fate {
    if sent.is(&["invite"]) {
        change(&mut sent.body);
    }
    Fate::Goes
}

/// Whose keys each mutant has fetched.
static FETCHED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.2.1/lists-as-bodies",
        "requests have a list as their body",
        &["LM-04/12.2.1/1"],
        Fault::Sends(|sent| {
            if sent.is(&["claim", "send_join", "send_leave", "send_knock", "invite"]) {
                sent.body = json!([sent.body.take()]);
            }
            Fate::Goes
        }),
    ),
    mutant(
        "12.2.1/own-requests-say-nothing",
        "the server's requests do not say that they are JSON",
        &["LM-04/12.2.1/2"],
        Fault::Sends(|sent| {
            sent.headers.remove(CONTENT_TYPE);
            Fate::Goes
        }),
    ),
    mutant(
        "12.4/own-requests-not-signed",
        "the server does not sign its requests",
        &["LM-04/12.4/7"],
        Fault::Sends(|sent| {
            sent.headers.remove(AUTHORIZATION);
            Fate::Goes
        }),
    ),
    mutant(
        "12.4/own-requests-without-destination",
        "the server does not say whom its requests are for",
        &["LM-04/12.4/14"],
        Fault::Sends(|sent| {
            edit_header(sent, |header| {
                let parameters = header.split_once(' ').map_or("", |(_, parameters)| parameters);
                let kept: Vec<&str> =
                    parameters.split(',').filter(|pair| !pair.trim().starts_with("destination")).collect();
                format!("X-Matrix {}", kept.join(","))
            })
        }),
    ),
    mutant(
        "12.4/own-requests-of-another-key",
        "the server's requests name another key",
        &["LM-04/12.4/15"],
        Fault::Sends(|sent| edit_header(sent, |header| header.replace("ed25519:", "ed25519:x"))),
    ),
    mutant(
        "12.4/own-requests-of-another-scheme",
        "the server's requests use another scheme",
        &["LM-04/12.4/1"],
        Fault::Sends(|sent| edit_header(sent, |header| header.replace("X-Matrix", "Bearer"))),
    ),
    mutant(
        "3.2.1/no-versions-named",
        "the server names no room version when it asks for a template",
        &["LM-04/3.2.1/3", "LM-04/12.7.3.1/1"],
        Fault::Sends(|sent| {
            if sent.is(&["make_join", "make_knock"])
                && let Some((path, _)) = sent.target.split_once('?')
            {
                sent.target = path.to_owned();
            }
            Fate::Goes
        }),
    ),
    mutant(
        "12.7.1/join-by-put",
        "the server sends its join with another method",
        &["LM-04/12.2.3/2"],
        Fault::Sends(|sent| {
            if sent.is(&["send_join"]) {
                sent.method = Method::PUT;
            }
            Fate::Goes
        }),
    ),
    mutant(
        "12.7.2.1/invite-without-version",
        "an invite does not say the room's version",
        &["LM-04/12.7.2.1/3"],
        Fault::Sends(|sent| edit_invite(sent, |body| remove(body, "room_version"))),
    ),
    mutant(
        "12.7.2.1/invite-of-wrong-version",
        "an invite names another room version",
        &["LM-04/12.7.2.1/3"],
        Fault::Sends(|sent| edit_invite(sent, |body| set(body, "room_version", json!("11")))),
    ),
    mutant(
        "12.7.2.1/invite-without-place",
        "an invite is sent without its place in the room",
        &["LM-04/12.7.2.1/7", "LM-04/12.7.2.1/10"],
        Fault::Sends(|sent| {
            edit_invite(sent, |body| {
                if let Some(event) = body.get_mut("event") {
                    remove(event, "auth_events");
                    remove(event, "prev_events");
                }
            })
        }),
    ),
    mutant(
        "12.7.2.1/invite-without-state",
        "an invite shows nothing of the room",
        &["LM-04/3.5.2.1/2"],
        Fault::Sends(|sent| edit_invite(sent, |body| set(body, "invite_room_state", json!([])))),
    ),
    mutant(
        "12.7.2.1/whole-events-as-state",
        "an invite shows more of the room's state than it should",
        &["LM-04/3.5.2.1/4", "LM-04/12.7.2.1/1"],
        Fault::Sends(|sent| {
            edit_invite(sent, |body| {
                if let Some(Value::Array(state)) = body.get_mut("invite_room_state") {
                    for event in state {
                        set(event, "origin_server_ts", json!(1));
                    }
                }
            })
        }),
    ),
    mutant(
        "12.7.2.1/signature-not-taken-over",
        "the signature of the invited user's server is lost",
        &["LM-04/12.7.2.1/17"],
        Fault::Sends(|sent| {
            let to = sent.to.to_string();
            edit_pdus(sent, |pdu| {
                let is_invite = pdu.pointer("/content/membership") == Some(&json!("invite"));
                let invited = server_of(pdu, "state_key").to_owned();
                if let Some(signatures) = pdu.get_mut("signatures").filter(|_| is_invite && invited != to) {
                    remove(signatures, &invited);
                }
            })
        }),
    ),
    mutant(
        "12.7.2.1/not-sent-on",
        "an invite is not sent to the invited user's server",
        &["LM-04/12.7.2.1/10"],
        Fault::Sends(|sent| if sent.is(&["invite"]) { Fate::IsLost } else { Fate::Goes }),
    ),
    mutant(
        "12.7.3.1/one-form",
        "a template under `event` is not understood",
        &["R22"],
        Fault::Reads(|asked, answer| {
            if asked.is(&["make_join"]) {
                answer.edit_ok(|value| remove(value, "event"));
            }
        }),
    ),
    mutant(
        "12.7.3.1/other-form",
        "a template at the top of the answer is not understood",
        &["LM-04/12.7.3.1/2"],
        Fault::Reads(|asked, answer| {
            if asked.is(&["make_join"]) {
                answer.edit_ok(|value| remove(value, "type"));
            }
        }),
    ),
    mutant(
        "12.7.2.2.1/any-version",
        "a template of any room version is completed",
        &["LM-04/12.7.2.2.1/7"],
        Fault::Reads(|asked, answer| {
            if asked.is(&["make_leave"]) {
                answer.edit_ok(|value| set(value, "room_version", json!("I.1")));
            }
        }),
    ),
    mutant(
        "12.7.2.2/invite-not-rejected",
        "the rejection of an invite does not get to the hub",
        &["LM-04/12.7.2.2/1"],
        Fault::Sends(|sent| if sent.is(&["send_leave"]) { Fate::IsLost } else { Fate::Goes }),
    ),
    mutant(
        "12.7.4/knock-not-sent",
        "a knock does not get to the hub",
        &["LM-04/12.7.4/1"],
        Fault::Sends(|sent| if sent.is(&["send_knock"]) { Fate::IsLost } else { Fate::Goes }),
    ),
    mutant(
        "12.10.1.1/owner-not-asked",
        "the owner of a device is not asked for it",
        &["LM-04/12.10.1.1/1"],
        Fault::Sends(|sent| if sent.is(&["device"]) { Fate::IsLost } else { Fate::Goes }),
    ),
    mutant(
        "12.10.3.1/owner-not-asked",
        "the owner of key packages is not asked for them",
        &["LM-04/12.10.3.1/1"],
        Fault::Sends(|sent| if sent.is(&["claim"]) { Fate::IsLost } else { Fate::Goes }),
    ),
    mutant(
        "12.5.1/no-unstable-paths",
        "the unstable path is never tried",
        &["R24"],
        Fault::Reads(|_, answer| {
            answer.instead((404, "M_UNRECOGNIZED"), (404, "M_NOT_FOUND"));
        }),
    ),
    mutant(
        "5.1/gap-not-filled",
        "what a hub did not send is not fetched from it",
        &["LM-04/12.6/2", "R13"],
        Fault::Reads(|asked, answer| {
            if asked.is(&["event", "backfill"]) {
                answer.status = http::StatusCode::NOT_FOUND;
                answer.set(&json!({"errcode": "M_NOT_FOUND", "error": "unknown"}));
            }
        }),
    ),
    mutant(
        "12.4.1/keys-not-fetched",
        "other servers are not asked for their keys",
        &["LM-04/6.3/8"],
        Fault::Reads(|asked, answer| {
            if asked.is(&["key"]) {
                answer.status = http::StatusCode::NOT_FOUND;
            }
        }),
    ),
    mutant(
        "12.4.1.1/keys-fetched-once",
        "other servers are asked for their keys once",
        &["LM-04/12.4.1.1/1"],
        Fault::Reads(|asked, answer| {
            let mut fetched = FETCHED.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.is(&["key"]) && !fetched.insert(format!("{} {}", asked.key.id(), asked.server)) {
                answer.status = http::StatusCode::NOT_FOUND;
            }
        }),
    ),
];
