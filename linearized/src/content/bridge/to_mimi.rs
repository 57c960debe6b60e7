//! From an event to MIMI content.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::mimi::{
    Disposition, ExternalPart, HTML, MARKDOWN, MimiContent, NestedPart, PLAIN, Part, PartSemantics,
};
use super::super::relation::{Relation, Relations};
use super::super::render::markdown;
use super::super::{Blocks, Content, Kind};
use super::{Converted, Ids, Loss, NoCounterpart, of_markdown};
use crate::id::EventId;
use crate::json::{Object, as_integer};

/// Members that are texts, in every form.
const TEXTS: [&str; 6] = [
    "m.text",
    "m.html",
    "m.message",
    "org.matrix.msc1767.text",
    "org.matrix.msc1767.html",
    "org.matrix.msc1767.message",
];
/// Members that describe a medium.
const MEDIA: [&str; 16] = [
    "info",
    "m.caption",
    "m.alt_text",
    "m.thumbnail",
    "m.image_details",
    "m.audio_details",
    "m.video_details",
    "m.sticker",
    "m.waveform",
    "org.matrix.msc1767.caption",
    "org.matrix.msc1767.alt_text",
    "org.matrix.msc1767.thumbnail",
    "org.matrix.msc1767.image_details",
    "org.matrix.msc1767.audio",
    "org.matrix.msc3245.voice",
    "org.matrix.msc3246.waveform",
];
/// Members of a message of the older form.
const LEGACY: [&str; 7] = ["msgtype", "body", "format", "formatted_body", "url", "file", "filename"];

/// A message that says what an event says. `salt` is 16 random bytes.
///
/// # Errors
/// [`NoCounterpart`] if nothing in MIMI content is like it.
pub fn to_mimi(
    content: &Content,
    salt: [u8; 16],
    ids: &impl Ids,
) -> Result<Converted<MimiContent>, NoCounterpart> {
    let mut losses = BTreeSet::new();
    let (kind, original) = (content.kind(), content.original());
    let relations = content.relations();
    let mut message = MimiContent::new(salt, NestedPart::text(""));
    match (kind, &relations.relation) {
        (Kind::Redaction, _) => {
            let redacted =
                original.get("redacts").and_then(Value::as_str).and_then(|id| EventId::parse(id).ok());
            message.replaces = Some(known(redacted.as_ref(), ids)?);
            message.body = NestedPart::new(Disposition::Render, Part::Null);
            note(&mut losses, original.contains_key("reason"), Loss::Reason);
            members(&mut losses, original, &["redacts", "reason"]);
        }
        (Kind::Reaction, Some(Relation::Annotation { event, key })) => {
            message.in_reply_to = Some(known(Some(event), ids)?);
            message.body = NestedPart::single(Disposition::Reaction, PLAIN, key.as_str());
            members(&mut losses, original, &["m.relates_to"]);
        }
        (_, Some(Relation::Replace { event, new_content })) => {
            message.replaces = Some(known(Some(event), ids)?);
            message.body = body(kind, content.event_type(), new_content, ids, &mut losses)?;
        }
        (_, relation) => {
            message.body = body(kind, content.event_type(), original, ids, &mut losses)?;
            if let Some(Relation::Thread { root, .. }) = relation {
                match ids.message_of(root) {
                    Some(id) => message.topic_id = id.as_bytes().to_vec(),
                    None => note(&mut losses, true, Loss::Reference),
                }
            }
            note(
                &mut losses,
                matches!(relation, Some(Relation::Reference { .. } | Relation::Other { .. })),
                Loss::Reference,
            );
        }
    }
    reply(&mut message, relations, ids, &mut losses);
    Ok(Converted { value: message, losses: losses.into_iter().collect() })
}

fn note(losses: &mut BTreeSet<Loss>, lost: bool, loss: Loss) {
    if lost {
        losses.insert(loss);
    }
}

fn known(event: Option<&EventId>, ids: &impl Ids) -> Result<super::MessageId, NoCounterpart> {
    event.and_then(|event| ids.message_of(event)).ok_or(NoCounterpart::Unknown)
}

fn reply(message: &mut MimiContent, relations: &Relations, ids: &impl Ids, losses: &mut BTreeSet<Loss>) {
    if let Some(answered) = relations.answered() {
        match ids.message_of(answered) {
            Some(id) => message.in_reply_to = Some(id),
            None => note(losses, true, Loss::Reference),
        }
    }
}

/// Notes members that are none of these.
fn members(losses: &mut BTreeSet<Loss>, content: &Object, own: &[&str]) {
    let foreign = |name: &String| !own.contains(&name.as_str());
    note(losses, content.keys().any(foreign), Loss::Members);
}

/// What an event says.
fn body(
    kind: Kind,
    event_type: &str,
    content: &Object,
    ids: &impl Ids,
    losses: &mut BTreeSet<Loss>,
) -> Result<NestedPart, NoCounterpart> {
    let text = |name: &str| content.get(name).and_then(Value::as_str);
    let msgtype = if kind == Kind::Legacy { text("msgtype").unwrap_or_default() } else { "" };
    let is_media = MEDIA.iter().any(|name| content.contains_key(*name));
    let medium = match (kind, msgtype) {
        (Kind::File, _) | (_, "m.file") => Some(Disposition::Attachment),
        (Kind::Image | Kind::Video | Kind::Audio | Kind::Voice | Kind::Sticker, _)
        | (_, "m.image" | "m.video" | "m.audio") => Some(Disposition::Inline),
        _ => None,
    };
    note(losses, is_media, Loss::Media);
    let plain_kind = matches!(kind, Kind::Message | Kind::File | Kind::Image | Kind::Video | Kind::Audio);
    let structured =
        matches!(kind, Kind::PollStart | Kind::PollEnd | Kind::Location) || msgtype == "m.location";
    note(losses, structured, Loss::Structure);
    let plain_legacy =
        matches!(msgtype, "m.text" | "m.file" | "m.image" | "m.video" | "m.audio" | "m.location");
    note(losses, !plain_kind && !plain_legacy && !structured, Loss::Kind);
    let mut own: Vec<&str> = [TEXTS.as_slice(), &MEDIA, &["m.relates_to", "m.new_content"]].concat();
    match kind {
        Kind::Legacy | Kind::Sticker => own.extend(LEGACY),
        Kind::PollStart | Kind::PollEnd | Kind::Location => own.extend(content.keys().map(String::as_str)),
        _ => {}
    }
    if medium.is_some() {
        own.extend(["m.file", "org.matrix.msc1767.file"]);
    }
    members(losses, content, &own);
    let described = renderings(content, kind == Kind::Legacy || kind == Kind::Sticker);
    if let Some(disposition) = medium {
        return Ok(file(content, disposition, described, ids, losses));
    }
    described.ok_or_else(|| NoCounterpart::EventType(event_type.to_owned()))
}

/// A text with all its renderings, the sender's favourite first.
fn renderings(content: &Object, legacy: bool) -> Option<NestedPart> {
    let mut texts: Vec<(String, String)> = match Blocks::read(content) {
        Ok(Some(blocks)) => {
            blocks.representations().iter().map(|one| (one.mimetype.clone(), one.body.clone())).collect()
        }
        _ => Vec::new(),
    };
    if texts.is_empty() && legacy {
        let member = |name: &str| content.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let html = member("formatted_body").map(|body| ("text/html".to_owned(), body));
        texts = html.into_iter().chain(member("body").map(|body| ("text/plain".to_owned(), body))).collect();
    }
    // Markdown needs no renderings besides that say the same.
    if let Some((first, source)) = texts.first()
        && first == MARKDOWN
    {
        let alike = of_markdown(source);
        let one = |(mimetype, body): &(String, String), (wanted, of): &(&str, String)| {
            mimetype == wanted && body == of
        };
        if texts.len() == alike.len() && texts.iter().zip(&alike).all(|(found, wanted)| one(found, wanted)) {
            texts.truncate(1);
        }
    }
    let single = |(mimetype, body): &(String, String)| {
        if mimetype == MARKDOWN {
            return NestedPart::single(Disposition::Render, MARKDOWN, markdown::without_html(body));
        }
        let content_type = match mimetype.as_str() {
            "text/plain" => PLAIN,
            "text/html" => HTML,
            other => other,
        };
        NestedPart::single(Disposition::Render, content_type, body.as_str())
    };
    match texts.as_slice() {
        [] => None,
        [one] => Some(single(one)),
        several => {
            let parts = several.iter().map(single).collect();
            let choice = Part::Multi { semantics: PartSemantics::ChooseOne, parts };
            Some(NestedPart::new(Disposition::Render, choice))
        }
    }
}

/// A file, or what its text says if the file cannot be told of.
fn file(
    content: &Object,
    disposition: Disposition,
    described: Option<NestedPart>,
    ids: &impl Ids,
    losses: &mut BTreeSet<Loss>,
) -> NestedPart {
    let block = ["m.file", "org.matrix.msc1767.file"].iter().find_map(|name| content.get(*name)?.as_object());
    let info = block.or_else(|| content.get("info").and_then(Value::as_object));
    let older = content.get("file").and_then(Value::as_object);
    let encrypted = content.contains_key("file") || block.is_some_and(|block| block.contains_key("key"));
    let url = named(block, "url").or_else(|| named(older, "url")).or_else(|| named(Some(content), "url"));
    let brought = match (block.or(older), url) {
        (Some(file), _) => ids.part_of(file),
        (None, Some(url)) => ids.part_of(&Object::from_iter([("url".to_owned(), Value::from(url))])),
        (None, None) => None,
    };
    let place = match (brought, url) {
        (Some(place), _) => place,
        (None, Some(url)) if !encrypted => {
            note(losses, url.starts_with("mxc://"), Loss::Place);
            ExternalPart { url: url.to_owned(), ..ExternalPart::default() }
        }
        _ => {
            note(losses, true, Loss::Cipher);
            return described.unwrap_or_else(|| NestedPart::text(""));
        }
    };
    let url = url.unwrap_or_default();
    let name = named(block, "name").or_else(|| named(Some(content), "filename")).unwrap_or_default();
    let description = described.as_ref().and_then(plain).unwrap_or_default();
    // A text that only names the file is what clients without files show, and no description.
    let description = if description == name || description == url { "" } else { description };
    let size = info.and_then(|info| as_integer(info.get("size")?)).and_then(|size| u64::try_from(size).ok());
    let external = ExternalPart {
        content_type: named(info, "mimetype").unwrap_or_default().to_owned(),
        size: size.unwrap_or_default(),
        description: description.to_owned(),
        filename: name.to_owned(),
        ..place
    };
    NestedPart::new(disposition, Part::External(Box::new(external)))
}

/// A text that is a member of an object, if there is an object.
fn named<'o>(object: Option<&'o Object>, name: &str) -> Option<&'o str> {
    object?.get(name)?.as_str()
}

/// The plain text among the renderings of a part.
fn plain(part: &NestedPart) -> Option<&str> {
    let plain =
        |part: &NestedPart| matches!(&part.part, Part::Single { content_type, .. } if content_type == PLAIN);
    let (_, found) = part.walk().find(|(_, part)| plain(part))?;
    match &found.part {
        Part::Single { content, .. } => core::str::from_utf8(content).ok(),
        _ => None,
    }
}
