//! What is shown of the samples, and of what is meant to do harm.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object(value: Value) -> Object {
    let Value::Object(object) = value else { panic!("{value}") };
    object
}

fn samples() -> Vec<Value> {
    serde_json::from_str(include_str!("../../../tests/data/content/samples.json")).unwrap()
}

fn shown(event_type: &str, content: Value, capabilities: &Capabilities) -> (Shown, String, String) {
    let Rendering { shown, text, html, .. } = render(event_type, &object(content), capabilities);
    (shown, text, html)
}

fn as_json(rendering: &Rendering) -> Value {
    let Rendering { shown, text, html, mimetype } = rendering;
    json!({"shown": format!("{shown:?}"), "text": text, "html": html, "mimetype": mimetype})
}

/// Every sample, malformed ones too, as a client shows it that knows everything, and one that knows what all do.
#[test]
fn the_samples_are_shown_as_written_down() {
    let mut all = BTreeMap::new();
    for sample in samples() {
        let (event_type, content) = (sample["type"].as_str().unwrap(), object(sample["content"].clone()));
        let of = |capabilities| as_json(&render(event_type, &content, &capabilities));
        let both = json!({"all": of(Capabilities::all()), "base": of(Capabilities::base())});
        all.insert(sample["name"].as_str().unwrap().to_owned(), both);
    }
    let written: BTreeMap<String, Value> =
        serde_json::from_str(include_str!("../../../tests/data/content/renderings.json")).unwrap();
    let now = serde_json::to_string_pretty(&all).unwrap();
    for (name, both) in &all {
        assert_eq!(Some(both), written.get(name), "{name}; all of them:\n{now}");
    }
    assert_eq!(all.len(), written.len(), "all of them:\n{now}");
}

#[test]
fn a_client_without_polls_shows_the_question() {
    let poll = json!({"question": {"m.text": "Q"}, "answers": [{"id": "a", "m.text": "A"}]});
    let content = json!({"m.text": "Q: A?", "m.poll.start": poll});
    let (with, without) = (Capabilities::all(), Capabilities::all().without(Kind::PollStart));
    let native =
        (Shown::Native(Kind::PollStart), "Q\n1. A".to_owned(), "<p>Q</p><ol><li>A</li></ol>".to_owned());
    assert_eq!(shown("m.poll.start", content.clone(), &with), native);
    assert_eq!(
        shown("m.poll.start", content, &without),
        (Shown::Text, "Q: A?".to_owned(), "Q: A?".to_owned())
    );
}

#[test]
fn the_best_representation_is_taken() {
    let file = json!({"url": "mxc://a/b", "name": "a"});
    let mut content = json!({"m.text": "text", "m.location": {"uri": "geo:1,2"}});
    let caps = Capabilities::all();
    let kind = |content: &Value, caps: &Capabilities| shown("org.example.x", content.clone(), caps).0;
    assert_eq!(kind(&content, &caps), Shown::As(Kind::Location));
    content["m.file"] = file;
    assert_eq!(kind(&content, &caps), Shown::As(Kind::File));
    content["m.image_details"] = json!({"width": 1, "height": 1});
    assert_eq!(kind(&content, &caps), Shown::As(Kind::Image));
    content["m.audio_details"] = json!({"duration": 1});
    assert_eq!(kind(&content, &caps), Shown::As(Kind::Audio));
    content["m.video_details"] = json!({"width": 1, "height": 1});
    assert_eq!(kind(&content, &caps), Shown::As(Kind::Video));
    assert_eq!(kind(&content, &caps.without(Kind::Video).without(Kind::Audio)), Shown::As(Kind::Image));
    assert_eq!(kind(&content, &Capabilities::of([Kind::Message])), Shown::Text);
}

#[test]
fn media_types_are_chosen_by_the_sender_and_what_is_known() {
    let content = json!({"m.text": [
        {"mimetype": "application/vnd.example", "body": "<vendor>"},
        {"mimetype": "text/plain", "body": "plain"},
        {"mimetype": "text/html", "body": "<b>rich</b>"},
    ]});
    let render = |caps: &Capabilities| {
        let Rendering { text, html, mimetype, .. } = render("m.message", &object(content.clone()), caps);
        (text, html, mimetype.unwrap())
    };
    let strings = |one: [&str; 3]| one.map(str::to_owned).into();
    assert_eq!(render(&Capabilities::all()), strings(["plain", "<b>rich</b>", "text/html"]));
    assert_eq!(render(&Capabilities::all().without_html()), strings(["plain", "plain", "text/plain"]));
    let vendor = Capabilities::all().with_mimetype("application/vnd.example");
    assert_eq!(render(&vendor), strings(["<vendor>", "&lt;vendor&gt;", "application/vnd.example"]));
    let unknown = json!({"m.text": [{"mimetype": "application/vnd.example", "body": "x"}]});
    assert_eq!(shown("m.message", unknown, &Capabilities::all()).0, Shown::Nothing);
    // HTML alone is read as text by those who do not know it.
    let html = json!({"m.text": [{"mimetype": "text/html", "body": "<b>a</b><br>b"}]});
    assert_eq!(shown("m.message", html, &Capabilities::all()).1, "a\nb");
}

#[test]
fn markdown_is_shown_to_those_who_read_it() {
    let content = json!({"m.message": [
        {"mimetype": "text/markdown;variant=GFM-MIMI", "body": "*a* <b>"}, {"mimetype": "text/plain", "body": "plain"},
    ]});
    let render = |caps: &Capabilities, content: &Value| {
        let Rendering { text, html, mimetype, .. } = render("m.message", &object(content.clone()), caps);
        (text, html, mimetype.unwrap())
    };
    let strings = |one: [&str; 3]| one.map(str::to_owned).into();
    let markdown = "text/markdown;variant=GFM-MIMI";
    assert_eq!(
        render(&Capabilities::all(), &content),
        strings(["a <b>", "<p><em>a</em> &lt;b&gt;</p>\n", markdown])
    );
    let without_html = Capabilities::all().without_html();
    assert_eq!(render(&without_html, &content), strings(["a <b>", "a &lt;b&gt;", markdown]));
    assert_eq!(render(&Capabilities::base(), &content), strings(["plain", "plain", "text/plain"]));
    // What is too large to be shown is text as it was written.
    let large = "*a* ".repeat(2_000);
    let alone = json!({"m.message": [{"mimetype": "Text/Markdown", "body": large}]});
    let (text, html, _) = render(&Capabilities::all(), &alone);
    assert_eq!((&text, &html), (&large, &large));
}

#[test]
fn replies_come_without_their_quotation() {
    let relates_to = json!({"m.in_reply_to": {"event_id": "$a"}});
    let reply = json!({"msgtype": "m.text", "body": "> <@a:b> q\n> q\n\nanswer", "m.relates_to": relates_to});
    assert_eq!(shown("m.room.message", reply, &Capabilities::all()).1, "answer");
    let quote = json!({"msgtype": "m.text", "body": "> a quotation\n\nof mine"});
    assert_eq!(shown("m.room.message", quote, &Capabilities::all()).1, "> a quotation\n\nof mine");
}

#[test]
fn what_is_malformed_is_shown_by_its_text() {
    let poll = json!({"m.text": "Food?", "m.poll.start": {"answers": 5}});
    assert_eq!(shown("m.poll.start", poll, &Capabilities::all()).0, Shown::Text);
    let deep = (0..200).fold(json!("x"), |inner, _| json!([inner]));
    assert_eq!(
        shown("m.message", json!({"m.text": "hi", "x": deep}), &Capabilities::all()).0,
        Shown::Nothing
    );
}

#[test]
fn names_of_files_cannot_reorder() {
    let file =
        json!({"url": "mxc://a/b", "name": "invoice\u{202e}fdp.exe", "mimetype": "application/\u{2067}x"});
    let (_, text, html) = shown("m.file", json!({"m.text": "x", "m.file": file}), &Capabilities::all());
    assert_eq!(
        (text.as_str(), html.as_str()),
        ("File: invoicefdp.exe (application/x)", "File: invoicefdp.exe (application/x)")
    );
}

#[test]
fn a_text_is_shown_as_what_it_says_it_is() {
    let caps = Capabilities::all();
    let emote = json!({"m.text": "waves", "m.html": "<b>waves</b>", "m.emote": {}});
    assert_eq!(
        shown("m.message", emote, &caps),
        (Shown::Native(Kind::Message), "* waves".to_owned(), "* <b>waves</b>".to_owned())
    );
    // HTML counts only where the format says that it is.
    for (format, html) in
        [(Some("org.matrix.custom.html"), "<b>rich</b>"), (Some("other"), "plain"), (None, "plain")]
    {
        let content =
            json!({"msgtype": "m.text", "body": "plain", "format": format, "formatted_body": "<b>rich</b>"});
        let mut content = object(content);
        content.retain(|_, value| !value.is_null());
        assert_eq!(shown("m.room.message", Value::Object(content), &caps).2, html, "{format:?}");
    }
    // The text beside HTML is neutral too.
    let both = json!({"m.text": "in\u{202e}voice", "m.html": "<b>invoice</b>"});
    assert_eq!(shown("m.message", both, &caps).1, "invoice");
    // Cells are apart.
    let table = json!({"m.html": "<table><tr><td>a</td><td>b</td></tr></table>"});
    assert_eq!(shown("m.message", table, &caps).1, "a b");
    // An isolate is no part of a name.
    let file = json!({"url": "mxc://a/b", "name": "in\u{2067}voice\u{2069}.pdf"});
    assert_eq!(shown("m.file", json!({"m.text": "x", "m.file": file}), &caps).1, "File: invoice.pdf");
}

/// Nobody could show what is at the URI of an encrypted file.
#[test]
fn pictures_that_are_encrypted_are_named() {
    let encrypted = json!({
        "url": "mxc://a/b", "name": "cat.png", "v": "v2", "iv": "//////////8AAAAAAAAAAA",
        "key": {"kty": "oct", "key_ops": ["encrypt", "decrypt"], "alg": "A256CTR", "ext": true,
            "k": "__________________________________________8"},
        "hashes": {"sha256": "YzF08lARDdOCzJpzuSwsjTNlQc4pHxpdHcXiD/wpK6k"},
    });
    let plain = json!({"url": "mxc://a/b", "name": "cat.png"});
    for kind in ["m.image", "m.sticker"] {
        for (file, there) in [(&plain, true), (&encrypted, false)] {
            let content = json!({
                "m.text": "a cat", "m.file": file, "m.image_details": {"width": 1, "height": 2}, "m.sticker": {},
            });
            let (how, text, html) = shown(kind, content, &Capabilities::all());
            assert_eq!(how, Shown::Native(Kind::of(kind)));
            assert!(text.contains("cat") && html.contains("<img") == there, "{kind}: {html}");
        }
    }
}

/// Bodies as large as an event, of what costs a reader most.
#[test]
fn large_bodies_are_shown() {
    let size = 65_000;
    for unit in [
        "a",
        "<b>",
        "<p>",
        "\u{202e}",
        "\u{2066}",
        "&amp;",
        "> \n",
        "<br>x",
        "<a href=javascript:x>",
        "\n",
        "\u{0}",
    ] {
        let body = unit.repeat(size / unit.len());
        let relates_to = json!({"m.in_reply_to": {"event_id": "$a"}});
        let rendering =
            render("m.message", &object(json!({"m.text": body, "m.html": body})), &Capabilities::all());
        assert!(!rendering.html.contains("javascript") || rendering.html.contains("&lt;a"), "{unit}");
        let older = json!({"msgtype": "m.text", "body": body, "format": "org.matrix.custom.html", "formatted_body": body,
            "m.relates_to": relates_to});
        let rendering = render("m.room.message", &object(older), &Capabilities::all());
        assert_eq!(rendering.shown, Shown::Native(Kind::Legacy), "{unit}");
    }
}

proptest! {
    /// No element or attribute comes through that could run or load something, whatever it is put together of.
    #[test]
    fn html_is_harmless(parts in proptest::collection::vec(proptest::sample::select(vec![
        "<a ", "<img ", "<b>", "</b>", "<svg>", "<math>", "<style>", "</style>", "<script>", "</script>", "<table>", "<td>",
        "class=\"\" ", "href=\"javascript:alert(1)\" ", "src=\"https://x/\" ", "onclick=\"x\" ", "alt='x' ", ">", "\"", "'",
        "<!--", "-->", "text", "<noscript>", "<template>", "<p>", "<form>", "<mglyph>", "<annotation-xml encoding=\"text/html\">",
        "&lt;script&gt;", "<font color=red data-x=1>", "<mx-reply>", "</mx-reply>", "<plaintext>", "<title>", "<![CDATA[",
    ]), 0..14)) {
        let html = parts.concat();
        let clean = html::sanitise(&html).unwrap();
        // What is left is read once more: a text that looks like a tag is none.
        let again = html::sanitise(&clean).unwrap();
        for clean in [&clean, &again] {
            let tags: Vec<&str> = clean.split('<').skip(1).filter_map(|tag| tag.split_once('>')).map(|(tag, _)| tag).collect();
            for tag in tags {
                let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
                prop_assert!(!["script", "style", "svg", "math", "iframe", "form", "template", "title"].contains(&name.as_str()), "{clean}");
                for bad in ["href=\"javascript", "src=\"http", "onclick=", "data-x"] {
                    prop_assert!(!tag.contains(bad), "{html}\n{clean}");
                }
            }
        }
    }

    /// Equal events are shown equally, in any text, and nothing in it reorders what is around.
    #[test]
    fn any_text_is_shown(text in "\\PC{0,60}|[\u{2066}-\u{2069}\u{202a}-\u{202e}a\n]{0,20}", html in any::<bool>()) {
        let member = if html { "m.html" } else { "m.text" };
        let content = object(json!({ member: text }));
        let rendering = render("m.message", &content, &Capabilities::all());
        let mut all = rendering.text.chars().chain(rendering.html.chars());
        let reorders = all.any(|c| matches!(c, '\u{202a}'..='\u{202e}'));
        prop_assert!(!reorders);
        prop_assert_eq!(rendering, render("m.message", &content, &Capabilities::all()));
    }
}
