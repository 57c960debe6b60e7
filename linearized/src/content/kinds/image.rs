//! Images: `m.image` (MSC3552), and the stickers of that form.

use ruma_events::image::{ImageEventContent, ThumbnailContentBlock};
use serde_json::Value;

use super::{file, part_with_text};
use crate::content::names::{ALT_TEXT, FILE, IMAGE_DETAILS, STICKER, THUMBNAIL};
use crate::content::{ContentError, Kind, schema};
use crate::json::Object;

/// `kind` is [`Kind::Image`] or [`Kind::Sticker`].
pub(in crate::content) fn read(kind: Kind, content: &Object) -> Result<Box<ImageEventContent>, ContentError> {
    let mut content = file::prepare(kind, content)?;
    part_with_text(kind, &mut content, ALT_TEXT)?;
    IMAGE_DETAILS.to_unstable(&mut content);
    if let Some(details) = content.get_mut(IMAGE_DETAILS.unstable).and_then(Value::as_object_mut) {
        STICKER.to_unstable(details);
    }
    thumbnails(&mut content);
    let image: Box<ImageEventContent> = schema(kind, &content)?;
    file::check(kind, &image.file, &content)?;
    check_thumbnails(kind, &image.thumbnail)?;
    Ok(image)
}

/// Gives the parts of thumbnails the names that ruma knows.
pub(super) fn thumbnails(content: &mut Object) {
    THUMBNAIL.to_unstable(content);
    let thumbnails = content.get_mut(THUMBNAIL.unstable).and_then(Value::as_array_mut);
    for thumbnail in thumbnails.into_iter().flatten().filter_map(Value::as_object_mut) {
        FILE.to_unstable(thumbnail);
        IMAGE_DETAILS.to_unstable(thumbnail);
    }
}

pub(super) fn check_thumbnails(kind: Kind, thumbnails: &ThumbnailContentBlock) -> Result<(), ContentError> {
    thumbnails.iter().try_for_each(|thumbnail| file::uri(kind, "m.thumbnail", &thumbnail.file.url))
}
