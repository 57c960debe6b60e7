//! Contents of messages.

use mimi_linearized::content::timeline::Entry;
use mimi_linearized::content::{Capabilities, Content, KINDS, Shown, Timeline, convert, render};
use mimi_linearized::id::{EventId, UserId};
use mimi_linearized::json::{Object, Value, strict};

/// A list of contents, as an array of pairs of a type and a content, or one content, which is tried as every kind.
///
/// What is read is kept, what is shown has no element that could run something and no character that reorders text, and
/// a timeline comes to the same whichever way its events came.
pub fn message_content(bytes: &[u8]) {
    match strict::parse(bytes) {
        Ok(Value::Array(list)) => {
            let list: Vec<(String, Object)> = list.iter().filter_map(event).collect();
            list.iter().for_each(|(event_type, content)| one(event_type, content));
            timeline(&list);
        }
        Ok(Value::Object(content)) => KINDS.iter().for_each(|facts| one(facts.event_type, &content)),
        _ => {}
    }
}

fn event(pair: &Value) -> Option<(String, Object)> {
    let pair = pair.as_array()?;
    Some((pair.first()?.as_str()?.to_owned(), pair.get(1)?.as_object()?.clone()))
}

fn one(event_type: &str, content: &Object) {
    if let Ok(read) = Content::parse(event_type, content.clone()) {
        assert_eq!(read.original(), content);
    }
    for capabilities in [Capabilities::all(), Capabilities::base(), Capabilities::base().without_html()] {
        let rendering = render(event_type, content, &capabilities);
        assert_eq!(rendering, render(event_type, content, &capabilities));
        assert_eq!(
            rendering.shown == Shown::Nothing,
            rendering == render("m.receipt", &Object::new(), &capabilities)
        );
        let mut shown = rendering.text.chars().chain(rendering.html.chars());
        assert!(!shown.any(|c| matches!(c, '\u{202a}'..='\u{202e}')), "{rendering:?}");
        assert!(!rendering.html.contains("<script"), "{rendering:?}");
    }
    if let Ok((event_type, extensible)) = convert::from_older(content) {
        assert!(Content::parse(event_type, extensible.clone()).is_ok(), "{extensible:?}");
        assert!(convert::to_older(event_type, &extensible).is_ok(), "{extensible:?}");
    }
    let _ = convert::to_older(event_type, content);
}

fn timeline(list: &[(String, Object)]) {
    let (mut forward, mut backward) = (Timeline::new(), Timeline::new());
    let users = ["@ann:a", "@bob:a", "@cid:c"].map(UserId::parse);
    let entries: Vec<(u64, Entry)> = (0_u64..)
        .zip(list)
        .filter_map(|(place, (event_type, content))| {
            let event_id = EventId::parse(&format!("$e{place}")).ok()?;
            let sender = users.iter().flatten().cycle().nth(usize::try_from(place * 7 % 5).ok()?)?.clone();
            let (event_type, content, may_redact) = (event_type.clone(), content.clone(), place % 4 == 3);
            Some((place, Entry { event_id, sender, event_type, content, is_state: false, may_redact }))
        })
        .collect();
    for (place, entry) in &entries {
        assert_eq!(forward.insert(*place, entry.clone()), Ok(()));
    }
    for (place, entry) in entries.iter().rev() {
        assert_eq!(backward.insert(*place, entry.clone()), Ok(()));
    }
    assert_eq!(forward.rows(), backward.rows());
    assert_eq!(forward.ignored(), backward.ignored());
}

pub(crate) fn content_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"m.text":"a <b>fish</b>","m.html":"a <b>fish</b><a class=\"\" href=\"javascript:x\">x</a>","m.relates_to":{"rel_type":"m.replace","event_id":"$a"}}"#,
        r#"{"m.text":[{"mimetype":"text/html","body":"<i>x</i>"},{"body":"x"}],"m.file":{"url":"mxc://a/b","name":"c","size":5},"m.image_details":{"width":1,"height":2}}"#,
        r#"{"msgtype":"m.image","body":"cat","filename":"cat.png","url":"mxc://a/b","info":{"w":1,"h":2,"mimetype":"image/png","thumbnail_url":"mxc://a/t","thumbnail_info":{"w":1,"h":1,"mimetype":"image/png"}}}"#,
        r#"{"msgtype":"m.audio","body":"v","url":"mxc://a/b","info":{"duration":2500},"org.matrix.msc3245.voice":{},"org.matrix.msc1767.audio":{"waveform":[1,2]}}"#,
        r#"{"m.text":"Q","m.poll.start":{"question":{"m.text":"Q"},"kind":"m.poll.disclosed","answers":[{"id":"a","m.text":"A"}]}}"#,
        r#"{"m.text":"x","m.location":{"uri":"geo:1,2;u=3"},"m.ts":5,"m.relates_to":{"rel_type":"m.reference","event_id":"$a"}}"#,
        r#"[["m.message",{"m.text":"a"}],["m.message",{"m.text":"*","m.new_content":{"m.text":"b"},"m.relates_to":{"rel_type":"m.replace","event_id":"$e0"}}],["m.reaction",{"m.relates_to":{"rel_type":"m.annotation","event_id":"$e0","key":"k"}}],["m.room.redaction",{"redacts":"$e1"}]]"#,
        r#"[["m.poll.start",{"m.poll":{"question":{"m.text":"Q"},"answers":[{"m.id":"a","m.text":"A"}]},"m.text":"Q"}],["m.poll.response",{"m.selections":["a"],"m.relates_to":{"rel_type":"m.reference","event_id":"$e0"}}],["m.poll.end",{"m.text":"end","m.relates_to":{"rel_type":"m.reference","event_id":"$e0"}}]]"#,
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .into()
}
