//! Following the log.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::super::StoreError;
use super::super::sqlite::view::{Applied, Followed, Stamp};
use super::log::{ID, Log};

/// How often the NATS server says that there is nothing new. Twice as long without a word, and it is asked anew: whoever
/// sent the messages so far may be gone.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// How many messages are asked for at once.
const BATCH: usize = 500;

/// For how long one request for messages stands.
const EXPIRES: Duration = Duration::from_secs(10);

/// How long an answer about the log may take.
const ANSWER: Duration = Duration::from_secs(2);

/// How long nothing may come although the log has more.
const BEHIND: Duration = Duration::from_millis(500);

/// The pause before the log is asked for anew.
const PAUSE: Duration = Duration::from_millis(200);

/// How often the log may be asked for in vain before another NATS server is tried.
const FAILURES: u32 = 3;

/// How many messages may be on their way into the view.
const UNDER_WAY: usize = 1_024;

/// Why following the log ended.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error("the log cannot be read: {0}")]
    Log(String),
    #[error(transparent)]
    View(#[from] StoreError),
    #[error("the log is not the one that was followed so far, or has lost its end: start the server again")]
    AnotherLog,
}

/// A message on its way into the view.
struct UnderWay {
    sequence: u64,
    id: String,
    applied: oneshot::Receiver<Result<Applied, StoreError>>,
}

/// Follows the log for as long as it is polled, through whatever interrupts it.
pub(super) async fn follow(log: Arc<Log>) {
    let mut failures = 0_u32;
    loop {
        let before = *log.applied.borrow();
        let Err(why) = follow_until_interrupted(&log).await;
        failures = if *log.applied.borrow() > before { 0 } else { failures.saturating_add(1) };
        match why {
            Interrupted::Log(why) => tracing::info!(why, "the log is asked for anew"),
            why => tracing::error!(error = %why, "the log cannot be followed"),
        }
        if failures.is_multiple_of(FAILURES) && failures > 0 {
            // It may answer, and be cut off from the others.
            tracing::warn!(failures, "another NATS server is tried");
            if let Err(error) = log.client.force_reconnect().await {
                tracing::warn!(%error, "no other NATS server can be tried");
            }
        }
        sleep(PAUSE).await;
    }
}

async fn follow_until_interrupted(log: &Log) -> Result<std::convert::Infallible, Interrupted> {
    let info = info(&log.stream).await?;
    let followed = log.view.followed().await?;
    let followed = followed.ok_or(Interrupted::AnotherLog)?;
    if !is_continued(&log.stream, &info, &followed).await? {
        return Err(Interrupted::AnotherLog);
    }
    log.applied.send_replace(followed.sequence);
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: followed.sequence.saturating_add(1),
        },
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: Duration::from_secs(30),
        ..pull::Config::default()
    };
    let consumer = timeout(ANSWER, log.stream.create_consumer(config)).await.map_err(unread)?;
    let consumer = consumer.map_err(unread)?;
    let messages = consumer.stream().heartbeat(HEARTBEAT).expires(EXPIRES).max_messages_per_batch(BATCH);
    let messages = messages.messages().await.map_err(unread)?;
    let (queue, under_way) = mpsc::channel(UNDER_WAY);
    // What was read is finished before the log is asked for anew.
    let (ended, finished) =
        tokio::join!(read(log, messages, followed.sequence, queue), finish(log, under_way));
    finished?;
    ended
}

/// Hands messages to the view, from the one after `last` on.
///
/// The messages come from some replica of the stream, which can be behind and not say so: it was seen to stay behind for
/// minutes after a cut of the network. When the log is known to have more and nothing comes, the leader is asked.
async fn read(
    log: &Log,
    mut messages: pull::Stream,
    mut last: u64,
    queue: mpsc::Sender<UnderWay>,
) -> Result<std::convert::Infallible, Interrupted> {
    let mut wanted = log.wanted.subscribe();
    let mut patience = BEHIND;
    loop {
        let behind = async {
            let more = wanted.wait_for(|wanted| *wanted > last).await.is_ok();
            if more { sleep(patience).await } else { std::future::pending().await }
        };
        let (stamp, payload) = tokio::select! {
            biased;
            message = messages.next() => {
                let message = message.ok_or_else(|| unread("there are no more messages"))?.map_err(unread)?;
                let stamp = stamp(&message).ok_or_else(|| unread("a message is not one of this program's"))?;
                if stamp.sequence <= last {
                    continue;
                }
                patience = BEHIND;
                (stamp, message.message.payload)
            }
            () = behind => {
                let message = timeout(ANSWER, log.stream.get_raw_message(last.saturating_add(1))).await;
                let message = message.map_err(unread)?.map_err(unread)?;
                let stamp = stamp_of(message.sequence, &message.time, &message.headers);
                let stamp = stamp.ok_or_else(|| unread("a message is not one of this program's"))?;
                if !patience.is_zero() {
                    tracing::info!(last, "a replica of the log is behind; the leader is asked for what is missing");
                }
                patience = Duration::ZERO;
                (stamp, message.payload)
            }
            () = queue.closed() => return Err(unread("the view does not go on")),
        };
        last = last.saturating_add(1);
        if stamp.sequence != last {
            return Err(unread("a message is missing"));
        }
        let (sequence, id) = (stamp.sequence, stamp.id.clone());
        let applied = log.view.submit_message(stamp, payload).await?;
        if queue.send(UnderWay { sequence, id, applied }).await.is_err() {
            return Err(unread("the view does not go on"));
        }
    }
}

fn unread(why: impl std::fmt::Display) -> Interrupted {
    Interrupted::Log(why.to_string())
}

/// Tells of messages once the view holds them.
async fn finish(log: &Log, mut under_way: mpsc::Receiver<UnderWay>) -> Result<(), StoreError> {
    while let Some(UnderWay { sequence, id, applied }) = under_way.recv().await {
        let applied = applied.await.unwrap_or(Err(StoreError::Closed))?;
        log.reached(sequence, &id, applied);
    }
    Ok(())
}

/// What is known of the stream now.
async fn info(stream: &stream::Stream<()>) -> Result<stream::Info, Interrupted> {
    match timeout(ANSWER, stream.get_info()).await {
        Ok(Ok(info)) => Ok(info),
        Ok(Err(error)) => Err(Interrupted::Log(error.to_string())),
        Err(_) => Err(Interrupted::Log("it does not answer".to_owned())),
    }
}

/// What tells a stream apart from an earlier one of the same name.
pub(super) fn name_of(info: &stream::Info) -> String {
    info.created.unix_timestamp_nanos().to_string()
}

/// Whether a stream goes on from where a view has followed it to.
async fn is_continued(
    stream: &stream::Stream<()>,
    info: &stream::Info,
    followed: &Followed,
) -> Result<bool, Interrupted> {
    if followed.log != name_of(info) || followed.sequence > info.state.last_sequence {
        return Ok(false);
    }
    let Some(last_id) = &followed.last_id else { return Ok(true) };
    let last = timeout(ANSWER, stream.get_raw_message(followed.sequence)).await;
    let last = last.map_err(unread)?.map_err(unread)?;
    Ok(message_id(&last.headers) == Some(last_id))
}

/// Whether a view can go on with a stream, for whoever opens it.
pub(super) async fn continues(
    stream: &stream::Stream<()>,
    info: &stream::Info,
    followed: &Followed,
) -> Result<bool, StoreError> {
    is_continued(stream, info, followed).await.map_err(|why| StoreError::Unavailable(why.to_string()))
}

fn message_id(headers: &async_nats::HeaderMap) -> Option<&str> {
    headers.get(ID).map(async_nats::HeaderValue::as_str)
}

fn stamp(message: &jetstream::Message) -> Option<Stamp> {
    let info = message.info().ok()?;
    stamp_of(info.stream_sequence, &info.published, message.message.headers.as_ref()?)
}

fn stamp_of(
    sequence: u64,
    at: &async_nats::datetime::DateTime,
    headers: &async_nats::HeaderMap,
) -> Option<Stamp> {
    let at = i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()?;
    Some(Stamp { sequence, at, id: message_id(headers)?.to_owned() })
}
