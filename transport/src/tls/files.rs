//! Writing files so that nobody ever sees half of one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody whom the process's umask allows.
    Public,
    /// The owner only: mode 0600.
    Secret,
}

/// Puts a file in place at once, over one that is there.
pub(crate) fn replace(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let staged = Staged::write(path, content, access)?;
    fs::rename(&staged.0, path)?;
    sync_folder(path);
    Ok(())
}

/// Puts a file in place at once, unless there is one already; then that one stays, and it is no error. Of several
/// processes that try, one wins.
pub(crate) fn create(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let staged = Staged::write(path, content, access)?;
    match fs::hard_link(&staged.0, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        // A file system without hard links.
        Err(_) if !path.exists() => fs::rename(&staged.0, path)?,
        Err(error) => return Err(error),
    }
    sync_folder(path);
    Ok(())
}

/// A complete file beside the one it is to become. Dropping it removes what is left of it.
struct Staged(PathBuf);

impl Staged {
    fn write(path: &Path, content: &[u8], access: Access) -> io::Result<Self> {
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(format!(".{:016x}.tmp", rand::random::<u64>()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        restrict(&mut options, access);
        let staged = Self(path.with_file_name(name));
        let mut file = options.open(&staged.0)?;
        file.write_all(content)?;
        file.sync_all()?;
        Ok(staged)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(unix)]
fn restrict(options: &mut OpenOptions, access: Access) {
    use std::os::unix::fs::OpenOptionsExt as _;
    if access == Access::Secret {
        options.mode(0o600);
    }
}

#[cfg(not(unix))]
fn restrict(_options: &mut OpenOptions, _access: Access) {}

/// Makes the new name durable where the system allows it. The file itself is complete either way.
fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replace_replaces_and_create_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create(&path, b"1", Access::Public).unwrap();
        create(&path, b"2", Access::Public).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"1");
        replace(&path, b"3", Access::Public).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"3");
        assert_eq!(names(folder.path()), ["a"], "nothing is left over");
        assert!(create(&folder.path().join("no/such"), b"", Access::Public).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn secrets_are_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create(&path, b"1", Access::Secret).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        replace(&path, b"2", Access::Secret).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
