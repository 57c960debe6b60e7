//! A hub on OpenMLS alone, with its memory store.

use openmls::framing::{ProcessedMessageContent, PublicMessageIn};
use openmls::group::{ProposalStore, PublicGroup, StagedCommit};
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider as _;
use tls_codec::Deserialize as _;

use crate::ours::Event;

pub(crate) struct Hub {
    provider: OpenMlsRustCrypto,
    group: PublicGroup,
}

impl Hub {
    pub(crate) fn start(event: &Event) -> Self {
        let provider = OpenMlsRustCrypto::default();
        let info = VerifiableGroupInfo::tls_deserialize_exact(&event.group_info[4..]).unwrap();
        let tree = info.extensions().ratchet_tree().unwrap().ratchet_tree().clone();
        let loaded = PublicGroup::from_external(
            provider.crypto(),
            provider.storage(),
            tree,
            info,
            ProposalStore::new(),
        );
        let (group, _) = loaded.unwrap();
        Self { provider, group }
    }

    pub(crate) fn process(&self, event: &Event) -> StagedCommit {
        let message = PublicMessageIn::tls_deserialize_exact(&event.message[4..]).unwrap();
        let processed = self.group.process_message(self.provider.crypto(), message).unwrap();
        match processed.into_content() {
            ProcessedMessageContent::StagedCommitMessage(commit) => *commit,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn follow(&mut self, event: &Event) {
        let commit = self.process(event);
        self.group.merge_commit(self.provider.storage(), commit).unwrap();
    }
}
