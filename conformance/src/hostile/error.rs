//! What goes wrong with hostile servers themselves.

use super::lie::Lie;
use super::when::When;
use crate::case::Finding;

/// What lies beneath an error.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a hostile server cannot do what it is told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostileError {
    /// The surroundings cannot be made: a port, a folder, a name, a certificate.
    #[error("the surroundings cannot be made: {0}")]
    Surroundings(#[source] Cause),
    /// A certificate cannot be made or used.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[source] Cause),
    /// The lie needs a certificate that a known authority has issued, and there is none at hand.
    #[error("{0} needs a certificate authority of one's own that the target trusts")]
    NoAuthority(Lie),
    /// The lie is told as a connection is made, when neither the endpoint nor the other server is known.
    #[error("{lie} is told as a connection is made, and knows nothing of {when}")]
    When {
        /// Which.
        lie: Lie,
        /// When it was to be told.
        when: When,
    },
    /// The surroundings have no control API to drive the target by.
    #[error("there is no control API to drive the target by")]
    NoControl,
    /// The other server does not play along, or something of this side fails.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// What went wrong between a hostile server and another.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Failure(Finding);

impl HostileError {
    pub(super) fn surroundings(cause: impl Into<Cause>) -> Self {
        Self::Surroundings(cause.into())
    }

    pub(super) fn certificate(cause: impl Into<Cause>) -> Self {
        Self::Certificate(cause.into())
    }
}

impl From<Finding> for HostileError {
    fn from(finding: Finding) -> Self {
        Self::Failed(Failure(finding))
    }
}

impl From<HostileError> for Finding {
    fn from(error: HostileError) -> Self {
        match error {
            HostileError::Failed(Failure(finding)) => finding,
            error @ HostileError::NoAuthority(_) => Self::Untried(error.to_string()),
            error => Self::Suite(error.to_string()),
        }
    }
}
