//! Answers made of events as they are stored: their bytes are copied, not read.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use mimi_linearized::id::EventId;

/// A JSON answer with status 200, written already.
#[derive(Debug)]
pub struct RawAnswer(Vec<u8>);

impl RawAnswer {
    /// One event.
    #[must_use]
    pub fn of_event(event: &[u8]) -> Self {
        Self(event.to_vec())
    }

    /// An object whose members are arrays of events, and more members that are written already.
    #[must_use]
    pub fn of_members(members: &[(&str, Member<'_>)]) -> Self {
        let mut out = Vec::with_capacity(4_096);
        out.push(b'{');
        for (index, (name, member)) in members.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            member.write(&mut out);
        }
        out.push(b'}');
        Self(out)
    }
}

/// A member of a written answer.
#[derive(Debug)]
pub enum Member<'a> {
    /// An event.
    Event(&'a [u8]),
    /// An array of events.
    Events(&'a [Arc<[u8]>]),
    /// An array of event ids, whose characters need no escape.
    Ids(&'a [&'a EventId]),
}

impl Member<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Event(event) => out.extend_from_slice(event),
            Self::Events(events) => write_list(out, events.iter(), |out, event| out.extend_from_slice(event)),
            Self::Ids(ids) => write_list(out, ids.iter(), |out, id| {
                out.push(b'"');
                out.extend_from_slice(id.as_str().as_bytes());
                out.push(b'"');
            }),
        }
    }
}

fn write_list<T>(out: &mut Vec<u8>, elements: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, element) in elements.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, element);
    }
    out.push(b']');
}

impl IntoResponse for RawAnswer {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        (StatusCode::OK, [(header::CONTENT_TYPE, json)], self.0).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_make_json() {
        let events: Vec<Arc<[u8]>> = vec![b"{\"a\":1}".as_slice().into(), b"{}".as_slice().into()];
        let id = EventId::parse("$x").unwrap();
        let answer = RawAnswer::of_members(&[
            ("pdus", Member::Events(&events)),
            ("none", Member::Events(&[])),
            ("event", Member::Event(b"{}")),
            ("ids", Member::Ids(&[&id])),
        ]);
        assert_eq!(answer.0, br#"{"pdus":[{"a":1},{}],"none":[],"event":{},"ids":["$x"]}"#);
    }
}
