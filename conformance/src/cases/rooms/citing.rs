//! What an event cites, and other rules that only a hub's own events can put to the test, with the target as a participant
//! (LM-04 §5.2.3, rules 2 to 4 and 9.4).

use mimi_linearized::id::EventId;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, said};
use crate::cases::steps::followed::{FollowedRoom, Made, follow, followed_room, followed_room_with_carol};
use crate::cases::steps::{Tolerated, altered, reference_id};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Participant,
        "5.2.3/hub-has-not-signed",
        "an event with `hub_server` that this server has not signed does not enter the room",
        ["LM-04/auth/2", "LM-04/5.1/7"],
        hub_has_not_signed
    ),
    driven_case!(
        Must,
        Participant,
        "5.2.3/create-is-allowed",
        "a create event is allowed though nobody is joined, and whatever else it holds",
        ["LM-04/auth/3.4"],
        create_is_allowed
    ),
    driven_case!(
        Must,
        Participant,
        "5.2.3/cited-twice",
        "an event that cites two events for one type and state key is rejected",
        ["LM-04/auth/4.1", "R13"],
        cited_twice
    ),
    driven_case!(
        Must,
        Participant,
        "5.2.3/cited-wrongly",
        "an event that cites something that nothing asks for is rejected",
        ["LM-04/auth/4.2", "R13", "TR-00/3/8", "TR-00/3/35"],
        cited_wrongly
    ),
    driven_case!(
        Must,
        Participant,
        "5.2.3/create-not-cited",
        "an event that does not cite the create event is rejected",
        ["LM-04/auth/4.3", "R13"],
        create_not_cited
    ),
    driven_case!(
        Must,
        Participant,
        "5.2.3/first-power-levels",
        "the first power levels of a room may be any, and count from then on",
        ["LM-04/auth/9.4"],
        first_power_levels
    ),
];

async fn hub_has_not_signed(ctx: &Context) -> Result<(), Finding> {
    let (followed, other, carol) = followed_room_with_carol(ctx).await?;
    let event = followed.sealed(&other, &carol, "without the hub's signature")?;
    let hub = followed.hub.name.as_str();
    let unsigned = altered(&event, |event| {
        if let Some(Value::Object(signatures)) = event.get_mut("signatures") {
            signatures.remove(hub);
        }
    });
    followed.drops(&unsigned, "an event that its hub has not signed").await?;
    let made = followed.offer(&followed.sealed(&other, &carol, "with the hub's signature")?).await?;
    check!(made == Made::Listed, "the same kind of event with the hub's signature is {made}");
    Ok(())
}

async fn create_is_allowed(ctx: &Context) -> Result<(), Finding> {
    let hub = ctx.peer().await?;
    // Nothing of this means anything in a create event.
    let content = json!({
        "membership": "ban", "users_default": "high", "join_rule": "none", "creator": 5, "org.example.more": [null]
    });
    let room = hub.host_room(content.clone()).await?;
    let followed = follow(ctx, hub, room).await?;
    let create = ctx.state_event(&followed.room.id, "m.room.create", "").await?.unwrap_or_default();
    let create = create.get("content").cloned().unwrap_or_default();
    let kept =
        content.as_object().into_iter().flatten().all(|(field, value)| create.get(field) == Some(value));
    check!(kept, "the content of the create event is {create}");
    followed.goes_on().await
}

/// An event of the hub's user that cites these events.
fn citing(followed: &FollowedRoom<'_>, body: &str, cites: &[EventId]) -> Result<Value, Finding> {
    followed.hub.forge_pdu(followed.message(body), cites, &followed.room.head())
}

/// What an event of the hub's user has to cite.
fn sound(followed: &FollowedRoom<'_>) -> Vec<EventId> {
    followed.room.cites(&followed.host)
}

/// The same, and this besides.
fn with(followed: &FollowedRoom<'_>, more: impl IntoIterator<Item = EventId>) -> Vec<EventId> {
    sound(followed).into_iter().chain(more).collect()
}

async fn cited_twice(ctx: &Context) -> Result<(), Finding> {
    let followed = followed_room(ctx).await?;
    let host = followed.host.as_str();
    let before = followed.room.state_id("m.room.member", host);
    let again = followed.hub.member(&followed.room.id, &followed.host, &followed.host, "join");
    followed.hub.host_says(&followed.room, again).await?;
    check!(before != followed.room.state_id("m.room.member", host), "the suite's user did not join again");
    let event = citing(&followed, "citing a membership and the one before it", &with(&followed, before))?;
    followed.rejects(&event, "an event that cites two memberships of its sender").await?;
    let same = followed.room.state_id("m.room.member", host);
    let event = citing(&followed, "citing a membership twice", &with(&followed, same))?;
    followed.rejects(&event, "an event that cites the membership of its sender twice").await
}

async fn cited_wrongly(ctx: &Context) -> Result<(), Finding> {
    let mut tolerated = Tolerated::default();
    let mut followed = followed_room(ctx).await?;
    for (kind, what) in [
        ("m.room.join_rules", "an event that cites the join rules and changes no membership"),
        ("m.room.member", "an event that cites the membership of somebody whom it is not about"),
        ("m.room.message", "an event that cites a message"),
    ] {
        let more = match kind {
            "m.room.message" => {
                let message = followed.message("to be cited");
                let message = followed.hub.host_says(&followed.room, message).await?;
                EventId::parse(&reference_id(&message)).ok()
            }
            "m.room.member" => followed.room.state_id(kind, followed.dora.as_str()),
            _ => followed.room.state_id(kind, ""),
        };
        check!(more.is_some(), "the suite's room has no {kind}");
        let event = citing(&followed, what, &with(&followed, more))?;
        let rejected = followed.rejects(&event, what).await;
        if rejected.is_err() {
            tolerated.note(rejected)?;
            // The target's list is not the hub's any more.
            followed = followed_room(ctx).await?;
        }
    }
    tolerated.end()
}

async fn create_not_cited(ctx: &Context) -> Result<(), Finding> {
    let followed = followed_room(ctx).await?;
    let create = followed.room.state_id("m.room.create", "");
    let cites: Vec<_> = sound(&followed).into_iter().filter(|id| Some(id) != create.as_ref()).collect();
    check!(cites.len() < sound(&followed).len(), "the suite's room has no create event");
    let event = citing(&followed, "without the create event", &cites)?;
    followed.rejects(&event, "an event that does not cite the create event").await
}

async fn first_power_levels(ctx: &Context) -> Result<(), Finding> {
    let followed = followed_room(ctx).await?;
    let (room, host) = (&followed.room, &followed.host);
    // The sender has 100, by being the creator; every one of these is above.
    let levels = json!({
        "users": {host.as_str(): 7000, followed.dora.as_str(): 6000}, "users_default": 200, "ban": 9000,
        "events": {"m.room.name": 6500}, "state_default": 300, "events_default": 150
    });
    let draft = followed.hub.state_draft(&room.id, host, "m.room.power_levels", "", levels);
    let event = followed.hub.host_says(room, draft).await?;
    followed.lists(&event, "the first power levels of the room").await?;
    let renamed = followed.hub.host_says(room, followed.rename("by a level of 7000")).await?;
    followed.lists(&renamed, "an event that needs a level which the first power levels gave").await?;
    let name = followed.name().await?;
    check!(name == "by a level of 7000", "the room is called {name}", name = said(&name));
    Ok(())
}
