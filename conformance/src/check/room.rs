//! A whole room: every event verified, in its place, and allowed by the rules.

use std::collections::HashSet;
use std::sync::Arc;

use mimi_linearized::auth::{self, Because, MlsRule, Refusal, Rule, SelectedState};
use mimi_linearized::event::{Pdu, RoomEvent, VerifiedPdu, kind, reference_id};
use mimi_linearized::id::EventId;
use mimi_linearized::json::Object;
use mimi_linearized::participant::{Participant, Rejected, Snapshot, Verdict};
use mimi_linearized::signing::ServerKeyRing;
use mimi_linearized::version::{RoomVersion, RoomVersions};
use serde_json::Value;

use super::event::{verify, version_of};
use super::explain::{pointer, refused, shape};
use super::{CheckError, Checked, Kind, Remark, counted};

/// A room while it is checked.
struct Room<'k> {
    keys: &'k ServerKeyRing,
    version: Arc<RoomVersion>,
    participant: Participant,
    listed: HashSet<EventId>,
    remarks: Vec<Remark>,
}

/// Checks a list of events from `m.room.create` on.
pub(super) fn check(events: Vec<Value>, keys: &ServerKeyRing) -> Result<Checked, CheckError> {
    let versions = RoomVersions::all();
    let total = events.len();
    let mut objects = Vec::with_capacity(total);
    for event in events {
        match event {
            Value::Object(object) => objects.push(object),
            _ => return Err(CheckError::Form("a room is an array of events, and an event is an object")),
        }
    }
    let version = Arc::clone(version_of(objects.first(), &versions));
    let ids: Vec<String> = objects.iter().map(|object| reference_id(object, &version).to_string()).collect();
    let unchecked = |left: usize| {
        (left > 0).then(|| {
            let were = if left == 1 { "was" } else { "were" };
            Remark::note(format!("{} after it {were} not checked", counted(left, "event")))
        })
    };
    let mut objects = objects.into_iter();
    let first = objects.next().ok_or(CheckError::Form("the list is empty"))?;
    let mut room = match Room::begin(&first, keys, &version, &versions) {
        Ok(room) => room,
        Err(remark) => {
            let remarks = [at(*remark, 0)].into_iter().chain(unchecked(total.saturating_sub(1)));
            return Ok(Checked::of(Kind::Room, ids, 1, remarks.collect()).by(&version));
        }
    };
    for (index, object) in objects.enumerate() {
        let index = index.saturating_add(1);
        if !room.next(index, &object) {
            room.remarks.extend(unchecked(total.saturating_sub(index).saturating_sub(1)));
            return Ok(Checked::of(Kind::Room, ids, index.saturating_add(1), room.remarks).by(&version));
        }
    }
    Ok(Checked::of(Kind::Room, ids, total, room.remarks).by(&version))
}

/// Adds the place of the event that a remark is about.
fn at(mut remark: Remark, index: usize) -> Remark {
    remark.index = Some(index);
    remark
}

impl<'k> Room<'k> {
    /// The first event makes the room.
    fn begin(
        object: &Object,
        keys: &'k ServerKeyRing,
        version: &RoomVersion,
        versions: &RoomVersions,
    ) -> Result<Self, Box<Remark>> {
        let described = |remark: Remark| describe(remark, object, version);
        let refusal = |remark: Remark| Box::new(described(remark));
        let pdu = Pdu::from_object(object.clone(), version);
        let pdu = pdu.map_err(|error| refusal(shape(&error)))?;
        let (create, remarks) = verify(pdu, object, keys).map_err(|remark| refusal(*remark))?;
        let event = create.event();
        let version =
            auth::authorise_create(event.event(), event.auth_events(), event.prev_events(), versions);
        let version = version.map_err(|error| refusal(refused(&error)))?;
        let (room_id, prev) = (event.event().room_id().clone(), event.id().clone());
        let (hub, listed) = (event.event().sender_server().clone(), HashSet::from([prev.clone()]));
        let version = Arc::clone(version);
        let broken =
            |error: mimi_linearized::participant::SnapshotError| Box::new(Remark::fault(error.to_string()));
        let snapshot = Snapshot::new(&room_id, vec![create], Vec::new(), prev).map_err(broken)?;
        let participant = Participant::start(snapshot, &hub, versions).map_err(broken)?;
        let remarks = remarks.into_iter().map(|remark| at(described(remark), 0)).collect();
        Ok(Self { keys, version, participant, listed, remarks })
    }

    /// Checks the event at `index`. Returns whether those after it can be checked.
    fn next(&mut self, index: usize, object: &Object) -> bool {
        let version = Arc::clone(&self.version);
        let remark = |remark: Remark| at(describe(remark, object, &version), index);
        let pdu = match Pdu::from_object(object.clone(), &self.version) {
            Ok(pdu) => pdu,
            Err(error) => {
                self.remarks.push(remark(shape(&error)));
                return false;
            }
        };
        let (verified, found) = match verify(pdu, object, self.keys) {
            Ok(verified) => verified,
            Err(found) => {
                self.remarks.push(remark(*found));
                return false;
            }
        };
        self.remarks.extend(found.into_iter().map(&remark));
        let id = verified.event().id().clone();
        if verified.event().event().room_id() != self.participant.room().id() {
            self.remarks.push(remark({
                let here = self.participant.room().id().to_string();
                Remark::fault("it is an event of another room").at(pointer(&["room_id"])).accepts(here)
            }));
            return true;
        }
        if !self.listed.insert(id) {
            self.remarks.push(remark(Remark::fault("it is in the list twice").requires("LM-04/5.1/3")));
            return true;
        }
        self.place(verified, &remark)
    }

    /// What an event that comes next has to cite.
    fn to_cite(&self, event: &RoomEvent) -> String {
        let state = self.participant.room().state();
        let Some(create) = state.current(kind::CREATE, "") else { return String::new() };
        let current = |kind: &str, key: &str| state.current(kind, key);
        let selected = SelectedState::select(event.event(), create, false, current);
        let ids: Vec<String> = selected.to_cite(event.event()).iter().map(ToString::to_string).collect();
        format!("exactly {}", ids.join(", "))
    }

    fn place(&mut self, verified: VerifiedPdu, remark: &impl Fn(Remark) -> Remark) -> bool {
        let elsewhere = self.participant.predecessor_elsewhere(&verified);
        let listed = elsewhere.is_some_and(|prev| self.listed.contains(prev));
        match self.participant.judge(verified, listed) {
            Verdict::Extends(extension) => {
                if let Some(complaint) = extension.complaint() {
                    self.remarks.push(remark(soft_failed(complaint)));
                }
                // An extension that was just made belongs to the head.
                self.participant.append(extension).is_ok()
            }
            Verdict::Rejected(Rejected { event, refusal }) => {
                let mut fault = refused(&refusal);
                if matches!(
                    refusal.because,
                    Because::Cited(_) | Because::CitedTwice { .. } | Because::NotCited(_)
                ) {
                    fault = fault.accepts(self.to_cite(&event));
                }
                self.remarks.push(remark(fault));
                self.participant.keep(Rejected { event, refusal });
                true
            }
            Verdict::Gap { missing, .. } => {
                let what = format!("it follows {missing}, which is not before it in the list");
                let head =
                    format!("the id of the event before it, {}", self.participant.room().head().event_id);
                let fault = Remark::fault(what).requires("LM-04/3.5/21").at(pointer(&["prev_events"]));
                self.remarks.push(remark(fault.accepts(head)));
                false
            }
        }
    }
}

/// An event that is in the list and should not be.
fn soft_failed(complaint: &Refusal) -> Remark {
    let mut remark = refused(complaint).help("participants soft-fail the event");
    if complaint.rule == Rule::Mls(MlsRule::Lifetime) {
        remark = Remark::note(
            "its MLS group has leaves whose lifetime is over by now, and cannot be checked any more",
        );
    }
    remark
}

/// Adds which event a remark is about.
fn describe(mut remark: Remark, object: &Object, version: &RoomVersion) -> Remark {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or("?");
    remark.event_id = Some(reference_id(object, version).to_string());
    remark.event = Some(format!("{} by {}", text("type"), text("sender")));
    remark
}
