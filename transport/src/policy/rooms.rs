//! What this server asks of the rooms that it is the hub of, beside the rules of their version (readings R59 to R61).

use mimi_linearized::auth::Membership;
use mimi_linearized::event::{Event, kind};
use mimi_linearized::id::{ServerName, UserId};
use mimi_linearized::json::{Object, Value};
use mimi_linearized::room::Room;
use serde::Deserialize;

use super::pattern::{PatternError, ServerPattern};

/// The state event that says which servers take part in a room.
pub const SERVER_ACL: &str = "m.room.server_acl";
/// The state event that says whom a room is open to.
pub const ACCESS_RULES: &str = "im.vector.room.access_rules";

/// The table `[rooms]` of the policy's file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RoomSettings {
    history_visibility: Option<Visibility>,
    #[serde(default)]
    encrypted: bool,
    #[serde(default)]
    server_acl: bool,
    external_servers: Option<Vec<String>>,
}

/// The history visibilities there are.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Visibility {
    Shared,
    Invited,
    Joined,
    WorldReadable,
}

impl Visibility {
    fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Invited => "invited",
            Self::Joined => "joined",
            Self::WorldReadable => "world_readable",
        }
    }
}

/// What this server, as a hub, asks of its rooms. By itself nothing.
#[derive(Debug, Clone, Default)]
pub struct RoomPolicy {
    /// The history visibility of new rooms for which nobody gives another.
    pub history_visibility: Option<String>,
    /// Whether new rooms have to be encrypted.
    pub encrypted: bool,
    /// Whether `m.room.server_acl` is enforced (reading R61).
    pub server_acl: bool,
    /// The servers that `im.vector.room.access_rules` are about, if they are enforced (reading R60).
    pub external: Option<Vec<ServerPattern>>,
}

/// Whom `im.vector.room.access_rules` let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AccessRule {
    /// Nobody of an external server.
    Restricted,
    /// Everybody; those of external servers when they are invited.
    Unrestricted,
    /// Two people.
    Direct,
}

impl AccessRule {
    fn read(content: &Object) -> Option<Self> {
        match content.get("rule").and_then(Value::as_str)? {
            "restricted" => Some(Self::Restricted),
            "unrestricted" => Some(Self::Unrestricted),
            "direct" => Some(Self::Direct),
            _ => None,
        }
    }
}

impl RoomPolicy {
    pub(super) fn read(settings: &RoomSettings) -> Result<Self, PatternError> {
        let patterns = |texts: &Vec<String>| texts.iter().map(|text| ServerPattern::parse(text)).collect();
        Ok(Self {
            history_visibility: settings.history_visibility.map(|setting| setting.as_str().to_owned()),
            encrypted: settings.encrypted,
            server_acl: settings.server_acl,
            external: settings.external_servers.as_ref().map(patterns).transpose()?,
        })
    }

    /// State events that a new room begins with, unless it is created with such events.
    pub(crate) fn first_state(&self) -> Option<(&'static str, Object)> {
        let mut content = Object::new();
        content.insert("rule".to_owned(), Value::from("restricted"));
        self.external.is_some().then_some((ACCESS_RULES, content))
    }

    /// Whether a server may take part in a room: nothing that it asks about the room is answered otherwise, and none of its
    /// users' events are taken. The hub itself always may.
    ///
    /// # Errors
    /// Why it may not.
    pub(crate) fn check_server(&self, room: &Room, server: &ServerName) -> Result<(), &'static str> {
        if !self.server_acl || room.hub() == server {
            return Ok(());
        }
        let acl = room.state().current(SERVER_ACL, "");
        if acl.is_none_or(|acl| acl_allows(acl.event().content(), server)) {
            Ok(())
        } else {
            Err("the room's m.room.server_acl denies the server")
        }
    }

    /// Whether an event may come next in a room, which its rules allow.
    ///
    /// # Errors
    /// Why it may not.
    pub(crate) fn check_event(&self, room: &Room, event: &Event) -> Result<(), &'static str> {
        self.check_server(room, &event.sender().server())?;
        match &self.external {
            Some(external) => check_access(external, room, event),
            None => Ok(()),
        }
    }
}

/// Whether an access control list lets a server take part: it is on `allow`, and not on `deny`. As in Matrix, a list that is
/// no array of texts is an empty one. `allow_ip_literals` changes nothing: no server is named by an address (LM-04 §3.1).
fn acl_allows(acl: &Object, server: &ServerName) -> bool {
    let has = |list: &str| {
        let entries = acl.get(list).and_then(Value::as_array);
        entries
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(|entry| ServerPattern::parse(entry).is_ok_and(|pattern| pattern.has(server)))
    };
    !has("deny") && has("allow")
}

fn check_access(external: &[ServerPattern], room: &Room, event: &Event) -> Result<(), &'static str> {
    let is_external = |server: &ServerName| external.iter().any(|pattern| pattern.has(server));
    let state = room.state().current(ACCESS_RULES, "").map(|event| event.event().content());
    // A room that says nothing, or nothing that is known, is restricted.
    let rule = state.and_then(AccessRule::read).unwrap_or(AccessRule::Restricted);
    if event.state_key().is_none() {
        return Ok(());
    }
    match event.kind() {
        ACCESS_RULES => check_change(state.map(|_| rule), AccessRule::read(event.content()), room),
        kind::MEMBER => check_member(&is_external, rule, room, event),
        kind::POWER_LEVELS if rule == AccessRule::Unrestricted => check_levels(&is_external, event.content()),
        kind::JOIN_RULES if rule == AccessRule::Direct => match event.content_str("join_rule") {
            Some("public") => Err("a direct room is not public"),
            _ => Ok(()),
        },
        kind::NAME | kind::TOPIC | kind::AVATAR if rule == AccessRule::Direct => {
            Err("a direct room has no name, topic or avatar")
        }
        _ => Ok(()),
    }
}

fn check_change(
    before: Option<AccessRule>,
    after: Option<AccessRule>,
    room: &Room,
) -> Result<(), &'static str> {
    let after = after.ok_or("im.vector.room.access_rules have a rule that is not known")?;
    if after == AccessRule::Direct && members(room).count() > 2 {
        return Err("a direct room has two members");
    }
    match (before, after) {
        (None, _) | (Some(AccessRule::Restricted), AccessRule::Unrestricted) => Ok(()),
        (Some(_), _) => Err("im.vector.room.access_rules change from restricted to unrestricted alone"),
    }
}

fn members(room: &Room) -> impl Iterator<Item = &str> {
    room.state().current_of(kind::MEMBER).filter_map(|event| event.event().state_key())
}

fn check_member(
    is_external: &dyn Fn(&ServerName) -> bool,
    rule: AccessRule,
    room: &Room,
    event: &Event,
) -> Result<(), &'static str> {
    let Some(user) = event.state_key().and_then(|key| UserId::parse(key).ok()) else { return Ok(()) };
    let comes = |memberships: &[Membership]| {
        memberships.iter().any(|membership| event.membership() == Some(membership.as_str()))
    };
    match rule {
        AccessRule::Restricted
            if comes(&[Membership::Join, Membership::Invite, Membership::Knock])
                && is_external(&user.server()) =>
        {
            Err("the room's access rule is restricted, and the user's server is external")
        }
        AccessRule::Unrestricted
            if comes(&[Membership::Join])
                && is_external(&user.server())
                && !matches!(room.membership(&user), Membership::Invite | Membership::Join) =>
        {
            Err("users of external servers come in when they are invited")
        }
        AccessRule::Direct
            if members(room).count() >= 2 && !members(room).any(|member| member == user.as_str()) =>
        {
            Err("a direct room has two members")
        }
        _ => Ok(()),
    }
}

fn check_levels(is_external: &dyn Fn(&ServerName) -> bool, levels: &Object) -> Result<(), &'static str> {
    let is_zero = |level: &Value| level.as_i64() == Some(0);
    if levels.get("users_default").is_some_and(|level| !is_zero(level)) {
        return Err("`users_default` is 0 in an unrestricted room");
    }
    let users = levels.get("users").and_then(Value::as_object);
    let raised = users.into_iter().flatten().any(|(user, level)| {
        !is_zero(level) && UserId::parse(user).is_ok_and(|user| is_external(&user.server()))
    });
    if raised { Err("users of external servers have the level 0 in an unrestricted room") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn allows(acl: &Value, server: &str) -> bool {
        acl_allows(acl.as_object().unwrap(), &ServerName::parse(server).unwrap())
    }

    #[test]
    fn an_acl_allows_and_denies() {
        let all = json!({"allow": ["*"], "deny": ["*.evil.example", "evil.example"]});
        for (server, allowed) in [
            ("a.example", true),
            ("evil.example:8449", false),
            ("x.evil.example", false),
            ("notevil.example", true),
        ] {
            assert_eq!(allows(&all, server), allowed, "{server}");
        }
        assert!(!allows(&json!({}), "a.example"), "whom nobody allows");
        assert!(!allows(&json!({"allow": "*"}), "a.example"), "no array");
        assert!(allows(&json!({"allow": [7, "a.?xample"]}), "A.example"));
    }

    #[test]
    fn levels_of_external_servers_stay_at_zero() {
        let external = |server: &ServerName| server.host() == "out.example";
        let checked = |levels: Value| check_levels(&external, levels.as_object().unwrap()).is_ok();
        assert!(checked(json!({"users_default": 0, "users": {"@a:in.example": 100, "@b:out.example": 0}})));
        assert!(!checked(json!({"users_default": 1})));
        assert!(!checked(json!({"users": {"@b:out.example": 50}})));
    }
}
