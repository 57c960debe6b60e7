//! Faulty rules, to see whether a test of a server notices.

use crate::auth::{self, AuthRule, Because, Refusal, Rule, SelectedState};
use crate::event::{Event, RoomEvent};
use crate::id::EventId;
use crate::json::Object;

/// What is wrong with the rules of LM-04 §4.3, §5.1 and §5.2 in a room version. Everything else about them stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Rules that refuse nothing: what they alone would refuse is accepted.
    pub waived: &'static [Rule],
    /// Rules that allow nothing: what they alone would allow is refused.
    pub barred: &'static [AuthRule],
    /// The types of the selected events that a hub does not cite (LM-04 §5.2.1).
    pub uncited: &'static [&'static str],
    /// What is not as a room's power levels say (LM-04 §5.2.2).
    pub levels: &'static [LevelFault],
}

/// A wrong reading of a room's power levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelFault {
    /// A field that is not looked at.
    Ignored(&'static str),
    /// What a field counts as that is not stated.
    Assumed(&'static str, i64),
}

impl LevelFault {
    fn apply(self, content: &mut Object) {
        match self {
            Self::Ignored(field) => drop(content.remove(field)),
            Self::Assumed(field, level) => {
                content.entry(field).or_insert_with(|| level.into());
            }
        }
    }
}

impl Faults {
    /// Rules 5 to 10 of LM-04 §5.2.3.
    pub(crate) fn authorise(self, event: &Event, state: &SelectedState<'_>) -> Result<AuthRule, Refusal> {
        let levels = state.power_levels.filter(|_| !self.levels.is_empty()).map(|levels| {
            levels.with_content(|content| self.levels.iter().for_each(|fault| fault.apply(content)))
        });
        let state = SelectedState { power_levels: levels.as_ref().or(state.power_levels), ..*state };
        match auth::authorise(event, &state) {
            Ok(rule) if self.barred.contains(&rule) => Err(Refusal::new(rule, Because::Nothing)),
            Err(refusal) if self.waived.contains(&refusal.rule) => Ok(AuthRule::Allowed),
            decision => decision,
        }
    }

    /// Any other rule.
    pub(crate) fn confirm<T: Default>(self, decision: Result<T, Refusal>) -> Result<T, Refusal> {
        match decision {
            Err(refusal) if self.waived.contains(&refusal.rule) => Ok(T::default()),
            decision => decision,
        }
    }

    /// What a hub cites.
    pub(crate) fn to_cite(self, event: &Event, state: &SelectedState<'_>) -> Vec<EventId> {
        let selected = [Some(state.create), state.power_levels, state.sender, state.target, state.join_rules];
        let uncited = |event: &&RoomEvent| self.uncited.contains(&event.event().kind());
        let left_out: Vec<_> = selected.into_iter().flatten().filter(uncited).map(RoomEvent::id).collect();
        let mut cited = state.to_cite(event);
        cited.retain(|id| !left_out.contains(&id));
        cited
    }
}
