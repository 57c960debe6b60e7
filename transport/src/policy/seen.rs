//! Which signed list was seen last, so that an older one does not come back.

use std::fs;
use std::io;
use std::path::PathBuf;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::tls::files::{Access, replace};

/// Why a list is refused for the sake of another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeenError {
    /// A newer one was seen.
    #[error("the list has version {version}, and version {seen} was seen already")]
    Older {
        /// Its version.
        version: u64,
        /// The other's.
        seen: u64,
    },
    /// There are two lists of one version.
    #[error("the list of version {version} is not the one that was seen under this number")]
    Other {
        /// Their version.
        version: u64,
    },
    /// What was seen cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Where it is remembered.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// A file that remembers the newest list.
#[derive(Debug)]
pub(super) struct Seen {
    path: PathBuf,
    writes: bool,
}

/// What it has.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Newest {
    /// By which certificates: with others, numbers begin anew.
    certificates: String,
    version: u64,
    payload: String,
}

impl Seen {
    /// Remembers in a file.
    pub(super) fn kept(path: PathBuf) -> Self {
        Self { path, writes: true }
    }

    /// Knows what is in a file, and adds nothing.
    pub(super) fn forgetful(path: PathBuf) -> Self {
        Self { path, writes: false }
    }

    /// Takes note of a list whose signature was checked.
    pub(super) fn note(&self, certificates: &[u8], version: u64, payload: &[u8]) -> Result<(), SeenError> {
        let file = |error| SeenError::File { path: self.path.clone(), error };
        let now = Newest { certificates: sha256(certificates), version, payload: sha256(payload) };
        let newest = match fs::read(&self.path) {
            Ok(bytes) => {
                serde_json::from_slice::<Newest>(&bytes).map(Some).map_err(|error| file(error.into()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(file(error)),
        };
        if let Some(seen) = newest.filter(|seen| seen.certificates == now.certificates) {
            if version < seen.version {
                return Err(SeenError::Older { version, seen: seen.version });
            }
            if version == seen.version {
                return if seen == now { Ok(()) } else { Err(SeenError::Other { version }) };
            }
        }
        let bytes = serde_json::to_vec(&now).map_err(|error| file(error.into()))?;
        if !self.writes {
            return Ok(());
        }
        replace(&self.path, &bytes, Access::Public).map_err(file)
    }
}

fn sha256(bytes: &[u8]) -> String {
    mimi_linearized::base64::encode(digest(&SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_older_list_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let seen = Seen::kept(folder.path().join("seen.json"));
        seen.note(b"ca", 5, b"five").unwrap();
        seen.note(b"ca", 5, b"five").unwrap();
        assert!(matches!(seen.note(b"ca", 5, b"another"), Err(SeenError::Other { version: 5 })));
        assert!(matches!(seen.note(b"ca", 4, b"four"), Err(SeenError::Older { version: 4, seen: 5 })));
        let examining = Seen::forgetful(seen.path.clone());
        examining.note(b"ca", 9, b"nine").unwrap();
        assert!(matches!(examining.note(b"ca", 4, b"four"), Err(SeenError::Older { version: 4, seen: 5 })));
        seen.note(b"ca", 6, b"six").unwrap();
        // A new start remembers it.
        let seen = Seen::kept(seen.path);
        assert!(matches!(seen.note(b"ca", 5, b"five"), Err(SeenError::Older { version: 5, seen: 6 })));
        seen.note(b"another ca", 1, b"one").unwrap();
    }

    #[test]
    fn a_damaged_memory_forgets_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let seen = Seen::kept(folder.path().join("seen.json"));
        fs::write(&seen.path, "{").unwrap();
        assert!(matches!(seen.note(b"ca", 5, b"five"), Err(SeenError::File { .. })));
        assert_eq!(fs::read(&seen.path).unwrap(), b"{");
    }
}
