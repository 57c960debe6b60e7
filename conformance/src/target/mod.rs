//! What is tested: a server, and the way it is driven.

mod control;
mod embedded;
mod matrix;

pub(crate) use control::{Control, ControlError, Room, segment};
pub(crate) use embedded::Embedded;
#[cfg(feature = "mutants")]
pub(crate) use embedded::EmbeddedError;
pub(crate) use matrix::{Accounts, DriverError, Matrix};

use std::sync::Arc;

use mimi_linearized::id::ServerName;

use crate::environment::Reserved;
use crate::report::TargetInfo;

/// How a report says that the suite started the target itself.
pub(crate) const EMBEDDED: &str = "embedded";

/// Why a target is not driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undriven {
    /// Nobody said how.
    #[error("the target has no control API, and this case has to drive it")]
    NoDriver,
    /// It has other rooms.
    #[error(
        "the homeserver says that it has no room version of Linearized Matrix, and this case needs a room of that kind"
    )]
    OtherRooms,
}

/// A server under test.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: ServerName,
    /// How it is driven, or why it is not: only federation reaches it then.
    pub(crate) control: Result<Control, Undriven>,
    /// What the report says of it.
    pub(crate) info: TargetInfo,
    /// Where it expects a notary of the suite, if it was told so.
    pub(crate) notary: Option<Arc<Reserved>>,
}
