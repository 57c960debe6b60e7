//! Whole rooms, through a hub and through a participant.

use std::sync::Arc;

use mimi_linearized::event::{Draft, Lpdu, Pdu, RoomEvent, kind};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{EventId, RoomId, ServerName, UserId};
use mimi_linearized::json::{Object, as_integer};
use mimi_linearized::participant::{Participant, Snapshot, Verdict};
use mimi_linearized::signing::{ServerKeyRing, SigningKey};
use mimi_linearized::version::{RoomVersion, RoomVersions};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Found, Key, Server, Unusable, object, ring, version};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HubInput {
    hub: Server,
    keys: Vec<Key>,
    steps: Vec<Step>,
}

/// What is sealed next, and what it has to name. One of `own` and `lpdu` is there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    own: Option<String>,
    lpdu: Option<String>,
    auth_events: Vec<String>,
    prev_events: Vec<String>,
}

impl Step {
    /// The hub chooses what an event names by itself: that has to be what is given. The order of `auth_events` is free,
    /// and the library's shows in the bytes.
    fn check(&self, event: &RoomEvent) -> Result<(), Unusable> {
        let sorted = |mut ids: Vec<String>| {
            ids.sort_unstable();
            ids
        };
        let texts = |ids: &[EventId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        if sorted(texts(event.auth_events())) != sorted(self.auth_events.clone()) {
            return Err(Unusable::Member("auth_events"));
        }
        if texts(event.prev_events()) != self.prev_events {
            return Err(Unusable::Member("prev_events"));
        }
        Ok(())
    }
}

/// The hub of a room, before and after it has one.
struct Sealing {
    name: ServerName,
    key: SigningKey,
    ring: ServerKeyRing,
    versions: RoomVersions,
    room: Option<(Hub, Arc<RoomVersion>)>,
}

pub(super) fn hub(input: &HubInput) -> Found {
    let mut sealing = Sealing {
        name: input.hub.name()?,
        key: input.hub.key()?,
        ring: ring(&input.keys)?,
        versions: RoomVersions::lm_04(),
        room: None,
    };
    let steps: Vec<Value> = input.steps.iter().map(|step| sealing.step(step)).collect::<Result<_, _>>()?;
    Ok(json!({"steps": steps}))
}

impl Sealing {
    fn proposal(&self, step: &Step) -> Result<Proposal, Unusable> {
        let version = self.room.as_ref().map_or_else(|| version(&self.versions), |(_, version)| version);
        match (&step.own, &step.lpdu) {
            (Some(text), None) => {
                Proposal::of_own(draft(&object(text, "own")?)?, version).map_err(|_| Unusable::Member("own"))
            }
            (None, Some(text)) => {
                let lpdu = Lpdu::parse(text.as_bytes(), version).map_err(|_| Unusable::Member("lpdu"))?;
                Ok(Proposal::of_lpdu(lpdu.verify(&self.ring).map_err(|_| Unusable::Member("keys"))?))
            }
            _ => Err(Unusable::Member("own")),
        }
    }

    fn step(&mut self, step: &Step) -> Found {
        let proposal = self.proposal(step)?;
        let authorised = match &self.room {
            None => Hub::authorise_create(proposal, &self.versions),
            Some((hub, version)) => {
                hub.authorise(proposal).map(|authorised| (authorised, Arc::clone(version)))
            }
        };
        let sealed = authorised.and_then(|(authorised, version)| {
            Ok((authorised.seal(&self.name, &self.key, &version, 0)?, version))
        });
        let (sealed, version) = match sealed {
            Ok(sealed) => sealed,
            Err(refusal) => return Ok(json!({"accepted": false, "rule": refusal.rule.to_string()})),
        };
        step.check(sealed.event())?;
        let told = told(sealed.event());
        match &mut self.room {
            Some((hub, _)) => drop(hub.append(sealed).map_err(|_| Unusable::Member("steps"))?),
            None => {
                let hub = Hub::begin(sealed, Arc::clone(&version)).ok_or(Unusable::Member("steps"))?;
                self.room = Some((hub, version));
            }
        }
        Ok(told)
    }
}

fn told(event: &RoomEvent) -> Value {
    json!({"accepted": true, "event_id": event.id(), "pdu": String::from_utf8_lossy(event.bytes())})
}

/// What the maker of an event chooses.
fn draft(event: &Object) -> Result<Draft, Unusable> {
    let text = |field: &'static str| event.get(field).and_then(Value::as_str).ok_or(Unusable::Member(field));
    Ok(Draft {
        room_id: RoomId::parse(text("room_id")?).map_err(|_| Unusable::Member("room_id"))?,
        kind: text("type")?.to_owned(),
        state_key: event.get("state_key").and_then(Value::as_str).map(ToOwned::to_owned),
        sender: UserId::parse(text("sender")?).map_err(|_| Unusable::Member("sender"))?,
        content: event
            .get("content")
            .and_then(Value::as_object)
            .cloned()
            .ok_or(Unusable::Member("content"))?,
        origin_server_ts: event
            .get("origin_server_ts")
            .and_then(as_integer)
            .ok_or(Unusable::Member("origin_server_ts"))?,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ParticipantInput {
    keys: Vec<Key>,
    pdus: Vec<String>,
}

pub(super) fn participant(input: &ParticipantInput) -> Found {
    let ring = ring(&input.keys)?;
    let versions = RoomVersions::lm_04();
    let (first, rest) = input.pdus.split_first().ok_or(Unusable::Member("pdus"))?;
    let create = Pdu::parse(first.as_bytes(), version(&versions)).map_err(|_| Unusable::Member("pdus"))?;
    let create = create.verify(&ring).map_err(|_| Unusable::Member("keys"))?;
    let (room_id, prev) = (create.event().event().room_id().clone(), create.event().id().clone());
    let hub = create.event().event().sender_server().clone();
    let is_create = create.event().event().is_state(kind::CREATE, "");
    let snapshot = Snapshot::new(&room_id, vec![create], Vec::new(), prev.clone());
    let snapshot = snapshot.map_err(|_| Unusable::Member("pdus"))?;
    let mut participant =
        Participant::start(snapshot, &hub, &versions).map_err(|_| Unusable::Member("pdus"))?;
    let mut listed = vec![prev];
    let mut verdicts = vec![json!({"verdict": if is_create { "extends" } else { "dropped" }})];
    for text in rest {
        let Ok(pdu) = Pdu::parse(text.as_bytes(), participant.room().version()) else {
            verdicts.push(json!({"verdict": "dropped"}));
            continue;
        };
        let Ok(pdu) = pdu.verify(&ring) else {
            verdicts.push(json!({"verdict": "dropped"}));
            continue;
        };
        let elsewhere = participant.predecessor_elsewhere(&pdu).is_some_and(|prev| listed.contains(prev));
        verdicts.push(match participant.judge(pdu, elsewhere) {
            Verdict::Extends(extension) => {
                let appended = participant.append(extension).map_err(|_| Unusable::Member("pdus"))?;
                listed.extend(appended.iter().map(|event| event.id().clone()));
                json!({"verdict": "extends"})
            }
            Verdict::Rejected(rejected) => {
                let rule = rejected.refusal.rule.to_string();
                participant.keep(rejected);
                json!({"verdict": "rejected", "rule": rule})
            }
            Verdict::Gap { .. } => json!({"verdict": "gap"}),
        });
    }
    let sound = verdicts.iter().all(|verdict| *verdict == json!({"verdict": "extends"}));
    let disputed = participant.room().is_disputed();
    Ok(json!({
        "accepted": sound && !disputed,
        "verdicts": verdicts,
        "head": participant.room().head().event_id,
        "disputed": disputed,
    }))
}
