//! What is tested: a server, and the way it is driven.

mod control;
mod embedded;

pub(crate) use control::{Control, ControlError, Room, segment};
pub(crate) use embedded::Embedded;
#[cfg(feature = "mutants")]
pub(crate) use embedded::EmbeddedError;

use std::sync::Arc;

use mimi_linearized::id::ServerName;

use crate::environment::Reserved;
use crate::report::TargetInfo;

/// How a report says that the suite started the target itself.
pub(crate) const EMBEDDED: &str = "embedded";

/// A server under test.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: ServerName,
    /// How it is driven; `None` if only federation reaches it.
    pub(crate) control: Option<Control>,
    /// What the report says of it.
    pub(crate) info: TargetInfo,
    /// Where it expects a notary of the suite, if it was told so.
    pub(crate) notary: Option<Arc<Reserved>>,
}
