//! A participant following its hub (LM-04 §5.1, readings R10, R13 and R14).

use std::sync::Arc;

use mimi_linearized::auth::{Because, Refusal, RoomRule};
use mimi_linearized::encryption::StagedCommit;
use mimi_linearized::event::{Pdu, RoomEvent, VerifiedPdu};
use mimi_linearized::id::ServerName;
use mimi_linearized::json::Object;
use mimi_linearized::participant::{Extension, Participant, Rejected, Verdict};
use mimi_linearized::room::Room;

use super::RoomError;
use super::hub::{Provenance, record_of};
use crate::node::Node;
use crate::store::{Evidence, ExpectedHead};

impl Node {
    /// Judges a PDU from the hub and appends it if it is sound; what is missing before it is fetched from the hub.
    ///
    /// `Ok(Some)` is the rejection to report, `Ok(None)` means that the event is in the list.
    pub(super) async fn follow(
        &self,
        participant: &mut Participant,
        pdu: VerifiedPdu,
        from: &Provenance,
    ) -> Result<Option<Refusal>, RoomError> {
        if self.store.locate(pdu.event().id()).await?.is_some() {
            return Ok(None);
        }
        match self.judge(participant, pdu).await? {
            Verdict::Extends(extension) => {
                self.extend(participant, extension, from).await?;
                Ok(None)
            }
            Verdict::Rejected(rejected) => self.reject(participant, rejected).await.map(Some),
            Verdict::Gap { missing, pdu } => {
                self.fill_gap(participant, missing.clone(), from).await;
                match self.judge(participant, pdu).await? {
                    Verdict::Extends(extension) => {
                        self.extend(participant, extension, from).await?;
                        Ok(None)
                    }
                    Verdict::Rejected(rejected) => self.reject(participant, rejected).await.map(Some),
                    Verdict::Gap { pdu, .. } => {
                        let refusal = Refusal::new(RoomRule::UnknownPredecessor, Because::Event(missing));
                        let rejected = Rejected { event: pdu.into_event(), refusal };
                        self.reject(participant, rejected).await.map(Some)
                    }
                }
            }
        }
    }

    pub(super) async fn judge(
        &self,
        participant: &Participant,
        pdu: VerifiedPdu,
    ) -> Result<Verdict, RoomError> {
        let listed = match participant.predecessor_elsewhere(&pdu) {
            None => false,
            Some(prev) => {
                let location = self.store.locate(prev).await?;
                location.is_some_and(|location| location.room_id == *participant.room().id())
            }
        };
        let apart = self.apart_from_hub(participant.room(), pdu.event()).await?;
        Ok(participant.judge_with(pdu, listed, &apart))
    }

    /// Stores and appends an extension, step by step.
    pub(super) async fn extend(
        &self,
        participant: &mut Participant,
        extension: Extension,
        from: &Provenance,
    ) -> Result<(), RoomError> {
        let room_id = participant.room().id().clone();
        let hub = participant.room().hub().clone();
        let epoch = participant.room().encryption().epoch();
        if let Some(complaint) = extension.complaint()
            && let Some(step) = extension.steps().last()
        {
            self.keep_evidence(&room_id, step.event(), &hub, complaint).await?;
        }
        let mut expected = match participant.room().head().length {
            0 => ExpectedHead::Empty,
            _ => ExpectedHead::Event(extension.after().event_id.clone()),
        };
        self.note_overlooked(participant.room(), &extension).await?;
        let mut position = 0;
        for step in extension.steps() {
            self.note_repeated_lpdu(participant.room(), step.event()).await?;
            let record =
                record_of(participant.room().version(), step.event(), step.effect(), from, Vec::new());
            self.keep_named(&room_id, step.event().event()).await?;
            position = self.store.append(&room_id, expected, record).await?;
            expected = ExpectedHead::Event(step.event().id().clone());
        }
        let events = participant.append(extension)?;
        if let Some(last) = events.last() {
            self.keep_group(participant.room(), epoch, position, last).await;
        }
        for event in events {
            self.applied(participant.room(), &event).await;
        }
        Ok(())
    }

    /// A hub seals an LPDU once; a second PDU of it is listed all the same, and held against the hub (reading R14).
    async fn note_repeated_lpdu(&self, room: &Room, event: &RoomEvent) -> Result<(), RoomError> {
        let Some(key) = event.lpdu_key(room.version()) else { return Ok(()) };
        let earlier = self.store.record_of_lpdu(room.id(), &key).await?;
        // Another process may have listed this very event just now.
        if let Some(earlier) = earlier.filter(|earlier| earlier.event_id != *event.id()) {
            let refusal = Refusal::new(RoomRule::SealedTwice, Because::Event(earlier.event_id));
            self.keep_evidence(room.id(), event, room.hub(), &refusal).await?;
        }
        Ok(())
    }

    /// Commits that bring in leaves under the names of this server's own users' devices: the hub can ask this server what
    /// these are. The commits take effect, and are held against the hub (reading R40).
    async fn note_overlooked(&self, room: &Room, extension: &Extension) -> Result<(), RoomError> {
        // Who was added before this server came may have had that device then.
        let follows =
            |commit: &StagedCommit| room.encryption().tracker().is_some() || commit.change().epoch == 1;
        for step in extension.steps() {
            let Some(commit) = step.commit().filter(|commit| follows(commit)) else { continue };
            if let Some(refusal) = self.overlooked_leaf(commit).await? {
                let event = step.event();
                tracing::warn!(room = %room.id(), event = %event.id(), %refusal, "the hub took a commit with a leaf of no device");
                self.keep_evidence(room.id(), event, room.hub(), &refusal).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn reject(
        &self,
        participant: &mut Participant,
        rejected: Rejected,
    ) -> Result<Refusal, RoomError> {
        let refusal = rejected.refusal.clone();
        let room = participant.room();
        tracing::warn!(room = %room.id(), event = %rejected.event.id(), %refusal, "rejected an event of the hub");
        self.keep_evidence(room.id(), &rejected.event, room.hub(), &refusal).await?;
        participant.keep(rejected);
        Ok(refusal)
    }

    async fn keep_evidence(
        &self,
        room_id: &mimi_linearized::id::RoomId,
        event: &RoomEvent,
        origin: &ServerName,
        refusal: &Refusal,
    ) -> Result<(), RoomError> {
        let evidence = Evidence {
            room_id: room_id.clone(),
            event_id: event.id().clone(),
            origin: origin.clone(),
            rule: refusal.rule.to_string(),
            detail: refusal.because.to_string(),
            bytes: Arc::clone(event.bytes()),
        };
        Ok(self.store.put_evidence(evidence).await?)
    }

    /// Checks events that a hub returned; those that do not verify are left out (LM-04 §5.1 steps 1 and 2).
    pub(super) async fn verify_all(&self, room: &Room, objects: Vec<Object>) -> Vec<VerifiedPdu> {
        let pdus: Vec<Pdu> =
            objects.into_iter().filter_map(|object| Pdu::from_object(object, room.version()).ok()).collect();
        self.verify_pdus(pdus).await
    }
}
