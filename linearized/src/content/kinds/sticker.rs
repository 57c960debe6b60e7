//! Stickers (`m.sticker`), and the packs that they and custom emoji come from (`m.room.image_pack`, MSC2545).

use ruma_common::MxcUri;
use ruma_events::image::ImageEventContent;
use ruma_events::room::image_pack::RoomImagePackEventContent;
use ruma_events::sticker::{StickerEventContent, StickerMediaSource};

use super::{file, image, without_relations};
use crate::content::names::FILE;
use crate::content::{ContentError, Kind, schema};
use crate::json::Object;

/// A sticker, in either form.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Sticker {
    /// With `body`, `info` and `url`, or `file` where it is encrypted (Matrix 1.4).
    Plain(StickerEventContent),
    /// As an image (MSC3552).
    Extensible(ImageEventContent),
}

pub(in crate::content) fn read(content: &Object) -> Result<Box<Sticker>, ContentError> {
    let kind = Kind::Sticker;
    if FILE.find(content).is_some() {
        return Ok(Box::new(Sticker::Extensible(*image::read(kind, content)?)));
    }
    let sticker: Box<StickerEventContent> = schema(kind, &without_relations(content))?;
    if let Some(url) = source(&sticker.source) {
        file::uri(kind, "url", url)?;
    }
    Ok(Box::new(Sticker::Plain(*sticker)))
}

/// Where the picture is.
pub(in crate::content) fn source(source: &StickerMediaSource) -> Option<&MxcUri> {
    match source {
        StickerMediaSource::Plain(url) => Some(url),
        StickerMediaSource::Encrypted(file) => Some(&file.url),
        _ => None,
    }
}

pub(in crate::content) fn pack(content: &Object) -> Result<Box<RoomImagePackEventContent>, ContentError> {
    let kind = Kind::ImagePack;
    let pack: Box<RoomImagePackEventContent> = schema(kind, content)?;
    for (shortcode, image) in &pack.images {
        file::uri(kind, "url", &image.url)?;
        if shortcode.is_empty()
            || shortcode.len() > 100
            || shortcode.contains(|c: char| c == ':' || c.is_whitespace())
        {
            return Err(ContentError::Rule {
                kind,
                field: "images",
                rule: "has a shortcode that cannot be written",
            });
        }
    }
    Ok(pack)
}
