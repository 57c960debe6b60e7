//! `m.room.message`: the older form, which every deployed client of Matrix speaks.

use ruma_common::MxcUri;
use ruma_events::room::MediaSource;
use ruma_events::room::message::{MessageType, RoomMessageEventContent};

use serde_json::Value;

use super::{file, location, without_relations};
use crate::content::{Blocks, ContentError, Kind, schema};
use crate::json::Object;

/// A message of the older form.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Legacy {
    /// As ruma has it.
    pub content: RoomMessageEventContent,
    /// The text of the newer form, if the sender wrote both; it goes before `body` and `formatted_body` (MSC1767).
    pub text: Option<Blocks>,
}

pub(in crate::content) fn read(content: &Object) -> Result<Box<Legacy>, ContentError> {
    let kind = Kind::Legacy;
    let text = Blocks::read(content).map_err(|fault| ContentError::Text { kind, fault })?;
    let message: Box<RoomMessageEventContent> = schema(kind, &without_relations(content))?;
    if let Some(url) = source(&message.msgtype) {
        file::uri(kind, "url", url)?;
    }
    let info = content.get("info");
    let thumbnails = [
        info.and_then(|info| info.get("thumbnail_url")),
        info.and_then(|info| info.get("thumbnail_file")?.get("url")),
    ];
    for url in thumbnails.into_iter().flatten().filter_map(Value::as_str) {
        file::uri(kind, "thumbnail_url", url.into())?;
    }
    if let MessageType::Location(place) = &message.msgtype {
        location::uri(kind, &place.geo_uri)?;
    }
    let formatted = content.get("formatted_body").is_some_and(Value::is_string);
    if content.contains_key("format") && !formatted {
        return Err(ContentError::Rule { kind, field: "formatted_body", rule: "is missing beside `format`" });
    }
    Ok(Box::new(Legacy { content: *message, text }))
}

/// Where the file of an attachment is.
pub(in crate::content) fn source(message: &MessageType) -> Option<&MxcUri> {
    let source = match message {
        MessageType::Audio(audio) => &audio.source,
        MessageType::File(file) => &file.source,
        MessageType::Image(image) => &image.source,
        MessageType::Video(video) => &video.source,
        _ => return None,
    };
    Some(match source {
        MediaSource::Plain(url) => url,
        MediaSource::Encrypted(file) => &file.url,
    })
}
