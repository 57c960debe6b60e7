//! The group state that is published with a commit.

use openmls::ciphersuite::signable::Verifiable as _;
use openmls::group::StagedCommit;
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::OpenMlsSignaturePublicKey;
use openmls_rust_crypto::RustCrypto;
use tls_codec::{Serialize as _, VLBytes};

use super::mismatch;
use crate::error::{CommitError, GroupStatePart, LibraryFault, PeerFault, Signed};
use crate::framing::{self, Framed, GroupInfoView, check_external_pub};
use crate::roster::Member;
use crate::suite::Suite;
use crate::tree::tree_hash;

/// Reads a GroupInfo that must be of the room's group.
pub(super) fn read_group_info(
    room_id: &str,
    suite: Suite,
    bytes: &[u8],
) -> Result<(Framed<VerifiableGroupInfo>, GroupInfoView), PeerFault> {
    let group_info: Framed<VerifiableGroupInfo> = framing::read(bytes)?;
    if group_info.value.group_id().as_slice() != room_id.as_bytes() {
        return Err(PeerFault::WrongGroup { got: group_info.value.group_id().to_vec() });
    }
    let got = group_info.value.ciphersuite();
    if got != suite.ciphersuite() {
        return Err(PeerFault::WrongSuite { expected: suite, got: got.into() });
    }
    check_external_pub(&group_info.value, suite)?;
    let view = GroupInfoView::read(&group_info)?;
    Ok((group_info, view))
}

/// Checks that a GroupInfo has the context of the group after `commit`.
pub(super) fn check_context(commit: &StagedCommit, info: &GroupInfoView) -> Result<(), CommitError> {
    let encode = |context: &openmls::group::GroupContext| {
        context.tls_serialize_detached().map_err(LibraryFault::encoding)
    };
    if encode(&info.context)? != encode(commit.group_context())? {
        return Err(mismatch(GroupStatePart::Context));
    }
    Ok(())
}

/// Checks that a GroupInfo is that of the group after `commit`, and signed by a member of it, who is `signer`.
pub(super) fn check_group_info(
    commit: &StagedCommit,
    signer: Option<&Member>,
    suite: Suite,
    group_info: &Framed<VerifiableGroupInfo>,
    info: &GroupInfoView,
) -> Result<(), CommitError> {
    check_context(commit, info)?;
    let signer = signer.ok_or(PeerFault::UnknownGroupInfoSigner)?;
    let key = VLBytes::from(signer.signature_key.as_slice());
    let key =
        OpenMlsSignaturePublicKey::new(key, suite.signature_scheme().mls()).map_err(LibraryFault::crypto)?;
    if group_info.value.verify_no_out(&RustCrypto::default(), &key).is_err() {
        return Err(PeerFault::BadSignature { signed: Signed::GroupInfo }.into());
    }
    // The signature covers the tree, but a signer may have signed a wrong one, and then nobody can join with it.
    if let Some(tree) = group_info.value.extensions().ratchet_tree() {
        let published = tree.ratchet_tree().tls_serialize_detached().map_err(LibraryFault::encoding)?;
        match tree_hash(&published, suite) {
            Ok(hash) if hash == commit.group_context().tree_hash() => {}
            Ok(_) | Err(CommitError::Peer(_)) => return Err(mismatch(GroupStatePart::RatchetTree)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
