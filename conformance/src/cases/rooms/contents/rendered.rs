//! What clients show of contents, where the target comes with something that does and offers it to the suite.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, said};
use crate::cases::steps::text;
use crate::context::Context;

pub(in super::super) const CASES: &[Case] = &[
    driven_case!(
        May,
        Server,
        "3.5/content-fallback",
        "a client that does not know a kind shows its text, and of an event without any nothing",
        ["MF-01/2/27", "MF-01/2/28", "MF-01/2/33", "MF-01/2/44", "MF-01/2/46", "MF-01/2/61", "MF-01/2/119"],
        fallback
    ),
    driven_case!(
        May,
        Server,
        "3.5/content-renderings",
        "of several renderings a client takes one that it knows",
        ["MF-01/2/50", "MF-01/2/52", "MF-01/2/58", "MF-01/2/59", "MF-01/2/60", "MF-01/2/68", "MF-01/2/128"],
        renderings
    ),
    driven_case!(
        May,
        Server,
        "3.5/content-safe-html",
        "HTML is shown without what could do harm",
        ["MF-01/2/130", "MF-01/2/133", "MF-01/2/134", "MF-01/2/137"],
        safe_html
    ),
    driven_case!(
        May,
        Server,
        "3.5/content-malformed",
        "content that is not what its type says is answered for, and does no harm",
        ["MF-01/2/112", "MF-01/2/113"],
        malformed
    ),
];

/// Where the control API has what these cases are about.
const OFFER: &str = "/unstable/org.mimi-interop.content/render";

/// What a client shows that knows all kinds but `without`.
async fn shown(
    ctx: &Context,
    kind: &str,
    content: &Value,
    without: &[&str],
) -> Result<(String, String), Finding> {
    let body = json!({"type": kind, "content": content, "without": without});
    let reply = ctx.control()?.call(&ctx.recorder, Method::POST, OFFER, Some(&body)).await?;
    if reply.status == StatusCode::NOT_FOUND && reply.errcode() != "M_NOT_FOUND" {
        return Err(Finding::Untried(format!("the target's control API has nothing under {OFFER}")));
    }
    let reply = reply.expect_ok(OFFER)?;
    for field in ["text", "html"] {
        check!(reply.get(field).is_some_and(Value::is_string), "`{field}` of {kind} is no text: {reply}");
    }
    Ok((text(reply, "text").to_owned(), text(reply, "html").to_owned()))
}

async fn fallback(ctx: &Context) -> Result<(), Finding> {
    let poll = json!({
        "question": {"m.text": "What should we order?"}, "kind": "m.poll.disclosed", "max_selections": 1,
        "answers": [{"id": "a", "m.text": "Pizza"}, {"id": "b", "m.text": "Poutine"}],
    });
    let poll = json!({"m.text": "What should we order? Pizza, Poutine", "m.poll.start": poll});
    let file =
        json!({"m.text": "foo.pdf (12 KB)", "m.file": {"url": "mxc://example.org/a", "name": "foo.pdf"}});
    let unknown = json!({"msgtype": "org.example.any", "body": "a fish swims"});
    for (kind, content, without, says) in [
        ("m.poll.start", &poll, "m.poll.start", "What should we order?"),
        ("m.file", &file, "m.file", "foo.pdf (12 KB)"),
        (
            "org.example.any",
            &json!({"org.example.any": {}, "m.text": "a fish swims"}),
            "m.poll.start",
            "a fish swims",
        ),
        ("m.room.message", &unknown, "m.poll.start", "a fish swims"),
    ] {
        let (text, _) = shown(ctx, kind, content, &[without]).await?;
        check!(
            text.contains(says),
            "{kind} is shown as {text} to whoever does not know it, without {says}",
            text = said(&text),
            says = said(&says)
        );
    }
    for (kind, content) in
        [("m.message", json!({})), ("org.example.any", json!({"org.example.any": {"a": 1}}))]
    {
        let (text, html) = shown(ctx, kind, &content, &[]).await?;
        check!(
            text.is_empty() && html.is_empty(),
            "{kind} has nothing to show, and is shown as {text}",
            text = said(&text)
        );
    }
    Ok(())
}

async fn renderings(ctx: &Context) -> Result<(), Finding> {
    let legacy = |more: Value| {
        let mut content = json!({"msgtype": "m.text", "body": "older", "format": "org.matrix.custom.html",
            "formatted_body": "<b>formatted</b>"});
        if let (Some(content), Value::Object(more)) = (content.as_object_mut(), more) {
            content.extend(more);
        }
        content
    };
    for (kind, content, text_says, html_says, not) in [
        ("m.message", json!({"m.text": "plain"}), "plain", "plain", "\u{0}"),
        ("m.message", json!({"m.text": "plain", "m.html": "<b>rich</b>"}), "", "<b>rich</b>", "\u{0}"),
        (
            "m.message",
            json!({"m.message": [{"body": "first"}], "m.text": "second"}),
            "first",
            "first",
            "second",
        ),
        (
            "m.message",
            json!({"m.message": [
                {"mimetype": "multipart/mixed", "body": "no"}, {"mimetype": "application/x-fish", "body": "no"},
                {"mimetype": "text/plain", "body": "taken"},
            ]}),
            "taken",
            "taken",
            "no",
        ),
        ("m.room.message", legacy(json!({})), "", "formatted", "\u{0}"),
        ("m.room.message", legacy(json!({"m.text": "newer"})), "newer", "newer", "older"),
    ] {
        let (text, html) = shown(ctx, kind, &content, &[]).await?;
        check!(
            text.contains(text_says),
            "{content} is shown as {text} instead of {text_says}",
            text = said(&text),
            text_says = said(&text_says)
        );
        check!(
            html.contains(html_says),
            "{content} is shown as the HTML {html} instead of {html_says}",
            html = said(&html),
            html_says = said(&html_says)
        );
        check!(
            !text.contains(not) && !html.contains(not),
            "{content} is shown with {not}: {text}, {html}",
            not = said(&not),
            text = said(&text),
            html = said(&html)
        );
    }
    Ok(())
}

async fn safe_html(ctx: &Context) -> Result<(), Finding> {
    for (html, kept, gone) in [
        ("<b>a</b><script>alert(1)</script>", "<b>a</b>", "script"),
        ("<p onclick=\"x()\">a</p>", "<p>a</p>", "onclick"),
        ("<a href=\"javascript:x()\">a</a>", "a", "javascript"),
        ("<a href=\"https://example.org/\">a</a>", "https://example.org/", "\u{0}"),
        ("<img src=\"https://example.org/track\" alt=\"fish\">", "fish", "track"),
        ("<iframe src=\"https://example.org/\"></iframe>b", "b", "iframe"),
        ("<p style=\"position:fixed\">a</p>", "<p>a</p>", "fixed"),
    ] {
        let (_, shown) = shown(ctx, "m.message", &json!({"m.text": "fish a b", "m.html": html}), &[]).await?;
        check!(
            shown.contains(kept),
            "of {html} only {shown} is shown, without {kept}",
            html = said(&html),
            shown = said(&shown),
            kept = said(&kept)
        );
        check!(
            !shown.contains(gone),
            "{html} is shown with {gone}: {shown}",
            html = said(&html),
            gone = said(&gone),
            shown = said(&shown)
        );
    }
    Ok(())
}

async fn malformed(ctx: &Context) -> Result<(), Finding> {
    for (kind, content) in [
        ("m.message", json!({"m.text": 5})),
        ("m.message", json!({"m.message": {"body": "x"}})),
        ("m.message", json!({"m.message": [5, null, {"body": []}]})),
        ("m.file", json!({"m.text": "f", "m.file": []})),
        ("m.poll.start", json!({"m.poll.start": {"question": 1, "answers": "none"}})),
        ("m.room.message", json!({"msgtype": ["m.text"], "body": {}})),
        ("m.reaction", json!({"m.relates_to": {"rel_type": 1}})),
        ("m.call.invite", json!({"offer": "x"})),
        ("m.room.message", json!({"msgtype": "m.location", "body": "x", "geo_uri": "not one"})),
    ] {
        shown(ctx, kind, &content, &[]).await?;
    }
    let (text, _) = shown(ctx, "m.message", &json!({"m.text": "still there"}), &[]).await?;
    check!(
        text.contains("still there"),
        "after malformed content a text is shown as {text}",
        text = said(&text)
    );
    Ok(())
}
