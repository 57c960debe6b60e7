//! Getting into rooms and out of them: templates, handshakes, invites (LM-04 §12.7).

mod hub_invites;
mod invitee;
mod joiner;
mod participant_invites;
mod send_steps;
mod templates;

use mimi_linearized::event;
use mimi_linearized::id::ServerName;
use mimi_linearized::signing::{KeyRing, check_object};
use mimi_linearized::version::RoomVersions;
use mimi_transport::clock;
use serde_json::Value;

use crate::case::{Case, Finding, fault};
use crate::cases::steps::paths;
use crate::cases::steps::stripped::{STRIPPED, expect_stripped, telling_settings, types};
use crate::context::Context;
use crate::peer::{Inbound, Peer};

pub(super) const CASES: &[&[Case]] = &[
    templates::CASES,
    send_steps::CASES,
    hub_invites::CASES,
    participant_invites::CASES,
    invitee::CASES,
    joiner::CASES,
];

/// Whether a server's signature on an event is sound.
fn is_signed_by(pdu: &Value, server: &ServerName, keys: &impl KeyRing) -> bool {
    let mut object = pdu.as_object().cloned().unwrap_or_default();
    event::redact(&mut object, &RoomVersions::lm_04().default_version().redaction);
    check_object(&object, server, keys, clock::now_ms()).is_ok()
}

/// An event without the signatures of a server.
fn without_signature(pdu: &Value, server: &ServerName) -> Value {
    let mut pdu = pdu.clone();
    if let Some(Value::Object(signatures)) = pdu.get_mut("signatures") {
        signatures.remove(server.as_str());
    }
    pdu
}

/// The membership of a user, as an event says it.
fn membership_in(event: &Value) -> &str {
    event.pointer("/content/membership").and_then(Value::as_str).unwrap_or_default()
}

/// A room's event about a user's membership on the target.
async fn member_event(
    ctx: &Context,
    room: &crate::cases::steps::HubRoom<'_>,
    user: &str,
) -> Result<Value, Finding> {
    let event = ctx.state_event(&room.id, "m.room.member", user).await?;
    event.ok_or_else(|| fault(format!("the room's state has no membership of {user}")))
}

/// The invites that a server was asked to take.
fn invites(peer: &Peer) -> Vec<Inbound> {
    peer.requests().into_iter().filter(|request| request.is("invite")).collect()
}

/// The event in the answer to an invite. Where the unstable path is the only one, it may be called `event` (reading R23).
fn answered_invite<'a>(ctx: &Context, answer: &'a Value) -> Option<&'a Value> {
    let path = paths::invite("any");
    let alias = answer.get("event").filter(|_| ctx.path(&path) != path);
    answer.get("pdu").or(alias)
}
