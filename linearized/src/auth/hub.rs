//! The rules about `m.room.hub`, in room versions whose hub can change (reading R32).

use super::{Because, HubRule, Refusal, SelectedState};
use crate::event::{Event, kind};
use crate::id::ServerName;

/// The least level that naming another hub needs. The power levels can ask for more, not for less: otherwise whoever may
/// change them could lower it to what they have themselves (rule 9.7 looks no further).
const LEVEL: i64 = 100;

/// Decides about an `m.room.hub` event that the rules of LM-04 allow. `hub` is the room's hub before it, and
/// `is_joined` says whether a server has a joined user. Consent is not looked at.
///
/// # Errors
/// [`Refusal`] by [`HubRule::Malformed`], [`HubRule::Level`], [`HubRule::Unchanged`], [`HubRule::NotInRoom`] or
/// [`HubRule::ForItself`].
pub(crate) fn authorise_transfer(
    event: &Event,
    state: &SelectedState<'_>,
    hub: &ServerName,
    is_joined: impl Fn(&ServerName) -> bool,
) -> Result<(), Refusal> {
    if event.state_key() != Some("") {
        return Err(Refusal::new(HubRule::Malformed, Because::Field("state_key")));
    }
    let next = event.next_hub();
    let next = next.ok_or_else(|| Refusal::new(HubRule::Malformed, Because::Field("hub_server")))?;
    let levels = state.levels();
    let (have, need) = (levels.user(event.sender()), levels.event_or(kind::HUB, LEVEL).max(LEVEL));
    if have < need {
        return Err(Refusal::new(HubRule::Level, Because::Level { have, need }));
    }
    if next == *hub {
        return Err(Refusal::new(HubRule::Unchanged, Because::Nothing));
    }
    if !is_joined(&next) {
        return Err(Refusal::new(HubRule::NotInRoom, Because::NotInRoom(next)));
    }
    // Its signature of the LPDU would be for any place, and could be used again in another.
    if next == *event.sender_server() {
        return Err(Refusal::new(HubRule::ForItself, Because::OwnServer(next)));
    }
    Ok(())
}
