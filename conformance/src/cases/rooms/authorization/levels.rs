//! What power levels allow, and who may change them (LM-04 §5.2.2; §5.2.3, rules 7 to 10).

use serde_json::{Value, json};

use super::{room_with_levels, set_levels};
use crate::case::{Case, Finding, driven_case};
use crate::cases::steps::{expect_refusal, hub_room, open_room};
use crate::context::Context;

pub(in crate::cases::rooms) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "5.2.2/default-levels",
        "levels that are not stated have their defaults",
        [
            "LM-04/5.2.2/2",
            "LM-04/5.2.2/3",
            "LM-04/5.2.2/5",
            "LM-04/5.2.2/8",
            "LM-04/5.2.2/10",
            "LM-04/auth/10",
        ],
        default_levels
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.2/stated-levels",
        "levels that are stated hold: for users, actions and event types",
        ["LM-04/5.2.2/1", "LM-04/5.2.2/4", "LM-04/5.2.2/6", "LM-04/5.2.2/7", "LM-04/5.2.2/9", "LM-04/auth/7"],
        stated_levels
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/send-level",
        "an event type needs its level, and an equal level is enough",
        ["LM-04/auth/7", "FW-01/5/31"],
        send_level
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/state-of-another",
        "nobody sets state under another user's id",
        ["LM-04/auth/8"],
        state_of_another
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/power-levels-form",
        "power levels that are not integers, or not for users, are refused",
        ["LM-04/auth/9.1", "LM-04/auth/9.2", "LM-04/auth/9.3", "R07"],
        power_levels_form
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/power-levels-change",
        "nobody changes levels above their own, nor sets any above their own",
        [
            "LM-04/auth/9.5.1",
            "LM-04/auth/9.5.2",
            "LM-04/auth/9.6.1",
            "LM-04/auth/9.7.1",
            "LM-04/auth/9.8.1",
            "LM-04/auth/9.9.1",
            "LM-04/auth/9.10",
            "LM-04/5.2.3/2",
        ],
        power_levels_change
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/unstated-levels",
        "a level that is not stated is in force with its default, and changed by whom has that level",
        ["LM-04/auth/9.5.1", "LM-04/auth/9.5.2", "LM-04/5.2.2/5", "R34"],
        unstated_levels
    ),
];

async fn default_levels(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let alice = ctx.user("alice")?;
    let only_alice = json!({"users": {alice.as_str(): 100}});
    ctx.send_as_alice(&room.id, "m.room.power_levels", Some(""), only_alice).await?;
    room.accepts(&room.message("level 0 is enough for messages")).await?;
    room.accepts(&room.member(&room.peer.user("carol")?, "invite")).await?;
    room.accepts(&room.peer.draft(&room.id, &room.bob, "org.example.custom", json!({"any": "type"}))).await?;
    room.rejects(&room.state("m.room.name", "", json!({"name": "x"})), "a state event at level 0").await?;
    let dave = room.peer.user("dave")?;
    room.rejects(&room.member(&dave, "ban"), "a ban at level 0").await?;
    room.rejects(&room.member(&room.peer.user("carol")?, "leave"), "a kick at level 0").await?;
    set_levels(&room, 50, json!({})).await?;
    room.accepts(&room.state("m.room.name", "", json!({"name": "at 50"}))).await?;
    room.accepts(&room.member(&dave, "ban")).await?;
    room.accepts(&room.member(&room.peer.user("carol")?, "leave")).await?;
    let default = json!({"users": {alice.as_str(): 100}, "users_default": 50});
    ctx.send_as_alice(&room.id, "m.room.power_levels", Some(""), default).await?;
    room.accepts(&room.state("m.room.name", "", json!({"name": "by users_default"}))).await.map(drop)
}

async fn stated_levels(ctx: &Context) -> Result<(), Finding> {
    let more = json!({"events": {"m.room.message": 20, "m.room.topic": 5}, "events_default": 15, "state_default": 12,
                      "invite": 11, "ban": 10, "kick": 10});
    let room = room_with_levels(ctx, 10, more.clone()).await?;
    let custom = room.peer.draft(&room.id, &room.bob, "org.example.custom", json!({"n": 1}));
    room.rejects(&room.message("10 is below 20"), "a message below its level").await?;
    room.rejects(&custom, "an event below events_default").await?;
    room.rejects(&room.state("m.room.name", "", json!({"name": "x"})), "state below state_default").await?;
    room.rejects(&room.member(&room.peer.user("carol")?, "invite"), "an invite below its level").await?;
    room.accepts(&room.state("m.room.topic", "", json!({"topic": "5 is enough for topics"}))).await?;
    room.accepts(&room.member(&room.peer.user("dave")?, "ban")).await?;
    // What is stated counts, where it is lower than what would be without it, too.
    set_levels(&room, 12, more).await?;
    room.accepts(&room.state("m.room.name", "", json!({"name": "12 is enough for state"}))).await.map(drop)
}

async fn send_level(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_levels(ctx, 30, json!({"events": {"m.room.message": 31}})).await?;
    room.rejects(&room.message("30 is below 31"), "a message below its level").await?;
    set_levels(&room, 30, json!({"events": {"m.room.message": 30}})).await?;
    room.accepts(&room.message("30 is enough for 30")).await?;
    room.rejects(&room.state("m.room.topic", "", json!({"topic": "x"})), "state below its level").await?;
    let reply = ctx
        .control()?
        .try_send(&ctx.recorder, &room.id, "mallory", "m.room.message", None, &json!({"body": "not even in"}))
        .await?;
    expect_refusal(&reply, "a message of the target's own user who is not in the room")
}

async fn state_of_another(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_levels(ctx, 100, json!({})).await?;
    let alice = ctx.user("alice")?;
    room.rejects(
        &room.state("org.example.status", alice.as_str(), json!({"is": "forged"})),
        "another user's state",
    )
    .await?;
    room.accepts(&room.state("org.example.status", room.bob.as_str(), json!({"is": "own"}))).await?;
    room.accepts(&room.state("org.example.status", "plain", json!({"is": "nobody's"}))).await.map(drop)
}

async fn power_levels_form(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_levels(ctx, 100, json!({})).await?;
    let levels = |content: Value| room.state("m.room.power_levels", "", content);
    for field in ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"] {
        let what = format!("`{field}` as a string");
        room.rejects(&levels(json!({field: "50"})), &what).await?;
    }
    for wrong in [json!([]), json!("x"), json!({"m.room.name": "50"}), json!({"m.room.name": null})] {
        room.rejects(&levels(json!({"events": wrong})), &format!("`events` as {wrong}")).await?;
    }
    for wrong in
        [json!([]), json!("x"), json!({room.bob.as_str(): "50"}), json!({"bob": 50}), json!({"@Bob:x": 1})]
    {
        room.rejects(&levels(json!({"users": wrong})), &format!("`users` as {wrong}")).await?;
    }
    let alice = ctx.user("alice")?;
    let integral = json!({"users": {alice.as_str(): 100, room.bob.as_str(): 100}, "ban": 50});
    room.accepts(&levels(integral)).await.map(drop)
}

async fn power_levels_change(ctx: &Context) -> Result<(), Finding> {
    let more = json!({"events": {"m.room.power_levels": 50, "org.example.high": 60}, "ban": 60, "kick": 50,
                      "users": {"@erin:example.org": 50, "@frank:example.org": 60}});
    let room = room_with_levels(ctx, 50, more).await?;
    let current = ctx.state_event(&room.id, "m.room.power_levels", "").await?.unwrap_or_default();
    let current = current.get("content").cloned().unwrap_or_default();
    let changed = |pointer: &str, value: Option<Value>| {
        let mut content = current.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        if let Some(Value::Object(parent)) = content.pointer_mut(parent) {
            match value {
                Some(value) => drop(parent.insert(key.to_owned(), value)),
                None => drop(parent.remove(key)),
            }
        }
        room.state("m.room.power_levels", "", content)
    };
    room.rejects(&changed("/ban", Some(json!(50))), "lowering a level above one's own").await?;
    room.rejects(&changed("/ban", None), "dropping a level above one's own").await?;
    room.rejects(&changed("/kick", Some(json!(51))), "raising a level above one's own").await?;
    room.rejects(&changed("/invite", Some(json!(51))), "adding a level above one's own").await?;
    let events = |kind: &str| format!("/events/{kind}");
    room.rejects(
        &changed(&events("org.example.high"), Some(json!(1))),
        "lowering a type's level above one's own",
    )
    .await?;
    room.rejects(&changed(&events("org.example.high"), None), "dropping a type's level above one's own")
        .await?;
    room.rejects(&changed(&events("org.example.new"), Some(json!(51))), "a type's level above one's own")
        .await?;
    let users = |user: &str| format!("/users/{user}");
    room.rejects(&changed(&users("@frank:example.org"), Some(json!(0))), "lowering somebody above").await?;
    room.rejects(&changed(&users("@frank:example.org"), None), "dropping somebody above").await?;
    room.rejects(&changed(&users("@grace:example.org"), Some(json!(51))), "raising somebody above oneself")
        .await?;
    room.rejects(&changed(&users(room.bob.as_str()), Some(json!(51))), "raising oneself").await?;
    room.accepts(&changed(&users("@erin:example.org"), Some(json!(10)))).await?;
    room.accepts(&changed("/kick", Some(json!(40)))).await?;
    room.accepts(&changed(&users(room.bob.as_str()), Some(json!(49)))).await.map(drop)
}

async fn unstated_levels(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    // What a server sets itself states every level, so the room's own are replaced, and `bob` is left with 25.
    let levels = |more: &[(&str, i64)]| {
        let mut content = json!({"users": {room.bob.as_str(): 25}, "events": {"m.room.power_levels": 25}});
        if let Some(content) = content.as_object_mut() {
            content.extend(more.iter().map(|(level, value)| ((*level).to_owned(), json!(value))));
        }
        room.state("m.room.power_levels", "", content)
    };
    room.accepts(&levels(&[("redact", 25)])).await?;
    room.accepts(&levels(&[("redact", 25), ("invite", 25)])).await?;
    let mut otherwise = None;
    for (what, more) in [
        ("a ban level of 0 where 50 was in force unstated", [("redact", 25), ("ban", 0)].as_slice()),
        ("a redact level that is taken out, so that 50 is in force,", &[("invite", 25)]),
    ] {
        let lpdu = room.peer.lpdu(&levels(more))?;
        let failed = room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_processed()?;
        if failed.is_empty() {
            let what = format!("{what} is accepted from a user of level 25");
            otherwise.get_or_insert(Finding::Acceptable { reading: "R34", what });
        }
    }
    otherwise.map_or(Ok(()), Err)
}
