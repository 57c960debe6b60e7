//! `m.room.server_acl` at a hub: servers that a room denies neither speak in it nor read it.

use http::Method;
use serde_json::{Value, json};

use super::outside::elsewhere;
use crate::case::{Case, Finding, check, driven_case};
use crate::cases::steps::{HubRoom, paths, reference_id};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "bw-messenger/acl-speaking",
        "an event of a server that the room's `m.room.server_acl` denies is refused; others speak on",
        ["PROFILE/bw-messenger/5", "R61"],
        speaking
    ),
    driven_case!(
        Must,
        Hub,
        "bw-messenger/acl-reading",
        "a server that is denied reads nothing of the room: 403 M_FORBIDDEN",
        ["PROFILE/bw-messenger/6", "R61"],
        reading
    ),
    driven_case!(
        Must,
        Hub,
        "bw-messenger/acl-joining",
        "a server that is denied does not join: 403 M_FORBIDDEN",
        ["PROFILE/bw-messenger/7", "R61"],
        joining
    ),
    driven_case!(
        Must,
        Hub,
        "bw-messenger/acl-lifted",
        "the current list counts: whom it allows again takes part again",
        ["PROFILE/bw-messenger/8", "R61"],
        lifted
    ),
    driven_case!(
        Must,
        Hub,
        "bw-messenger/acl-by-others",
        "who has not the level to set `m.room.server_acl` does not",
        ["PROFILE/bw-messenger/9", "R61"],
        by_others
    ),
];

/// An encrypted public room with `bob` of a server of another name than the suite's others have.
async fn room(ctx: &Context) -> Result<HubRoom<'_>, Finding> {
    let (peer, settings) = (elsewhere(ctx).await?, json!({"join_rule": "public", "encrypted": true}));
    let (id, bob) = (ctx.create_room(settings).await?, peer.user("bob")?);
    peer.join(&id, &bob).await?;
    Ok(HubRoom { ctx, id, peer, bob })
}

fn denying(room: &HubRoom<'_>) -> Value {
    json!({"allow": ["*"], "deny": [room.peer.name.host()], "allow_ip_literals": true})
}

async fn set(room: &HubRoom<'_>, acl: Value) -> Result<(), Finding> {
    room.ctx.send_as_alice(&room.id, "m.room.server_acl", Some(""), acl).await.map(drop)
}

async fn speaking(ctx: &Context) -> Result<(), Finding> {
    let (room, other) = (room(ctx).await?, ctx.peer().await?);
    let dave = other.user("dave")?;
    other.join(&room.id, &dave).await?;
    set(&room, denying(&room)).await?;
    room.rejects(&room.member(&room.bob, "leave"), "an event of a server that the room denies").await?;
    room.rejects(&room.message("denied"), "a message of a server that the room denies").await?;
    let said = other.draft(&room.id, &dave, "org.example.said", json!({"body": "not denied"}));
    other.say(&said).await.map(drop)
}

async fn reading(ctx: &Context) -> Result<(), Finding> {
    let room = room(ctx).await?;
    let event = ctx.room(&room.id).await?.head().to_owned();
    let reads = [
        paths::event(&event),
        paths::state(room.id.as_str(), &event),
        paths::state_ids(room.id.as_str(), &event),
        paths::backfill(room.id.as_str(), &event, 10),
    ];
    for path in &reads {
        room.peer.request(Method::GET, path, None).await?.expect_ok("reading a room that one is in")?;
    }
    set(&room, denying(&room)).await?;
    for path in &reads {
        let reply = room.peer.request(Method::GET, path, None).await?;
        reply.expect_error(&format!("GET {path} of a server that the room denies"), 403, "M_FORBIDDEN")?;
    }
    Ok(())
}

async fn joining(ctx: &Context) -> Result<(), Finding> {
    let room = room(ctx).await?;
    set(&room, denying(&room)).await?;
    let carol = room.peer.user("carol")?;
    let path = paths::make_in_i1("join", &room.id, carol.as_str());
    let reply = room.peer.request(Method::GET, &path, None).await?;
    reply.expect_error("make_join of a server that the room denies", 403, "M_FORBIDDEN")?;
    let lpdu = room.peer.lpdu(&room.peer.member(&room.id, &carol, &carol, "join"))?;
    let path = paths::send_change("join", &room.peer.txn_id());
    let reply = room.peer.request(Method::POST, &path, Some(&lpdu)).await?;
    reply.expect_error("send_join of a server that the room denies", 403, "M_FORBIDDEN")?;
    room.is_not_listed(&lpdu, "the join").await
}

async fn lifted(ctx: &Context) -> Result<(), Finding> {
    let room = room(ctx).await?;
    set(&room, denying(&room)).await?;
    room.rejects(&room.message("denied"), "a message of a server that the room denies").await?;
    set(&room, json!({"allow": ["*"], "deny": []})).await?;
    let said = room.accepts(&room.message("allowed again")).await?;
    let list = ctx.events(&room.id).await?;
    check!(
        list.iter().any(|event| reference_id(event) == reference_id(&said)),
        "the message is not in the list"
    );
    set(&room, json!({"deny": []})).await?;
    room.rejects(&room.message("not allowed"), "a message of a server that `allow` does not have").await
}

async fn by_others(ctx: &Context) -> Result<(), Finding> {
    let room = room(ctx).await?;
    let mine = room.state("m.room.server_acl", "", json!({"allow": [room.peer.name.host()]}));
    room.rejects(&mine, "m.room.server_acl of a user without the level").await?;
    room.accepts(&room.message("still here")).await.map(drop)
}
