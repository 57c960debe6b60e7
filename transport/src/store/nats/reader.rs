//! Following the log.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::super::StoreError;
use super::super::sqlite::view::{Applied, Followed};
use super::agreement::Message;
use super::log::{ID, Log};
use super::replicas::Replicas;

/// How long an answer about the log may take.
const ANSWER: Duration = Duration::from_secs(2);

/// The pause before the log is asked for anew.
const PAUSE: Duration = Duration::from_millis(200);

/// The pause after something that time alone hardly mends.
const FAULT: Duration = Duration::from_secs(5);

/// How long too few replicas may be read before another NATS server is tried: from this one, some may not be reached.
const ALONE: Duration = Duration::from_secs(4);

/// How long the log may have more than a majority of the replicas before that is said.
const BEHIND: Duration = Duration::from_secs(10);

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
    loop {
        let Err(why) = follow_until_interrupted(&log).await;
        match why {
            Interrupted::Log(why) => tracing::info!(why, "the log is asked for anew"),
            why => {
                tracing::error!(error = %why, "the log cannot be followed");
                sleep(FAULT).await;
            }
        }
        sleep(PAUSE).await;
    }
}

async fn follow_until_interrupted(log: &Log) -> Result<std::convert::Infallible, Interrupted> {
    let followed = log.view.followed().await?.ok_or(Interrupted::AnotherLog)?;
    log.applied.send_replace(followed.sequence);
    let (queue, under_way) = mpsc::channel(UNDER_WAY);
    // What was read is finished before the log is asked for anew.
    let (ended, finished) = tokio::join!(read(log, followed, queue), finish(log, under_way));
    finished?;
    ended
}

/// Hands messages to the view, from the one after the last that it has followed.
async fn read(
    log: &Log,
    followed: Followed,
    queue: mpsc::Sender<UnderWay>,
) -> Result<std::convert::Infallible, Interrupted> {
    // The last one once more, to see whether it is still the same.
    let before = followed.sequence.saturating_sub(1);
    let mut replicas = Replicas::read(log.stream.clone(), log.replicas, before);
    let mut wanted = log.wanted.subscribe();
    let mut last = before;
    loop {
        let next = tokio::select! {
            message = await_next(log, &mut replicas) => Some(message),
            () = queue.closed() => return Err(Interrupted::Log("the view does not go on".to_owned())),
            () = async {
                let _ = wanted.wait_for(|wanted| *wanted > last).await;
                sleep(BEHIND).await;
            } => None,
        };
        let Some(Message { stamp, payload }) = next else {
            tracing::warn!(%replicas, "the log has more than a majority of its replicas");
            continue;
        };
        last = stamp.sequence;
        if stamp.sequence == followed.sequence {
            if followed.last_id.as_ref().is_some_and(|id| *id != stamp.id) {
                return Err(Interrupted::AnotherLog);
            }
            continue;
        }
        let (sequence, id) = (stamp.sequence, stamp.id.clone());
        let applied = log.view.submit_message(stamp, payload).await?;
        if queue.send(UnderWay { sequence, id, applied }).await.is_err() {
            return Err(Interrupted::Log("the view does not go on".to_owned()));
        }
    }
}

/// The next message. Tries other NATS servers while it takes more replicas than can be read.
async fn await_next(log: &Log, replicas: &mut Replicas) -> Message {
    let mut alone_since: Option<Instant> = None;
    loop {
        if let Ok(message) = timeout(PAUSE, replicas.agreed()).await {
            return message;
        }
        if !replicas.need_others() {
            alone_since = None;
        } else if alone_since.get_or_insert_with(Instant::now).elapsed() >= ALONE {
            log.try_another_server(&replicas.to_string()).await;
            alone_since = None;
        }
    }
}

/// Tells of messages once the view holds them.
async fn finish(log: &Log, mut under_way: mpsc::Receiver<UnderWay>) -> Result<(), StoreError> {
    while let Some(UnderWay { sequence, id, applied }) = under_way.recv().await {
        let applied = applied.await.unwrap_or(Err(StoreError::Closed))?;
        log.reached(sequence, &id, applied);
    }
    Ok(())
}

/// What tells a stream apart from an earlier one of the same name.
pub(super) fn name_of(info: &stream::Info) -> String {
    info.created.unix_timestamp_nanos().to_string()
}

/// Whether a view can go on with a stream, as far as its leader says. If not, the view is made anew, which is right in
/// any case.
pub(super) async fn continues(
    stream: &stream::Stream<()>,
    info: &stream::Info,
    followed: &Followed,
) -> Result<bool, StoreError> {
    if followed.log != name_of(info) || followed.sequence > info.state.last_sequence {
        return Ok(false);
    }
    let Some(last_id) = &followed.last_id else { return Ok(true) };
    let last = match timeout(ANSWER, stream.get_raw_message(followed.sequence)).await {
        Ok(Ok(last)) => last,
        Ok(Err(error)) => return Err(StoreError::Unavailable(error.to_string())),
        Err(_) => return Err(StoreError::Unavailable("the log does not answer".to_owned())),
    };
    Ok(last.headers.get(ID).is_some_and(|id| id.as_str() == last_id))
}
