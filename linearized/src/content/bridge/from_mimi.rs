//! From MIMI content to events.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::mimi::{
    Disposition, ExternalPart, HTML, MARKDOWN, MessageId, MimiContent, NestedPart, PLAIN, Part, PartSemantics,
};
use super::{Converted, Ids, Loss, NoCounterpart, Outgoing, of_markdown};
use crate::json::{MAX_INTEGER, Object};

/// The events that say what a message says: one, or one for each part that is by itself.
///
/// # Errors
/// [`NoCounterpart`] if no event is like it.
pub fn from_mimi(message: &MimiContent, ids: &impl Ids) -> Result<Converted<Vec<Outgoing>>, NoCounterpart> {
    let mut losses = BTreeSet::from([Loss::Salt]);
    note(&mut losses, message.expires.is_some(), Loss::Expiration);
    note(&mut losses, message.extensions.others().next().is_some(), Loss::Extensions);
    let replaced =
        message.replaces.as_ref().map(|id| ids.event_of(id).ok_or(NoCounterpart::Unknown)).transpose()?;
    if message.body.part == Part::Null {
        let redacted = replaced.ok_or(NoCounterpart::Empty)?;
        note(&mut losses, message.body.disposition != Disposition::Render, Loss::Disposition);
        note(&mut losses, message.in_reply_to.is_some(), Loss::Reference);
        note(&mut losses, !message.topic_id.is_empty(), Loss::Topic);
        note(&mut losses, !message.body.language.is_empty(), Loss::Language);
        let content = object(json!({"redacts": redacted}));
        let event = Outgoing { event_type: "m.room.redaction".to_owned(), content };
        return Ok(Converted { value: vec![event], losses: losses.into_iter().collect() });
    }
    let answered = message.in_reply_to.as_ref().and_then(|id| ids.event_of(id));
    note(&mut losses, message.in_reply_to.is_some() && answered.is_none(), Loss::Reference);
    let mut events = Vec::new();
    parts(&message.body, ids, &mut events, &mut losses);
    let mut outgoing = Vec::new();
    for said in events {
        let (event_type, mut content) = match said {
            Said::Event(event_type, content) => (event_type, content),
            Said::Reaction(key) => {
                if let (Some(event), None) = (&answered, &replaced) {
                    note(&mut losses, !message.topic_id.is_empty(), Loss::Topic);
                    let relation = json!({"rel_type": "m.annotation", "event_id": event, "key": key});
                    let content = object(json!({"m.relates_to": relation}));
                    outgoing.push(Outgoing { event_type: "m.reaction".to_owned(), content });
                    continue;
                }
                note(&mut losses, true, Loss::Disposition);
                ("m.message", object(json!({"m.text": key})))
            }
        };
        if let Some(edited) = &replaced {
            let new_content = Value::Object(content.clone());
            content.insert("m.new_content".to_owned(), new_content);
            let mut relation = object(json!({"rel_type": "m.replace", "event_id": edited}));
            if let Some(answered) = &answered {
                relation.insert("m.in_reply_to".to_owned(), json!({"event_id": answered}));
            }
            note(&mut losses, !message.topic_id.is_empty(), Loss::Topic);
            content.insert("m.relates_to".to_owned(), Value::Object(relation));
        } else if let Some(relation) = relation(message, answered.as_ref(), ids, &mut losses) {
            content.insert("m.relates_to".to_owned(), relation);
        }
        outgoing.push(Outgoing { event_type: event_type.to_owned(), content });
    }
    if outgoing.is_empty() {
        return Err(NoCounterpart::Empty);
    }
    Ok(Converted { value: outgoing, losses: losses.into_iter().collect() })
}

/// What a part says, before it is said what it is about.
enum Said {
    /// An event of a type, with its content.
    Event(&'static str, Object),
    /// A reaction with a key.
    Reaction(String),
}

fn note(losses: &mut BTreeSet<Loss>, lost: bool, loss: Loss) {
    if lost {
        losses.insert(loss);
    }
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

/// The thread and the reply of a message that is no edit.
fn relation(
    message: &MimiContent,
    answered: Option<&crate::id::EventId>,
    ids: &impl Ids,
    losses: &mut BTreeSet<Loss>,
) -> Option<Value> {
    let topic = <[u8; 32]>::try_from(message.topic_id.as_slice()).ok();
    let root = topic.and_then(|id| MessageId::from_bytes(id).ok()).and_then(|id| ids.event_of(&id));
    note(losses, root.is_none() && !message.topic_id.is_empty(), Loss::Topic);
    match (root, answered) {
        (None, None) => None,
        (None, Some(answered)) => Some(json!({"m.in_reply_to": {"event_id": answered}})),
        (Some(root), answered) => Some(json!({
            "rel_type": "m.thread", "event_id": root, "is_falling_back": answered.is_none(),
            "m.in_reply_to": {"event_id": answered.unwrap_or(&root)},
        })),
    }
}

/// What is said by a part and those in it.
fn parts(part: &NestedPart, ids: &impl Ids, said: &mut Vec<Said>, losses: &mut BTreeSet<Loss>) {
    note(losses, !part.language.is_empty(), Loss::Language);
    match &part.part {
        Part::Null => note(losses, true, Loss::Parts),
        Part::Single { content_type, content } => match (part.disposition, text(content_type, content)) {
            (Disposition::Reaction, Some((_, key))) if !key.trim().is_empty() => {
                note(losses, content_type != PLAIN, Loss::Disposition);
                said.push(Said::Reaction(key.to_owned()));
            }
            (disposition, Some(rendering)) => {
                note(losses, disposition != Disposition::Render, Loss::Disposition);
                said.push(Said::Event("m.message", texts(&[rendering])));
            }
            (_, None) => {
                note(losses, true, Loss::Inline);
                let text = format!("[{content_type}, {} bytes]", content.len());
                said.push(Said::Event("m.message", object(json!({"m.text": text}))));
            }
        },
        Part::External(external) => said.push(file(part.disposition, external, ids, losses)),
        Part::Multi { semantics, parts: inner } => {
            match choice(*semantics, inner) {
                Some(renderings) => {
                    note(losses, part.disposition != Disposition::Render, Loss::Disposition);
                    note(losses, inner.iter().any(|part| !part.language.is_empty()), Loss::Language);
                    let render = |part: &NestedPart| part.disposition == Disposition::Render;
                    note(losses, !inner.iter().all(render), Loss::Disposition);
                    // The same as a single part in Markdown becomes.
                    note(losses, is_of_markdown(&renderings), Loss::Parts);
                    said.push(Said::Event("m.message", texts(&renderings)));
                }
                None => {
                    note(losses, true, Loss::Parts);
                    // Of things to choose from, one is enough: the sender's favourite.
                    let taken = if *semantics == PartSemantics::ChooseOne { 1 } else { inner.len() };
                    inner.iter().take(taken).for_each(|part| parts(part, ids, said, losses));
                }
            }
        }
    }
}

/// The renderings of one text, if that is what there is to choose from.
fn choice(semantics: PartSemantics, parts: &[NestedPart]) -> Option<Vec<(&str, &str)>> {
    if semantics != PartSemantics::ChooseOne {
        return None;
    }
    parts.iter().map(rendering).collect()
}

/// The text that a part is.
fn rendering(part: &NestedPart) -> Option<(&str, &str)> {
    match &part.part {
        Part::Single { content_type, content } if part.disposition != Disposition::Reaction => {
            text(content_type, content)
        }
        _ => None,
    }
}

/// The media type, as events have it, and the text of a part that is a text in UTF-8.
fn text<'p>(content_type: &'p str, content: &'p [u8]) -> Option<(&'p str, &'p str)> {
    let body = core::str::from_utf8(content).ok()?;
    let mimetype = match content_type {
        PLAIN => "text/plain",
        HTML => "text/html",
        // Others keep what they say of themselves, as long as it is no other charset.
        other if other.get(..5)?.eq_ignore_ascii_case("text/") => {
            let charset = other.to_ascii_lowercase().replace(['"', ' '], "");
            let foreign = charset.contains("charset=") && !charset.contains("charset=utf-8");
            if foreign { return None } else { other }
        }
        _ => return None,
    };
    Some((mimetype, body))
}

/// A text's members, in the shortest form that says it all.
fn texts(renderings: &[(&str, &str)]) -> Object {
    match renderings {
        [("text/plain", plain)] => object(json!({"m.text": plain})),
        [("text/html", html)] => object(json!({"m.html": html})),
        [("text/html", html), ("text/plain", plain)] => object(json!({"m.html": html, "m.text": plain})),
        // Whoever knows no Markdown shows what it looks like.
        [(MARKDOWN, source)] => {
            let renderings = of_markdown(source);
            array(renderings.iter().map(|(mimetype, body)| (*mimetype, body.as_str())))
        }
        several => array(several.iter().copied()),
    }
}

fn array<'r>(renderings: impl Iterator<Item = (&'r str, &'r str)>) -> Object {
    let one = |(mimetype, body)| json!({"mimetype": mimetype, "body": body});
    object(json!({"m.message": renderings.map(one).collect::<Vec<_>>()}))
}

/// Whether renderings are those that a text in Markdown gets.
fn is_of_markdown(renderings: &[(&str, &str)]) -> bool {
    let Some((MARKDOWN, source)) = renderings.first() else { return false };
    renderings.len() > 1
        && of_markdown(source)
            .iter()
            .map(|(mimetype, body)| (*mimetype, body.as_str()))
            .eq(renderings.iter().copied())
}

/// A file, or a text that says where it is.
fn file(
    disposition: Disposition,
    external: &ExternalPart,
    ids: &impl Ids,
    losses: &mut BTreeSet<Loss>,
) -> Said {
    let ExternalPart { content_type, url, description, filename, .. } = external;
    let name = if filename.is_empty() { url } else { filename };
    let shown = if description.is_empty() { name } else { description };
    let size = i64::try_from(external.size).ok().filter(|size| *size <= MAX_INTEGER);
    note(losses, size.is_none(), Loss::File);
    let brought = ids.file_of(external);
    // A file that was brought over has a hash of its own.
    note(losses, external.expires != 0 || (external.hash_alg != 0 && brought.is_none()), Loss::File);
    if brought.is_none() && (external.enc_alg != 0 || !is_content_uri(url)) {
        note(losses, true, if external.enc_alg == 0 { Loss::Place } else { Loss::Cipher });
        note(losses, true, Loss::Disposition);
        let text =
            if external.enc_alg == 0 && shown != url { format!("{shown} {url}") } else { shown.clone() };
        return Said::Event("m.message", object(json!({"m.text": text})));
    }
    let (event_type, told) = match (disposition, content_type.split_once('/').map(|(major, _)| major)) {
        (Disposition::Attachment, _) => ("m.file", true),
        (of, Some("image")) => ("m.image", of == Disposition::Inline),
        (of, Some("video")) => ("m.video", of == Disposition::Inline),
        (of, Some("audio")) => ("m.audio", of == Disposition::Inline),
        _ => ("m.file", false),
    };
    note(losses, !told || description == name || description == url, Loss::Disposition);
    let mut block = brought.unwrap_or_else(|| object(json!({"url": url})));
    let mut set = |name: &str, value: Value| drop(block.insert(name.to_owned(), value));
    if !filename.is_empty() {
        set("name", json!(filename));
    }
    if !content_type.is_empty() {
        set("mimetype", json!(content_type));
    }
    if let Some(size) = size.filter(|size| *size != 0) {
        set("size", json!(size));
    }
    Said::Event(event_type, object(json!({"m.text": shown, "m.file": block})))
}

/// Whether it is where Matrix's clients fetch files: a server and a medium.
fn is_content_uri(url: &str) -> bool {
    let rest = url.strip_prefix("mxc://").and_then(|rest| rest.split_once('/'));
    rest.is_some_and(|(server, medium)| {
        crate::id::ServerName::parse(server).is_ok()
            && !medium.is_empty()
            && medium.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    })
}
