//! Where in a document a fault is, and what would have been accepted in its place.

use mimi_linearized::auth::{AuthRule, Because, Refusal, Rule};
use mimi_linearized::event::ShapeError;
use mimi_linearized::json::strict::{Fault, FaultKind, JsonError, Segment};
use mimi_linearized::signing::SignatureError;

use super::Remark;

/// A JSON pointer (RFC 6901).
pub(super) fn pointer(steps: &[&str]) -> String {
    steps.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

/// JSON that readers disagree on, or none at all.
pub(super) fn unreadable(error: &JsonError) -> Remark {
    let remark = match error {
        JsonError::Syntax(error) => {
            // The reader ends its message with the place, which is told first here.
            let what = error.to_string();
            let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
            Remark::fault(format!("line {}, column {}: {what}", error.line(), error.column()))
        }
        JsonError::Ambiguous(fault) => {
            let accepted = match fault.kind {
                FaultKind::DuplicateKey => "each key once",
                FaultKind::IntegerRange => "an integer from -9007199254740991 to 9007199254740991, or text",
                FaultKind::TooDeep => "less nesting",
                _ => "JSON that every reader reads alike: RFC 8785",
            };
            Remark::fault(fault.kind.to_string()).at(place_of(fault)).accepts(accepted)
        }
        other => Remark::fault(other.to_string()),
    };
    remark.requires("LM-04/7/2")
}

fn place_of(fault: &Fault) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Key(key) => pointer(&[key]),
        Segment::Index(index) => format!("/{index}"),
    };
    fault.path().map(step).collect()
}

/// An event of the wrong shape.
pub(super) fn shape(error: &ShapeError) -> Remark {
    if let ShapeError::Json(error) = error {
        return unreadable(error);
    }
    let mut remark = Remark::fault(error.to_string()).requires(error.requirement());
    let field = match error {
        ShapeError::Missing(field)
        | ShapeError::Type { field, .. }
        | ShapeError::Id { field, .. }
        | ShapeError::TooLong { field, .. }
        | ShapeError::Half(field, _)
        | ShapeError::NotAnLpdu(field) => Some(*field),
        ShapeError::LpduExtraHash(_) | ShapeError::LpduHashed => Some("hashes"),
        ShapeError::LpduHashWithoutHub | ShapeError::LpduHashUnknown => Some("hashes.lpdu"),
        _ => None,
    };
    if let Some(field) = field {
        remark = remark.at(pointer(&field.split('.').collect::<Vec<_>>()));
    }
    let accepted = match error {
        ShapeError::Missing(field) | ShapeError::Id { field, .. } | ShapeError::Type { field, .. } => {
            form_of(field)
        }
        ShapeError::LpduExtraHash(_) => Some("`lpdu` alone: the hub adds the other hash"),
        ShapeError::LpduHashWithoutHub => Some("`hub_server` beside it, or `hashes` without `lpdu`"),
        ShapeError::Half(..) | ShapeError::NotAnLpdu(_) => {
            Some("both `auth_events` and `prev_events` in a whole event, neither in an LPDU")
        }
        ShapeError::NotAnObject => Some("a JSON object"),
        _ => None,
    };
    if let Some(accepted) = accepted {
        remark = remark.accepts(accepted);
    }
    remark.help("receivers drop the event")
}

/// What a field of an event holds.
fn form_of(field: &str) -> Option<&'static str> {
    Some(match field {
        "room_id" => {
            "`!`, letters, digits, `-`, `.`, `~` or `_`, then `:` and a server name; 255 bytes at most"
        }
        "sender" => {
            "`@`, small letters, digits, `-`, `.`, `=`, `_`, `/` or `+`, then `:` and a server name; 255 bytes at most"
        }
        "type" | "state_key" => "text of 255 bytes at most",
        "origin_server_ts" => "an integer of milliseconds since the Unix epoch",
        "hub_server" => "a host name, and perhaps a port; no IP address",
        "content" => "an object",
        "signatures" => "server name to key id to base64",
        "auth_events" | "prev_events" => "an array of event ids, each `$` and URL-safe base64",
        "hashes" | "hashes.sha256" => "`sha256` with the content hash in base64",
        "hashes.lpdu" | "hashes.lpdu.sha256" => {
            "`lpdu`, an object with the LPDU's hash in base64 as `sha256`"
        }
        _ => return None,
    })
}

/// A signature that is missing or wrong.
pub(super) fn signature(error: &SignatureError) -> Remark {
    let (steps, accepted, help) = match error {
        SignatureError::Malformed => (vec![], "server name to key id to base64", "receivers drop the event"),
        SignatureError::Missing(server) => {
            (vec![server.as_str()], "a signature of that server", "receivers drop the event")
        }
        SignatureError::UnknownKey { server, .. } => (
            vec![server.as_str()],
            "a signature by a key that the server publishes",
            "give that server's keys with --keys; receivers drop the event",
        ),
        SignatureError::ExpiredKey { server, key, .. } => (
            vec![server.as_str(), key.as_str()],
            "a signature by a key that is valid at the event's origin_server_ts",
            "the event's origin_server_ts is past the key's validity; receivers drop the event",
        ),
        SignatureError::Mismatch { server, key } => (
            vec![server.as_str(), key.as_str()],
            "a signature over the canonical JSON of the redacted event without `signatures`",
            "receivers drop the event",
        ),
        _ => (vec![], "a sound signature", "receivers drop the event"),
    };
    let at = pointer(&[&["signatures"], steps.as_slice()].concat());
    Remark::fault(error.to_string()).requires("LM-04/5.1/6").at(at).accepts(accepted).help(help)
}

/// An event that a rule refuses.
pub(super) fn refused(refusal: &Refusal) -> Remark {
    let mut remark = Remark::fault(refusal.because.to_string()).requires(refusal.rule.requirement());
    remark.rule = Some(refusal.rule.to_string());
    if let Some(at) = place(&refusal.because) {
        remark = remark.at(at);
    }
    if let Some(accepted) = accepted(refusal) {
        remark = remark.accepts(accepted);
    }
    remark.help("participants reject the event")
}

fn place(because: &Because) -> Option<String> {
    let at = |steps: &[&str]| Some(pointer(steps));
    match because {
        Because::Membership { .. } | Because::Level { .. } => at(&["sender"]),
        Because::NotAbove { .. } | Because::NotSelf { .. } => at(&["state_key"]),
        Because::Field(
            field @ ("membership" | "message" | "public_group_state" | "prev_commit_event_id"),
        ) => at(&["content", field]),
        Because::Field(field) => at(&[field]),
        Because::LevelOf { entry, .. } => {
            let map = if entry.starts_with('@') {
                Some("users")
            } else {
                (entry.contains('.')).then_some("events")
            };
            at(&[&["content"], map.as_slice(), &[entry.as_str()]].concat())
        }
        Because::Malformed { entry, .. } => match (entry.as_str(), entry.rsplit_once(" in ")) {
            ("the state key", _) => at(&["state_key"]),
            ("a key of users", _) => at(&["content", "users"]),
            (_, Some((key, map))) => at(&["content", map, key]),
            (field, None) => at(&["content", field]),
        },
        Because::JoinRule(_) | Because::NotAdmitted { .. } | Because::UnknownMembership(_) => {
            at(&["content", "membership"])
        }
        Because::RoomVersion(_) => at(&["content", "room_version"]),
        Because::Differs { what: "hub_server", .. } => at(&["hub_server"]),
        Because::Differs { what: "the state key", .. } => at(&["state_key"]),
        Because::Differs { what: "the sender", .. } => at(&["sender"]),
        Because::Differs { what: "the domain of the room id", .. } => at(&["room_id"]),
        Because::Cited(_) | Because::CitedTwice { .. } | Because::NotCited(_) => at(&["auth_events"]),
        Because::Event(_) => at(&["prev_events"]),
        _ => None,
    }
}

fn accepted(refusal: &Refusal) -> Option<String> {
    let Rule::Auth(rule) = refusal.rule else { return None };
    Some(match (&refusal.because, rule) {
        (Because::Level { need, .. }, _) => format!("a sender whose level is {need} or more"),
        (Because::NotAbove { sender, .. }, _) => format!("a target whose level is below {sender}"),
        (
            Because::LevelOf { sender, .. },
            AuthRule::LevelCurrentTooHigh | AuthRule::LevelEventCurrentTooHigh,
        ) => {
            format!("the value as it was: only those up to {sender} are the sender's to change")
        }
        (Because::LevelOf { sender, .. }, AuthRule::LevelUserCurrentTooHigh) => {
            format!("the level as it was: only users up to {sender} are the sender's to change")
        }
        (Because::LevelOf { sender, .. }, _) => format!("{sender} or less"),
        (Because::JoinRule(_), AuthRule::KnockJoinRule) => "a room whose join rule is `knock`".to_owned(),
        (Because::NotAdmitted { join_rule, .. }, _) if matches!(join_rule.as_str(), "invite" | "knock") => {
            "a join after an invite, or a room whose join rule is `public`".to_owned()
        }
        (Because::NotAdmitted { .. } | Because::JoinRule(_), _) => {
            "a room whose join rule is `public`, `invite` or `knock`".to_owned()
        }
        (Because::UnknownMembership(_), _) => "`join`, `invite`, `leave`, `ban` or `knock`".to_owned(),
        (Because::NotSelf { .. }, AuthRule::StateKeyOwner) => {
            "the sender's own id, or a state key that does not begin with `@`".to_owned()
        }
        (Because::NotSelf { sender, .. }, _) => format!("the state key {sender:?}"),
        (Because::Membership { .. }, AuthRule::SenderNotJoined) => "a sender who is joined".to_owned(),
        (
            Because::Membership { .. },
            AuthRule::InviteSenderNotJoined | AuthRule::LeaveSenderNotJoined | AuthRule::BanSenderNotJoined,
        ) => "a sender who is joined".to_owned(),
        (Because::Membership { .. }, AuthRule::InviteTarget) => {
            "a target who is neither joined nor banned".to_owned()
        }
        (Because::Membership { .. }, AuthRule::LeaveSelf) => {
            "a sender who is joined, invited or knocking".to_owned()
        }
        (Because::Membership { .. }, AuthRule::KnockOtherwise) => {
            "a sender who is neither joined nor banned".to_owned()
        }
        (Because::Membership { .. }, AuthRule::JoinBanned) => {
            "a sender who is not banned: an unban comes first".to_owned()
        }
        (Because::Malformed { expected, .. }, _) => (*expected).to_owned(),
        (Because::Field("state_key"), AuthRule::MemberMalformed) => "the id of the user concerned".to_owned(),
        (
            Because::Field("state_key") | Because::Differs { what: "the state key", .. },
            AuthRule::CreateHasPrevEvents,
        ) => "an empty state key".to_owned(),
        (Because::Field("membership"), _) => "`join`, `invite`, `leave`, `ban` or `knock`".to_owned(),
        (Because::SecondCreate, _) => "any other type: a room begins once".to_owned(),
        (Because::Event(_), AuthRule::CreateHasPrevEvents) => "no auth events and no predecessor".to_owned(),
        _ => return None,
    })
}
