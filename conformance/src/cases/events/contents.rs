//! Messages as other drafts have them, which servers carry unread (LM-04 §3.5; MF-01, FW-01 §3 and §5).

use http::Method;
use mimi_linearized::id::EventId;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case};
use crate::cases::steps::followed::{follow, followed_room};
use crate::cases::steps::{open_room, paths, reference_id, text};
use crate::context::Context;
use crate::peer::without_unsigned;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "3.5/message-formats",
        "messages of every kind that the format draft knows are handed on and served as they were written",
        [
            "LM-04/3.5/14",
            "LM-04/5.1/5",
            "MF-01/1/1",
            "MF-01/1/2",
            "MF-01/1/3",
            "MF-01/1/5",
            "MF-01/1/6",
            "MF-01/1/7",
            "MF-01/1/8",
            "MF-01/1/11",
            "MF-01/1/12",
            "MF-01/1/15",
            "MF-01/1/16",
            "MF-01/1/21",
            "MF-01/1/23",
            "MF-01/2/3",
            "MF-01/2/5",
            "MF-01/2/6",
            "MF-01/2/16",
            "MF-01/2/18",
            "MF-01/2/19",
            "MF-01/2/20",
            "MF-01/2/23",
            "MF-01/2/24",
            "MF-01/2/25",
            "MF-01/2/38",
            "MF-01/2/39",
            "MF-01/2/41",
            "MF-01/2/42",
            "MF-01/2/63",
            "MF-01/2/66",
            "MF-01/2/69",
            "MF-01/2/94",
            "MF-01/2/96",
            "MF-01/2/108",
            "MF-01/2/121",
            "MF-01/2/122",
            "MF-01/2/123",
            "MF-01/2/126",
            "MF-01/2/142",
            "MF-01/2/143",
            "MF-01/2/144",
            "MF-01/2/145",
            "MF-01/2/149",
            "MF-01/2/150",
            "MF-01/2/151",
            "MF-01/2/152",
            "MF-01/2/153",
            "MF-01/2/154",
            "MF-01/2/155",
            "MF-01/2/156",
            "MF-01/2/157",
            "MF-01/2/186",
            "MF-01/2/187",
            "MF-01/2/198",
            "MF-01/2/199",
            "MF-01/2/213",
            "MF-01/2/216",
            "MF-01/2/226",
            "FW-01/3/15",
            "FW-01/3/17",
            "FW-01/3.1/6",
            "FW-01/5/6",
            "FW-01/5/9",
            "FW-01/5/13",
            "FW-01/5/14",
            "FW-01/5/20",
            "TR-00/2/17",
        ],
        message_formats
    ),
    driven_case!(
        Must,
        Participant,
        "3.5/message-formats-received",
        "a participant lists messages of every kind as they were written",
        ["MF-01/2/6"],
        message_formats_received
    ),
    driven_case!(
        May,
        Participant,
        "3.5.3.1/room-type",
        "a room that has a type is followed like any other",
        ["FW-01/3/9", "FW-01/3/10"],
        room_type
    ),
];

/// A relation to another event.
fn relating(kind: &str, to: &EventId, mut content: Value) -> Value {
    if let Value::Object(content) = &mut content {
        content.insert("m.relates_to".to_owned(), json!({"rel_type": kind, "event_id": to}));
    }
    content
}

/// Events of the kinds of MF-01 and FW-01: type, state key, content. Some refer to another event.
fn messages(to: &EventId) -> Vec<(&'static str, Option<&'static str>, Value)> {
    let key = json!({"kty": "oct", "key_ops": ["encrypt", "decrypt"], "alg": "A256CTR", "ext": true,
                     "k": "aWF6-32KGYaC3A_FEUCk1Bt0JA37zP0wrStgmdCaW-0"});
    let file = json!({"url": "mxc://example.org/f", "key": key, "iv": "w+sE15fzSc0AAAAAAAAAAA", "v": "v2",
                      "hashes": {"sha256": "fdSLu/YkRx3Wyh3KQabP3rd6+SFiKg5lsJZQHtkSAYA"}});
    let thumbnail = json!({"w": 10, "h": 20, "size": 30, "mimetype": "image/png"});
    let picture = json!({"w": 100, "h": 200, "size": 300, "mimetype": "image/png", "duration": 1_000,
                         "thumbnail_url": "mxc://example.org/t", "thumbnail_info": thumbnail, "thumbnail_file": file});
    let call = json!({"call_id": "c1", "version": 0});
    let mut messages = vec![
        ("m.message", None, json!({"m.text": "plain"})),
        ("m.message", None, json!({"m.text": "plain", "m.html": "<b>rich</b>"})),
        ("m.message", None, json!({"m.html": "<b>rich alone</b>"})),
        (
            "m.message",
            None,
            json!({"m.message": [{"mimetype": "text/html", "body": "<i>x</i>"}, {"body": "x"},
                                               {"mimetype": "application/vnd.example", "body": "{}"}]}),
        ),
        (
            "m.message",
            None,
            json!({"m.text": [{"body": "the newer form"},
                                            {"mimetype": "text/html", "body": "<p>the newer form</p>"}]}),
        ),
        ("m.message", None, json!({"m.text": []})),
        (
            "m.message",
            None,
            json!({"m.text": "an emote", "m.emote": {}, "org.example.block": [1, true, null, "x"]}),
        ),
        (
            "m.file",
            None,
            json!({"m.text": "a.pdf", "m.file": {"url": "mxc://example.org/a", "name": "a.pdf",
                                                            "mimetype": "application/pdf", "size": 12_345}}),
        ),
        (
            "m.image",
            None,
            json!({"m.text": "a caption", "m.file": {"url": "mxc://example.org/b"}, "m.image": {}}),
        ),
        ("m.sticker", None, json!({"body": "a fox", "info": picture, "url": "mxc://example.org/s"})),
        (
            "m.poll.start",
            None,
            json!({"m.text": "Tea or coffee?", "m.poll.start": {
            "question": {"m.text": "Tea or coffee?"}, "kind": "m.poll.disclosed", "max_selections": 2,
            "answers": [{"id": "t", "m.text": "Tea"}, {"id": "c", "m.text": "Coffee"}]}}),
        ),
        (
            "m.poll.response",
            None,
            relating("m.reference", to, json!({"m.poll.response": {"answers": ["t"]}})),
        ),
        ("m.poll.end", None, relating("m.reference", to, json!({"m.poll.end": {}, "m.text": "Tea it is"}))),
        ("m.room.encrypted", None, json!({"algorithm": "org.example.cipher", "ciphertext": "AAAA"})),
        ("m.room.redaction", None, json!({"redacts": to, "reason": "off topic"})),
        (
            "m.call.invite",
            None,
            with(&call, json!({"lifetime": 60_000, "offer": {"type": "offer", "sdp": "v=0"}})),
        ),
        (
            "m.call.candidates",
            None,
            with(
                &call,
                json!({"candidates": [
            {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0}]}),
            ),
        ),
        ("m.call.answer", None, with(&call, json!({"answer": {"type": "answer", "sdp": "v=0"}}))),
        ("m.call.hangup", None, with(&call, json!({"reason": "invite_timeout"}))),
        (
            "org.example.scene",
            None,
            json!({"vertices": [[0, 1, -1]], "m.text": "a scene in three dimensions"}),
        ),
        ("org.example.setting", Some("here"), json!({"on": true, "m.text": "set"})),
        ("org.example.hidden", None, json!({})),
        (
            "m.room.message",
            None,
            relating(
                "m.replace",
                to,
                json!({"msgtype": "m.text", "body": "* second",
            "m.new_content": {"msgtype": "m.emote", "body": "second"}}),
            ),
        ),
        (
            "m.room.message",
            None,
            relating("m.thread", to, json!({"msgtype": "m.text", "body": "in a thread"})),
        ),
        (
            "m.room.message",
            None,
            json!({"msgtype": "m.text", "body": "> before\n\nafter",
            "m.relates_to": {"m.in_reply_to": {"event_id": to}, "rel_type": "m.thread", "event_id": to}}),
        ),
        (
            "m.room.message",
            None,
            json!({"msgtype": "m.text", "body": "[spoiler](why)", "m.text": "[spoiler](why)",
            "format": "org.matrix.custom.html",
            "formatted_body": "<span data-mx-spoiler=\"why\">it was the butler</span>"}),
        ),
        ("m.room.message", None, json!({"msgtype": "m.location", "body": "here", "geo_uri": "geo:51.5,0.1"})),
    ];
    for kind in ["m.text", "m.emote", "m.notice"] {
        messages.push(("m.room.message", None, json!({"msgtype": kind, "body": kind})));
    }
    for kind in ["m.image", "m.file", "m.audio", "m.video"] {
        let content = json!({"msgtype": kind, "body": kind, "url": "mxc://example.org/x", "info": picture});
        messages.push(("m.room.message", None, with(&content, json!({"filename": "x", "file": file}))));
    }
    messages
}

/// An object with the members of another.
fn with(one: &Value, other: Value) -> Value {
    let mut both = one.as_object().cloned().unwrap_or_default();
    if let Value::Object(other) = other {
        both.extend(other);
    }
    Value::Object(both)
}

/// What a reader of an event gets to know of it.
fn written(event: &Value) -> [Option<&Value>; 3] {
    ["type", "state_key", "content"].map(|field| event.get(field))
}

async fn message_formats(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let first = room.accepts(&room.message("what the others refer to")).await?;
    let to = crate::cases::steps::followed::id_of(&first)?;
    let mut lpdus = Vec::new();
    for (kind, state_key, content) in messages(&to) {
        let draft = match state_key {
            Some(state_key) => room.state(kind, state_key, content),
            None => room.peer.draft(&room.id, &room.bob, kind, content),
        };
        lpdus.push(room.peer.lpdu(&draft)?);
    }
    room.peer.send(&lpdus, &[]).await?.expect_accepted()?;
    for lpdu in &lpdus {
        let kind = text(lpdu, "type");
        let pdu = room.peer.until_echo(lpdu).await?;
        check!(written(&pdu) == written(lpdu), "an event of type {kind} is handed on as {pdu}");
        let target = paths::event(&reference_id(&pdu));
        let served = room.peer.request(Method::GET, &target, None).await?;
        let served = without_unsigned(served.expect_ok(&format!("GET {target}"))?);
        check!(served == pdu, "an event of type {kind} is served as {served}");
    }
    Ok(())
}

async fn message_formats_received(ctx: &Context) -> Result<(), Finding> {
    let followed = followed_room(ctx).await?;
    let (hub, host) = (&followed.hub, &followed.host);
    let mut pdus = Vec::new();
    for (kind, state_key, content) in messages(&followed.room.head()) {
        let draft = match state_key {
            Some(state_key) => hub.state_draft(&followed.room.id, host, kind, state_key, content),
            None => hub.draft(&followed.room.id, host, kind, content),
        };
        pdus.push(followed.withhold(draft)?);
    }
    followed.send(&pdus).await?.expect_accepted()?;
    for pdu in &pdus {
        let kind = text(pdu, "type");
        let listed = followed.lists(pdu, &format!("an event of type {kind}")).await?;
        check!(written(&listed) == written(pdu), "an event of type {kind} is listed as {listed}");
    }
    Ok(())
}

async fn room_type(ctx: &Context) -> Result<(), Finding> {
    let hub = ctx.peer().await?;
    let room = hub.host_room(json!({"type": "org.example.space"})).await?;
    follow(ctx, hub, room).await?.goes_on().await
}
