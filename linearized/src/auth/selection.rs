//! The state that authorization looks at, and the events to cite for it (LM-04 §5.2.1).

use serde_json::Value;

use super::{AuthRule, Because, Levels, Membership, Refusal};
use crate::event::{Event, RoomEvent, kind};
use crate::id::{EventId, UserId};

/// The state events that decide about one event, taken from the state before it.
#[derive(Debug, Clone, Copy)]
pub struct SelectedState<'s> {
    /// `m.room.create`.
    pub create: &'s RoomEvent,
    /// `m.room.power_levels`, if any.
    pub power_levels: Option<&'s RoomEvent>,
    /// The sender's membership event, if any.
    pub sender: Option<&'s RoomEvent>,
    /// For a membership event, the target's membership event, if any.
    pub target: Option<&'s RoomEvent>,
    /// `m.room.join_rules`, if any, for membership events that depend on it.
    pub join_rules: Option<&'s RoomEvent>,
    /// For an `m.room.hub` event, the one before it, where the room version finds the hub by them (reading R32).
    pub hub: Option<&'s RoomEvent>,
    /// Whether the event follows `m.room.create` directly (rule 5.2.1).
    pub follows_create: bool,
}

impl<'s> SelectedState<'s> {
    /// Selects from a room's state.
    ///
    /// `m.room.join_rules` is selected for a knock too, which rule 5.6.1 needs, but a knock does not cite it
    /// (reading R11).
    pub fn select(
        event: &Event,
        create: &'s RoomEvent,
        follows_create: bool,
        state: impl Fn(&str, &str) -> Option<&'s RoomEvent>,
    ) -> Self {
        let member = (event.kind() == kind::MEMBER).then(|| event.state_key()).flatten();
        let needs_join_rules =
            member.is_some() && matches!(event.membership(), Some("join" | "invite" | "knock"));
        Self {
            create,
            power_levels: state(kind::POWER_LEVELS, ""),
            sender: state(kind::MEMBER, event.sender().as_str()),
            target: member.and_then(|target| state(kind::MEMBER, target)),
            join_rules: needs_join_rules.then(|| state(kind::JOIN_RULES, "")).flatten(),
            hub: None,
            follows_create,
        }
    }

    /// The ids to cite, in the order of LM-04 §5.2.1, none twice.
    #[must_use]
    pub fn to_cite(&self, event: &Event) -> Vec<EventId> {
        let join_rules = self.join_rules.filter(|_| event.membership() != Some("knock"));
        let selected = [Some(self.create), self.power_levels, self.sender, self.target, join_rules, self.hub];
        let mut ids: Vec<EventId> = Vec::with_capacity(selected.len());
        for id in selected.into_iter().flatten().map(RoomEvent::id) {
            if !ids.contains(id) {
                ids.push(id.clone());
            }
        }
        ids
    }

    /// The sender's membership.
    #[must_use]
    pub fn sender_membership(&self) -> Membership {
        membership_of(self.sender)
    }

    /// The target's membership.
    #[must_use]
    pub fn target_membership(&self) -> Membership {
        membership_of(self.target)
    }

    /// The room's join rule; `invite` where there is none (reading R12).
    #[must_use]
    pub fn join_rule(&self) -> &str {
        let rule = self.join_rules.and_then(|event| event.event().content().get("join_rule"));
        rule.and_then(Value::as_str).unwrap_or("invite")
    }

    /// The room's power levels.
    #[must_use]
    pub fn levels(&self) -> Levels<'s> {
        Levels::new(self.power_levels.map(|event| event.event().content()), self.creator())
    }

    /// Who created the room.
    #[must_use]
    pub fn creator(&self) -> &'s UserId {
        self.create.event().sender()
    }
}

/// The membership that an event sets; without one, `leave` (LM-04 §3.5.3.3).
pub(crate) fn membership_of(event: Option<&RoomEvent>) -> Membership {
    event.and_then(|event| Membership::parse(event.event().membership()?)).unwrap_or(Membership::Leave)
}

/// Rule 4: the cited events are, as a set, the selection (LM-04 §5.2.3 rule 4, reading R11).
///
/// `known` finds the slots, type and state key, of the room's state events by id, past ones included. A knock may cite
/// `m.room.join_rules`.
///
/// # Errors
/// [`Refusal`] by rule 4.1, 4.2 or 4.3.
pub fn check_cited<'s>(
    event: &Event,
    cited: &[EventId],
    state: &SelectedState<'_>,
    known: impl Fn(&EventId) -> Option<(&'s str, &'s str)>,
) -> Result<(), Refusal> {
    let expected = state.to_cite(event);
    let mut slots: Vec<(&str, &str)> = Vec::with_capacity(cited.len());
    for id in cited {
        if let Some(slot) = known(id) {
            if slots.contains(&slot) {
                let (kind, state_key) = (slot.0.to_owned(), slot.1.to_owned());
                let because = Because::CitedTwice { event: id.clone(), kind, state_key };
                return Err(Refusal::new(AuthRule::CitedTwice, because));
            }
            slots.push(slot);
        }
        let tolerated =
            event.membership() == Some("knock") && state.join_rules.is_some_and(|rules| rules.id() == id);
        if !expected.contains(id) && !tolerated {
            return Err(Refusal::new(AuthRule::CitedWrongly, Because::Cited(id.clone())));
        }
    }
    if !cited.contains(state.create.id()) {
        return Err(Refusal::new(AuthRule::CitedNoCreate, Because::NotCited(state.create.id().clone())));
    }
    match expected.into_iter().find(|id| !cited.contains(id)) {
        Some(missing) => Err(Refusal::new(AuthRule::CitedWrongly, Because::NotCited(missing))),
        None => Ok(()),
    }
}
