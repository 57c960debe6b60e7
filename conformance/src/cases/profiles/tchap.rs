//! `im.vector.room.access_rules` at a hub: whom a room of the French administration is open to.

use http::Method;
use mimi_linearized::id::{RoomId, UserId};
use serde_json::{Value, json};

use super::outside::{elsewhere, expect_left_alone};
use crate::case::{Case, Finding, check, driven_case, said};
use crate::cases::steps::{HubRoom, expect_refusal, hub_room, hub_room_with, paths, reference_id};
use crate::context::Context;
use crate::wire::Reply;

/// The state event that is all of this.
const RULES: &str = "im.vector.room.access_rules";

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "tchap/new-rooms-are-restricted",
        "a room whose creator says nothing of it begins as `restricted`",
        ["PROFILE/tchap/1", "R60"],
        new_rooms
    ),
    driven_case!(
        Must,
        Hub,
        "tchap/restricted-invite",
        "users of external servers are not invited to a restricted room",
        ["PROFILE/tchap/2", "R60"],
        restricted_invite
    ),
    driven_case!(
        Must,
        Hub,
        "tchap/restricted-join",
        "users of external servers do not join a restricted room, whatever its join rule is",
        ["PROFILE/tchap/2", "R60"],
        restricted_join
    ),
    driven_case!(
        Must,
        Hub,
        "tchap/unrestricted-invite",
        "users of external servers are invited to an unrestricted room, and join it then",
        ["PROFILE/tchap/3", "R60"],
        unrestricted_invite
    ),
    driven_case!(
        Must,
        Hub,
        "tchap/unrestricted-join",
        "users of external servers do not join an unrestricted room without an invite",
        ["PROFILE/tchap/4", "R60"],
        unrestricted_join
    ),
    driven_case!(
        Must,
        Hub,
        "tchap/levels",
        "in an unrestricted room users of external servers have the level 0",
        ["PROFILE/tchap/5", "R60"],
        levels
    ),
    driven_case!(
        Must,
        Hub,
        "tchap/direct-has-two",
        "a direct room has two members and takes no third",
        ["PROFILE/tchap/6", "R60"],
        direct_has_two
    ),
    driven_case!(
        Must,
        Hub,
        "tchap/direct-is-bare",
        "a direct room gets no name, topic or avatar, and does not become public",
        ["PROFILE/tchap/7", "R60"],
        direct_is_bare
    ),
    driven_case!(
        Must,
        Hub,
        "tchap/changes",
        "the rule changes from `restricted` to `unrestricted`, and in no other way",
        ["PROFILE/tchap/8", "R60"],
        changes
    ),
];

/// A room with this rule from its creation.
async fn room_with(ctx: &Context, rule: &str, join_rule: &str) -> Result<RoomId, Finding> {
    let rules = json!([{"type": RULES, "state_key": "", "content": {"rule": rule}}]);
    ctx.create_room(json!({"join_rule": join_rule, "initial_state": rules})).await
}

/// Has `alice` invite somebody, whatever the answer.
async fn invite(ctx: &Context, room: &RoomId, user: &UserId) -> Result<Reply, Finding> {
    ctx.control()?.try_membership(&ctx.recorder, room, "alice", user.as_str(), "invite", &[]).await
}

/// Has `alice` set state, whatever the answer.
async fn try_set(ctx: &Context, room: &RoomId, kind: &str, content: Value) -> Result<Reply, Finding> {
    ctx.control()?.try_send(&ctx.recorder, room, "alice", kind, Some(""), &content).await
}

async fn rule_of(ctx: &Context, room: &RoomId) -> Result<String, Finding> {
    let event = ctx.state_event(room, RULES, "").await?.unwrap_or_default();
    let rule = event.pointer("/content/rule").and_then(Value::as_str);
    Ok(rule.unwrap_or_default().to_owned())
}

async fn new_rooms(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let rule = rule_of(ctx, &room.id).await?;
    check!(rule == "restricted", "a new room's access rule is {rule}", rule = said(&rule));
    room.accepts(&room.message("inside")).await.map(drop)
}

async fn restricted_invite(ctx: &Context) -> Result<(), Finding> {
    let (room, external) = (hub_room(ctx).await?, elsewhere(ctx).await?);
    let stranger = external.user("stranger")?;
    expect_refusal(&invite(ctx, &room.id, &stranger).await?, "an invite of a user of an external server")?;
    room.rejects(&room.member(&stranger, "invite"), "a participant's invite of such a user").await?;
    expect_left_alone(&external, "refused invites of its user")
}

/// A server that is external tries to join.
async fn does_not_join(ctx: &Context, room: &RoomId, what: &str) -> Result<(), Finding> {
    let external = elsewhere(ctx).await?;
    let stranger = external.user("stranger")?;
    let lpdu = external.lpdu(&external.member(room, &stranger, &stranger, "join"))?;
    let path = paths::send_change("join", &external.txn_id());
    let reply = external.request(Method::POST, &path, Some(&lpdu)).await?;
    reply.expect_error(&format!("joining {what} from an external server"), 403, "M_FORBIDDEN")?;
    let now = ctx.room(room).await?;
    check!(now.membership(&stranger) == "leave", "the user is {}", now.membership(&stranger));
    Ok(())
}

async fn restricted_join(ctx: &Context) -> Result<(), Finding> {
    let room = room_with(ctx, "restricted", "public").await?;
    does_not_join(ctx, &room, "a restricted room").await?;
    let inside = ctx.peer().await?;
    inside.join(&room, &inside.user("bob")?).await.map(drop)
}

async fn unrestricted_invite(ctx: &Context) -> Result<(), Finding> {
    let (room, external) = (room_with(ctx, "unrestricted", "invite").await?, elsewhere(ctx).await?);
    let bob = external.user("bob")?;
    invite(ctx, &room, &bob).await?.expect_ok("an invite to an unrestricted room")?;
    external.join(&room, &bob).await?;
    let room = HubRoom { ctx, id: room, peer: external, bob };
    room.accepts(&room.message("from outside")).await.map(drop)
}

async fn unrestricted_join(ctx: &Context) -> Result<(), Finding> {
    let room = room_with(ctx, "unrestricted", "public").await?;
    does_not_join(ctx, &room, "an unrestricted room without an invite").await
}

async fn levels(ctx: &Context) -> Result<(), Finding> {
    let (room, external) = (room_with(ctx, "unrestricted", "invite").await?, elsewhere(ctx).await?);
    let now = ctx.state_event(&room, "m.room.power_levels", "").await?.unwrap_or_default();
    let content = now.get("content").cloned().unwrap_or_default();
    let changed = |pointer: &str, key: &str, value: Value| {
        let mut content = content.clone();
        if let Some(Value::Object(object)) = content.pointer_mut(pointer) {
            object.insert(key.to_owned(), value);
        }
        content
    };
    let bob = external.user("bob")?;
    let kind = "m.room.power_levels";
    let raised = changed("/users", bob.as_str(), json!(50));
    expect_refusal(
        &try_set(ctx, &room, kind, raised).await?,
        "a level of 50 for a user of an external server",
    )?;
    let raised = changed("", "users_default", json!(10));
    expect_refusal(&try_set(ctx, &room, kind, raised).await?, "a `users_default` of 10")?;
    let carol = ctx.user("carol")?;
    let raised = changed("/users", carol.as_str(), json!(50));
    try_set(ctx, &room, kind, raised).await?.expect_ok("a level of 50 for a user of the target").map(drop)
}

async fn direct_has_two(ctx: &Context) -> Result<(), Finding> {
    let (room, peer) = (room_with(ctx, "direct", "invite").await?, ctx.peer().await?);
    let (bob, carol) = (peer.user("bob")?, ctx.user("carol")?);
    invite(ctx, &room, &bob).await?.expect_ok("the invite of the second member of a direct room")?;
    expect_refusal(&invite(ctx, &room, &carol).await?, "the invite of a third member of a direct room")?;
    peer.join(&room, &bob).await?;
    let room = HubRoom { ctx, id: room, peer, bob };
    room.rejects(&room.member(&carol, "invite"), "the second member's invite of a third").await?;
    room.accepts(&room.member(&room.bob, "leave")).await?;
    invite(ctx, &room.id, &room.bob).await?.expect_ok("inviting the second member again").map(drop)
}

async fn direct_is_bare(ctx: &Context) -> Result<(), Finding> {
    let room = room_with(ctx, "direct", "invite").await?;
    for (kind, content) in [
        ("m.room.name", json!({"name": "two"})),
        ("m.room.topic", json!({"topic": "two"})),
        ("m.room.avatar", json!({"url": "mxc://example.org/two"})),
        ("m.room.join_rules", json!({"join_rule": "public"})),
    ] {
        expect_refusal(&try_set(ctx, &room, kind, content).await?, &format!("{kind} in a direct room"))?;
    }
    let others = hub_room_with(ctx, json!({"join_rule": "public"})).await?;
    let named = try_set(ctx, &others.id, "m.room.name", json!({"name": "many"})).await?;
    named.expect_ok("the name of a restricted room").map(drop)
}

async fn changes(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    for rule in ["direct", "open", "restricted"] {
        let reply = try_set(ctx, &room.id, RULES, json!({"rule": rule})).await?;
        expect_refusal(&reply, &format!("the change from restricted to {rule}"))?;
    }
    room.rejects(
        &room.state(RULES, "", json!({"rule": "unrestricted"})),
        "the rule of a user without the level",
    )
    .await?;
    let reply = try_set(ctx, &room.id, RULES, json!({"rule": "unrestricted"})).await?;
    let id = reply.expect_ok("the change from restricted to unrestricted")?;
    let id = id.get("event_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    room.peer.until_pdu("send the change to the room", |pdu| reference_id(pdu) == id).await?;
    let reply = try_set(ctx, &room.id, RULES, json!({"rule": "restricted"})).await?;
    expect_refusal(&reply, "the change from unrestricted to restricted")?;
    let rule = rule_of(ctx, &room.id).await?;
    check!(rule == "unrestricted", "the rule is {rule}", rule = said(&rule));
    Ok(())
}
