//! When a key package may be used.

use openmls::key_packages::KeyPackage as MlsKeyPackage;

use super::KeyPackageError;

/// The longest time between the two ends of a key package's lifetime that is accepted, in seconds: 400 days, a year
/// with room for skewed clocks. RFC 9420 §7.3 wants such a limit and leaves its value to the application.
pub const MAX_LIFETIME_SECS: u64 = 400 * 24 * 60 * 60;

/// The time in which a key package may be used, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lifetime {
    /// The first second in which it may be used.
    pub not_before: u64,
    /// The second in which it ends. RFC 9420 still allows it then, OpenMLS does not: take it for over.
    pub not_after: u64,
}

impl Lifetime {
    pub(super) fn of(key_package: &MlsKeyPackage) -> Self {
        let lifetime = key_package.life_time();
        Self { not_before: lifetime.not_before(), not_after: lifetime.not_after() }
    }

    /// What key packages usually have that are made at `now`, in Unix seconds: about three months from an hour before,
    /// as others' clocks may be slow.
    pub fn usual(now: u64) -> Self {
        const HOUR: u64 = 60 * 60;
        const TWELVE_WEEKS: u64 = 12 * 7 * 24 * HOUR;
        Self { not_before: now.saturating_sub(HOUR), not_after: now.saturating_add(TWELVE_WEEKS) }
    }

    /// Its length in seconds; 0 if it ends before it begins.
    pub fn seconds(&self) -> u64 {
        self.not_after.saturating_sub(self.not_before)
    }

    /// Checks that it is not longer than [`MAX_LIFETIME_SECS`] (RFC 9420 §7.3).
    ///
    /// # Errors
    ///
    /// [`KeyPackageError::LifetimeTooLong`].
    pub fn check_range(&self) -> Result<(), KeyPackageError> {
        let seconds = self.seconds();
        if seconds > MAX_LIFETIME_SECS { Err(KeyPackageError::LifetimeTooLong { seconds }) } else { Ok(()) }
    }

    /// Checks that `now`, in Unix seconds, is in it. The second in which it ends is not.
    ///
    /// # Errors
    ///
    /// [`KeyPackageError::Expired`] or [`KeyPackageError::NotYetValid`].
    pub fn check_now(&self, now: u64) -> Result<(), KeyPackageError> {
        let Self { not_before, not_after } = *self;
        if not_after <= now {
            Err(KeyPackageError::Expired { not_after, now })
        } else if not_before > now {
            Err(KeyPackageError::NotYetValid { not_before, now })
        } else {
            Ok(())
        }
    }
}

/// Checks that a key package can be used at `now`, in Unix seconds.
pub(crate) fn check_lifetime(key_package: &MlsKeyPackage, now: u64) -> Result<(), KeyPackageError> {
    let lifetime = Lifetime::of(key_package);
    lifetime.check_range()?;
    lifetime.check_now(now)
}
