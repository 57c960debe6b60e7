//! Other implementations of MLS as devices of Linearized Matrix rooms.
//!
//! Everything of `mimi-mls` is built on OpenMLS, and devices of one implementation always understand each other. Here are
//! others behind the same [`RoomClient`], so that rooms can be tried in which every side is of another make: [`mls-rs`]
//! in this process, and [`ts-mls`] in a Node.js process beside it. They are for tests and for the conformance suite: keys
//! are kept in memory, and nothing is tuned.
//!
//! What an MLS library does and what LM-04 asks of a device are apart: a [`Stack`] is used through one
//! implementation of the room's rules, which no library sees, so that the stacks differ in MLS and in nothing else.
//!
//! [`mls-rs`]: https://crates.io/crates/mls-rs
//! [`ts-mls`]: https://www.npmjs.com/package/ts-mls

mod library;
mod member;
mod mls_rs;
mod rooms;
mod wire;

pub mod ts_mls;

pub use self::mls_rs::{ByReference, commit_by_reference};

use core::fmt;

use mimi_mls::{Device, Engine, Error, RoomClient, Suite};

/// An MLS implementation that runs in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stack {
    /// OpenMLS: the devices of `mimi-mls` itself.
    OpenMls,
    /// `mls-rs`, with its provider of RustCrypto.
    MlsRs,
}

impl Stack {
    /// Every stack.
    pub const ALL: &'static [Self] = &[Self::OpenMls, Self::MlsRs];

    /// Its name, as its devices give it: `openmls`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenMls => "openmls",
            Self::MlsRs => "mls-rs",
        }
    }

    /// The stack of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|stack| stack.name() == name)
    }

    /// Whether its devices can be in groups of `suite`.
    pub fn has(self, suite: Suite) -> bool {
        match self {
            Self::OpenMls => Suite::ALL.contains(&suite),
            Self::MlsRs => mls_rs::has(suite),
        }
    }

    /// A new device of this make, with a fresh signature key pair.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if an id is empty or longer than 255 bytes, [`Error::Library`] if the stack does not
    /// [have](Self::has) the suite.
    pub fn device(self, user_id: &str, device_id: &str, suite: Suite) -> Result<Box<dyn RoomClient>, Error> {
        Ok(match self {
            Self::OpenMls => Box::new(Engine::new(Device::generate(user_id, device_id, suite)?)),
            Self::MlsRs => Box::new(mls_rs::device(user_id, device_id, suite)?),
        })
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
