//! What remains: single sentences of several sections, each broken by itself.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use http::StatusCode;
use mimi_linearized::event::hash;
use mimi_linearized::signing::sign_object;
use mimi_linearized::version::RoomVersions;
use serde_json::{Value, json};

use crate::mutant::outbound::Fate;
use crate::mutant::seen::{Answer, Asked, list, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

/// What each mutant has seen, under a name of the fault's own.
static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Whether this is seen for the first time.
fn is_new(what: String) -> bool {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(what)
}

fn was_seen(what: &str) -> bool {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).contains(what)
}

/// Replaces a text wherever it is in the body of an answer.
fn replace(answer: &mut Answer, from: &str, to: &str) {
    if answer.is_ok()
        && let Ok(text) = std::str::from_utf8(&answer.body)
    {
        answer.body = text.replace(from, to).into();
        answer.headers.remove(http::header::CONTENT_LENGTH);
    }
}

/// Signs an event for the server that gave it, with the mutant's key, which counts as that server's.
fn sign_again(asked: &Asked, event: &mut Value) {
    let Value::Object(event) = event else { return };
    let redaction = RoomVersions::lm_04().default_version().redaction;
    let signature = asked.key.sign(&hash::signing_bytes(event, &redaction)).to_base64();
    let signatures = event.entry("signatures").or_insert_with(|| json!({}));
    set(signatures, asked.server.as_str(), json!({asked.key.id().as_str(): signature}));
}

/// Puts the mutant's key among a server's own, and signs for all of them.
fn add_key(asked: &Asked, answer: &mut Answer) {
    answer.edit_ok(|value| {
        if let Some(keys) = value.get_mut("verify_keys") {
            set(keys, asked.key.id().as_str(), json!({"key": asked.key.verify_key().to_base64()}));
        }
        if let Some(signatures) = value.get_mut("signatures") {
            remove(signatures, asked.server.as_str());
        }
        if let Value::Object(object) = value {
            sign_object(object, &asked.server, &asked.key);
        }
    });
}

fn is_keys(asked: &Asked) -> bool {
    asked.target.starts_with("/_matrix/key/v2/server")
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.6.1/answers-unchecked",
        "events that a server asked for need no signature of the hub",
        &["LM-04/12.6.1/5", "LM-04/12.6.2/8", "LM-04/12.6.4/11"],
        Fault::Reads(|asked, answer| {
            if is_keys(asked) {
                add_key(asked, answer);
            } else if asked.is(&["event", "state", "backfill"]) {
                answer.edit_ok(|value| {
                    let whole = value.get("pdus").is_none();
                    if whole {
                        sign_again(asked, value);
                    }
                    for field in ["pdus", "auth_chain"] {
                        list(value, field).into_iter().flatten().for_each(|event| sign_again(asked, event));
                    }
                });
            }
        }),
    ),
    mutant(
        "5.2.3/3.4-create-as-others",
        "a create event with a membership in its content is not taken",
        &["LM-04/auth/3.4"],
        Fault::Reads(|asked, answer| {
            if asked.is(&["send_join"]) {
                answer.edit_ok(|value| {
                    for field in ["state", "auth_chain"] {
                        if let Some(events) = list(value, field) {
                            events.retain(|event| {
                                let is = |kind| event.get("type").and_then(Value::as_str) == Some(kind);
                                !is("m.room.create") || event.pointer("/content/membership").is_none()
                            });
                        }
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.2/states-redacted",
        "states are served without the contents of what is no membership",
        &["R48"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state"]) {
                answer.edit_ok(|value| {
                    for event in list(value, "pdus").into_iter().flatten() {
                        if event.get("type").and_then(Value::as_str) == Some("m.room.topic") {
                            set(event, "content", json!({}));
                        }
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.4/large-limit-refused",
        "a question for very many events is refused",
        &["R47"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["backfill"]) && asked.target.contains("limit=1000000") {
                answer.status = StatusCode::BAD_REQUEST;
                answer.set(&json!({"errcode": "M_BAD_JSON", "error": "too many"}));
            }
        }),
    ),
    mutant(
        "12.2.2/large-head-is-unknown",
        "a head that is too large is refused as something unknown",
        &["LM-04/12.2.2/5", "R44"],
        Fault::Answers(|_, answer| {
            if matches!(answer.status.as_u16(), 414 | 431) {
                answer.edit(|value| set(value, "errcode", json!("M_UNKNOWN")));
            }
        }),
    ),
    mutant(
        "12.2.6/limit-is-a-failure",
        "a request over the limit is answered 503",
        &["LM-04/12.2.6/3"],
        Fault::Answers(|_, answer| answer.instead((429, "M_LIMIT_EXCEEDED"), (503, "M_LIMIT_EXCEEDED"))),
    ),
    mutant(
        "12.2.6/limited-for-ever",
        "who was over the limit once is refused from then on",
        &["LM-04/12.2.6/4", "R43"],
        Fault::Answers(|asked, answer| {
            let limited = format!("limited {}", asked.server);
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                is_new(limited);
            } else if asked.is(&["make_leave"]) && was_seen(&limited) {
                answer.status = StatusCode::TOO_MANY_REQUESTS;
                answer.set(&json!({"errcode": "M_LIMIT_EXCEEDED", "error": "again", "retry_after_ms": 100}));
            }
        }),
    ),
    mutant(
        "12.2.6/wait-unheard",
        "a server does not wait as long as it is told to",
        &["R43"],
        Fault::Reads(|_, answer| {
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                answer.headers.remove(http::header::RETRY_AFTER);
                answer.edit(|value| set(value, "retry_after_ms", json!(1)));
            }
        }),
    ),
    mutant(
        "12.6.2/lpdus-served",
        "the state served has an LPDU in it",
        &["LM-04/12.6.2/9"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state"]) {
                answer.edit_ok(|value| {
                    if let Some(last) = list(value, "pdus").and_then(|events| events.last_mut()) {
                        remove(last, "auth_events");
                        remove(last, "prev_events");
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.4/no-event-needed",
        "a question for earlier events that names no event is answered",
        &["LM-04/12.6.4/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["backfill"]) && !asked.target.contains("v=") {
                answer.status = StatusCode::OK;
                answer.set(&json!({"pdus": []}));
            }
        }),
    ),
    mutant(
        "12.7.1/not-signed",
        "a completed template is not signed",
        &["LM-04/12.7.1/2"],
        Fault::Sends(|sent| {
            if sent.is(&["send_join", "send_leave", "send_knock"]) {
                set(&mut sent.body, "signatures", json!({}));
            }
            Fate::Goes
        }),
    ),
    mutant(
        "12.7.2/one-invite-a-server",
        "of a server's users only the first is invited through the endpoint",
        &["LM-04/12.7.2/2"],
        Fault::Sends(|sent| {
            let room = sent.body.pointer("/event/room_id").map(ToString::to_string).unwrap_or_default();
            let key = sent.headers.get(http::header::AUTHORIZATION).map(|value| format!("{value:?}"));
            let by = key.and_then(|key| key.split(',').next().map(str::to_owned)).unwrap_or_default();
            if sent.is(&["invite"]) && !is_new(format!("invite {by} {} {room}", sent.to)) {
                return Fate::IsLost;
            }
            Fate::Goes
        }),
    ),
    mutant(
        "12.7.2.1/another-user",
        "an invite is for another user than the one it is sent to",
        &["LM-04/12.7.2.1/9"],
        Fault::Sends(|sent| {
            if sent.is(&["invite"])
                && let Some(event) = sent.body.get_mut("event")
            {
                set(event, "state_key", json!("@somebody:elsewhere.example"));
            }
            Fate::Goes
        }),
    ),
    mutant(
        "12.2.1/no-bulk-queries",
        "an endpoint is missing",
        &["LM-04/12.2.1/7"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["claim"]) {
                answer.status = StatusCode::NOT_FOUND;
                answer.set(&json!({"errcode": "M_UNRECOGNIZED", "error": "unknown"}));
            }
        }),
    ),
    mutant(
        "12.5.1/stray-lpdus-spoil",
        "an LPDU for another hub makes a transaction malformed",
        &["LM-04/12.5.1/10"],
        Fault::Takes(|sent| {
            let own = sent.to.to_string();
            let stray = |pdu: &Value| {
                let hub = pdu.get("hub_server").and_then(Value::as_str).unwrap_or(&own);
                pdu.get("auth_events").is_none() && hub != own
            };
            if sent.is(&["send"]) && sent.list("pdus").is_some_and(|pdus| pdus.iter().any(stray)) {
                set(&mut sent.body, "pdus", json!("spoilt"));
            }
        }),
    ),
    mutant(
        "12.5.1/answered-at-once",
        "a transaction is answered before it is processed",
        &["LM-04/12.5.1/13"],
        Fault::Hurries,
    ),
    mutant(
        "4.4/other-algorithm",
        "key packages are given out under another algorithm",
        &["LM-04/4.4/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["claim"]) {
                replace(answer, "m.mls.v1.key_package", "m.mls.v2.key_package");
            }
        }),
    ),
];
