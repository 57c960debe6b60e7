//! Wrong answers in joins, leaves, knocks and invites (LM-04 §12.7, §3.5.2.1).

use serde_json::{Value, json};

use crate::mutant::seen::{Answer, Asked, list, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

/// Changes a template, at the top of the answer or under `event`.
fn edit_template(asked: &Asked, answer: &mut Answer, change: impl FnOnce(&mut Value)) {
    if asked.is(&["make_join", "make_leave", "make_knock"]) {
        answer.edit_ok(|value| match value.get_mut("event") {
            Some(event) => change(event),
            None => change(value),
        });
    }
}

fn edit_stripped(asked: &Asked, answer: &mut Answer, change: impl Fn(&mut Vec<Value>)) {
    if asked.is(&["send_knock"]) {
        answer.edit_ok(|value| {
            if let Some(state) = list(value, "stripped_state") {
                change(state);
            }
        });
    }
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.7.1/template-of-another-type",
        "a template is of another type",
        &["LM-04/12.7.3.1/2", "LM-04/12.7.2.2.1/2", "LM-04/12.7.4.1/2"],
        Fault::Answers(|asked, answer| {
            edit_template(asked, answer, |event| set(event, "type", json!("m.room.membership")));
        }),
    ),
    mutant(
        "12.7.1/template-without-state-key",
        "a template has no state key",
        &["LM-04/12.7.3.1/2", "LM-04/12.7.2.2.1/2", "LM-04/12.7.4.1/2"],
        Fault::Answers(|asked, answer| {
            edit_template(asked, answer, |event| remove(event, "state_key"));
        }),
    ),
    mutant(
        "12.7.1/template-of-another-sender",
        "a template is the hub's own",
        &["LM-04/12.7.3.1/2", "LM-04/12.7.2.2.1/2", "LM-04/12.7.4.1/2"],
        Fault::Answers(|asked, answer| {
            let sender = format!("@hub:{}", asked.server);
            edit_template(asked, answer, |event| set(event, "sender", json!(sender)));
        }),
    ),
    mutant(
        "12.7.1/template-without-membership",
        "a template has no membership",
        &["LM-04/12.7.3.1/2", "LM-04/12.7.2.2.1/2", "LM-04/12.7.4.1/2"],
        Fault::Answers(|asked, answer| {
            edit_template(asked, answer, |event| set(event, "content", json!({})));
        }),
    ),
    mutant(
        "12.7.1/template-of-another-membership",
        "a template is for an invite",
        &["LM-04/12.7.3.1/2", "LM-04/12.7.2.2.1/2", "LM-04/12.7.4.1/2"],
        Fault::Answers(|asked, answer| {
            edit_template(asked, answer, |event| set(event, "content", json!({"membership": "invite"})));
        }),
    ),
    mutant(
        "12.7.2.2.1/no-version",
        "a template for leaving comes without the room's version",
        &["LM-04/12.7.2.2.1/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["make_leave"]) {
                answer.edit_ok(|value| remove(value, "room_version"));
            }
        }),
    ),
    mutant(
        "12.7.2.2.2/leave-returned",
        "a leave is answered with the event",
        &["LM-04/12.7.2.2.2/2"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_leave"]) {
                answer.edit_ok(|value| set(value, "event", json!({})));
            }
        }),
    ),
    mutant(
        "12.7.3.2/state-lacks-an-event",
        "a join is answered with a state that lacks an event",
        &["LM-04/12.7.3.2/2"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_join"]) {
                answer.edit_ok(|value| {
                    list(value, "state").and_then(Vec::pop);
                });
            }
        }),
    ),
    mutant(
        "12.7.3.2/state-with-the-join",
        "a join is answered with the state after it",
        &["LM-04/12.7.3.2/2"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_join"]) {
                answer.edit_ok(|value| {
                    let event = value.get("event").cloned();
                    if let Some(state) = list(value, "state") {
                        state.extend(event);
                    }
                });
            }
        }),
    ),
    mutant(
        "12.7.3.2/no-auth-chain",
        "a join is answered without what the state cites",
        &["LM-04/12.7.3.2/3"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_join"]) {
                answer.edit_ok(|value| set(value, "auth_chain", json!([])));
            }
        }),
    ),
    mutant(
        "12.7.3.2/no-event",
        "a join is answered without the event",
        &["LM-04/12.7.3.2/4"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_join"]) {
                answer.edit_ok(|value| remove(value, "event"));
            }
        }),
    ),
    mutant(
        "12.7.3.2/another-event",
        "a join is answered with an event that differs from everybody else's",
        &["LM-04/12.7.3.2/4"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_join"]) {
                answer.edit_ok(|value| {
                    if let Some(event) = value.get_mut("event") {
                        set(event, "origin_server_ts", json!(1));
                    }
                });
            }
        }),
    ),
    mutant(
        "12.7.4.2/no-stripped-state",
        "a knock is answered with nothing",
        &["LM-04/12.7.4.2/2"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_knock"]) {
                answer.edit_ok(|value| remove(value, "stripped_state"));
            }
        }),
    ),
    mutant(
        "12.7.4.2/empty-stripped-state",
        "a knock is answered with no state",
        &["LM-04/3.5.2.1/3"],
        Fault::Answers(|asked, answer| {
            edit_stripped(asked, answer, Vec::clear);
        }),
    ),
    mutant(
        "3.5.2.1/more-members",
        "stripped state has more than four members",
        &["LM-04/3.5.2.1/4"],
        Fault::Answers(|asked, answer| {
            edit_stripped(asked, answer, |state| {
                for event in state {
                    set(event, "origin_server_ts", json!(1));
                }
            });
        }),
    ),
    mutant(
        "12.7.2.1/not-signed",
        "the target does not sign an invite of its user",
        &["LM-04/12.7.2.1/16"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["invite"]) {
                let server = asked.server.to_string();
                answer.edit_ok(|value| {
                    if let Some(signatures) = value.pointer_mut("/pdu/signatures") {
                        remove(signatures, &server);
                    }
                });
            }
        }),
    ),
    mutant(
        "12.7.2.1/changed-invite",
        "the target changes an invite of its user",
        &["LM-04/12.7.2.1/16"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["invite"]) {
                answer.edit_ok(|value| {
                    if let Some(content) = value.pointer_mut("/pdu/content") {
                        set(content, "displayname", json!("Bob"));
                    }
                });
            }
        }),
    ),
    mutant(
        "12.7.2.1/invite-under-another-name",
        "an invite comes back under `event`",
        &["LM-04/12.7.2.1/19", "LM-04/12.7.2.1/18"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["invite"]) {
                answer.edit_ok(|value| {
                    let pdu = value.get("pdu").cloned().unwrap_or_default();
                    *value = json!({"event": pdu});
                });
            }
        }),
    ),
    mutant(
        "12.7.1/any-event",
        "any event is taken for a membership change",
        &["LM-04/12.7.3.2/1", "LM-04/12.7.4.2/1", "LM-04/12.7.2.2.2/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_join", "send_leave", "send_knock"]) && answer.status.as_u16() == 400 {
                answer.status = http::StatusCode::OK;
                answer.set(&json!({}));
            }
        }),
    ),
    mutant(
        "12.7.2.1/excess-passed-on",
        "what comes with the invited user's server's answer is passed on",
        &["LM-04/12.7.2.1/12"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["invite"]) {
                answer.edit(|value| set(value, "excess", json!("x".repeat(300_000))));
            }
        }),
    ),
    mutant(
        "12.7.2.1/no-error-of-its-own",
        "what the invited user's server answers is passed on as it is",
        &["LM-04/12.7.2.1/13"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["invite"]) && answer.status.is_server_error() {
                answer.body = "<html>".into();
                answer.headers.remove(http::header::CONTENT_LENGTH);
            }
        }),
    ),
    mutant(
        "12.7.2.1/any-event",
        "an invite may be any membership",
        &["LM-04/12.7.2.1/6", "LM-04/12.7.2.1/4", "LM-04/12.7.2.1/5"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["invite"]) && answer.status.as_u16() == 400 {
                answer.status = http::StatusCode::OK;
                answer.set(&json!({"pdu": {}}));
            }
        }),
    ),
];
