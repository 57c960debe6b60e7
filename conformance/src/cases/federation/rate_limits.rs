//! Rate limits (LM-04 §12.2.6). Every other case waits when it is told to; these look at how it is told. They run alone, as
//! they use up what others would need.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, header};
use mimi_transport::keys::KEY_PATH;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::case::{Case, Finding, case, check, driven_case, fault, said};
use crate::cases::steps::{hub_room, paths};
use crate::context::{Context, LONG_PATIENCE};
use crate::peer::{Inbound, Peer, Response};
use crate::wire::{self, Ask, Reply};

pub(super) const CASES: &[Case] = &[
    case!(
        Should,
        Server,
        "12.2.6/unlimited-endpoints",
        "endpoints that are marked as not rate-limited do not answer 429",
        ["LM-04/12.2.6/2", "R43"],
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
    case!(
        Should,
        Server,
        "12.2.6/after-the-wait",
        "a request that is repeated after the time to wait is not refused again",
        ["LM-04/12.2.6/4", "R43"],
        after_the_wait
    )
    .alone(),
    driven_case!(
        Should,
        Hub,
        "12.2.6/own-wait",
        "the target waits as long as it is told to before it sends a transaction again",
        ["R43"],
        own_wait
    ),
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
    many_questions_of(ctx, &peer).await
}

async fn many_questions_of(ctx: &Context, peer: &Peer) -> Result<Vec<Reply>, Finding> {
    flood(ctx, |n| question(ctx, peer, n)).await
}

/// A signed question for a template.
fn question(ctx: &Context, peer: &Peer, n: u32) -> Ask {
    let room = format!("!none:{}", ctx.environment.target.name);
    let target = paths::make("leave", &room, &format!("@user{n}:{}", peer.name));
    let authorization = peer.authorization(&Method::GET, &target, None);
    Ask::new(Method::GET, target).header(header::AUTHORIZATION, authorization)
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
        check!(wait.is_some_and(Value::is_u64), "`retry_after_ms` of a 429 is {wait}", wait = said(&wait));
    }
    expect_limited(&replies)
}

/// The longest that is waited for a target.
const LONGEST: Duration = Duration::from_secs(30);

async fn after_the_wait(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let replies = many_questions_of(ctx, &peer).await?;
    expect_limited(&replies)?;
    let asked = |reply: &Reply| reply.body.get("retry_after_ms").and_then(Value::as_u64);
    // The answers came in no particular order: whoever waits the longest time that was asked has waited for each.
    let Some(wait) = limited(&replies).filter_map(asked).max().map(Duration::from_millis) else {
        return Err(Finding::Untried("no answer 429 has a `retry_after_ms`".to_owned()));
    };
    if wait > LONGEST {
        return Err(Finding::Untried(format!("the target asks to wait {} s", wait.as_secs())));
    }
    tokio::time::sleep(wait).await;
    let (environment, question) = (&ctx.environment, question(ctx, &peer, 0));
    let name = &environment.target.name;
    let reply = wire::once(&environment.client, &ctx.recorder, peer.name.as_str(), name, question).await?;
    check!(
        limited(std::slice::from_ref(&reply)).next().is_none(),
        "after {} ms the answer is 429 again",
        wait.as_millis()
    );
    Ok(())
}

/// What the target is told to wait.
const TOLD: Duration = Duration::from_millis(1_500);

async fn own_wait(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let attempts: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = Arc::clone(&attempts);
    // The first transaction that comes is answered 429, all others as ever.
    room.peer.answer_with(move |request| {
        if !request.is("send") {
            return None;
        }
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(Instant::now());
        let told = u64::try_from(TOLD.as_millis()).unwrap_or_default();
        let body = json!({"errcode": "M_LIMIT_EXCEEDED", "error": "too many", "retry_after_ms": told});
        (seen.len() == 1).then_some(Response { status: 429, body })
    });
    let say = async |body: &str| {
        ctx.send_as_alice(&room.id, "m.room.message", None, json!({"body": body})).await.map(drop)
    };
    let has = |request: &Inbound, body: &str| {
        let is = |pdu: &&Value| pdu.pointer("/content/body").and_then(Value::as_str) == Some(body);
        request.is("send") && request.pdus().iter().any(is)
    };
    say("first").await?;
    let is_first = |request: &Inbound| has(request, "first");
    room.peer.until_request_within(LONG_PATIENCE, "send the first message", is_first).await?;
    // That the server is heard of is no reason to be early.
    let lpdu = room.peer.lpdu(&room.message("a sign of life"))?;
    room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
    // This one has to wait until the first one got through.
    say("second").await?;
    let is_second = |request: &Inbound| has(request, "second");
    room.peer.until_request_within(LONG_PATIENCE, "send the second message", is_second).await?;
    let attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let [first, again, ..] = attempts.as_slice() else {
        return Err(Finding::Untried("no transaction was answered 429".to_owned()));
    };
    let waited = again.saturating_duration_since(*first);
    check!(waited >= TOLD, "told to wait {} ms, the target waited {}", TOLD.as_millis(), waited.as_millis());
    Ok(())
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
