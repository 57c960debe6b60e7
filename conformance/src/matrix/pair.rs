//! One pair: a room on one server that a user of the other joins, messages both ways, and MLS.

use std::time::{Duration, Instant};

use mimi_linearized::id::{RoomId, RoomVersionId};
use serde_json::{Value, json};

use super::{Step, Verdict};
use crate::case::{Finding, check};
use crate::cases::steps::person::Person;
use crate::context::Context;
use crate::target::Target;

/// How long everything of one pair may take.
const LIMIT: Duration = Duration::from_secs(120);
/// The steps after which two servers share a room.
const SHARED: usize = 2;

/// Tries a pair. The target of the context is the hub.
pub(crate) async fn try_pair(
    ctx: &Context,
    participant: &Target,
    version: &RoomVersionId,
) -> (Verdict, Vec<Step>) {
    let mut steps = Vec::new();
    let mut began = Instant::now();
    let result = {
        let mut done = |name: &'static str| {
            steps.push(Step { name, duration_ms: ms(began), error: None });
            began = Instant::now();
        };
        let limited = tokio::time::timeout(LIMIT, walk(ctx, participant, version, &mut done)).await;
        limited.unwrap_or_else(|_| Err(Finding::Fault(format!("it took more than {} s", LIMIT.as_secs()))))
    };
    let verdict = match &result {
        Ok(()) => Verdict::Pass,
        Err(_) if steps.len() >= SHARED => Verdict::Partly,
        Err(_) => Verdict::Fail,
    };
    if let Err(error) = result {
        let name = STEPS.get(steps.len()).copied().unwrap_or("end");
        steps.push(Step { name, duration_ms: ms(began), error: Some(error.to_string()) });
    }
    (verdict, steps)
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What is tried, in order.
pub(super) const STEPS: [&str; 7] = [
    "room made",
    "invited and joined",
    "message from the hub",
    "message to the hub",
    "device in the MLS group",
    "encrypted both ways",
    "the same list",
];

async fn walk(
    ctx: &Context,
    participant: &Target,
    version: &RoomVersionId,
    done: &mut (dyn FnMut(&'static str) + Send),
) -> Result<(), Finding> {
    let mut steps = STEPS.into_iter();
    let mut next = || done(steps.next().unwrap_or_default());
    // People whom no server has met before: one that ran already remembers others, and their inboxes.
    let new: u32 = rand::random();
    let mut alice = Person::new(ctx, &ctx.environment.target, &format!("alice{new:08x}")).await?;
    let mut bob = Person::new(ctx, participant, &format!("bob{new:08x}")).await?;
    let settings = json!({"creator": alice.user(), "encrypted": true, "room_version": version});
    let room = ctx.create_room(settings).await?;
    alice.device.create_group(&room)?;
    let first = alice.device.update(&room)?;
    alice.commit(&room, &first).await?;
    next();

    bob.joins(&room, &alice).await?;
    next();

    hears(&bob, &room, "from the hub", &alice).await?;
    next();
    hears(&alice, &room, "to the hub", &bob).await?;
    next();

    alice.add(&room, &mut bob).await?;
    next();

    let said = alice.say(&room, "in secret from the hub").await?;
    bob.hears(&room, alice.user(), "in secret from the hub", &said).await?;
    let said = bob.say(&room, "in secret to the hub").await?;
    alice.hears(&room, bob.user(), "in secret to the hub", &said).await?;
    next();

    let hubs = ctx.events(&room).await?;
    let others = bob.control()?.events(&ctx.recorder, &room).await?;
    check!(
        !others.is_empty() && hubs.ends_with(&others),
        "the participant's list is not the end of the hub's"
    );
    next();
    Ok(())
}

/// One says something in the open, and it arrives at the other's server as it is in the list.
async fn hears(to: &Person<'_>, room: &RoomId, words: &str, from: &Person<'_>) -> Result<(), Finding> {
    let content: Value = json!({"msgtype": "m.text", "body": words});
    let (_, said) = from.send(room, "m.room.message", &content).await?;
    to.until_listed(room, &said).await
}
