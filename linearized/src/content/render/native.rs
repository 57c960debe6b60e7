//! How a client shows the kinds that it knows.

use std::fmt::Write as _;

use ruma_events::file::{CaptionContentBlock, FileContentBlock};
use ruma_events::message::TextContentBlock;
use ruma_events::poll::start::{PollContentBlock, PollStartEventContent};
use ruma_events::room::message::MessageType;

use super::{Capabilities, Rendering, Shown, bidi, blocks_text, html, older_text, text};
use crate::content::kinds::legacy;
use crate::content::kinds::sticker::source;
use crate::content::{Legacy, Mark, PollText, Reaction, Sticker, View};
use crate::json::Object;

/// What is shown of an event that cannot be decrypted.
pub(super) const UNDECRYPTABLE: &str = "Unable to decrypt";

/// What a client shows that knows the view's kind; `None` if it has nothing to show by itself.
pub(super) fn render(
    view: &View,
    content: &Object,
    shown: Shown,
    capabilities: &Capabilities,
) -> Option<Rendering> {
    let plain = |text: &str| Some(Rendering::plain(shown, text));
    match view {
        View::Message(_) | View::Notice(_) => text(content, shown, capabilities),
        View::Emote(_) => {
            text(content, shown, capabilities).map(|rendering| match content.contains_key("m.emote") {
                true => rendering,
                false => prefixed("* ", rendering),
            })
        }
        View::Legacy(message) => older(message, content, shown, capabilities),
        View::File(file) => plain(&attachment("File", &file.file, file.caption.as_ref())),
        View::Video(video) => plain(&attachment("Video", &video.file, video.caption.as_ref())),
        View::Audio(audio) => plain(&attachment("Audio", &audio.file, audio.caption.as_ref())),
        View::Voice(voice) => plain(&format!("Voice message ({} s)", voice.audio_details.duration.as_secs())),
        View::Image(image) => {
            let mut rendering =
                Rendering::plain(shown, &attachment("Image", &image.file, image.caption.as_ref()));
            if !image.file.is_encrypted() {
                let alt =
                    image.alt_text.as_ref().and_then(|alt| alt.text.find_plain()).unwrap_or(&image.file.name);
                let size =
                    image.image_details.as_ref().map(|details| (details.width.into(), details.height.into()));
                rendering.html = picture(image.file.url.as_str(), alt, size);
                if let Some(caption) = image.caption.as_ref().and_then(|caption| caption.text.find_plain()) {
                    let _ = write!(rendering.html, "<br>{}", html::escape(&bidi::neutralise(caption)));
                }
            }
            Some(rendering)
        }
        View::Sticker(sticker) => Some(self::sticker(sticker, shown)),
        View::Reaction(reaction) => Some(self::reaction(reaction, shown)),
        View::Redaction(redaction) => match &redaction.reason {
            Some(reason) => plain(&format!("Deleted a message: {reason}")),
            None => plain("Deleted a message"),
        },
        View::PollStart(start) => Some(poll(start, shown)),
        View::PollResponse(vote) => plain(match vote.selections.is_empty() {
            true => "Took back a vote",
            false => "Voted",
        }),
        View::PollEnd(end) => plain(end.text.find_plain().unwrap_or("The poll is closed")),
        View::Location(place) => {
            let named = place.location.description.as_deref().or_else(|| place.text.find_plain());
            plain(&format!("Place: {} ({})", named.unwrap_or_default(), place.location.uri))
        }
        View::BeaconInfo(info) => {
            let what = if info.live { "Shares where they are" } else { "Shares no more where they are" };
            match &info.description {
                Some(description) => plain(&format!("{what}: {description}")),
                None => plain(what),
            }
        }
        View::Beacon(beacon) => plain(&format!("Is at {}", beacon.location.uri)),
        View::ImagePack(pack) => plain(&format!(
            "Emoji: {}",
            pack.images.keys().map(|shortcode| format!(":{shortcode}:")).collect::<Vec<_>>().join(" ")
        )),
        View::Encrypted(_) => plain(UNDECRYPTABLE),
        View::CallInvite(_) => plain("Calls"),
        View::CallAnswer(_) => plain("Answered the call"),
        View::CallReject(_) => plain("Refused the call"),
        View::CallHangup(_) => plain("Ended the call"),
        View::CallNotification(_) => plain("Calls everybody"),
        View::Presence(presence) => plain(&format!("Is {}", presence.presence)),
        View::Typing(typing) => plain(match typing.user_ids.is_empty() {
            true => "Nobody is typing",
            false => "Typing",
        }),
        // For the call itself or the list, and not to be read.
        View::CallCandidates(_)
        | View::CallSelectAnswer(_)
        | View::CallNegotiate(_)
        | View::CallMember(_)
        | View::Receipt(_)
        | View::FullyRead(_)
        | View::Unknown => None,
    }
}

fn prefixed(prefix: &str, mut rendering: Rendering) -> Rendering {
    rendering.text.insert_str(0, prefix);
    rendering.html.insert_str(0, prefix);
    rendering
}

/// `File: a.pdf (application/pdf, 12345 bytes)`, and the caption in a line of its own.
fn attachment(what: &str, file: &FileContentBlock, caption: Option<&CaptionContentBlock>) -> String {
    let details = [file.mimetype.as_deref().map(bidi::name), file.size.map(|size| format!("{size} bytes"))];
    let mut text = labelled(what, &file.name, details);
    if let Some(caption) = caption.and_then(|caption| caption.text.find_plain()) {
        text.push('\n');
        text.push_str(caption);
    }
    text
}

pub(super) fn labelled(what: &str, name: &str, details: [Option<String>; 2]) -> String {
    let mut text = what.to_owned();
    if !name.is_empty() {
        let _ = write!(text, ": {}", bidi::name(name));
    }
    let details: Vec<String> = details.into_iter().flatten().collect();
    if !details.is_empty() {
        let _ = write!(text, " ({})", details.join(", "));
    }
    text
}

/// An image that everybody may fetch.
fn picture(uri: &str, alt: &str, size: Option<(u64, u64)>) -> String {
    let mut html = format!("<img src=\"{}\" alt=\"{}\"", html::escape(uri), html::escape(&bidi::name(alt)));
    if let Some((width, height)) = size {
        let _ = write!(html, " width=\"{width}\" height=\"{height}\"");
    }
    html.push('>');
    html
}

fn sticker(sticker: &Sticker, shown: Shown) -> Rendering {
    let (name, uri) = match sticker {
        Sticker::Plain(plain) => match plain.source {
            ruma_events::sticker::StickerMediaSource::Plain(_) => {
                (plain.body.as_str(), source(&plain.source))
            }
            _ => (plain.body.as_str(), None),
        },
        Sticker::Extensible(image) => {
            let alt = image.alt_text.as_ref().map_or(&image.text, |alt| &alt.text);
            (
                alt.find_plain().unwrap_or(&image.file.name),
                (!image.file.is_encrypted()).then(|| &*image.file.url),
            )
        }
    };
    let mut rendering = Rendering::plain(shown, &labelled("Sticker", name, [None, None]));
    if let Some(uri) = uri {
        rendering.html = picture(uri.as_str(), name, None);
    }
    rendering
}

fn reaction(reaction: &Reaction, shown: Shown) -> Rendering {
    match &reaction.mark {
        Mark::Emoji(key) | Mark::Text(key) => Rendering::plain(shown, &bidi::name(key)),
        Mark::Image { uri, shortcode } => {
            let name = shortcode.as_deref().unwrap_or("[image]");
            let mut rendering = Rendering::plain(shown, &bidi::name(name));
            rendering.html = picture(uri.as_str(), name, None);
            rendering
        }
    }
}

/// The question, and the answers as a list.
fn poll(start: &PollStartEventContent, shown: Shown) -> Rendering {
    let PollContentBlock { question, answers, .. } = &start.poll;
    let mut rendering = Rendering::plain(shown, &PollText(&start.poll).to_string());
    let part =
        |text: &TextContentBlock| html::escape(&bidi::neutralise(text.find_plain().unwrap_or_default()));
    let mut list = format!("<p>{}</p><ol>", part(&question.text));
    for answer in answers.iter() {
        let _ = write!(list, "<li>{}</li>", part(&answer.text));
    }
    list.push_str("</ol>");
    rendering.html = list;
    rendering
}

fn older(message: &Legacy, content: &Object, shown: Shown, capabilities: &Capabilities) -> Option<Rendering> {
    if let Some(rendering) = message.text.as_ref().and_then(|text| blocks_text(text, shown, capabilities)) {
        return Some(rendering);
    }
    let message = &message.content.msgtype;
    let file = |what: &str, name: &str, mimetype: Option<&String>, size: Option<u64>| {
        let details = [mimetype.map(|name| bidi::name(name)), size.map(|size| format!("{size} bytes"))];
        Some(Rendering::plain(shown, &labelled(what, name, details)))
    };
    match message {
        MessageType::Emote(_) => {
            older_text(content, shown, capabilities).map(|rendering| prefixed("* ", rendering))
        }
        MessageType::Image(image) => {
            let info = image.info.as_deref();
            let (mimetype, size) = (
                info.and_then(|info| info.mimetype.as_ref()),
                info.and_then(|info| info.size.map(u64::from)),
            );
            let mut rendering = file("Image", image.filename(), mimetype, size)?;
            if let (ruma_events::room::MediaSource::Plain(_), Some(uri)) =
                (&image.source, legacy::source(message))
            {
                let size = info.and_then(|info| Some((info.width?.into(), info.height?.into())));
                rendering.html = picture(uri.as_str(), &image.body, size);
            }
            Some(rendering)
        }
        MessageType::File(one) => {
            let info = one.info.as_deref();
            file(
                "File",
                one.filename(),
                info.and_then(|info| info.mimetype.as_ref()),
                info.and_then(|info| info.size.map(u64::from)),
            )
        }
        MessageType::Audio(one) => {
            let info = one.info.as_deref();
            file(
                "Audio",
                one.filename(),
                info.and_then(|info| info.mimetype.as_ref()),
                info.and_then(|info| info.size.map(u64::from)),
            )
        }
        MessageType::Video(one) => {
            let info = one.info.as_deref();
            file(
                "Video",
                one.filename(),
                info.and_then(|info| info.mimetype.as_ref()),
                info.and_then(|info| info.size.map(u64::from)),
            )
        }
        MessageType::Location(place) => {
            Some(Rendering::plain(shown, &format!("Place: {} ({})", place.body, place.geo_uri)))
        }
        _ => older_text(content, shown, capabilities),
    }
}
