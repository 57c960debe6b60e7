//! Redaction events: what an `m.room.redaction` takes away, and what is served afterwards (reading R31).
//!
//! LM-04 has a `redact` level and no event that uses it. In the list an `m.room.redaction` is an ordinary message event.
//! What clients make of it is what Matrix has in room version 11: it takes the content of the event that
//! `content.redacts` names, if its sender has the `redact` level, or is of the same server as that event's sender. The
//! list stays as it is: id, place and signatures of an event do not depend on what redaction takes away, and neither
//! does authorization.
//!
//! ```text
//! Event::redacts -> (look the target up in the list) -> Room::judge_redaction -> Redaction
//!                -> (store that the target is redacted) -> Room::redact; from then on Room::serve
//! ```

use std::sync::Arc;

use super::{Log, Position, Room, Visibility};
use crate::auth::{Action, Levels};
use crate::event::{RoomEvent, kind};
use crate::id::{EventId, RoomId, ServerName};

/// Why a redaction event takes nothing away. It stays in the list all the same, and is not shown to clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoEffect {
    /// It is no `m.room.redaction`, or a state event.
    #[error("the event is no redaction")]
    NotARedaction,
    /// It names no event. A redaction that was redacted itself is one; what it has done stays done.
    #[error("the redaction names no event")]
    NamesNothing,
    /// It names another event than the one given.
    #[error("the redaction names {0}")]
    OtherEvent(EventId),
    /// It is of another room.
    #[error("the redacted event is of the room {0}")]
    OtherRoom(RoomId),
    /// A commit stays whole, or nobody could follow the MLS group any more (LM-04 §4.3).
    #[error("a commit is not redacted")]
    Commit,
    /// Its sender has not the level, and the redacted event was sent from another server.
    #[error("the sender's level is {have}, and {need} is needed for an event of another server")]
    Level {
        /// The sender's level before the redaction.
        have: i64,
        /// The `redact` level before the redaction.
        need: i64,
    },
}

/// A redaction that takes effect.
#[derive(Debug, Clone)]
pub struct Redaction {
    by: EventId,
    redacted: Arc<RoomEvent>,
}

impl Redaction {
    /// The redaction event.
    #[must_use]
    pub fn by(&self) -> &EventId {
        &self.by
    }

    /// The redacted event as it is from now on, under the id that it had.
    #[must_use]
    pub fn redacted(&self) -> &Arc<RoomEvent> {
        &self.redacted
    }
}

impl Room {
    /// Decides whether the redaction at the position `at` of the list takes effect on `target`, the event that it
    /// names. Both are in the list and none is there as rejected. The power levels before the redaction count; if
    /// others have replaced them since, they are read from the log.
    ///
    /// # Errors
    /// What the log says if they cannot be read. The answer itself is the inner result.
    pub fn judge_redaction<L: Log + ?Sized>(
        &self,
        log: &L,
        redaction: &RoomEvent,
        at: Position,
        target: &RoomEvent,
    ) -> Result<Result<Redaction, NoEffect>, L::Error> {
        let levels =
            self.state.before(at, kind::POWER_LEVELS, "").map(|levels| levels.read(log)).transpose()?;
        Ok(self.judge_with_levels(redaction, levels.as_deref(), target))
    }

    fn judge_with_levels(
        &self,
        redaction: &RoomEvent,
        levels: Option<&RoomEvent>,
        target: &RoomEvent,
    ) -> Result<Redaction, NoEffect> {
        let event = redaction.event();
        if event.kind() != kind::REDACTION || event.state_key().is_some() {
            return Err(NoEffect::NotARedaction);
        }
        let named = event.redacts().ok_or(NoEffect::NamesNothing)?;
        if named != *target.id() {
            return Err(NoEffect::OtherEvent(named));
        }
        if target.event().room_id() != event.room_id() {
            return Err(NoEffect::OtherRoom(target.event().room_id().clone()));
        }
        if target.event().kind() == kind::MLS_COMMIT {
            return Err(NoEffect::Commit);
        }
        if event.sender_server() != target.event().sender_server() {
            let content = levels.map(|event| event.event().content());
            let levels = Levels::new(content, self.create.event().sender());
            let (have, need) = (levels.user(event.sender()), levels.action(Action::Redact));
            if have < need {
                return Err(NoEffect::Level { have, need });
            }
        }
        let redacted = Arc::new(target.redacted(&self.version.redaction));
        Ok(Redaction { by: redaction.id().clone(), redacted })
    }

    /// Takes the content away where the room itself keeps the event: from the present state, and so from what newcomers
    /// and invited users are shown. What is read back from the log is the embedder's to redact.
    pub fn redact(&mut self, redaction: &Redaction) {
        self.state.replace(&redaction.redacted);
    }

    /// The bytes to serve of the event at `position` to a server that asks for it; `None` if it may not know of it.
    /// `is_redacted` says whether a redaction has taken effect on it: then nobody is given its content any more.
    #[must_use]
    pub fn serve(
        &self,
        to: &ServerName,
        position: Position,
        event: &RoomEvent,
        is_redacted: bool,
    ) -> Option<Arc<[u8]>> {
        match self.visibility(to, position, event) {
            Visibility::None => None,
            Visibility::Full if !is_redacted => Some(Arc::clone(event.bytes())),
            Visibility::Full | Visibility::Redacted => {
                Some(Arc::clone(event.redacted(&self.version.redaction).bytes()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::{Draft, Integrity};
    use crate::participant::Verdict;
    use crate::testing::*;
    use crate::version::{DRAFT_01, TRANSFER};

    const ADA: &str = "@ada:b.example";

    /// Alice's room with Bob and Ada of one server, and Carol of another.
    fn room() -> TestHub {
        let mut hub = TestHub::new(json!({})).public();
        for user in [BOB, ADA, CAROL] {
            hub.member(user, user, "join").unwrap();
        }
        hub
    }

    fn last(hub: &TestHub) -> Position {
        hub.hub.room().head().length - 1
    }

    fn message(hub: &mut TestHub, sender: &str) -> Arc<RoomEvent> {
        hub.event(sender, "m.room.message", None, json!({"body": "secret"})).unwrap()
    }

    /// Redacts with the newest event of the list.
    fn redact(hub: &mut TestHub, sender: &str, target: &RoomEvent) -> Result<Redaction, NoEffect> {
        let redaction = hub.event(sender, "m.room.redaction", None, json!({"redacts": target.id()})).unwrap();
        hub.hub.room().judge_redaction(&hub.log(), &redaction, last(hub), target).unwrap()
    }

    fn content(bytes: &[u8]) -> Value {
        serde_json::from_slice::<Value>(bytes).unwrap()["content"].clone()
    }

    #[test]
    fn the_senders_server_redacts_without_a_level() {
        let mut hub = room();
        let target = message(&mut hub, BOB);
        for sender in [BOB, ADA] {
            let redaction = redact(&mut hub, sender, &target).unwrap();
            assert_eq!(
                (redaction.by(), redaction.redacted().id()),
                (hub.list.last().unwrap().id(), target.id())
            );
            assert!(redaction.redacted().event().content().is_empty());
        }
        assert_eq!(redact(&mut hub, CAROL, &target).unwrap_err(), NoEffect::Level { have: 0, need: 50 });
    }

    #[test]
    fn the_level_before_the_redaction_counts() {
        let mut hub = room();
        let target = message(&mut hub, BOB);
        let levels = |carol: i64, redact: i64| json!({"users": {ALICE: 100, CAROL: carol}, "redact": redact});
        assert!(redact(&mut hub, ALICE, &target).is_ok(), "the creator has 100");
        hub.event(ALICE, "m.room.power_levels", Some(""), levels(60, 61)).unwrap();
        assert_eq!(redact(&mut hub, CAROL, &target).unwrap_err(), NoEffect::Level { have: 60, need: 61 });
        let (early, at) = (hub.list.last().unwrap().clone(), last(&hub));
        hub.event(ALICE, "m.room.power_levels", Some(""), levels(60, 60)).unwrap();
        assert!(redact(&mut hub, CAROL, &target).is_ok());
        assert!(
            hub.hub.room().judge_redaction(&hub.log(), &early, at, &target).unwrap().is_err(),
            "levels given later do not"
        );
    }

    #[test]
    fn what_is_no_redaction_takes_nothing() {
        let mut hub = room();
        let (target, other) = (message(&mut hub, BOB), message(&mut hub, BOB));
        let levels = json!({"users": {ALICE: 100}, "state_default": 0});
        hub.event(ALICE, "m.room.power_levels", Some(""), levels).unwrap();
        let mut judge = |kind: &str, key: Option<&str>, content: Value| {
            let event = hub.event(BOB, kind, key, content).unwrap();
            hub.hub.room().judge_redaction(&hub.log(), &event, last(&hub), &target).unwrap().unwrap_err()
        };
        let names = json!({"redacts": target.id()});
        assert_eq!(judge("m.room.message", None, names.clone()), NoEffect::NotARedaction);
        assert_eq!(judge("m.room.redaction", Some(""), names), NoEffect::NotARedaction);
        for content in [json!({}), json!({"redacts": 5}), json!({"redacts": "x"})] {
            assert_eq!(judge("m.room.redaction", None, content), NoEffect::NamesNothing);
        }
        let elsewhere = json!({"redacts": other.id()});
        assert_eq!(judge("m.room.redaction", None, elsewhere), NoEffect::OtherEvent(other.id().clone()));
        let commit = hub.event(BOB, "m.mls.commit", None, json!({})).unwrap();
        assert_eq!(redact(&mut hub, BOB, &commit).unwrap_err(), NoEffect::Commit);
    }

    #[test]
    fn an_event_of_another_room_is_not_redacted() {
        let mut hub = room();
        let message = hub.draft(BOB, "m.room.message", None, json!({}));
        let id = RoomId::parse("!other:hub.example").unwrap();
        let stray = forge(&hub, Draft { room_id: id.clone(), ..message }, &[], &[]).into_event();
        assert_eq!(redact(&mut hub, BOB, &stray).unwrap_err(), NoEffect::OtherRoom(id));
    }

    #[test]
    fn a_redacted_event_is_served_without_its_content_and_verifies() {
        let mut hub = room();
        let target = message(&mut hub, BOB);
        let at = last(&hub);
        let (c, d) = (server("c.example"), server("d.example"));
        let room = hub.hub.room();
        let served = |to, is_redacted| room.serve(to, at, &target, is_redacted);
        assert_eq!(content(&served(&c, false).unwrap()), json!({"body": "secret"}));
        let without = served(&c, true).unwrap();
        assert_eq!(content(&without), json!({}));
        assert_eq!((served(&d, false), served(&d, true)), (None, None));
        let pdu = pdu_of(&without);
        assert_eq!((pdu.event().id(), pdu.integrity()), (target.id(), Integrity::Redacted));
    }

    #[test]
    fn a_redacted_event_is_followed_like_the_whole_one() {
        let mut hub = room();
        let mut participant = hub.join("@dora:d.example");
        let target = hub.event(ALICE, "m.room.name", Some(""), json!({"name": "secret"})).unwrap();
        let redaction = redact(&mut hub, ALICE, &target).unwrap();
        for bytes in [redaction.redacted().bytes(), hub.list.last().unwrap().bytes()] {
            let Verdict::Extends(extension) = participant.judge(pdu_of(bytes), false) else {
                panic!("not sound")
            };
            participant.append(extension).unwrap();
        }
        assert_eq!(participant.room().head().event_id, hub.hub.room().head().event_id);
    }

    #[test]
    fn redacted_state_loses_its_content_and_keeps_its_slot() {
        let mut hub = room();
        let name = hub.event(ALICE, "m.room.name", Some(""), json!({"name": "secret"})).unwrap();
        let rules = hub.hub.room().state().current("m.room.join_rules", "").unwrap().clone();
        let shown = |hub: &TestHub| {
            let stripped = hub.hub.room().stripped_state();
            stripped.into_iter().find(|event| event.kind == "m.room.name").unwrap().content
        };
        assert_eq!(Value::Object(shown(&hub)), json!({"name": "secret"}));
        for target in [&name, &Arc::new(rules)] {
            let redaction = redact(&mut hub, ALICE, target).unwrap();
            hub.hub.room_mut().redact(&redaction);
        }
        assert!(shown(&hub).is_empty());
        let state = hub.hub.room().state();
        assert_eq!(state.current("m.room.name", "").unwrap().id(), name.id());
        assert!(state.by_id(name.id()).unwrap().held().unwrap().event().content().is_empty());
        // What authorization looks at stays.
        assert_eq!(
            state.current("m.room.join_rules", "").unwrap().event().content_str("join_rule"),
            Some("public")
        );
        assert!(hub.member("@dora:d.example", "@dora:d.example", "join").is_ok());
    }

    in_versions! {
        draft_01 = DRAFT_01 => [
            the_senders_server_redacts_without_a_level,
            the_level_before_the_redaction_counts,
            a_redacted_event_is_served_without_its_content_and_verifies,
        ]
        transfer = TRANSFER => [
            the_senders_server_redacts_without_a_level,
            the_level_before_the_redaction_counts,
            what_is_no_redaction_takes_nothing,
            a_redacted_event_is_followed_like_the_whole_one,
            a_redacted_event_is_served_without_its_content_and_verifies,
            redacted_state_loses_its_content_and_keeps_its_slot,
        ]
    }
}
