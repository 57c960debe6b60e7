//! Who may invite a user.

use mimi_linearized::id::UserId;
use mimi_linearized::json::{Object, Value};
use serde_json::json;

use super::pattern::ServerPattern;

/// How many exceptions of each kind a user may have.
pub const MAX_EXCEPTIONS: usize = 1_000;

/// Who may invite a user: everybody or nobody, with exceptions.
///
/// As JSON: `{"default": "allow" or "block", "except": {"users": [user ids], "servers": [patterns]}}`, where `except` and its
/// members may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InvitePermissions {
    /// Whether those who are no exception are refused.
    pub block: bool,
    /// For these users it is the other way round.
    pub users: Vec<UserId>,
    /// And for those of these servers.
    pub servers: Vec<ServerPattern>,
}

/// Why JSON is no permissions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionError {
    /// `default` is missing or something else.
    #[error("`default` must be \"allow\" or \"block\"")]
    Default,
    /// A member is there that is not known.
    #[error("{0:?} is not known")]
    Unknown(String),
    /// A member is no array of what it should have.
    #[error("`except.{0}` must be an array of at most 1,000 {1}")]
    Exceptions(&'static str, &'static str),
}

impl InvitePermissions {
    /// Whether `sender` may invite whose permissions these are.
    #[must_use]
    pub fn allow(&self, sender: &UserId) -> bool {
        let server = sender.server();
        let excepted = self.users.contains(sender) || self.servers.iter().any(|pattern| pattern.has(&server));
        self.block == excepted
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`PermissionError`] says what is wrong: permissions that are not understood whole are not taken.
    pub fn read(object: &Object) -> Result<Self, PermissionError> {
        only(object, &["default", "except"])?;
        let block = match object.get("default").and_then(Value::as_str) {
            Some("allow") => false,
            Some("block") => true,
            _ => return Err(PermissionError::Default),
        };
        let none = Object::new();
        let except = match object.get("except") {
            None => &none,
            Some(Value::Object(except)) => except,
            Some(_) => return Err(PermissionError::Exceptions("users", "user ids")),
        };
        only(except, &["users", "servers"])?;
        let users = array(except, "users", |text| UserId::parse(text).ok());
        let servers = array(except, "servers", |text| ServerPattern::parse(text).ok());
        Ok(Self {
            block,
            users: users.ok_or(PermissionError::Exceptions("users", "user ids"))?,
            servers: servers.ok_or(PermissionError::Exceptions("servers", "patterns of server names"))?,
        })
    }

    /// Writes them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let users: Vec<&str> = self.users.iter().map(UserId::as_str).collect();
        let servers: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        let default = if self.block { "block" } else { "allow" };
        json!({"default": default, "except": {"users": users, "servers": servers}})
    }
}

fn only(object: &Object, known: &[&str]) -> Result<(), PermissionError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(PermissionError::Unknown(key.clone())),
        None => Ok(()),
    }
}

fn array<T>(object: &Object, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    match object.get(name) {
        None => Some(Vec::new()),
        Some(Value::Array(entries)) if entries.len() <= MAX_EXCEPTIONS => {
            entries.iter().map(|entry| read(entry.as_str()?)).collect()
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &Value) -> Result<InvitePermissions, PermissionError> {
        InvitePermissions::read(value.as_object().unwrap())
    }

    fn allowed(value: &Value) -> [bool; 3] {
        let permissions = read(value).unwrap();
        assert_eq!(read(&permissions.to_json()).unwrap(), permissions);
        ["@bob:b.example", "@carol:b.example", "@dave:d.example:8448"]
            .map(|user| permissions.allow(&UserId::parse(user).unwrap()))
    }

    #[test]
    fn exceptions_turn_the_default_round() {
        let except = json!({"users": ["@bob:b.example"], "servers": ["d.example"]});
        assert_eq!(allowed(&json!({"default": "allow"})), [true; 3]);
        assert_eq!(allowed(&json!({"default": "block"})), [false; 3]);
        assert_eq!(allowed(&json!({"default": "block", "except": except})), [true, false, true]);
        assert_eq!(allowed(&json!({"default": "allow", "except": except})), [false, true, false]);
        assert_eq!(InvitePermissions::default(), read(&json!({"default": "allow"})).unwrap());
    }

    #[test]
    fn what_is_not_understood_is_not_taken() {
        let many = vec!["@bob:b.example"; MAX_EXCEPTIONS + 1];
        for (value, error) in [
            (json!({}), PermissionError::Default),
            (json!({"default": "deny"}), PermissionError::Default),
            (json!({"default": "block", "x": 1}), PermissionError::Unknown("x".to_owned())),
            (
                json!({"default": "block", "except": {"rooms": []}}),
                PermissionError::Unknown("rooms".to_owned()),
            ),
            (json!({"default": "block", "except": []}), PermissionError::Exceptions("users", "user ids")),
            (
                json!({"default": "block", "except": {"users": ["bob"]}}),
                PermissionError::Exceptions("users", "user ids"),
            ),
            (
                json!({"default": "block", "except": {"users": many}}),
                PermissionError::Exceptions("users", "user ids"),
            ),
            (
                json!({"default": "block", "except": {"servers": ["a b"]}}),
                PermissionError::Exceptions("servers", "patterns of server names"),
            ),
        ] {
            assert_eq!(read(&value).unwrap_err(), error, "{value}");
        }
    }
}
