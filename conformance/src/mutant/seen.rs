//! Requests and answers as faults see them.

use http::{HeaderMap, Method, StatusCode, header};
use mimi_linearized::id::ServerName;
use mimi_linearized::json::strict;
use mimi_linearized::signing::{SigningKey, sign_object};
use serde_json::Value;

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The path and query.
    pub(crate) target: String,
    /// The name of the server that was asked.
    pub(crate) server: ServerName,
    /// The mutant's own key.
    pub(crate) key: SigningKey,
}

/// The endpoint of a path: the segment that names it, whatever the prefix.
pub(super) fn endpoint(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    let mut segments = path.split('/').skip(1);
    match (segments.next(), segments.next()) {
        (Some(".well-known"), _) => "well-known",
        (Some("_matrix"), Some("key")) => "key",
        (Some("_matrix"), Some("federation")) => {
            if segments.next() == Some("unstable") {
                segments.next();
            }
            match segments.next() {
                Some("user") if path.ends_with("/user/keys/claim") => "claim",
                Some("user") => "device",
                other => other.unwrap_or_default(),
            }
        }
        // The control API: /control/v1/rooms/{room}/events
        (Some("control"), Some(_)) => path.rsplit('/').next().unwrap_or_default(),
        _ => "",
    }
}

impl Asked {
    /// The endpoint.
    pub(crate) fn endpoint(&self) -> &str {
        endpoint(&self.target)
    }

    /// Whether it is one of these endpoints.
    pub(crate) fn is(&self, endpoints: &[&str]) -> bool {
        endpoints.contains(&self.endpoint())
    }
}

/// A request that a fault may change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    /// The method.
    pub(crate) method: Method,
    /// The path and query.
    pub(crate) target: String,
    /// The server that it goes to.
    pub(crate) to: ServerName,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body as JSON; `Null` if it is none.
    pub(crate) body: Value,
}

impl Sent {
    /// The endpoint.
    pub(crate) fn endpoint(&self) -> &str {
        endpoint(&self.target)
    }

    /// Whether it is one of these endpoints.
    pub(crate) fn is(&self, endpoints: &[&str]) -> bool {
        endpoints.contains(&self.endpoint())
    }

    /// An array in the body.
    pub(crate) fn list(&mut self, name: &str) -> Option<&mut Vec<Value>> {
        self.body.get_mut(name)?.as_array_mut()
    }

    /// Replaces the last segment of the path.
    pub(crate) fn rename(&mut self, id: &str) {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (self.target.as_str(), String::new()),
        };
        if let Some((before, _)) = path.rsplit_once('/') {
            self.target = format!("{before}/{id}{query}");
        }
    }
}

/// An answer that a fault may change.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: bytes::Bytes,
}

impl Answer {
    /// Whether it is a success.
    pub(crate) fn is_ok(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// Changes the body, if it is JSON.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        if let Ok(mut value) = strict::parse(&self.body) {
            change(&mut value);
            self.set(&value);
        }
    }

    /// Changes the body of a success.
    pub(crate) fn edit_ok(&mut self, change: impl FnOnce(&mut Value)) {
        if self.is_ok() {
            self.edit(change);
        }
    }

    /// Changes the body of a success and signs it anew.
    pub(crate) fn edit_signed(&mut self, asked: &Asked, change: impl FnOnce(&mut Value)) {
        self.edit_ok(|value| {
            change(value);
            if let Value::Object(object) = value {
                object.remove("signatures");
                sign_object(object, &asked.server, &asked.key);
            }
        });
    }

    /// Replaces the body.
    pub(crate) fn set(&mut self, value: &Value) {
        self.body = value.to_string().into();
        self.headers.remove(header::CONTENT_LENGTH);
    }

    /// The `errcode` of an error.
    pub(crate) fn errcode(&self) -> String {
        let value = strict::parse(&self.body).unwrap_or_default();
        value.get("errcode").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Turns one error into another.
    pub(crate) fn instead(&mut self, from: (u16, &str), to: (u16, &str)) {
        if self.status.as_u16() == from.0 && self.errcode() == from.1 {
            self.status = StatusCode::from_u16(to.0).unwrap_or(self.status);
            let code = to.1.to_owned();
            self.edit(|value| set(value, "errcode", Value::String(code)));
        }
    }
}

/// Sets a member of an object.
pub(crate) fn set(value: &mut Value, name: &str, to: Value) {
    if let Value::Object(object) = value {
        object.insert(name.to_owned(), to);
    }
}

/// Takes a member of an object away.
pub(crate) fn remove(value: &mut Value, name: &str) {
    if let Value::Object(object) = value {
        object.remove(name);
    }
}

/// An array in an object.
pub(crate) fn list<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Vec<Value>> {
    value.get_mut(name)?.as_array_mut()
}
