//! Calls between two (`m.call.*`, Matrix 1.4).

use ruma_events::call::SessionDescription;
use ruma_events::call::answer::CallAnswerEventContent;
use ruma_events::call::invite::CallInviteEventContent;

use crate::content::{ContentError, Kind, schema};
use crate::json::Object;

pub(in crate::content) fn invite(content: &Object) -> Result<Box<CallInviteEventContent>, ContentError> {
    let invite: Box<CallInviteEventContent> = schema(Kind::CallInvite, content)?;
    session(Kind::CallInvite, "offer", &invite.offer)?;
    Ok(invite)
}

pub(in crate::content) fn answer(content: &Object) -> Result<Box<CallAnswerEventContent>, ContentError> {
    let answer: Box<CallAnswerEventContent> = schema(Kind::CallAnswer, content)?;
    session(Kind::CallAnswer, "answer", &answer.answer)?;
    Ok(answer)
}

/// The description says what it is, and is not empty.
fn session(kind: Kind, field: &'static str, session: &SessionDescription) -> Result<(), ContentError> {
    match session.session_type == field && !session.sdp.is_empty() {
        true => Ok(()),
        false => Err(ContentError::Rule { kind, field, rule: "is no session description of that type" }),
    }
}
