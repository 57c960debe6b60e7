//! Steps of cases in which the target follows a room that the suite is the hub of.

use std::sync::Arc;

use mimi_linearized::event::Draft;
use mimi_linearized::id::{EventId, UserId};
use serde_json::{Value, json};

use crate::case::{Finding, check, fault};
use crate::cases::steps::{reference_id, text};
use crate::context::Context;
use crate::peer::{HostedRoom, Peer, Sent};

/// A public room that a server of the suite is the hub of, with its user `host`, who created it, and the target's user
/// `dora` in it. There are no power levels: `host` has level 100, everybody else 0.
#[derive(Debug)]
pub(in crate::cases) struct FollowedRoom<'c> {
    pub(in crate::cases) ctx: &'c Context,
    pub(in crate::cases) hub: Peer,
    pub(in crate::cases) room: Arc<HostedRoom>,
    pub(in crate::cases) host: UserId,
    pub(in crate::cases) dora: UserId,
}

/// What the target makes of a PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cases) enum Made {
    /// It is in the list, and not reported.
    Listed,
    /// It is not in the list, and reported in `failed_pdus`.
    Rejected,
    /// It is neither.
    Dropped,
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Listed => "in the list",
            Self::Rejected => "not in the list, and reported in `failed_pdus`",
            Self::Dropped => "neither in the list nor reported in `failed_pdus`",
        })
    }
}

/// A room of a new server of the suite that `dora` has joined.
pub(in crate::cases) async fn followed_room(ctx: &Context) -> Result<FollowedRoom<'_>, Finding> {
    let hub = ctx.peer().await?;
    let room = hub.host_room(json!({})).await?;
    follow(ctx, hub, room).await
}

/// A followed room in which a user, `carol`, of another new server of the suite is joined too.
pub(in crate::cases) async fn followed_room_with_carol(
    ctx: &Context,
) -> Result<(FollowedRoom<'_>, Peer, UserId), Finding> {
    let (hub, other) = (ctx.peer().await?, ctx.peer().await?);
    let room = hub.host_room(json!({})).await?;
    room.admit(&other);
    let carol = other.user("carol")?;
    let join = other.lpdu_for(&hub.name, &other.member(&room.id, &carol, &carol, "join"))?;
    hub.take(&room, &join)?;
    Ok((follow(ctx, hub, room).await?, other, carol))
}

/// Has `dora` join a room.
pub(in crate::cases) async fn follow(
    ctx: &Context,
    hub: Peer,
    room: Arc<HostedRoom>,
) -> Result<FollowedRoom<'_>, Finding> {
    let (host, dora) = (hub.user("host")?, ctx.user("dora")?);
    let via = [hub.name.as_str()];
    ctx.control()?.membership(&ctx.recorder, &room.id, dora.as_str(), dora.as_str(), "join", &via).await?;
    if ctx.events(&room.id).await?.is_empty() {
        let what = "the target keeps no list of a room that it takes part in".to_owned();
        return Err(Finding::Acceptable { reading: "R13", what });
    }
    Ok(FollowedRoom { ctx, hub, room, host, dora })
}

impl FollowedRoom<'_> {
    /// A message of `host`.
    pub(in crate::cases) fn message(&self, body: &str) -> Draft {
        self.hub.draft(&self.room.id, &self.host, "m.room.message", json!({"body": body}))
    }

    /// A message of `host` as the PDU that would be sound now. It is not in the hub's list.
    pub(in crate::cases) fn next(&self, body: &str) -> Result<Value, Finding> {
        self.hub.forge_pdu(self.message(body), &self.room.cites(&self.host), &self.room.head())
    }

    /// A message of a user of another server as the target would get it now, sealed but not in the hub's list.
    pub(in crate::cases) fn sealed(&self, other: &Peer, user: &UserId, body: &str) -> Result<Value, Finding> {
        let draft = other.draft(&self.room.id, user, "m.room.message", json!({"body": body}));
        let lpdu = other.lpdu_for(&self.hub.name, &draft)?.as_object().cloned().unwrap_or_default();
        Ok(self.hub.sealer().complete(lpdu, &self.room.cites(user), &[self.room.head()]))
    }

    /// Appends an event of `host` to the hub's list and keeps it from the target.
    pub(in crate::cases) fn withhold(&self, draft: Draft) -> Result<Value, Finding> {
        self.room.append(draft, &self.hub.key)
    }

    /// The hub sends events as they are.
    pub(in crate::cases) async fn send(&self, pdus: &[Value]) -> Result<Sent, Finding> {
        self.hub.send(pdus, &[]).await
    }

    /// The event with this id in the target's list.
    pub(in crate::cases) async fn listed(&self, id: &str) -> Result<Option<Value>, Finding> {
        Ok(self.ctx.events(&self.room.id).await?.into_iter().find(|event| reference_id(event) == id))
    }

    /// The target lists this event.
    pub(in crate::cases) async fn lists(&self, event: &Value, what: &str) -> Result<Value, Finding> {
        let listed = self.listed(&reference_id(event)).await?;
        listed.ok_or_else(|| fault(format!("{what} is not in the target's list")))
    }

    /// Sends an event of the hub and says what the target makes of it.
    pub(in crate::cases) async fn offer(&self, event: &Value) -> Result<Made, Finding> {
        self.offer_from(&self.hub, event).await
    }

    /// Has any server send an event and says what the target makes of it.
    pub(in crate::cases) async fn offer_from(&self, from: &Peer, event: &Value) -> Result<Made, Finding> {
        let failed = from.send(std::slice::from_ref(event), &[]).await?.expect_processed()?;
        let id = reference_id(event);
        let reported = failed.contains_key(&id);
        check!(
            failed.len() == usize::from(reported),
            "failed_pdus has entries for events that were not sent: {}",
            Value::Object(failed)
        );
        Ok(match (self.listed(&id).await?.is_some(), reported) {
            (true, true) => return Err(fault(format!("{id} is in the list and is reported as rejected"))),
            (true, false) => Made::Listed,
            (false, true) => Made::Rejected,
            (false, false) => Made::Dropped,
        })
    }

    /// The target drops this event: it neither lists nor reports it, and follows the hub's list on.
    pub(in crate::cases) async fn drops(&self, event: &Value, what: &str) -> Result<(), Finding> {
        match self.offer(event).await? {
            Made::Dropped => self.goes_on().await,
            Made::Listed => Err(fault(format!("{what} is in the target's list"))),
            Made::Rejected => Err(fault(format!("{what} is to be dropped without being reported"))),
        }
    }

    /// The target rejects this event, which breaks a rule that its hub should have enforced: it does not list it, says
    /// so, and follows the hub's list on. A target need not check the hub in this.
    pub(in crate::cases) async fn rejects(&self, event: &Value, what: &str) -> Result<(), Finding> {
        match self.offer(event).await? {
            Made::Rejected => self.goes_on().await,
            Made::Dropped => Err(fault(format!("{what} is to be reported in failed_pdus"))),
            Made::Listed => Err(unchecked(what)),
        }
    }

    /// The hub says something, and the target lists it.
    pub(in crate::cases) async fn goes_on(&self) -> Result<(), Finding> {
        let event = self.hub.host_says(&self.room, self.message("the room goes on")).await?;
        self.lists(&event, "the hub's next event").await.map(drop)
    }

    /// The name of the room as the target has it.
    pub(in crate::cases) async fn name(&self) -> Result<String, Finding> {
        let event = self.ctx.state_event(&self.room.id, "m.room.name", "").await?;
        let content = event.as_ref().and_then(|event| event.get("content"));
        Ok(content.map(|content| text(content, "name")).unwrap_or_default().to_owned())
    }

    /// A change of the room's name by `host`.
    pub(in crate::cases) fn rename(&self, name: &str) -> Draft {
        self.hub.state_draft(&self.room.id, &self.host, "m.room.name", "", json!({"name": name}))
    }
}

/// A participant takes over from its hub what the hub should not have accepted.
pub(in crate::cases) fn unchecked(what: &str) -> Finding {
    let what = format!("the target does not check its hub beyond section 5.1: it lists {what}");
    Finding::Acceptable { reading: "R13", what }
}

/// The id of an event as it is.
pub(in crate::cases) fn id_of(event: &Value) -> Result<EventId, Finding> {
    EventId::parse(&reference_id(event)).map_err(|error| Finding::Suite(error.to_string()))
}
