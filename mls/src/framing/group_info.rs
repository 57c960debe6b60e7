//! The parts of a GroupInfo that OpenMLS keeps to itself.

use openmls::group::GroupContext;
use openmls::messages::ConfirmationTag;
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::LeafNodeIndex;
use tls_codec::{Deserialize as _, VLBytes};

use super::{Framed, FramingError, MessageKind};
use crate::error::PeerFault;
use crate::suite::Suite;

/// What an unverified GroupInfo says, apart from its extensions.
#[derive(Debug)]
pub(crate) struct GroupInfoView {
    pub(crate) context: GroupContext,
    pub(crate) confirmation_tag: ConfirmationTag,
    pub(crate) signer: LeafNodeIndex,
}

impl GroupInfoView {
    pub(crate) fn read(group_info: &Framed<VerifiableGroupInfo>) -> Result<Self, FramingError> {
        Self::parse(&group_info.bytes)
            .map_err(|error| FramingError::Malformed { kind: MessageKind::GroupInfo, source: error.into() })
    }

    fn parse(mut bytes: &[u8]) -> Result<Self, tls_codec::Error> {
        let reader = &mut bytes;
        let context = GroupContext::tls_deserialize(reader)?;
        // A list of extensions is a length and that many bytes.
        let _extensions = VLBytes::tls_deserialize(reader)?;
        let confirmation_tag = ConfirmationTag::tls_deserialize(reader)?;
        let signer = LeafNodeIndex::tls_deserialize(reader)?;
        Ok(Self { context, confirmation_tag, signer })
    }
}

/// Checks that nobody is led to a dead end who wants to join from outside. Whether the key is the group's is more than
/// can be checked.
pub(crate) fn check_external_pub(group_info: &VerifiableGroupInfo, suite: Suite) -> Result<(), PeerFault> {
    match group_info.extensions().external_pub() {
        Some(key) if !suite.can_encrypt_to(key.external_pub().as_slice()) => {
            Err(PeerFault::UnusableExternalPub)
        }
        _ => Ok(()),
    }
}
