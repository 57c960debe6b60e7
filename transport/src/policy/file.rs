//! The policy's file, and what it names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::digest::{Context, SHA256};
use serde::Deserialize;

use super::list::{self, ListError};
use super::pattern::{PatternError, ServerPattern};
use super::rooms::{RoomPolicy, RoomSettings};
use super::rules::{Members, Rules};
use super::seen::{Seen, SeenError};
use super::trust::{Trust, TrustError};

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The policy's file is no TOML of the expected form.
    #[error("{path}: {error}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: Box<toml::de::Error>,
    },
    /// A pattern means no server.
    #[error("{path}: {error}")]
    Pattern {
        /// The file.
        path: PathBuf,
        /// Which pattern.
        #[source]
        error: PatternError,
    },
    /// A key is there that does not go with the mode, or one is missing that belongs to it.
    #[error("{path}: {what}")]
    Keys {
        /// The file.
        path: PathBuf,
        /// Which.
        what: &'static str,
    },
    /// The signature of a list, or a certificate, is not to be relied on.
    #[error("{path}: {error}")]
    Trust {
        /// The list, or the certificates.
        path: PathBuf,
        /// Why.
        #[source]
        error: TrustError,
    },
    /// What is signed is no list, or none of today.
    #[error("{path}: {error}")]
    List {
        /// The list.
        path: PathBuf,
        /// Why.
        #[source]
        error: ListError,
    },
    /// The list is an older one than was seen before.
    #[error("{path}: {error}")]
    Seen {
        /// The list.
        path: PathBuf,
        /// How it relates to the other.
        #[source]
        error: SeenError,
    },
    /// The list has not been replaced for too long.
    #[error("{path}: it was last written {hours} hours ago, which is longer than `max-age-hours`")]
    Stale {
        /// The list.
        path: PathBuf,
        /// How long ago.
        hours: u64,
    },
}

/// What the file has. [`FederationPolicy`](super::FederationPolicy) says what it means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    mode: Mode,
    servers: Option<Vec<String>>,
    list: Option<PathBuf>,
    certificates: Option<PathBuf>,
    max_age_hours: Option<u64>,
    #[serde(default)]
    rooms: RoomSettings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Open,
    Allow,
    Deny,
    Signed,
}

/// The bytes of all files that a policy is made of, and their digest, by which a change is noticed.
pub(super) struct Sources {
    path: PathBuf,
    settings: Settings,
    signed: Option<SignedSources>,
    pub(super) digest: [u8; 32],
}

struct SignedSources {
    list: PathBuf,
    list_bytes: Vec<u8>,
    written: SystemTime,
    certificates: PathBuf,
    certificate_bytes: Vec<u8>,
}

impl Sources {
    /// Reads the files. This waits for the disk.
    ///
    /// The digest of what was read so far is returned with an error, so that the same fault is reported once.
    pub(super) fn read(path: &Path) -> Result<Self, (PolicyError, [u8; 32])> {
        let mut context = Context::new(&SHA256);
        let read = Self::read_into(path, &mut context);
        // A fault is a part of what was read.
        if let Err(error) = &read {
            context.update(error.to_string().as_bytes());
        }
        let digest: [u8; 32] = context.finish().as_ref().try_into().unwrap_or_default();
        match read {
            Ok((settings, signed)) => Ok(Self { path: path.to_owned(), settings, signed, digest }),
            Err(error) => Err((error, digest)),
        }
    }

    fn read_into(
        path: &Path,
        context: &mut Context,
    ) -> Result<(Settings, Option<SignedSources>), PolicyError> {
        let (bytes, _) = read(path, context)?;
        let settings = parse(path, &bytes)?;
        if settings.mode != Mode::Signed {
            return Ok((settings, None));
        }
        let missing = |what| PolicyError::Keys { path: path.to_owned(), what };
        let beside =
            |named: &Path| path.parent().map_or_else(|| named.to_owned(), |folder| folder.join(named));
        let list = settings.list.as_deref().ok_or_else(|| missing("`list` is missing"))?;
        let certificates = settings.certificates.as_deref();
        let certificates = certificates.ok_or_else(|| missing("`certificates` is missing"))?;
        let (list, certificates) = (beside(list), beside(certificates));
        let (list_bytes, written) = read(&list, context)?;
        let (certificate_bytes, _) = read(&certificates, context)?;
        if settings.max_age_hours.is_some() {
            // A list that is fetched again without a change is a fresh one.
            let since = written.duration_since(UNIX_EPOCH).unwrap_or_default();
            context.update(&since.as_millis().to_be_bytes());
        }
        let signed = SignedSources { list, list_bytes, written, certificates, certificate_bytes };
        Ok((settings, Some(signed)))
    }

    /// What they ask of rooms.
    pub(super) fn rooms(&self) -> Result<RoomPolicy, PolicyError> {
        RoomPolicy::read(&self.settings.rooms)
            .map_err(|error| PolicyError::Pattern { path: self.path.clone(), error })
    }

    /// What they say at `now`, in milliseconds since the Unix epoch. `seen` remembers the newest signed list.
    pub(super) fn rules(&self, seen: &Seen, now: i64) -> Result<Rules, PolicyError> {
        let path = || self.path.clone();
        let Settings { mode, servers, list, certificates, max_age_hours, rooms: _ } = &self.settings;
        let about_lists = list.is_some() || certificates.is_some() || max_age_hours.is_some();
        let odd = match mode {
            Mode::Open if servers.is_some() => Some("`servers` does not go with mode \"open\""),
            Mode::Signed if servers.is_some() => Some("`servers` does not go with mode \"signed\""),
            Mode::Allow | Mode::Deny if servers.is_none() => Some("`servers` is missing"),
            Mode::Open | Mode::Allow | Mode::Deny if about_lists => {
                Some("`list`, `certificates` and `max-age-hours` go with mode \"signed\" alone")
            }
            _ => None,
        };
        if let Some(what) = odd {
            return Err(PolicyError::Keys { path: path(), what });
        }
        let patterns = || {
            let patterns = servers.iter().flatten().map(|text| ServerPattern::parse(text));
            let patterns: Result<Vec<_>, _> = patterns.collect();
            patterns.map_err(|error| PolicyError::Pattern { path: path(), error })
        };
        match (mode, &self.signed) {
            (Mode::Allow, _) => patterns().map(Rules::Allow),
            (Mode::Deny, _) => patterns().map(Rules::Deny),
            (Mode::Signed, Some(signed)) => signed.members(*max_age_hours, seen, now).map(Rules::Signed),
            (Mode::Open | Mode::Signed, _) => Ok(Rules::Open),
        }
    }
}

impl SignedSources {
    fn members(&self, max_age_hours: Option<u64>, seen: &Seen, now: i64) -> Result<Members, PolicyError> {
        let of_list = |error| PolicyError::Trust { path: self.list.clone(), error };
        let trust = Trust::read(&self.certificate_bytes)
            .map_err(|error| PolicyError::Trust { path: self.certificates.clone(), error })?;
        let payload = trust.open(&self.list_bytes, now).map_err(of_list)?;
        let mut members = list::read(&payload, now)
            .map_err(|error| PolicyError::List { path: self.list.clone(), error })?;
        if let Some(hours) = max_age_hours {
            let written = self.written.duration_since(UNIX_EPOCH).unwrap_or_default();
            let written = i64::try_from(written.as_millis()).unwrap_or(i64::MAX);
            let allowed = i64::try_from(hours.saturating_mul(3_600_000)).unwrap_or(i64::MAX);
            let until = written.saturating_add(allowed);
            if until <= now {
                let hours = u64::try_from(now.saturating_sub(written)).unwrap_or(0) / 3_600_000;
                return Err(PolicyError::Stale { path: self.list.clone(), hours });
            }
            members.until = Some(members.until.map_or(until, |end| end.min(until)));
        }
        seen.note(&self.certificate_bytes, members.version, &payload)
            .map_err(|error| PolicyError::Seen { path: self.list.clone(), error })?;
        Ok(members)
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Settings, PolicyError> {
    let text = std::str::from_utf8(bytes).map_err(|error| PolicyError::Read {
        path: path.to_owned(),
        error: io::Error::new(io::ErrorKind::InvalidData, error),
    })?;
    toml::from_str(text).map_err(|error| PolicyError::Form { path: path.to_owned(), error: Box::new(error) })
}

fn read(path: &Path, context: &mut Context) -> Result<(Vec<u8>, SystemTime), PolicyError> {
    let read = || {
        let about = fs::metadata(path)?;
        if about.len() > MAX_FILE_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"));
        }
        Ok((fs::read(path)?, about.modified()?))
    };
    let (bytes, written) = read().map_err(|error| PolicyError::Read { path: path.to_owned(), error })?;
    context.update(&bytes.len().to_be_bytes());
    context.update(&bytes);
    Ok((bytes, written))
}
