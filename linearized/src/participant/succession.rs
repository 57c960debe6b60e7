//! Whether a room's hub came by its role rightly, as far as the state shows (reading R32).
//!
//! Every `m.room.hub` event cites the one before it, so the state with its auth chain has them all. Each has to be
//! sealed by the hub that the one before it made, and the first by the creator's server; the server named has to have
//! consented, and what the event cites has to allow it. That the server named had a joined user is not seen from that.
//!
//! This proves that each of the servers was made the hub, with its consent, by the one before. It does not prove that
//! the last one still is: whoever was the hub once has signatures that show it for ever, and can leave out the transfers
//! since, or sign a fresh first one together with whoever consents. A newcomer finds that out by comparing the head of
//! the list with another server in the room.

use std::collections::HashMap;

use super::SnapshotError;
use crate::auth::{self, AuthRule, Because, HubRule, Refusal, SelectedState};
use crate::event::{RoomEvent, VerifiedPdu, kind};
use crate::id::{EventId, ServerName};

/// Checks that a server which an event makes the hub has consented.
pub(super) fn check_consent(pdu: &VerifiedPdu) -> Result<(), SnapshotError> {
    let Some(error) = pdu.objection() else { return Ok(()) };
    let refusal = Refusal::new(HubRule::NoConsent, Because::Signature(error.clone()));
    Err(SnapshotError::Succession { event: pdu.event().id().clone(), refusal })
}

/// Checks the hubs of a room, from the present one back to the creator's server.
pub(super) fn check(
    create: &RoomEvent,
    state: &[RoomEvent],
    chain: &[RoomEvent],
) -> Result<(), SnapshotError> {
    let all = std::iter::once(create).chain(state).chain(chain);
    let by_id: HashMap<&EventId, &RoomEvent> = all.map(|event| (event.id(), event)).collect();
    let known = |id: &EventId| by_id.get(id).copied();
    let is_transfer = |event: &&RoomEvent| event.event().is_state(kind::HUB, "");
    let mut next = state.iter().find(is_transfer);
    // An event cites none that cites it, since ids are hashes, so this ends.
    while let Some(event) = next {
        let before = event.auth_events().iter().filter_map(known).find(is_transfer);
        let named = before.and_then(|before| before.event().next_hub());
        let hub = named.as_ref().unwrap_or(create.event().sender_server());
        check_link(event, before, hub, create, known)
            .map_err(|refusal| SnapshotError::Succession { event: event.id().clone(), refusal })?;
        next = before;
    }
    Ok(())
}

/// Checks a transfer by `hub`, which `before` made the hub, by what it cites.
fn check_link<'e>(
    event: &RoomEvent,
    before: Option<&'e RoomEvent>,
    hub: &ServerName,
    create: &'e RoomEvent,
    known: impl Fn(&EventId) -> Option<&'e RoomEvent>,
) -> Result<(), Refusal> {
    if event.event().sealer() != hub {
        let (found, expected) = (event.event().sealer().to_string(), hub.to_string());
        let because = Because::Differs { what: "the hub that sealed it", found, expected };
        return Err(Refusal::new(HubRule::OtherSealer, because));
    }
    let cited: Vec<&RoomEvent> = event.auth_events().iter().filter_map(&known).collect();
    if let Some(unknown) = event.auth_events().iter().find(|id| known(id).is_none()) {
        return Err(Refusal::new(AuthRule::CitedWrongly, Because::Cited(unknown.clone())));
    }
    let in_slot =
        |kind: &str, key: &str| cited.iter().copied().find(|cited| cited.event().is_state(kind, key));
    let follows_create = event.prev_events().contains(create.id());
    let selected = SelectedState::select(event.event(), create, follows_create, in_slot);
    let selected = SelectedState { hub: before, ..selected };
    auth::check_cited(event.event(), event.auth_events(), &selected, |id| known(id)?.slot())?;
    auth::authorise(event.event(), &selected)?;
    // Whether the server named had a joined user is not among what is cited.
    auth::authorise_transfer(event.event(), &selected, hub, |_| true)
}
