//! The kinds of message, as data. `docs/message-content.md` has the same table for people; a test holds it to this one.

use std::fmt;

/// How events of a kind travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Carriage {
    /// As an event of the room's list.
    Event,
    /// As a state event of the room's list.
    State,
    /// As an EDU (LM-04 §12.9), in no list.
    Ephemeral,
    /// As data of one user's account, which stays with that user's server.
    Account,
}

/// Whether a kind is encrypted in a room that has encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Secrecy {
    /// Type and content are the plaintext of an MLS message: the devices of the members see them.
    Inside,
    /// Servers need it: they see it as well.
    Outside,
    /// It never leaves the user's own server.
    Own,
}

/// What is known of a kind.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Facts {
    /// The kind.
    pub kind: Kind,
    /// In words.
    pub name: &'static str,
    /// Its event type in the specification, or the name it would have there.
    pub event_type: &'static str,
    /// Event types that it has in a proposal.
    pub unstable: &'static [&'static str],
    /// Where it is specified.
    pub specified: &'static str,
    /// How it travels.
    pub carriage: Carriage,
    /// Whether it is encrypted.
    pub secrecy: Secrecy,
}

/// One line for each kind makes the enum and the table.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $name:literal, $event_type:literal, [$($unstable:literal),*], $specified:literal, $carriage:ident, $secrecy:ident;)*) => {
        /// What an event type says that an event is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
            /// An event type that is not in the table. It may have representations of kinds that are.
            Unknown,
        }

        /// Every kind but [`Kind::Unknown`].
        pub const KINDS: &[Facts] = &[
            $(Facts {
                kind: Kind::$kind, name: $name, event_type: $event_type, unstable: &[$($unstable),*],
                specified: $specified, carriage: Carriage::$carriage, secrecy: Secrecy::$secrecy,
            },)*
        ];
    };
}

kinds! {
    /// `m.message`: a text, plain or rich.
    Message, "a text message", "m.message", ["org.matrix.msc1767.message"], "MSC1767", Event, Inside;
    /// `m.emote`: what the sender does.
    Emote, "an emote", "m.emote", ["org.matrix.msc1767.emote"], "MSC3954", Event, Inside;
    /// `m.notice`: a text of an automaton.
    Notice, "a notice", "m.notice", ["org.matrix.msc1767.notice"], "MSC1767", Event, Inside;
    /// `m.room.message`: what every deployed client of Matrix sends and reads.
    Legacy, "a message of the older form", "m.room.message", [], "Matrix 1.4", Event, Inside;
    /// `m.file`.
    File, "a file", "m.file", ["org.matrix.msc1767.file"], "MSC3551", Event, Inside;
    /// `m.image`.
    Image, "an image", "m.image", ["org.matrix.msc1767.image"], "MSC3552", Event, Inside;
    /// `m.video`.
    Video, "a video", "m.video", ["org.matrix.msc1767.video"], "MSC3553", Event, Inside;
    /// `m.audio`.
    Audio, "an audio clip", "m.audio", ["org.matrix.msc1767.audio"], "MSC3246", Event, Inside;
    /// `m.voice`.
    Voice, "a voice message", "m.voice", ["org.matrix.msc3245.voice.v2"], "MSC3245", Event, Inside;
    /// `m.sticker`.
    Sticker, "a sticker", "m.sticker", [], "Matrix 1.4, MSC3552", Event, Inside;
    /// `m.reaction`: an emoji, a text or an image on another event.
    Reaction, "a reaction", "m.reaction", [], "Matrix 1.7, MSC4027", Event, Inside;
    /// `m.room.redaction`: a deletion.
    Redaction, "a deletion", "m.room.redaction", [], "Matrix 1.4, R31", Event, Outside;
    /// `m.poll.start`.
    PollStart, "a poll", "m.poll.start", ["org.matrix.msc3381.v2.poll.start", "org.matrix.msc3381.poll.start"], "MSC3381", Event, Inside;
    /// `m.poll.response`.
    PollResponse, "a vote", "m.poll.response", ["org.matrix.msc3381.v2.poll.response", "org.matrix.msc3381.poll.response"], "MSC3381", Event, Inside;
    /// `m.poll.end`, with the tally that its sender saw.
    PollEnd, "the close of a poll", "m.poll.end", ["org.matrix.msc3381.v2.poll.end", "org.matrix.msc3381.poll.end"], "MSC3381", Event, Inside;
    /// `m.location`: a fixed place.
    Location, "a place", "m.location", ["org.matrix.msc3488.location"], "MSC3488", Event, Inside;
    /// `m.beacon_info`: that a user shares where they are.
    BeaconInfo, "the sharing of a changing place", "m.beacon_info", ["org.matrix.msc3672.beacon_info", "org.matrix.msc3489.beacon_info"], "MSC3489, MSC3672", State, Outside;
    /// `m.beacon`: where they are, kept in the room's list or, as an EDU of the same form, nowhere.
    Beacon, "a position of a changing place", "m.beacon", ["org.matrix.msc3672.beacon", "org.matrix.msc3489.beacon"], "MSC3489, MSC3672", Event, Inside;
    /// `m.room.image_pack`: emoji of one's own making, and stickers.
    ImagePack, "a pack of emoji", "m.room.image_pack", ["im.ponies.room_emotes"], "MSC2545", State, Outside;
    /// `m.room.encrypted`: any of those that are inside, encrypted.
    Encrypted, "an encrypted event", "m.room.encrypted", [], "LM-04 §4.5.2", Event, Outside;
    /// `m.call.invite`: a call between two begins.
    CallInvite, "a call's invite", "m.call.invite", [], "Matrix 1.4", Event, Inside;
    /// `m.call.candidates`.
    CallCandidates, "a call's candidates", "m.call.candidates", [], "Matrix 1.4", Event, Inside;
    /// `m.call.answer`.
    CallAnswer, "a call's answer", "m.call.answer", [], "Matrix 1.4", Event, Inside;
    /// `m.call.select_answer`.
    CallSelectAnswer, "a call's choice of an answer", "m.call.select_answer", [], "Matrix 1.7", Event, Inside;
    /// `m.call.negotiate`.
    CallNegotiate, "a call's change of media", "m.call.negotiate", [], "Matrix 1.7", Event, Inside;
    /// `m.call.reject`.
    CallReject, "a call's refusal", "m.call.reject", [], "Matrix 1.7", Event, Inside;
    /// `m.call.hangup`.
    CallHangup, "a call's end", "m.call.hangup", [], "Matrix 1.4", Event, Inside;
    /// `m.call.member`: a device takes part in a call of several.
    CallMember, "a part in a call of several", "m.call.member", ["org.matrix.msc3401.call.member"], "MSC3401, MSC4143", State, Outside;
    /// `m.rtc.notification`: a call of several rings.
    CallNotification, "the ringing of a call of several", "m.rtc.notification", ["org.matrix.msc4075.rtc.notification"], "MSC4075", Event, Inside;
    /// `m.typing`.
    Typing, "a typing notice", "m.typing", [], "Matrix 1.4, R46", Ephemeral, Outside;
    /// `m.receipt`.
    Receipt, "a read receipt", "m.receipt", [], "Matrix 1.4, R46", Ephemeral, Outside;
    /// `m.fully_read`: how far its user has read.
    FullyRead, "a read-up-to marker", "m.fully_read", [], "Matrix 1.4", Account, Own;
    /// `m.presence`.
    Presence, "presence", "m.presence", [], "Matrix 1.4, R46", Ephemeral, Outside;
}

impl Kind {
    /// The kind of an event type, by its stable name or that of a proposal.
    #[must_use]
    pub fn of(event_type: &str) -> Self {
        let found =
            KINDS.iter().find(|facts| facts.event_type == event_type || facts.unstable.contains(&event_type));
        found.map_or(Self::Unknown, |facts| facts.kind)
    }

    /// What is known of it; nothing of [`Kind::Unknown`].
    #[must_use]
    pub fn facts(self) -> Option<&'static Facts> {
        KINDS.iter().find(|facts| facts.kind == self)
    }

    /// Whether it is something to show in a list of messages by itself, and not about another event or the room.
    #[must_use]
    pub fn is_shown(self) -> bool {
        use Kind::{
            Audio, Emote, File, Image, Legacy, Location, Message, Notice, PollStart, Sticker, Video, Voice,
        };
        matches!(
            self,
            Message
                | Emote
                | Notice
                | Legacy
                | File
                | Image
                | Video
                | Audio
                | Voice
                | Sticker
                | PollStart
                | Location
        )
    }
}

impl fmt::Display for Kind {
    /// In words: `a poll`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.facts().map_or("an event of an unknown type", |facts| facts.name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The rows of the table for people.
    fn table() -> String {
        let mut table = String::new();
        for facts in KINDS {
            let unstable: Vec<String> = facts.unstable.iter().map(|name| format!("`{name}`")).collect();
            let carriage = match facts.carriage {
                Carriage::Event => "event",
                Carriage::State => "state event",
                Carriage::Ephemeral => "EDU",
                Carriage::Account => "account data",
            };
            let (place, seen) = match facts.secrecy {
                Secrecy::Inside => ("inside", "devices of members"),
                Secrecy::Outside => ("outside", "members and the room's servers"),
                Secrecy::Own => ("neither", "the user and their server"),
            };
            let (name, event_type, specified) = (facts.name, facts.event_type, facts.specified);
            let unstable = unstable.join(", ");
            table += &format!(
                "| {name} | `{event_type}` | {unstable} | {specified} | {carriage} | {place} | {seen} |\n"
            );
        }
        table
    }

    #[test]
    fn the_table_for_people_is_the_table() {
        let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/message-content.md"));
        for row in table().lines() {
            assert!(
                document.contains(row),
                "docs/message-content.md has not the row\n{row}\nThe whole table:\n{}",
                table()
            );
        }
        // Besides them, the heads of the only table with seven columns.
        let rows = document.lines().filter(|line| line.matches('|').count() == 8).count();
        assert_eq!(rows, KINDS.len() + 2, "docs/message-content.md has a row too many");
    }

    #[test]
    fn every_event_type_has_one_kind() {
        let mut seen = BTreeSet::new();
        for facts in KINDS {
            for name in facts.unstable.iter().chain([&facts.event_type]) {
                assert!(seen.insert(*name), "{name} twice");
                assert_eq!(Kind::of(name), facts.kind);
            }
        }
        assert_eq!(Kind::of("org.example.x"), Kind::Unknown);
    }
}
