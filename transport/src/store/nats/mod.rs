//! A store that several processes of one server share: a log of changes in NATS JetStream.
//!
//! Every change is a message of one stream, which has one order for all. Each process follows the stream into a database
//! of its own, the view, and reads from that. A change is made when a majority of the stream's replicas have it; what came
//! of it is what making it in the view came to, which is the same everywhere, since everybody makes the same changes in the
//! same order. `docs/stores.md` says what survives what.
//!
//! An event is appended on condition that it is the next message of its room's subject, so that one of two processes is
//! refused by the stream itself; the view compares the heads once more.

mod address;
mod agreement;
mod connection;
mod fresh;
mod log;
mod media;
mod members;
mod queues;
mod reader;
mod replicas;
mod rooms;
mod users;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::{self, stream};
use async_trait::async_trait;
use mimi_linearized::base64;
use mimi_linearized::id::{RoomId, ServerName};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use address::{AddressError, Login, NatsConfig};

use self::connection::connect;
use self::log::Log;
use self::media::Contents;
use self::members::Members;
use super::command::{Command, Identity, Outcome};
use super::sqlite::SqliteStore;
use super::{Change, SharedMedia, SharedStore, StoreError};

/// How long a request to the NATS server may take.
const ANSWER: Duration = Duration::from_secs(2);

/// How many changes may wait for the stream's answer; whoever comes later waits for a place.
const IN_FLIGHT: usize = 4_096;

/// The pause before something is tried again at the start.
const PAUSE: Duration = Duration::from_millis(250);

/// How many replicas it takes to outlive one of them without doubt about what was taken.
const SAFE_REPLICAS: usize = 3;

/// A store in a log that other processes write to as well.
#[derive(Debug)]
pub struct NatsStore {
    log: Arc<Log>,
    members: Arc<Members>,
    /// One claim at a time of this process: each is written for what it will find.
    claims: tokio::sync::Mutex<()>,
    contents: Contents,
    /// How often in a row other processes were faster, by room.
    losses: Mutex<HashMap<RoomId, u32>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl NatsStore {
    /// Connects, makes the stream if there is none, and follows it to its end. The view is the database at `view`, which
    /// is made anew from the stream if it is missing, damaged, or another stream's. Has to be called within a tokio
    /// runtime; reads and writes files on the calling thread.
    ///
    /// # Errors
    /// - [`StoreError::Unavailable`] if there is no answer in time, or the stream cannot be made.
    /// - [`StoreError::InUse`] if another store has the view open.
    /// - [`StoreError::Format`] if a newer version of this program has written to the stream.
    /// - [`StoreError::Database`] if the view cannot be made.
    pub async fn open(config: &NatsConfig, view: &Path) -> Result<Self, StoreError> {
        let client = connect(config).await?;
        let context = ContextBuilder::new()
            .timeout(ANSWER)
            .ack_timeout(ANSWER)
            .max_ack_inflight(IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let wanted = stream::Config {
            name: config.prefix.clone(),
            subjects: ["room.*", "change", "part"]
                .map(|subject| format!("{}.{subject}", config.prefix))
                .to_vec(),
            // What does not fit any more is refused: nothing is ever deleted.
            discard: stream::DiscardPolicy::New,
            deny_delete: true,
            storage: stream::StorageType::File,
            num_replicas: config.replicas,
            ..stream::Config::default()
        };
        let (stream, info) = open_stream(&context, &wanted, config.patience).await?;
        if info.config.num_replicas < SAFE_REPLICAS {
            tracing::warn!(
                stream = info.config.name,
                replicas = info.config.num_replicas,
                "what is stored may be lost with one machine: fewer than {SAFE_REPLICAS} copies of it are kept"
            );
        }
        let contents = Contents::open(&context, config).await?;
        let view = open_view(view, &stream, &info).await?;
        let process = base64::encode_url_safe(&rand::random::<[u8; 9]>());
        let members = Arc::new(Members::new(process.clone()));
        let names = (config.prefix.clone(), process);
        let log = Arc::new(Log::new(
            client,
            context,
            (stream, info.config.num_replicas),
            view,
            names,
            config.patience,
        ));
        let reading = tokio::spawn(reader::follow(Arc::clone(&log)));
        let store = Self {
            log,
            members,
            claims: tokio::sync::Mutex::default(),
            contents,
            losses: Mutex::default(),
            tasks: Mutex::new(vec![reading]),
        };
        store.reach(info.state.last_sequence, config.patience).await?;
        let (log, members) = (Arc::clone(&store.log), Arc::clone(&store.members));
        let speaking = async move { members.run(&log.client, &log.prefix, &log.changes).await };
        store.tasks().push(tokio::spawn(speaking));
        let (log, contents) = (Arc::clone(&store.log), store.contents.clone());
        store.tasks().push(tokio::spawn(async move { contents.tidy(&log.view).await }));
        Ok(store)
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the view to come so far, for as long as it moves.
    async fn reach(&self, last: u64, patience: Duration) -> Result<(), StoreError> {
        let mut applied = self.log.applied.subscribe();
        let mut so_far = 0;
        loop {
            let reached = tokio::time::timeout(patience, applied.wait_for(|applied| *applied >= last)).await;
            if matches!(reached, Ok(Ok(_))) {
                return Ok(());
            }
            drop(reached);
            let now = *applied.borrow();
            if now <= so_far {
                let why = format!("the log was read up to message {now} of {last}; see what was logged");
                return Err(StoreError::Unavailable(why));
            }
            so_far = now;
            tracing::info!(so_far, last, "the log is being read");
        }
    }

    /// Whose store it is, if any process has said so.
    ///
    /// # Errors
    /// [`StoreError`] if the view fails.
    pub async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        self.log.view.identity().await
    }

    /// Says whose store it is. A store belongs to one server, and all processes of a server sign with one key. A key
    /// other than the last one takes its place if no other process is alive.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`] if it is another server's, or processes are alive that have another key.
    pub async fn introduce(&self, identity: Identity) -> Result<(), StoreError> {
        // Long enough for those who are there to answer.
        tokio::time::sleep(PAUSE).await;
        let mut replaced = false;
        loop {
            let change = Command::Introduce { identity: identity.clone(), replaced };
            let Outcome::Introduced(known) = self.log.run(change).await? else { return Err(unexpected()) };
            if known == identity {
                return Ok(());
            }
            if known.server_name != identity.server_name {
                let why = format!("it is {}'s; give every server a prefix of its own", known.server_name);
                return Err(StoreError::NotOurs(why));
            }
            if self.members.others() > 0 {
                let why = format!(
                    "processes that are running sign with {}; this one would with {}, \
                     where all have to have the same `signing.key`",
                    known.key_id, identity.key_id
                );
                return Err(StoreError::NotOurs(why));
            }
            tracing::warn!(from = known.key_id, to = identity.key_id, "the server signs with another key");
            replaced = true;
        }
    }

    /// Stops: further calls fail, the other processes are told, and the view is closed.
    ///
    /// # Errors
    /// [`StoreError`] if the view cannot be closed properly.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.members.leave(&self.log.client, &self.log.prefix).await;
        let tasks = std::mem::take(&mut *self.tasks());
        for task in tasks {
            task.abort();
            // It has ended either way.
            let _ = task.await;
        }
        self.log.view.close().await
    }

    /// Makes a change of which there is nothing to say.
    async fn change(&self, command: Command) -> Result<(), StoreError> {
        self.log.run(command).await.map(drop)
    }
}

impl Drop for NatsStore {
    fn drop(&mut self) {
        for task in self.tasks().drain(..) {
            task.abort();
        }
    }
}

#[async_trait]
impl SharedStore for NatsStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn changes(&self) -> Option<broadcast::Receiver<Change>> {
        Some(self.log.changes.subscribe())
    }

    fn sends_to(&self, destination: &ServerName) -> bool {
        self.members.sends_to(destination)
    }

    fn others(&self) -> usize {
        self.members.others()
    }

    fn media(&self) -> Option<&dyn SharedMedia> {
        Some(self)
    }

    async fn rekey(&self, identity: Identity) -> Result<(), StoreError> {
        self.change(Command::Introduce { identity, replaced: true }).await
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        self.log.catch_up().await
    }

    async fn freshen(&self, within: Duration) {
        self.log.freshen(within).await;
    }
}

/// A change came to something that it cannot come to.
fn unexpected() -> StoreError {
    StoreError::Malformed { what: "outcome", detail: "it is another kind of change's".to_owned() }
}

/// A stream, made if there is none. A cluster that has just started cannot do that at once.
async fn open_stream(
    context: &jetstream::Context,
    wanted: &stream::Config,
    patience: Duration,
) -> Result<(stream::Stream<()>, stream::Info), StoreError> {
    let deadline = Instant::now() + patience;
    loop {
        let why = match context.get_or_create_stream(wanted.clone()).await {
            Ok(stream) => {
                let info = stream.cached_info().clone();
                let stream = context.get_stream_no_info(&wanted.name).await;
                return Ok((stream.map_err(|error| StoreError::Unavailable(error.to_string()))?, info));
            }
            Err(error) => error,
        };
        let needs_cluster = why.to_string().contains("non-clustered");
        if needs_cluster || Instant::now() >= deadline {
            let hint = if needs_cluster {
                "; a single NATS server can keep no more than one copy: ?replicas=1"
            } else {
                ""
            };
            return Err(StoreError::Unavailable(format!("{why}{hint}")));
        }
        tracing::info!(%why, "the stream cannot be opened yet");
        tokio::time::sleep(PAUSE).await;
    }
}

/// The view, made anew if it cannot go on with the stream.
async fn open_view(
    path: &Path,
    stream: &stream::Stream<()>,
    info: &stream::Info,
) -> Result<SqliteStore, StoreError> {
    match SqliteStore::open_view(path) {
        Ok(view) => match view.followed().await {
            Ok(Some(followed)) if reader::continues(stream, info, &followed).await? => return Ok(view),
            Ok(None) => {
                view.follow(reader::name_of(info)).await?;
                return Ok(view);
            }
            Ok(Some(followed)) => {
                tracing::warn!(?followed, "the view is not of this log, or the log has lost its end");
                view.close().await?;
            }
            Err(error) => {
                tracing::warn!(%error, "the view cannot be read");
                view.close().await?;
            }
        },
        Err(error @ (StoreError::Malformed { .. } | StoreError::Format { .. })) => {
            tracing::warn!(%error, "the view cannot be used");
        }
        Err(error) => return Err(error),
    }
    tracing::warn!(path = %path.display(), "the view is made anew from the log");
    remove(path).map_err(|error| StoreError::Database(Box::new(error)))?;
    let view = SqliteStore::open_view(path)?;
    view.follow(reader::name_of(info)).await?;
    Ok(view)
}

/// Removes a database, but for the file that locks it.
fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
