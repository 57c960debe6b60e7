//! A content of every kind that draft-ralston-mimi-matrix-message-format-01 §1 lists, and of some that nobody lists.

use serde_json::{Value, json};

/// An event to be sent.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// What it is, in words.
    pub(super) what: &'static str,
    /// Its type.
    pub(super) kind: &'static str,
    /// Its state key, if it is state.
    pub(super) state_key: Option<&'static str>,
    /// Its content.
    pub(super) content: Value,
}

fn message(what: &'static str, kind: &'static str, content: Value) -> Sample {
    Sample { what, kind, state_key: None, content }
}

/// Texts, of which no event needs another.
fn texts() -> Vec<Sample> {
    let html = "i am a <strong>fish</strong>";
    let renderings = json!([
        {"mimetype": "text/html", "body": html},
        {"mimetype": "text/plain", "body": "i am a fish"},
        {"mimetype": "application/vnd.exampleorg.message+html", "body": "<content>i am a fish</content>"},
    ]);
    vec![
        message("a text", "m.message", json!({"m.text": "i am a fish"})),
        message("a text with HTML", "m.message", json!({"m.text": "i am a fish", "m.html": html})),
        message("a text with HTML alone", "m.message", json!({"m.html": html})),
        message("a text in three media types", "m.message", json!({"m.message": renderings})),
        message("a text in the newer form", "m.message", json!({"m.text": [{"body": "i am a fish"}]})),
        message("an emote", "m.emote", json!({"m.text": "waves"})),
        message("a notice", "m.notice", json!({"m.text": "it is ten", "m.notice": {}})),
        message(
            "a text of the older form",
            "m.room.message",
            json!({
                "msgtype": "m.text", "body": "i am a fish", "format": "org.matrix.custom.html", "formatted_body": html,
                "m.text": "i am a fish",
            }),
        ),
        message(
            "a spoiler",
            "m.room.message",
            json!({
                "msgtype": "m.text", "body": "[Spoiler](mxc://example.org/s)", "format": "org.matrix.custom.html",
                "formatted_body": "<span data-mx-spoiler=\"the end\">he dies</span>",
            }),
        ),
        message(
            "an emoji of one's own",
            "m.room.message",
            json!({
                "msgtype": "m.text", "body": ":fish:", "format": "org.matrix.custom.html",
                "formatted_body": "<img data-mx-emoticon src=\"mxc://example.org/fish\" alt=\":fish:\" height=\"32\">",
            }),
        ),
    ]
}

/// Files, places and calls.
fn things() -> Vec<Sample> {
    let key = json!({
        "kty": "oct", "key_ops": ["encrypt", "decrypt"], "alg": "A256CTR", "ext": true,
        "k": "__________________________________________8",
    });
    let encrypted = json!({
        "url": "mxc://example.org/abcd", "name": "foo.pdf", "mimetype": "application/pdf", "size": 12345, "key": key,
        "iv": "//////////8AAAAAAAAAAA", "v": "v2",
        "hashes": {"sha256": "YzF08lARDdOCzJpzuSwsjTNlQc4pHxpdHcXiD/wpK6k"},
    });
    let plain = json!({
        "url": "mxc://example.org/abcd1234", "name": "foo.pdf", "mimetype": "application/pdf", "size": 12345,
    });
    let sticker = json!({
        "body": "a fish", "url": "mxc://example.org/sticker",
        "info": {"mimetype": "image/png", "w": 256, "h": 256, "size": 999},
    });
    let call = |more: Value| {
        let mut content = json!({"call_id": "c1", "version": 0});
        if let (Some(content), Value::Object(more)) = (content.as_object_mut(), more) {
            content.extend(more);
        }
        content
    };
    let sdp = "v=0\r\no=- 6584580628695956864 2 IN IP4 127.0.0.1\r\n";
    vec![
        message("a file", "m.file", json!({"m.text": "Upload: foo.pdf (12 KB)", "m.file": plain})),
        message("an encrypted file", "m.file", json!({"m.text": "foo.pdf", "m.file": encrypted})),
        message(
            "an image of the older form",
            "m.room.message",
            json!({
                "msgtype": "m.image", "body": "fish.png", "url": "mxc://example.org/fish",
                "info": {"mimetype": "image/png", "w": 640, "h": 480, "size": 31037},
            }),
        ),
        message("a sticker", "m.sticker", sticker),
        message(
            "a voice message",
            "m.room.message",
            json!({
                "msgtype": "m.audio", "body": "Voice message", "url": "mxc://example.org/voice",
                "org.matrix.msc3245.voice": {}, "org.matrix.msc1767.audio": {"duration": 1337, "waveform": [0, 512, 1024]},
            }),
        ),
        message(
            "a place",
            "m.room.message",
            json!({"msgtype": "m.location", "body": "Big Ben", "geo_uri": "geo:51.5008,0.1247"}),
        ),
        Sample {
            what: "the beginning of a shared place that changes",
            kind: "org.matrix.msc3672.beacon_info",
            state_key: Some("@alice"),
            content: json!({"description": "on my way", "live": true, "timeout": 60_000, "m.asset": {"type": "m.self"}}),
        },
        message(
            "an invite to a call",
            "m.call.invite",
            call(json!({"offer": {"type": "offer", "sdp": sdp}, "lifetime": 60_000})),
        ),
        message(
            "candidates of a call",
            "m.call.candidates",
            call(
                json!({"candidates": [{"candidate": "candidate:863018703 1 udp", "sdpMid": "audio", "sdpMLineIndex": 0}]}),
            ),
        ),
        message(
            "an answer to a call",
            "m.call.answer",
            call(json!({"answer": {"type": "answer", "sdp": sdp}})),
        ),
        message("the end of a call", "m.call.hangup", call(json!({"reason": "invite_timeout"}))),
        message(
            "who is in a call of several",
            "org.matrix.msc3401.call.member",
            json!({"m.calls": [{"m.call_id": "c2", "m.devices": [{"device_id": "D", "session_id": "s"}]}]}),
        ),
        message(
            "a kind that nobody knows",
            "org.example.scene",
            json!({"org.example.scene": {"depth": [[[[1, 2]]]], "nothing": null, "": true}, "m.text": "a scene"}),
        ),
    ]
}

/// Events about the event `about`.
fn related(about: &str) -> Vec<Sample> {
    let poll = json!({
        "question": {"m.text": "What should we order?"}, "kind": "m.poll.disclosed", "max_selections": 1,
        "answers": [{"id": "pizza", "m.text": "Pizza"}, {"id": "poutine", "m.text": "Poutine"}],
    });
    let reference = json!({"rel_type": "m.reference", "event_id": about});
    vec![
        message(
            "a reply",
            "m.message",
            json!({"m.text": "so am i", "m.relates_to": {"m.in_reply_to": {"event_id": about}}}),
        ),
        message(
            "a message of a thread",
            "m.message",
            json!({"m.text": "in a thread", "m.relates_to": {
                "rel_type": "m.thread", "event_id": about, "is_falling_back": true, "m.in_reply_to": {"event_id": about},
            }}),
        ),
        message(
            "an edit",
            "m.message",
            json!({"m.text": "* i am a cat", "m.new_content": {"m.text": "i am a cat"}, "m.relates_to": {
                "rel_type": "m.replace", "event_id": about,
            }}),
        ),
        message(
            "a reaction",
            "m.reaction",
            json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": about, "key": "\u{1f41f}"}}),
        ),
        message(
            "a poll",
            "m.poll.start",
            json!({"m.text": "What should we order? 1. Pizza 2. Poutine", "m.poll.start": poll}),
        ),
        message(
            "a vote",
            "m.poll.response",
            json!({"m.poll.response": {"answers": ["poutine"]}, "m.relates_to": reference}),
        ),
        message(
            "the end of a poll",
            "m.poll.end",
            json!({"m.text": "Poutine", "m.poll.end": {}, "m.relates_to": reference}),
        ),
        message(
            "a place that changes",
            "org.matrix.msc3672.beacon",
            json!({"m.relates_to": reference, "m.location": {"uri": "geo:51.5008,0.1247"}, "m.ts": 1_636_829_458_432_i64}),
        ),
    ]
}

/// All of them. `about` is the id of an event of the room, which some are about.
pub(super) fn samples(about: &str) -> Vec<Sample> {
    [texts(), things(), related(about)].into_iter().flatten().collect()
}

/// Those that are encrypted in a room with encryption.
pub(super) fn secret_samples(about: &str) -> Vec<Sample> {
    samples(about).into_iter().filter(|sample| sample.state_key.is_none()).collect()
}
