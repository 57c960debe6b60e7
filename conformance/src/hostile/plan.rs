//! What becomes of a row of events: which of them are sent or given, in which order, how often.

use serde_json::Value;

use super::lie::Lie;

/// How many events a transaction has that has too many (LM-04 §12.5.1).
const TOO_MANY: usize = 51;
/// How often the same is sent in a flood.
const FLOOD: usize = 60;
/// The members of answers that are arrays of events.
const ARRAYS: [&str; 3] = ["pdus", "state", "auth_chain"];

/// What is sent.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    /// The transactions: the id and the events of each.
    pub(super) transactions: Vec<(String, Vec<Value>)>,
    /// Whether they are sent all at once, and not one after the other.
    pub(super) at_once: bool,
}

/// What is sent to a server instead of a transaction with these events.
///
/// `late` is what was kept back before, `alone` whether nobody else is told of the events, `is_first` whether the server
/// is the one that gets the first version of two.
pub(super) fn make(
    lies: &[Lie],
    events: Vec<Value>,
    late: &mut Vec<Value>,
    alone: bool,
    is_first: bool,
    twist: &dyn Fn(Lie, &Value) -> Value,
    txn_id: &dyn Fn() -> String,
) -> Plan {
    let mut plan = Plan { transactions: vec![(txn_id(), events)], at_once: false };
    // What was kept back comes behind what follows it, whatever else becomes of it.
    let kept_back = std::mem::take(late);
    for lie in lies {
        let transactions = std::mem::take(&mut plan.transactions);
        let all =
            |lie: Lie, events: &[Value]| events.iter().map(|event| twist(lie, event)).collect::<Vec<_>>();
        for (id, events) in transactions {
            match lie {
                Lie::Withhold => {}
                Lie::Replay => plan.transactions.extend([(id, events.clone()), (txn_id(), events)]),
                Lie::Reorder if events.len() == 1 && kept_back.is_empty() => late.extend(events),
                Lie::Reorder => plan.transactions.push((id, events.into_iter().rev().collect())),
                Lie::OversizeTransaction => {
                    plan.transactions.push((id, events.into_iter().cycle().take(TOO_MANY).collect()));
                }
                Lie::Flood => {
                    let again = (1..FLOOD).map(|_| (txn_id(), events.clone()));
                    plan.transactions.extend(again);
                    plan.transactions.push((id, events));
                    plan.at_once = true;
                }
                Lie::Equivocate => {
                    let other = all(Lie::Equivocate, &events);
                    // An event is for the hub as long as it has no place in the list.
                    let is_lpdu = events.iter().any(|event| event.get("prev_events").is_none());
                    match (is_lpdu, alone, is_first) {
                        (true, ..) => plan.transactions.extend([(id.clone(), other), (id, events)]),
                        (_, true, _) => plan.transactions.extend([(id, other), (txn_id(), events)]),
                        (_, _, true) => plan.transactions.push((id, events)),
                        (..) => plan.transactions.push((id, other)),
                    }
                }
                lie => plan.transactions.push((id, all(*lie, &events))),
            }
        }
    }
    if let Some((_, events)) = plan.transactions.last_mut() {
        events.extend(kept_back);
    } else {
        late.splice(..0, kept_back);
    }
    plan
}

/// Whether an answer has events, or is one.
pub(super) fn has_events(body: &Value) -> bool {
    is_event(body)
        || body.get("event").is_some_and(is_event)
        || ARRAYS.iter().any(|name| events_of(body, name).is_some())
}

fn is_event(value: &Value) -> bool {
    value.get("sender").is_some() && value.get("type").is_some() && value.get("signatures").is_some()
}

fn events_of<'b>(body: &'b Value, name: &str) -> Option<&'b Vec<Value>> {
    body.get(name).and_then(Value::as_array).filter(|events| events.iter().any(is_event))
}

/// The room of the first event in an answer.
pub(super) fn room_of(body: &Value) -> Option<String> {
    let in_array = || ARRAYS.iter().find_map(|name| events_of(body, name)?.first());
    let event = Some(body).filter(|body| is_event(body)).or_else(|| body.get("event")).or_else(in_array);
    event?.get("room_id")?.as_str().map(ToOwned::to_owned)
}

/// Changes the events of an answer.
pub(super) fn twist_answer(lie: Lie, body: &mut Value, twist: &dyn Fn(&Value) -> Value) {
    if is_event(body) {
        *body = twist(body);
        return;
    }
    if let Some(event) = body.get_mut("event").filter(|event| is_event(event)) {
        *event = twist(event);
    }
    for name in ARRAYS {
        let Some(Value::Array(events)) = body.get_mut(name) else { continue };
        let twisted: Vec<Value> = events.iter().map(twist).collect();
        *events = match lie {
            Lie::Reorder => twisted.into_iter().rev().collect(),
            Lie::Replay => twisted.iter().flat_map(|event| [event.clone(), event.clone()]).collect(),
            Lie::Flood => {
                let count = twisted.len().saturating_mul(FLOOD);
                twisted.into_iter().cycle().take(count).collect()
            }
            Lie::OversizeTransaction => {
                let count = twisted.len().max(TOO_MANY);
                twisted.into_iter().cycle().take(count).collect()
            }
            _ => twisted,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;

    fn event(number: usize) -> Value {
        json!({"sender": "@a:a", "type": "t", "signatures": {}, "prev_events": [], "number": number, "room_id": "!r:a"})
    }

    fn numbers(events: &[Value]) -> Vec<i64> {
        events.iter().map(|event| event["number"].as_i64().unwrap()).collect()
    }

    /// The events of each transaction, and how many ids there are; the other version of an event has a negative number.
    fn planned(
        lies: &[Lie],
        events: &[usize],
        late: &mut Vec<Value>,
        alone: bool,
        first: bool,
    ) -> (Vec<Vec<i64>>, i64) {
        let ids = Cell::new(0);
        let txn_id = || {
            ids.set(ids.get() + 1);
            ids.get().to_string()
        };
        let twist = |_: Lie, event: &Value| {
            let mut event = event.clone();
            event["number"] = json!(-event["number"].as_i64().unwrap());
            event
        };
        let events = events.iter().copied().map(event).collect();
        let plan = make(lies, events, late, alone, first, &twist, &txn_id);
        assert_eq!(plan.at_once, lies.contains(&Lie::Flood));
        (plan.transactions.iter().map(|(_, events)| numbers(events)).collect(), ids.get())
    }

    #[test]
    fn a_row_of_events_is_sent_as_the_lie_has_it() {
        let simply = |lies: &[Lie]| planned(lies, &[1, 2], &mut Vec::new(), true, true).0;
        assert_eq!(simply(&[]), [[1, 2]]);
        assert_eq!(simply(&[Lie::Withhold]), Vec::<Vec<i64>>::new());
        assert_eq!(simply(&[Lie::Replay]), [[1, 2], [1, 2]]);
        assert_eq!(simply(&[Lie::Reorder]), [[2, 1]]);
        assert_eq!(simply(&[Lie::Tamper]), [[-1, -2]]);
        assert_eq!(simply(&[Lie::Tamper, Lie::Replay]), [[-1, -2], [-1, -2]]);
        assert_eq!(simply(&[Lie::Flood]), vec![vec![1, 2]; FLOOD]);
        assert_eq!(simply(&[Lie::OversizeTransaction])[0].len(), TOO_MANY);
        assert_eq!(simply(&[Lie::Equivocate]), [[-1, -2], [1, 2]]);
        let of_several = |first| planned(&[Lie::Equivocate], &[1], &mut Vec::new(), false, first).0;
        assert_eq!((of_several(true), of_several(false)), (vec![vec![1]], vec![vec![-1]]));
    }

    #[test]
    fn a_single_event_waits_for_the_next_one() {
        let mut late = Vec::new();
        assert!(planned(&[Lie::Reorder], &[1], &mut late, true, true).0.is_empty());
        assert_eq!(planned(&[Lie::Reorder], &[2], &mut late, true, true).0, [[2, 1]]);
        assert!(late.is_empty());
        // Also if the lie is over by then.
        assert!(planned(&[Lie::Reorder], &[3], &mut late, true, true).0.is_empty());
        assert_eq!(planned(&[], &[4], &mut late, true, true).0, [[4, 3]]);
    }

    #[test]
    fn two_stories_for_a_hub_go_under_one_id() {
        let mut lpdu = event(1);
        lpdu.as_object_mut().unwrap().remove("prev_events");
        let ids = Cell::new(0);
        let txn_id = || {
            ids.set(ids.get() + 1);
            ids.get().to_string()
        };
        let plan = make(
            &[Lie::Equivocate],
            vec![lpdu],
            &mut Vec::new(),
            true,
            true,
            &|_, event| event.clone(),
            &txn_id,
        );
        let of: Vec<&str> = plan.transactions.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(of, ["1", "1"]);
    }

    #[test]
    fn events_are_found_wherever_an_answer_has_them() {
        let negative = |event: &Value| {
            let mut event = event.clone();
            event["number"] = json!(-1);
            event
        };
        let answers = [
            event(1),
            json!({"event": event(1), "state": [event(1)], "auth_chain": []}),
            json!({"pdus": [event(1), event(2)]}),
        ];
        for mut answer in answers {
            assert!(has_events(&answer));
            assert_eq!(room_of(&answer).as_deref(), Some("!r:a"));
            twist_answer(Lie::Tamper, &mut answer, &negative);
            assert!(!answer.to_string().contains("\"number\":1"), "{answer}");
        }
        assert!(!has_events(&json!({"pdus": []})) && !has_events(&json!({"server_name": "a"})));
        let mut answer = json!({"pdus": [event(1), event(2)]});
        twist_answer(Lie::Reorder, &mut answer, &Value::clone);
        assert_eq!(numbers(answer["pdus"].as_array().unwrap()), [2, 1]);
        twist_answer(Lie::Replay, &mut answer, &Value::clone);
        assert_eq!(numbers(answer["pdus"].as_array().unwrap()), [2, 2, 1, 1]);
    }
}
