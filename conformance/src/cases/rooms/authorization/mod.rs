//! The authorization rules at a hub (LM-04 §5.2): what events cite, creation, and below that memberships and levels.

pub(super) mod levels;
pub(super) mod memberships;

use mimi_linearized::id::RoomId;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::{HubRoom, hub_room, reference_id, text, texts};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "5.2.1/cited-events",
        "every event cites exactly the state events that decide about it",
        [
            "LM-04/5.2.1/1",
            "LM-04/5.2.1/2",
            "LM-04/5.2.1/3",
            "LM-04/5.2.1/4",
            "LM-04/5.2.1/5",
            "LM-04/5.2.1/6",
            "LM-04/3.5/19",
            "R11",
            "FW-01/3.1/4",
            "TR-00/3/46"
        ],
        cited_events
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/second-create",
        "a second create event is refused, and so is that of a user of another server",
        ["LM-04/auth/3.1", "LM-04/auth/3.2", "LM-04/3.5.3.1/3", "R12"],
        second_create
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/unknown-room-version",
        "a room of an unknown version is not created",
        ["R09"],
        unknown_room_version
    ),
];

/// A room in which `bob` has a level of his own, and further levels hold.
async fn room_with_levels(ctx: &Context, bob_level: i64, more: Value) -> Result<HubRoom<'_>, Finding> {
    let room = hub_room(ctx).await?;
    set_levels(&room, bob_level, more).await?;
    Ok(room)
}

/// Has `alice`, who has level 100, set the levels of the room.
async fn set_levels(room: &HubRoom<'_>, bob_level: i64, more: Value) -> Result<(), Finding> {
    let alice = room.ctx.user("alice")?;
    let mut content = json!({"users": {alice.as_str(): 100, room.bob.as_str(): bob_level}});
    if let (Some(content), Value::Object(more)) = (content.as_object_mut(), more) {
        for (key, value) in more {
            match (content.get_mut(&key), value) {
                (Some(Value::Object(entries)), Value::Object(value)) => entries.extend(value),
                (_, value) => drop(content.insert(key, value)),
            }
        }
    }
    room.ctx.send_as_alice(&room.id, "m.room.power_levels", Some(""), content).await?;
    Ok(())
}

async fn cited_events(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let state = |event: &Value, kind: &str, key: &str| {
        text(event, "type") == kind && event.get("state_key").and_then(Value::as_str) == Some(key)
    };
    let id_of = async |kind: &str, key: &str| -> Result<String, Finding> {
        let found = ctx.state(&room.id).await?.into_iter().find(|event| state(event, kind, key));
        Ok(found.map(|event| reference_id(&event)).unwrap_or_default())
    };
    let (create, levels) = (id_of("m.room.create", "").await?, id_of("m.room.power_levels", "").await?);
    let (rules, bob) =
        (id_of("m.room.join_rules", "").await?, id_of("m.room.member", room.bob.as_str()).await?);
    let cites = |event: &Value, expected: &[&String]| {
        let mut cited = texts(event, "auth_events");
        let mut expected: Vec<String> = expected.iter().map(|id| (*id).clone()).collect();
        cited.sort();
        expected.sort();
        cited == expected
    };
    let is = |event: &Value, what: &str, expected: &[&String]| -> Result<(), Finding> {
        let cited = texts(event, "auth_events");
        check!(
            cites(event, expected),
            "{what} cites {cited} instead of {expected}",
            cited = said(&cited),
            expected = said(&expected)
        );
        Ok(())
    };
    let message = room.accepts(&room.message("hello")).await?;
    is(&message, "a message", &[&create, &levels, &bob])?;
    let carol = room.peer.user("carol")?;
    let invite = room.accepts(&room.member(&carol, "invite")).await?;
    is(&invite, "an invite", &[&create, &levels, &bob, &rules])?;
    let carol_invited = reference_id(&invite);
    let join = room.peer.member(&room.id, &carol, &carol, "join");
    let join = room.accepts(&join).await?;
    is(&join, "the join of an invited user", &[&create, &levels, &carol_invited, &rules])?;
    let leave = room.accepts(&room.peer.member(&room.id, &carol, &carol, "leave")).await?;
    is(&leave, "a leave", &[&create, &levels, &reference_id(&join)])?;
    let first = ctx.events(&room.id).await?.into_iter().next().unwrap_or_default();
    is(&first, "the create event", &[])?;
    ctx.send_as_alice(&room.id, "m.room.join_rules", Some(""), json!({"join_rule": "knock"})).await?;
    let (rules, left) = (id_of("m.room.join_rules", "").await?, reference_id(&leave));
    let knock = room.accepts(&room.peer.member(&room.id, &carol, &carol, "knock")).await?;
    if cites(&knock, &[&create, &levels, &left, &rules]) {
        let what = "a knock cites the join rules".to_owned();
        return Err(Finding::Acceptable { reading: "R11", what });
    }
    is(&knock, "a knock", &[&create, &levels, &left])
}

async fn second_create(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_levels(ctx, 100, json!({})).await?;
    let create = room.state("m.room.create", "", json!({"room_version": "I.1"}));
    room.rejects(&create, "a create event of a user of another server").await?;
    let content = json!({"room_version": "I.1"});
    let control = ctx.control()?;
    let reply =
        control.try_send(&ctx.recorder, &room.id, "alice", "m.room.create", Some(""), &content).await?;
    check!(!reply.status.is_success(), "the control API takes a second create event");
    Ok(())
}

async fn unknown_room_version(ctx: &Context) -> Result<(), Finding> {
    for version in ["I.2", "I.10", "org.example.unknown"] {
        let body = json!({"creator": "alice", "room_version": version});
        let reply = ctx.control()?.call(&ctx.recorder, http::Method::POST, "/rooms", Some(&body)).await?;
        check!(!reply.status.is_success(), "a room of version {version} was created");
    }
    for version in ["I.1", "org.matrix.i-d.ralston-mimi-linearized-matrix.02"] {
        let body = json!({"creator": "alice", "room_version": version});
        let reply = ctx.control()?.call(&ctx.recorder, http::Method::POST, "/rooms", Some(&body)).await?;
        if version != "I.1" && !reply.status.is_success() {
            let what = format!("room version {version} is not implemented");
            return Err(Finding::Acceptable { reading: "R09", what });
        }
        let room = text(reply.expect_ok(&format!("a room of version {version}"))?, "room_id");
        let room = RoomId::parse(room).map_err(|error| fault(format!("the new room's id: {error}")))?;
        let create = ctx.events(&room).await?.into_iter().next().unwrap_or_default();
        let got = create.pointer("/content/room_version").and_then(Value::as_str);
        check!(
            got == Some(version),
            "a room asked for as {version} says that its version is {got}",
            got = said(&got)
        );
    }
    Ok(())
}
