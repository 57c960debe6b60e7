//! Contents of messages that are changed on their way, or shown as they should not be (LM-04 §3.5, MF-01).

use serde_json::{Value, json};

use super::sends::edit_pdus;
use super::shows::edit_all_events;
use crate::mutant::seen::{Answer, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

/// Whether an event is of this type.
fn is(event: &Value, kind: &str) -> bool {
    event.get("type").and_then(Value::as_str) == Some(kind)
}

/// Takes away what is `null` in a value.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => {
            items.retain(|value| !value.is_null());
            items.iter_mut().for_each(without_nulls);
        }
        _ => {}
    }
}

/// The HTML of a content, as it came.
fn html_of(asked: &Value) -> &str {
    asked.pointer("/content/m.html").and_then(Value::as_str).unwrap_or_default()
}

/// Shows the HTML of a content as it came, if there is this in it.
fn show_with(asked: &Value, answer: &mut Answer, what: &str) {
    let html = html_of(asked);
    if html.contains(what) {
        answer.edit_ok(|shown| set(shown, "html", json!(html)));
    }
}

/// Shows a text.
fn show_text(answer: &mut Answer, text: &str) {
    answer.edit_ok(|shown| {
        set(shown, "text", json!(text));
        set(shown, "html", json!(text));
    });
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "3.5/reactions-turned-round",
        "of a user's reaction the relation is lost before it is sent",
        &["LM-04/3.5/14", "MF-01/1/1"],
        Fault::Does(|sent| {
            if sent.is(&["events"])
                && is(&sent.body, "m.reaction")
                && let Some(content) = sent.body.get_mut("content")
            {
                remove(content, "m.relates_to");
            }
        }),
    ),
    mutant(
        "3.5/polls-changed",
        "a hub passes polls on with only their first answer",
        &["LM-04/5.1/5", "MF-01/2/35"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                if let Some(Value::Array(answers)) = pdu.pointer_mut("/content/m.poll.start/answers") {
                    answers.truncate(1);
                }
            })
        }),
    ),
    mutant(
        "3.5/nulls-not-listed",
        "contents are listed without what is null in them",
        &["LM-04/3.5/14", "MF-01/2/6"],
        Fault::Shows(|asked, answer| {
            edit_all_events(asked, answer, |event| {
                event.get_mut("content").into_iter().for_each(without_nulls);
            });
        }),
    ),
    mutant(
        "3.5/empty-contents-not-listed",
        "an event without anything in its content is listed without a content",
        &["LM-04/3.5/14", "MF-01/2/6"],
        Fault::Shows(|asked, answer| {
            edit_all_events(asked, answer, |event| {
                if event.get("content") == Some(&json!({})) {
                    remove(event, "content");
                }
            });
        }),
    ),
    mutant(
        "3.5/one-rendering-listed",
        "of a message in several media types only the first is listed",
        &["LM-04/3.5/14", "MF-01/2/20"],
        Fault::Shows(|asked, answer| {
            edit_all_events(asked, answer, |event| {
                if let Some(Value::Array(renderings)) = event.pointer_mut("/content/m.message") {
                    renderings.truncate(1);
                }
            });
        }),
    ),
    mutant(
        "4.5.2/relations-hidden",
        "a hub passes encrypted messages on without the relation beside the ciphertext",
        &["R57", "MF-01/2/183"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                if is(pdu, "m.room.encrypted")
                    && let Some(content) = pdu.get_mut("content")
                {
                    remove(content, "m.relates_to");
                }
            })
        }),
    ),
    mutant(
        "3.5.3.1/no-room-types",
        "a room that has a type is not joined",
        &["FW-01/3/9"],
        Fault::Reads(|asked, answer| {
            if asked.is(&["send_join"]) {
                answer.edit_ok(|joined| {
                    if let Some(Value::Array(state)) = joined.get_mut("state") {
                        let typed = |event: &Value| {
                            is(event, "m.room.create") && event.pointer("/content/type").is_some()
                        };
                        state.retain(|event| !typed(event));
                    }
                });
            }
        }),
    ),
    mutant(
        "3.5/unknown-kinds-hidden",
        "a client shows nothing of a kind that it does not know",
        &["MF-01/2/27", "MF-01/2/28"],
        Fault::Renders(|asked, answer| {
            let unknown = asked.get("without").and_then(Value::as_array);
            if unknown.is_some_and(|unknown| unknown.iter().any(|kind| asked.get("type") == Some(kind))) {
                show_text(answer, "");
            }
        }),
    ),
    mutant(
        "3.5/wordless-shown",
        "a client says something of events that have nothing to show",
        &["MF-01/2/46"],
        Fault::Renders(|_, answer| {
            let is_empty = |value: Value| value.get("text").is_some_and(|text| text == "");
            if serde_json::from_slice(&answer.body).is_ok_and(is_empty) {
                show_text(answer, "(an event)");
            }
        }),
    ),
    mutant(
        "3.5/first-rendering-shown",
        "a client takes the first rendering, whatever its media type",
        &["MF-01/2/58", "MF-01/2/59"],
        Fault::Renders(|asked, answer| {
            if let Some(first) = asked.pointer("/content/m.message/0/body").and_then(Value::as_str) {
                show_text(answer, first);
            }
        }),
    ),
    mutant(
        "3.5/older-form-shown",
        "a client shows the older form of a text where there is a newer one",
        &["MF-01/2/68"],
        Fault::Renders(|asked, answer| {
            if let Some(body) = asked.pointer("/content/body").and_then(Value::as_str) {
                show_text(answer, body);
            }
        }),
    ),
    mutant(
        "3.5/html-as-it-comes",
        "a client shows HTML as it comes",
        &["MF-01/2/130", "MF-01/2/133", "MF-01/2/134", "MF-01/2/137"],
        Fault::Renders(|asked, answer| show_with(asked, answer, "<")),
    ),
    mutant(
        "3.5/links-to-scripts",
        "a client shows links that run scripts",
        &["MF-01/2/133"],
        Fault::Renders(|asked, answer| show_with(asked, answer, "javascript:")),
    ),
    mutant(
        "3.5/images-of-anybody",
        "a client loads images from wherever a message says",
        &["MF-01/2/134"],
        Fault::Renders(|asked, answer| show_with(asked, answer, "<img")),
    ),
    mutant(
        "3.5/malformed-content-fails",
        "a client fails at a text that is none",
        &["MF-01/2/112", "MF-01/2/113"],
        Fault::Renders(|asked, answer| {
            if asked.pointer("/content/m.text").is_some_and(Value::is_number) {
                answer.status = http::StatusCode::INTERNAL_SERVER_ERROR;
                answer.set(&json!({"errcode": "M_UNKNOWN", "error": "Something went wrong."}));
            }
        }),
    ),
];
