//! Sounds: `m.audio` (MSC3246) and `m.voice`, one that was spoken into a device (MSC3245).

use ruma_events::audio::AudioEventContent;
use ruma_events::voice::VoiceEventContent;
use serde_json::Value;

use super::file;
use crate::content::names::{AUDIO_DETAILS, WAVEFORM};
use crate::content::{ContentError, Kind, schema};
use crate::json::Object;

pub(in crate::content) fn audio(content: &Object) -> Result<Box<AudioEventContent>, ContentError> {
    let content = prepare(Kind::Audio, content)?;
    let audio: Box<AudioEventContent> = schema(Kind::Audio, &content)?;
    file::check(Kind::Audio, &audio.file, &content)?;
    Ok(audio)
}

pub(in crate::content) fn voice(content: &Object) -> Result<Box<VoiceEventContent>, ContentError> {
    let content = prepare(Kind::Voice, content)?;
    let voice: Box<VoiceEventContent> = schema(Kind::Voice, &content)?;
    file::check(Kind::Voice, &voice.file, &content)?;
    Ok(voice)
}

fn prepare(kind: Kind, content: &Object) -> Result<Object, ContentError> {
    let mut content = file::prepare(kind, content)?;
    AUDIO_DETAILS.to_unstable(&mut content);
    if let Some(details) = content.get_mut(AUDIO_DETAILS.unstable).and_then(Value::as_object_mut) {
        WAVEFORM.to_unstable(details);
    }
    Ok(content)
}
