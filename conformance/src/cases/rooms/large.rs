//! Rooms with more devices than fit into an event (reading R35).

use http::Method;
use mimi_linearized::base64;
use mimi_linearized::encryption::{ApartContent, CommitContent, MessageDigest};
use mimi_linearized::event::Draft;
use mimi_linearized::id::{EventId, UserId};
use mimi_mls::{
    Carriage, Changes, Decrypted, Device, Engine, KeyPackage, KeyPackageUse, OutboundCommit, Placement,
    Suite, batches,
};
use mimi_transport::api::{LARGE_ROOMS_PREFIX, commit_message, commit_tree, upload_commit};
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault};
use crate::cases::steps::{HubRoom, hub_room_with, reference_id, text};
use crate::context::Context;
use crate::peer::Peer;
use crate::wire::Reply;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        May,
        Hub,
        "4.5.1/trees-apart",
        "in a room of more devices than fit into a group state, devices join with the tree that the hub serves",
        ["R35"],
        trees_apart
    ),
    driven_case!(
        May,
        Hub,
        "4.5.1/commits-apart",
        "a commit that stands apart from its event is taken with the bytes that the hub was given before",
        ["R35"],
        commits_apart
    ),
];

/// How many devices the room gets: more than any group state has room for with its tree.
const DEVICES: usize = 230;

fn broken(error: impl std::fmt::Display) -> Finding {
    Finding::Suite(format!("MLS on the suite's side: {error}"))
}

/// A device, which its server publishes.
fn engine(ctx: &Context, user: &UserId, id: &str) -> Result<Engine, Finding> {
    let device = Device::generate(user.as_str(), id, Suite::MANDATORY).map_err(broken)?;
    ctx.published().publish(user.as_str(), id, device.object().map_err(broken)?.into_value());
    Ok(Engine::new(device))
}

fn key_package(engine: &Engine) -> Result<KeyPackage, Finding> {
    KeyPackage::generate(engine.device(), KeyPackageUse::OneTime).map_err(broken)
}

fn content(commit: &OutboundCommit) -> Value {
    let prev = commit.prev_commit_event_id.as_deref().and_then(|id| EventId::parse(id).ok());
    let public_group_state = commit.public_group_state.clone();
    Value::Object(if commit.apart {
        let message = MessageDigest::of(&commit.message);
        ApartContent { message, public_group_state, prev_commit_event_id: prev }.to_json()
    } else {
        let message = commit.message.clone();
        CommitContent { message, public_group_state, prev_commit_event_id: prev }.to_json()
    })
}

/// An encrypted room on the target, and `bob`'s device in its group.
struct LargeRoom<'c> {
    room: HubRoom<'c>,
    bob: Engine,
}

/// A room with its first commit, if the target has what the cases are about.
async fn large_room(ctx: &Context) -> Result<LargeRoom<'_>, Finding> {
    let room = hub_room_with(ctx, json!({"join_rule": "public", "encrypted": true})).await?;
    let nothing = format!("{LARGE_ROOMS_PREFIX}/tree/%24none");
    if room.peer.request_exactly(Method::GET, &nothing, None).await?.is(404, "M_UNRECOGNIZED") {
        let what = format!("the target has no endpoints under {LARGE_ROOMS_PREFIX}");
        return Err(Finding::Untried(what));
    }
    let mut bob = engine(ctx, &room.bob, "BOB")?;
    bob.create(room.id.as_str()).map_err(broken)?;
    let mut this = LargeRoom { room, bob };
    this.commits(Changes { update: true, ..Changes::default() }).await?;
    Ok(this)
}

impl LargeRoom<'_> {
    fn draft(&self, user: &UserId, commit: &OutboundCommit) -> Draft {
        self.room.peer.draft(&self.room.id, user, "m.mls.commit", content(commit))
    }

    /// `bob` commits, and the hub takes it. Returns the commit and its event's id.
    async fn commits(&mut self, changes: Changes) -> Result<(OutboundCommit, EventId), Finding> {
        let commit = self.bob.commit(self.room.id.as_str(), changes).map_err(broken)?;
        if commit.apart {
            self.upload(&self.room.peer, &commit.message).await?.expect_ok("the upload of a commit")?;
        }
        let event = self.room.accepts(&self.draft(&self.room.bob, &commit)).await?;
        let id = reference_id(&event);
        self.bob.accepted(self.room.id.as_str(), &id).map_err(broken)?;
        Ok((commit, EventId::parse(&id).map_err(broken)?))
    }

    async fn upload(&self, peer: &Peer, message: &[u8]) -> Result<Reply, Finding> {
        let body = json!({"message": base64::encode(message)});
        peer.request_exactly(Method::POST, &upload_commit::paths(&self.room.id).stable, Some(&body)).await
    }

    async fn tree(&self, peer: &Peer, id: &EventId) -> Result<Reply, Finding> {
        peer.request_exactly(Method::GET, &commit_tree::paths(id).stable, None).await
    }

    async fn message(&self, peer: &Peer, id: &EventId) -> Result<Reply, Finding> {
        peer.request_exactly(Method::GET, &commit_message::paths(id).stable, None).await
    }

    async fn is_in_epoch(&self, expected: u64) -> Result<(), Finding> {
        let epoch = self.room.ctx.room(&self.room.id).await?.mls_epoch().unwrap_or(0);
        check!(epoch == expected, "the target says that the group is in epoch {epoch} instead of {expected}");
        Ok(())
    }
}

fn bytes(reply: &Reply, field: &str) -> Result<Vec<u8>, Finding> {
    let answer = reply.expect_ok(field)?;
    let decoded = base64::decode(text(answer, field));
    decoded.map_err(|error| fault(format!("`{field}` is {error}")))
}

async fn trees_apart(ctx: &Context) -> Result<(), Finding> {
    let mut large = large_room(ctx).await?;
    let (id, bob) = (large.room.id.clone(), large.room.bob.clone());
    let devices = (0..DEVICES).map(|number| key_package(&engine(ctx, &bob, &format!("D{number}"))?));
    for add in batches(devices.collect::<Result<Vec<_>, _>>()?) {
        large.commits(Changes { add, ..Changes::default() }).await?;
    }
    // One joins by Welcome, with the tree after its commit, when another commit has come already.
    let carol = large.room.peer.user("carol")?;
    large.room.peer.join(&id, &carol).await?;
    let mut invited = engine(ctx, &carol, "INVITED")?;
    let changes = Changes { add: vec![key_package(&invited)?], ..Changes::default() };
    let (added, added_by) = large.commits(changes).await?;
    let changes = Changes { add: vec![key_package(&engine(ctx, &bob, "LAST")?)?], ..Changes::default() };
    let (last, last_id) = large.commits(changes).await?;
    let tree = bytes(&large.tree(&large.room.peer, &added_by).await?, "ratchet_tree")?;
    let welcome = added.welcome.as_ref().ok_or_else(|| broken("nobody was added"))?;
    invited.join_with_tree(&welcome.message, added_by.as_str(), Some(&tree)).map_err(|error| {
        fault(format!("with the tree that the hub serves, a device cannot join: {error}"))
    })?;
    invited.receive_commit(id.as_str(), &last.message, last_id.as_str()).map_err(broken)?;

    // Another joins on its own, with the tree after the last commit.
    let tree = bytes(&large.tree(&large.room.peer, &last_id).await?, "ratchet_tree")?;
    let mut late = engine(ctx, &carol, "LATE")?;
    let join = late
        .join_external_with_tree(
            id.as_str(),
            &last.public_group_state,
            last_id.as_str(),
            Some(&tree),
            Carriage::default(),
        )
        .map_err(|error| fault(format!("with the tree that the hub serves, no device can join: {error}")))?;
    let event = large.room.accepts(&large.draft(&carol, &join)).await?;
    late.accepted(id.as_str(), &reference_id(&event)).map_err(broken)?;
    for engine in [&mut large.bob, &mut invited] {
        engine.receive_commit(id.as_str(), &join.message, &reference_id(&event)).map_err(broken)?;
    }
    large.is_in_epoch(join.epoch).await?;
    let sent = large.bob.encrypt(id.as_str(), b"to all").map_err(broken)?;
    for engine in [&mut late, &mut invited] {
        let read = engine.decrypt(id.as_str(), &sent.ciphertext).map_err(broken)?;
        check!(matches!(read, Decrypted::Message { .. }), "a message cannot be read by who joined");
    }

    // A server that is not in the room is told nothing.
    let outsider = ctx.peer().await?;
    let what = "a server that is not in the room, asking for a tree,";
    large.tree(&outsider, &last_id).await?.expect_error(what, 404, "M_NOT_FOUND")?;
    let nothing = EventId::parse("$none").map_err(broken)?;
    let what = "a request for the tree of an event that does not exist";
    large.tree(&large.room.peer, &nothing).await?.expect_error(what, 404, "M_NOT_FOUND")
}

async fn commits_apart(ctx: &Context) -> Result<(), Finding> {
    let mut large = large_room(ctx).await?;
    let id = large.room.id.clone();
    let apart = Carriage { tree: Placement::WhereItFits, message: Placement::Apart };
    let update = || Changes { update: true, carriage: apart, ..Changes::default() };

    // Without its bytes, a commit is refused, and with others than it names.
    let commit = large.bob.commit(id.as_str(), update()).map_err(broken)?;
    let draft = large.draft(&large.room.bob, &commit);
    large.room.rejects(&draft, "a commit that stands apart and was not uploaded").await?;
    large.is_in_epoch(1).await?;
    let outsider = ctx.peer().await?;
    let refused = large.upload(&outsider, &commit.message).await?;
    refused.expect_refusal("an upload by a server that is not in the room")?;
    let refused = large.upload(&large.room.peer, b"no commit").await?;
    refused.expect_refusal("an upload of something that is no commit")?;
    large.bob.refused(id.as_str()).map_err(broken)?;

    // With them it is taken, and served.
    let (commit, commit_id) = large.commits(update()).await?;
    large.is_in_epoch(2).await?;
    let served = bytes(&large.message(&large.room.peer, &commit_id).await?, "message")?;
    check!(served == commit.message, "the commit that the hub serves is another than was uploaded");
    let what = "a server that is not in the room, asking for a commit,";
    large.message(&outsider, &commit_id).await?.expect_error(what, 404, "M_NOT_FOUND")?;

    // A commit inside its event is served alike.
    let inside = Changes { update: true, ..Changes::default() };
    let (commit, commit_id) = large.commits(inside).await?;
    let served = bytes(&large.message(&large.room.peer, &commit_id).await?, "message")?;
    check!(served == commit.message, "the commit that the hub serves is another than is in its event");

    // What is uploaded is not what the event names.
    let commit = large.bob.commit(id.as_str(), update()).map_err(broken)?;
    large.upload(&large.room.peer, &commit.message).await?.expect_ok("the upload of a commit")?;
    let mut other = content(&commit);
    let digest =
        MessageDigest { size: commit.message.len().saturating_add(1), ..MessageDigest::of(&commit.message) };
    if let Some(content) = other.as_object_mut() {
        content.insert(mimi_linearized::encryption::MESSAGE_APART.to_owned(), digest.to_json());
    }
    let draft = large.room.peer.draft(&id, &large.room.bob, "m.mls.commit", other);
    large.room.rejects(&draft, "a commit that names another size than was uploaded").await?;
    large.is_in_epoch(3).await
}
