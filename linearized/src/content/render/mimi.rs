//! What a client shows of MIMI content (draft-ietf-mimi-content-08 §4.4, §7).
//!
//! Of parts to choose from the first is taken that the client knows, or else the first; of a unit with a part that it
//! does not know nothing is shown; of parts that are each by themselves all are, one below the other. What is no text is
//! named: its media type, and its size. HTML inside a message cannot show the pictures that are beside it, since those
//! are named by `cid:` URIs; they are named as parts of their own.

use super::{Capabilities, Rendering, Shown, bidi, html, is_type, markdown, native, rich};
use crate::content::mimi::{Disposition, ExternalPart, MimiContent, NestedPart, Part, PartSemantics};

/// What a client with `capabilities` shows of a message in MIMI content. Kinds of events do not count, only media types.
#[must_use]
pub fn render_mimi(message: &MimiContent, capabilities: &Capabilities) -> Rendering {
    if message.is_deletion() {
        let reaction = message.body.disposition == Disposition::Reaction;
        return Rendering::plain(
            Shown::Text,
            if reaction { "Took back a reaction" } else { "Deleted a message" },
        );
    }
    part(&message.body, capabilities).rendering
}

/// A part, and whether the client knows what it is.
struct Seen {
    rendering: Rendering,
    known: bool,
}

fn part(nested: &NestedPart, capabilities: &Capabilities) -> Seen {
    match &nested.part {
        Part::Null => Seen { rendering: Rendering::nothing(), known: true },
        Part::Single { content_type, content } => {
            let text = std::str::from_utf8(content).ok().and_then(|text| {
                let mut rendering = text_of(content_type, text, capabilities)?;
                rendering.mimetype = Some(content_type.clone());
                Some(rendering)
            });
            match text {
                Some(rendering) => Seen { rendering, known: true },
                None => {
                    let named = format!("[{}, {} bytes]", bidi::name(content_type), content.len());
                    Seen { rendering: Rendering::plain(Shown::Text, &named), known: false }
                }
            }
        }
        Part::External(external) => {
            Seen { rendering: Rendering::plain(Shown::Text, &elsewhere(external)), known: true }
        }
        Part::Multi { semantics, parts } => several(*semantics, parts, capabilities),
    }
}

fn several(semantics: PartSemantics, parts: &[NestedPart], capabilities: &Capabilities) -> Seen {
    let mut seen: Vec<Seen> = parts.iter().map(|nested| part(nested, capabilities)).collect();
    let known = seen.iter().all(|seen| seen.known);
    match semantics {
        PartSemantics::ChooseOne => {
            let first = seen.iter().position(|seen| seen.known).unwrap_or_default();
            match first < seen.len() {
                true => seen.swap_remove(first),
                false => Seen { rendering: Rendering::nothing(), known: false },
            }
        }
        PartSemantics::SingleUnit if !known => Seen { rendering: Rendering::nothing(), known: false },
        PartSemantics::SingleUnit | PartSemantics::ProcessAll => {
            let shown: Vec<Rendering> = seen
                .into_iter()
                .map(|seen| seen.rendering)
                .filter(|one| one.shown != Shown::Nothing)
                .collect();
            let joined = |of: fn(&Rendering) -> &str, between: &str| {
                shown.iter().map(of).collect::<Vec<_>>().join(between)
            };
            let rendering = match shown.is_empty() {
                true => Rendering::nothing(),
                false => Rendering {
                    shown: Shown::Text,
                    text: joined(|one| &one.text, "\n"),
                    html: joined(|one| &one.html, "<br>"),
                    mimetype: None,
                },
            };
            Seen { rendering, known }
        }
    }
}

/// A text in a media type that the client knows.
fn text_of(content_type: &str, text: &str, capabilities: &Capabilities) -> Option<Rendering> {
    if !capabilities.reads(content_type) {
        // Everybody can show Markdown, if only as it is (§7.1.1).
        let everybodys = is_type(content_type, super::MARKDOWN);
        return everybodys.then(|| Rendering::plain(Shown::Text, text));
    }
    let is = |wanted| is_type(content_type, wanted);
    let rendering = if is("text/html") {
        rich(text, None, Shown::Text)?
    } else if is(super::MARKDOWN)
        && let Some(source) = markdown::to_text(text)
    {
        let html = match capabilities.reads("text/html") {
            true => markdown::to_html(text)?,
            false => html::escape(&source),
        };
        Rendering { shown: Shown::Text, text: source, html, mimetype: None }
    } else {
        Rendering::plain(Shown::Text, text)
    };
    Some(rendering)
}

/// `Video: fish.mp4 (video/mp4, 5 bytes)`, or where it is, and its description in a line of its own.
fn elsewhere(part: &ExternalPart) -> String {
    let what = match part.content_type.split_once('/').map(|(major, _)| major) {
        Some("image") => "Image",
        Some("video") => "Video",
        Some("audio") => "Audio",
        Some(_) => "File",
        None => "Link",
    };
    let name = if part.filename.is_empty() { &part.url } else { &part.filename };
    let mimetype = (!part.content_type.is_empty()).then(|| bidi::name(&part.content_type));
    let size = (part.size != 0).then(|| format!("{} bytes", part.size));
    let mut text = native::labelled(what, name, [mimetype, size]);
    if !part.description.is_empty() {
        text.push('\n');
        text.push_str(&part.description);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::mimi::{HTML, MARKDOWN, MessageId, PLAIN};

    fn shown(body: NestedPart, capabilities: &Capabilities) -> (String, String) {
        let Rendering { text, html, .. } = render_mimi(&MimiContent::new([1; 16], body), capabilities);
        (text, html)
    }

    fn both(text: &str, html: &str) -> (String, String) {
        (text.to_owned(), html.to_owned())
    }

    fn single(content_type: &str, content: impl Into<Vec<u8>>) -> NestedPart {
        NestedPart::single(Disposition::Render, content_type, content)
    }

    fn multi(semantics: PartSemantics, parts: Vec<NestedPart>) -> NestedPart {
        NestedPart::new(Disposition::Render, Part::Multi { semantics, parts })
    }

    #[test]
    fn texts_are_shown_in_their_media_types() {
        let (all, base) = (Capabilities::all(), Capabilities::base());
        assert_eq!(shown(single(PLAIN, "a <b>\u{202e}"), &all), both("a <b>", "a &lt;b&gt;"));
        let html = "<b>a</b><script>x</script>";
        assert_eq!(shown(single(HTML, html), &all), both("a", "<b>a</b>"));
        assert_eq!(shown(single(MARKDOWN, "*a* <b>"), &all), both("a <b>", "<p><em>a</em> &lt;b&gt;</p>\n"));
        assert_eq!(shown(single(MARKDOWN, "*a* <b>"), &base), both("*a* <b>", "*a* &lt;b&gt;"));
        assert_eq!(
            shown(single(MARKDOWN, "*a* <b>"), &all.clone().without_html()),
            both("a <b>", "a &lt;b&gt;")
        );
        let unread = "[text/html;charset=utf-8, 26 bytes]";
        assert_eq!(shown(single(HTML, html), &all.without_html()), both(unread, unread));
        // No text at all, or none in UTF-8.
        let gif = both("[image/gif, 5 bytes]", "[image/gif, 5 bytes]");
        assert_eq!(shown(single("image/gif", "GIF89"), &base), gif);
        assert_eq!(shown(single(PLAIN, [0xff]), &base).0, "[text/plain;charset=utf-8, 1 bytes]");
    }

    #[test]
    fn parts_are_shown_as_they_belong_together() {
        let caps = Capabilities::base();
        let vendor = || single("application/vnd.x", "x");
        let (one, two) = (NestedPart::text("one"), single(HTML, "<i>two</i>"));
        let choose = |parts| shown(multi(PartSemantics::ChooseOne, parts), &caps).0;
        assert_eq!(choose(vec![vendor(), one.clone(), two.clone()]), "one");
        assert_eq!(choose(vec![vendor(), single("image/gif", "")]), "[application/vnd.x, 1 bytes]");
        let unit = |parts| multi(PartSemantics::SingleUnit, parts);
        assert_eq!(shown(unit(vec![one.clone(), two.clone()]), &caps), both("one\ntwo", "one<br><i>two</i>"));
        assert_eq!(shown(unit(vec![one.clone(), vendor()]), &caps), both("", ""));
        // A unit that is not known is none to choose.
        assert_eq!(choose(vec![unit(vec![one.clone(), vendor()]), two.clone()]), "two");
        let all = multi(PartSemantics::ProcessAll, vec![one, vendor(), unit(vec![vendor(), vendor()]), two]);
        assert_eq!(shown(all, &caps).0, "one\n[application/vnd.x, 1 bytes]\ntwo");
    }

    #[test]
    fn what_is_elsewhere_is_named() {
        let caps = Capabilities::base();
        let mut part = ExternalPart {
            content_type: "video/mp4".to_owned(),
            url: "https://example.org/f".to_owned(),
            size: 5,
            filename: "fish\u{202e}.mp4".to_owned(),
            description: "a fish".to_owned(),
            ..ExternalPart::default()
        };
        let of = |part: &ExternalPart| {
            shown(NestedPart::new(Disposition::Inline, Part::External(Box::new(part.clone()))), &caps).0
        };
        assert_eq!(of(&part), "Video: fish.mp4 (video/mp4, 5 bytes)\na fish");
        (part.content_type, part.filename, part.size) = (String::new(), String::new(), 0);
        assert_eq!(of(&part), "Link: https://example.org/f\na fish");
    }

    #[test]
    fn what_takes_back_says_so() {
        for (disposition, says) in
            [(Disposition::Render, "Deleted a message"), (Disposition::Reaction, "Took back a reaction")]
        {
            let mut message = MimiContent::new([1; 16], NestedPart::new(disposition, Part::Null));
            assert_eq!(render_mimi(&message, &Capabilities::base()).shown, Shown::Nothing);
            message.replaces = MessageId::from_bytes([1; 32]).ok();
            assert_eq!(render_mimi(&message, &Capabilities::base()).text, says);
        }
    }

    /// What the draft's own client would show of its examples.
    #[test]
    fn the_drafts_examples_are_shown() {
        let examples = include_str!("../../../../drafts/mimi-content-08.txt");
        let mut texts = std::collections::BTreeMap::new();
        for line in examples.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            let hex = words[3].as_bytes().chunks(2);
            let bytes: Vec<u8> =
                hex.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
            let message = MimiContent::parse(&bytes).unwrap();
            texts.insert(words[0], render_mimi(&message, &Capabilities::all()).text);
        }
        for (name, text) in [
            ("original", "Hi everyone, we just shipped release 2.0. Good work!"),
            ("reply", "Right on! Congratulations 'all!"),
            ("reaction", "\u{2764}"),
            ("mention", "Kudos to @Alice Smith for making the release happen!"),
            ("mention-html", "Kudos to @Alice Smith for making the release happen!"),
            ("edit", "Right on! Congratulations y'all!"),
            ("delete", "Deleted a message"),
            ("unlike", "Took back a reaction"),
            ("expiring", "VPN GOING DOWN I'm rebooting the VPN in ten minutes unless anyone objects."),
            ("attachment", "Video: bigfile.mp4 (video/mp4, 708234961 bytes)\n2 hours of key signing video"),
            ("conferencing", "Link: https://example.com/join/12345\nJoin the Foo 118 conference"),
            ("multipart-1", "Welcome!"),
            ("multipart-2", "\u{2764}\n\u{1f973}\n\u{1f91e}"),
        ] {
            assert_eq!(texts[name], text, "{name}");
        }
        assert!(texts["multipart-3"].contains("image/gif") || texts["multipart-3"].is_empty());
    }
}
