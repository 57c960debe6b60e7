//! A look at what a PublicMessage says before anything in it is verified.
//!
//! OpenMLS shows the content of a commit only after processing it, leaves out repeated proposals without a word, and
//! reports a proposal it dislikes in whatever words come first. The same bytes are therefore read once more here, after
//! OpenMLS has parsed them.

use openmls::credentials::Credential;
use openmls::framing::{ContentType, PublicMessageIn, Sender};
use openmls::group::{GroupEpoch, GroupId};
use openmls::messages::proposals::ExternalInitProposal;
use openmls::messages::proposals_in::{ProposalIn, ProposalOrRefIn};
use tls_codec::{Deserialize as _, Serialize as _, VLBytes};

use super::{Framed, FramingError, MessageKind};
use crate::error::PeerFault;
use crate::suite::Suite;

/// What an unverified commit says.
#[derive(Debug)]
pub(crate) struct CommitView {
    pub(crate) group_id: GroupId,
    pub(crate) epoch: u64,
    pub(crate) sender: Sender,
    pub(crate) proposals: Vec<ProposalOrRefIn>,
    /// The leaf that starts the commit's path, if it has a path.
    pub(crate) path_leaf: Option<PathLeaf>,
}

/// The beginning of a leaf.
#[derive(Debug)]
pub(crate) struct PathLeaf {
    pub(crate) encryption_key: Vec<u8>,
    pub(crate) signature_key: Vec<u8>,
    pub(crate) credential: Credential,
}

impl CommitView {
    /// Reads a message that must hold a commit.
    pub(crate) fn read(message: &Framed<PublicMessageIn>) -> Result<Self, PeerFault> {
        if message.value.content_type() != ContentType::Commit {
            return Err(PeerFault::NotACommit);
        }
        Self::parse(&message.bytes).map_err(|error| {
            FramingError::Malformed { kind: MessageKind::PublicMessage, source: error.into() }.into()
        })
    }

    fn parse(mut bytes: &[u8]) -> Result<Self, tls_codec::Error> {
        let reader = &mut bytes;
        let group_id = GroupId::tls_deserialize(reader)?;
        let epoch = GroupEpoch::tls_deserialize(reader)?.as_u64();
        let sender = Sender::tls_deserialize(reader)?;
        let _authenticated_data = VLBytes::tls_deserialize(reader)?;
        let _content_type = u8::tls_deserialize(reader)?;
        let proposals = Vec::tls_deserialize(reader)?;
        let path_leaf = match u8::tls_deserialize(reader)? {
            0 => None,
            _ => Some(PathLeaf {
                encryption_key: VLBytes::tls_deserialize(reader)?.into(),
                signature_key: VLBytes::tls_deserialize(reader)?.into(),
                credential: Credential::tls_deserialize(reader)?,
            }),
        };
        Ok(Self { group_id, epoch, sender, proposals, path_leaf })
    }

    /// Whether a member is removed.
    pub(crate) fn removes(&self) -> bool {
        self.proposals.iter().any(|proposal| match proposal {
            ProposalOrRefIn::Proposal(proposal) => matches!(**proposal, ProposalIn::Remove(_)),
            ProposalOrRefIn::Reference(_) => false,
        })
    }

    /// Checks what can be said of the commit without knowing the group's tree: whose it is, who may send it, and that
    /// its proposals are of the kinds that rooms use, each by value and once.
    pub(crate) fn check(&self, group_id: &[u8], suite: Suite) -> Result<(), PeerFault> {
        if self.group_id.as_slice() != group_id {
            return Err(PeerFault::WrongGroup { got: self.group_id.to_vec() });
        }
        if !matches!(self.sender, Sender::Member(_) | Sender::NewMemberCommit) {
            return Err(PeerFault::SenderMayNotCommit);
        }
        let (mut adds, mut removals, mut inits) = (Vec::new(), Vec::new(), Vec::new());
        for proposal in &self.proposals {
            let ProposalOrRefIn::Proposal(proposal) = proposal else {
                return Err(PeerFault::ProposalByReference);
            };
            match proposal.as_ref() {
                ProposalIn::Add(add) => adds.push(add),
                ProposalIn::Remove(remove) => removals.push(remove.removed()),
                ProposalIn::ExternalInit(init) => inits.push(init),
                other => {
                    return Err(PeerFault::UnsupportedProposal {
                        proposal_type: other.proposal_type().into(),
                    });
                }
            }
        }
        removals.sort_unstable();
        let repeated = inits.len() > 1
            || removals.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
            || adds.iter().enumerate().any(|(i, add)| adds.iter().skip(i + 1).any(|other| add == other));
        if repeated {
            return Err(PeerFault::RepeatedProposal);
        }
        for add in adds {
            // A key package begins with its version and its suite. OpenMLS would not say which suite it is.
            if let Ok([_, _, high, low, ..]) = add.tls_serialize_detached().as_deref() {
                let got = u16::from_be_bytes([*high, *low]);
                if got != suite.code() {
                    return Err(PeerFault::WrongSuite { expected: suite, got });
                }
            }
        }
        // OpenMLS takes an output of the KEM that is none for a failure of its own.
        let usable = |init: &ExternalInitProposal| {
            let encoded = init.tls_serialize_detached().ok()?;
            let kem_output = VLBytes::tls_deserialize_exact(&encoded).ok()?;
            Some(suite.is_kem_output(kem_output.as_slice()))
        };
        if inits.first().is_some_and(|init| usable(init) != Some(true)) {
            return Err(PeerFault::UnusableExternalInit);
        }
        Ok(())
    }
}
