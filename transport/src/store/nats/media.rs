//! Media that all processes have: items are records of the log, contents are objects of a JetStream object store.
//!
//! A content is stored before its item and removed after it, under the item's own id, so that two users with the same
//! content cannot take it from each other. What a crash leaves in between, nobody can find; it is removed a day later.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::jetstream::object_store::{GetErrorKind, ObjectMetadata, ObjectStore};
use async_nats::jetstream::{self, stream};
use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mimi_linearized::id::UserId;
use tokio::io::AsyncSeekExt as _;
use tokio::time::{Instant, sleep};

use super::super::command::{Command, Outcome};
use super::super::sqlite::SqliteStore;
use super::super::{Content, SharedItem, SharedMedia, StoreError};
use super::{NatsConfig, NatsStore, PAUSE, open_stream, unexpected};

/// What is in nobody's item for so long is removed.
const LEFT_OVER: Duration = Duration::from_secs(24 * 60 * 60);

/// The contents of a server's media.
#[derive(Clone)]
pub(super) struct Contents {
    pub(super) objects: ObjectStore,
    pub(super) stream: stream::Stream<()>,
    pub(super) bucket: String,
    patience: Duration,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Contents {
    /// Opens the object store, and makes it if there is none.
    pub(super) async fn open(context: &jetstream::Context, config: &NatsConfig) -> Result<Self, StoreError> {
        let bucket = format!("{}-media", config.prefix);
        let wanted = stream::Config {
            name: format!("OBJ_{bucket}"),
            subjects: ["C", "M"].map(|kind| format!("$O.{bucket}.{kind}.>")).to_vec(),
            discard: stream::DiscardPolicy::New,
            allow_rollup: true,
            // The leader is asked what there is: another replica may not have heard of it yet.
            allow_direct: false,
            storage: stream::StorageType::File,
            num_replicas: config.replicas,
            ..stream::Config::default()
        };
        let (stream, _) = open_stream(context, &wanted, config.patience).await?;
        let objects = context.get_object_store(&bucket).await.map_err(unavailable)?;
        Ok(Self { objects, stream, bucket, patience: config.patience })
    }

    /// Waits before something is tried again, as long as there is patience.
    async fn wait(&self, began: Instant, error: impl std::fmt::Display) -> Result<(), StoreError> {
        if began.elapsed() >= self.patience {
            return Err(unavailable(error));
        }
        tracing::info!(bucket = self.bucket, %error, "contents of media have to wait");
        sleep(PAUSE).await;
        Ok(())
    }

    /// Removes what is in no item, if it has been there for so long.
    pub(super) async fn sweep(&self, view: &SqliteStore, left: Duration) -> Result<usize, StoreError> {
        let (mut swept, mut known) = (0_usize, HashSet::new());
        let mut objects = self.objects.list().await.map_err(unavailable)?;
        while let Some(object) = objects.try_next().await.map_err(unavailable)? {
            let age = object.modified.map(since);
            if age.is_some_and(|age| age >= left) && view.media_item(&object.name).await?.is_none() {
                self.objects.delete(&object.name).await.map_err(unavailable)?;
                swept = swept.saturating_add(1);
            } else {
                known.insert(format!("$O.{}.C.{}", self.bucket, object.nuid));
            }
        }
        // Pieces of a content that was never stored whole.
        let filter = format!("$O.{}.C.>", self.bucket);
        let mut subjects = self.stream.info_with_subjects(&filter).await.map_err(unavailable)?;
        while let Some((subject, _)) = subjects.try_next().await.map_err(unavailable)? {
            if known.contains(&subject) {
                continue;
            }
            let Ok(last) = self.stream.get_last_raw_message_by_subject(&subject).await else { continue };
            if since(last.time) >= left {
                self.stream.purge().filter(&subject).await.map_err(unavailable)?;
                swept = swept.saturating_add(1);
            }
        }
        Ok(swept)
    }

    /// Sweeps once, in its own time.
    pub(super) async fn tidy(&self, view: &SqliteStore) {
        match self.sweep(view, LEFT_OVER).await {
            Ok(0) => {}
            Ok(swept) => tracing::info!(swept, "contents of media that no item has were removed"),
            Err(error) => tracing::warn!(%error, "contents of media that no item has may remain"),
        }
    }
}

/// How long ago that was; nothing if it is still to come.
fn since(time: async_nats::datetime::DateTime) -> Duration {
    let now = std::time::SystemTime::now();
    now.duration_since(time.into()).unwrap_or_default()
}

fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

#[async_trait]
impl SharedMedia for NatsStore {
    async fn put_content(&self, id: &str, content: &mut tokio::fs::File) -> Result<(), StoreError> {
        let began = Instant::now();
        loop {
            content.rewind().await.map_err(unavailable)?;
            let about = ObjectMetadata { name: id.to_owned(), ..ObjectMetadata::default() };
            match self.contents.objects.put(about, content).await {
                Ok(_) => return Ok(()),
                Err(error) => self.contents.wait(began, error).await?,
            }
        }
    }

    async fn content(&self, id: &str) -> Result<Option<Content>, StoreError> {
        let began = Instant::now();
        loop {
            match self.contents.objects.get(id).await {
                Ok(object) => return Ok(Some(Box::new(object))),
                Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
                Err(error) => self.contents.wait(began, error).await?,
            }
        }
    }

    async fn remove_content(&self, id: &str) -> Result<(), StoreError> {
        self.contents.objects.delete(id).await.map_err(unavailable)
    }

    async fn add_item(&self, item: SharedItem, quota: u64) -> Result<bool, StoreError> {
        match self.log.run(Command::AddMedia { item, quota }).await? {
            Outcome::Added(added) => Ok(added),
            _ => Err(unexpected()),
        }
    }

    async fn item(&self, id: &str) -> Result<Option<SharedItem>, StoreError> {
        self.log.view.media_item(id).await
    }

    async fn items_of(&self, owner: &UserId) -> Result<Vec<SharedItem>, StoreError> {
        self.log.view.media_of(owner).await
    }

    async fn delete_item(&self, owner: &UserId, id: &str) -> Result<bool, StoreError> {
        let command = Command::DeleteMedia { owner: owner.clone(), id: id.to_owned() };
        match self.log.run(command).await? {
            Outcome::Removed(existed) => Ok(existed),
            _ => Err(unexpected()),
        }
    }
}
