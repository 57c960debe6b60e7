//! Events served wrongly (LM-04 §12.6).

use serde_json::{Value, json};

use crate::mutant::seen::{list, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

fn is_kind(event: &Value, kind: &str) -> bool {
    event.get("type").and_then(Value::as_str) == Some(kind)
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.6.1/event-wrapped",
        "an event is served as in a transaction of Matrix",
        &["LM-04/12.6.1/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["event"]) {
                answer.edit_ok(|value| *value = json!({"pdus": [value.clone()]}));
            }
        }),
    ),
    mutant(
        "12.6.1/event-changed",
        "an event is served with `unsigned`",
        &["LM-04/5.1/12"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["event"]) {
                answer.edit_ok(|value| set(value, "age", json!(1)));
            }
        }),
    ),
    mutant(
        "12.6.1/event-without-signatures",
        "an event is served without its signatures",
        &["LM-04/12.6/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["event"]) {
                answer.edit_ok(|value| set(value, "signatures", json!({})));
            }
        }),
    ),
    mutant(
        "12.6.1/nothing-served",
        "no event is ever served",
        &["LM-04/12.6/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["event"]) && answer.is_ok() {
                answer.status = http::StatusCode::NOT_FOUND;
                answer.set(&json!({"errcode": "M_NOT_FOUND", "error": "unknown"}));
            }
        }),
    ),
    mutant(
        "12.6.1/any-event-is-found",
        "an unknown event is an empty object",
        &["LM-04/12.6.1/3", "LM-04/12.6.1/6"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["event"]) && answer.status == http::StatusCode::NOT_FOUND {
                answer.status = http::StatusCode::OK;
                answer.set(&json!({}));
            }
        }),
    ),
    mutant(
        "12.6.1/contents-redacted",
        "messages are served redacted to everybody",
        &["LM-04/12.6/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["event"]) {
                answer.edit_ok(|value| {
                    if is_kind(value, "m.room.message") {
                        set(value, "content", json!({}));
                    }
                });
            }
        }),
    ),
    mutant(
        "4.3/commits-redacted",
        "commits are served redacted like messages of hidden history",
        &["LM-04/4.3/15", "R15"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["event"]) {
                answer.edit_ok(|value| {
                    if is_kind(value, "m.mls.commit") {
                        set(value, "content", json!({}));
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.2/state-lacks-an-event",
        "the state served lacks an event",
        &["LM-04/12.6.2/2"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state"]) {
                answer.edit_ok(|value| {
                    list(value, "pdus").and_then(Vec::pop);
                });
            }
        }),
    ),
    mutant(
        "12.6.2/state-twice",
        "the state served has an event twice",
        &["LM-04/12.6.2/2"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state"]) {
                answer.edit_ok(|value| {
                    if let Some(pdus) = list(value, "pdus") {
                        pdus.extend(pdus.last().cloned());
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.2/state-without-members",
        "the state served has no members",
        &["LM-04/12.6.2/2"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state"]) {
                answer.edit_ok(|value| {
                    if let Some(pdus) = list(value, "pdus") {
                        pdus.retain(|event| !is_kind(event, "m.room.member"));
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.2/no-auth-chain",
        "what the state cites is not served",
        &["LM-04/12.6.2/3"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state"]) {
                answer.edit_ok(|value| set(value, "auth_chain", json!([])));
            }
        }),
    ),
    mutant(
        "12.6.2/create-not-in-chain",
        "what the state cites is served without the create event",
        &["LM-04/12.6.2/3"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state"]) {
                answer.edit_ok(|value| {
                    if let Some(chain) = list(value, "auth_chain") {
                        chain.retain(|event| !is_kind(event, "m.room.create"));
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.3/ids-lack-one",
        "the ids served of a state lack one",
        &["LM-04/12.6.3/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state_ids"]) {
                answer.edit_ok(|value| {
                    list(value, "pdu_ids").and_then(Vec::pop);
                });
            }
        }),
    ),
    mutant(
        "12.6.3/chain-ids-lack-one",
        "the ids served of what a state cites lack one",
        &["LM-04/12.6.3/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state_ids"]) {
                answer.edit_ok(|value| {
                    list(value, "auth_chain_ids").and_then(Vec::pop);
                });
            }
        }),
    ),
    mutant(
        "12.6.3/whole-events",
        "events are served where ids are asked for",
        &["LM-04/12.6.3/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state_ids"]) {
                answer.edit_ok(|value| {
                    for id in list(value, "pdu_ids").into_iter().flatten() {
                        *id = json!({"event_id": id.clone()});
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.4/newest-first",
        "earlier events are served with the newest first",
        &["LM-04/12.6.4/6"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["backfill"]) {
                answer.edit_ok(|value| {
                    if let Some(pdus) = list(value, "pdus") {
                        pdus.reverse();
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.4/event-itself-missing",
        "the event that is named is not among the earlier events",
        &["LM-04/12.6.4/5"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["backfill"]) {
                answer.edit_ok(|value| {
                    list(value, "pdus").and_then(Vec::pop);
                });
            }
        }),
    ),
    mutant(
        "12.6.4/gap",
        "earlier events are served with a gap",
        &["LM-04/12.6.4/5"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["backfill"]) {
                answer.edit_ok(|value| {
                    if let Some(pdus) = list(value, "pdus").filter(|pdus| pdus.len() > 2) {
                        pdus.remove(1);
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.4/state-only",
        "only state events are served of earlier events",
        &["LM-04/12.6.4/5"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["backfill"]) {
                answer.edit_ok(|value| {
                    if let Some(pdus) = list(value, "pdus") {
                        pdus.retain(|event| event.get("state_key").is_some());
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.4/events-without-place",
        "earlier events are served without their place",
        &["LM-04/12.6.4/12", "LM-04/3.5/20"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["backfill"]) {
                answer.edit_ok(|value| {
                    for event in list(value, "pdus").into_iter().flatten() {
                        remove(event, "prev_events");
                        remove(event, "auth_events");
                    }
                });
            }
        }),
    ),
    mutant(
        "12.6.2/no-event-needed",
        "a question for state that names no event is answered",
        &["LM-04/12.6.2/1", "LM-04/12.6.3/2"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state", "state_ids"]) && !asked.target.contains("event_id") && !answer.is_ok() {
                answer.status = http::StatusCode::OK;
                answer.set(&json!({"pdus": [], "auth_chain": [], "pdu_ids": [], "auth_chain_ids": []}));
            }
        }),
    ),
];
