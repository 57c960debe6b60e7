//! The typed views of contents.

use ruma_events::audio::AudioEventContent;
use ruma_events::beacon::BeaconEventContent;
use ruma_events::beacon_info::BeaconInfoEventContent;
use ruma_events::call::answer::CallAnswerEventContent;
use ruma_events::call::candidates::CallCandidatesEventContent;
use ruma_events::call::hangup::CallHangupEventContent;
use ruma_events::call::invite::CallInviteEventContent;
use ruma_events::call::member::CallMemberEventContent;
use ruma_events::call::negotiate::CallNegotiateEventContent;
use ruma_events::call::reject::CallRejectEventContent;
use ruma_events::call::select_answer::CallSelectAnswerEventContent;
use ruma_events::emote::EmoteEventContent;
use ruma_events::file::FileEventContent;
use ruma_events::fully_read::FullyReadEventContent;
use ruma_events::image::ImageEventContent;
use ruma_events::location::LocationEventContent;
use ruma_events::message::MessageEventContent;
use ruma_events::poll::end::PollEndEventContent;
use ruma_events::poll::response::PollResponseEventContent;
use ruma_events::poll::start::PollStartEventContent;
use ruma_events::presence::PresenceEventContent;
use ruma_events::receipt::ReceiptEventContent;
use ruma_events::room::image_pack::RoomImagePackEventContent;
use ruma_events::room::redaction::RoomRedactionEventContent;
use ruma_events::rtc::notification::RtcNotificationEventContent;
use ruma_events::typing::TypingEventContent;
use ruma_events::video::VideoEventContent;
use ruma_events::voice::VoiceEventContent;

use super::kinds::{
    call, file, image, legacy, location, message, poll, presence, reaction, sound, sticker, video,
};
use super::{ContentError, Kind, Legacy, Reaction, Sticker, schema};
use crate::encryption::EncryptedContent;
use crate::json::Object;

/// A content as a value of its kind: types of ruma where it has them, in the form of the newest revision that ruma
/// knows, whatever form the sender used. Relations are not in it: they are [`super::Content::relations`].
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is the view of the kind of the same name")]
pub enum View {
    Message(Box<MessageEventContent>),
    Emote(Box<EmoteEventContent>),
    Notice(Box<MessageEventContent>),
    Legacy(Box<Legacy>),
    File(Box<FileEventContent>),
    Image(Box<ImageEventContent>),
    Video(Box<VideoEventContent>),
    Audio(Box<AudioEventContent>),
    Voice(Box<VoiceEventContent>),
    Sticker(Box<Sticker>),
    Reaction(Box<Reaction>),
    Redaction(Box<RoomRedactionEventContent>),
    PollStart(Box<PollStartEventContent>),
    PollResponse(Box<PollResponseEventContent>),
    PollEnd(Box<PollEndEventContent>),
    Location(Box<LocationEventContent>),
    BeaconInfo(Box<BeaconInfoEventContent>),
    Beacon(Box<BeaconEventContent>),
    ImagePack(Box<RoomImagePackEventContent>),
    Encrypted(Box<EncryptedContent>),
    CallInvite(Box<CallInviteEventContent>),
    CallCandidates(Box<CallCandidatesEventContent>),
    CallAnswer(Box<CallAnswerEventContent>),
    CallSelectAnswer(Box<CallSelectAnswerEventContent>),
    CallNegotiate(Box<CallNegotiateEventContent>),
    CallReject(Box<CallRejectEventContent>),
    CallHangup(Box<CallHangupEventContent>),
    CallMember(Box<CallMemberEventContent>),
    CallNotification(Box<RtcNotificationEventContent>),
    Typing(Box<TypingEventContent>),
    Receipt(Box<ReceiptEventContent>),
    FullyRead(Box<FullyReadEventContent>),
    Presence(Box<PresenceEventContent>),
    /// Nothing is known of the event type.
    Unknown,
}

/// Reads a content as one of `kind`.
pub(super) fn read(kind: Kind, content: &Object) -> Result<View, ContentError> {
    Ok(match kind {
        Kind::Message => View::Message(message::message(kind, content)?),
        Kind::Emote => View::Emote(message::emote(content)?),
        Kind::Notice => View::Notice(message::notice(content)?),
        Kind::Legacy => View::Legacy(legacy::read(content)?),
        Kind::File => View::File(file::read(content)?),
        Kind::Image => View::Image(image::read(kind, content)?),
        Kind::Video => View::Video(video::read(content)?),
        Kind::Audio => View::Audio(sound::audio(content)?),
        Kind::Voice => View::Voice(sound::voice(content)?),
        Kind::Sticker => View::Sticker(sticker::read(content)?),
        Kind::Reaction => View::Reaction(reaction::read(content)?),
        Kind::Redaction => View::Redaction(schema(kind, content)?),
        Kind::PollStart => View::PollStart(poll::start(content)?),
        Kind::PollResponse => View::PollResponse(poll::response(content)?),
        Kind::PollEnd => View::PollEnd(poll::end(content)?),
        Kind::Location => View::Location(location::read(content)?),
        Kind::BeaconInfo => View::BeaconInfo(location::beacon_info(content)?),
        Kind::Beacon => View::Beacon(location::beacon(content)?),
        Kind::ImagePack => View::ImagePack(sticker::pack(content)?),
        Kind::Encrypted => {
            let read = EncryptedContent::parse(content);
            let rule = "is missing, or not of the form of an MLS message's event";
            View::Encrypted(Box::new(read.map_err(|field| ContentError::Rule { kind, field, rule })?))
        }
        Kind::CallInvite => View::CallInvite(call::invite(content)?),
        Kind::CallCandidates => View::CallCandidates(schema(kind, content)?),
        Kind::CallAnswer => View::CallAnswer(call::answer(content)?),
        Kind::CallSelectAnswer => View::CallSelectAnswer(schema(kind, content)?),
        Kind::CallNegotiate => View::CallNegotiate(schema(kind, content)?),
        Kind::CallReject => View::CallReject(schema(kind, content)?),
        Kind::CallHangup => View::CallHangup(schema(kind, content)?),
        Kind::CallMember => View::CallMember(schema(kind, content)?),
        Kind::CallNotification => View::CallNotification(schema(kind, content)?),
        Kind::Typing => View::Typing(schema(kind, content)?),
        Kind::Receipt => View::Receipt(schema(kind, content)?),
        Kind::FullyRead => View::FullyRead(schema(kind, content)?),
        Kind::Presence => View::Presence(presence::read(content)?),
        Kind::Unknown => View::Unknown,
    })
}
