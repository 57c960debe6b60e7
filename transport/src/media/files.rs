//! Contents on the disk, by their SHA-256: whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ring::digest::{Context, SHA256};
use tokio::io::AsyncWriteExt as _;

use super::MediaError;

/// What a content is called: its SHA-256.
pub(super) type Sha256 = [u8; 32];

/// A folder of contents.
#[derive(Debug, Clone)]
pub(super) struct Files {
    contents: PathBuf,
    arriving: PathBuf,
}

impl Files {
    /// Opens a folder, and makes it if need be. What was arriving when the last run ended is removed.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let files = Self { contents: folder.join("content"), arriving: folder.join("arriving") };
        fs::create_dir_all(&files.contents)?;
        fs::create_dir_all(&files.arriving)?;
        for entry in fs::read_dir(&files.arriving)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(files)
    }

    /// Begins a new content, of at most `limit` bytes.
    pub(super) async fn begin(&self, limit: u64) -> Result<Arriving, MediaError> {
        let path = self.arriving.join(format!("{:032x}", rand::random::<u128>()));
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(&path).await?;
        Ok(Arriving { file, path: Remaining(path), hash: Context::new(&SHA256), size: 0, limit })
    }

    /// Where a content is.
    fn path(&self, sha256: &Sha256) -> PathBuf {
        let name = name_of(sha256);
        self.contents.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// Puts a content in its place, over one that is there: that is the same, or damaged. It is durable when this returns.
    pub(super) fn place(&self, arrived: &Arrived) -> io::Result<()> {
        let path = self.path(&arrived.sha256);
        let Some(folder) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
        if !folder.exists() {
            fs::create_dir_all(folder)?;
            sync(&self.contents)?;
        }
        fs::rename(&arrived.path.0, &path)?;
        sync(folder)
    }

    /// Removes a content.
    pub(super) fn remove(&self, sha256: &Sha256) -> io::Result<()> {
        match fs::remove_file(self.path(sha256)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Opens a content, once all of it was read and found to be what it is called.
    pub(super) fn open_whole(&self, sha256: &Sha256, size: u64) -> Result<File, MediaError> {
        let mut file = match File::open(self.path(sha256)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(MediaError::Damaged),
            opened => opened?,
        };
        let (mut hash, mut piece, mut read) = (Context::new(&SHA256), vec![0; 64 * 1024], 0_u64);
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                break;
            }
            hash.update(piece.get(..count).unwrap_or_default());
            read = read.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        }
        if read != size || hash.finish().as_ref() != sha256 {
            return Err(MediaError::Damaged);
        }
        file.rewind()?;
        Ok(file)
    }

    /// Removes what nobody asks for any more: a crash can leave a content whose item was never made, or was deleted.
    pub(super) fn sweep(&self, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
        for folder in fs::read_dir(&self.contents)? {
            for entry in fs::read_dir(folder?.path())? {
                let entry = entry?;
                if !entry.file_name().to_str().is_some_and(&wanted) {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// A file's name: lower-case hexadecimal, as file systems that know no case keep it.
pub(super) fn name_of(sha256: &Sha256) -> String {
    sha256.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A file that is removed unless it was moved.
#[derive(Debug)]
struct Remaining(PathBuf);

impl Drop for Remaining {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A content that is being written. Dropping it removes it.
pub(super) struct Arriving {
    file: tokio::fs::File,
    path: Remaining,
    hash: Context,
    size: u64,
    limit: u64,
}

impl Arriving {
    pub(super) async fn write(&mut self, piece: &Bytes) -> Result<(), MediaError> {
        self.size = self.size.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if self.size > self.limit {
            return Err(MediaError::TooLarge(self.limit));
        }
        self.hash.update(piece);
        Ok(self.file.write_all(piece).await?)
    }

    /// Ends it. Its bytes are durable, but nobody finds them yet.
    pub(super) async fn finish(mut self) -> Result<Arrived, MediaError> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let sha256 = self.hash.finish().as_ref().try_into().unwrap_or_default();
        Ok(Arrived { sha256, size: self.size, path: self.path })
    }
}

/// A content that came whole.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    path: Remaining,
}

impl Arrived {
    /// Where it is until it is put in its place.
    pub(super) fn path(&self) -> &Path {
        &self.path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { found.extend(names(&path)) } else { found.push(path) }
        }
        found
    }

    async fn arrive(files: &Files, text: &'static str) -> Arrived {
        let mut arriving = files.begin(100).await.unwrap();
        arriving.write(&Bytes::from_static(text.as_bytes())).await.unwrap();
        arriving.finish().await.unwrap()
    }

    #[tokio::test]
    async fn contents_are_found_by_their_hash_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let arrived = arrive(&files, "abc").await;
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            name_of(&arrived.sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(
            matches!(files.open_whole(&arrived.sha256, 3), Err(MediaError::Damaged)),
            "it is not in place"
        );
        files.place(&arrived).unwrap();
        let mut text = String::new();
        files.open_whole(&arrived.sha256, 3).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        let path = names(folder.path()).pop().unwrap();
        for damage in ["abd", "abcd", "ab", ""] {
            fs::write(&path, damage).unwrap();
            assert!(matches!(files.open_whole(&arrived.sha256, 3), Err(MediaError::Damaged)), "{damage}");
        }
        // The same once more mends it.
        files.place(&arrive(&files, "abc").await).unwrap();
        files.open_whole(&arrived.sha256, 3).unwrap();
        files.remove(&arrived.sha256).unwrap();
        files.remove(&arrived.sha256).unwrap();
        assert!(names(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn nothing_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let mut large = files.begin(3).await.unwrap();
        assert!(matches!(large.write(&Bytes::from_static(b"abcd")).await, Err(MediaError::TooLarge(3))));
        drop(large);
        drop(arrive(&files, "abc").await);
        assert!(names(folder.path()).is_empty());
        // As after a crash.
        fs::write(folder.path().join("arriving/x"), "half").unwrap();
        let (kept, lost) = (arrive(&files, "kept").await, arrive(&files, "lost").await);
        files.place(&kept).unwrap();
        files.place(&lost).unwrap();
        drop((kept, lost));
        let files = Files::open(folder.path()).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        let kept = arrive(&files, "kept").await.sha256;
        files.sweep(|name| name == name_of(&kept)).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        files.open_whole(&kept, 4).unwrap();
    }
}
