//! Commits in rooms whose history is hidden (LM-04 §4.3): whoever is in the room gets them.

use http::Method;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case};
use crate::cases::steps::{HubRoom, hub_room_with, paths, reference_id};
use crate::context::Context;
use crate::mls::commit_content;
use crate::peer::{Peer, without_unsigned};

pub(super) const CASES: &[Case] = &[driven_case!(
    Must,
    Hub,
    "4.3/commits-of-hidden-history",
    "a server whose user joined later gets the commits from before, also where it gets nothing else",
    ["LM-04/4.3/15", "R15"],
    commits_of_hidden_history
)];

/// What the hub serves of an event, asked for by itself and among others.
async fn served(room: &HubRoom<'_>, peer: &Peer, id: &str) -> Result<[Value; 2], Finding> {
    let reply = peer.request(Method::GET, &paths::event(id), None).await?;
    let alone = without_unsigned(reply.expect_ok("a question for a commit from before the join")?);
    let path = paths::backfill(room.id.as_str(), id, 1);
    let reply = peer.request(Method::GET, &path, None).await?;
    let page = reply.expect_ok("a question for events from before the join")?;
    Ok([alone, page.pointer("/pdus/0").map(without_unsigned).unwrap_or_default()])
}

async fn commits_of_hidden_history(ctx: &Context) -> Result<(), Finding> {
    for visibility in ["joined", "invited"] {
        let settings = json!({"join_rule": "public", "encrypted": true, "history_visibility": visibility});
        let room = hub_room_with(ctx, settings).await?;
        let mut device = ctx.device(&room.bob, "BOB")?;
        device.create_group(&room.id)?;
        let commit = device.update(&room.id)?;
        let draft = room.peer.draft(&room.id, &room.bob, "m.mls.commit", commit_content(&commit));
        let event = room.accepts(&draft).await?;
        let late = ctx.peer().await?;
        late.join(&room.id, &late.user("carol")?).await?;
        for served in served(&room, &late, &reference_id(&event)).await? {
            check!(
                served == event,
                "in a room with history visibility {visibility} a commit is served as {served}"
            );
        }
    }
    Ok(())
}
