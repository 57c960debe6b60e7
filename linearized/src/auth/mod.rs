//! Authorization: whether an event is allowed, given the state before it (LM-04 §5.2).
//!
//! A decision depends on the event and on the few state events that [`SelectedState`] holds, and names the rule that
//! made it. Rules 1 and 2, the signatures, are not here: only verified events get this far (LM-04 §5.1 step 2).
//!
//! | rule | function |
//! |---|---|
//! | 3 | `create::authorise` |
//! | 4 | `selection::check_cited` |
//! | 5.1 to 5.7 | `member::authorise` |
//! | 6, 7, 8, 10 | `authorise` |
//! | 9 | `power_levels::authorise` |
//!
//! In room versions whose hub can change, `hub::authorise_transfer` has the rules about `m.room.hub` (reading R32).

mod create;
mod decide;
mod hub;
mod member;
mod power;
mod power_levels;
mod refusal;
mod rule;
mod selection;

pub use create::authorise_create;
pub(crate) use hub::authorise_transfer;
pub use power::{Action, Levels};
pub use refusal::{Because, Membership, Refusal};
pub use rule::{AuthRule, HubRule, MlsRule, RoomRule, Rule};
pub(crate) use selection::membership_of;
pub use selection::{SelectedState, check_cited};

use crate::event::{Event, kind};

/// Decides about any event but `m.room.create` (LM-04 §5.2.3, rules 5 to 10). Returns the rule that allows it.
///
/// # Errors
/// [`Refusal`] names the rule that rejects it and what was compared.
pub fn authorise(event: &Event, state: &SelectedState<'_>) -> Result<AuthRule, Refusal> {
    match event.kind() {
        kind::CREATE => return Err(Refusal::new(AuthRule::CreateHasPrevEvents, Because::SecondCreate)),
        kind::MEMBER => return member::authorise(event, state),
        _ => {}
    }
    let membership = state.sender_membership();
    if membership != Membership::Join {
        return Err(Refusal::new(
            AuthRule::SenderNotJoined,
            Because::Membership { user: event.sender().clone(), is: membership },
        ));
    }
    let levels = state.levels();
    let have = levels.user(event.sender());
    let need = levels.event(event.kind(), event.state_key().is_some());
    if need > have {
        return Err(Refusal::new(AuthRule::SendLevel, Because::Level { have, need }));
    }
    if let Some(owner) =
        event.state_key().filter(|key| key.starts_with('@') && *key != event.sender().as_str())
    {
        let because = Because::NotSelf { sender: event.sender().clone(), state_key: owner.to_owned() };
        return Err(Refusal::new(AuthRule::StateKeyOwner, because));
    }
    if event.kind() == kind::POWER_LEVELS {
        power_levels::authorise(event, state)
    } else {
        Ok(AuthRule::Allowed)
    }
}

#[cfg(test)]
mod tests;
