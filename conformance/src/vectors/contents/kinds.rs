//! The kinds of messages, and what is shown of them where nothing but texts is known.

use serde_json::{Value, json};

use super::accepted;
use crate::vectors::{Group, Vector};

fn input(kind: &str, content: &Value) -> Value {
    json!({"type": kind, "content": content.to_string()})
}

/// A content that is of its type: the type's name in the specification, and its text.
fn good(id: &str, kind: &str, content: &Value, name: &str, text: &str, comment: &str) -> Vector {
    let expected = accepted(json!({"kind": name, "text": text}));
    Vector::valid(&format!("MF-01/{id}"), comment, input(kind, content), expected)
}

fn bad(id: &str, kind: &str, content: &Value, comment: &str) -> Vector {
    Vector::refused(&format!("MF-01/{id}"), comment, input(kind, content))
}

fn texts() -> Vec<Vector> {
    let message = |id: &str, content: Value, text: &str, comment: &str| {
        good(id, "m.message", &content, "m.message", text, comment)
    };
    let wrong = |id: &str, content: Value, comment: &str| bad(id, "m.message", &content, comment);
    let both = json!({"m.text": "a fish", "m.html": "a <b>fish</b>"});
    let array = json!({"m.message": [{"mimetype": "text/plain", "body": "a fish"}]});
    let several = json!({"m.message": [
        {"mimetype": "multipart/mixed", "body": "no"}, {"mimetype": "application/x-fish", "body": "no"},
        {"mimetype": "text/plain", "body": "a fish"},
    ]});
    vec![
        message("2/17", json!({"m.text": "a fish"}), "a fish", "a text"),
        message("2/18", both, "a fish", "a text, and the same as HTML"),
        message("2/19", array, "a fish", "a rendering"),
        message(
            "2/50",
            json!({"m.message": [{"body": "a fish"}]}),
            "a fish",
            "a rendering without a media type",
        ),
        message("2/52", several, "a fish", "renderings of which two are not known"),
        message(
            "2/60",
            json!({"m.message": [{"body": "a fish"}], "m.text": "no"}),
            "a fish",
            "a rendering beside a text",
        ),
        message(
            "2/3",
            json!({"m.text": "a fish", "org.example.mood": "wet"}),
            "a fish",
            "a member that nobody knows",
        ),
        good(
            "2/74",
            "org.matrix.msc1767.message",
            &json!({"org.matrix.msc1767.text": "a fish"}),
            "m.message",
            "a fish",
            "the names of the proposal",
        ),
        wrong("2/58", json!({"m.text": 5}), "a text that is a number"),
        wrong("2/59", json!({"m.text": "a", "m.html": null}), "HTML that is null"),
        wrong("2/48", json!({"m.message": {"body": "a"}}), "renderings that are an object"),
        wrong("2/49", json!({"m.message": [{"mimetype": "text/plain"}]}), "a rendering without a body"),
        wrong("2/49", json!({"m.message": ["a"]}), "a rendering that is a text"),
        wrong("2/61", json!({}), "no text"),
    ]
}

fn older() -> Vec<Vector> {
    let message = |id: &str, content: Value, text: &str, comment: &str| {
        good(id, "m.room.message", &content, "m.room.message", text, comment)
    };
    let wrong = |id: &str, content: Value, comment: &str| bad(id, "m.room.message", &content, comment);
    vec![
        message(
            "2/121",
            json!({"msgtype": "m.text", "body": "a fish"}),
            "a fish",
            "a text of the older form",
        ),
        message(
            "2/119",
            json!({"msgtype": "org.example.any", "body": "a fish"}),
            "a fish",
            "an unknown msgtype",
        ),
        message(
            "2/68",
            json!({"msgtype": "m.text", "body": "no", "m.text": "a fish"}),
            "a fish",
            "both forms, of which the newer counts",
        ),
        wrong("2/117", json!({"body": "a fish"}), "no msgtype"),
        wrong("2/118", json!({"msgtype": "m.text"}), "no body"),
        wrong("2/118", json!({"msgtype": "m.text", "body": 5}), "a body that is a number"),
        wrong(
            "2/127",
            json!({"msgtype": "m.text", "body": "a", "format": "org.matrix.custom.html"}),
            "a format without a formatted body",
        ),
        wrong("2/146", json!({"msgtype": "m.image", "body": "a"}), "an image without a URL"),
        wrong(
            "2/173",
            json!({"msgtype": "m.location", "body": "a", "geo_uri": "here"}),
            "a place without a URI of RFC 5870",
        ),
    ]
}

fn others() -> Vec<Vector> {
    let file = |block: Value| json!({"m.text": "foo.pdf (12 KB)", "m.file": block});
    let poll = |start: Value| json!({"m.text": "What? A", "m.poll.start": start});
    let answers = json!([{"id": "a", "m.text": "A"}]);
    let question = json!({"m.text": "What?"});
    let start = json!({"question": question, "kind": "m.poll.disclosed", "answers": answers});
    let plain = json!({"url": "mxc://example.org/a", "name": "foo.pdf"});
    let broken = json!({"url": "mxc://example.org/a", "name": "foo.pdf", "key": {}, "v": "v2"});
    let reaction =
        json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": "$a", "key": "\u{1f41f}"}});
    vec![
        good("2/27", "m.file", &file(plain), "m.file", "foo.pdf (12 KB)", "a file"),
        bad("2/75", "m.file", &json!({"m.text": "foo.pdf"}), "a file without a file"),
        bad(
            "2/22",
            "m.file",
            &file(json!({"url": "https://example.org/a", "name": "a"})),
            "a file that is elsewhere",
        ),
        bad("2/79", "m.file", &file(broken), "a file that is encrypted by half"),
        good("2/33", "m.poll.start", &poll(start), "m.poll.start", "What? A", "a poll"),
        bad(
            "2/84",
            "m.poll.start",
            &poll(json!({"kind": "m.poll.disclosed", "answers": answers})),
            "a poll without a question",
        ),
        bad(
            "2/86",
            "m.poll.start",
            &poll(json!({"kind": "m.poll.disclosed", "question": question})),
            "a poll without answers",
        ),
        bad("2/97", "m.poll.response", &json!({"m.poll.response": {"answers": ["a"]}}), "a vote in no poll"),
        good("1/4", "m.reaction", &reaction, "m.reaction", "", "a reaction"),
        bad("1/4", "m.reaction", &json!({}), "a reaction to nothing"),
        bad("2/176", "m.sticker", &json!({"body": "a", "info": {}}), "a sticker without a URL"),
        bad(
            "2/221",
            "m.call.invite",
            &json!({"call_id": "c", "version": 0, "lifetime": 1}),
            "an invite without an offer",
        ),
        bad(
            "2/210",
            "m.room.encrypted",
            &json!({"ciphertext": "AAAA"}),
            "an encrypted event without an algorithm",
        ),
    ]
}

pub(super) fn group() -> Group {
    let tests = [texts(), older(), others()].into_iter().flatten().collect();
    let about = "`content` is the text of the content of an event of type `type`. It is `accepted` if it has the form of its \
                 type. `kind` is that type by its name in the specification, and `text` what a client shows that knows \
                 texts and nothing else; it is empty if that is nothing.";
    Group::new("content", about, tests)
}
