//! The room versions that a server implements.

use std::sync::Arc;

use super::known::{STABLE, UNSTABLE, name};
use super::{RoomVersion, Stability};
use crate::id::RoomVersionId;

/// Why a version cannot be registered or made the default.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// The name is taken. What a name stands for never changes (LM-04 §3.2.1).
    #[error("there is a room version {0} already")]
    Duplicate(RoomVersionId),
    /// No version has this name.
    #[error("there is no room version {0:?}")]
    Unknown(String),
}

/// The room versions that a server implements.
#[derive(Debug, Clone)]
pub struct RoomVersions {
    /// The default first.
    versions: Vec<Arc<RoomVersion>>,
    default: Arc<RoomVersion>,
}

impl RoomVersions {
    /// One version, which new rooms use.
    #[must_use]
    pub fn new(default: RoomVersion) -> Self {
        let default = Arc::new(default);
        Self { versions: vec![Arc::clone(&default)], default }
    }

    /// `I.1`, which new rooms use, and its unstable name (reading R09).
    #[must_use]
    pub fn lm_04() -> Self {
        let mut versions = Self::new(RoomVersion::lm_04(name(STABLE), Stability::Stable));
        versions.versions.push(Arc::new(RoomVersion::lm_04(name(UNSTABLE), Stability::Unstable)));
        versions
    }

    /// Every version that this crate brings along; new rooms use `I.1`.
    #[must_use]
    pub fn all() -> Self {
        let mut versions = Self::lm_04();
        versions.versions.push(Arc::new(RoomVersion::draft_01()));
        versions.versions.push(Arc::new(RoomVersion::transfer()));
        versions
    }

    /// Registers one more version.
    ///
    /// # Errors
    /// [`VersionError::Duplicate`] if its name is taken.
    pub fn with(mut self, version: RoomVersion) -> Result<Self, VersionError> {
        if self.get(version.id.as_str()).is_some() {
            return Err(VersionError::Duplicate(version.id));
        }
        self.versions.push(Arc::new(version));
        Ok(self)
    }

    /// Makes a registered version the one that new rooms use.
    ///
    /// # Errors
    /// [`VersionError::Unknown`] if none has this name.
    pub fn with_default(mut self, id: &str) -> Result<Self, VersionError> {
        let index = self.versions.iter().position(|version| version.id == *id);
        let version = index.map(|index| self.versions.remove(index));
        let version = version.ok_or_else(|| VersionError::Unknown(id.to_owned()))?;
        self.versions.insert(0, Arc::clone(&version));
        self.default = version;
        Ok(self)
    }

    /// The version with this name, if it is implemented.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<RoomVersion>> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// The version that new rooms use unless told otherwise.
    #[must_use]
    pub fn default_version(&self) -> &Arc<RoomVersion> {
        &self.default
    }

    /// The names of all versions, the default first.
    pub fn ids(&self) -> impl Iterator<Item = &RoomVersionId> {
        self.versions.iter().map(|version| &version.id)
    }
}

impl Default for RoomVersions {
    fn default() -> Self {
        Self::lm_04()
    }
}
