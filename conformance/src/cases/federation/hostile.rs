//! Servers that do not play along: connections that do not hold, answers that are none, and too much at once (LM-04 §12,
//! readings R26, R52 and R53).

use std::future::Future;

use http::Method;
use mimi_transport::keys::KEY_PATH;
use serde_json::{Value, json};

use crate::case::{Case, Finding, case, check, driven_case, fault};
use crate::cases::steps::followed::follow;
use crate::cases::steps::{Tolerated, paths};
use crate::context::Context;
use crate::hostile::{HostileServer, Lie, When};
use crate::peer::Peer;
use crate::wire::Reply;

pub(super) const CASES: &[Case] = &[
    case!(
        Must,
        Server,
        "12/peer-without-http2",
        "a server that speaks no HTTP/2 is not talked to",
        ["R26"],
        without_http2
    ),
    case!(
        Must,
        Server,
        "12/peer-without-tls13",
        "a server that speaks no TLS 1.3 is not talked to",
        ["R26"],
        without_tls13
    ),
    case!(
        Must,
        Server,
        "12.4/unsound-certificates",
        "keys of a server whose certificate has expired, is its own, or is for another name are not used",
        ["LM-04/12.4/25"],
        unsound_certificates
    ),
    case!(
        Should,
        Server,
        "12.4.1.2/no-answer-about-keys",
        "what is not a whole answer in JSON gives no keys, and the target goes on",
        ["R52"],
        no_answer_about_keys
    ),
    case!(
        Should,
        Server,
        "12.4.1.2/compressed-keys",
        "an answer about keys that unpacks to very much is refused, or unpacked within bounds",
        ["R53"],
        compressed_keys
    ),
    case!(
        Should,
        Server,
        "12.4.1.2/silent-server",
        "while a server does not say its keys, others are answered",
        ["R52"],
        silent_server
    ),
    driven_case!(
        Should,
        Participant,
        "12.6.1/no-answer-about-events",
        "what is not a whole answer in JSON gives no events, and the room goes on",
        ["R52"],
        no_answer_about_events
    ),
    driven_case!(
        Should,
        Participant,
        "12.6.1/compressed-events",
        "an answer with events that unpacks to very much does no harm to the room",
        ["R53"],
        compressed_events
    ),
    driven_case!(
        Should,
        Hub,
        "12.5.1/flood",
        "of many transactions of a server at once each is answered, and another server gets through meanwhile",
        ["R52"],
        flood
    ),
];

/// A question that a server with known keys is answered.
fn question() -> String {
    paths::event("$unknown")
}

async fn ask(peer: &Peer) -> Result<Reply, Finding> {
    peer.request(Method::GET, &question(), None).await
}

/// Whether the target believes a request of a server, whose keys it has to ask for.
async fn is_believed(server: &HostileServer) -> Result<bool, Finding> {
    let reply = ask(&server.peer).await?;
    if reply.is(404, "M_NOT_FOUND") {
        return Ok(true);
    }
    check!(
        !reply.status.is_success() && !reply.errcode().is_empty(),
        "a request of a server whose keys cannot be had is answered {}",
        reply.status
    );
    Ok(false)
}

/// The target answers a sound server, and anybody who asks for its keys.
async fn answers_others(peer: &Peer) -> Result<(), Finding> {
    ask(peer).await?.expect_error("a question about an unknown event", 404, "M_NOT_FOUND")
}

/// A server that tells a lie as it is connected to; what it is believed then.
async fn believed_behind(ctx: &Context, lie: Lie) -> Result<bool, Finding> {
    let server = ctx.hostile().lie(lie, When::Always).start().await?;
    let believed = is_believed(&server).await?;
    check!(
        believed || !server.peer.requests().iter().any(|request| request.target.starts_with(KEY_PATH)),
        "the target sent a request to a server that {}",
        lie.account()
    );
    Ok(believed)
}

async fn without_http2(ctx: &Context) -> Result<(), Finding> {
    older(ctx, Lie::OnlyHttp11, "the target also talks to servers that only speak HTTP/1.1").await
}

async fn without_tls13(ctx: &Context) -> Result<(), Finding> {
    older(ctx, Lie::OnlyTls12, "the target also talks to servers that only speak TLS 1.2").await
}

async fn older(ctx: &Context, lie: Lie, what: &str) -> Result<(), Finding> {
    answers_others(&ctx.peer().await?).await?;
    if believed_behind(ctx, lie).await? {
        return Err(Finding::Acceptable { reading: "R26", what: what.to_owned() });
    }
    Ok(())
}

async fn unsound_certificates(ctx: &Context) -> Result<(), Finding> {
    answers_others(&ctx.peer().await?).await?;
    for lie in [Lie::SelfSignedCertificate, Lie::UnknownAuthority, Lie::ExpiredCertificate, Lie::OtherName] {
        let believed = believed_behind(ctx, lie).await?;
        check!(!believed, "the keys of a server are used that tells this lie: {}", lie.account());
    }
    Ok(())
}

/// Lies that leave nothing that could be an answer.
const NO_ANSWERS: [Lie; 6] =
    [Lie::TruncatedBody, Lie::EmptyBody, Lie::NotJson, Lie::BadUtf8, Lie::TooManyRequests, Lie::RedirectLoop];
/// Lies that leave something that can be read in more than one way, or by some.
const DOUBTFUL_ANSWERS: [Lie; 4] = [Lie::WrongLength, Lie::DuplicateKeys, Lie::DeepJson, Lie::HugeHeaders];

async fn no_answer_about_keys(ctx: &Context) -> Result<(), Finding> {
    let sound = ctx.peer().await?;
    let mut tolerated = Tolerated::default();
    for lie in NO_ANSWERS.into_iter().chain(DOUBTFUL_ANSWERS) {
        let server = ctx.hostile().lie(lie, When::endpoint("keys")).start().await?;
        let believed = is_believed(&server).await?;
        answers_others(&sound).await?;
        let what = format!("the keys in an answer are used although it is none: {}", lie.account());
        check!(!believed || DOUBTFUL_ANSWERS.contains(&lie), "{what}");
        if believed {
            tolerated.note(Err(Finding::Acceptable { reading: "R52", what }))?;
        }
    }
    tolerated.end()
}

async fn compressed_keys(ctx: &Context) -> Result<(), Finding> {
    let sound = ctx.peer().await?;
    let mut tolerated = Tolerated::default();
    for lie in [Lie::GzipBomb, Lie::DeflateBomb] {
        let server = ctx.hostile().lie(lie, When::endpoint("keys")).start().await?;
        let believed = is_believed(&server).await?;
        answers_others(&sound).await?;
        if believed {
            let what = "the target unpacks answers that it is given compressed".to_owned();
            tolerated.note(Err(Finding::Acceptable { reading: "R53", what }))?;
        }
    }
    tolerated.end()
}

/// Does something while something else goes on, and returns what that comes to if it is over by then.
async fn meanwhile<T>(
    going_on: impl Future<Output = T>,
    then: impl Future<Output = Result<(), Finding>>,
) -> Result<T, Finding> {
    let (came_to, ended) = tokio::join!(going_on, then);
    ended.map(|()| came_to)
}

async fn silent_server(ctx: &Context) -> Result<(), Finding> {
    for lie in [Lie::SilentHandshake, Lie::Stall, Lie::StallAfterHead, Lie::Drip] {
        let when = if lie == Lie::SilentHandshake { When::Always } else { When::endpoint("keys") };
        let server = ctx.hostile().lie(lie, when).start().await?;
        // Somebody new, whose keys have to be asked for while the other one's are waited for.
        let sound = ctx.peer().await?;
        let others = async {
            server.until_told(lie).await?;
            let answered = answers_others(&sound).await;
            // What is asked of it now comes to an end, in one way or the other.
            server.relent();
            answered
                .map_err(|finding| fault(format!("while a server does this: {} {finding}", lie.account())))
        };
        meanwhile(is_believed(&server), others).await??;
    }
    Ok(())
}

/// A hub of whose list the target lacks an event, and lies about it when it is asked. Returns whether the target used what
/// it was answered.
async fn gap_with(ctx: &Context, lie: Lie) -> Result<bool, Finding> {
    let endpoints = ["backfill", "event", "state", "state_ids"];
    let hub =
        endpoints.into_iter().fold(ctx.hostile(), |hub, endpoint| hub.lie(lie, When::endpoint(endpoint)));
    let (hub, liar) = hub.start().await?.into_parts();
    let room = hub.host_room(json!({})).await?;
    let followed = follow(ctx, hub, room).await?;
    let missing = followed.withhold(followed.message("never sent"))?;
    let next = followed.withhold(followed.message("sent"))?;
    followed.send(std::slice::from_ref(&next)).await?.expect_processed()?;
    let id = crate::cases::steps::reference_id(&missing);
    let used = followed.listed(&id).await?.is_some();
    let told = liar.told().iter().any(|told| told.lie == lie);
    liar.relent();
    let last = followed.withhold(followed.message("the truth"))?;
    followed.send(std::slice::from_ref(&last)).await?.expect_processed()?;
    followed.lists(&last, "what follows once the hub answers properly").await?;
    followed.lists(&missing, "an event that the hub did not send, but gives when it is asked").await?;
    if told {
        return Ok(used);
    }
    Err(Finding::Untried("the target does not ask its hub for what is missing".to_owned()))
}

async fn no_answer_about_events(ctx: &Context) -> Result<(), Finding> {
    let (truncated, html, bad_utf8, wrong_length, deep) = tokio::join!(
        gap_with(ctx, Lie::TruncatedBody),
        gap_with(ctx, Lie::NotJson),
        gap_with(ctx, Lie::BadUtf8),
        gap_with(ctx, Lie::WrongLength),
        gap_with(ctx, Lie::DeepJson),
    );
    for (lie, used) in [(Lie::TruncatedBody, truncated), (Lie::NotJson, html), (Lie::BadUtf8, bad_utf8)] {
        check!(!used?, "an event in an answer is used although it is none: {}", lie.account());
    }
    let mut tolerated = Tolerated::default();
    for (lie, used) in [(Lie::WrongLength, wrong_length), (Lie::DeepJson, deep)] {
        if used? {
            let what =
                format!("an event in an answer is used although there is this with it: {}", lie.account());
            tolerated.note(Err(Finding::Acceptable { reading: "R52", what }))?;
        }
    }
    tolerated.end()
}

async fn compressed_events(ctx: &Context) -> Result<(), Finding> {
    if gap_with(ctx, Lie::GzipBomb).await? {
        let what = "the target unpacks answers that it is given compressed".to_owned();
        return Err(Finding::Acceptable { reading: "R53", what });
    }
    Ok(())
}

async fn flood(ctx: &Context) -> Result<(), Finding> {
    let room = crate::cases::steps::hub_room(ctx).await?;
    let server = ctx.hostile().lie(Lie::Flood, When::endpoint("send")).start().await?;
    let mallory = server.peer.user("mallory")?;
    server.peer.join(&room.id, &mallory).await?;
    let message = server.peer.draft(&room.id, &mallory, "m.room.message", json!({"body": "again"}));
    let lpdu = server.peer.lpdu(&message)?;
    let target = ctx.environment.target.name.clone();
    let flooding = server.speaker.send(&target, vec![lpdu.clone()], true);
    let deliveries =
        meanwhile(flooding, async { room.accepts(&room.message("meanwhile")).await.map(drop) }).await?;
    for delivery in &deliveries {
        let Some(status) = delivery.status else {
            return Err(fault("one of many transactions at once got no answer"));
        };
        let errcode = delivery.answer.get("errcode").and_then(Value::as_str).unwrap_or_default();
        check!(
            status == 200 || (status.is_client_error() && !errcode.is_empty()) || status == 503,
            "one of many transactions at once was answered {status} {errcode}"
        );
    }
    check!(
        deliveries.iter().any(|delivery| delivery.status.is_some_and(|status| status == 200)),
        "none was processed"
    );
    let hash = crate::peer::lpdu_hash(&lpdu);
    let listed = ctx.events(&room.id).await?;
    let count = listed.iter().filter(|event| crate::peer::lpdu_hash(event) == hash).count();
    check!(count == 1, "an event that came in many transactions is in the list {count} times");
    Ok(())
}
