//! The rules that decide about events, each with its place in the draft.

use std::fmt;

/// Declares the rules of one family with their places.
macro_rules! rules {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $place:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $doc])* $variant,)*
        }

        impl $name {
            /// Every rule, in the order of the draft.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its place.
            #[must_use]
            pub fn place(self) -> &'static str {
                match self {
                    $(Self::$variant => $place,)*
                }
            }
        }
    };
}

rules! {
    /// A rule of the authorization algorithm; the place is its number (LM-04 §5.2.3).
    AuthRule {
        /// `m.room.create` with `prev_events`, or a second one (reading R12).
        CreateHasPrevEvents = "3.1",
        /// `m.room.create` in another server's namespace.
        CreateNamespace = "3.2",
        /// `m.room.create` for a room version that is not implemented.
        CreateVersion = "3.3",
        /// `m.room.create` is allowed.
        CreateAllowed = "3.4",
        /// Two cited events for one type and state key.
        CitedTwice = "4.1",
        /// The cited events are not the selection.
        CitedWrongly = "4.2",
        /// No `m.room.create` is cited.
        CitedNoCreate = "4.3",
        /// A membership event without `state_key` or `membership`.
        MemberMalformed = "5.1",
        /// The creator's first join.
        JoinCreator = "5.2.1",
        /// A join for somebody else.
        JoinNotSelf = "5.2.2",
        /// A join of a banned user.
        JoinBanned = "5.2.3",
        /// A join where an invite is needed, and is there.
        JoinInvited = "5.2.4",
        /// A join of a public room.
        JoinPublic = "5.2.5",
        /// Any other join.
        JoinOtherwise = "5.2.6",
        /// An invite by somebody who is not joined.
        InviteSenderNotJoined = "5.3.1",
        /// An invite of somebody joined or banned.
        InviteTarget = "5.3.2",
        /// An invite by somebody who may.
        InviteAllowed = "5.3.3",
        /// Any other invite.
        InviteOtherwise = "5.3.4",
        /// Leaving by oneself.
        LeaveSelf = "5.4.1",
        /// A kick by somebody who is not joined.
        LeaveSenderNotJoined = "5.4.2",
        /// An unban by somebody who may not ban.
        LeaveUnban = "5.4.3",
        /// A kick by somebody who may.
        LeaveKick = "5.4.4",
        /// Any other kick.
        LeaveOtherwise = "5.4.5",
        /// A ban by somebody who is not joined.
        BanSenderNotJoined = "5.5.1",
        /// A ban by somebody who may.
        BanAllowed = "5.5.2",
        /// Any other ban.
        BanOtherwise = "5.5.3",
        /// A knock where the room takes none.
        KnockJoinRule = "5.6.1",
        /// A knock for somebody else.
        KnockNotSelf = "5.6.2",
        /// A knock by somebody neither banned nor joined.
        KnockAllowed = "5.6.3",
        /// Any other knock.
        KnockOtherwise = "5.6.4",
        /// A membership that does not exist.
        MembershipUnknown = "5.7",
        /// The sender is not joined.
        SenderNotJoined = "6",
        /// The sender's level is below what the event type needs.
        SendLevel = "7",
        /// A state key that is another user's.
        StateKeyOwner = "8",
        /// A level that is not an integer.
        LevelNotInteger = "9.1",
        /// `events` is not an object of integers.
        LevelEvents = "9.2",
        /// `users` is not an object of integers by user id.
        LevelUsers = "9.3",
        /// The first power levels of a room.
        LevelsFirst = "9.4",
        /// A level above the sender's is changed.
        LevelCurrentTooHigh = "9.5.1",
        /// A level is set above the sender's.
        LevelNewTooHigh = "9.5.2",
        /// An event type's level above the sender's is changed.
        LevelEventCurrentTooHigh = "9.6.1",
        /// An event type's level is set above the sender's.
        LevelEventNewTooHigh = "9.7.1",
        /// A user's level above the sender's is changed.
        LevelUserCurrentTooHigh = "9.8.1",
        /// A user's level is set above the sender's.
        LevelUserNewTooHigh = "9.9.1",
        /// The power levels are allowed.
        LevelsAllowed = "9.10",
        /// Anything else is allowed.
        Allowed = "10",
    }
}

rules! {
    /// A rule about MLS in rooms; the place is a requirement's section and number, or a reading.
    MlsRule {
        /// `content` lacks the fields of a commit, or they are not what they should be.
        Malformed = "4.5.1/1",
        /// The commit is not a `PublicMessage`.
        NotPublic = "4/2",
        /// The commit or its group state is for another group than the room's.
        OtherGroup = "4/1",
        /// The commit or its group state is for another ciphersuite than the room's, or for one not implemented.
        OtherSuite = "4/7",
        /// The commit is for another epoch than the group is in.
        Epoch = "R28",
        /// The committer is not in the group, or the event is sent by another user than the committer.
        Committer = "R28",
        /// A proposal by reference, or of another member.
        Proposals = "4.3/1",
        /// The published group state is not what the commit makes.
        GroupState = "4.5.1/2",
        /// What stands apart from the event is not here, or is not what the event names.
        Apart = "R35",
        /// A leaf may not be used yet, or not any more.
        Lifetime = "R28",
        /// A leaf's credential is malformed or not the leaf's own.
        Credential = "4.1/1",
        /// A device was added whose user is not joined.
        AddedNotJoined = "4.3/4",
        /// A device was removed by somebody who may not.
        RemovedIllegally = "4.3/6",
    }
}

rules! {
    /// A rule about where an event stands; the place is a requirement's section and number, or a reading.
    RoomRule {
        /// The room is not known.
        UnknownRoom = "12.5.1/7",
        /// An event of another room.
        OtherRoom = "12.5.1/6",
        /// An event through another hub than the room's, or through none.
        OtherHub = "R10",
        /// A whole event sent to the hub, which takes LPDUs only.
        PduToHub = "R10",
        /// The event, with what the hub adds, would be too large.
        TooLarge = "3.5/25",
        /// The event follows an event that another one follows already.
        Fork = "R13",
        /// The event follows something that is not known and could not be fetched.
        UnknownPredecessor = "R13",
        /// A second event made of one LPDU.
        SealedTwice = "R14",
        /// The event has not exactly one predecessor.
        Predecessors = "3.5/21",
    }
}

rules! {
    /// A rule about the hub, in room versions whose hub can change (reading R32); the place is its number there.
    HubRule {
        /// `m.room.hub` with a state key, or without one, or naming no server.
        Malformed = "R32/1",
        /// The sender's level is below what `m.room.hub` needs.
        Level = "R32/2",
        /// The server named is the hub already.
        Unchanged = "R32/3",
        /// The server named has no joined user.
        NotInRoom = "R32/4",
        /// The server named has not consented.
        NoConsent = "R32/5",
        /// The event was sealed by another server than the hub of its place in the list.
        OtherSealer = "R32/6",
        /// This server has handed the room over.
        HandedOver = "R32/7",
        /// The sender is a user of the server named.
        ForItself = "R32/8",
    }
}

/// Why an event is refused: the rule that did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// An authorization rule.
    Auth(AuthRule),
    /// A rule about MLS.
    Mls(MlsRule),
    /// A rule about the event's place.
    Room(RoomRule),
    /// A rule about the hub.
    Hub(HubRule),
}

impl Rule {
    /// The entry that the rule has in the catalogue (`LM-04/...`), or among the readings (`R..`).
    #[must_use]
    pub fn requirement(self) -> String {
        let place = match self {
            Self::Auth(rule) => return format!("LM-04/auth/{}", rule.place()),
            Self::Mls(rule) => rule.place(),
            Self::Room(rule) => rule.place(),
            Self::Hub(rule) => rule.place(),
        };
        match place.split('/').next().filter(|place| place.starts_with('R')) {
            Some(reading) => reading.to_owned(),
            None => format!("LM-04/{place}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auth(rule) => write!(f, "auth {}", rule.place()),
            Self::Mls(rule) => write!(f, "mls {}", rule.place()),
            Self::Room(rule) => write!(f, "room {}", rule.place()),
            Self::Hub(rule) => write!(f, "hub {}", rule.place()),
        }
    }
}

impl From<AuthRule> for Rule {
    fn from(rule: AuthRule) -> Self {
        Self::Auth(rule)
    }
}

impl From<MlsRule> for Rule {
    fn from(rule: MlsRule) -> Self {
        Self::Mls(rule)
    }
}

impl From<RoomRule> for Rule {
    fn from(rule: RoomRule) -> Self {
        Self::Room(rule)
    }
}

impl From<HubRule> for Rule {
    fn from(rule: HubRule) -> Self {
        Self::Hub(rule)
    }
}
