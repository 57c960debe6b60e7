//! EDUs that a server sends wrongly, or not at all (LM-04 §12.9, §12.10).

use serde_json::{Value, json};

use crate::mutant::outbound::Fate;
use crate::mutant::seen::{Sent, remove};
use crate::mutant::{Fault, Mutant, mutant};

/// Changes each EDU in a transaction.
fn edit_edus(sent: &mut Sent, change: impl Fn(&mut Value)) -> Fate {
    if sent.is(&["send"]) {
        sent.list("edus").into_iter().flatten().for_each(change);
    }
    Fate::Goes
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.9/edus-without-sender",
        "EDUs do not say who sends them",
        &["LM-04/12.9/1"],
        Fault::Sends(|sent| edit_edus(sent, |edu| remove(edu, "sender"))),
    ),
    mutant(
        "12.9/edus-not-sent",
        "EDUs are not sent",
        &["LM-04/12.9/2", "LM-04/12.10.2/3"],
        Fault::Sends(|sent| {
            if let Some(edus) = sent.list("edus") {
                edus.clear();
            }
            Fate::Goes
        }),
    ),
    mutant(
        "12.10.1/removed-not-told",
        "removed devices are not told of",
        &["LM-04/12.10.1/2"],
        Fault::Sends(|sent| {
            edit_edus(sent, |edu| {
                if let Some(removed) = edu.pointer_mut("/content/removed") {
                    *removed = json!([]);
                }
            })
        }),
    ),
    mutant(
        "12.10.1/changed-not-told",
        "new devices are not told of",
        &["LM-04/12.10.1/1"],
        Fault::Sends(|sent| {
            edit_edus(sent, |edu| {
                if let Some(changed) = edu.pointer_mut("/content/changed") {
                    *changed = json!([]);
                }
            })
        }),
    ),
    mutant(
        "12.10.1/ids-for-devices",
        "device list updates have ids for devices",
        &["LM-04/12.10.1/4"],
        Fault::Sends(|sent| {
            edit_edus(sent, |edu| {
                if let Some(Value::Array(changed)) = edu.pointer_mut("/content/changed") {
                    for device in changed {
                        *device = device.get("device_id").cloned().unwrap_or_default();
                    }
                }
            })
        }),
    ),
    mutant(
        "12.10.2/message-type-lost",
        "messages to devices lose their type",
        &["LM-04/12.10.2/1"],
        Fault::Sends(|sent| {
            edit_edus(sent, |edu| {
                if let Some(content) = edu.get_mut("content") {
                    remove(content, "message_type");
                }
            })
        }),
    ),
];
