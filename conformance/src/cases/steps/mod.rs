//! Steps that many cases are made of.

pub(super) mod device_objects;
pub(super) mod endpoints;
pub(super) mod followed;
pub(super) mod guest;
pub(super) mod key_responses;
pub(super) mod ledger;
pub(super) mod named;
pub(super) mod paths;
pub(crate) mod person;
pub(super) mod stripped;

use mimi_linearized::event::{self, Draft, hash};
use mimi_linearized::id::{RoomId, UserId};
use mimi_linearized::json::{Object, canonical};
use mimi_linearized::version::RoomVersions;
use serde_json::{Value, json};

use crate::case::{Finding, check, fault};
use crate::context::Context;
use crate::peer::{Peer, Sent, lpdu_hash};

/// The fields of an event that redaction keeps (LM-04 §8).
pub(super) const KEPT: [&str; 11] = [
    "type",
    "room_id",
    "sender",
    "state_key",
    "content",
    "origin_server_ts",
    "hashes",
    "signatures",
    "prev_events",
    "auth_events",
    "hub_server",
];

/// How many events are tried in one transaction, which may have 50 entries.
const AT_ONCE: usize = 40;

/// A room whose hub is the target, and a server of the suite with a user, `bob`, in it.
#[derive(Debug)]
pub(super) struct HubRoom<'c> {
    pub(super) ctx: &'c Context,
    pub(super) id: RoomId,
    pub(super) peer: Peer,
    pub(super) bob: UserId,
}

/// A public room on the target that `bob` of a new peer has joined.
pub(super) async fn hub_room(ctx: &Context) -> Result<HubRoom<'_>, Finding> {
    let peer = ctx.peer().await?;
    hub_room_of(ctx, peer).await
}

/// A room on the target with these settings, which have to let `bob` join.
pub(super) async fn hub_room_with(ctx: &Context, settings: Value) -> Result<HubRoom<'_>, Finding> {
    let peer = ctx.peer().await?;
    settle(ctx, peer, settings).await
}

/// A room on the target in which every member has level 100 and anybody may join.
pub(super) async fn open_room(ctx: &Context) -> Result<HubRoom<'_>, Finding> {
    hub_room_with(ctx, json!({"join_rule": "public", "power_levels": {"users_default": 100}})).await
}

/// A public room on the target that `bob` of this peer has joined.
pub(super) async fn hub_room_of(ctx: &Context, peer: Peer) -> Result<HubRoom<'_>, Finding> {
    settle(ctx, peer, json!({"join_rule": "public"})).await
}

async fn settle(ctx: &Context, peer: Peer, settings: Value) -> Result<HubRoom<'_>, Finding> {
    let id = ctx.create_room(settings).await?;
    let bob = peer.user("bob")?;
    peer.join(&id, &bob).await?;
    Ok(HubRoom { ctx, id, peer, bob })
}

impl HubRoom<'_> {
    /// A message of `bob`.
    pub(super) fn message(&self, body: &str) -> Draft {
        self.peer.draft(&self.id, &self.bob, "m.room.message", json!({"body": body}))
    }

    /// A state event of `bob`.
    pub(super) fn state(&self, kind: &str, state_key: &str, content: Value) -> Draft {
        self.peer.state_draft(&self.id, &self.bob, kind, state_key, content)
    }

    /// A membership change of `target` by `bob`.
    pub(super) fn member(&self, target: &UserId, membership: &str) -> Draft {
        self.peer.member(&self.id, &self.bob, target, membership)
    }

    /// The hub takes this event. Returns the PDU that comes back.
    pub(super) async fn accepts(&self, draft: &Draft) -> Result<Value, Finding> {
        self.peer.say(draft).await
    }

    /// The hub rejects this event: it says so, and the event is not in the list.
    pub(super) async fn rejects(&self, draft: &Draft, what: &str) -> Result<(), Finding> {
        let lpdu = self.peer.lpdu(draft)?;
        self.rejects_lpdu(&lpdu, what).await
    }

    /// As [`Self::rejects`], for an LPDU that was made already.
    pub(super) async fn rejects_lpdu(&self, lpdu: &Value, what: &str) -> Result<(), Finding> {
        let sent = self.peer.send(std::slice::from_ref(lpdu), &[]).await?;
        sent.expect_rejected(&reference_id(lpdu), what)?;
        self.is_not_listed(lpdu, what).await
    }

    /// The hub drops this LPDU: it says nothing of it, and the event is not in the list. A sound event that comes along
    /// in the same transaction is taken.
    pub(super) async fn drops(&self, lpdu: &Value, what: &str) -> Result<(), Finding> {
        let sound = self.peer.lpdu(&self.message("sound"))?;
        let sent = self.peer.send(&[lpdu.clone(), sound.clone()], &[]).await?;
        not_reported(&sent, what)?;
        self.peer.until_echo(&sound).await?;
        self.is_not_listed(lpdu, what).await
    }

    /// The hub takes none of these LPDUs, and says nothing of any: each is dropped, and no neighbour of theirs is.
    pub(super) async fn drops_all(&self, bad: &[(String, Value)]) -> Result<(), Finding> {
        let failed = self.refuses_all(bad).await?;
        for (what, lpdu) in bad {
            let reported = failed.contains_key(&reference_id(lpdu));
            check!(!reported, "{what} is to be dropped without being reported, and is in failed_pdus");
        }
        check!(failed.is_empty(), "failed_pdus has entries for dropped events: {}", Value::Object(failed));
        Ok(())
    }

    /// The hub takes none of these LPDUs, whether it reports them or not, and takes a sound one behind them. Returns
    /// what it reports.
    pub(super) async fn refuses_all(&self, bad: &[(String, Value)]) -> Result<Object, Finding> {
        let mut failed = Object::new();
        for some in bad.chunks(AT_ONCE) {
            let sound = self.peer.lpdu(&self.message("sound"))?;
            let pdus: Vec<Value> = some.iter().map(|(_, lpdu)| lpdu.clone()).chain([sound.clone()]).collect();
            failed.extend(self.peer.send(&pdus, &[]).await?.expect_processed()?);
            self.peer.until_echo(&sound).await?;
            let events = self.ctx.events(&self.id).await?;
            for (what, lpdu) in some {
                check!(!events.iter().any(|event| is_made_of(event, lpdu)), "{what} is in the room's list");
            }
        }
        Ok(failed)
    }

    /// Nothing that was made of this LPDU is in the target's list.
    pub(super) async fn is_not_listed(&self, lpdu: &Value, what: &str) -> Result<(), Finding> {
        let events = self.ctx.events(&self.id).await?;
        check!(!events.iter().any(|event| is_made_of(event, lpdu)), "{what} is in the room's list");
        Ok(())
    }

    /// A text of the content of the event in a slot of the room's state, empty if there is none.
    pub(super) async fn state_text(
        &self,
        kind: &str,
        state_key: &str,
        field: &str,
    ) -> Result<String, Finding> {
        let event = self.ctx.state_event(&self.id, kind, state_key).await?;
        let content = event.as_ref().and_then(|event| event.get("content"));
        Ok(content.map(|content| text(content, field)).unwrap_or_default().to_owned())
    }
}

/// Whether an event is made of this LPDU: it has its hash, or, if the LPDU has none that can be read, its very fields,
/// with the content that it had or with what redaction leaves of it.
fn is_made_of(event: &Value, lpdu: &Value) -> bool {
    let hash = lpdu_hash(lpdu);
    if !hash.is_empty() {
        return lpdu_hash(event) == hash;
    }
    let same = |field: &str| event.get(field) == lpdu.get(field);
    let content = event.get("content");
    ["type", "sender", "state_key", "origin_server_ts"].iter().all(|field| same(field))
        && (same("content") || content == Some(&json!({})))
}

/// What has been found so far that a target may do otherwise, while there is more to try.
#[derive(Debug, Default)]
pub(super) struct Tolerated(Option<Finding>);

impl Tolerated {
    /// Remembers a finding of that kind, and passes every other on.
    pub(super) fn note(&mut self, result: Result<(), Finding>) -> Result<(), Finding> {
        match result {
            Err(finding @ Finding::Acceptable { .. }) => {
                self.0.get_or_insert(finding);
                Ok(())
            }
            other => other,
        }
    }

    /// Whether there is nothing yet.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The first of what was remembered.
    pub(super) fn end(self) -> Result<(), Finding> {
        self.0.map_or(Ok(()), Err)
    }
}

/// Something that holds unless the suite itself is at fault.
pub(super) fn sure(holds: bool, what: impl Into<String>) -> Result<(), Finding> {
    if holds { Ok(()) } else { Err(Finding::Suite(what.into())) }
}

/// Nothing in the transaction was reported.
pub(super) fn not_reported(sent: &Sent, what: &str) -> Result<(), Finding> {
    let failed = sent.expect_processed()?;
    let got = Value::Object(failed.clone());
    check!(failed.is_empty(), "{what} is to be dropped without being reported; failed_pdus is {got}");
    Ok(())
}

/// The id of an object as it was sent: `$` and its reference hash.
pub(super) fn reference_id(object: &Value) -> String {
    let object = object.as_object().cloned().unwrap_or_default();
    event::reference_id(&object, RoomVersions::lm_04().default_version()).to_string()
}

/// A text of an event.
pub(super) fn text<'e>(event: &'e Value, field: &str) -> &'e str {
    event.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Changes a well-made LPDU and signs it again, without making its hash right again.
pub(super) fn resigned(peer: &Peer, lpdu: &Value, change: impl FnOnce(&mut Object)) -> Value {
    let mut object = lpdu.as_object().cloned().unwrap_or_default();
    change(&mut object);
    sign(peer, &mut object);
    Value::Object(object)
}

/// Changes a well-made LPDU, and makes its hash and its signature right again.
pub(super) fn remade(peer: &Peer, lpdu: &Value, change: impl FnOnce(&mut Object)) -> Value {
    let mut object = lpdu.as_object().cloned().unwrap_or_default();
    change(&mut object);
    let hash = mimi_linearized::base64::encode(&hash::lpdu_content_hash(&object));
    if let Some(hashes) = object.get_mut("hashes").and_then(Value::as_object_mut) {
        hashes.insert("lpdu".to_owned(), json!({"sha256": hash}));
    }
    sign(peer, &mut object);
    Value::Object(object)
}

fn sign(peer: &Peer, object: &mut Object) {
    let signature = peer.key.sign(&signed_bytes(object)).to_base64();
    object.insert("signatures".to_owned(), json!({peer.name.as_str(): {peer.key.id().as_str(): signature}}));
}

/// The bytes that are signed for an event or LPDU as it is.
pub(super) fn signed_bytes(object: &Object) -> Vec<u8> {
    hash::signing_bytes(object, &RoomVersions::lm_04().default_version().redaction)
}

/// The target's signature on an event covers the whole of it.
pub(super) async fn is_signed_by_target(ctx: &Context, event: &Value) -> Result<(), Finding> {
    let environment = &ctx.environment;
    let mut redacted = event.as_object().cloned().unwrap_or_default();
    event::redact(&mut redacted, &environment.versions.default_version().redaction);
    let (ring, now) = (environment.target_ring().await?, mimi_transport::clock::now_ms());
    let checked = mimi_linearized::signing::check_object(&redacted, &environment.target.name, &ring, now);
    checked.map_err(|error| fault(format!("the target's signature on {}: {error}", reference_id(event))))
}

/// The letters of a text, each in the other case.
pub(super) fn swap_case(text: &str) -> String {
    let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    text.chars().map(swap).collect()
}

/// Changes an event without making hashes or signatures right again.
pub(super) fn altered(event: &Value, change: impl FnOnce(&mut Object)) -> Value {
    let mut object = event.as_object().cloned().unwrap_or_default();
    change(&mut object);
    Value::Object(object)
}

/// Sets a member of an event's content.
pub(super) fn set_content(event: &mut Object, key: &str, value: Value) {
    if let Some(Value::Object(content)) = event.get_mut("content") {
        content.insert(key.to_owned(), value);
    }
}

/// Sets what stands under a server's name in an event's signatures.
pub(super) fn set_signatures(event: &mut Object, server: &str, signatures: Value) {
    let entry = event.entry("signatures").or_insert_with(|| json!({}));
    if let Value::Object(entry) = entry {
        entry.insert(server.to_owned(), signatures);
    }
}

/// The size of an event, in bytes of canonical JSON.
pub(super) fn size(event: &Value) -> usize {
    canonical::to_vec(event).len()
}

/// The strings of an array of an event.
pub(super) fn texts(event: &Value, field: &str) -> Vec<String> {
    let list = event.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|element| element.as_str().map(ToOwned::to_owned)).collect()
}

/// The error of a reply of the control API that is to be a refusal by a rule.
pub(super) fn expect_refusal(reply: &crate::wire::Reply, what: &str) -> Result<(), Finding> {
    if reply.is(403, "M_FORBIDDEN") {
        return Ok(());
    }
    let (status, errcode) = (reply.status.as_u16(), reply.errcode());
    Err(fault(format!("{what} is to be refused with 403 M_FORBIDDEN, the answer was {status} {errcode}")))
}
