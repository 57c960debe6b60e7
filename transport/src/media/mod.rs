//! Media: attachments as they are stored, fetched and scanned (reading R51, `docs/media.md`).
//!
//! | file | subject |
//! |---|---|
//! | `uri.rs`, `about.rs` | what items are called, and what is said of them |
//! | `files.rs`, `index.rs` | contents on the disk by their hash, and which items have them |
//! | `scanner.rs` | whether a content is clean |
//! | `multipart.rs`, `stream.rs` | how an item is sent |
//! | `remote.rs` | other servers' items |
//! | `shared.rs` | one's own, where several processes have them |
//! | `turns.rs`, `error.rs` | what the others need |
//!
//! A content is in memory only a few pieces at a time, whatever its size. It is served to nobody before all of it was read
//! and found to be what was stored, and before the scanner, if there is one, called it clean.

mod about;
mod error;
mod files;
mod index;
mod multipart;
mod remote;
mod scanner;
mod shared;
mod stream;
mod turns;
mod uri;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http_body_util::BodyExt as _;
use mimi_linearized::base64;
use mimi_linearized::id::{ServerName, UserId};
use rustls::ClientConfig;
use serde_json::json;

pub use self::about::{About, TypePattern, TypePatternError};
pub use self::error::MediaError;
pub use self::scanner::{ScannerSettings, ScannerUrlError};
pub use self::uri::{MediaId, MxcUri};

use self::files::{Files, Sha256};
use self::index::{Entry, Index, Verdict};
use self::multipart::Envelope;
use self::scanner::Scanner;
use self::stream::FileBody;
use self::turns::Turns;
use crate::clock;
use crate::store::Store;

/// The member of the JSON before an item that has its SHA-256 in base64.
pub(crate) const SHA256_MEMBER: &str = "org.mimi-interop.sha256";

/// The type is what it is said to be.
const NOSNIFF: &str = "nosniff";

/// How long an uploader may send nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// How much media a server takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSettings {
    /// The size of an item, a user's or another server's, in bytes. 50 MiB unless set.
    pub max_bytes: u64,
    /// All items of one user, in bytes. 1 GiB unless set.
    pub quota_bytes: u64,
    /// All copies of other servers' items, in bytes. 1 GiB unless set.
    pub cache_bytes: u64,
    /// Types that users may upload; all, if there is none.
    pub allow_types: Vec<TypePattern>,
    /// Types that users may not upload.
    pub deny_types: Vec<TypePattern>,
    /// What says whether items are clean. Without one they all count as clean.
    pub scanner: Option<ScannerSettings>,
    /// How long fetching an item of another server may take. 2 minutes unless set.
    pub fetch: Duration,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            max_bytes: 50 << 20,
            quota_bytes: 1 << 30,
            cache_bytes: 1 << 30,
            allow_types: Vec::new(),
            deny_types: Vec::new(),
            scanner: None,
            fetch: Duration::from_secs(120),
        }
    }
}

/// A server's media. Clones share them.
#[derive(Clone)]
pub struct Media {
    parts: Arc<Parts>,
    /// Where its own items are, if several processes share them; what is here of them are copies then.
    store: Option<Arc<dyn Store>>,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Media").field("parts", &self.parts).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Parts {
    own: ServerName,
    settings: MediaSettings,
    files: Files,
    index: Mutex<Index>,
    scanner: Option<Scanner>,
    scanning: Turns<Sha256>,
    fetching: Turns<MxcUri>,
}

/// An item that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// What it is called everywhere.
    pub uri: MxcUri,
    /// The SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Its size in bytes.
    pub size: u64,
}

/// An item of a user, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnItem {
    /// What it is called everywhere.
    pub uri: MxcUri,
    /// The SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Its size in bytes.
    pub size: u64,
    /// What is said of it.
    pub about: About,
}

/// An item that may be served: whole, and clean.
#[derive(Debug)]
pub struct Item {
    entry: Entry,
    file: std::fs::File,
}

impl Media {
    /// Opens the media in a folder, and makes it if need be. `tls` is for a scanner that is asked by HTTPS. This reads and
    /// writes files on the calling thread.
    ///
    /// # Errors
    /// [`MediaError`] if the folder or its index cannot be used.
    pub fn open(
        folder: &Path,
        own: ServerName,
        settings: MediaSettings,
        tls: Arc<ClientConfig>,
    ) -> Result<Self, MediaError> {
        let files = Files::open(folder)?;
        let index = Index::open(&folder.join("index.sqlite3"))?;
        index.sweep(&files)?;
        let scanner = settings.scanner.clone().map(|settings| Scanner::new(settings, tls));
        let (scanning, fetching) = (Turns::default(), Turns::default());
        let index = Mutex::new(index);
        let parts = Parts { own, settings, files, index, scanner, scanning, fetching };
        Ok(Self { parts: Arc::new(parts), store: None })
    }

    /// What is set.
    #[must_use]
    pub fn settings(&self) -> &MediaSettings {
        &self.parts.settings
    }

    /// Takes an item of a local user. It is durable when this returns.
    ///
    /// # Errors
    /// [`MediaError::Type`], [`MediaError::TooLarge`], [`MediaError::Quota`], [`MediaError::Incomplete`], or what the disk
    /// or the store fails with.
    pub async fn upload(&self, owner: &UserId, about: About, mut body: Body) -> Result<Uploaded, MediaError> {
        let MediaSettings { max_bytes, quota_bytes, allow_types, deny_types, .. } = &self.parts.settings;
        let kind = about.essence();
        let has = |patterns: &[TypePattern]| patterns.iter().any(|pattern| pattern.has(&kind));
        if has(deny_types) || !(allow_types.is_empty() || has(allow_types)) {
            return Err(MediaError::Type(kind));
        }
        let mut arriving = self.parts.files.begin((*max_bytes).min(*quota_bytes)).await?;
        loop {
            let frame = tokio::time::timeout(SILENCE, body.frame()).await;
            let frame = frame.map_err(|_| MediaError::Incomplete("nothing came for too long".to_owned()))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| MediaError::Incomplete(error.to_string()))?;
            if let Ok(piece) = frame.into_data() {
                arriving.write(&piece).await?;
            }
        }
        let arrived = arriving.finish().await?;
        if let Some(shared) = self.shared() {
            return self.share(shared, owner, arrived, about).await;
        }
        let uri = MxcUri { server: self.parts.own.clone(), id: MediaId::random() };
        let (owner, quota) = (owner.clone(), *quota_bytes);
        self.with_index(move |index, files| {
            index.add_own(files, &uri, &owner, &arrived, &about, (quota, clock::now_ms()))?;
            Ok(Uploaded { uri, sha256: arrived.sha256, size: arrived.size })
        })
        .await
    }

    /// An item of this server, ready to be served.
    ///
    /// # Errors
    /// [`MediaError::NotFound`], [`MediaError::Damaged`], or what scanning came to.
    pub async fn own(&self, id: &MediaId) -> Result<Item, MediaError> {
        if let Some(shared) = self.shared() {
            return self.own_shared(shared, id).await;
        }
        let uri = MxcUri { server: self.parts.own.clone(), id: id.clone() };
        let entry = self.find(&uri).await?.ok_or(MediaError::NotFound)?;
        self.ready(&uri, entry).await
    }

    /// Deletes an item of a user. Copies that others have are theirs.
    ///
    /// # Errors
    /// [`MediaError::NotFound`] if the user has no such item.
    pub async fn delete(&self, owner: &UserId, id: &MediaId) -> Result<(), MediaError> {
        if let Some(shared) = self.shared() {
            return self.delete_shared(shared, owner, id).await;
        }
        let (owner, id, server) = (owner.clone(), id.clone(), self.parts.own.clone());
        let deleted = self
            .with_index(move |index, files| index.delete(files, server.as_str(), id.as_str(), Some(&owner)))
            .await?;
        if deleted { Ok(()) } else { Err(MediaError::NotFound) }
    }

    /// How many bytes a user's items have, and which these are: those that were not asked for longest first, or by their
    /// ids if several processes share them.
    ///
    /// # Errors
    /// [`MediaError`] if the index fails.
    pub async fn of_user(&self, owner: &UserId) -> Result<(u64, Vec<OwnItem>), MediaError> {
        if let Some(shared) = self.shared() {
            return self.of_user_shared(shared, owner).await;
        }
        let (owner, server) = (owner.clone(), self.parts.own.clone());
        let (used, items) = self.with_index(move |index, _| index.of_user(&owner)).await?;
        let item = |(id, entry): (String, Entry)| {
            let uri = MxcUri { server: server.clone(), id: MediaId::parse(&id)? };
            Some(OwnItem { uri, sha256: entry.sha256, size: entry.size, about: entry.about })
        };
        Ok((used, items.into_iter().filter_map(item).collect()))
    }

    async fn find(&self, uri: &MxcUri) -> Result<Option<Entry>, MediaError> {
        let uri = uri.clone();
        self.with_index(move |index, _| index.find(&uri, clock::now_ms())).await
    }

    /// An item whose content is whole and clean.
    async fn ready(&self, uri: &MxcUri, entry: Entry) -> Result<Item, MediaError> {
        self.make_sure_it_is_clean(uri, &entry).await?;
        let file = self.open_whole(&entry).await?;
        Ok(Item { entry, file })
    }

    async fn open_whole(&self, entry: &Entry) -> Result<std::fs::File, MediaError> {
        let (files, sha256, size) = (self.parts.files.clone(), entry.sha256, entry.size);
        blocking(move || files.open_whole(&sha256, size)).await
    }

    /// Asks the scanner, unless it has answered lately. Only its word lets an item through.
    async fn make_sure_it_is_clean(&self, uri: &MxcUri, entry: &Entry) -> Result<(), MediaError> {
        let Some(scanner) = &self.parts.scanner else { return Ok(()) };
        // Whoever comes meanwhile waits for the same answer.
        let _turn = self.parts.scanning.take(entry.sha256).await;
        let sha256 = entry.sha256;
        let known = self.with_index(move |index, _| index.verdict(&sha256)).await?;
        let holds = i64::try_from(scanner.settings.holds.as_millis()).unwrap_or(i64::MAX);
        let fresh = known.filter(|verdict| {
            let age = clock::now_ms().saturating_sub(verdict.at);
            (0..holds).contains(&age)
        });
        let verdict = match fresh {
            Some(verdict) => verdict,
            None => {
                let file = self.open_whole(entry).await?;
                let said = scanner.scan(uri, &entry.about.content_type, (&sha256, entry.size), file).await;
                let said = said.map_err(|error| {
                    tracing::warn!(%uri, %error, "an item could not be scanned");
                    MediaError::NotScanned(error.to_string())
                })?;
                let verdict = Verdict { clean: said.clean, finding: said.info, at: clock::now_ms() };
                let put = verdict.clone();
                self.with_index(move |index, _| index.put_verdict(&sha256, &put)).await?;
                verdict
            }
        };
        if verdict.clean {
            return Ok(());
        }
        tracing::warn!(%uri, finding = verdict.finding, "an item is not clean");
        Err(MediaError::NotClean(verdict.finding))
    }

    /// Does something with the index where it may wait for the disk.
    async fn with_index<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Index, &Files) -> Result<T, MediaError> + Send + 'static,
    ) -> Result<T, MediaError> {
        let parts = Arc::clone(&self.parts);
        blocking(move || {
            // A change that panics half-way is rolled back.
            let mut index = parts.index.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut index, &parts.files)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MediaError> + Send + 'static,
) -> Result<T, MediaError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
}

impl Item {
    /// What is said of it.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.entry.about
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.entry.size
    }

    /// The SHA-256 of its content.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.entry.sha256
    }

    /// As another server gets it.
    pub(crate) fn into_multipart(self) -> Response {
        let said = json!({SHA256_MEMBER: base64::encode(&self.entry.sha256)});
        let Envelope { content_type, before, after } = Envelope::of(&self.entry.about, &said);
        let body = FileBody::new(before.into(), self.file, self.entry.size, after.into());
        let headers = [(CONTENT_TYPE, content_type), (X_CONTENT_TYPE_OPTIONS, NOSNIFF.to_owned())];
        (headers, Body::new(body)).into_response()
    }

    /// As a user's client gets it. A browser neither guesses its type nor runs anything in it.
    pub(crate) fn into_plain(self) -> Response {
        let about = &self.entry.about;
        let headers = [
            (CONTENT_TYPE, about.content_type.clone()),
            (CONTENT_DISPOSITION, about.disposition()),
            (X_CONTENT_TYPE_OPTIONS, NOSNIFF.to_owned()),
            (CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
        ];
        let body = FileBody::new(Bytes::new(), self.file, self.entry.size, Bytes::new());
        (headers, Body::new(body)).into_response()
    }
}
