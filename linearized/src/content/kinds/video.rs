//! Videos: `m.video` (MSC3553).

use ruma_events::video::VideoEventContent;

use super::{file, image};
use crate::content::names::VIDEO_DETAILS;
use crate::content::{ContentError, Kind, schema};
use crate::json::Object;

pub(in crate::content) fn read(content: &Object) -> Result<Box<VideoEventContent>, ContentError> {
    let kind = Kind::Video;
    let mut content = file::prepare(kind, content)?;
    VIDEO_DETAILS.to_unstable(&mut content);
    image::thumbnails(&mut content);
    let video: Box<VideoEventContent> = schema(kind, &content)?;
    file::check(kind, &video.file, &content)?;
    image::check_thumbnails(kind, &video.thumbnail)?;
    Ok(video)
}
