//! State, stripped state, and the event types that the room model knows (LM-04 §3.5.2, §3.5.3).

use http::Method;
use mimi_linearized::base64;
use mimi_linearized::event::Draft;
use mimi_linearized::id::RoomId;
use mimi_linearized::json::Object;
use mimi_transport::clock;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::followed::{follow, followed_room_with_carol, id_of};
use crate::cases::steps::stripped::{expect_stripped, telling_settings};
use crate::cases::steps::{altered, hub_room, open_room, paths, reference_id, set_content, text};
use crate::context::Context;
use crate::peer::{Response, without_unsigned};
use crate::wire::Reply;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "3.5.2/order-of-the-list",
        "state goes by the order of the list, whatever the timestamps say",
        ["LM-04/3.5.2/1", "LM-04/3.5.2/2", "LM-04/3.5.2/4", "FW-01/3.1/1", "FW-01/3.1/2", "TR-00/2/15"],
        order_of_the_list
    ),
    driven_case!(
        Must,
        Hub,
        "3.5.2/state-at-an-event",
        "a later event leaves the state at an earlier one as it was",
        ["LM-04/3.5.2/3", "LM-04/12.6.2/2", "TR-00/2/14"],
        state_at_an_event
    ),
    driven_case!(
        Must,
        Hub,
        "3.5.2.1/members",
        "stripped state has four fields and no more",
        ["LM-04/3.5.2.1/4", "LM-04/12.7.4.2/2"],
        stripped_members
    ),
    driven_case!(
        Should,
        Hub,
        "3.5.2.1/events",
        "stripped state shows what a room is: create, name, avatar, topic, join rules and alias",
        ["LM-04/3.5.2.1/2", "FW-01/3.3/20"],
        stripped_events
    ),
    driven_case!(
        Must,
        Participant,
        "3.5.2.1/is-no-proof",
        "what stripped state claims is forgotten once the room is joined",
        ["LM-04/3.5.2.1/1", "LM-04/3.5.2.1/3"],
        stripped_is_no_proof
    ),
    driven_case!(
        Must,
        Hub,
        "3.5.3.1/create",
        "a room begins with its create event, which has nothing before it",
        [
            "LM-04/3.5.3.1/1",
            "LM-04/3.5.3.1/2",
            "LM-04/3.5.3.1/3",
            "LM-04/3.5.3.1/4",
            "LM-04/3.5.3.1/5",
            "LM-04/3.5.3.1/6",
            "LM-04/3.5.3.2/1",
            "LM-04/3.5.3.2/3",
        ],
        create
    ),
    driven_case!(
        Must,
        Participant,
        "3.5.3.1/unsound-create",
        "a room whose create event is not as it must be is not joined",
        [
            "LM-04/3.5.3.1/2",
            "LM-04/3.5.3.1/4",
            "LM-04/3.5.3.1/5",
            "LM-04/3.5.3.1/6",
            "LM-04/auth/3.1",
            "LM-04/auth/3.2",
            "LM-04/auth/3.3",
            "R12",
            "FW-01/3/4"
        ],
        unsound_create
    ),
    driven_case!(
        Must,
        Hub,
        "3.5.3.2/state-key",
        "join rules with a state key, or with none, do not open a room",
        ["LM-04/3.5.3.2/2", "FW-01/3.1/5"],
        join_rules_state_key
    ),
    driven_case!(
        May,
        Hub,
        "3.5.3.3/reason",
        "the reason for a membership is passed on unchanged",
        ["LM-04/3.5.3.3/4"],
        reason
    ),
    driven_case!(
        Must,
        Hub,
        "3.5.3.4/state-key",
        "power levels with a state key raise nobody's level",
        ["LM-04/3.5.3.4/1", "FW-01/3.1/5"],
        power_levels_state_key
    ),
    driven_case!(
        Should,
        Hub,
        "3.5.3.4/stated-levels",
        "power levels that a server sets state every level",
        ["LM-04/3.5.3.4/2"],
        stated_levels
    ),
    driven_case!(
        Must,
        Participant,
        "3.5.3.4/creator",
        "without power levels the creator has level 100 and nobody else any",
        ["LM-04/3.5.3.4/3", "R12"],
        creator_level
    ),
];

async fn order_of_the_list(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let topic = |topic: &str, ago: i64| {
        let draft = room.state("m.room.topic", "", json!({"topic": topic}));
        Draft { origin_server_ts: draft.origin_server_ts.saturating_sub(ago), ..draft }
    };
    room.accepts(&topic("first, and later", 0)).await?;
    room.accepts(&topic("second, and earlier", 3_600_000)).await?;
    let now = room.state_text("m.room.topic", "", "topic").await?;
    check!(
        now == "second, and earlier",
        "of two topics the one with the later timestamp counts: {now}",
        now = said(&now)
    );
    room.accepts(&topic("third, and much earlier", 86_400_000)).await?;
    let stateless =
        room.peer.draft(&room.id, &room.bob, "m.room.topic", json!({"topic": "without a state key"}));
    let stateless = room.accepts(&stateless).await?;
    let now = room.state_text("m.room.topic", "", "topic").await?;
    check!(
        now == "third, and much earlier",
        "the topic is {now} after an event that is no state",
        now = said(&now)
    );
    let state = ctx.state(&room.id).await?;
    check!(!state.contains(&stateless), "an event without a state key is in the state");
    let topics = state.iter().filter(|event| text(event, "type") == "m.room.topic").count();
    check!(topics == 1, "the state has {topics} topics");
    Ok(())
}

async fn state_at_an_event(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let topic = |topic: &str| room.state("m.room.topic", "", json!({"topic": topic}));
    let first = room.accepts(&topic("first")).await?;
    let between = room.accepts(&room.message("between the two")).await?;
    let second = room.accepts(&topic("second")).await?;
    let after = room.accepts(&room.message("after both")).await?;
    let states = [(&first, None), (&between, Some(&first)), (&second, Some(&first)), (&after, Some(&second))];
    for (at, expected) in states {
        let event = reference_id(at);
        let reply = room.peer.request(Method::GET, &paths::state(room.id.as_str(), &event), None).await?;
        let answer = reply.expect_ok("the state before an event")?;
        let state = answer.get("pdus").and_then(Value::as_array).into_iter().flatten();
        let state: Vec<Value> = state.map(without_unsigned).collect();
        let topics: Vec<&Value> =
            state.iter().filter(|event| text(event, "type") == "m.room.topic").collect();
        let expected: Vec<&Value> = expected.into_iter().collect();
        check!(
            topics == expected,
            "before {event} the topics are {topics} instead of {expected}",
            topics = said(&topics),
            expected = said(&expected)
        );
        check!(!state.contains(&between), "an event without a state key is in the state at {event}");
    }
    Ok(())
}

/// What stripped state should show of a room with [`telling_settings`].
const SHOWN: [(&str, &str, &str); 6] = [
    ("m.room.create", "room_version", "I.1"),
    ("m.room.name", "name", "a name"),
    ("m.room.avatar", "url", "mxc://example.org/avatar"),
    ("m.room.topic", "topic", "a topic"),
    ("m.room.join_rules", "join_rule", "knock"),
    ("m.room.canonical_alias", "alias", "#alias:example.org"),
];

/// The stripped state that the target shows to an invited user and to one who knocks.
async fn stripped(ctx: &Context) -> Result<Vec<(&'static str, Value)>, Finding> {
    let room = ctx.create_room(telling_settings()).await?;
    let peer = ctx.peer().await?;
    let (bob, carol) = (peer.user("bob")?, peer.user("carol")?);
    ctx.as_alice(&room, &bob, "invite").await?;
    let invite =
        peer.until_request("the target invites over /invite", |request| request.is("invite")).await?;
    let path = paths::make_in_i1("knock", &room, carol.as_str());
    peer.request(Method::GET, &path, None).await?.expect_ok("make_knock")?;
    let lpdu = peer.lpdu(&peer.member(&room, &carol, &carol, "knock"))?;
    let path = paths::send_change("knock", &peer.txn_id());
    let reply = peer.request(Method::POST, &path, Some(&lpdu)).await?;
    let knocked = reply.expect_ok("send_knock")?.get("stripped_state").cloned().unwrap_or_default();
    let mut shown = vec![("the answer to a knock", knocked)];
    // An invite may do without.
    shown.extend(invite.body.get("invite_room_state").map(|state| ("an invite", state.clone())));
    Ok(shown)
}

async fn stripped_members(ctx: &Context) -> Result<(), Finding> {
    for (of, state) in stripped(ctx).await? {
        expect_stripped(&state, &format!("the stripped state of {of}"))?;
    }
    Ok(())
}

async fn stripped_events(ctx: &Context) -> Result<(), Finding> {
    for (of, state) in stripped(ctx).await? {
        for (kind, field, value) in SHOWN {
            let mut events = state.as_array().into_iter().flatten();
            let shown = events.find(|event| text(event, "type") == kind);
            let shown = shown.and_then(|event| event.get("content")).map(|content| text(content, field));
            check!(
                shown == Some(value),
                "stripped state of {of} shows {shown} as {field} of {kind}",
                shown = said(&shown)
            );
        }
    }
    Ok(())
}

async fn stripped_is_no_proof(ctx: &Context) -> Result<(), Finding> {
    let hub = ctx.peer().await?;
    let room = hub.host_room(json!({})).await?;
    let (host, dora) = (hub.user("host")?, ctx.user("dora")?);
    let name = hub.state_draft(&room.id, &host, "m.room.name", "", json!({"name": "Real"}));
    room.append(name, &hub.key)?;
    let invite = room.append(hub.member(&room.id, &host, &dora, "invite"), &hub.key)?;
    let claim = |kind: &str, key: &str, content: Value| json!({"type": kind, "state_key": key, "sender": host, "content": content});
    let claims = json!([
        claim("m.room.create", "", json!({"room_version": "I.1"})),
        claim("m.room.name", "", json!({"name": "Claimed"})),
        claim("m.room.topic", "", json!({"topic": "Claimed"})),
        claim("m.room.power_levels", "", json!({"users": {dora.as_str(): 100}})),
        claim("m.room.member", "@nobody:example.org", json!({"membership": "join"})),
        claim("org.example.more", "than needed", json!({"is": "no reason to refuse"})),
    ]);
    let body = json!({"event": invite, "invite_room_state": claims, "room_version": "I.1"});
    let path = paths::invite(&hub.txn_id());
    hub.request(Method::POST, &path, Some(&body)).await?.expect_ok("an invite with stripped state")?;
    let id = room.id.clone();
    let invited = move |item: &Value| text(item, "type") == "invite" && text(item, "room_id") == id.as_str();
    ctx.until_inbox(&dora, "the invite is in the inbox", invited).await?;
    let followed = follow(ctx, hub, room).await?;
    let name = followed.name().await?;
    check!(name == "Real", "the room is called {name} after the join", name = said(&name));
    let state = ctx.state(&followed.room.id).await?;
    for kind in ["m.room.topic", "m.room.power_levels", "org.example.more"] {
        let there = state.iter().any(|event| text(event, "type") == kind);
        check!(!there, "the claimed {kind} is in the room's state");
    }
    let nobody = state.iter().any(|event| text(event, "state_key") == "@nobody:example.org");
    check!(!nobody, "a claimed member is in the room's state");
    Ok(())
}

async fn create(ctx: &Context) -> Result<(), Finding> {
    let room = ctx.public_room().await?;
    let events = ctx.events(&room).await?;
    let create = events.first().cloned().unwrap_or_default();
    check!(text(&create, "type") == "m.room.create", "the first event of a room is {create}");
    for field in ["auth_events", "prev_events"] {
        check!(
            create.get(field) == Some(&json!([])),
            "{field} of the create event is {}",
            said(&create.get(field))
        );
    }
    let state_key = create.get("state_key");
    check!(
        state_key == Some(&json!("")),
        "the state key of the create event is {state_key}",
        state_key = said(&state_key)
    );
    let domain = |id: &str| id.split_once(':').map(|(_, domain)| domain.to_owned());
    let (of_sender, of_room) = (domain(text(&create, "sender")), domain(room.as_str()));
    let same = of_sender.is_some() && of_sender == of_room;
    check!(
        same,
        "a user of {of_sender} creates a room of {of_room}",
        of_sender = said(&of_sender),
        of_room = said(&of_room)
    );
    let version = create.pointer("/content/room_version");
    check!(
        version.is_some_and(Value::is_string),
        "room_version of the create event is {version}",
        version = said(&version)
    );
    let others = events.iter().skip(1).filter(|event| text(event, "type") == "m.room.create").count();
    check!(others == 0, "the room has {others} more create events");
    let second = events.get(1).cloned().unwrap_or_default();
    check!(
        text(&second, "type") == "m.room.member" && text(&second, "state_key") == text(&create, "sender"),
        "the create event is followed by {second} instead of the creator's join"
    );
    let rules: Vec<&Value> =
        events.iter().filter(|event| text(event, "type") == "m.room.join_rules").collect();
    check!(!rules.is_empty(), "a room was created without join rules");
    for rules in rules {
        check!(
            rules.get("state_key") == Some(&json!("")),
            "the target's join rules have a state key: {rules}"
        );
        let rule = rules.pointer("/content/join_rule");
        check!(rule.is_some_and(Value::is_string), "join_rule is {rule}", rule = said(&rule));
    }
    Ok(())
}

async fn unsound_create(ctx: &Context) -> Result<(), Finding> {
    joins(ctx, |_| {}, |_| {}).await?.expect_ok("joining a room that is in order")?;
    let cites = |field: &'static str| {
        move |create: &mut Object| {
            let none = format!("${}", base64::encode_url_safe(&[5; 32]));
            create.insert(field.to_owned(), json!([none]));
        }
    };
    let set = |field: &'static str, value: Value| {
        move |create: &mut Object| drop(create.insert(field.to_owned(), value))
    };
    let refused = |what: &str, reply: &Reply| {
        check!(!reply.status.is_success(), "a room was joined whose create event {what}");
        Ok(())
    };
    refused("cites an event", &joins(ctx, cites("auth_events"), |_| {}).await?)?;
    refused("follows an event", &joins(ctx, cites("prev_events"), |_| {}).await?)?;
    refused("has no room_version", &joins(ctx, set("content", json!({})), |_| {}).await?)?;
    let unknown = set("content", json!({"room_version": "I.2"}));
    refused("has an unknown room_version", &joins(ctx, unknown, |_| {}).await?)?;
    refused("has a state key", &joins(ctx, set("state_key", json!("x")), |_| {}).await?)?;
    let no_state = |create: &mut Object| drop(create.remove("state_key"));
    refused("is no state event", &joins(ctx, no_state, |_| {}).await?)?;
    let elsewhere = set("room_id", json!("!impostor:example.org"));
    refused("is of a room of another domain", &joins(ctx, elsewhere, |_| {}).await?)
}

/// Has `dora` join a room whose create event was changed after it was signed. Returns what the control API answers.
pub(super) async fn joins_changed_create(ctx: &Context) -> Result<Reply, Finding> {
    let more = |create: &mut Object| set_content(create, "org.example.more", json!(true));
    joins(ctx, |_| {}, |_| {}).await?.expect_ok("joining a room that is in order")?;
    joins(ctx, |_| {}, more).await
}

/// Has `dora` join a room whose create event is changed before it is signed, and after. Returns what the control API
/// answers.
async fn joins(
    ctx: &Context,
    before: impl FnOnce(&mut Object),
    after: impl FnOnce(&mut Object),
) -> Result<Reply, Finding> {
    let hub = ctx.peer().await?;
    let (host, dora) = (hub.user("host")?, ctx.user("dora")?);
    let id = format!("!{}:{}", hub.txn_id(), hub.name);
    let sealer = hub.sealer();
    let event = |room: &str, kind: &str, key: &str, content: Value| {
        let event = json!({
            "room_id": room, "type": kind, "state_key": key, "sender": host, "content": content,
            "origin_server_ts": clock::now_ms(), "auth_events": [], "prev_events": []
        });
        event.as_object().cloned().unwrap_or_default()
    };
    let mut create = event(&id, "m.room.create", "", json!({"room_version": "I.1"}));
    before(&mut create);
    let room = create.get("room_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let create = altered(&sealer.seal(create), after);
    let created = id_of(&create)?;
    let one = std::slice::from_ref(&created);
    let join = event(&room, "m.room.member", host.as_str(), json!({"membership": "join"}));
    let join = sealer.complete(join, one, one);
    let joined = id_of(&join)?;
    let rules = event(&room, "m.room.join_rules", "", json!({"join_rule": "public"}));
    let rules = sealer.complete(rules, &[created.clone(), joined.clone()], &[joined]);
    let ruled = id_of(&rules)?;
    let (user, name, room_id) = (dora.clone(), hub.name.clone(), room.clone());
    hub.answer_with(move |request| {
        if request.is("make_join") {
            let template = json!({
                "type": "m.room.member", "state_key": user, "sender": user, "content": {"membership": "join"},
                "room_id": room_id, "hub_server": name
            });
            let mut answer = template.clone();
            let more = [("event".to_owned(), template), ("room_version".to_owned(), json!("I.1"))];
            answer.as_object_mut()?.extend(more);
            return Some(Response::ok(answer));
        }
        let lpdu = request.body.as_object().filter(|_| request.is("send_join"))?.clone();
        let event = sealer.complete(lpdu, &[created.clone(), ruled.clone()], std::slice::from_ref(&ruled));
        let (state, chain) = (json!([create, join, rules]), json!([create, join]));
        Some(Response::ok(json!({"event": event, "state": state, "auth_chain": chain})))
    });
    let id = RoomId::parse(&room).map_err(|error| Finding::Suite(error.to_string()))?;
    let via = [hub.name.as_str()];
    ctx.control()?.try_membership(&ctx.recorder, &id, dora.as_str(), dora.as_str(), "join", &via).await
}

async fn join_rules_state_key(ctx: &Context) -> Result<(), Finding> {
    let id = ctx.create_room(json!({"join_rule": "invite"})).await?;
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    for key in [Some("other"), None] {
        ctx.send_as_alice(&id, "m.room.join_rules", key, json!({"join_rule": "public"})).await?;
        let path = paths::make_in_i1("join", &id, bob.as_str());
        let reply = peer.request(Method::GET, &path, None).await?;
        reply.expect_error(
            &format!("make_join, with join rules under {key},", key = said(&key)),
            403,
            "M_FORBIDDEN",
        )?;
        let lpdu = peer.lpdu(&peer.member(&id, &bob, &bob, "join"))?;
        let path = paths::send_change("join", &peer.txn_id());
        let reply = peer.request(Method::POST, &path, Some(&lpdu)).await?;
        reply.expect_error(
            &format!("send_join, with join rules under {key},", key = said(&key)),
            403,
            "M_FORBIDDEN",
        )?;
    }
    Ok(())
}

async fn reason(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (bob, carol) = (&room.bob, &room.peer.user("carol")?);
    let levels = json!({"users": {ctx.user("alice")?.as_str(): 100, bob.as_str(): 100}});
    ctx.send_as_alice(&room.id, "m.room.power_levels", Some(""), levels).await?;
    let said = async |sender, target, membership: &str, reason: &str| -> Result<(), Finding> {
        let mut draft = room.peer.member(&room.id, sender, target, membership);
        draft.content.insert("reason".to_owned(), json!(reason));
        let pdu = room.accepts(&draft).await?;
        let got = pdu.pointer("/content/reason").and_then(Value::as_str);
        check!(
            got == Some(reason),
            "the reason {reason} for {membership} arrives as {got}",
            reason = said(&reason),
            got = said(&got)
        );
        Ok(())
    };
    said(bob, bob, "join", "I am back").await?;
    said(bob, carol, "invite", "come in, it is \"nice\" here \u{1f600}").await?;
    said(bob, carol, "leave", "not you").await?;
    said(bob, carol, "ban", "").await?;
    said(bob, carol, "leave", &"x".repeat(2_000)).await?;
    room.accepts(&room.state("m.room.join_rules", "", json!({"join_rule": "knock"}))).await?;
    said(carol, carol, "knock", "please").await?;
    said(carol, carol, "leave", "never mind").await
}

async fn power_levels_state_key(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let content = json!({"users": {ctx.user("alice")?.as_str(): 100, room.bob.as_str(): 100}});
    for key in [Some("other"), None] {
        // Whether such an event may be sent at all is not judged.
        let control = ctx.control()?;
        control.try_send(&ctx.recorder, &room.id, "alice", "m.room.power_levels", key, &content).await?;
        let what =
            format!("state at level 0, with power levels under the state key {key},", key = said(&key));
        room.rejects(&room.state("m.room.topic", "", json!({"topic": "x"})), &what).await?;
    }
    Ok(())
}

async fn stated_levels(ctx: &Context) -> Result<(), Finding> {
    let room = ctx.public_room().await?;
    let levels = ctx.state_event(&room, "m.room.power_levels", "").await?;
    let levels = levels.ok_or_else(|| fault("a room was created without power levels"))?;
    for field in [
        "ban",
        "kick",
        "invite",
        "redact",
        "events",
        "events_default",
        "state_default",
        "users",
        "users_default",
    ] {
        let stated = levels.get("content").is_some_and(|content| content.get(field).is_some());
        check!(stated, "the power levels of a new room do not state {field}");
    }
    Ok(())
}

async fn creator_level(ctx: &Context) -> Result<(), Finding> {
    let (followed, other, carol) = followed_room_with_carol(ctx).await?;
    let renamed = followed.hub.host_says(&followed.room, followed.rename("by the creator")).await?;
    followed.lists(&renamed, "a state event of the creator").await?;
    let name = followed.name().await?;
    check!(
        name == "by the creator",
        "the creator called the room `by the creator`, it is called {name}",
        name = said(&name)
    );
    let (hub, room) = (&followed.hub, &followed.room);
    let said = other.draft(&room.id, &carol, "m.room.message", json!({"body": "level 0 is enough"}));
    let said = hub.take(room, &other.lpdu_for(&hub.name, &said)?)?;
    followed.send(std::slice::from_ref(&said)).await?.expect_accepted()?;
    followed.lists(&said, "a message at level 0").await?;
    let topic = other.state_draft(&room.id, &carol, "m.room.topic", "", json!({"topic": "x"}));
    let topic = other.lpdu_for(&hub.name, &topic)?.as_object().cloned().unwrap_or_default();
    let topic = hub.sealer().complete(topic, &room.cites(&carol), &[room.head()]);
    followed.rejects(&topic, "state of somebody who has no level, in a room without power levels,").await
}
