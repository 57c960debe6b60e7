//! Invites that participants send through the target as the hub (LM-04 §12.7.2.1).

use http::Method;
use mimi_linearized::id::UserId;
use serde_json::{Value, json};

use super::{answered_invite, invites, is_signed_by, member_event, membership_in};
use crate::case::{Case, Finding, check, driven_case};
use crate::cases::steps::paths;
use crate::cases::steps::{HubRoom, hub_room, hub_room_with, reference_id};
use crate::context::Context;
use crate::peer::{Peer, RawResponse, Response, lpdu_hash};
use crate::wire::Reply;

pub(in crate::cases) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "12.7.2.1/through-the-hub",
        "the hub makes a PDU of a participant's invite, has it signed, appends it and gives it back",
        [
            "LM-04/12.7.2.1/7",
            "LM-04/12.7.2.1/9",
            "LM-04/12.7.2.1/10",
            "LM-04/12.7.2.1/17",
            "LM-04/12.7.2.1/18",
            "LM-04/12.7.2.1/19",
        ],
        through_the_hub
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.1/not-allowed",
        "an invite that the rules do not allow is answered 403 M_FORBIDDEN, and nobody else is asked",
        ["LM-04/12.7.2.1/8"],
        not_allowed
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.1/refused-through-the-hub",
        "a participant's invite that the user's server refuses is not appended",
        ["LM-04/12.7.2.1/14", "R23"],
        refused_through_the_hub
    ),
    driven_case!(
        Should,
        Hub,
        "12.7.2.1/refusal-is-passed-on",
        "the refusal of the user's server is passed on to the participant",
        ["LM-04/12.7.2.1/11"],
        refusal_is_passed_on
    ),
    driven_case!(
        Should,
        Hub,
        "12.7.2.1/excess-is-left-out",
        "unknown and very large members of the answer are not passed on",
        ["LM-04/12.7.2.1/12"],
        excess_is_left_out
    ),
    driven_case!(
        Should,
        Hub,
        "12.7.2.1/answer-is-not-json",
        "if the user's server does not answer with JSON, the hub answers with an error of its own",
        ["LM-04/12.7.2.1/13", "LM-04/12.7.2.1/14"],
        answer_is_not_json
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.1/wrong-event-to-the-hub",
        "an invite whose event is not an invite is refused",
        ["LM-04/12.7.2.1/4", "LM-04/12.7.2.1/5", "LM-04/12.7.2.1/6"],
        wrong_event
    ),
];

/// The body of an invite request to the hub.
fn body_of(lpdu: &Value) -> Value {
    json!({"event": lpdu, "invite_room_state": [], "room_version": "I.1"})
}

/// Has `bob` invite a user through the hub.
async fn invite(room: &HubRoom<'_>, user: &UserId) -> Result<(Value, Reply), Finding> {
    let lpdu = room.peer.lpdu(&room.member(user, "invite"))?;
    let path = paths::invite(&room.peer.txn_id());
    let reply = room.peer.request(Method::POST, &path, Some(&body_of(&lpdu))).await?;
    Ok((lpdu, reply))
}

async fn through_the_hub(ctx: &Context) -> Result<(), Finding> {
    let (room, third) = (hub_room(ctx).await?, ctx.peer().await?);
    let dave = third.user("dave")?;
    let (lpdu, reply) = invite(&room, &dave).await?;
    let answer = reply.expect_ok("a participant's invite")?;
    let pdu = answered_invite(ctx, answer).cloned().unwrap_or_default();
    check!(lpdu_hash(&pdu) == lpdu_hash(&lpdu), "`pdu` is not made of the LPDU that was sent: {answer}");
    let asked = invites(&third);
    let sent = asked.first().and_then(|request| request.body.get("event")).cloned().unwrap_or_default();
    check!(asked.len() == 1, "the invited user's server got {} invite requests", asked.len());
    check!(
        reference_id(&sent) == reference_id(&pdu),
        "`pdu` is not the event that was sent to the user's server"
    );
    for field in ["auth_events", "prev_events"] {
        check!(sent.get(field).is_some(), "the user's server was sent an LPDU: it has no `{field}`");
    }
    let mut keys = ctx.environment.target_ring().await?;
    keys.insert(&third.name, third.key.id(), third.key.verify_key(), i64::MAX);
    for server in [&ctx.environment.target.name, &third.name] {
        check!(is_signed_by(&pdu, server, &keys), "`pdu` is not signed by {server}");
    }
    let own = |event: &Value| event.pointer(&format!("/signatures/{}", room.peer.name)).cloned();
    check!(own(&pdu) == own(&lpdu), "`pdu` lost the signature of the inviting user's server");
    let listed = member_event(ctx, &room, dave.as_str()).await?;
    check!(listed == pdu, "the invite in the list is not the one that was given back");
    let echo = room.peer.until_echo(&lpdu).await?;
    check!(echo == pdu, "over /send the participant gets another event than in the answer");
    Ok(())
}

async fn not_allowed(ctx: &Context) -> Result<(), Finding> {
    let settings = json!({"join_rule": "public", "power_levels": {"invite": 50}});
    let (room, third) = (hub_room_with(ctx, settings).await?, ctx.peer().await?);
    let dave = third.user("dave")?;
    let (lpdu, reply) = invite(&room, &dave).await?;
    reply.expect_error("an invite below the level to invite", 403, "M_FORBIDDEN")?;
    check!(invites(&third).is_empty(), "the user's server was asked about an invite that is not allowed");
    room.is_not_listed(&lpdu, "an invite that is not allowed").await
}

/// A room, a third server that refuses invites in this way, and a user of it.
async fn refusing<'c>(ctx: &'c Context, refusal: Value) -> Result<(HubRoom<'c>, Peer, UserId), Finding> {
    let (room, third) = (hub_room(ctx).await?, ctx.peer().await?);
    let dave = third.user("dave")?;
    third.answer_with(move |request| {
        request.is("invite").then(|| Response { status: 403, body: refusal.clone() })
    });
    Ok((room, third, dave))
}

/// A refusal with an errcode that the hub has no reason to use by itself.
fn refusal() -> Value {
    json!({"errcode": "ORG_EXAMPLE_NO_INVITES", "error": "Invites are turned off."})
}

async fn refused_through_the_hub(ctx: &Context) -> Result<(), Finding> {
    let (room, third, dave) = refusing(ctx, refusal()).await?;
    let (lpdu, reply) = invite(&room, &dave).await?;
    check!(!reply.status.is_success(), "an invite that was refused is answered as a success");
    check!(invites(&third).len() == 1, "the user's server got {} invite requests", invites(&third).len());
    room.is_not_listed(&lpdu, "an invite that the user's server refused").await?;
    let membership = ctx.room(&room.id).await?.membership(&dave).to_owned();
    check!(membership == "leave", "after an invite that was refused the user is {membership}");
    Ok(())
}

async fn refusal_is_passed_on(ctx: &Context) -> Result<(), Finding> {
    let (room, _third, dave) = refusing(ctx, refusal()).await?;
    let (_, reply) = invite(&room, &dave).await?;
    reply.expect_error("an invite that the user's server refused", 403, "ORG_EXAMPLE_NO_INVITES")?;
    check!(reply.body == refusal(), "the refusal {} is passed on as {}", refusal(), reply.body);
    Ok(())
}

async fn excess_is_left_out(ctx: &Context) -> Result<(), Finding> {
    const LARGE: usize = 300_000;
    let mut excessive = refusal();
    if let Some(members) = excessive.as_object_mut() {
        members.insert("org.example.excess".to_owned(), json!("x".repeat(LARGE)));
    }
    let (room, _third, dave) = refusing(ctx, excessive).await?;
    let (_, reply) = invite(&room, &dave).await?;
    check!(!reply.status.is_success(), "an invite that was refused is answered as a success");
    let size = reply.body.to_string().len();
    check!(size < LARGE, "an answer of more than {LARGE} bytes is passed on with {size}");
    Ok(())
}

async fn answer_is_not_json(ctx: &Context) -> Result<(), Finding> {
    for status in [200, 403, 502] {
        let (room, third) = (hub_room(ctx).await?, ctx.peer().await?);
        let dave = third.user("dave")?;
        let body = "<p>hello</p>".into();
        third.answer_raw(
            |request| request.is("invite"),
            RawResponse { status, content_type: "text/html", body },
        );
        let (lpdu, reply) = invite(&room, &dave).await?;
        let what = format!("an invite that is answered {status} with HTML");
        check!(!reply.status.is_success(), "{what} is answered {}", reply.status.as_u16());
        check!(reply.says_json(), "the answer to {what} does not say that it is JSON");
        check!(!reply.errcode().is_empty(), "the answer to {what} has no errcode: {}", reply.body);
        room.is_not_listed(&lpdu, &what).await?;
    }
    Ok(())
}

async fn wrong_event(ctx: &Context) -> Result<(), Finding> {
    let (room, third) = (hub_room(ctx).await?, ctx.peer().await?);
    let dave = third.user("dave")?;
    let invite_content = json!({"membership": "invite"});
    let mut unsigned = room.peer.lpdu(&room.member(&dave, "invite"))?;
    if let Some(event) = unsigned.as_object_mut() {
        event.insert("signatures".to_owned(), json!({}));
    }
    let drafts = [
        ("a join", room.member(&room.bob, "join")),
        ("a leave", room.member(&room.bob, "leave")),
        ("a message", room.peer.draft(&room.id, &room.bob, "m.room.message", invite_content.clone())),
        ("another type of event", room.state("org.example.member", room.bob.as_str(), invite_content)),
    ];
    let mut events = vec![("an unsigned invite", unsigned)];
    for (what, draft) in &drafts {
        events.push((what, room.peer.lpdu(draft)?));
    }
    for (what, lpdu) in events {
        let path = paths::invite(&room.peer.txn_id());
        let reply = room.peer.request(Method::POST, &path, Some(&body_of(&lpdu))).await?;
        reply.expect_refusal(&format!("an invite request with {what}"))?;
        room.is_not_listed(&lpdu, &format!("the event of an invite request with {what}")).await?;
    }
    check!(invites(&third).is_empty(), "the user's server was asked about what is no invite");
    let (_, sound) = invite(&room, &dave).await?;
    sound.expect_ok("a sound invite")?;
    let listed = member_event(ctx, &room, dave.as_str()).await?;
    check!(membership_in(&listed) == "invite", "who was invited is {}", membership_in(&listed));
    Ok(())
}
