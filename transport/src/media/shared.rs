//! This server's items where several processes of it share a store: each process has copies of those that it was asked for.

use std::sync::Arc;

use bytes::Bytes;
use mimi_linearized::id::UserId;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::files::Arrived;
use super::{About, Entry, Item, Media, MediaError, MediaId, MxcUri, OwnItem, SILENCE, Uploaded};
use crate::clock;
use crate::store::{SharedItem, SharedMedia, Store};

/// How much of a content is read at once, in bytes.
const PIECE: usize = 64 * 1024;

impl Media {
    /// The same media, whose own items are in the store, if that is one that several processes share.
    pub(crate) fn kept_in(mut self, store: &Arc<dyn Store>) -> Self {
        self.store = store.media().is_some().then(|| Arc::clone(store));
        self
    }

    pub(super) fn shared(&self) -> Option<&dyn SharedMedia> {
        self.store.as_ref()?.media()
    }

    /// Gives an item that arrived here to all processes.
    pub(super) async fn share(
        &self,
        shared: &dyn SharedMedia,
        owner: &UserId,
        arrived: Arrived,
        about: About,
    ) -> Result<Uploaded, MediaError> {
        let quota = self.parts.settings.quota_bytes;
        let Arrived { sha256, size, .. } = arrived;
        let used = used_by(&shared.items_of(owner).await?);
        if used.saturating_add(size) > quota {
            // Nobody else has to take it in to find that out.
            return Err(MediaError::Quota(quota));
        }
        let id = MediaId::random();
        let mut file = tokio::fs::File::open(arrived.path()).await?;
        shared.put_content(id.as_str(), &mut file).await?;
        let item = SharedItem {
            id: id.as_str().to_owned(),
            owner: owner.clone(),
            sha256,
            size,
            content_type: about.content_type.clone(),
            filename: about.filename.clone(),
        };
        if !shared.add_item(item, quota).await? {
            remove_content(shared, &id).await;
            return Err(MediaError::Quota(quota));
        }
        let uri = MxcUri { server: self.parts.own.clone(), id };
        self.keep_copy(&uri, arrived, about).await?;
        Ok(Uploaded { uri, sha256, size })
    }

    /// An item of this server that any of its processes took.
    pub(super) async fn own_shared(
        &self,
        shared: &dyn SharedMedia,
        id: &MediaId,
    ) -> Result<Item, MediaError> {
        let uri = MxcUri { server: self.parts.own.clone(), id: id.clone() };
        let Some(item) = shared.item(id.as_str()).await? else {
            // Another process may have deleted it.
            self.forget_copy(&uri).await?;
            return Err(MediaError::NotFound);
        };
        // Whoever comes meanwhile waits for the same copy.
        let turn = self.parts.fetching.take(uri.clone()).await;
        let entry = match self.find(&uri).await? {
            Some(entry) if entry.sha256 == item.sha256 => entry,
            _ => {
                let about =
                    About { content_type: item.content_type.clone(), filename: item.filename.clone() };
                let arrived = self.read_shared(shared, &item).await?;
                let entry = Entry { sha256: arrived.sha256, size: arrived.size, about: about.clone() };
                self.keep_copy(&uri, arrived, about).await?;
                entry
            }
        };
        drop(turn);
        self.ready_copy(&uri, entry).await
    }

    /// Reads the content of an item to the disk.
    async fn read_shared(&self, shared: &dyn SharedMedia, item: &SharedItem) -> Result<Arrived, MediaError> {
        let mut content = shared.content(&item.id).await?.ok_or(MediaError::Damaged)?;
        let mut arriving = self.parts.files.begin(item.size).await?;
        let mut piece = vec![0; PIECE];
        loop {
            let read = timeout(SILENCE, content.read(&mut piece)).await;
            let read = read.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
            if read == 0 {
                break;
            }
            arriving.write(&Bytes::copy_from_slice(piece.get(..read).unwrap_or_default())).await?;
        }
        let arrived = arriving.finish().await?;
        if arrived.sha256 == item.sha256 { Ok(arrived) } else { Err(MediaError::Damaged) }
    }

    pub(super) async fn delete_shared(
        &self,
        shared: &dyn SharedMedia,
        owner: &UserId,
        id: &MediaId,
    ) -> Result<(), MediaError> {
        if !shared.delete_item(owner, id.as_str()).await? {
            return Err(MediaError::NotFound);
        }
        remove_content(shared, id).await;
        self.forget_copy(&MxcUri { server: self.parts.own.clone(), id: id.clone() }).await
    }

    pub(super) async fn of_user_shared(
        &self,
        shared: &dyn SharedMedia,
        owner: &UserId,
    ) -> Result<(u64, Vec<OwnItem>), MediaError> {
        let items = shared.items_of(owner).await?;
        let used = used_by(&items);
        let item = |item: SharedItem| {
            let SharedItem { id, sha256, size, content_type, filename, .. } = item;
            let uri = MxcUri { server: self.parts.own.clone(), id: MediaId::parse(&id)? };
            Some(OwnItem { uri, sha256, size, about: About { content_type, filename } })
        };
        Ok((used, items.into_iter().filter_map(item).collect()))
    }

    /// Keeps what arrived as a copy of an item.
    pub(super) async fn keep_copy(
        &self,
        uri: &MxcUri,
        arrived: Arrived,
        about: About,
    ) -> Result<(), MediaError> {
        let (uri, cache) = (uri.clone(), self.parts.settings.cache_bytes);
        self.with_index(move |index, files| {
            index.add_copy(files, &uri, &arrived, &about, (cache, clock::now_ms()))
        })
        .await
    }

    pub(super) async fn forget_copy(&self, uri: &MxcUri) -> Result<(), MediaError> {
        let uri = uri.clone();
        self.with_index(move |index, files| {
            index.delete(files, uri.server.as_str(), uri.id.as_str(), None).map(drop)
        })
        .await
    }

    /// A copy that is whole and clean. The next one who asks for one that is damaged gets a new one.
    pub(super) async fn ready_copy(&self, uri: &MxcUri, entry: Entry) -> Result<Item, MediaError> {
        let ready = self.ready(uri, entry).await;
        if matches!(ready, Err(MediaError::Damaged)) {
            self.forget_copy(uri).await?;
        }
        ready
    }
}

fn used_by(items: &[SharedItem]) -> u64 {
    items.iter().fold(0, |used, item| used.saturating_add(item.size))
}

/// Removes a content that no item has; if that fails, it is removed when it is found to be left over.
async fn remove_content(shared: &dyn SharedMedia, id: &MediaId) {
    if let Err(error) = shared.remove_content(id.as_str()).await {
        tracing::warn!(%id, %error, "the content of an item that is deleted remains for now");
    }
}
