//! Events and LPDUs: fields, sizes, ids (LM-04 §3.5, §3.5.1).

use http::Method;
use mimi_linearized::base64;
use mimi_linearized::event::{Lpdu, hash};
use mimi_linearized::json::{Object, canonical};
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::followed::followed_room_with_carol;
use crate::cases::steps::{
    altered, hub_room, is_signed_by_target, open_room, paths, reference_id, remade, resigned, set_content,
    size, text, texts,
};
use crate::context::Context;
use crate::peer::{lpdu_hash, without_unsigned};
use crate::wire::Reply;

/// The largest event, in bytes (LM-04 §3.5).
const LARGEST: usize = 65_536;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "3.5/fields",
        "an event without a required field, or with one of another type, is dropped",
        [
            "LM-04/3.5/3",
            "LM-04/3.5/6",
            "LM-04/3.5/8",
            "LM-04/3.5/9",
            "LM-04/3.5/11",
            "LM-04/3.5/13",
            "LM-04/3.5/15",
            "LM-04/3.5/18",
            "LM-04/5.1/4",
            "LM-04/6.3/1",
            "LM-04/12.5.1/5",
            "LM-04/12.5.1/22",
            "MF-01/2/1",
            "MF-01/2/8",
            "MF-01/2/12",
            "MF-01/2/14",
            "FW-01/3/13",
            "TR-00/2/11",
            "TR-00/2/12",
            "TR-00/3/32",
        ],
        fields
    ),
    driven_case!(
        Must,
        Hub,
        "3.5/lengths",
        "type and state key have at most 255 characters",
        ["LM-04/3.5/5", "LM-04/3.5/6", "LM-04/3.5/7", "MF-01/2/115"],
        lengths
    ),
    driven_case!(
        Must,
        Hub,
        "3.5/case-of-types",
        "an event type in other letters is another type",
        ["LM-04/3.5/4"],
        case_of_types
    ),
    driven_case!(
        Must,
        Hub,
        "3.5/hostile-content",
        "content of any form leads to an ordinary verdict, and the room goes on",
        ["LM-04/3.5/14", "LM-04/5.1/5"],
        hostile_content
    ),
    driven_case!(
        Must,
        Hub,
        "3.5/deep-nesting",
        "an event nested without end does no harm to its neighbours or to the server",
        ["LM-04/3.5/14"],
        deep_nesting
    ),
    driven_case!(
        Must,
        Hub,
        "3.5/size",
        "an event of 65,536 bytes is sealed, and one of a byte more is not",
        ["LM-04/3.5/25", "LM-04/3.5/26", "MF-01/2/114"],
        largest
    ),
    driven_case!(
        Must,
        Hub,
        "3.5/event-ids",
        "event ids are what the events say, and nothing else names an event",
        [
            "LM-04/3.5/21",
            "LM-04/3.5/23",
            "LM-04/3.5/24",
            "LM-04/9.2/3",
            "LM-04/9.2/4",
            "LM-04/9.2/5",
            "LM-04/10/3",
            "LM-04/12.6.1/1",
            "LM-04/12.6.1/3",
            "LM-04/12.6.1/6",
            "TR-00/2/10"
        ],
        event_ids
    ),
    driven_case!(
        Must,
        Hub,
        "3.5/own-events",
        "a hub's own events are signed once, and have no hash of an LPDU",
        ["LM-04/3.5/17", "LM-04/6.2/3", "LM-04/9.1/3", "R03", "R04"],
        own_events
    ),
    driven_case!(
        Must,
        Participant,
        "3.5.1/participant-sends-lpdu",
        "a participant sends the hub an LPDU, hashed and signed, without what only the hub can set",
        [
            "LM-04/3/1",
            "LM-04/3.5.1/1",
            "LM-04/3.5.1/2",
            "LM-04/3.5.1/3",
            "LM-04/3.5.1/4",
            "LM-04/3.5.1/5",
            "LM-04/3.5.1/6",
            "LM-04/9.1/2",
            "R01",
            "MF-01/2/7",
            "TR-00/3/7"
        ],
        participant_sends_lpdu
    ),
];

async fn fields(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let rubbish = [Value::Null, json!(true), json!(5), json!("text"), json!([]), json!({})];
    let mut bad = Vec::new();
    let mut n = 0_u32;
    let mut sound = || -> Result<Value, Finding> {
        n = n.saturating_add(1);
        room.peer.lpdu(&room.state("org.example.state", &format!("state {n}"), json!({"n": n})))
    };
    for (field, allowed) in [
        ("type", &["text"] as &[&str]),
        ("state_key", &["text"]),
        ("sender", &[]),
        ("origin_server_ts", &["5"]),
        ("hub_server", &[]),
        ("content", &["{}"]),
    ] {
        for value in &rubbish {
            let written = value.to_string();
            let allows = allowed.iter().any(|allowed| value == *allowed || written == *allowed);
            // `text` is the name of another server, and hubs that are another are another case's business.
            let another_case = field == "hub_server" && value == "text";
            if !allows && !another_case {
                let lpdu =
                    remade(&room.peer, &sound()?, |lpdu| drop(lpdu.insert(field.to_owned(), value.clone())));
                bad.push((format!("an event with {field} {value}"), lpdu));
            }
        }
        if !matches!(field, "state_key" | "hub_server") {
            let lpdu = remade(&room.peer, &sound()?, |lpdu| drop(lpdu.remove(field)));
            bad.push((format!("an event without {field}"), lpdu));
        }
    }
    for value in [json!(1_681_340_188_825.5), json!("1681340188825")] {
        let lpdu = remade(&room.peer, &sound()?, |lpdu| {
            drop(lpdu.insert("origin_server_ts".to_owned(), value.clone()));
        });
        bad.push((format!("an event with origin_server_ts {value}"), lpdu));
    }
    for value in ["exa_mple.org", "", "example.org:port"] {
        let lpdu =
            remade(&room.peer, &sound()?, |lpdu| drop(lpdu.insert("hub_server".to_owned(), json!(value))));
        bad.push((format!("an event with hub_server {value}", value = said(&value)), lpdu));
    }
    let hash = base64::encode(&[1; 32]);
    for hashes in [
        Value::Null,
        json!([]),
        json!("text"),
        json!({"lpdu": hash}),
        json!({"lpdu": {"sha256": 5}}),
        json!({"lpdu": {"sha256": [hash]}}),
        json!({"lpdu": null}),
    ] {
        let lpdu =
            resigned(&room.peer, &sound()?, |lpdu| drop(lpdu.insert("hashes".to_owned(), hashes.clone())));
        bad.push((format!("an event with hashes {hashes}"), lpdu));
    }
    let missing = resigned(&room.peer, &sound()?, |lpdu| drop(lpdu.remove("hashes")));
    bad.push(("an event without hashes".to_owned(), missing));
    let (server, key) = (room.peer.name.as_str(), room.peer.key.id().as_str());
    for signatures in [
        Value::Null,
        json!([]),
        json!("text"),
        json!({server: "text"}),
        json!({server: [hash]}),
        json!({server: {key: 5}}),
        json!({server: {key: {"signature": hash}}}),
    ] {
        let lpdu = altered(&sound()?, |lpdu| drop(lpdu.insert("signatures".to_owned(), signatures.clone())));
        bad.push((format!("an event with signatures {signatures}"), lpdu));
    }
    let missing = altered(&sound()?, |lpdu| drop(lpdu.remove("signatures")));
    bad.push(("an event without signatures".to_owned(), missing));
    room.drops_all(&bad).await?;
    room.accepts(&room.state("org.example.state", "sound", json!({}))).await.map(drop)
}

async fn lengths(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let (fits, long) = ("x".repeat(255), "x".repeat(256));
    room.accepts(&room.state(&fits, &fits, json!({}))).await?;
    room.accepts(&room.state("org.example.state", "", json!({"with": "an empty state key"}))).await?;
    let state = ctx.state_event(&room.id, "org.example.state", "").await?;
    check!(state.is_some(), "an event with an empty state key is no state");
    // The suite's own drafts obey the limits.
    let with = |field: &'static str| -> Result<(String, Value), Finding> {
        let lpdu = room.peer.lpdu(&room.state("org.example.state", field, json!({})))?;
        let lpdu = remade(&room.peer, &lpdu, |lpdu| drop(lpdu.insert(field.to_owned(), json!(long))));
        Ok((format!("an event with a {field} of 256 characters"), lpdu))
    };
    room.drops_all(&[with("type")?, with("state_key")?]).await
}

async fn case_of_types(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    room.accepts(&room.state("M.Room.Member", room.bob.as_str(), json!({"membership": "leave"}))).await?;
    let membership = ctx.room(&room.id).await?.membership(&room.bob).to_owned();
    check!(membership == "join", "an M.Room.Member event made a user {membership}");
    room.accepts(&room.state("m.room.Name", "", json!({"name": "Shouted"}))).await?;
    let name = ctx.state_event(&room.id, "m.room.name", "").await?;
    check!(name.is_none(), "an m.room.Name event set the room's name");
    let levels = json!({"users_default": 0, "events_default": 100});
    room.accepts(&room.state("m.room.power_Levels", "", levels)).await?;
    room.accepts(&room.message("still at level 100")).await.map(drop)
}

async fn hostile_content(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let long = "x".repeat(10_000);
    let deep = (0..35).fold(json!("bottom"), |inner, _| json!({"in": [inner]}));
    let contents = [
        json!({"membership": {"membership": "join"}, "join_rule": 7, "name": null, "users": "all", "message": 1}),
        json!({"membership": [], "join_rule": {}, "history_visibility": true, "events": [], "ciphertext": {}}),
        json!({"membership": long, "join_rule": long, "name": {"": long}, "algorithm": [], "commit_event_id": 5}),
        json!({"": "", "\0": "\u{7f}", "__proto__": {"admin": true}, "constructor": null, long.as_str(): deep}),
        json!({}),
    ];
    let carol = room.peer.user("carol")?;
    let both = |kind: &str, content: &Value| -> Result<[Value; 2], Finding> {
        let state_key = if kind == "m.room.member" { carol.as_str() } else { "" };
        let state = room.peer.lpdu(&room.state(kind, state_key, content.clone()))?;
        Ok([state, room.peer.lpdu(&room.peer.draft(&room.id, &room.bob, kind, content.clone()))?])
    };
    let mut tried = Vec::new();
    for kind in [
        "m.room.member",
        "m.room.join_rules",
        "m.room.history_visibility",
        "m.room.name",
        "m.room.topic",
        "m.room.create",
        "m.room.canonical_alias",
        "m.room.avatar",
        "m.mls.commit",
        "m.room.encrypted",
    ] {
        for content in &contents {
            tried.extend(both(kind, content)?);
        }
    }
    tried.push(room.peer.lpdu(&room.state("m.room.join_rules", "", json!({"join_rule": "public"})))?);
    // Levels come last: who may send state is not the same once they are empty.
    for content in &contents {
        let mut content = content.clone();
        if let Some(levels) = content.as_object_mut().filter(|levels| !levels.is_empty()) {
            levels.insert("users_default".to_owned(), json!(100));
        }
        tried.extend(both("m.room.power_levels", &content)?);
    }
    for some in tried.chunks(20) {
        room.peer.send(some, &[]).await?.expect_processed()?;
    }
    // The room is read, changed and shown to others as ever.
    room.accepts(&room.message("the room goes on")).await?;
    ctx.state(&room.id).await?;
    let other = ctx.peer().await?;
    let erin = other.user("erin")?;
    ctx.as_alice(&room.id, &erin, "invite").await?;
    other.join(&room.id, &erin).await?;
    let said = other.draft(&room.id, &erin, "m.room.message", json!({"body": "I am in"}));
    other.say(&said).await.map(drop)
}

async fn deep_nesting(ctx: &Context) -> Result<(), Finding> {
    // The neighbours are of another room and another server, which never gets to see what is nested.
    let (room, other) = (hub_room(ctx).await?, hub_room(ctx).await?);
    let bob = room.peer.user("bob")?;
    room.peer.join(&other.id, &bob).await?;
    let neighbour = |body: &str| {
        room.peer.lpdu(&room.peer.draft(&other.id, &bob, "m.room.message", json!({"body": body})))
    };
    let is_taken = async |reply: &Reply, sound: &Value, depth: usize| -> Result<(), Finding> {
        let status = reply.status;
        let answered = status.is_success() || status.is_client_error();
        check!(answered, "an event nested {depth} deep is answered {}", status.as_u16());
        if !status.is_success() {
            room.peer.send(std::slice::from_ref(sound), &[]).await?.expect_accepted()?;
        }
        let hash = lpdu_hash(sound).to_owned();
        other.peer.until_pdu("a sound neighbour is taken", move |pdu| lpdu_hash(pdu) == hash).await.map(drop)
    };
    let deep = room.peer.lpdu(&room.message("deep"))?;
    let sound = neighbour("beside 200 levels")?;
    let nested = (0..200).fold(json!(null), |inner, _| json!([inner]));
    let nested = remade(&room.peer, &deep, |lpdu| set_content(lpdu, "body", nested));
    let sent = room.peer.send(&[nested, sound.clone()], &[]).await?;
    is_taken(&sent.0, &sound, 200).await?;
    // Deeper than the suite itself could sign for: what counts is that reading it does no harm.
    let sound = neighbour("beside 20,000 levels")?;
    let nested = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let text = deep.to_string().replace("\"deep\"", &nested);
    let sent = room.peer.send_text(&[text, sound.to_string()], &[deep, sound.clone()]).await?;
    is_taken(&sent.0, &sound, 20_000).await
}

async fn largest(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let small = room.accepts(&room.message("")).await?;
    let body = |size: usize| "x".repeat(size);
    let rest = LARGEST.saturating_sub(size(&small));
    let fits = room.accepts(&room.message(&body(rest))).await?;
    check!(size(&fits) == LARGEST, "the hub makes {} bytes of the LPDU instead of {LARGEST}", size(&fits));
    let kept = fits.get("content").map(|content| text(content, "body").len());
    check!(kept == Some(rest), "a body of {rest} characters arrives as {kept}", kept = said(&kept));
    let long = room.peer.lpdu(&room.message(&body(rest.saturating_add(1))))?;
    room.refuses_all(&[("an event of 65,537 bytes once sealed".to_owned(), long)]).await?;
    let empty = room.peer.lpdu(&room.message(""))?;
    let over = LARGEST.saturating_sub(size(&empty)).saturating_add(1);
    let over = remade(&room.peer, &empty, |lpdu| set_content(lpdu, "body", json!(body(over))));
    room.drops_all(&[(format!("an LPDU of {} bytes", size(&over)), over)]).await?;
    let before = ctx.room(&room.id).await?.length();
    let content = json!({"body": body(LARGEST)});
    let control = ctx.control()?;
    let reply = control.try_send(&ctx.recorder, &room.id, "alice", "m.room.message", None, &content).await?;
    check!(!reply.status.is_success(), "the target creates an event of more than {LARGEST} bytes");
    check!(ctx.room(&room.id).await?.length() == before, "an event that was refused is in the list");
    Ok(())
}

async fn event_ids(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let lpdu = room.peer.lpdu(&room.message("by bob"))?;
    room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
    room.peer.until_echo(&lpdu).await?;
    // One id in two has none of a character that the two alphabets write differently.
    let mut given = Value::Null;
    for n in 0..40 {
        given = ctx.send_as_alice(&room.id, "m.room.message", None, json!({"n": n})).await?;
        let id = text(&given, "event_id");
        if id.contains('-') && id.contains('_') {
            break;
        }
    }
    let events = ctx.events(&room.id).await?;
    let ids: Vec<String> = events.iter().map(reference_id).collect();
    let last = ids.last().map(String::as_str).unwrap_or_default();
    check!(text(&given, "event_id") == last, "the target calls an event {given}, its id is {last}");
    let head = ctx.room(&room.id).await?.head().to_owned();
    check!(head == last, "the target calls its last event {head}, its id is {last}");
    let get = async |id: &str| room.peer.request(Method::GET, &paths::event(id), None).await;
    for (index, (event, id)) in events.iter().zip(&ids).enumerate() {
        let before = index.checked_sub(1).and_then(|before| ids.get(before));
        let expected: Vec<String> = before.cloned().into_iter().collect();
        let prev = texts(event, "prev_events");
        check!(
            prev == expected,
            "the event {id} follows {prev}, the one before it is {expected}",
            prev = said(&prev),
            expected = said(&expected)
        );
        let cited = texts(event, "auth_events");
        let stray = cited.iter().find(|cited| !ids.iter().take(index).any(|id| id == *cited));
        check!(
            stray.is_none(),
            "the event {id} cites {stray}, which is no event before it",
            stray = said(&stray)
        );
        let reply = get(id).await?;
        let served = without_unsigned(reply.expect_ok("an event by its id")?);
        check!(served == *event, "asked for {id} the target gives {served}");
    }
    let other_alphabet = last.replace('-', "+");
    for (what, id) in [
        ("padded", format!("{last}=")),
        ("without its sigil", last.trim_start_matches('$').to_owned()),
        ("in the other alphabet", other_alphabet.clone()),
        ("in lower case", last.to_ascii_lowercase()),
        ("that is the LPDU's", reference_id(&lpdu)),
        ("that is nobody's", format!("${}", base64::encode_url_safe(&[9; 32]))),
    ] {
        // An id may happen to have none of the characters in question.
        if id != last {
            get(&id).await?.expect_error(&format!("an event id {what}"), 404, "M_NOT_FOUND")?;
        }
    }
    // A slash may also be taken for the end of a segment, though it is escaped.
    let slashes = other_alphabet.replace('_', "/");
    if slashes != last {
        let status = get(&slashes).await?.status.as_u16();
        check!(status == 404, "an event id with slashes is answered {status}");
    }
    Ok(())
}

async fn own_events(ctx: &Context) -> Result<(), Finding> {
    let room = ctx.public_room().await?;
    ctx.send_as_alice(&room, "m.room.message", None, json!({"body": "by alice"})).await?;
    let target = ctx.environment.target.name.as_str();
    let (mut named, mut with_empty) = (false, false);
    for event in ctx.events(&room).await? {
        let id = reference_id(&event);
        let object = event.as_object().cloned().unwrap_or_default();
        let signed = event.get("signatures").and_then(Value::as_object).cloned().unwrap_or_default();
        let keys = signed.get(target).and_then(Value::as_object).map_or(0, Object::len);
        check!(
            signed.len() == 1 && keys > 0,
            "the hub's own event {id} is signed by {}",
            said(&signed.keys().collect::<Vec<_>>())
        );
        is_signed_by_target(ctx, &event).await?;
        match (event.get("hub_server"), event.pointer("/hashes/lpdu/sha256")) {
            (None, None) => {
                check!(event.pointer("/hashes/lpdu").is_none(), "{id} has hashes.lpdu without hub_server");
            }
            (Some(hub), Some(hash)) => {
                check!(hub == target, "the hub's own event {id} names {hub} as its hub");
                let expected = base64::encode(&hash::lpdu_content_hash(&object));
                check!(*hash == expected, "hashes.lpdu of {id} is to be {expected}, it is {hash}");
                named = true;
            }
            (hub, hash) => {
                return Err(fault(format!(
                    "{id} has the hub_server {hub} and the LPDU hash {hash}",
                    hub = said(&hub),
                    hash = said(&hash)
                )));
            }
        }
        let claimed = event.pointer("/hashes/sha256").and_then(Value::as_str).unwrap_or_default();
        if claimed == base64::encode(&hash::pdu_content_hash(&object)) {
            continue;
        }
        let empty = altered(&event, |event| {
            event.remove("signatures");
            event.insert("hashes".to_owned(), json!({}));
        });
        let empty = base64::encode(&hash::sha256(&canonical::to_vec(&empty)));
        check!(claimed == empty, "the content hash of {id} is wrong");
        with_empty = true;
    }
    let acceptable = |reading, what: &str| Err(Finding::Acceptable { reading, what: what.to_owned() });
    match (with_empty, named) {
        (false, false) => Ok(()),
        (false, true) => acceptable("R04", "the hub sets hub_server and hashes.lpdu on its own events"),
        (true, _) => acceptable("R03", "content hashes of the hub's own events cover an empty `hashes`"),
    }
}

/// Checks an LPDU that the target made.
async fn is_sound_lpdu(ctx: &Context, lpdu: &Value, hub: &str) -> Result<(), Finding> {
    for field in ["auth_events", "prev_events"] {
        check!(lpdu.get(field).is_none(), "the target's LPDU has {field}: {lpdu}");
    }
    let hashes = lpdu.get("hashes").and_then(Value::as_object).cloned().unwrap_or_default();
    check!(
        hashes.keys().eq(["lpdu"]),
        "the hashes of the target's LPDU are {}",
        said(&hashes.keys().collect::<Vec<_>>())
    );
    check!(
        text(lpdu, "hub_server") == hub,
        "the target's LPDU for {hub} is for {}",
        said(&text(lpdu, "hub_server"))
    );
    let object = lpdu.as_object().cloned().unwrap_or_default();
    let expected = base64::encode(&hash::lpdu_content_hash(&object));
    check!(
        lpdu_hash(lpdu) == expected,
        "the LPDU's hash is to be {expected}, it is {}",
        said(&lpdu_hash(lpdu))
    );
    let ring = ctx.environment.target_ring().await?;
    let version = ctx.environment.versions.default_version();
    let read =
        Lpdu::from_object(object, version).map_err(|error| fault(format!("the target's LPDU: {error}")))?;
    read.verify(&ring).map(drop).map_err(|error| fault(format!("the target's LPDU: {error}")))
}

async fn participant_sends_lpdu(ctx: &Context) -> Result<(), Finding> {
    let (followed, other, _) = followed_room_with_carol(ctx).await?;
    let (hub, room) = (followed.hub.name.as_str(), &followed.room.id);
    let join = followed.hub.until_request("the target joins", |request| request.is("send_join")).await?;
    is_sound_lpdu(ctx, &join.body, hub).await?;
    for n in [1, 2] {
        let content = json!({"body": format!("message {n}")});
        let control = ctx.control()?;
        let dora = followed.dora.as_str();
        let sent = control.send(&ctx.recorder, room, dora, "m.room.message", None, &content).await?;
        let is_it = move |pdu: &Value| pdu.get("content") == Some(&content);
        let lpdu = followed.hub.until_pdu("the target sends the hub its user's event", is_it).await?;
        is_sound_lpdu(ctx, &lpdu, hub).await?;
        let id = reference_id(&lpdu);
        check!(text(&sent, "lpdu_id") == id, "the target calls its LPDU {sent}, its id is {id}");
        let hash = lpdu_hash(&lpdu).to_owned();
        let listed = move |event: &Value| lpdu_hash(event) == hash;
        ctx.until_event(room, "the target lists its event once the hub has sealed it", listed).await?;
    }
    let of_room = |pdu: &&Value| text(pdu, "room_id") == room.as_str();
    let to_other = other.pdus().iter().find(of_room).cloned();
    check!(
        to_other.is_none(),
        "the target sent another participant an event: {to_other}",
        to_other = said(&to_other)
    );
    Ok(())
}
