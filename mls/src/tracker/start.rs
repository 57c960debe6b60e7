//! A group as it is loaded from a GroupInfo and a tree.

use openmls::credentials::{BasicCredential, CredentialWithKey};
use openmls::group::{InterimTranscriptHash, MlsGroup, ProposalStore, PublicGroup};
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::CreationFromExternalError;
use openmls::treesync::errors::LeafNodeValidationError;
use openmls::treesync::{Node, RatchetTreeIn};
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::public_storage::PublicStorageProvider as _;
use tls_codec::Serialize as _;

use super::tree::stored_tree;
use crate::crypto::ahead::Ahead;
use crate::crypto::{Layered, LayeredProvider};
use crate::error::{CommitError, Error, LibraryFault, PeerFault, external_join_error, from_external_error};
use crate::framing::GroupInfoView;
use crate::storage::{GroupStore, Provider, StoredGroup};
use crate::suite::Suite;
use crate::tree::UnverifiedTree;

/// Loads a group, after all checks that OpenMLS makes but one: a leaf's lifetime may be over. It was judged when the
/// device was added, and devices may stay as long as they are of use.
pub(super) fn load(
    suite: Suite,
    tree: UnverifiedTree,
    group_info: VerifiableGroupInfo,
    info: &GroupInfoView,
) -> Result<(PublicGroup, StoredGroup), CommitError> {
    let store = GroupStore::default();
    let crypto = Layered::<Ahead>::default();
    let UnverifiedTree { tree, nodes } = tree;
    if let Some(nodes) = nodes {
        crypto.verify_leaves(&nodes, suite, info.context.group_id().as_slice());
    }
    let (tree_again, group_info_again) = (tree.clone(), group_info.clone());
    match PublicGroup::from_external(&crypto, &store, tree, group_info, ProposalStore::new()) {
        Ok((group, _)) => Ok((group, store.into_inner())),
        Err(CreationFromExternalError::LeafNodeValidation(LeafNodeValidationError::Lifetime(_))) => {
            whatever_the_lifetimes(suite, &crypto, tree_again, group_info_again, info)
        }
        Err(error) => Err(from_external_error(error)),
    }
}

/// The way around: OpenMLS leaves lifetimes alone for members only. So it starts to join the group from outside, which
/// makes it check everything else, and is stopped there. Then the tree, which is known to be right, is put into the
/// form in which OpenMLS loads one that it has checked before.
pub(super) fn whatever_the_lifetimes(
    suite: Suite,
    crypto: &Layered<Ahead>,
    tree: RatchetTreeIn,
    group_info: VerifiableGroupInfo,
    info: &GroupInfoView,
) -> Result<(PublicGroup, StoredGroup), CommitError> {
    let nobody = CredentialWithKey {
        credential: BasicCredential::new(Vec::new()).into(),
        // Nobody's key, so that no member is taken for the joiner.
        signature_key: Vec::new().into(),
    };
    MlsGroup::external_commit_builder()
        .with_ratchet_tree(tree.clone())
        .skip_lifetime_validation()
        .build_group(&LayeredProvider::new(crypto, &Provider::default()), group_info, nobody)
        .map(drop)
        .map_err(|error| match external_join_error(error) {
            Error::Peer(fault) => CommitError::Peer(fault),
            Error::Library(fault) => CommitError::Library(fault),
            Error::Caller(fault) => LibraryFault::mls(fault).into(),
        })?;

    let (context, tag) = (&info.context, &info.confirmation_tag);
    let tree = tree
        .into_verified(suite.ciphersuite(), crypto, context.group_id())
        .map_err(|error| PeerFault::InvalidTree(error.into()))?;
    let encoded = postcard::to_allocvec(&tree).map_err(LibraryFault::encoding)?;
    // A tree is its list of nodes.
    let nodes: Vec<Option<Node>> = postcard::from_bytes(&encoded).map_err(LibraryFault::encoding)?;
    let stored = stored_tree(nodes, context.tree_hash())?;
    let tag_bytes = tag.tls_serialize_detached().map_err(LibraryFault::encoding)?;
    let hash = crypto
        .hash(
            suite.ciphersuite().hash_algorithm(),
            &[context.confirmed_transcript_hash(), &tag_bytes].concat(),
        )
        .map_err(LibraryFault::crypto)?;

    let store = GroupStore::default();
    let group_id = context.group_id();
    store.write_context(group_id, context).map_err(LibraryFault::storage)?;
    store.write_confirmation_tag(group_id, tag).map_err(LibraryFault::storage)?;
    store
        .write_interim_transcript_hash(group_id, &InterimTranscriptHash(hash))
        .map_err(LibraryFault::storage)?;
    store.put_tree(stored);
    let group = PublicGroup::load(&store, group_id)
        .map_err(LibraryFault::storage)?
        .ok_or(LibraryFault::MissingState)?;
    store.drop_tree();
    Ok((group, store.into_inner()))
}
