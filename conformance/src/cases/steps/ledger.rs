//! What a room's list says about its state, worked out by the suite itself (LM-04 §3.5.2, §5.2.1).

use std::collections::{BTreeMap, BTreeSet};

use mimi_linearized::id::RoomId;
use serde_json::Value;

use crate::case::{Finding, fault};
use crate::cases::steps::{reference_id, text, texts};
use crate::context::Context;

/// A room's list, from its first event on.
#[derive(Debug)]
pub(in crate::cases) struct Ledger(Vec<(String, Value)>);

impl Ledger {
    /// Reads the list of a room whose hub is the target.
    pub(in crate::cases) async fn read(ctx: &Context, room: &RoomId) -> Result<Self, Finding> {
        let events = ctx.events(room).await?;
        Ok(Self(events.into_iter().map(|event| (reference_id(&event), event)).collect()))
    }

    /// The ids, in order.
    pub(in crate::cases) fn ids(&self) -> Vec<String> {
        self.0.iter().map(|(id, _)| id.clone()).collect()
    }

    /// The id of the last event that is like this.
    pub(in crate::cases) fn last(&self, what: &str, is: impl Fn(&Value) -> bool) -> Result<String, Finding> {
        let found = self.0.iter().rev().find(|(_, event)| is(event));
        found.map(|(id, _)| id.clone()).ok_or_else(|| fault(format!("the room's list has no {what}")))
    }

    /// The id of the last state event of this type with an empty state key.
    pub(in crate::cases) fn last_state(&self, kind: &str) -> Result<String, Finding> {
        let is = |event: &Value| {
            text(event, "type") == kind && event.get("state_key").and_then(Value::as_str) == Some("")
        };
        self.last(kind, is)
    }

    /// The ids of the state just before an event.
    pub(in crate::cases) fn state_before(&self, event_id: &str) -> BTreeSet<String> {
        let mut state = BTreeMap::new();
        for (id, event) in self.0.iter().take_while(|(id, _)| id != event_id) {
            if let Some(state_key) = event.get("state_key").and_then(Value::as_str) {
                state.insert((text(event, "type"), state_key), id.clone());
            }
        }
        state.into_values().collect()
    }

    /// The ids of the events that these cite, and of those that they cite, back to the first.
    pub(in crate::cases) fn auth_chain(&self, of: &BTreeSet<String>) -> BTreeSet<String> {
        let by_id: BTreeMap<&str, &Value> = self.0.iter().map(|(id, event)| (&**id, event)).collect();
        let mut chain = BTreeSet::new();
        let mut open: Vec<String> = of.iter().cloned().collect();
        while let Some(id) = open.pop() {
            let Some(event) = by_id.get(&*id) else { continue };
            for cited in texts(event, "auth_events") {
                if chain.insert(cited.clone()) {
                    open.push(cited);
                }
            }
        }
        chain
    }
}

/// The ids of the events in an array of an answer, each once.
pub(in crate::cases) fn ids_in(answer: &Value, field: &str) -> Result<BTreeSet<String>, Finding> {
    let list = answer.get(field).and_then(Value::as_array);
    let list = list.ok_or_else(|| fault(format!("the answer has no array `{field}`")))?;
    let ids: BTreeSet<String> = list.iter().map(reference_id).collect();
    if ids.len() == list.len() { Ok(ids) } else { Err(fault(format!("`{field}` has an event twice"))) }
}
