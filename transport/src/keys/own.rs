//! This server's own keys: the one that it signs with, and those that it signed with (LM-04 §12.4.1.2).
//!
//! They are in one file: the key in use on the first line, as `ed25519:VERSION BASE64-SEED`, and below it each key that
//! is not used any more, as `old ed25519:VERSION BASE64-PUBLIC-KEY EXPIRED_TS`. Of those nothing secret is kept. The
//! file is replaced as a whole, so that no crash leaves a key in use that is not written down.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use mimi_linearized::base64;
use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::signing::{OldVerifyKey, ServerKeys, SigningKey, VerifyKey};
use zeroize::Zeroizing;

use crate::clock;
use crate::tls::files::{self, Access};

/// How long our own keys are said to be valid: about 12 hours (LM-04 §12.4.1.1).
const VALID_FOR_MS: i64 = 12 * 60 * 60 * 1_000;

/// Why there are no keys, or no new one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnKeysError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The file does not hold what it should.
    #[error(
        "{path}:{line}: `ed25519:VERSION BASE64-SEED` is expected on the first line, and on others `old ed25519:VERSION \
         BASE64-KEY EXPIRED_TS`"
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        line: usize,
    },
    /// Other processes of this server sign with the key.
    #[error(
        "{0} other processes of this server sign with the key: it can be replaced when only one process runs"
    )]
    Shared(usize),
    /// The store cannot take note of the new key, which is in use all the same.
    #[error("the key was replaced, and the store cannot take note of that: {0}")]
    Store(#[from] crate::store::StoreError),
    /// The work was given up.
    #[error("replacing the key was interrupted: {0}")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// This server's keys. Clones share them.
#[derive(Debug, Clone)]
pub struct OwnKeys(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Option<PathBuf>,
    keys: RwLock<Keys>,
}

#[derive(Debug, Clone)]
struct Keys {
    current: Arc<SigningKey>,
    old: BTreeMap<KeyId, OldVerifyKey>,
}

/// What a rotation did.
#[derive(Debug, Clone, Copy)]
pub struct Rotation<'k> {
    /// The key that signs from now on.
    pub new: &'k SigningKey,
    /// The key that does not sign any more.
    pub old: &'k KeyId,
    /// That key, and since when it does not.
    pub retired: OldVerifyKey,
}

impl From<SigningKey> for OwnKeys {
    /// A key that is kept nowhere, and so are those that follow it.
    fn from(key: SigningKey) -> Self {
        Self::new(None, Keys { current: Arc::new(key), old: BTreeMap::new() })
    }
}

impl OwnKeys {
    fn new(file: Option<PathBuf>, keys: Keys) -> Self {
        Self(Arc::new(Inner { file, keys: RwLock::new(keys) }))
    }

    /// Reads the keys, and makes one if the file is not there. Only its owner may read a new file. Blocks.
    ///
    /// # Errors
    /// [`OwnKeysError`]; a file without keys is left alone.
    pub fn open(path: &Path) -> Result<Self, OwnKeysError> {
        if let Some(keys) = Self::read(path)? {
            return Ok(keys);
        }
        let keys = Keys { current: Arc::new(fresh(&BTreeMap::new())), old: BTreeMap::new() };
        keys.write(path)?;
        Ok(Self::new(Some(path.to_owned()), keys))
    }

    /// Reads the keys, if the file is there. Blocks.
    ///
    /// # Errors
    /// [`OwnKeysError`].
    pub fn read(path: &Path) -> Result<Option<Self>, OwnKeysError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OwnKeysError::File { path: path.to_owned(), error }),
        };
        let keys = Keys::parse(&text).map_err(|line| OwnKeysError::Form { path: path.to_owned(), line })?;
        Ok(Some(Self::new(Some(path.to_owned()), keys)))
    }

    fn keys(&self) -> Keys {
        // Keys are replaced as a whole.
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key to sign with now.
    #[must_use]
    pub fn current(&self) -> Arc<SigningKey> {
        self.keys().current
    }

    /// The keys that are not used any more, each with the time since when, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn old(&self) -> BTreeMap<KeyId, OldVerifyKey> {
        self.keys().old
    }

    /// The response of this server, signed now (LM-04 §12.4.1.2).
    #[must_use]
    pub fn publish(&self, name: &ServerName) -> ServerKeys {
        let keys = self.keys();
        let until = clock::now_ms().saturating_add(VALID_FOR_MS);
        ServerKeys::publish_with_old(name, &keys.current, keys.old, until)
    }

    /// Puts a new key in the place of the one in use. What was signed before was signed before the old key's
    /// `expired_ts`: nobody gets a key while it is being replaced. `before` is called when the new key is written down,
    /// and before anybody gets it. Blocks.
    ///
    /// # Errors
    /// [`OwnKeysError`] if it cannot be written down. Then nothing is changed, unless the file was replaced all the same;
    /// a new start reads what is there.
    pub fn rotate<T>(&self, before: impl FnOnce(Rotation<'_>) -> T) -> Result<T, OwnKeysError> {
        let mut keys = self.0.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = keys.clone();
        let key = keys.current.verify_key();
        let retired = OldVerifyKey { key, expired_ts: clock::now_ms() };
        next.old.insert(keys.current.id().clone(), retired);
        next.current = Arc::new(fresh(&next.old));
        if let Some(path) = &self.0.file {
            next.write(path)?;
        }
        let done = before(Rotation { new: &next.current, old: keys.current.id(), retired });
        *keys = next;
        Ok(done)
    }
}

/// A new key under an id that no other had.
fn fresh(old: &BTreeMap<KeyId, OldVerifyKey>) -> SigningKey {
    loop {
        let seed = Zeroizing::new(rand::random::<[u8; 32]>());
        let version = base64::encode_url_safe(&rand::random::<[u8; 3]>()).replace('-', "_");
        match KeyId::ed25519(&version) {
            Ok(id) if !old.contains_key(&id) => return SigningKey::from_seed(id, &seed),
            // Every such version is a key version; one that was used is passed over.
            _ => {}
        }
    }
}

impl Keys {
    /// Reads the file's text, or says which line is wrong.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut lines = text.lines().enumerate();
        let first = lines.next().and_then(|(_, line)| signing(line)).ok_or(1_usize)?;
        let mut old = BTreeMap::new();
        for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let (id, key) = retired(line).ok_or_else(|| index.saturating_add(1))?;
            old.insert(id, key);
        }
        // A key is in use or it is not.
        old.remove(first.id());
        Ok(Self { current: Arc::new(first), old })
    }

    fn write(&self, path: &Path) -> Result<(), OwnKeysError> {
        let key = &self.current;
        let mut text = Zeroizing::new(format!("{} {}\n", key.id(), base64::encode(&*key.seed())));
        for (id, old) in &self.old {
            text.push_str(&format!("old {id} {} {}\n", old.key.to_base64(), old.expired_ts));
        }
        files::replace(path, text.as_bytes(), Access::Secret)
            .map_err(|error| OwnKeysError::File { path: path.to_owned(), error })
    }
}

fn signing(line: &str) -> Option<SigningKey> {
    let (id, seed) = line.trim().split_once(' ')?;
    let seed = Zeroizing::new(base64::decode_array::<32>(seed.trim())?);
    Some(SigningKey::from_seed(KeyId::parse(id).ok()?, &seed))
}

fn retired(line: &str) -> Option<(KeyId, OldVerifyKey)> {
    let mut words = line.split_whitespace();
    let ("old", id, key, expired_ts, None) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next())
    else {
        return None;
    };
    let key = OldVerifyKey { key: VerifyKey::from_base64(key).ok()?, expired_ts: expired_ts.parse().ok()? };
    Some((KeyId::parse(id).ok()?, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        let (made, read) = (OwnKeys::open(&path).unwrap().current(), OwnKeys::open(&path).unwrap().current());
        assert_eq!((made.id(), made.verify_key()), (read.id(), read.verify_key()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_without_a_key_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        let key = format!("ed25519:1 {}", base64::encode(&[7; 32]));
        for (text, at) in [
            (String::new(), 1),
            ("ed25519:1".to_owned(), 1),
            ("ed25519:1 AAAA".to_owned(), 1),
            (format!("{key}\nold ed25519:0\n"), 2),
            (format!("{key}\n\n{key}\n"), 3),
        ] {
            fs::write(&path, &text).unwrap();
            match OwnKeys::open(&path) {
                Err(OwnKeysError::Form { line, .. }) => assert_eq!(line, at, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_key_is_replaced_and_stays_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        let keys = OwnKeys::open(&path).unwrap();
        let (first, began) = (keys.current(), clock::now_ms());
        let seen = keys.rotate(|rotation| (rotation.new.id().clone(), rotation.old.clone())).unwrap();
        assert_eq!(seen, (keys.current().id().clone(), first.id().clone()));
        keys.rotate(|_| ()).unwrap();
        let name = ServerName::parse("a.example").unwrap();
        for keys in [keys.clone(), OwnKeys::open(&path).unwrap()] {
            let published = keys.publish(&name);
            let read = ServerKeys::parse(published.as_object().clone().into()).unwrap();
            assert_eq!(read.verify_keys().keys().collect::<Vec<_>>(), [keys.current().id()]);
            assert_eq!(read.old_verify_keys().len(), 2);
            let old = read.old_verify_keys()[first.id()];
            assert_eq!(old.key, first.verify_key());
            assert!(old.expired_ts >= began && old.expired_ts <= clock::now_ms());
        }
        let seed = base64::encode(&*first.seed());
        assert!(!fs::read_to_string(&path).unwrap().contains(&seed), "a retired key's secret is forgotten");
    }

    #[test]
    fn a_rotation_that_cannot_be_written_down_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/signing.key");
        fs::create_dir(folder.path().join("data")).unwrap();
        let keys = OwnKeys::open(&path).unwrap();
        let before = keys.current();
        fs::remove_dir_all(folder.path().join("data")).unwrap();
        assert!(keys.rotate(|_| panic!("nobody is told")).is_err());
        assert_eq!((keys.current().id(), keys.old().len()), (before.id(), 0));
    }
}
