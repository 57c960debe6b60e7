//! Between `m.room.message` and the extensible kinds.
//!
//! Every deployed client of Matrix writes and reads the older form, so a bridge, or a client in a room with both, needs
//! either from the other. Members that this library does not know go along. Converting there and back gives what there
//! was, except where one form has no place for something: of several renderings of a text the older form keeps the plain
//! one and the HTML, and of several thumbnails the first.

use ruma_common::MxcUri;
use serde_json::{Value, json};

use super::blocks::normalise;
use super::names::{
    AUDIO_DETAILS, CAPTION, FILE, IMAGE_DETAILS, LOCATION, Name, TEXT, THUMBNAIL, VIDEO_DETAILS, WAVEFORM,
};
use super::{Blocks, Content, ContentError, Kind};
use crate::json::{Object, as_integer};

/// Why a content cannot be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// It does not match the form that it is converted from.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The other form has nothing of that kind. A poll, for example, never had a `msgtype`.
    #[error("there is no counterpart of {0}")]
    NoCounterpart(String),
}

/// A mark that makes an audio clip of the older form a voice message (MSC3245).
const VOICE: &str = "org.matrix.msc3245.voice";
/// What is left of that proposal's first revision: the waveform, in steps of a 1,024th.
const OLD_AUDIO: &str = "org.matrix.msc1767.audio";
const HTML_FORMAT: &str = "org.matrix.custom.html";
/// What an encrypted file has besides its place.
const ENCRYPTION: [&str; 4] = ["key", "iv", "hashes", "v"];

/// The event type and content of the extensible kind that an `m.room.message` corresponds to.
///
/// # Errors
/// [`ConvertError`] if it is malformed, or its `msgtype` has no counterpart.
pub fn from_older(older: &Object) -> Result<(&'static str, Object), ConvertError> {
    Content::parse("m.room.message", older.clone())?;
    let mut content = older.clone();
    let msgtype = text(&mut content, "msgtype").unwrap_or_default();
    let voice = content.remove(VOICE).is_some();
    let event_type = match msgtype.as_str() {
        "m.text" => "m.message",
        "m.emote" => "m.emote",
        "m.notice" => "m.notice",
        "m.file" => "m.file",
        "m.image" => "m.image",
        "m.video" => "m.video",
        "m.audio" if voice => "m.voice",
        "m.audio" => "m.audio",
        "m.location" => "m.location",
        _ => return Err(ConvertError::NoCounterpart(format!("the msgtype `{msgtype}`"))),
    };
    edit(&mut content, |new| Ok(from_older(new)?.1))?;
    let body = text(&mut content, "body").unwrap_or_default();
    let formatted = text(&mut content, "formatted_body");
    let formatted =
        (text(&mut content, "format").as_deref() == Some(HTML_FORMAT)).then_some(formatted).flatten();
    match event_type {
        "m.message" | "m.emote" | "m.notice" => {
            drop(content.insert(TEXT.stable.to_owned(), texts(&body, formatted)));
        }
        "m.location" => {
            let uri = content.remove("geo_uri").unwrap_or_default();
            content.insert(LOCATION.stable.to_owned(), json!({"uri": uri, "description": body}));
            content.insert(TEXT.stable.to_owned(), texts(&body, None));
        }
        _ => attachment(event_type, &mut content, &body, formatted),
    }
    Content::parse(event_type, content.clone())?;
    Ok((event_type, content))
}

/// The `m.room.message` that an event of an extensible kind corresponds to.
///
/// # Errors
/// [`ConvertError`] if it is malformed, or its kind has no counterpart.
pub fn to_older(event_type: &str, content: &Object) -> Result<Object, ConvertError> {
    let parsed = Content::parse(event_type, content.clone())?;
    let kind = parsed.kind();
    let msgtype = match kind {
        Kind::Legacy => return Ok(content.clone()),
        Kind::Message => "m.text",
        Kind::Emote => "m.emote",
        Kind::Notice => "m.notice",
        Kind::File => "m.file",
        Kind::Image => "m.image",
        Kind::Video => "m.video",
        Kind::Audio | Kind::Voice => "m.audio",
        Kind::Location => "m.location",
        _ => return Err(ConvertError::NoCounterpart(kind.to_string())),
    };
    let mut older = content.clone();
    edit(&mut older, |new| to_older(event_type, new))?;
    older.insert("msgtype".to_owned(), json!(msgtype));
    let blocks = parsed.text();
    for name in [TEXT, super::names::HTML, super::names::MESSAGE] {
        name.take(&mut older);
    }
    match kind {
        Kind::Message | Kind::Emote | Kind::Notice => body(&mut older, blocks),
        Kind::Location => {
            body(&mut older, blocks);
            let place = LOCATION.take(&mut older);
            let uri = place.as_ref().and_then(|place| place.get("uri")).cloned().unwrap_or_default();
            older.insert("geo_uri".to_owned(), uri);
        }
        _ => older_attachment(kind, &mut older, blocks),
    }
    Ok(older)
}

/// Converts the content that an edit brings.
fn edit(
    content: &mut Object,
    convert: impl Fn(&Object) -> Result<Object, ConvertError>,
) -> Result<(), ConvertError> {
    let new_content = content.get("m.new_content").and_then(Value::as_object);
    let Some(new_content) = new_content.filter(|new| !new.contains_key("m.new_content")) else {
        return Ok(());
    };
    let converted = convert(new_content)?;
    content.insert("m.new_content".to_owned(), Value::Object(converted));
    Ok(())
}

/// The sender's HTML, and the plain text.
fn texts(body: &str, formatted: Option<String>) -> Value {
    let html = formatted.map(|html| json!({"mimetype": "text/html", "body": html}));
    html.into_iter().chain([json!({"body": body})]).collect()
}

fn text(content: &mut Object, member: &str) -> Option<String> {
    match content.remove(member) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// `url` or `file`, `info`, `filename` and the caption, in blocks.
fn attachment(event_type: &str, content: &mut Object, body: &str, formatted: Option<String>) {
    let mut info = match content.remove("info") {
        Some(Value::Object(info)) => info,
        _ => Object::new(),
    };
    let name = text(content, "filename");
    let caption = name.as_ref().is_some_and(|name| name != body);
    if let Some(name) = name.as_ref().filter(|_| !caption) {
        // Says nothing that `name` does not, and comes back.
        content.insert("filename".to_owned(), json!(name));
    }
    let mut file = source(content, "url", "file");
    file.insert("name".to_owned(), json!(name.as_deref().unwrap_or(body)));
    move_all(&mut info, &mut file, &[("mimetype", "mimetype"), ("size", "size")]);
    content.insert(FILE.stable.to_owned(), Value::Object(file));
    content.insert(TEXT.stable.to_owned(), texts(name.as_deref().unwrap_or(body), None));
    if caption {
        content.insert(CAPTION.stable.to_owned(), json!({ TEXT.stable: texts(body, formatted) }));
    }
    let mut details = Object::new();
    match event_type {
        "m.image" if info.contains_key("w") && info.contains_key("h") => {
            move_all(&mut info, &mut details, &[("w", "width"), ("h", "height")]);
            content.insert(IMAGE_DETAILS.stable.to_owned(), Value::Object(details));
        }
        "m.video" if info.contains_key("w") && info.contains_key("h") => {
            move_all(&mut info, &mut details, &[("w", "width"), ("h", "height")]);
            seconds(&mut info, &mut details);
            content.insert(VIDEO_DETAILS.stable.to_owned(), Value::Object(details));
        }
        "m.audio" | "m.voice" => {
            seconds(&mut info, &mut details);
            if event_type == "m.voice" {
                details.entry("duration").or_insert_with(|| json!(0));
                details.insert(WAVEFORM.stable.to_owned(), waveform(content.get(OLD_AUDIO)));
            }
            if details.contains_key("duration") {
                content.insert(AUDIO_DETAILS.stable.to_owned(), Value::Object(details));
            }
        }
        _ => {}
    }
    thumbnail(event_type, content, &mut info);
    if !info.is_empty() {
        content.insert("info".to_owned(), Value::Object(info));
    }
}

/// Where a file is, and how it is encrypted.
fn source(content: &mut Object, plain: &str, encrypted: &str) -> Object {
    match content.remove(encrypted) {
        Some(Value::Object(file)) => file,
        _ => {
            let mut file = Object::new();
            move_all(content, &mut file, &[(plain, "url")]);
            file
        }
    }
}

/// A thumbnail whose media type and size are known; another stays where it is.
fn thumbnail(event_type: &str, content: &mut Object, info: &mut Object) {
    let known = |member: &str| info.get("thumbnail_info").is_some_and(|info| info.get(member).is_some());
    let there = ["thumbnail_url", "thumbnail_file"].iter().any(|member| info.contains_key(*member));
    if !matches!(event_type, "m.image" | "m.video")
        || !there
        || !["mimetype", "w", "h"].into_iter().all(known)
    {
        return;
    }
    let Some(Value::Object(mut about)) = info.remove("thumbnail_info") else { return };
    let (mut file, mut details) = (source(info, "thumbnail_url", "thumbnail_file"), Object::new());
    move_all(&mut about, &mut file, &[("mimetype", "mimetype"), ("size", "size")]);
    move_all(&mut about, &mut details, &[("w", "width"), ("h", "height")]);
    let thumbnail = json!({ FILE.stable: file, IMAGE_DETAILS.stable: details });
    content.insert(THUMBNAIL.stable.to_owned(), json!([thumbnail]));
}

/// Milliseconds as whole seconds; what is not whole stays as well, so that it comes back.
fn seconds(info: &mut Object, details: &mut Object) {
    let Some(milliseconds) = info.get("duration").and_then(as_integer) else { return };
    details.insert("duration".to_owned(), json!(milliseconds / 1000));
    if milliseconds % 1000 == 0 {
        info.remove("duration");
    }
}

/// Amplitudes of a 1,024th each, as those of a 256th.
fn waveform(audio: Option<&Value>) -> Value {
    let old = audio.and_then(|audio| audio.get("waveform")).and_then(Value::as_array);
    old.into_iter().flatten().filter_map(as_integer).map(|amplitude| amplitude.clamp(0, 1024) / 4).collect()
}

fn move_all(from: &mut Object, to: &mut Object, names: &[(&str, &str)]) {
    for (old, new) in names {
        if let Some(value) = from.remove(*old) {
            to.insert((*new).to_owned(), value);
        }
    }
}

/// `body`, and `formatted_body` if there is HTML.
fn body(older: &mut Object, blocks: Option<&Blocks>) {
    let Some(blocks) = blocks else { return };
    let derived = || blocks.html().and_then(super::html::to_text);
    let plain = blocks.plain().map(str::to_owned).or_else(derived).unwrap_or_default();
    older.insert("body".to_owned(), json!(plain));
    if let Some(html) = blocks.html() {
        older.insert("format".to_owned(), json!(HTML_FORMAT));
        older.insert("formatted_body".to_owned(), json!(html));
    }
}

fn older_attachment(kind: Kind, older: &mut Object, blocks: Option<&Blocks>) {
    let mut info = match older.remove("info") {
        Some(Value::Object(info)) => info,
        _ => Object::new(),
    };
    let mut file = object(FILE, older);
    let name = text(&mut file, "name").filter(|name| !name.is_empty());
    move_all(&mut file, &mut info, &[("mimetype", "mimetype"), ("size", "size")]);
    place(older, file, "url", "file");
    let mut caption = object(CAPTION, older);
    let text = blocks.and_then(Blocks::plain).unwrap_or_default().to_owned();
    let name = name.unwrap_or(text);
    match normalise(&mut caption, TEXT.stable).ok().and_then(|_| Blocks::read(&caption).ok().flatten()) {
        Some(caption) => {
            body(older, Some(&caption));
            older.insert("filename".to_owned(), json!(name));
        }
        None => drop(older.insert("body".to_owned(), json!(name))),
    }
    let details = match kind {
        Kind::Image => Some(IMAGE_DETAILS),
        Kind::Video => Some(VIDEO_DETAILS),
        Kind::Audio | Kind::Voice => Some(AUDIO_DETAILS),
        _ => None,
    };
    if let Some(mut details) = details.map(|details| object(details, older)) {
        move_all(&mut details, &mut info, &[("width", "w"), ("height", "h")]);
        let seconds = details.remove("duration").as_ref().and_then(as_integer);
        let kept = info.get("duration").and_then(as_integer).map(|milliseconds| milliseconds / 1000);
        if let Some(seconds) = seconds.filter(|seconds| kept != Some(*seconds)) {
            info.insert("duration".to_owned(), json!(seconds.saturating_mul(1000)));
        }
        if kind == Kind::Voice {
            older.insert(VOICE.to_owned(), json!({}));
            let amplitudes = WAVEFORM.find(&details).and_then(Value::as_array);
            let old = amplitudes.into_iter().flatten().filter_map(as_integer);
            let old: Vec<i64> = old.map(|amplitude| amplitude.clamp(0, 256).saturating_mul(4)).collect();
            older.entry(OLD_AUDIO).or_insert_with(|| json!({"waveform": old}));
        }
    }
    if let Some(Value::Array(thumbnails)) = THUMBNAIL.take(older)
        && let Some(Value::Object(mut first)) = thumbnails.into_iter().next()
    {
        let (mut file, mut details, mut about) =
            (object(FILE, &mut first), object(IMAGE_DETAILS, &mut first), Object::new());
        move_all(&mut file, &mut about, &[("mimetype", "mimetype"), ("size", "size")]);
        move_all(&mut details, &mut about, &[("width", "w"), ("height", "h")]);
        place(&mut info, file, "thumbnail_url", "thumbnail_file");
        info.insert("thumbnail_info".to_owned(), Value::Object(about));
    }
    if !info.is_empty() {
        older.insert("info".to_owned(), Value::Object(info));
    }
}

fn object(name: Name, content: &mut Object) -> Object {
    match name.take(content) {
        Some(Value::Object(object)) => object,
        _ => Object::new(),
    }
}

/// A file that is encrypted is an object, and one that is not a URI.
fn place(content: &mut Object, file: Object, plain: &str, encrypted: &str) {
    if ENCRYPTION.iter().any(|member| file.contains_key(*member)) {
        content.insert(encrypted.to_owned(), Value::Object(file));
    } else if let Some(Value::String(url)) = file.get("url").filter(|url| url.as_str().is_some_and(is_uri)) {
        content.insert(plain.to_owned(), json!(url));
    }
}

fn is_uri(text: &str) -> bool {
    <&MxcUri>::from(text).is_valid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        let Value::Object(object) = value else { panic!("{value}") };
        object
    }

    #[test]
    fn the_older_form_becomes_extensible() {
        let rich = json!({"msgtype": "m.text", "body": "hi", "format": "org.matrix.custom.html", "formatted_body": "<b>hi</b>",
            "m.mentions": {"room": true}});
        let expected = json!({"m.text": [{"mimetype": "text/html", "body": "<b>hi</b>"}, {"body": "hi"}], "m.mentions": {"room": true}});
        assert_eq!(from_older(&object(rich)).unwrap(), ("m.message", object(expected)));

        let image = json!({"msgtype": "m.image", "body": "look", "filename": "cat.png", "url": "mxc://a/cat",
            "info": {"w": 10, "h": 20, "size": 3, "mimetype": "image/png", "xyz.blurhash": "L"}});
        let expected = json!({"m.text": [{"body": "cat.png"}], "m.caption": {"m.text": [{"body": "look"}]},
            "m.file": {"url": "mxc://a/cat", "name": "cat.png", "size": 3, "mimetype": "image/png"},
            "m.image_details": {"width": 10, "height": 20}, "info": {"xyz.blurhash": "L"}});
        assert_eq!(from_older(&object(image)).unwrap(), ("m.image", object(expected)));

        let dance = json!({"msgtype": "org.example.dance", "body": "dances"});
        assert!(matches!(from_older(&object(dance)), Err(ConvertError::NoCounterpart(_))));
    }

    #[test]
    fn edits_are_converted_inside_as_well() {
        let edit = json!({"msgtype": "m.text", "body": "* b", "m.new_content": {"msgtype": "m.text", "body": "b"},
            "m.relates_to": {"rel_type": "m.replace", "event_id": "$a"}});
        let (event_type, content) = from_older(&object(edit.clone())).unwrap();
        assert_eq!(content["m.new_content"], json!({"m.text": [{"body": "b"}]}));
        assert_eq!(to_older(event_type, &content).unwrap(), object(edit));
    }

    /// There and back gives what there was, and the middle is well-formed.
    #[test]
    fn there_and_back() {
        let samples: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/data/content/samples.json")).unwrap();
        let mut tried = 0;
        let more = json!({"msgtype": "m.audio", "body": "v.ogg", "url": "mxc://a/v", "info": {"duration": 2500, "size": 7},
            "org.matrix.msc3245.voice": {}, "org.matrix.msc1767.audio": {"waveform": [0, 512, 1024]}});
        let thumbnail = json!({"msgtype": "m.video", "body": "v.mp4", "url": "mxc://a/v", "info": {"w": 1, "h": 2, "duration": 3000,
            "thumbnail_url": "mxc://a/t", "thumbnail_info": {"w": 1, "h": 2, "mimetype": "image/png"}}});
        let samples =
            samples.iter().filter(|sample| sample["kind"] == "Legacy").map(|sample| &sample["content"]);
        for older in samples.chain([&more, &thumbnail]) {
            if older["msgtype"] == "org.example.dance" || older.get("m.text").is_some() {
                continue;
            }
            let older = object(older.clone());
            let (event_type, content) = from_older(&older).unwrap();
            Content::parse(event_type, content.clone()).unwrap();
            assert_eq!(to_older(event_type, &content).unwrap(), older);
            tried += 1;
        }
        assert!(tried >= 12, "{tried}");
    }

    #[test]
    fn what_is_out_of_bounds_or_half_known_is_not_carried_over() {
        let voice = json!({"msgtype": "m.audio", "body": "v", "url": "mxc://a/v", "info": {"duration": 1},
            "org.matrix.msc3245.voice": {}, "org.matrix.msc1767.audio": {"waveform": [-5, 512, 4000]}});
        let (_, content) = from_older(&object(voice)).unwrap();
        assert_eq!(content["m.audio_details"]["m.waveform"], json!([0, 128, 256]));

        // A thumbnail of which not everything is known stays where it is.
        let info = json!({"thumbnail_url": "mxc://a/t", "thumbnail_info": {"w": 1, "h": 2}});
        let image = json!({"msgtype": "m.image", "body": "i", "url": "mxc://a/i", "info": info});
        let (_, content) = from_older(&object(image)).unwrap();
        assert_eq!((&content["info"], content.get("m.thumbnail")), (&info, None));

        // An edit inside an edit is none.
        let inner =
            json!({"msgtype": "m.text", "body": "b", "m.new_content": {"msgtype": "m.text", "body": "c"}});
        let edit = json!({"msgtype": "m.text", "body": "* b", "m.new_content": inner});
        assert_eq!(from_older(&object(edit)).unwrap().1["m.new_content"], inner);
    }

    #[test]
    fn a_poll_has_no_older_form() {
        let poll =
            json!({"m.poll.start": {"question": {"m.text": "Q"}, "answers": [{"id": "1", "m.text": "A"}]}});
        let refused = to_older("m.poll.start", &object(poll)).unwrap_err();
        assert_eq!(refused.to_string(), "there is no counterpart of a poll");
    }
}
