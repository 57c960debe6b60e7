//! A server that has the keys of those alone with whom it has talked (LM-04 §6.3).

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use http::StatusCode;
use http::header::AUTHORIZATION;
use mimi_transport::request_auth::Credentials;

use super::seen::{Answer, Asked, Sent};

/// With whom it has talked. Servers have names of their own in a run.
static KNOWN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Takes note of who asks.
pub(super) fn note(sent: &mut Sent) {
    let header = sent.headers.get(AUTHORIZATION);
    if let Some(Ok(credentials)) = header.map(|header| Credentials::parse(header.as_bytes())) {
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(credentials.origin.to_string());
    }
}

/// Finds the keys of nobody but those, and those whom it has asked something itself.
pub(super) fn refuse(asked: &Asked, answer: &mut Answer) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if !asked.is(&["key"]) {
        known.insert(asked.server.to_string());
    } else if !known.contains(asked.server.as_str()) {
        answer.status = StatusCode::NOT_FOUND;
    }
}
