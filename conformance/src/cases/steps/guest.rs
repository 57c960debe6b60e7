//! Rooms in which the target is a participant.

use std::sync::Arc;

use mimi_linearized::id::UserId;
use mimi_transport::keys::KEY_PATH;
use serde_json::{Value, json};

use crate::case::{Finding, check};
use crate::context::Context;
use crate::peer::{HostedRoom, Inbound, Peer};
use crate::wire::Reply;

/// A room whose hub is a server of the suite, and a user of the target, `carol`, who may be in it.
#[derive(Debug)]
pub(in crate::cases) struct GuestRoom<'c> {
    pub(in crate::cases) ctx: &'c Context,
    pub(in crate::cases) peer: Peer,
    pub(in crate::cases) room: Arc<HostedRoom>,
    pub(in crate::cases) carol: UserId,
}

/// A public room of a new peer that nobody of the target is in.
pub(in crate::cases) async fn foreign_room(ctx: &Context) -> Result<GuestRoom<'_>, Finding> {
    let peer = ctx.peer().await?;
    let room = peer.host_room(json!({})).await?;
    let carol = ctx.user("carol")?;
    Ok(GuestRoom { ctx, peer, room, carol })
}

/// A public room of a new peer that `carol` of the target has joined.
pub(in crate::cases) async fn guest_room(ctx: &Context) -> Result<GuestRoom<'_>, Finding> {
    let room = foreign_room(ctx).await?;
    room.carol_becomes("join").await?;
    Ok(room)
}

/// The target's own requests, those for keys excepted, when `carol` joins a room of a new peer and says something there:
/// as far as it gets. A peer that does not like a request refuses it, and has seen it all the same.
pub(in crate::cases) async fn requests_of_a_guest(ctx: &Context) -> Result<Vec<Inbound>, Finding> {
    let room = foreign_room(ctx).await?;
    if room.try_as_carol("join").await?.status.is_success() {
        room.carol_says("hello").await?;
        room.peer.until_request("send the message to the hub", |request| request.is("send")).await?;
    }
    let mut requests = room.peer.requests();
    requests.retain(|request| !request.target.starts_with(KEY_PATH));
    check!(!requests.is_empty(), "the target did not ask the hub to let its user join");
    Ok(requests)
}

impl GuestRoom<'_> {
    /// Has `carol` change her own membership, whatever the answer.
    pub(in crate::cases) async fn try_as_carol(&self, membership: &str) -> Result<Reply, Finding> {
        let (control, recorder) = (self.ctx.control()?, &self.ctx.recorder);
        let (carol, hub) = (self.carol.as_str(), self.peer.name.as_str());
        control.try_membership(recorder, &self.room.id, carol, carol, membership, &[hub]).await
    }

    /// Has `carol` change her own membership.
    pub(in crate::cases) async fn carol_becomes(&self, membership: &str) -> Result<(), Finding> {
        let reply = self.try_as_carol(membership).await?;
        reply.expect_ok(&format!("membership {membership} of {} by herself", self.carol)).map(drop)
    }

    /// Has `carol` send an event.
    pub(in crate::cases) async fn carol_says(&self, body: &str) -> Result<Value, Finding> {
        let (control, recorder) = (self.ctx.control()?, &self.ctx.recorder);
        let (carol, content) = (self.carol.as_str(), json!({"body": body}));
        control.send(recorder, &self.room.id, carol, "m.room.message", None, &content).await
    }

    /// Waits for an event in the target's list of the room, if it keeps one: a participant may do without.
    pub(in crate::cases) async fn until_listed(
        &self,
        what: &str,
        is: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Result<Value, Finding> {
        if self.ctx.events(&self.room.id).await?.is_empty() {
            let what = "the target keeps no list of a room that it takes part in".to_owned();
            return Err(Finding::Acceptable { reading: "R13", what });
        }
        self.ctx.until_event(&self.room.id, what, is).await
    }

    /// A message of the hub's user, appended to the room and not sent to anybody.
    pub(in crate::cases) fn host_appends(&self, body: &str) -> Result<Value, Finding> {
        let host = self.peer.user("host")?;
        let draft = self.peer.draft(&self.room.id, &host, "m.room.message", json!({"body": body}));
        self.room.append(draft, &self.peer.key)
    }

    /// The hub's user changes a setting of the room. Nobody is told.
    pub(in crate::cases) fn host_sets(
        &self,
        kind: &str,
        state_key: &str,
        content: Value,
    ) -> Result<Value, Finding> {
        let host = self.peer.user("host")?;
        let draft = self.peer.state_draft(&self.room.id, &host, kind, state_key, content);
        self.room.append(draft, &self.peer.key)
    }
}
