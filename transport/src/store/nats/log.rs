//! The log: putting changes into it, and finding out what came of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, stream};
use async_nats::{Client, Subject};
use mimi_linearized::base64;
use mimi_linearized::id::RoomId;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::super::command::{Command, Message, Outcome, encode};
use super::super::sqlite::SqliteStore;
use super::super::sqlite::view::Applied;
use super::super::{Change, ExpectedHead, StoreError};
use super::fresh::Fresh;

/// How long one attempt may take. A change is attempted again under the same id, so that it is made once.
const ATTEMPT: Duration = Duration::from_secs(2);

/// How long something may fail before another NATS server is tried, and how long that one is given then.
const CUT_OFF: Duration = Duration::from_secs(4);

/// The pause after a failed attempt.
const PAUSE: Duration = Duration::from_millis(100);

/// The header with a message's id, by which the views know one that was sent again.
///
/// It is not `Nats-Msg-Id`: a leader of the stream that has taken note of such an id, and then failed to store the
/// message, answers nothing to it for as long as it remembers (seen with 2.9.10).
pub(super) const ID: &str = "Mimi-Message";

/// What a message's headers may take of what the NATS server takes at once, in bytes.
const HEADERS: usize = 4 * 1024;

/// The most in one message, in bytes, also if the NATS server takes more.
const MESSAGE: usize = 512 * 1024;

/// The log that all processes of a server share, and the view of it that this one has.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) client: Client,
    pub(super) stream: stream::Stream<()>,
    context: jetstream::Context,
    pub(super) prefix: String,
    /// How many replicas the stream has.
    pub(super) replicas: usize,
    pub(super) view: SqliteStore,
    /// The last message that the view holds.
    pub(super) applied: watch::Sender<u64>,
    /// The last message that the log is known to have.
    pub(super) wanted: watch::Sender<u64>,
    /// What other processes did.
    pub(super) changes: broadcast::Sender<Change>,
    /// Begins the ids of this process's messages.
    process: String,
    count: AtomicU64,
    /// When another NATS server was tried last.
    tried: Mutex<Instant>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Result<Outcome, StoreError>>>>,
    fresh: Fresh,
    patience: Duration,
}

impl Log {
    pub(super) fn new(
        client: Client,
        context: jetstream::Context,
        (stream, replicas): (stream::Stream<()>, usize),
        view: SqliteStore,
        (prefix, process): (String, String),
        patience: Duration,
    ) -> Self {
        Self {
            client,
            stream,
            context,
            prefix,
            replicas,
            view,
            applied: watch::Sender::new(0),
            wanted: watch::Sender::new(0),
            changes: broadcast::Sender::new(4_096),
            process,
            count: AtomicU64::new(0),
            tried: Mutex::new(Instant::now()),
            waiting: Mutex::default(),
            fresh: Fresh::default(),
            patience,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Result<Outcome, StoreError>>>> {
        // The map is whole whenever the lock is free.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to another NATS server of the cluster, unless that was just done: from the present one, some or all of the
    /// others may not be reached.
    pub(super) async fn try_another_server(&self, why: &str) {
        {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            if tried.elapsed() < CUT_OFF {
                return;
            }
            *tried = Instant::now();
        }
        tracing::warn!(why, "another NATS server is tried");
        if let Err(error) = self.client.force_reconnect().await {
            tracing::warn!(%error, "no other NATS server can be tried");
        }
    }

    /// Makes a change. It is in the log, and in this process's view, when this returns.
    pub(super) async fn run(self: &Arc<Self>, command: Command) -> Result<Outcome, StoreError> {
        let deadline = Instant::now() + self.patience;
        let (subject, expected) = match &command {
            Command::Append { room_id, expected, .. } => {
                let (head, last) = self.view.end_of(room_id).await?;
                if head != *expected {
                    return Ok(Outcome::HeadMoved);
                }
                // A condition on a subject's first message is one that each replica judges by itself, with 2.9.10, so
                // that they could come to differ.
                let condition = (last > 0).then(|| Condition { room_id: room_id.clone(), head, last });
                (room_subject(&self.prefix, room_id), condition)
            }
            _ => (format!("{}.change", self.prefix), None),
        };
        let limit = self.client.server_info().max_payload.saturating_sub(HEADERS).clamp(1, MESSAGE);
        let id = format!("{}-{}", self.process, self.count.fetch_add(1, Ordering::Relaxed));
        let whole = encode(&Message::Whole(Box::new(command.clone())))?;
        let message = if whole.len() <= limit {
            whole
        } else {
            let mut count = 0_u32;
            for piece in encode(&command)?.chunks(limit.saturating_sub(HEADERS).max(1)) {
                let part = Message::Part { of: id.clone(), index: count, bytes: piece.to_vec() };
                let (subject, id) = (format!("{}.part", self.prefix), format!("{id}.{count}"));
                self.publish(subject, id, encode(&part)?, None, deadline).await?;
                count = count.saturating_add(1);
            }
            encode(&Message::Parts { of: id.clone(), count })?
        };
        self.publish(subject, id, message, expected, deadline).await
    }

    /// Puts a message into the log, as often as it takes, and waits until the view has it: until a majority of the
    /// replicas have it where the view takes it from. The leader's word alone is not enough, since it can be in doubt what
    /// it is the leader of.
    async fn publish(
        self: &Arc<Self>,
        subject: String,
        id: String,
        payload: Vec<u8>,
        mut expected: Option<Condition>,
        deadline: Instant,
    ) -> Result<Outcome, StoreError> {
        let mut outcome = self.await_outcome(&id);
        let subject = Subject::from(subject);
        let message = PublishMessage::build().payload(payload.into()).header(ID, id.as_str());
        let began = Instant::now();
        loop {
            let message = match &expected {
                Some(Condition { last, .. }) => message.clone().expected_last_subject_sequence(*last),
                None => message.clone(),
            };
            let attempt = timeout(ATTEMPT, self.attempt(subject.clone(), message));
            let why = tokio::select! {
                biased;
                outcome = &mut outcome.receiver => return outcome.unwrap_or(Err(StoreError::Closed)),
                sent = attempt => match sent {
                    Ok(Ok(sequence)) => {
                        self.want(sequence);
                        match timeout(ATTEMPT, &mut outcome.receiver).await {
                            Ok(outcome) => return outcome.unwrap_or(Err(StoreError::Closed)),
                            Err(_) => format!("message {sequence} of the log was acknowledged and cannot be read"),
                        }
                    }
                    Ok(Err(error)) if error.kind() == PublishErrorKind::WrongLastSequence => {
                        // Another process was faster; or this one, when an earlier attempt was not answered.
                        self.catch_up_by(deadline).await?;
                        if let Ok(outcome) = outcome.receiver.try_recv() {
                            return outcome;
                        }
                        match expected.take() {
                            Some(condition) if condition.holds(&self.view).await? => {
                                // The leader has another message in that place than a majority. Views compare the heads.
                                "the leader of the log differs from a majority of its replicas".to_owned()
                            }
                            _ => return Ok(Outcome::HeadMoved),
                        }
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "the log does not answer".to_owned(),
                },
            };
            if Instant::now() >= deadline {
                return Err(StoreError::Unavailable(why));
            }
            tracing::debug!(%subject, why, "a change is put into the log again");
            if began.elapsed() >= CUT_OFF {
                self.try_another_server(&why).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Puts a message into the log once. Returns its place.
    async fn attempt(&self, subject: Subject, message: PublishMessage) -> Result<u64, PublishError> {
        self.context.send_publish(subject, message).await?.await.map(|taken| taken.sequence)
    }

    /// Takes note that the log has a message.
    fn want(&self, sequence: u64) {
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, sequence.max(*wanted)) < sequence);
    }

    fn await_outcome(self: &Arc<Self>, id: &str) -> Awaited {
        let (sender, receiver) = oneshot::channel();
        self.waiting().insert(id.to_owned(), sender);
        Awaited { log: Arc::clone(self), id: id.to_owned(), receiver }
    }

    /// Waits until the view holds everything that the log held when this was called.
    pub(super) async fn catch_up(&self) -> Result<(), StoreError> {
        self.catch_up_by(Instant::now() + self.patience).await
    }

    /// The same, together with whoever else wants it, and not longer than this.
    pub(super) async fn freshen(&self, within: Duration) {
        let look = async {
            if !matches!(timeout(within, self.catch_up()).await, Ok(Ok(()))) {
                tracing::debug!("what other processes did just now is not known");
            }
        };
        self.fresh.look(look).await;
    }

    async fn catch_up_by(&self, deadline: Instant) -> Result<(), StoreError> {
        let mut applied = self.applied.subscribe();
        loop {
            let why = match timeout(ATTEMPT, self.stream.get_info()).await {
                Ok(Ok(info)) => {
                    let last = info.state.last_sequence;
                    self.want(last);
                    // If that takes long, there may be another leader meanwhile, which knows better.
                    let reached = timeout(ATTEMPT, applied.wait_for(|applied| *applied >= last)).await;
                    if reached.is_ok() {
                        return Ok(());
                    }
                    format!("message {last} of the log cannot be read")
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the log does not answer".to_owned(),
            };
            if Instant::now() >= deadline {
                return Err(StoreError::Unavailable(why));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Tells whoever waits that the view holds a message.
    pub(super) fn reached(&self, sequence: u64, id: &str, applied: Applied) {
        let own = self.waiting().remove(id);
        self.applied.send_replace(sequence);
        match (own, applied) {
            (Some(own), Applied { outcome: Some(outcome), .. }) => {
                // Whoever asked may have gone away.
                let _ = own.send(outcome);
            }
            (None, Applied { command: Some(command), outcome: Some(Ok(outcome)) }) if !outcome.undoes() => {
                if let Some(change) = change(*command) {
                    // Nobody may be listening.
                    let _ = self.changes.send(change);
                }
            }
            _ => {}
        }
    }
}

/// What an event is appended on.
#[derive(Debug)]
struct Condition {
    room_id: RoomId,
    /// The end of the room's list.
    head: ExpectedHead,
    /// The last message of the room's subject.
    last: u64,
}

impl Condition {
    async fn holds(&self, view: &SqliteStore) -> Result<bool, StoreError> {
        Ok(view.end_of(&self.room_id).await? == (self.head.clone(), self.last))
    }
}

/// An outcome that somebody waits for.
#[derive(Debug)]
struct Awaited {
    log: Arc<Log>,
    id: String,
    receiver: oneshot::Receiver<Result<Outcome, StoreError>>,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.log.waiting().remove(&self.id);
    }
}

/// The subject of a room's events. An id can have any character, a subject cannot.
fn room_subject(prefix: &str, room_id: &RoomId) -> String {
    format!("{prefix}.room.{}", base64::encode_url_safe(room_id.as_str().as_bytes()))
}

/// What a change of another process means to this one.
fn change(command: Command) -> Option<Change> {
    match command {
        Command::Append { room_id, record, .. } => Some(Change::Appended { room_id, to: record.queue_for }),
        Command::Enqueue { destination, .. } | Command::Arrive { destination, .. } => {
            Some(Change::Queue(destination))
        }
        Command::Deliver(_) | Command::Claim { .. } | Command::PutInvite(_) | Command::PutSnapshot { .. } => {
            Some(Change::Inbox)
        }
        _ => None,
    }
}
