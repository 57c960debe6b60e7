//! Rooms of the German TI-Messenger: their type, their state events, and which history they show.

use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::guest::{GuestRoom, foreign_room};
use crate::cases::steps::{HubRoom, hub_room_with, is_signed_by_target, reference_id};
use crate::context::Context;

/// The type of its rooms.
const ROOM_TYPE: &str = "de.gematik.tim.roomtype.default.v1";
/// The state event with a room's name.
const NAME: &str = "de.gematik.tim.room.name";
/// The state event with a room's topic.
const TOPIC: &str = "de.gematik.tim.room.topic";

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "ti-messenger/room-type",
        "a room is created with the type that is asked for, which whoever is invited is shown",
        ["PROFILE/ti-messenger/5", "R59"],
        room_type
    ),
    driven_case!(
        Must,
        Participant,
        "ti-messenger/room-type-of-others",
        "a user of the target takes part in another server's room of that type",
        ["PROFILE/ti-messenger/5", "R59"],
        room_type_of_others
    ),
    driven_case!(
        Must,
        Hub,
        "ti-messenger/name-and-topic",
        "the state events with a room's name and topic are created with it, carried, and set by those who may",
        ["PROFILE/ti-messenger/6", "R59"],
        name_and_topic
    ),
    driven_case!(
        Must,
        Hub,
        "ti-messenger/redaction",
        "ids and signatures of these events are made as of any state that the room version does not know",
        ["PROFILE/ti-messenger/7", "R59"],
        redaction
    ),
    driven_case!(
        Must,
        Hub,
        "ti-messenger/history",
        "a room whose creator says nothing of it shows its history from the invite on",
        ["PROFILE/ti-messenger/8", "R59"],
        history
    ),
];

fn type_in(event: &Value) -> Option<&str> {
    event.pointer("/content/type").and_then(Value::as_str)
}

async fn room_type(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room_with(ctx, json!({"join_rule": "public", "type": ROOM_TYPE})).await?;
    let create = ctx.state_event(&room.id, "m.room.create", "").await?.unwrap_or_default();
    if create.pointer("/content/type").is_none() {
        let what = "the target's control API creates no rooms with a type".to_owned();
        return Err(Finding::Untried(what));
    }
    let given = type_in(&create);
    check!(
        given == Some(ROOM_TYPE),
        "the room is created with the type {}, {ROOM_TYPE} was asked for: {create}",
        given.unwrap_or("that is no text")
    );
    let third = ctx.peer().await?;
    ctx.as_alice(&room.id, &third.user("dave")?, "invite").await?;
    let request =
        third.until_request("ask the invited user's server", |request| request.is("invite")).await?;
    let state = request.body.get("invite_room_state").and_then(Value::as_array).cloned().unwrap_or_default();
    let shown = state.iter().find(|event| event.get("type") == Some(&json!("m.room.create")));
    let Some(shown) = shown else {
        return Err(fault(
            "the `invite_room_state` of the invite has no m.room.create, which has the room's type",
        ));
    };
    check!(
        type_in(shown) == Some(ROOM_TYPE),
        "the create event in `invite_room_state` has not the room's type {ROOM_TYPE}: {shown}"
    );
    Ok(())
}

async fn room_type_of_others(ctx: &Context) -> Result<(), Finding> {
    let other = foreign_room(ctx).await?;
    let room = other.peer.host_room(json!({"type": ROOM_TYPE})).await?;
    let room = GuestRoom { room, ..other };
    room.carol_becomes("join").await?;
    room.carol_says("hello").await?;
    room.peer.until_request("send the message to the hub", |request| request.is("send")).await?;
    let create = ctx.state_event(&room.room.id, "m.room.create", "").await?;
    // A participant may keep no state.
    let Some(create) = create else { return Ok(()) };
    check!(
        type_in(&create) == Some(ROOM_TYPE),
        "the participant has not the type {ROOM_TYPE} of the room in its create event: {create}"
    );
    Ok(())
}

/// A public room with a name and a topic, and a user of a peer in it.
async fn room(ctx: &Context) -> Result<HubRoom<'_>, Finding> {
    let state = json!([
        {"type": NAME, "state_key": "", "content": {"name": "Ward 7"}},
        {"type": TOPIC, "state_key": "", "content": {"topic": "Rounds"}},
    ]);
    hub_room_with(ctx, json!({"join_rule": "public", "type": ROOM_TYPE, "initial_state": state})).await
}

async fn name_and_topic(ctx: &Context) -> Result<(), Finding> {
    let room = room(ctx).await?;
    for (kind, field, expected) in [(NAME, "name", "Ward 7"), (TOPIC, "topic", "Rounds")] {
        let shown = room.state_text(kind, "", field).await?;
        check!(
            shown == expected,
            "`{field}` of {kind} is {shown} after the room was created",
            shown = said(&shown)
        );
        let content = json!({field: "changed"});
        let sent = ctx.send_as_alice(&room.id, kind, Some(""), content.clone()).await?;
        let id = sent.get("event_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let heard = room.peer.until_pdu("send the change to the room", |pdu| reference_id(pdu) == id).await?;
        check!(heard.get("content") == Some(&content), "the change of {kind} arrives as {heard}");
        room.rejects(
            &room.state(kind, "", json!({field: "mine"})),
            &format!("{kind} of a user without the level"),
        )
        .await?;
        let shown = room.state_text(kind, "", field).await?;
        check!(shown == "changed", "`{field}` of {kind} is {shown} after a change", shown = said(&shown));
    }
    Ok(())
}

async fn redaction(ctx: &Context) -> Result<(), Finding> {
    let room = room(ctx).await?;
    for (kind, field) in [(NAME, "name"), (TOPIC, "topic")] {
        let sent = ctx.send_as_alice(&room.id, kind, Some(""), json!({field: "signed"})).await?;
        let id = sent.get("event_id").and_then(Value::as_str).unwrap_or_default();
        let event = ctx.state_event(&room.id, kind, "").await?.unwrap_or_default();
        let expected = reference_id(&event);
        check!(id == expected, "the target calls {kind} {id}, and its redacted form makes it {expected}");
        is_signed_by_target(ctx, &event).await?;
    }
    Ok(())
}

async fn history(ctx: &Context) -> Result<(), Finding> {
    let room = ctx.create_room(json!({})).await?;
    let event = ctx.state_event(&room, "m.room.history_visibility", "").await?.unwrap_or_default();
    let setting = event.pointer("/content/history_visibility").and_then(Value::as_str);
    check!(
        setting == Some("invited"),
        "a new room's history is {}",
        setting.unwrap_or("not said to be anything")
    );
    Ok(())
}
