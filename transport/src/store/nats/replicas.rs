//! Reading each replica of the stream by itself, so that they can be compared.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt as _;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::super::sqlite::view::Stamp;
use super::agreement::{Agreement, Message};
use super::log::ID;

/// How often the NATS server says that there is nothing new. Twice as long without a word, and the replica is asked anew.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// How many messages are asked for at once.
const BATCH: usize = 200;

/// For how long one request for messages stands.
const EXPIRES: Duration = Duration::from_secs(10);

/// How long it may take to be let read a replica.
const ANSWER: Duration = Duration::from_secs(2);

/// How many requests to read a replica may be under way. NATS chooses the replica, which may be one that does not answer.
const REQUESTS: usize = 3;

/// The pause between two such requests.
const PAUSE: Duration = Duration::from_millis(100);

/// How many messages of a replica wait for others to have them.
const WAITING: usize = 256;

type Reader = (String, Consumer<pull::Config>);

/// The replicas of a stream, read at once.
#[derive(Debug)]
pub(super) struct Replicas {
    stream: stream::Stream<()>,
    agreement: Agreement,
    requests: JoinSet<Option<Reader>>,
    readers: JoinSet<()>,
    requested: Instant,
    more: Arc<Notify>,
}

impl Replicas {
    /// Reads a stream of so many replicas after this message.
    pub(super) fn read(stream: stream::Stream<()>, count: usize, last: u64) -> Self {
        let (requests, readers) = (JoinSet::new(), JoinSet::new());
        let requested = Instant::now();
        let more = Arc::new(Notify::new());
        Self { stream, agreement: Agreement::of(count, last), requests, readers, requested, more }
    }

    /// Whether reading others as well might help.
    pub(super) fn need_others(&self) -> bool {
        self.agreement.needs_others()
    }

    /// The next message, once a majority of the replicas have it. May be given up and called again.
    pub(super) async fn agreed(&mut self) -> Message {
        loop {
            if let Some(message) = self.agreement.take() {
                return message;
            }
            self.request();
            let more = Arc::clone(&self.more);
            let missing = self.agreement.missing() > 0;
            tokio::select! {
                () = more.notified() => {}
                Some(answer) = self.requests.join_next() => {
                    if let Ok(Some((name, consumer))) = answer {
                        self.begin(name, consumer);
                    }
                }
                () = tokio::time::sleep(PAUSE), if missing => {}
            }
        }
    }

    /// Asks for another replica, if there may be one.
    fn request(&mut self) {
        // Those that have ended are asked for anew.
        self.agreement.forget_ended();
        while self.readers.try_join_next().is_some() {}
        let wanted = self.agreement.missing().min(REQUESTS);
        let is_time = self.requests.is_empty() || self.requested.elapsed() >= PAUSE;
        if self.requests.len() >= wanted || !is_time {
            return;
        }
        self.requested = Instant::now();
        let (stream, first) = (self.stream.clone(), self.agreement.wanted());
        self.requests.spawn(async move {
            let config = pull::Config {
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: first },
                ack_policy: AckPolicy::None,
                memory_storage: true,
                // Of one replica, which is the one that is read.
                num_replicas: 1,
                inactive_threshold: Duration::from_secs(30),
                ..pull::Config::default()
            };
            match timeout(ANSWER, stream.create_consumer(config)).await {
                Ok(Ok(consumer)) => {
                    let cluster = consumer.cached_info().cluster.as_ref();
                    let name = cluster.and_then(|cluster| cluster.leader.clone()).unwrap_or_default();
                    Some((name, consumer))
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "no replica of the log can be read");
                    None
                }
                Err(_) => None,
            }
        });
    }

    fn begin(&mut self, name: String, consumer: Consumer<pull::Config>) {
        if !self.agreement.misses(&name) {
            let stream = self.stream.clone();
            self.readers.spawn(async move {
                // If it is not deleted now, the NATS server does so when nobody has read it for long.
                let _ = stream.delete_consumer(&consumer.cached_info().name).await;
            });
            return;
        }
        tracing::debug!(replica = name, "a replica of the log is read");
        let (sender, messages) = mpsc::channel(WAITING);
        let (more, replica) = (Arc::clone(&self.more), name.clone());
        let reading = self.readers.spawn(async move {
            let Err(why) = read(consumer, &sender, &more).await;
            tracing::info!(replica, why, "a replica of the log cannot be read on");
            drop(sender);
            more.notify_one();
        });
        self.agreement.add(name, messages, reading);
    }
}

/// Reads a replica for as long as that goes on. Returns why it does not.
async fn read(
    consumer: Consumer<pull::Config>,
    queue: &mpsc::Sender<Message>,
    more: &Notify,
) -> Result<std::convert::Infallible, String> {
    let messages = consumer.stream().heartbeat(HEARTBEAT).expires(EXPIRES).max_messages_per_batch(BATCH);
    let mut messages = messages.messages().await.map_err(|error| error.to_string())?;
    loop {
        let message = messages.next().await.ok_or("there are no more messages")?;
        let message = message.map_err(|error| error.to_string())?;
        let stamp = stamp(&message).ok_or("a message is not one of this program's")?;
        let message = Message { stamp, payload: message.message.payload };
        queue.send(message).await.map_err(|_| "nobody asks any more")?;
        more.notify_one();
    }
}

fn stamp(message: &jetstream::Message) -> Option<Stamp> {
    let info = message.info().ok()?;
    let at = i64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).ok()?;
    let id = message.message.headers.as_ref()?.get(ID)?.as_str().to_owned();
    Some(Stamp { sequence: info.stream_sequence, at, id })
}

/// What each replica has in the place of the next message, for a log of what goes wrong.
impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.agreement.fmt(f)
    }
}
