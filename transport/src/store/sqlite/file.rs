//! The database's file, locked for one store.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{StoreError, broken};

/// A database's file that no other store has open. Another can open it once this is dropped, or its process gone.
///
/// The lock is the operating system's advisory lock on a companion file. SQLite's own locks would not do: its exclusive
/// mode shuts out this store's readers as well, and anything less lets a second writer in between two commits. The
/// companion is never deleted, or two processes could each hold a lock on a file of that name; and it is not the
/// database itself, because closing a file drops the locks that this process holds on it through SQLite.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    log_path: PathBuf,
    /// Holds the lock for as long as it is open.
    _lock: File,
}

impl DatabaseFile {
    /// Locks the database's file, and makes an empty one if there is none.
    pub(super) fn lock(path: &Path) -> Result<Self, StoreError> {
        let path = resolve(path).map_err(broken)?;
        let mut lock_path = path.clone().into_os_string();
        lock_path.push("-lock");
        let lock =
            private(OpenOptions::new().create(true).truncate(false)).open(lock_path).map_err(broken)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path }),
            Err(TryLockError::Error(error)) => return Err(broken(error)),
        }
        make_if_missing(&path).map_err(broken)?;
        Ok(Self { log_path: companion(&path, "-wal"), path, _lock: lock })
    }

    /// Where it is, with every symbolic link followed.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the write-ahead log, in bytes; 0 if there is none.
    pub(super) fn log_size(&self) -> u64 {
        self.log_path.metadata().map_or(0, |log| log.len())
    }

    /// A connection that may write.
    pub(super) fn connect(&self) -> Result<Connection, StoreError> {
        open(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }
}

/// A connection that may only read, for as long as the writer's keeps the database open.
pub(super) fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    // Rust's ownership already keeps a connection to one thread at a time.
    Ok(Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?)
}

/// One name for one file, so that whoever opens it, by whatever path, meets the same lock.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(folder.canonicalize()?.join(name))
}

fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A new file belongs to its owner alone; SQLite gives the companions it makes the same mode.
fn make_if_missing(path: &Path) -> io::Result<()> {
    match private(OpenOptions::new().create_new(true)).open(path) {
        Ok(_) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.read(true).write(true)
}

/// Makes a new file's name survive a crash, where a folder can be synced.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
