//! Steps that many cases are made of.

use mimi_linearized::event::{self, Draft, hash};
use mimi_linearized::id::{RoomId, UserId};
use mimi_linearized::json::Object;
use mimi_linearized::version::RoomVersions;
use serde_json::{Value, json};

use crate::case::{Finding, check, fault};
use crate::context::Context;
use crate::peer::{Peer, Sent, lpdu_hash};

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
    hub_room_with(ctx, json!({"join_rule": "public"})).await
}

/// A room on the target with these settings, which have to let `bob` join.
pub(super) async fn hub_room_with(ctx: &Context, settings: Value) -> Result<HubRoom<'_>, Finding> {
    let id = ctx.create_room(settings).await?;
    let peer = ctx.peer().await?;
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

    /// No event with this LPDU's hash, or, if it has none, its very fields, is in the target's list.
    pub(super) async fn is_not_listed(&self, lpdu: &Value, what: &str) -> Result<(), Finding> {
        let hash = lpdu_hash(lpdu);
        let same = |event: &Value| {
            if hash.is_empty() {
                let fields = ["type", "sender", "state_key", "origin_server_ts", "content"];
                fields.iter().all(|field| event.get(field) == lpdu.get(field))
            } else {
                lpdu_hash(event) == hash
            }
        };
        let events = self.ctx.events(&self.id).await?;
        check!(!events.iter().any(same), "{what} is in the room's list");
        Ok(())
    }
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
    let versions = RoomVersions::lm_04();
    let signature =
        peer.key.sign(&hash::signing_bytes(object, &versions.default_version().redaction)).to_base64();
    object.insert("signatures".to_owned(), json!({peer.name.as_str(): {peer.key.id().as_str(): signature}}));
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
