//! Events that a server sends to others wrongly, or not at all (LM-04 §3.5.1, §5.1, §12.5).

use serde_json::{Value, json};

use crate::mutant::outbound::Fate;
use crate::mutant::seen::{Sent, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

/// The server of an event's sender.
pub(super) fn server_of<'e>(event: &'e Value, field: &str) -> &'e str {
    let user = event.get(field).and_then(Value::as_str).unwrap_or_default();
    user.split_once(':').map_or("", |(_, server)| server)
}

fn is_lpdu(event: &Value) -> bool {
    event.get("auth_events").is_none() && event.get("prev_events").is_none()
}

/// Changes each LPDU in a request to a hub.
fn edit_lpdus(sent: &mut Sent, change: impl Fn(&mut Value)) -> Fate {
    match sent.endpoint() {
        "send" => {
            let pdus = sent.list("pdus").into_iter().flatten();
            pdus.filter(|pdu| is_lpdu(pdu)).for_each(change);
        }
        "send_join" | "send_leave" | "send_knock" => change(&mut sent.body),
        _ => {}
    }
    Fate::Goes
}

/// Changes each PDU in a transaction.
pub(super) fn edit_pdus(sent: &mut Sent, change: impl Fn(&mut Value)) -> Fate {
    if sent.is(&["send"]) {
        let pdus = sent.list("pdus").into_iter().flatten();
        pdus.filter(|pdu| !is_lpdu(pdu)).for_each(change);
    }
    Fate::Goes
}

/// Leaves events out of transactions.
fn without(sent: &mut Sent, which: impl Fn(&Value) -> bool) -> Fate {
    if sent.is(&["send"])
        && let Some(pdus) = sent.list("pdus")
    {
        pdus.retain(|pdu| !which(pdu));
    }
    Fate::Goes
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.5/nothing-sent",
        "events are not sent to anybody",
        &["LM-04/12.5/3", "LM-04/5.1/2", "LM-04/12.7.1/3"],
        Fault::Sends(|sent| without(sent, |_| true)),
    ),
    mutant(
        "12.5/own-events-kept",
        "the hub's own events are not sent to others",
        &["LM-04/12.5/3"],
        Fault::Sends(|sent| without(sent, |pdu| !is_lpdu(pdu) && pdu.get("hub_server").is_none())),
    ),
    mutant(
        "12.5/not-to-the-sender",
        "an event is not sent to its sender's server",
        &["LM-04/5.1/2"],
        Fault::Sends(|sent| {
            let to = sent.to.to_string();
            without(sent, |pdu| !is_lpdu(pdu) && server_of(pdu, "sender") == to)
        }),
    ),
    mutant(
        "12.5/kicked-not-told",
        "a server whose user is kicked or banned is not told",
        &["LM-04/12.5/2"],
        Fault::Sends(|sent| {
            let to = sent.to.to_string();
            without(sent, |pdu| {
                let membership = pdu.pointer("/content/membership").and_then(Value::as_str);
                matches!(membership, Some("leave" | "ban")) && server_of(pdu, "state_key") == to
            })
        }),
    ),
    mutant(
        "12.5/state-not-sent",
        "only messages are sent to others",
        &["LM-04/12.5/3"],
        Fault::Sends(|sent| without(sent, |pdu| !is_lpdu(pdu) && pdu.get("state_key").is_some())),
    ),
    mutant(
        "12.5/commits-not-sent",
        "commits are not sent to others",
        &["LM-04/12.5/3"],
        Fault::Sends(|sent| {
            without(sent, |pdu| {
                !is_lpdu(pdu) && pdu.get("type").and_then(Value::as_str) == Some("m.mls.commit")
            })
        }),
    ),
    mutant(
        "12.5/lpdus-not-sent",
        "events of local users do not get to the hub",
        &["LM-04/3/1"],
        Fault::Sends(|sent| without(sent, is_lpdu)),
    ),
    mutant(
        "12.5.1/once-is-enough",
        "a transaction that is not taken is not sent again",
        &["LM-04/12.5.1/1"],
        Fault::Reads(|asked, answer| {
            if asked.is(&["send"]) && !answer.is_ok() {
                answer.status = http::StatusCode::OK;
                answer.set(&json!({"failed_pdus": {}}));
            }
        }),
    ),
    mutant(
        "12.5.1/new-id-each-time",
        "a transaction has a new id each time it is sent",
        &["LM-04/12.5.1/1"],
        Fault::Sends(|sent| {
            if sent.is(&["send"]) {
                sent.rename(&format!("{:x}", rand::random::<u64>()));
            }
            Fate::Goes
        }),
    ),
    mutant(
        "12.5.1/too-many-edus",
        "more than 100 EDUs are sent at once",
        &["LM-04/12.5.1/3"],
        Fault::Sends(|sent| {
            if let Some(edus) = sent.list("edus").filter(|edus| !edus.is_empty()) {
                let more: Vec<Value> = edus.iter().cloned().cycle().take(101).collect();
                *edus = more;
            }
            Fate::Goes
        }),
    ),
    mutant(
        "12.5.1/too-many-pdus",
        "more than 50 events are sent at once",
        &["LM-04/12.5.1/4"],
        Fault::Sends(|sent| {
            if let Some(pdus) = sent.list("pdus").filter(|pdus| !pdus.is_empty()) {
                let more: Vec<Value> = pdus.iter().cloned().cycle().take(51).collect();
                *pdus = more;
            }
            Fate::Goes
        }),
    ),
    mutant(
        "3.5/no-hub-server",
        "PDUs do not name their hub",
        &["LM-04/3.5/10"],
        Fault::Sends(|sent| edit_pdus(sent, |pdu| remove(pdu, "hub_server"))),
    ),
    mutant(
        "3.5/two-predecessors",
        "PDUs follow two events",
        &["LM-04/3.5/21"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                if let Some(Value::Array(prev)) = pdu.get_mut("prev_events") {
                    prev.extend(prev.first().cloned());
                }
            })
        }),
    ),
    mutant(
        "5.1/hub-does-not-sign",
        "PDUs are not signed by the hub",
        &["LM-04/5.1/1", "LM-04/5.1/7"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                let hub = pdu.get("hub_server").and_then(Value::as_str).unwrap_or_default().to_owned();
                if let Some(signatures) = pdu.get_mut("signatures") {
                    remove(signatures, &hub);
                }
            })
        }),
    ),
    mutant(
        "5.1/sender-signature-lost",
        "PDUs lose the signature of their sender's server",
        &["LM-04/5.1/1", "LM-04/5.1/8"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                let sender = server_of(pdu, "sender").to_owned();
                if let Some(signatures) = pdu.get_mut("signatures") {
                    remove(signatures, &sender);
                }
            })
        }),
    ),
    mutant(
        "5.1/content-changed",
        "the hub changes what it passes on",
        &["LM-04/5.1/1"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                if let Some(content) = pdu.get_mut("content") {
                    set(content, "seen", json!(true));
                }
            })
        }),
    ),
    mutant(
        "9.1/no-content-hash",
        "PDUs have no content hash",
        &["LM-04/5.1/1"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                if let Some(hashes) = pdu.get_mut("hashes") {
                    remove(hashes, "sha256");
                }
            })
        }),
    ),
    mutant(
        "3.5.1/auth-events-in-lpdu",
        "LPDUs have `auth_events`",
        &["LM-04/3.5.1/2", "LM-04/3.5.1/1"],
        Fault::Sends(|sent| edit_lpdus(sent, |pdu| set(pdu, "auth_events", json!([])))),
    ),
    mutant(
        "3.5.1/prev-events-in-lpdu",
        "LPDUs have `prev_events`",
        &["LM-04/3.5.1/3"],
        Fault::Sends(|sent| edit_lpdus(sent, |pdu| set(pdu, "prev_events", json!([])))),
    ),
    mutant(
        "3.5.1/more-hashes-in-lpdu",
        "LPDUs have the hash of a PDU too",
        &["LM-04/3.5.1/4"],
        Fault::Sends(|sent| {
            edit_lpdus(sent, |pdu| {
                if let Some(hashes) = pdu.get_mut("hashes") {
                    set(hashes, "sha256", json!("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"));
                }
            })
        }),
    ),
    mutant(
        "3.5.1/wrong-lpdu-hash",
        "LPDUs have a wrong hash",
        &["LM-04/3.5.1/5", "LM-04/9.1/2"],
        Fault::Sends(|sent| {
            edit_lpdus(sent, |pdu| {
                set(
                    pdu,
                    "hashes",
                    json!({"lpdu": {"sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"}}),
                );
            })
        }),
    ),
    mutant(
        "3.5.1/unsigned-lpdu",
        "LPDUs are not signed",
        &["LM-04/3.5.1/6"],
        Fault::Sends(|sent| edit_lpdus(sent, |pdu| set(pdu, "signatures", json!({})))),
    ),
    mutant(
        "10/padded-hashes",
        "hashes are written with padding",
        &["LM-04/10/1", "LM-04/9.1/6"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                if let Some(Value::String(hash)) = pdu.pointer_mut("/hashes/sha256") {
                    hash.push('=');
                }
            })
        }),
    ),
    mutant(
        "3.5.3.3/reason-lost",
        "the reason for a membership is lost",
        &["LM-04/3.5.3.3/4"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                if let Some(content) = pdu.get_mut("content") {
                    remove(content, "reason");
                }
            })
        }),
    ),
    mutant(
        "12.7.1/further-fields",
        "further fields of a template stay in the LPDU",
        &["LM-04/12.7.3.1/3", "LM-04/12.7.4.1/3", "LM-04/12.7.2.2.1/3"],
        Fault::Sends(|sent| {
            if sent.is(&["send_join", "send_leave", "send_knock"]) {
                set(&mut sent.body, "depth", json!(1));
            }
            Fate::Goes
        }),
    ),
    mutant(
        "12.5.1/answers-unheard",
        "a transaction counts as taken once it was sent",
        &["LM-04/12.5.1/1"],
        Fault::Sends(|sent| if sent.is(&["send"]) { Fate::GoesUnheard } else { Fate::Goes }),
    ),
];
