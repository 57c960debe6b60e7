//! Which rules decide: those of the room's version.

use super::{AuthRule, Refusal, SelectedState};
use crate::event::Event;
use crate::id::EventId;
use crate::version::Authorization;

impl Authorization {
    /// Rules 5 to 10 of LM-04 §5.2.3.
    pub(crate) fn authorise(self, event: &Event, state: &SelectedState<'_>) -> Result<AuthRule, Refusal> {
        match self {
            Self::Lm04 => super::authorise(event, state),
            #[cfg(feature = "mutants")]
            Self::Faulty(faults) => faults.authorise(event, state),
        }
    }

    /// What a rule beside those has decided.
    pub(crate) fn confirm<T: Default>(self, decision: Result<T, Refusal>) -> Result<T, Refusal> {
        match self {
            Self::Lm04 => decision,
            #[cfg(feature = "mutants")]
            Self::Faulty(faults) => faults.confirm(decision),
        }
    }

    /// The events that a hub cites for an event (LM-04 §5.2.1).
    pub(crate) fn to_cite(self, event: &Event, state: &SelectedState<'_>) -> Vec<EventId> {
        match self {
            Self::Lm04 => state.to_cite(event),
            #[cfg(feature = "mutants")]
            Self::Faulty(faults) => faults.to_cite(event, state),
        }
    }
}
