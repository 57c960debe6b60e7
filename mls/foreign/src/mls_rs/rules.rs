//! How `mls-rs` makes commits and messages for rooms.

use core::convert::Infallible;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use mls_rs::MlsRules;
use mls_rs::client_builder::PaddingMode;
use mls_rs::group::{GroupContext, Roster};
use mls_rs::mls_rules::{CommitDirection, CommitOptions, CommitSource, EncryptionOptions, ProposalBundle};

/// Commits are PublicMessages with the ratchet tree in their group state, and whether the next one must have a path is
/// said for each (LM-04 §4.3, §4.5.1).
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    path_required: Arc<AtomicBool>,
}

impl Rules {
    /// Whether the next commit must have a path even if no proposal asks for one.
    pub(crate) fn require_path(&self, required: bool) {
        self.path_required.store(required, Ordering::Relaxed);
    }
}

impl MlsRules for Rules {
    type Error = Infallible;

    fn filter_proposals(
        &self,
        _: CommitDirection,
        _: CommitSource,
        _: &Roster<'_>,
        _: &GroupContext,
        proposals: ProposalBundle,
    ) -> Result<ProposalBundle, Infallible> {
        Ok(proposals)
    }

    fn commit_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
        _: &ProposalBundle,
    ) -> Result<CommitOptions, Infallible> {
        Ok(CommitOptions::new()
            .with_path_required(self.path_required.load(Ordering::Relaxed))
            .with_ratchet_tree_extension(true)
            .with_single_welcome_message(true)
            .with_allow_external_commit(true))
    }

    fn encryption_options(&self, _: &Roster<'_>, _: &GroupContext) -> Result<EncryptionOptions, Infallible> {
        // Its other steps are of up to a quarter of the length, which the largest messages of an event have no room for.
        Ok(EncryptionOptions::new(false, PaddingMode::Padme))
    }
}
