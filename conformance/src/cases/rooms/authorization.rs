//! The authorization rules at a hub (LM-04 §5.2).

use mimi_linearized::id::RoomId;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault};
use crate::cases::steps::{HubRoom, expect_refusal, hub_room, open_room, paths, reference_id, text, texts};
use crate::context::Context;
use crate::target::Room;

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
        ],
        cited_events
    ),
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
    driven_case!(
        Must,
        Hub,
        "5.2.3/malformed-membership",
        "a membership event without state key or membership is refused, and one of nobody makes no member",
        ["LM-04/auth/5.1", "LM-04/auth/5.7", "LM-04/3.5.3.3/2", "LM-04/3.5.3.3/3"],
        malformed_membership
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/join-for-another",
        "nobody joins for somebody else",
        ["LM-04/auth/5.2.2"],
        join_for_another
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/banned-user-joins",
        "a banned user's join is refused, also where anybody may join",
        ["LM-04/auth/5.2.3", "LM-04/12.7.1/4", "LM-04/12.7.3.2/5", "LM-04/12.7.3.2/6"],
        banned_user_joins
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/join-without-invite",
        "where an invite is needed, only who has one joins",
        ["LM-04/auth/5.2.4", "LM-04/auth/5.2.6", "LM-04/12.7.1/1", "LM-04/12.7.3.1/6"],
        join_without_invite
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/join-public",
        "anybody who is not banned joins a public room, also again",
        ["LM-04/auth/5.2.5", "LM-04/auth/5.2.1"],
        join_public
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/invite",
        "who is joined and has the level invites, and only who is neither joined nor banned is invited",
        ["LM-04/auth/5.3.1", "LM-04/auth/5.3.2", "LM-04/auth/5.3.3", "LM-04/auth/5.3.4"],
        invite
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/leave",
        "users leave by themselves from where there is something to leave",
        ["LM-04/auth/5.4.1", "LM-04/3.5.3.3/1"],
        leave
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/kick",
        "kicking needs the level, and to be above whom one kicks",
        ["LM-04/auth/5.4.2", "LM-04/auth/5.4.4", "LM-04/auth/5.4.5"],
        kick
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/unban",
        "lifting a ban needs the level to ban besides that to kick",
        ["LM-04/auth/5.4.3", "LM-04/auth/5.4.4"],
        unban
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/ban",
        "banning needs the level, and to be above whom one bans",
        ["LM-04/auth/5.5.1", "LM-04/auth/5.5.2", "LM-04/auth/5.5.3"],
        ban
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/knock",
        "users knock for themselves, where the room takes knocks",
        ["LM-04/auth/5.6.1", "LM-04/auth/5.6.2", "LM-04/auth/5.6.3", "LM-04/auth/5.6.4"],
        knock
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/not-joined",
        "who is not joined sends nothing",
        ["LM-04/auth/6", "LM-04/5.2.3/1", "LM-04/2/1"],
        not_joined
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/send-level",
        "an event type needs its level, and an equal level is enough",
        ["LM-04/auth/7"],
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
        check!(cites(event, expected), "{what} cites {cited:?} instead of {expected:?}");
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
    let room = room_with_levels(ctx, 10, more).await?;
    let custom = room.peer.draft(&room.id, &room.bob, "org.example.custom", json!({"n": 1}));
    room.rejects(&room.message("10 is below 20"), "a message below its level").await?;
    room.rejects(&custom, "an event below events_default").await?;
    room.rejects(&room.state("m.room.name", "", json!({"name": "x"})), "state below state_default").await?;
    room.rejects(&room.member(&room.peer.user("carol")?, "invite"), "an invite below its level").await?;
    room.accepts(&room.state("m.room.topic", "", json!({"topic": "5 is enough for topics"}))).await?;
    room.accepts(&room.member(&room.peer.user("dave")?, "ban")).await.map(drop)
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
        check!(got == Some(version), "a room asked for as {version} says that its version is {got:?}");
    }
    Ok(())
}

async fn malformed_membership(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_levels(ctx, 100, json!({})).await?;
    let carol = room.peer.user("carol")?;
    let event = |content: Value| room.state("m.room.member", carol.as_str(), content);
    room.rejects(&event(json!({"reason": "no membership"})), "a membership event without membership").await?;
    for membership in [json!("Join"), json!(""), json!("org.example"), json!(1), json!({})] {
        let what = format!("membership {membership}");
        room.rejects(&event(json!({"membership": membership})), &what).await?;
    }
    let no_key =
        room.peer.draft(&room.id, &room.bob, "m.room.member", json!({"membership": "leave", "n": 1}));
    room.rejects(&no_key, "a membership event without state key").await?;
    // No rule speaks of a state key that is no user id: the event may be taken, but it makes nobody a member.
    let before = ctx.room(&room.id).await?;
    for key in ["".to_owned(), "carol".to_owned(), format!("@Carol:{}", room.peer.name)] {
        let event = room.state("m.room.member", &key, json!({"membership": "invite", "for": key}));
        room.peer.send(&[room.peer.lpdu(&event)?], &[]).await?.expect_processed()?;
    }
    let now = ctx.room(&room.id).await?;
    let members = |room: &Room| room.0.get("members").cloned().unwrap_or_default();
    check!(
        members(&now) == members(&before),
        "invites of nobody made the members {} of {}",
        members(&now),
        members(&before)
    );
    room.accepts(&room.message("the room goes on")).await.map(drop)
}

async fn join_for_another(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_levels(ctx, 100, json!({})).await?;
    let carol = room.peer.user("carol")?;
    room.rejects(&room.member(&carol, "join"), "a join for somebody else").await?;
    let membership = ctx.room(&room.id).await?.membership(&carol).to_owned();
    check!(membership == "leave", "somebody else was made to {membership}");
    Ok(())
}

async fn banned_user_joins(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    ctx.as_alice(&room.id, &room.bob, "ban").await?;
    room.rejects(&room.member(&room.bob, "join"), "the join of a banned user over /send").await?;
    let path = paths::send_change("join", &room.peer.txn_id());
    let lpdu = room.peer.lpdu(&room.member(&room.bob, "join"))?;
    let reply = room.peer.request(http::Method::POST, &path, Some(&lpdu)).await?;
    reply.expect_error("the join of a banned user over send_join", 403, "M_FORBIDDEN")?;
    let now = ctx.room(&room.id).await?;
    check!(
        now.membership(&room.bob) == "ban",
        "the banned user's membership is {}",
        now.membership(&room.bob)
    );
    Ok(())
}

async fn join_without_invite(ctx: &Context) -> Result<(), Finding> {
    for rule in ["invite", "knock"] {
        let id = ctx.create_room(json!({"join_rule": rule})).await?;
        let peer = ctx.peer().await?;
        let (bob, carol) = (peer.user("bob")?, peer.user("carol")?);
        ctx.as_alice(&id, &bob, "invite").await?;
        peer.join(&id, &bob).await?;
        let room = HubRoom { ctx, id, peer, bob };
        let join = room.peer.member(&room.id, &carol, &carol, "join");
        room.rejects(&join, &format!("a join without an invite where the rule is {rule}")).await?;
        room.accepts(&room.member(&room.bob, "join")).await?;
        let path = paths::make_in_i1("join", &room.id, carol.as_str());
        let reply = room.peer.request(http::Method::GET, &path, None).await?;
        reply.expect_error("make_join without an invite", 403, "M_FORBIDDEN")?;
    }
    Ok(())
}

async fn join_public(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    room.accepts(&room.member(&room.bob, "join")).await?;
    room.accepts(&room.member(&room.bob, "leave")).await?;
    room.peer.join(&room.id, &room.bob).await?;
    let now = ctx.room(&room.id).await?;
    check!(now.membership(&room.bob) == "join", "who joins again is {}", now.membership(&room.bob));
    let alice = ctx.user("alice")?;
    check!(now.membership(&alice) == "join", "the creator is {}", now.membership(&alice));
    Ok(())
}

async fn invite(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_levels(ctx, 10, json!({"invite": 10})).await?;
    let (carol, dave) = (room.peer.user("carol")?, room.peer.user("dave")?);
    // Who is not joined has the level all the same.
    set_levels(&room, 10, json!({"invite": 10, "users": {carol.as_str(): 10}})).await?;
    let by_carol = room.peer.member(&room.id, &carol, &dave, "invite");
    room.rejects(&by_carol, "an invite by somebody who is not joined").await?;
    room.rejects(&room.member(&ctx.user("alice")?, "invite"), "an invite of somebody joined").await?;
    ctx.as_alice(&room.id, &dave, "ban").await?;
    room.rejects(&room.member(&dave, "invite"), "an invite of somebody banned").await?;
    room.accepts(&room.member(&carol, "invite")).await?;
    set_levels(&room, 9, json!({"invite": 10})).await?;
    let erin = room.peer.user("erin")?;
    room.rejects(&room.member(&erin, "invite"), "an invite by somebody below the level").await
}

async fn leave(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (carol, dave) = (room.peer.user("carol")?, room.peer.user("dave")?);
    let leave = |user| room.peer.member(&room.id, user, user, "leave");
    room.rejects(&leave(&carol), "the leave of somebody who never was there").await?;
    room.accepts(&room.member(&carol, "invite")).await?;
    room.accepts(&leave(&carol)).await?;
    room.rejects(&leave(&carol), "the leave of somebody who has left").await?;
    ctx.as_alice(&room.id, &dave, "ban").await?;
    room.rejects(&leave(&dave), "the leave of somebody banned").await?;
    ctx.send_as_alice(&room.id, "m.room.join_rules", Some(""), json!({"join_rule": "knock"})).await?;
    room.accepts(&room.peer.member(&room.id, &carol, &carol, "knock")).await?;
    room.accepts(&leave(&carol)).await?;
    room.accepts(&leave(&room.bob)).await.map(drop)
}

async fn kick(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let user = |localpart| room.peer.user(localpart);
    let (carol, dave, erin) = (user("carol")?, user("dave")?, user("erin")?);
    // Who is not joined, or not quite up to it, is above whom they kick all the same.
    let levels = json!({"users": {carol.as_str(): 49, dave.as_str(): 50}});
    set_levels(&room, 50, levels).await?;
    for user in [&carol, &erin] {
        room.peer.join(&room.id, user).await?;
    }
    let kick = |sender| room.peer.member(&room.id, sender, &erin, "leave");
    room.rejects(&kick(&dave), "a kick by somebody who is not joined").await?;
    room.rejects(&kick(&carol), "a kick below the level").await?;
    room.accepts(&kick(&room.bob)).await?;
    room.accepts(&room.member(&carol, "leave")).await?;
    room.peer.join(&room.id, &carol).await?;
    set_levels(&room, 50, json!({"users": {carol.as_str(): 50}})).await?;
    room.rejects(&room.member(&carol, "leave"), "a kick of an equal").await?;
    room.rejects(&room.member(&ctx.user("alice")?, "leave"), "a kick of somebody above").await
}

async fn unban(ctx: &Context) -> Result<(), Finding> {
    let room = room_with_levels(ctx, 50, json!({"ban": 51})).await?;
    let carol = room.peer.user("carol")?;
    ctx.as_alice(&room.id, &carol, "ban").await?;
    room.rejects(&room.member(&carol, "leave"), "lifting a ban below the level to ban").await?;
    set_levels(&room, 50, json!({"ban": 50})).await?;
    room.accepts(&room.member(&carol, "leave")).await.map(drop)
}

async fn ban(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (carol, dave) = (room.peer.user("carol")?, room.peer.user("dave")?);
    // Who is not joined, or not quite up to it, is above whom they ban all the same.
    set_levels(&room, 50, json!({"users": {carol.as_str(): 50}})).await?;
    let by_carol = || room.peer.member(&room.id, &carol, &dave, "ban");
    room.rejects(&by_carol(), "a ban by somebody who is not joined").await?;
    room.peer.join(&room.id, &carol).await?;
    set_levels(&room, 50, json!({"users": {carol.as_str(): 49}})).await?;
    room.rejects(&by_carol(), "a ban below the level").await?;
    room.rejects(&room.member(&ctx.user("alice")?, "ban"), "a ban of somebody above").await?;
    set_levels(&room, 50, json!({"users": {carol.as_str(): 50}})).await?;
    room.rejects(&room.member(&carol, "ban"), "a ban of an equal").await?;
    room.accepts(&room.member(&dave, "ban")).await.map(drop)
}

async fn knock(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (carol, dave) = (room.peer.user("carol")?, room.peer.user("dave")?);
    let knock = |user| room.peer.member(&room.id, user, user, "knock");
    room.rejects(&knock(&carol), "a knock at a public room").await?;
    ctx.send_as_alice(&room.id, "m.room.join_rules", Some(""), json!({"join_rule": "knock"})).await?;
    // Who is joined may not even knock for themselves.
    let for_carol = room.peer.member(&room.id, &dave, &carol, "knock");
    room.rejects(&for_carol, "a knock for somebody else").await?;
    room.rejects(&knock(&room.bob), "a knock by somebody joined").await?;
    ctx.as_alice(&room.id, &dave, "ban").await?;
    room.rejects(&knock(&dave), "a knock by somebody banned").await?;
    room.accepts(&knock(&carol)).await?;
    room.accepts(&knock(&carol)).await?;
    let now = ctx.room(&room.id).await?;
    check!(now.membership(&carol) == "knock", "who knocked is {}", now.membership(&carol));
    ctx.as_alice(&room.id, &carol, "invite").await?;
    room.accepts(&knock(&carol)).await.map(drop)
}

async fn not_joined(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let carol = room.peer.user("carol")?;
    let message = |n: u32| room.peer.draft(&room.id, &carol, "m.room.message", json!({"n": n}));
    room.rejects(&message(1), "a message of somebody who never was there").await?;
    room.accepts(&room.member(&carol, "invite")).await?;
    room.rejects(&message(2), "a message of somebody invited").await?;
    room.peer.join(&room.id, &carol).await?;
    room.accepts(&message(3)).await?;
    room.accepts(&room.peer.member(&room.id, &carol, &carol, "leave")).await?;
    room.rejects(&message(4), "a message of somebody who has left").await?;
    ctx.as_alice(&room.id, &carol, "ban").await?;
    room.rejects(&message(5), "a message of somebody banned").await
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
