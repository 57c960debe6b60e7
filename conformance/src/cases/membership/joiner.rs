//! The target's users getting into rooms of other hubs and out of them (LM-04 §12.7).

use http::Method;
use serde_json::{Value, json};

use super::{expect_stripped, invites, membership_in};
use crate::case::{Case, Finding, check, driven_case, said};
use crate::cases::steps::guest::{GuestRoom, foreign_room, guest_room};
use crate::cases::steps::paths;
use crate::context::Context;
use crate::peer::{Inbound, Response};

pub(in crate::cases) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Participant,
        "12.7.1/completes-the-template",
        "the target asks for a template, names its room versions, and completes and signs the LPDU",
        ["LM-04/12.7.1/2", "LM-04/12.7.3.1/1", "LM-04/3.2.1/3", "FW-01/6/5", "TR-00/3/12"],
        completes_the_template
    ),
    driven_case!(
        Must,
        Participant,
        "12.7.2.1/invites-through-the-hub",
        "the target sends an invite of a user outside the room to the hub, as an LPDU",
        ["LM-04/12.7.2.1/1", "LM-04/12.7.2.1/3", "LM-04/12.7.2.1/4"],
        invites_through_the_hub
    ),
    driven_case!(
        Should,
        Participant,
        "12.7.2.2/rejects-an-invite",
        "a target that is outside the room rejects an invite through make_leave and send_leave",
        ["LM-04/12.7.2.2/1", "FW-01/6/7"],
        rejects_an_invite
    ),
    driven_case!(
        Should,
        Participant,
        "12.7.2.2/leaves-over-send",
        "a user of a target that participates leaves over /send",
        ["LM-04/12.7.2.2/1"],
        leaves_over_send
    ),
    driven_case!(
        Should,
        Participant,
        "12.7.2.2.1/removes-further-fields",
        "the target keeps the four fields of a template for leaving and removes all others",
        ["LM-04/12.7.2.2.1/3", "R22"],
        removes_fields_from_leaves
    ),
    driven_case!(
        Should,
        Participant,
        "12.7.2.2.1/unknown-version",
        "the target does not complete a template of a room version that it does not know",
        ["LM-04/12.7.2.2.1/7", "R22"],
        unknown_version
    ),
    driven_case!(
        Should,
        Participant,
        "12.7.3/joins-over-send",
        "a user of a target that participates joins over /send",
        ["LM-04/12.7.3/1", "R13", "FW-01/6/12"],
        joins_over_send
    ),
    driven_case!(
        Must,
        Participant,
        "12.7.3.1/either-form",
        "the target takes a template at the top of the answer and under `event`",
        ["R22"],
        either_form
    ),
    driven_case!(
        Should,
        Participant,
        "12.7.3.1/removes-further-fields",
        "the target keeps the four fields of a template for joining and removes all others",
        ["LM-04/12.7.3.1/3", "R22"],
        removes_fields_from_joins
    ),
    driven_case!(
        Should,
        Participant,
        "12.7.4/knocks",
        "a target that is outside the room knocks through make_knock and send_knock",
        ["LM-04/12.7.4/1", "LM-04/12.7.4.1/1", "FW-01/6/6"],
        knocks
    ),
    driven_case!(
        Should,
        Participant,
        "12.7.4.1/removes-further-fields",
        "the target keeps the four fields of a template for knocking and removes all others",
        ["LM-04/12.7.4.1/3", "R22"],
        removes_fields_from_knocks
    ),
];

/// The body of the request that ended a handshake.
fn sent_to(room: &GuestRoom<'_>, endpoint: &str) -> Option<Value> {
    let requests = room.peer.requests();
    requests.into_iter().rev().find(|request| request.is(endpoint)).map(|request| request.body)
}

fn expect_called(room: &GuestRoom<'_>, endpoint: &str) -> Result<Inbound, Finding> {
    let found = room.peer.requests().into_iter().find(|request| request.is(endpoint));
    found.ok_or_else(|| Finding::Fault(format!("the target did not call {endpoint}")))
}

/// The membership of `carol` as her hub has it.
fn carol_at_the_hub(room: &GuestRoom<'_>) -> String {
    let is = |event: &&Value| event.get("state_key").and_then(Value::as_str) == Some(room.carol.as_str());
    let list = room.room.list();
    list.iter().rev().find(is).map(|event| membership_in(event).to_owned()).unwrap_or_default()
}

/// Has the hub invite `carol`.
async fn invite_carol(room: &GuestRoom<'_>) -> Result<(), Finding> {
    let event = room.host_sets("m.room.member", room.carol.as_str(), json!({"membership": "invite"}))?;
    let body = json!({"event": event, "invite_room_state": [], "room_version": "I.1"});
    let path = paths::invite(&room.peer.txn_id());
    room.peer.request(Method::POST, &path, Some(&body)).await?.expect_ok("an invite").map(drop)
}

async fn completes_the_template(ctx: &Context) -> Result<(), Finding> {
    let room = guest_room(ctx).await?;
    let make = expect_called(&room, "make_join")?;
    let versions = make.query("ver");
    check!(
        versions.iter().any(|version| version == "I.1"),
        "`ver` names {versions}, and not I.1",
        versions = said(&versions)
    );
    let (id, carol) = (room.room.id.as_str(), room.carol.as_str());
    check!(make.segments() == ["make_join", id, carol], "the target asked for {}", said(&make.segments()));
    let lpdu = sent_to(&room, "send_join").unwrap_or_default();
    for (field, expected) in [
        ("type", json!("m.room.member")),
        ("room_id", json!(id)),
        ("sender", json!(carol)),
        ("state_key", json!(carol)),
        ("hub_server", json!(room.peer.name)),
    ] {
        let got = lpdu.get(field);
        check!(
            got == Some(&expected),
            "`{field}` of the LPDU is {got} instead of {expected}",
            got = said(&got)
        );
    }
    check!(membership_in(&lpdu) == "join", "the LPDU has the membership {}", said(&membership_in(&lpdu)));
    check!(lpdu.get("origin_server_ts").is_some_and(Value::is_i64), "the LPDU has no `origin_server_ts`");
    // The hub has checked hash and signature, and would not have taken it otherwise.
    let at_the_hub = carol_at_the_hub(&room);
    check!(at_the_hub == "join", "at the hub the user is {at_the_hub}", at_the_hub = said(&at_the_hub));
    let here = ctx.room(&room.room.id).await?.membership(&room.carol).to_owned();
    check!(here == "join", "at the target the user is {here}", here = said(&here));
    Ok(())
}

async fn invites_through_the_hub(ctx: &Context) -> Result<(), Finding> {
    let room = guest_room(ctx).await?;
    let outside = ctx.peer().await?;
    let dave = outside.user("dave")?;
    room.peer.answer_with(|request| request.is("invite").then(|| Response::error(403, "M_FORBIDDEN")));
    let (control, carol) = (ctx.control()?, room.carol.as_str());
    let reply =
        control.try_membership(&ctx.recorder, &room.room.id, carol, dave.as_str(), "invite", &[]).await?;
    check!(!reply.status.is_success(), "an invite that the hub refused counts as a success");
    let body = expect_called(&room, "invite")?.body;
    let event = body.get("event").cloned().unwrap_or_default();
    check!(
        event.get("state_key") == Some(&json!(dave)),
        "the invite is for {}",
        said(&event.get("state_key"))
    );
    check!(membership_in(&event) == "invite", "the LPDU has the membership {}", said(&membership_in(&event)));
    for field in ["auth_events", "prev_events"] {
        check!(event.get(field).is_none(), "what the hub is sent is not an LPDU: it has `{field}`");
    }
    check!(
        body.get("room_version") == Some(&json!("I.1")),
        "`room_version` is {}",
        said(&body.get("room_version"))
    );
    if let Some(state) = body.get("invite_room_state") {
        expect_stripped(state, "`invite_room_state`")?;
    }
    check!(invites(&outside).is_empty(), "a participant asked the invited user's server by itself");
    Ok(())
}

async fn rejects_an_invite(ctx: &Context) -> Result<(), Finding> {
    let room = foreign_room(ctx).await?;
    invite_carol(&room).await?;
    room.carol_becomes("leave").await?;
    for endpoint in ["make_leave", "send_leave"] {
        expect_called(&room, endpoint)?;
    }
    let at_the_hub = carol_at_the_hub(&room);
    check!(at_the_hub == "leave", "at the hub the user is {at_the_hub}", at_the_hub = said(&at_the_hub));
    Ok(())
}

/// Waits for an LPDU of a user's membership change that comes over `/send`.
async fn until_sent(room: &GuestRoom<'_>, user: &str, membership: &str) -> Result<(), Finding> {
    let is = |pdu: &Value| {
        pdu.get("state_key").and_then(Value::as_str) == Some(user) && membership_in(pdu) == membership
    };
    room.peer.until_pdu(&format!("send the {membership} of its user over /send"), is).await.map(drop)
}

async fn leaves_over_send(ctx: &Context) -> Result<(), Finding> {
    let room = guest_room(ctx).await?;
    room.carol_becomes("leave").await?;
    until_sent(&room, room.carol.as_str(), "leave").await?;
    let handshake = room.peer.requests().iter().any(|request| request.is("make_leave"));
    check!(!handshake, "a target that participates asked for a template");
    Ok(())
}

async fn joins_over_send(ctx: &Context) -> Result<(), Finding> {
    let room = guest_room(ctx).await?;
    let (control, erin) = (ctx.control()?, ctx.user("erin")?);
    let (user, hub) = (erin.as_str(), room.peer.name.as_str());
    control.membership(&ctx.recorder, &room.room.id, user, user, "join", &[hub]).await?;
    until_sent(&room, user, "join").await?;
    let templates = room.peer.requests().into_iter().filter(|request| request.is("make_join")).count();
    check!(templates == 1, "a target that participates asked for a template");
    let is = |event: &Value| {
        event.get("state_key").and_then(Value::as_str) == Some(user) && membership_in(event) == "join"
    };
    room.until_listed("the further user's join is in the list", is).await.map(drop)
}

async fn knocks(ctx: &Context) -> Result<(), Finding> {
    let room = foreign_room(ctx).await?;
    room.host_sets("m.room.join_rules", "", json!({"join_rule": "knock"}))?;
    room.carol_becomes("knock").await?;
    let versions = expect_called(&room, "make_knock")?.query("ver");
    check!(
        versions.iter().any(|version| version == "I.1"),
        "`ver` names {versions}, and not I.1",
        versions = said(&versions)
    );
    expect_called(&room, "send_knock")?;
    let at_the_hub = carol_at_the_hub(&room);
    check!(at_the_hub == "knock", "at the hub the user is {at_the_hub}", at_the_hub = said(&at_the_hub));
    Ok(())
}

/// The template of `carol`'s membership change, with its room and hub.
fn template(room: &GuestRoom<'_>, membership: &str) -> Value {
    json!({
        "type": "m.room.member", "state_key": room.carol, "sender": room.carol,
        "content": {"membership": membership}, "room_id": room.room.id, "hub_server": room.peer.name
    })
}

/// Fields that nobody wants in an LPDU.
fn with_further_fields(mut template: Value) -> Value {
    if let Some(template) = template.as_object_mut() {
        for (field, value) in [
            ("origin_server_ts", json!(1)),
            ("auth_events", json!(["$auth"])),
            ("prev_events", json!(["$prev"])),
            ("hashes", json!({"sha256": "AAAA"})),
            ("signatures", json!({"example.org": {"ed25519:1": "AAAA"}})),
            ("depth", json!(7)),
            ("org.example.extra", json!("x")),
        ] {
            template.insert(field.to_owned(), value);
        }
    }
    template
}

/// Answers `make_…` with a template that has further fields, and looks what of them is sent.
async fn check_removal(room: &GuestRoom<'_>, change: &'static str) -> Result<(), Finding> {
    let template = with_further_fields(template(room, change));
    let answer = if change == "leave" {
        json!({"event": template, "room_version": "I.1"})
    } else {
        let mut answer = template.clone();
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("event".to_owned(), template);
            answer.insert("room_version".to_owned(), json!("I.1"));
        }
        answer
    };
    let make = format!("make_{change}");
    room.peer.answer_with(move |request| request.is(&make).then(|| Response::ok(answer.clone())));
    room.carol_becomes(change).await?;
    let lpdu = sent_to(room, &format!("send_{change}")).unwrap_or_default();
    for field in ["auth_events", "prev_events", "depth", "org.example.extra", "event", "room_version"] {
        check!(lpdu.get(field).is_none(), "the LPDU has `{field}` of the template");
    }
    check!(lpdu.get("origin_server_ts") != Some(&json!(1)), "the LPDU has the template's `origin_server_ts`");
    check!(lpdu.pointer("/hashes/sha256").is_none(), "the LPDU has a hash of the template");
    check!(lpdu.pointer("/signatures/example.org").is_none(), "the LPDU has a signature of the template");
    let at_the_hub = carol_at_the_hub(room);
    check!(at_the_hub == change, "at the hub the user is {at_the_hub}", at_the_hub = said(&at_the_hub));
    Ok(())
}

async fn removes_fields_from_joins(ctx: &Context) -> Result<(), Finding> {
    check_removal(&foreign_room(ctx).await?, "join").await
}

async fn removes_fields_from_leaves(ctx: &Context) -> Result<(), Finding> {
    let room = foreign_room(ctx).await?;
    invite_carol(&room).await?;
    check_removal(&room, "leave").await
}

async fn removes_fields_from_knocks(ctx: &Context) -> Result<(), Finding> {
    let room = foreign_room(ctx).await?;
    room.host_sets("m.room.join_rules", "", json!({"join_rule": "knock"}))?;
    check_removal(&room, "knock").await
}

async fn unknown_version(ctx: &Context) -> Result<(), Finding> {
    for change in ["leave", "join", "knock"] {
        let room = foreign_room(ctx).await?;
        match change {
            "leave" => invite_carol(&room).await?,
            "knock" => {
                drop(room.host_sets("m.room.join_rules", "", json!({"join_rule": "knock"}))?);
            }
            _ => {}
        }
        let template = template(&room, change);
        let answer = json!({"event": template, "room_version": "org.example.unknown"});
        let make = format!("make_{change}");
        room.peer.answer_with(move |request| request.is(&make).then(|| Response::ok(answer.clone())));
        let reply = room.try_as_carol(change).await?;
        expect_called(&room, &format!("make_{change}"))?;
        let sent = sent_to(&room, &format!("send_{change}"));
        check!(
            sent.is_none(),
            "the target completed a template of an unknown room version: {sent}",
            sent = said(&sent)
        );
        check!(!reply.status.is_success(), "a {change} that came to nothing counts as a success");
    }
    Ok(())
}

async fn either_form(ctx: &Context) -> Result<(), Finding> {
    let bare = foreign_room(ctx).await?;
    let answer = template(&bare, "join");
    bare.peer.answer_with(move |request| request.is("make_join").then(|| Response::ok(answer.clone())));
    bare.carol_becomes("join").await?;
    let at_the_hub = carol_at_the_hub(&bare);
    check!(at_the_hub == "join", "at the hub the user is {at_the_hub}", at_the_hub = said(&at_the_hub));

    let wrapped = foreign_room(ctx).await?;
    let answer = json!({"event": template(&wrapped, "join"), "room_version": "I.1"});
    wrapped.peer.answer_with(move |request| request.is("make_join").then(|| Response::ok(answer.clone())));
    if !wrapped.try_as_carol("join").await?.status.is_success() {
        let what = "a template that is under `event` only is not taken".to_owned();
        return Err(Finding::Acceptable { reading: "R22", what });
    }
    let at_the_hub = carol_at_the_hub(&wrapped);
    check!(at_the_hub == "join", "at the hub the user is {at_the_hub}", at_the_hub = said(&at_the_hub));
    Ok(())
}
