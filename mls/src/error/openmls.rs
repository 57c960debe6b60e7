//! What the errors of OpenMLS mean here.
//!
//! OpenMLS names its own checks; the layer above wants to know which rule of the draft or of RFC 9420 is broken, and
//! by whom. An error that OpenMLS calls a bug of its own is never blamed on a peer.

use openmls::ciphersuite::signable::SignatureError;
use openmls::framing::errors::{MessageDecryptionError, SecretTreeError};
use openmls::group::{
    CommitBuilderStageError, CreateCommitError, ExternalCommitBuilderError,
    ExternalCommitBuilderFinalizeError, MergeCommitError, MergePendingCommitError, ProcessMessageError,
    ProposalValidationError, PublicProcessMessageError, StageCommitError, ValidationError, WelcomeError,
};
use openmls::key_packages::errors::KeyPackageVerifyError;
use openmls::prelude::CreationFromExternalError;
use openmls::treesync::RatchetTreeError;
use openmls::treesync::errors::{LeafNodeValidationError, TreeSyncFromNodesError, UpdatePathError};

use super::{CommitError, Error, LibraryFault, PeerFault, Signed, Source};
use crate::key_package::KeyPackageError;

/// An error of a storage provider.
pub(crate) trait ProviderError: core::error::Error + Send + Sync + 'static {}

impl<E: core::error::Error + Send + Sync + 'static> ProviderError for E {}

/// Where a message stands relative to the group it was processed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epochs {
    /// The group's epoch.
    pub(crate) group: u64,
    /// The message's epoch.
    pub(crate) message: u64,
}

/// The error of [`PublicGroup::process_message`](openmls::group::PublicGroup::process_message).
pub(crate) fn process_public_error(error: PublicProcessMessageError, epochs: Epochs) -> CommitError {
    match error {
        PublicProcessMessageError::LibraryError(error) => LibraryFault::mls(error).into(),
        PublicProcessMessageError::ValidationError(error) => validation(error, epochs, Signed::Commit),
        PublicProcessMessageError::InvalidCommit(error) => stage(error),
        PublicProcessMessageError::UnauthorizedExternalCommitMessage => PeerFault::SenderMayNotCommit.into(),
        error => PeerFault::InvalidCommit(error.into()).into(),
    }
}

/// The error of [`MlsGroup::process_message`](openmls::group::MlsGroup::process_message).
pub(crate) fn process_error<E: ProviderError>(
    error: ProcessMessageError<E>,
    epochs: Epochs,
    signed: Signed,
) -> CommitError {
    match error {
        ProcessMessageError::LibraryError(error) => LibraryFault::mls(error).into(),
        ProcessMessageError::StorageError(error) => LibraryFault::storage(error).into(),
        ProcessMessageError::GroupStateError(error) => LibraryFault::mls(error).into(),
        ProcessMessageError::ValidationError(error) => validation(error, epochs, signed),
        ProcessMessageError::InvalidCommit(error) => stage(error),
        ProcessMessageError::UnauthorizedExternalCommitMessage => PeerFault::SenderMayNotCommit.into(),
        ProcessMessageError::IncompatibleWireFormat => PeerFault::NotApplicationData.into(),
        error => PeerFault::InvalidCommit(error.into()).into(),
    }
}

/// Whether all that OpenMLS has found wrong is the lifetime of a key package that is added, by the system's clock.
pub(crate) fn is_lifetime(error: &ValidationError) -> bool {
    matches!(error, ValidationError::KeyPackageVerifyError(KeyPackageVerifyError::LifetimeError(_)))
}

fn validation(error: ValidationError, epochs: Epochs, signed: Signed) -> CommitError {
    let Epochs { group: expected, message: got } = epochs;
    match error {
        ValidationError::LibraryError(error) => LibraryFault::mls(error).into(),
        ValidationError::WrongEpoch if got < expected => PeerFault::StaleEpoch { expected, got }.into(),
        ValidationError::WrongEpoch => PeerFault::EpochAhead { expected, got }.into(),
        ValidationError::UnknownMember => PeerFault::SenderNotInGroup.into(),
        ValidationError::MissingMembershipTag | ValidationError::InvalidMembershipTag => {
            PeerFault::BadMembershipTag.into()
        }
        ValidationError::MissingConfirmationTag => PeerFault::BadConfirmationTag.into(),
        ValidationError::InvalidSignature => PeerFault::BadSignature { signed }.into(),
        ValidationError::UnableToDecrypt(error) => decryption(error).into(),
        ValidationError::NoPastEpochData => PeerFault::EpochTooOld { epoch: got }.into(),
        ValidationError::KeyPackageVerifyError(error) => KeyPackageError::from_verify(error).into(),
        ValidationError::UpdatePathError(error) => update_path(error).into(),
        ValidationError::InvalidLeafNodeSignature => PeerFault::BadSignature { signed: Signed::Leaf }.into(),
        error => PeerFault::InvalidCommit(error.into()).into(),
    }
}

fn decryption(error: MessageDecryptionError) -> PeerFault {
    match error {
        // The first is also what OpenMLS says of an epoch it has no keys of, but that was checked before.
        MessageDecryptionError::SecretTreeError(
            SecretTreeError::TooDistantInThePast | SecretTreeError::SecretReuseError,
        ) => PeerFault::KeyUsedUp,
        error => PeerFault::Undecryptable(error.into()),
    }
}

fn update_path(error: UpdatePathError) -> PeerFault {
    match error {
        UpdatePathError::SignatureError(SignatureError::VerificationError) => {
            PeerFault::BadSignature { signed: Signed::Leaf }
        }
        error => PeerFault::InvalidCommit(error.into()),
    }
}

fn stage(error: StageCommitError) -> CommitError {
    match error {
        StageCommitError::LibraryError(error) => LibraryFault::mls(error).into(),
        // Both mean that the library's own store of keys is not what it should be.
        error @ (StageCommitError::OwnKeyNotFound | StageCommitError::MissingDecryptionKey) => {
            LibraryFault::mls(error).into()
        }
        StageCommitError::ConfirmationTagMissing | StageCommitError::ConfirmationTagMismatch => {
            PeerFault::BadConfirmationTag.into()
        }
        StageCommitError::OwnCommitMismatch => PeerFault::UnknownOwnCommit.into(),
        StageCommitError::MissingProposal => PeerFault::ProposalByReference.into(),
        StageCommitError::SenderTypeExternal | StageCommitError::SenderTypeNewMemberProposal => {
            PeerFault::SenderMayNotCommit.into()
        }
        StageCommitError::VerifiedUpdatePathError(error) => update_path(error).into(),
        StageCommitError::LeafNodeValidation(error) => leaf(error, PeerFault::InvalidCommit).into(),
        StageCommitError::ProposalValidationError(error) => proposal(error),
        error => PeerFault::InvalidCommit(error.into()).into(),
    }
}

fn proposal(error: ProposalValidationError) -> CommitError {
    match error {
        ProposalValidationError::LibraryError(error) => LibraryFault::mls(error).into(),
        ProposalValidationError::DuplicateSignatureKey
        | ProposalValidationError::DuplicateEncryptionKey
        | ProposalValidationError::DuplicateInitKey
        | ProposalValidationError::InitEncryptionKeyCollision => PeerFault::DuplicateKey.into(),
        ProposalValidationError::DuplicateMemberRemoval => PeerFault::RepeatedProposal.into(),
        ProposalValidationError::LeafNodeValidation(error) => leaf(error, PeerFault::InvalidCommit).into(),
        error => PeerFault::InvalidCommit(error.into()).into(),
    }
}

fn leaf(error: LeafNodeValidationError, otherwise: impl FnOnce(Source) -> PeerFault) -> PeerFault {
    match error {
        LeafNodeValidationError::Lifetime(error) => PeerFault::Lifetime(error.into()),
        error => otherwise(error.into()),
    }
}

/// The error of loading a group from a GroupInfo and a tree.
pub(crate) fn from_external_error<E: ProviderError>(error: CreationFromExternalError<E>) -> CommitError {
    match error {
        CreationFromExternalError::LibraryError(error) => LibraryFault::mls(error).into(),
        CreationFromExternalError::WriteToStorageError(error) => LibraryFault::storage(error).into(),
        CreationFromExternalError::TreeSyncError(error) => tree(error),
        CreationFromExternalError::UnknownSender => PeerFault::UnknownGroupInfoSigner.into(),
        CreationFromExternalError::InvalidGroupInfoSignature => {
            PeerFault::BadSignature { signed: Signed::GroupInfo }.into()
        }
        CreationFromExternalError::DuplicateEncryptionKey
        | CreationFromExternalError::DuplicateSignatureKey => PeerFault::DuplicateKey.into(),
        CreationFromExternalError::LeafNodeValidation(error) => leaf(error, PeerFault::InvalidTree).into(),
        error => PeerFault::InvalidTree(error.into()).into(),
    }
}

fn tree(error: TreeSyncFromNodesError) -> CommitError {
    match error {
        TreeSyncFromNodesError::LibraryError(error) => LibraryFault::mls(error).into(),
        TreeSyncFromNodesError::RatchetTreeError(RatchetTreeError::InvalidNodeSignature) => {
            PeerFault::BadSignature { signed: Signed::Leaf }.into()
        }
        error => PeerFault::InvalidTree(error.into()).into(),
    }
}

/// The error of processing a Welcome.
pub(crate) fn welcome_error<E: ProviderError>(error: WelcomeError<E>) -> Error {
    match error {
        WelcomeError::LibraryError(error) => LibraryFault::mls(error).into(),
        WelcomeError::StorageError(error) => LibraryFault::storage(error).into(),
        WelcomeError::NoMatchingKeyPackage => PeerFault::NoMatchingKeyPackage.into(),
        WelcomeError::MissingRatchetTree => PeerFault::MissingRatchetTree.into(),
        WelcomeError::ConfirmationTagMismatch => PeerFault::BadConfirmationTag.into(),
        WelcomeError::PublicGroupError(error) => from_external_error(error).into(),
        WelcomeError::LeafNodeValidation(error) => leaf(error, PeerFault::InvalidWelcome).into(),
        error => PeerFault::InvalidWelcome(error.into()).into(),
    }
}

/// The error of starting an external commit from a GroupInfo.
pub(crate) fn external_join_error<E: ProviderError>(error: ExternalCommitBuilderError<E>) -> Error {
    match error {
        ExternalCommitBuilderError::LibraryError(error) => LibraryFault::mls(error).into(),
        ExternalCommitBuilderError::StorageError(error) => LibraryFault::storage(error).into(),
        ExternalCommitBuilderError::MissingRatchetTree => PeerFault::MissingRatchetTree.into(),
        ExternalCommitBuilderError::MissingExternalPub => PeerFault::MissingExternalPub.into(),
        ExternalCommitBuilderError::PublicGroupError(error) => from_external_error(error).into(),
        error => PeerFault::InvalidTree(error.into()).into(),
    }
}

/// The error of building a commit: either a key package that is to be added is not valid, or something failed.
pub(crate) fn build_error(error: CreateCommitError) -> Error {
    match error {
        CreateCommitError::ProposalValidationError(error) => proposal(error).into(),
        error => LibraryFault::mls(error).into(),
    }
}

/// The error of keeping a commit as the pending one.
pub(crate) fn create_error<E: ProviderError>(error: CommitBuilderStageError<E>) -> LibraryFault {
    match error {
        CommitBuilderStageError::LibraryError(error) => LibraryFault::mls(error),
        CommitBuilderStageError::KeyStoreError(error) => LibraryFault::storage(error),
    }
}

/// The error of finishing an external commit.
pub(crate) fn finalize_error<E: ProviderError>(error: ExternalCommitBuilderFinalizeError<E>) -> LibraryFault {
    match error {
        ExternalCommitBuilderFinalizeError::LibraryError(error) => LibraryFault::mls(error),
        ExternalCommitBuilderFinalizeError::StorageError(error) => LibraryFault::storage(error),
        ExternalCommitBuilderFinalizeError::MergeCommitError(MergePendingCommitError::MergeCommitError(
            error,
        )) => merge_error(error),
        ExternalCommitBuilderFinalizeError::MergeCommitError(error) => LibraryFault::mls(error),
    }
}

/// The error of making a staged commit the group's state.
pub(crate) fn merge_error<E: ProviderError>(error: MergeCommitError<E>) -> LibraryFault {
    match error {
        MergeCommitError::LibraryError(error) => LibraryFault::mls(error),
        MergeCommitError::StorageError(error) => LibraryFault::storage(error),
    }
}
