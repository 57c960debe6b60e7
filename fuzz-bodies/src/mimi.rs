//! MIMI content: its CBOR, its files, what becomes of it in events, and its Markdown.

use mimi_linearized::content::bridge::{Ids, from_mimi, to_mimi};
use mimi_linearized::content::mimi::{MessageId, MimiContent, Part, StatusReport};
use mimi_linearized::content::{Capabilities, Content, markdown, render, render_mimi};
use mimi_linearized::id::EventId;

/// The draft's examples.
const EXAMPLES: &str = include_str!("../../drafts/mimi-content-08.txt");

/// Every message is an event, and no event is a message.
struct Everything;

impl Ids for Everything {
    fn message_of(&self, event: &EventId) -> Option<MessageId> {
        let mut bytes = [1; 32];
        bytes.iter_mut().skip(1).zip(event.as_str().bytes()).for_each(|(to, from)| *to = from);
        MessageId::from_bytes(bytes).ok()
    }

    fn event_of(&self, message: &MessageId) -> Option<EventId> {
        EventId::parse(&format!("${message}")).ok()
    }
}

/// Bytes as a message, and as a status report.
///
/// What is read is written as it was: there is one encoding. The events that are made of a message are what their types
/// say, can be shown, and can be made a message again; what an external part says never opens bytes that it does not
/// vouch for in another length than it says.
pub fn mimi_content(bytes: &[u8]) {
    if let Ok(report) = StatusReport::parse(bytes) {
        assert_eq!(report.to_bytes(), bytes);
    }
    let Ok(message) = MimiContent::parse(bytes) else { return };
    // Compared as bytes: a NaN is no other NaN's equal.
    assert_eq!(message.to_bytes().ok().as_deref(), Some(bytes));
    assert!(message.message_id("mimi://a/u/b", "mimi://a/r/c").is_ok());
    for (index, part) in message.body.walk() {
        assert!(message.body.find(index).is_none_or(|found| found == part));
        if let Part::External(part) = &part.part {
            let mut fetched = bytes.to_vec();
            match part.open(&mut fetched) {
                Ok(()) => assert!(part.enc_alg == 0 || fetched.len() + 16 == bytes.len()),
                Err(_) => assert_eq!(fetched, bytes),
            }
            assert!(part.most_bytes(100) <= 100);
        }
    }
    for able in [Capabilities::all(), Capabilities::base(), Capabilities::of([]).without_html()] {
        let shown = render_mimi(&message, &able);
        let mut characters = shown.text.chars().chain(shown.html.chars());
        assert!(!characters.any(|c| matches!(c, '\u{202a}'..='\u{202e}')), "{shown:?}");
        assert!(!shown.html.contains("<script"), "{shown:?}");
    }
    let Ok(events) = from_mimi(&message, &Everything) else { return };
    for event in events.value {
        let content = Content::parse(&event.event_type, event.content.clone());
        assert!(content.is_ok(), "{event:?}: {content:?}");
        let Ok(content) = content else { continue };
        let _ = render(&event.event_type, &event.content, &Capabilities::all());
        if let Ok(back) = to_mimi(&content, message.salt, &Everything) {
            assert!(back.value.to_bytes().is_ok(), "{event:?}");
        }
    }
}

/// A text as Markdown: what is shown has no element that could run something, and what is written has no HTML in it.
pub fn markdown(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let (html, text) = (markdown::to_html(source), markdown::to_text(source));
    assert_eq!(html.is_some(), text.is_some());
    for shown in [html, text].into_iter().flatten() {
        assert!(!shown.chars().any(|c| matches!(c, '\u{202a}'..='\u{202e}')), "{shown:?}");
    }
    if let Some(html) = markdown::to_html(source) {
        assert!(!html.contains("<script") && !html.contains("javascript:\""), "{html}");
    }
    let written = markdown::without_html(source);
    assert_eq!(markdown::without_html(&written), written);
}

pub(crate) fn message_seeds() -> Vec<Vec<u8>> {
    let examples = EXAMPLES.lines().filter(|line| !line.starts_with('#'));
    let mut seeds: Vec<Vec<u8>> = examples.filter_map(|line| line.rsplit(' ').next()).map(unhex).collect();
    // Every kind of value in an extension, and a status report.
    seeds.push(unhex(&format!("8750{}f640f6f6a12087f506182af7f97e0020410183016000", "00".repeat(16))));
    seeds.push(unhex(&format!(
        "8750{}f640f6f6a220c2490100000000000000002181a101616183016000",
        "00".repeat(16)
    )));
    seeds.push(unhex(&format!("82825820{}02825820{}03", "01".repeat(32), "01".repeat(32))));
    seeds
}

pub(crate) fn markdown_seeds() -> Vec<Vec<u8>> {
    [
        "# a\n\n*b* __c__ ~~d~~ `e` <b>f</b> [g](https://h) ![i](mxc://j/k)",
        "- [x] a\n- [ ] b\n  1. c\n\n> d\n\n```\n<e>\n```\n",
        "|a|b|\n|:-|-:|\n|1|<i>|\n\n<div>\n\n<!-- c -->\n\n<a href=javascript:x>",
        "[a]: javascript:x\n\n[a] <javascript:x> &lt;script>",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .into()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let byte =
        |pair: &[u32]| pair.iter().fold(0_u8, |byte, digit| (byte << 4) | u8::try_from(*digit).unwrap_or(0));
    digits.chunks(2).map(byte).collect()
}
