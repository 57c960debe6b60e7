//! Whose fault an error of `mls-rs` is.

use mimi_mls::{CredentialError, Error, KeyPackageError, LibraryFault, PeerFault, Signed, Source};
use mls_rs::error::MlsError;

use super::identity::{self, NotADevice};

/// An error of something that nobody else's bytes have a part in.
pub(crate) fn library_error(error: MlsError) -> Error {
    match error {
        MlsError::CryptoProviderError(error) => LibraryFault::Crypto(error.into()).into(),
        MlsError::KeyPackageRepoError(error) | MlsError::GroupStorageError(error) => {
            LibraryFault::Storage(error.into()).into()
        }
        error => LibraryFault::Mls(error.into()).into(),
    }
}

/// What is wrong with a leaf, if that is what the error is about.
fn credential_fault(error: &MlsError) -> Option<CredentialError> {
    let MlsError::IdentityProviderError(error) = error else { return None };
    let leaf = error.inner_dyn_error().downcast_ref::<NotADevice>()?;
    identity::member(&leaf.identity).err()
}

/// An error that bytes of somebody else caused, unless it is the storage's. `signed` is what those bytes are, `other`
/// makes the error of everything that has no name of its own.
fn peer_error(error: MlsError, signed: Signed, other: impl FnOnce(Source) -> PeerFault) -> Error {
    if let Some(fault) = credential_fault(&error) {
        return PeerFault::Credential(fault).into();
    }
    let fault = match error {
        MlsError::KeyPackageRepoError(_) | MlsError::GroupStorageError(_) => return library_error(error),
        MlsError::InvalidSignature => PeerFault::BadSignature { signed },
        MlsError::InvalidMembershipTag => PeerFault::BadMembershipTag,
        MlsError::InvalidConfirmationTag => PeerFault::BadConfirmationTag,
        MlsError::RatchetTreeNotFound => PeerFault::MissingRatchetTree,
        MlsError::MissingExternalPubExtension => PeerFault::MissingExternalPub,
        MlsError::WelcomeKeyPackageNotFound => PeerFault::NoMatchingKeyPackage,
        MlsError::InvalidLifetime { .. } => PeerFault::Lifetime(error.into()),
        MlsError::TreeHashMismatch | MlsError::ParentHashMismatch | MlsError::UnmergedLeavesMismatch => {
            PeerFault::InvalidTree(error.into())
        }
        error => other(error.into()),
    };
    fault.into()
}

/// An error of making or processing a commit.
pub(crate) fn commit_error(error: MlsError) -> Error {
    match error {
        // A commit of one's own names nothing but key packages.
        MlsError::InvalidLifetime { not_before, not_after, timestamp } => {
            let (not_before, not_after, now) = (
                not_before.seconds_since_epoch(),
                not_after.seconds_since_epoch(),
                timestamp.seconds_since_epoch(),
            );
            let error = if now < not_before {
                KeyPackageError::NotYetValid { not_before, now }
            } else {
                KeyPackageError::Expired { not_after, now }
            };
            PeerFault::KeyPackage(error).into()
        }
        error => peer_error(error, Signed::Commit, PeerFault::InvalidCommit),
    }
}

/// An error of reading a Welcome.
pub(crate) fn welcome_error(error: MlsError) -> Error {
    peer_error(error, Signed::GroupInfo, PeerFault::InvalidWelcome)
}

/// An error of joining with a GroupInfo.
pub(crate) fn group_info_error(error: MlsError) -> Error {
    peer_error(error, Signed::GroupInfo, PeerFault::InvalidTree)
}

/// An error of decrypting a message of `epoch`.
pub(crate) fn message_error(error: MlsError, epoch: u64) -> Error {
    match error {
        MlsError::EpochNotFound => PeerFault::EpochTooOld { epoch }.into(),
        MlsError::KeyMissing(_) | MlsError::InvalidLeafConsumption => PeerFault::KeyUsedUp.into(),
        error => peer_error(error, Signed::Message, PeerFault::Undecryptable),
    }
}
