//! Texts: `m.message`, `m.emote`, `m.notice` (MSC1767, MSC3954, MSC3955).

use ruma_events::emote::EmoteEventContent;
use ruma_events::message::MessageEventContent;
use serde::de::DeserializeOwned;

use super::{need_text, without_relations};
use crate::content::names::{AUTOMATED, TEXT};
use crate::content::{ContentError, Kind, schema};
use crate::json::Object;

/// A text, or what has one and nothing else.
pub(in crate::content) fn message(
    kind: Kind,
    content: &Object,
) -> Result<Box<MessageEventContent>, ContentError> {
    text(kind, content)
}

pub(in crate::content) fn emote(content: &Object) -> Result<Box<EmoteEventContent>, ContentError> {
    text(Kind::Emote, content)
}

/// A text whose type says that an automaton sent it, which the accepted proposal says with a member.
pub(in crate::content) fn notice(content: &Object) -> Result<Box<MessageEventContent>, ContentError> {
    let mut notice = message(Kind::Notice, content)?;
    notice.automated = true;
    Ok(notice)
}

fn text<T: DeserializeOwned>(kind: Kind, content: &Object) -> Result<Box<T>, ContentError> {
    let mut content = without_relations(content);
    need_text(kind, &mut content, TEXT.unstable)?;
    AUTOMATED.to_unstable(&mut content);
    schema(kind, &content)
}
