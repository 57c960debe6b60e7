//! Typing notices, receipts and presence that are sent wrongly, not at all, or taken from anybody (LM-04 §12.9; readings
//! R45 and R46).

use serde_json::{Value, json};

use crate::mutant::outbound::Fate;
use crate::mutant::seen::{Answer, Asked, Sent, list, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

fn is(item: &Value, kind: &str) -> bool {
    item.get("type").and_then(Value::as_str) == Some(kind)
}

/// Changes the contents of EDUs of a kind on their way out or in.
fn edit(sent: &mut Sent, kind: &str, change: impl Fn(&mut Value)) {
    if sent.is(&["send"]) {
        for edu in sent.list("edus").into_iter().flatten().filter(|edu| is(edu, kind)) {
            if let Some(content) = edu.get_mut("content") {
                change(content);
            }
        }
    }
}

fn edit_sent(sent: &mut Sent, kind: &str, change: impl Fn(&mut Value)) -> Fate {
    edit(sent, kind, change);
    Fate::Goes
}

/// Leaves EDUs of a kind out.
fn without(sent: &mut Sent, which: impl Fn(&Value) -> bool) -> Fate {
    if let Some(edus) = sent.list("edus") {
        edus.retain(|edu| !which(edu));
    }
    Fate::Goes
}

/// Changes each receipt in the content of an `m.receipt`.
fn edit_receipts(content: &mut Value, change: impl Fn(&mut Value)) {
    let rooms = content.as_object_mut().into_iter().flat_map(|rooms| rooms.values_mut());
    let kinds = rooms.filter_map(Value::as_object_mut).flat_map(|kinds| kinds.values_mut());
    kinds.filter_map(Value::as_object_mut).flat_map(|users| users.values_mut()).for_each(change);
}

/// Loses items of a kind from inboxes.
fn lose(asked: &Asked, answer: &mut Answer, kind: &str) {
    if asked.is(&["inbox"]) {
        answer.edit_ok(|value| {
            if let Some(items) = list(value, "items") {
                items.retain(|item| !is(item, kind));
            }
        });
    }
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.9/typing-not-sent",
        "nobody is told who writes",
        &["R45"],
        Fault::Sends(|sent| without(sent, |edu| is(edu, "m.typing"))),
    ),
    mutant(
        "12.9/still-typing",
        "nobody is told who has ceased to write",
        &["R46"],
        Fault::Sends(|sent| without(sent, |edu| edu.pointer("/content/typing") == Some(&json!(false)))),
    ),
    mutant(
        "12.9/typing-of-nobody",
        "typing notices do not say who writes",
        &["R46"],
        Fault::Sends(|sent| edit_sent(sent, "m.typing", |content| remove(content, "user_id"))),
    ),
    mutant(
        "12.9/receipts-not-sent",
        "nobody is told who has read",
        &["R45"],
        Fault::Sends(|sent| without(sent, |edu| is(edu, "m.receipt"))),
    ),
    mutant(
        "12.9/receipts-without-time",
        "receipts do not say when somebody has read",
        &["R46"],
        Fault::Sends(|sent| {
            edit_sent(sent, "m.receipt", |content| {
                edit_receipts(content, |receipt| remove(receipt, "data"));
            })
        }),
    ),
    mutant(
        "12.9/presence-not-sent",
        "nobody is told who is there",
        &["R45"],
        Fault::Sends(|sent| without(sent, |edu| is(edu, "m.presence"))),
    ),
    mutant(
        "12.9/presence-without-status",
        "presence lacks its status",
        &["R46"],
        Fault::Sends(|sent| {
            edit_sent(sent, "m.presence", |content| {
                for update in list(content, "push").into_iter().flatten() {
                    remove(update, "status_msg");
                }
            })
        }),
    ),
    mutant(
        "12.9/typing-not-shown",
        "members are not told who writes",
        &["R46"],
        Fault::Shows(|asked, answer| lose(asked, answer, "typing")),
    ),
    mutant(
        "12.9/receipts-not-shown",
        "members are not told who has read",
        &["R46"],
        Fault::Shows(|asked, answer| lose(asked, answer, "receipt")),
    ),
    mutant(
        "12.9/presence-not-shown",
        "users are not told who is there",
        &["R46"],
        Fault::Shows(|asked, answer| lose(asked, answer, "presence")),
    ),
    mutant(
        "12.9/typing-of-others",
        "a typing notice is taken for its sender's, whoever it is about",
        &["R45"],
        Fault::Takes(|sent| {
            if sent.is(&["send"]) {
                for edu in sent.list("edus").into_iter().flatten().filter(|edu| is(edu, "m.typing")) {
                    let sender = edu.get("sender").cloned().unwrap_or_default();
                    if let Some(content) = edu.get_mut("content") {
                        set(content, "user_id", sender);
                    }
                }
            }
        }),
    ),
    mutant(
        "12.9/typing-is-typing",
        "a typing notice that says nothing means that somebody writes",
        &["R46"],
        Fault::Takes(|sent| {
            edit(sent, "m.typing", |content| {
                if content.get("typing").is_none_or(|typing| !typing.is_boolean()) {
                    set(content, "typing", json!(true));
                }
            });
        }),
    ),
];
