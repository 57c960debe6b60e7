//! Invites of the target's own users, with the target as the hub (LM-04 §12.7.2).

use mimi_linearized::event::hash::signing_bytes;
use mimi_linearized::signing::ServerKeyRing;
use mimi_linearized::version::RoomVersions;
use serde_json::{Value, json};

use super::{
    STRIPPED, expect_stripped, invites, is_signed_by, member_event, membership_in, telling_settings, types,
    without_signature,
};
use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::{HubRoom, hub_room, reference_id, texts};
use crate::context::{Context, PATIENCE};
use crate::peer::{Inbound, Peer, Response};
use crate::wire::Reply;

pub(in crate::cases) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "12.7.2/further-user",
        "a further user of a server that is only invited is invited through the endpoint again",
        ["LM-04/12.7.2/2"],
        further_user
    ),
    driven_case!(
        Should,
        Hub,
        "12.7.2/server-inside",
        "a user whose server is in the room is invited over /send",
        ["LM-04/12.7.2/1", "R23"],
        server_inside
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.1/request",
        "the hub sends the invited user's server the whole event, stripped state and the room's version",
        [
            "LM-04/12.7.2.1/1",
            "LM-04/12.7.2.1/3",
            "LM-04/12.7.2.1/4",
            "LM-04/12.7.2.1/9",
            "LM-04/12.7.2.1/10",
            "LM-04/3.5.2.1/4",
            "FW-01/6/4",
            "TR-00/3/10"
        ],
        request
    ),
    driven_case!(
        Should,
        Hub,
        "12.7.2.1/stripped-state",
        "who is invited is shown the room's create event, name, avatar, topic, join rules and alias",
        ["LM-04/3.5.2.1/2"],
        stripped_state
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.1/signature-is-taken-over",
        "the invite is appended and sent to the room with the signature of the invited user's server",
        ["LM-04/12.7.2.1/17", "R23"],
        signature_is_taken_over
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.1/refused-invite",
        "an invite that the user's server refuses is not appended",
        ["LM-04/12.7.2.1/14", "R23"],
        refused_invite
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.1/unsigned-answer",
        "an invite that comes back without the signature of the user's server is not appended",
        ["R23"],
        unsigned_answer
    ),
    driven_case!(
        Must,
        Hub,
        "12.7.2.1/altered-answer",
        "the invited user's server cannot change the event",
        ["LM-04/12.7.2.1/17", "R23"],
        altered_answer
    ),
    driven_case!(
        Should,
        Hub,
        "12.7.2.1/room-goes-on",
        "the room goes on while the invited user's server takes its time, and the invite follows",
        ["R23"],
        room_goes_on
    ),
];

/// A room that nobody but `alice` is in, and a server with a user, `bob`, to be invited.
async fn room_to_be_invited_to(ctx: &Context, settings: Value) -> Result<HubRoom<'_>, Finding> {
    let (id, peer) = (ctx.create_room(settings).await?, ctx.peer().await?);
    let bob = peer.user("bob")?;
    Ok(HubRoom { ctx, id, peer, bob })
}

/// Has `alice` invite `bob`, whatever comes of it.
async fn try_to_invite(room: &HubRoom<'_>) -> Result<Reply, Finding> {
    let (control, recorder) = (room.ctx.control()?, &room.ctx.recorder);
    control.try_membership(recorder, &room.id, "alice", room.bob.as_str(), "invite", &[]).await
}

/// The keys of one of the suite's servers.
fn ring_of(peer: &Peer) -> ServerKeyRing {
    let mut ring = ServerKeyRing::new();
    ring.insert(&peer.name, peer.key.id(), peer.key.verify_key(), i64::MAX);
    ring
}

async fn further_user(ctx: &Context) -> Result<(), Finding> {
    let room = room_to_be_invited_to(ctx, json!({})).await?;
    let dave = room.peer.user("dave")?;
    for user in [&room.bob, &dave] {
        ctx.as_alice(&room.id, user, "invite").await?;
        let of_user = |request: &Inbound| {
            request.body.pointer("/event/state_key").and_then(Value::as_str) == Some(user.as_str())
        };
        let asked = invites(&room.peer).iter().any(of_user);
        check!(asked, "{user} was invited without asking {}, which is not in the room", room.peer.name);
    }
    Ok(())
}

async fn server_inside(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let dave = room.peer.user("dave")?;
    ctx.as_alice(&room.id, &dave, "invite").await?;
    let is = |pdu: &Value| pdu.get("state_key").and_then(Value::as_str) == Some(dave.as_str());
    room.peer.until_pdu("send the invite to the user's server, which is in the room", is).await?;
    check!(invites(&room.peer).is_empty(), "a server in the room got an invite request");
    Ok(())
}

async fn request(ctx: &Context) -> Result<(), Finding> {
    let room = room_to_be_invited_to(ctx, telling_settings()).await?;
    let before = ctx.room(&room.id).await?.head().to_owned();
    ctx.as_alice(&room.id, &room.bob, "invite").await?;
    let sent = invites(&room.peer);
    check!(sent.len() == 1, "one invite took {} requests", sent.len());
    let body = sent.into_iter().next().map(|request| request.body).unwrap_or_default();
    let event = body.get("event").cloned().unwrap_or_default();
    check!(event.get("type") == Some(&json!("m.room.member")), "`event` is {event}");
    check!(
        event.get("state_key") == Some(&json!(room.bob)),
        "`event` is for {}",
        said(&event.get("state_key"))
    );
    check!(
        event.get("sender") == Some(&json!(ctx.user("alice")?)),
        "`event` is by {}",
        said(&event.get("sender"))
    );
    check!(membership_in(&event) == "invite", "`event` has the membership {}", said(&membership_in(&event)));
    check!(texts(&event, "prev_events") == [before], "`event` follows {}", said(&event.get("prev_events")));
    check!(!texts(&event, "auth_events").is_empty(), "`event` cites nothing");
    let keys = ctx.environment.target_ring().await?;
    let signed = is_signed_by(&event, &ctx.environment.target.name, &keys);
    check!(signed, "`event` is not signed by the hub");
    check!(
        body.get("room_version") == Some(&json!("I.1")),
        "`room_version` is {}",
        said(&body.get("room_version"))
    );
    if let Some(state) = body.get("invite_room_state") {
        expect_stripped(state, "`invite_room_state`")?;
    }
    let listed = member_event(ctx, &room, room.bob.as_str()).await?;
    let same = reference_id(&listed) == reference_id(&event);
    check!(same, "the invite in the list is not the one that was sent");
    Ok(())
}

async fn stripped_state(ctx: &Context) -> Result<(), Finding> {
    let room = room_to_be_invited_to(ctx, telling_settings()).await?;
    ctx.as_alice(&room.id, &room.bob, "invite").await?;
    let sent = invites(&room.peer);
    let state = sent.first().and_then(|request| request.body.get("invite_room_state")).cloned();
    let state = state.unwrap_or_default();
    let shown = types(&state);
    for kind in STRIPPED {
        check!(
            shown.contains(&kind),
            "`invite_room_state` shows {shown}, and not {kind}",
            shown = said(&shown)
        );
    }
    Ok(())
}

async fn signature_is_taken_over(ctx: &Context) -> Result<(), Finding> {
    let room = room_to_be_invited_to(ctx, json!({"join_rule": "public"})).await?;
    let inside = ctx.peer().await?;
    inside.join(&room.id, &inside.user("dave")?).await?;
    ctx.as_alice(&room.id, &room.bob, "invite").await?;
    let sent = invites(&room.peer).into_iter().next().map(|request| request.body);
    let sent = sent.unwrap_or_default().get("event").cloned().unwrap_or_default();
    let listed = member_event(ctx, &room, room.bob.as_str()).await?;
    let signed = is_signed_by(&listed, &room.peer.name, &ring_of(&room.peer));
    check!(signed, "the invite in the list is not signed by the invited user's server");
    let rest = without_signature(&listed, &room.peer.name);
    check!(rest == sent, "besides the signature, the invite in the list is not what was sent");
    let id = reference_id(&listed);
    let is = |pdu: &Value| reference_id(pdu) == id;
    let copy = inside.until_pdu("send the invite to the servers in the room", is).await?;
    check!(copy == listed, "the servers in the room get another invite than is in the list");
    Ok(())
}

/// The invite is not in the room.
async fn expect_no_invite(room: &HubRoom<'_>, before: u64, what: &str) -> Result<(), Finding> {
    let now = room.ctx.room(&room.id).await?;
    let membership = now.membership(&room.bob);
    check!(membership == "leave", "after {what} the user is {membership}");
    check!(now.length() == before, "after {what} the list has {} events instead of {before}", now.length());
    Ok(())
}

async fn refused_invite(ctx: &Context) -> Result<(), Finding> {
    let room = room_to_be_invited_to(ctx, json!({})).await?;
    let before = ctx.room(&room.id).await?.length();
    room.peer.answer_with(|request| request.is("invite").then(|| Response::error(403, "M_FORBIDDEN")));
    let reply = try_to_invite(&room).await?;
    check!(!reply.status.is_success(), "an invite that was refused counts as a success");
    check!(!invites(&room.peer).is_empty(), "the invited user's server was not asked");
    expect_no_invite(&room, before, "an invite that the user's server refused").await
}

async fn unsigned_answer(ctx: &Context) -> Result<(), Finding> {
    let room = room_to_be_invited_to(ctx, json!({})).await?;
    let before = ctx.room(&room.id).await?.length();
    room.peer.answer_with(|request| {
        let event = request.is("invite").then(|| request.body.get("event").cloned())?;
        Some(Response::ok(json!({"pdu": event})))
    });
    let reply = try_to_invite(&room).await?;
    check!(!invites(&room.peer).is_empty(), "the invited user's server was not asked");
    if reply.status.is_success() {
        let listed = member_event(ctx, &room, room.bob.as_str()).await?;
        check!(membership_in(&listed) == "invite", "after an invite the user is {}", membership_in(&listed));
        let what = "an invite without the signature of the user's server is appended".to_owned();
        return Err(Finding::Acceptable { reading: "R23", what });
    }
    expect_no_invite(&room, before, "an invite that came back unsigned").await
}

async fn altered_answer(ctx: &Context) -> Result<(), Finding> {
    let room = room_to_be_invited_to(ctx, json!({})).await?;
    let (name, key) = (room.peer.name.clone(), room.peer.key.clone());
    room.peer.answer_with(move |request| {
        let event = request.body.get("event").filter(|_| request.is("invite"))?;
        let mut altered = event.as_object()?.clone();
        // The signature is that of the event as it was: redaction leaves out what is changed here.
        let rules = RoomVersions::lm_04().default_version().redaction;
        let signature = key.sign(&signing_bytes(&altered, &rules)).to_base64();
        if let Some(Value::Object(signatures)) = altered.get_mut("signatures") {
            signatures.insert(name.to_string(), json!({key.id().as_str(): signature}));
            signatures.insert("example.org".to_owned(), json!({"ed25519:1": "AAAA"}));
        }
        altered.insert("org.example.extra".to_owned(), json!("put in by the invited user's server"));
        altered.insert("content".to_owned(), json!({"membership": "invite", "reason": "put in there too"}));
        Some(Response::ok(json!({"pdu": altered})))
    });
    let reply = try_to_invite(&room).await?;
    let sent = invites(&room.peer).into_iter().next();
    let sent = sent.ok_or_else(|| fault("the invited user's server was not asked"))?;
    let sent = sent.body.get("event").cloned().unwrap_or_default();
    if !reply.status.is_success() {
        let membership = ctx.room(&room.id).await?.membership(&room.bob).to_owned();
        check!(membership == "leave", "after an invite that failed the user is {membership}");
        return Ok(());
    }
    let listed = member_event(ctx, &room, room.bob.as_str()).await?;
    let rest = without_signature(&listed, &room.peer.name);
    check!(rest == sent, "the invited user's server made {rest} of the event {sent}");
    Ok(())
}

async fn room_goes_on(ctx: &Context) -> Result<(), Finding> {
    let room = room_to_be_invited_to(ctx, json!({})).await?;
    let gate = room.peer.hold(|request| request.is("invite"));
    let message = async {
        gate.until_arrived("ask the invited user's server").await?;
        let content = json!({"body": "meanwhile"});
        let sending = ctx.send_as_alice(&room.id, "m.room.message", None, content);
        let sent = tokio::time::timeout(PATIENCE, sending).await;
        gate.open();
        sent.unwrap_or_else(|_| {
            Err(fault("the room stands still until the invited user's server has answered"))
        })
    };
    let (invited, message) = tokio::join!(try_to_invite(&room), message);
    let message = message?;
    invited?.expect_ok("an invite during which the room went on")?;
    let message = message.get("event_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let listed = member_event(ctx, &room, room.bob.as_str()).await?;
    let follows = texts(&listed, "prev_events");
    check!(
        follows == [message.clone()],
        "the invite follows {follows} and not the message {message}",
        follows = said(&follows)
    );
    let signed = is_signed_by(&listed, &room.peer.name, &ring_of(&room.peer));
    check!(signed, "the invite in the list is not signed by the invited user's server");
    let asked = invites(&room.peer);
    let ids: std::collections::BTreeSet<&str> = asked.iter().map(|request| &*request.target).collect();
    check!(ids.len() == asked.len(), "two different invites were sent under one transaction id");
    Ok(())
}
