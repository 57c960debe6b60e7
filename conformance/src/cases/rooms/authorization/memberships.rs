//! Who may change whose membership, and that only members speak (LM-04 §5.2.3, rules 5 and 6).

use serde_json::{Value, json};

use super::{room_with_levels, set_levels};
use crate::case::{Case, Finding, check, driven_case};
use crate::cases::steps::{HubRoom, hub_room, paths};
use crate::context::Context;
use crate::target::Room;

pub(in crate::cases::rooms) const CASES: &[Case] = &[
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
        ["LM-04/auth/5.2.5", "LM-04/auth/5.2.1", "FW-01/3.1/3"],
        join_public
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/invite",
        "who is joined and has the level invites, and only who is neither joined nor banned is invited",
        ["LM-04/auth/5.3.1", "LM-04/auth/5.3.2", "LM-04/auth/5.3.3", "LM-04/auth/5.3.4", "FW-01/3.3/19"],
        invite
    ),
    driven_case!(
        Must,
        Hub,
        "5.2.3/leave",
        "users leave by themselves from where there is something to leave",
        ["LM-04/auth/5.4.1", "LM-04/3.5.3.3/1", "FW-01/6/13"],
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
];

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
