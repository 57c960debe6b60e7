//! The events in an exchange, and the exchange that shows what a case found.

use mimi_linearized::event::reference_id;
use mimi_linearized::version::RoomVersions;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::case::Verdict;
use crate::evidence::{Exchange, Kept};

/// How many events and ids of one exchange are listed.
const LISTED: usize = 50;
/// How deep they are looked for.
const DEPTH: usize = 8;

/// Whose part of an exchange something is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    /// The request.
    Request,
    /// The answer.
    Answer,
}

/// An event in an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventSeen {
    /// Where it is.
    #[serde(rename = "in")]
    pub(crate) part: Part,
    /// Where in the body, as a JSON pointer.
    pub(crate) at: String,
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its id, as the suite computes it by the rules of `I.1`.
    pub(crate) id: String,
}

/// Which exchange shows what a case found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Telling {
    /// Its place in `evidence`, from 0.
    pub(crate) exchange: usize,
    /// How it shows it.
    pub(crate) how: How,
}

/// How an exchange shows something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum How {
    /// Its request or its answer is what the case did not find in order.
    Itself,
    /// It is the last before something was waited for that did not come.
    Before,
}

/// The events in the request and the answer.
pub(crate) fn seen(exchange: &Exchange) -> Vec<EventSeen> {
    let versions = RoomVersions::lm_04();
    let version = versions.default_version();
    let mut events = Vec::new();
    for (part, body) in [(Part::Request, &exchange.body), (Part::Answer, &exchange.answer)] {
        look(body, &mut String::new(), DEPTH, &mut |at, object| {
            let text = |name: &str| object.get(name).and_then(Value::as_str);
            let (Some(kind), Some(_), Some(_)) = (text("type"), text("room_id"), text("sender")) else {
                return;
            };
            if events.len() < LISTED && object.contains_key("hashes") {
                let id = reference_id(object, version).to_string();
                events.push(EventSeen { part, at: at.to_owned(), kind: kind.to_owned(), id });
            }
        });
    }
    events
}

type Found<'f> = dyn FnMut(&str, &mimi_linearized::json::Object) + 'f;

fn look(value: &Value, at: &mut String, depth: usize, found: &mut Found<'_>) {
    if depth == 0 {
        return;
    }
    let mut below = |name: &str, value: &Value, at: &mut String| {
        let length = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        look(value, at, depth.saturating_sub(1), found);
        at.truncate(length);
    };
    match value {
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                below(&index.to_string(), entry, at);
            }
        }
        Value::Object(object) => {
            // What an event's content says is no event of this exchange.
            for (name, value) in object.iter().filter(|(name, _)| *name != "content") {
                below(name, value, at);
            }
            found(at, object);
        }
        _ => {}
    }
}

/// The event ids that an answer names outside of events: as keys, such as those of `failed_pdus`, and as values.
pub(crate) fn named(answer: &Value) -> Vec<String> {
    let mut ids = Vec::new();
    collect(answer, DEPTH, &mut ids);
    ids
}

fn collect(value: &Value, depth: usize, ids: &mut Vec<String>) {
    let is_id = |text: &str| text.starts_with('$') && text.len() <= 255;
    let mut add = |text: &str| {
        if is_id(text) && ids.len() < LISTED && !ids.iter().any(|id| id == text) {
            ids.push(text.to_owned());
        }
    };
    match value {
        Value::String(text) => add(text),
        Value::Object(object) if !object.contains_key("hashes") => object.keys().for_each(|key| add(key)),
        _ => {}
    }
    if depth == 0 {
        return;
    }
    let depth = depth.saturating_sub(1);
    match value {
        Value::Array(entries) => entries.iter().for_each(|entry| collect(entry, depth, ids)),
        // The ids that an event cites are its own matter.
        Value::Object(object) if !object.contains_key("hashes") => {
            object.values().for_each(|value| collect(value, depth, ids));
        }
        _ => {}
    }
}

/// The exchange that shows a finding. A case ends at once when it does not find an answer in order, so the last answer
/// that the target gave is the one; where it waited in vain, the last thing it did shows what should have had an effect.
pub(crate) fn telling(verdict: Verdict, reason: Option<&str>, evidence: &[Kept]) -> Option<Telling> {
    if matches!(verdict, Verdict::Pass | Verdict::Skip) {
        return None;
    }
    let reason = reason.unwrap_or_default();
    let waited = (reason.contains("within ") && reason.contains("the target should:"))
        || reason.contains(" s still not: ")
        || reason.contains("the case did not end within");
    let by = |exchange: &Exchange, prefix: &str| exchange.between.starts_with(prefix);
    let last = |is: &dyn Fn(&Kept) -> bool| evidence.iter().rposition(is);
    let asked = |kept: &Kept| by(&kept.exchange, "suite ") && !by(&kept.exchange, "suite ->");
    let changed = |kept: &Kept| asked(kept) && kept.exchange.method != "GET";
    let driven = |kept: &Kept| by(&kept.exchange, "suite ->") && kept.exchange.method != "GET";
    if waited {
        let exchange =
            last(&|kept| changed(kept) || driven(kept)).or_else(|| evidence.len().checked_sub(1))?;
        return Some(Telling { exchange, how: How::Before });
    }
    let about_control =
        reason.contains("control API") || reason.starts_with("sending ") || reason.starts_with("membership ");
    let exchange = if about_control { last(&|kept| by(&kept.exchange, "suite ->")) } else { None };
    let answered = || {
        // What was only looked up, such as the keys of a server, is seldom what was found wanting.
        let last_asked = last(&asked)?;
        let key =
            |index: usize| evidence.get(index).is_some_and(|kept| kept.exchange.url.contains("/key/v2/"));
        if key(last_asked) && !reason.contains("key") {
            last(&|kept| asked(kept) && !kept.exchange.url.contains("/key/v2/"))
        } else {
            Some(last_asked)
        }
    };
    let exchange = exchange.or_else(answered).or_else(|| evidence.len().checked_sub(1))?;
    Some(Telling { exchange, how: How::Itself })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(between: &str, method: &str, url: &str) -> Kept {
        let exchange = Exchange {
            between: between.to_owned(),
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: Value::Null,
            status: Some(200),
            answer: Value::Null,
            lie: None,
        };
        Kept { exchange, details: crate::evidence::Details::default(), at_ms: 0, times: 1 }
    }

    #[test]
    fn the_answer_that_is_not_in_order_shows_it_and_before_waiting_the_last_change() {
        let evidence = [
            kept("suite -> control API of the target", "POST", "http://c/rooms"),
            kept("suite a -> target b", "PUT", "https://b/_matrix/federation/v2/send/1"),
            kept("target b -> suite a", "PUT", "https://a/_matrix/federation/v2/send/1"),
            kept("suite -> control API of the target", "GET", "http://c/rooms/1"),
        ];
        let of = |reason| {
            telling(Verdict::Fail, Some(reason), &evidence).map(|telling| (telling.exchange, telling.how))
        };
        assert_eq!(of("a transaction is to be answered 200, the answer was 500"), Some((1, How::Itself)));
        assert_eq!(of("within 20 s the target should: send it"), Some((1, How::Before)));
        assert_eq!(of("after 20 s still not: the user is joined"), Some((1, How::Before)));
        assert_eq!(of("the control API at x: refused"), Some((3, How::Itself)));
        assert_eq!(telling(Verdict::Skip, Some("nobody"), &evidence), None);
        assert_eq!(telling(Verdict::Fail, Some("nothing"), &[]), None);
    }

    #[test]
    fn events_are_found_with_their_ids_and_so_are_the_ids_an_answer_names() {
        let event = json!({
            "type": "m.room.message", "room_id": "!a:b", "sender": "@c:d", "hashes": {"lpdu": {"sha256": "x"}},
            "content": {"type": "m.no.event", "room_id": "", "sender": "", "hashes": {}}, "prev_events": ["$cited"],
        });
        let exchange = Exchange {
            body: json!({"pdus": [event, 1]}),
            answer: json!({"failed_pdus": {"$bad": {"error": "no"}}, "state": [event], "event_id": "$named", "n": "$bad"}),
            ..kept("suite a -> target b", "PUT", "https://b/").exchange
        };
        let found = seen(&exchange);
        let places: Vec<_> =
            found.iter().map(|event| (event.part, event.at.as_str(), event.kind.as_str())).collect();
        assert_eq!(
            places,
            [(Part::Request, "/pdus/0", "m.room.message"), (Part::Answer, "/state/0", "m.room.message")]
        );
        assert!(found.iter().all(|event| event.id.len() == 44 && event.id == found[0].id), "{found:?}");
        let mut ids = named(&exchange.answer);
        ids.sort();
        assert_eq!(ids, ["$bad", "$named"]);
    }
}
