//! Rate limits (LM-04 §12.2.6). Every other case waits when it is told to; these look at how it is told. They run alone, as
//! they use up what others would need.

use http::{Method, header};
use mimi_transport::keys::KEY_PATH;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::case::{Case, Finding, case, check, fault};
use crate::cases::steps::paths;
use crate::context::Context;
use crate::peer::Peer;
use crate::wire::{self, Ask, Reply};

pub(super) const CASES: &[Case] = &[
    case!(
        Should,
        Server,
        "12.2.6/unlimited-endpoints",
        "endpoints that are marked as not rate-limited do not answer 429",
        ["LM-04/12.2.6/2"],
        unlimited_endpoints
    )
    .alone(),
    case!(
        Must,
        Server,
        "12.2.6/over-the-limit",
        "a request over the limit is answered 429 M_LIMIT_EXCEEDED",
        ["LM-04/12.2.6/3"],
        over_the_limit
    )
    .alone(),
    case!(
        Should,
        Server,
        "12.2.6/time-to-wait",
        "an answer 429 says how long to wait, in milliseconds",
        ["LM-04/12.2.6/4"],
        time_to_wait
    )
    .alone(),
];

/// How many requests are sent at once: more than a person causes, and no strain for a server.
const MANY: u32 = 100;

/// Sends many requests at once and returns the answers as they came, 429 included.
async fn flood(ctx: &Context, ask: impl Fn(u32) -> Ask) -> Result<Vec<Reply>, Finding> {
    let mut asking = JoinSet::new();
    for n in 0..MANY {
        let (environment, recorder) = (ctx.environment.clone(), ctx.recorder.clone());
        let ask = ask(n);
        asking.spawn(async move {
            let target = &environment.target.name;
            wire::once(&environment.client, &recorder, "(one of many)", target, ask).await
        });
    }
    asking.join_all().await.into_iter().collect()
}

/// Many signed questions for templates, which an endpoint that is marked as rate-limited answers.
async fn many_questions(ctx: &Context) -> Result<Vec<Reply>, Finding> {
    let peer = ctx.peer().await?;
    let room = format!("!none:{}", ctx.environment.target.name);
    let signed = |n: u32| {
        let target = paths::make("leave", &room, &format!("@user{n}:{}", peer.name));
        let authorization = peer.authorization(&Method::GET, &target, None);
        Ask::new(Method::GET, target).header(header::AUTHORIZATION, authorization)
    };
    flood(ctx, signed).await
}

fn limited(replies: &[Reply]) -> impl Iterator<Item = &Reply> {
    replies.iter().filter(|reply| reply.status.as_u16() == 429 || reply.errcode() == "M_LIMIT_EXCEEDED")
}

/// Without an answer that says so, nothing is known of the limit.
fn expect_limited(replies: &[Reply]) -> Result<(), Finding> {
    if limited(replies).next().is_some() {
        return Ok(());
    }
    Err(Finding::Untried(format!("none of {MANY} requests at once was over a limit of the target")))
}

async fn over_the_limit(ctx: &Context) -> Result<(), Finding> {
    let replies = many_questions(ctx).await?;
    for reply in limited(&replies) {
        reply.expect_error("a request over the limit", 429, "M_LIMIT_EXCEEDED")?;
    }
    // What is not over the limit is answered as ever.
    let other = replies.iter().find(|reply| !reply.is(429, "M_LIMIT_EXCEEDED"));
    other.map_or(Ok(()), |reply| reply.expect_error("a template for an unknown room", 404, "M_NOT_FOUND"))?;
    expect_limited(&replies)
}

async fn time_to_wait(ctx: &Context) -> Result<(), Finding> {
    let replies = many_questions(ctx).await?;
    for reply in limited(&replies) {
        let wait = reply.body.get("retry_after_ms");
        check!(wait.is_some_and(Value::is_u64), "`retry_after_ms` of a 429 is {wait:?}");
    }
    expect_limited(&replies)
}

/// Whether no answer is a 429.
fn expect_unlimited(replies: &[Reply], what: &str) -> Result<(), Finding> {
    let count = limited(replies).count();
    if count == 0 { Ok(()) } else { Err(fault(format!("{count} of {MANY} {what} were answered 429"))) }
}

async fn unlimited_endpoints(ctx: &Context) -> Result<(), Finding> {
    let keys = flood(ctx, |_| Ask::new(Method::GET, KEY_PATH)).await?;
    expect_unlimited(&keys, "questions for keys")?;
    let peer: Peer = ctx.peer().await?;
    // One after the other, as a server sends them.
    for _ in 0..MANY {
        let target = ctx.path(&paths::send(&peer.txn_id()));
        let body = json!({"pdus": [], "edus": []});
        let authorization = peer.authorization(&Method::PUT, &target, Some(&body));
        let ask = Ask::new(Method::PUT, target).json(&body).header(header::AUTHORIZATION, authorization);
        let (environment, name) = (&ctx.environment, &ctx.environment.target.name);
        let reply = wire::once(&environment.client, &ctx.recorder, peer.name.as_str(), name, ask).await?;
        expect_unlimited(&[reply], "transactions")?;
    }
    Ok(())
}
