//! Rooms in a federation of listed servers: who cannot come in, and where the target's users cannot go.

use http::Method;
use serde_json::{Value, json};

use super::outside::{expect_kept_out, expect_left_alone, outsider};
use crate::case::{Case, Finding, check, driven_case};
use crate::cases::steps::guest::guest_room;
use crate::cases::steps::{expect_refusal, hub_room, paths, reference_id};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "closed-federation/insiders-are-served",
        "servers inside join, speak and hear as ever",
        ["PROFILE/closed-federation/11", "R50"],
        insiders_are_served
    ),
    driven_case!(
        Must,
        Hub,
        "closed-federation/outsider-is-not-invited",
        "a user of the target cannot invite a user of a server outside, and that server is not told",
        ["PROFILE/closed-federation/5", "R50"],
        is_not_invited
    ),
    driven_case!(
        Must,
        Hub,
        "closed-federation/insider-invites-outsider",
        "an invite of a user of a server outside by a participant inside is refused",
        ["PROFILE/closed-federation/6", "R50"],
        insider_invites
    ),
    driven_case!(
        Must,
        Hub,
        "closed-federation/outsider-does-not-join",
        "a server outside does not get into a public room, and is sent nothing of it",
        ["PROFILE/closed-federation/7", "R50"],
        does_not_join
    ),
    driven_case!(
        Must,
        Participant,
        "closed-federation/outsiders-room",
        "a user of the target cannot join a room whose hub is outside, and the hub is not contacted",
        ["PROFILE/closed-federation/8", "R50"],
        outsiders_room
    ),
    driven_case!(
        Must,
        Participant,
        "closed-federation/outsiders-invite",
        "an invite by a server outside is refused, and the invited user is not told",
        ["PROFILE/closed-federation/9", "R50"],
        outsiders_invite
    ),
    driven_case!(
        Must,
        Participant,
        "closed-federation/outsider-in-a-room",
        "what a server outside signed in a room of a hub inside does not make the target contact it",
        ["PROFILE/closed-federation/10", "R50"],
        outsider_in_a_room
    ),
];

async fn insiders_are_served(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    room.accepts(&room.message("from inside")).await?;
    let sent = ctx.send_as_alice(&room.id, "m.room.message", None, json!({"body": "to inside"})).await?;
    let id = sent.get("event_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    room.peer.until_pdu("send a message to a server inside", |pdu| reference_id(pdu) == id).await.map(drop)
}

pub(super) async fn is_not_invited(ctx: &Context) -> Result<(), Finding> {
    let (outsider, room) = (outsider(ctx).await?, ctx.public_room().await?);
    let (stranger, before) = (outsider.user("stranger")?, ctx.room(&room).await?.length());
    let control = ctx.control()?;
    let reply =
        control.try_membership(&ctx.recorder, &room, "alice", stranger.as_str(), "invite", &[]).await?;
    expect_refusal(&reply, "an invite of a user of a server outside")?;
    let now = ctx.room(&room).await?;
    check!(now.length() == before, "after the refused invite the list has {} events", now.length());
    check!(now.membership(&stranger) == "leave", "the user is {}", now.membership(&stranger));
    expect_left_alone(&outsider, "a refused invite of its user")
}

pub(super) async fn insider_invites(ctx: &Context) -> Result<(), Finding> {
    let (room, outsider) = (hub_room(ctx).await?, outsider(ctx).await?);
    let stranger = outsider.user("stranger")?;
    let lpdu = room.peer.lpdu(&room.member(&stranger, "invite"))?;
    let body = json!({"event": lpdu, "invite_room_state": [], "room_version": "I.1"});
    let path = paths::invite(&room.peer.txn_id());
    let reply = room.peer.request(Method::POST, &path, Some(&body)).await?;
    reply.expect_error("an invite of a user of a server outside", 403, "M_FORBIDDEN")?;
    room.is_not_listed(&lpdu, "the invite").await?;
    room.rejects(&room.member(&stranger, "invite"), "an invite of a user of a server outside").await?;
    let now = ctx.room(&room.id).await?;
    check!(now.membership(&stranger) == "leave", "the user is {}", now.membership(&stranger));
    expect_left_alone(&outsider, "refused invites of its user")
}

async fn does_not_join(ctx: &Context) -> Result<(), Finding> {
    let (room, outsider) = (hub_room(ctx).await?, outsider(ctx).await?);
    let stranger = outsider.user("stranger")?;
    for change in ["join", "knock"] {
        let path = paths::make_in_i1(change, &room.id, stranger.as_str());
        let reply = outsider.request(Method::GET, &path, None).await?;
        expect_kept_out(&reply, &format!("make_{change} of a public room"))?;
        let lpdu = outsider.lpdu(&outsider.member(&room.id, &stranger, &stranger, change))?;
        let path = paths::send_change(change, &outsider.txn_id());
        let reply = outsider.request(Method::POST, &path, Some(&lpdu)).await?;
        expect_kept_out(&reply, &format!("send_{change} to a public room"))?;
        room.is_not_listed(&lpdu, &format!("the {change}")).await?;
    }
    // What comes next reaches the servers in the room.
    let sent = ctx.send_as_alice(&room.id, "m.room.message", None, json!({"body": "inside"})).await?;
    let id = sent.get("event_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    room.peer.until_pdu("send a message to a server inside", |pdu| reference_id(pdu) == id).await?;
    expect_left_alone(&outsider, "a message in a room that it tried to join")
}

async fn outsiders_room(ctx: &Context) -> Result<(), Finding> {
    let outsider = outsider(ctx).await?;
    let (room, carol) = (outsider.host_room(json!({})).await?, ctx.user("carol")?);
    let (control, hub) = (ctx.control()?, outsider.name.as_str());
    for membership in ["join", "knock"] {
        let reply = control
            .try_membership(&ctx.recorder, &room.id, carol.as_str(), carol.as_str(), membership, &[hub])
            .await?;
        expect_refusal(&reply, &format!("{membership} of a room whose hub is outside"))?;
    }
    expect_left_alone(&outsider, "refused attempts to join its room")
}

pub(super) async fn outsiders_invite(ctx: &Context) -> Result<(), Finding> {
    let outsider = outsider(ctx).await?;
    let (room, carol) = (outsider.host_room(json!({})).await?, ctx.user("carol-of-the-closed")?);
    let host = outsider.user("host")?;
    let invite = outsider.state_draft(
        &room.id,
        &host,
        "m.room.member",
        carol.as_str(),
        json!({"membership": "invite"}),
    );
    let event = room.append(invite, &outsider.key)?;
    let body = json!({"event": event, "invite_room_state": [], "room_version": "I.1"});
    let path = paths::invite(&outsider.txn_id());
    let reply = outsider.request(Method::POST, &path, Some(&body)).await?;
    expect_kept_out(&reply, "an invite")?;
    let told = ctx.control()?.inbox(&ctx.recorder, &carol).await?;
    check!(told.is_empty(), "the invited user is told: {}", Value::Array(told));
    expect_left_alone(&outsider, "an invite that it signed")
}

async fn outsider_in_a_room(ctx: &Context) -> Result<(), Finding> {
    let (guest, outsider) = (guest_room(ctx).await?, outsider(ctx).await?);
    let (room, stranger) = (&guest.room, outsider.user("stranger")?);
    // The hub is inside, and does not mind.
    room.admit(&outsider);
    let joins =
        outsider.lpdu_for(&guest.peer.name, &outsider.member(&room.id, &stranger, &stranger, "join"))?;
    let joined = guest.peer.take(room, &joins)?;
    guest.peer.send(std::slice::from_ref(&joined), &[]).await?.expect_processed()?;
    // Whatever becomes of the room: the target answers requests of its hub, and is past what was sent.
    let host = guest.peer.user("host")?;
    let content = json!({"body": "after it"});
    let said = room.append(guest.peer.draft(&room.id, &host, "m.room.message", content), &guest.peer.key)?;
    guest.peer.send(std::slice::from_ref(&said), &[]).await?.expect_processed()?;
    expect_left_alone(&outsider, "events of a hub inside, one of which it signed")?;
    let asked = guest.peer.requests().into_iter().find(|request| {
        request.target.starts_with("/_matrix/key/v2/query")
            && (request.target.contains(outsider.name.host())
                || request.body.to_string().contains(outsider.name.host()))
    });
    check!(asked.is_none(), "the hub was asked for the keys of {}, which is outside", outsider.name);
    Ok(())
}
