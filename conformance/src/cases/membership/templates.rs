//! `make_join`, `make_leave` and `make_knock` at the target (LM-04 §12.7.1, reading R22).

use http::Method;
use mimi_linearized::id::{RoomId, UserId};
use serde_json::{Value, json};

use crate::case::{Case, Finding, case, check, driven_case, fault, said};
use crate::cases::steps::guest::guest_room;
use crate::cases::steps::paths;
use crate::context::Context;
use crate::peer::Peer;
use crate::wire::Reply;

pub(in crate::cases) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "12.7.2.2.1/template",
        "make_leave answers with a template and the room's version",
        ["LM-04/12.7.2.2.1/1", "LM-04/12.7.2.2.1/2", "R22"],
        leave_template
    ),
    case!(
        Must,
        Server,
        "12.7.1/unknown-room",
        "a template for an unknown room is answered 404 M_NOT_FOUND",
        ["LM-04/12.7.2.2.1/5", "LM-04/12.7.3.1/5", "LM-04/12.7.4.1/5"],
        unknown_room
    ),
    driven_case!(
        Must,
        Participant,
        "12.7.1/wrong-server",
        "a participant that is asked for a template answers 400 M_WRONG_SERVER",
        ["LM-04/12.7.2.2.1/4", "LM-04/12.7.3.1/4", "LM-04/12.7.4.1/4", "LM-04/11/1"],
        wrong_server
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.2.1/forbidden",
        "a user who may not leave gets no template: 403 M_FORBIDDEN",
        ["LM-04/12.7.2.2.1/6", "LM-04/12.7.1/1"],
        leave_forbidden
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.3.1/template",
        "make_join answers with a template",
        ["LM-04/12.7.3.1/2", "R22"],
        join_template
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.3.1/versions",
        "a template for joining is only for who supports the room's version",
        ["LM-04/12.7.3.1/1", "LM-04/12.7.3.1/7", "LM-04/3.2.1/3", "LM-04/3.2.1/5"],
        join_versions
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.3.1/forbidden",
        "a user who may not join gets no template: 403 M_FORBIDDEN",
        ["LM-04/12.7.3.1/6", "LM-04/12.7.1/1"],
        join_forbidden
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.4.1/template",
        "make_knock answers with a template",
        ["LM-04/12.7.4.1/2", "R22"],
        knock_template
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.4.1/versions",
        "a template for knocking is only for who supports the room's version",
        ["LM-04/12.7.4.1/1", "LM-04/12.7.4.1/7", "LM-04/3.2.1/3", "LM-04/3.2.1/5"],
        knock_versions
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.4.1/forbidden",
        "a user who may not knock gets no template: 403 M_FORBIDDEN",
        ["LM-04/12.7.4.1/6", "LM-04/12.7.1/1"],
        knock_forbidden
    ),
];

/// Asks for a template.
async fn make(peer: &Peer, change: &str, room: &RoomId, user: &UserId) -> Result<Reply, Finding> {
    peer.request(Method::GET, &paths::make_in_i1(change, room, user.as_str()), None).await
}

/// Checks a template. Returns what it has beyond the fields of reading R22.
fn check_template(
    template: &Value,
    room: &RoomId,
    user: &UserId,
    membership: &str,
) -> Result<Vec<String>, Finding> {
    let fields = template.as_object().ok_or_else(|| fault(format!("the template is {template}")))?;
    let is = |field: &str, expected: Value| {
        let got = fields.get(field);
        check!(
            got == Some(&expected),
            "`{field}` of the template is {got} instead of {expected}",
            got = said(&got)
        );
        Ok(())
    };
    is("type", json!("m.room.member"))?;
    is("state_key", json!(user))?;
    is("sender", json!(user))?;
    is("content", json!({"membership": membership}))?;
    for missing in ["auth_events", "prev_events"] {
        check!(!fields.contains_key(missing), "the template has `{missing}`, which no LPDU has");
    }
    if let Some(named) = fields.get("room_id") {
        check!(*named == json!(room), "the template is for the room {named}");
    }
    let known = ["type", "state_key", "sender", "content", "room_id", "hub_server"];
    Ok(fields.keys().filter(|name| !known.contains(&name.as_str())).cloned().collect())
}

/// Checks an answer that has the template at its top and under `event`.
fn check_both_forms(answer: &Value, room: &RoomId, user: &UserId, membership: &str) -> Result<(), Finding> {
    let mut top = answer.as_object().cloned().ok_or_else(|| fault(format!("the answer is {answer}")))?;
    let (wrapped, version) = (top.remove("event"), top.remove("room_version"));
    let mut otherwise = Vec::new();
    if top.contains_key("type") {
        let more = check_template(&Value::Object(top), room, user, membership)?;
        otherwise.extend(more.into_iter().map(|field| format!("the template has `{field}`")));
    } else {
        check!(wrapped.is_some(), "the answer has no template: {answer}");
        otherwise.push("the template is under `event` only".to_owned());
    }
    if let Some(wrapped) = wrapped {
        let more = check_template(&wrapped, room, user, membership)?;
        otherwise.extend(more.into_iter().map(|field| format!("the template in `event` has `{field}`")));
    } else {
        otherwise.push("the template is at the top only".to_owned());
    }
    match version {
        None => otherwise.push("there is no `room_version`".to_owned()),
        Some(version) => check!(version == json!("I.1"), "`room_version` is {version}"),
    }
    if otherwise.is_empty() {
        return Ok(());
    }
    Err(Finding::Acceptable { reading: "R22", what: otherwise.join("; ") })
}

async fn join_template(ctx: &Context) -> Result<(), Finding> {
    let (room, peer) = (ctx.public_room().await?, ctx.peer().await?);
    let bob = peer.user("bob")?;
    let reply = make(&peer, "join", &room, &bob).await?;
    check_both_forms(reply.expect_ok("make_join")?, &room, &bob, "join")
}

async fn knock_template(ctx: &Context) -> Result<(), Finding> {
    let (room, peer) = (ctx.create_room(json!({"join_rule": "knock"})).await?, ctx.peer().await?);
    let bob = peer.user("bob")?;
    let reply = make(&peer, "knock", &room, &bob).await?;
    check_both_forms(reply.expect_ok("make_knock")?, &room, &bob, "knock")
}

async fn leave_template(ctx: &Context) -> Result<(), Finding> {
    let (room, peer) = (ctx.create_room(json!({})).await?, ctx.peer().await?);
    let bob = peer.user("bob")?;
    ctx.as_alice(&room, &bob, "invite").await?;
    let reply = make(&peer, "leave", &room, &bob).await?;
    let answer = reply.expect_ok("make_leave")?;
    let version = answer.get("room_version");
    check!(version == Some(&json!("I.1")), "`room_version` is {version}", version = said(&version));
    let template = answer.get("event").cloned().unwrap_or_default();
    let more = check_template(&template, &room, &bob, "leave")?;
    if more.is_empty() {
        return Ok(());
    }
    let what = format!("the template also has {}", more.join(", "));
    Err(Finding::Acceptable { reading: "R22", what })
}

async fn unknown_room(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    for room in [format!("!none:{}", ctx.environment.target.name), "!none:example.org".to_owned()] {
        for change in ["join", "leave", "knock"] {
            let mut target = paths::make(change, &room, bob.as_str());
            if change != "leave" {
                target.push_str("?ver=I.1");
            }
            let reply = peer.request(Method::GET, &target, None).await?;
            reply.expect_error(&format!("make_{change} for an unknown room"), 404, "M_NOT_FOUND")?;
        }
    }
    Ok(())
}

async fn wrong_server(ctx: &Context) -> Result<(), Finding> {
    let guest = guest_room(ctx).await?;
    let bob = guest.peer.user("bob")?;
    for change in ["join", "leave", "knock"] {
        let reply = make(&guest.peer, change, &guest.room.id, &bob).await?;
        reply.expect_error(&format!("make_{change} at a participant"), 400, "M_WRONG_SERVER")?;
    }
    Ok(())
}

/// A user gets no template.
async fn expect_forbidden(
    peer: &Peer,
    change: &str,
    room: &RoomId,
    user: &UserId,
    who: &str,
) -> Result<(), Finding> {
    let reply = make(peer, change, room, user).await?;
    reply.expect_error(&format!("make_{change} for a user who {who}"), 403, "M_FORBIDDEN")
}

async fn join_forbidden(ctx: &Context) -> Result<(), Finding> {
    let (closed, open, peer) =
        (ctx.create_room(json!({})).await?, ctx.public_room().await?, ctx.peer().await?);
    let bob = peer.user("bob")?;
    expect_forbidden(&peer, "join", &closed, &bob, "is not invited").await?;
    ctx.as_alice(&closed, &bob, "invite").await?;
    make(&peer, "join", &closed, &bob).await?.expect_ok("make_join for a user who is invited")?;
    ctx.as_alice(&open, &bob, "ban").await?;
    expect_forbidden(&peer, "join", &open, &bob, "is banned").await
}

async fn leave_forbidden(ctx: &Context) -> Result<(), Finding> {
    let (room, peer) = (ctx.public_room().await?, ctx.peer().await?);
    let bob = peer.user("bob")?;
    expect_forbidden(&peer, "leave", &room, &bob, "was never in the room").await?;
    peer.join(&room, &bob).await?;
    make(&peer, "leave", &room, &bob).await?.expect_ok("make_leave for a user who is joined")?;
    ctx.as_alice(&room, &bob, "ban").await?;
    expect_forbidden(&peer, "leave", &room, &bob, "is banned").await
}

async fn knock_forbidden(ctx: &Context) -> Result<(), Finding> {
    let (open, peer) = (ctx.public_room().await?, ctx.peer().await?);
    let (bob, dave) = (peer.user("bob")?, peer.user("dave")?);
    expect_forbidden(&peer, "knock", &open, &bob, "knocks where anybody may join").await?;
    let room = ctx.create_room(json!({"join_rule": "knock"})).await?;
    make(&peer, "knock", &room, &bob).await?.expect_ok("make_knock where users may knock")?;
    ctx.as_alice(&room, &bob, "ban").await?;
    expect_forbidden(&peer, "knock", &room, &bob, "is banned").await?;
    ctx.as_alice(&room, &dave, "invite").await?;
    peer.join(&room, &dave).await?;
    expect_forbidden(&peer, "knock", &room, &dave, "is joined already").await
}

/// The query parameter `ver` of `make_join` and `make_knock`.
async fn check_versions(ctx: &Context, change: &str, join_rule: &str) -> Result<(), Finding> {
    let (room, peer) = (ctx.create_room(json!({"join_rule": join_rule})).await?, ctx.peer().await?);
    let path = paths::make(change, room.as_str(), peer.user("bob")?.as_str());
    let ask = async |query: &str| peer.request(Method::GET, &format!("{path}{query}"), None).await;
    ask("").await?.expect_refusal(&format!("make_{change} without `ver`"))?;
    for query in ["?ver=org.example.other", "?ver=I.10", "?ver=I.", "?ver=i.1&ver=I.2"] {
        let reply = ask(query).await?;
        let what = format!("make_{change} with the query {query} for a room of version I.1");
        reply.expect_error(&what, 400, "M_INCOMPATIBLE_ROOM_VERSION")?;
    }
    for query in ["?ver=I.1", "?ver=I.1&ver=org.example.other", "?ver=org.example.other&ver=I.1"] {
        ask(query).await?.expect_ok(&format!("make_{change} with the query {query}"))?;
    }
    Ok(())
}

async fn join_versions(ctx: &Context) -> Result<(), Finding> {
    check_versions(ctx, "join", "public").await
}

async fn knock_versions(ctx: &Context) -> Result<(), Finding> {
    check_versions(ctx, "knock", "knock").await
}
