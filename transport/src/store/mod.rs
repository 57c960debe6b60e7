//! What a server remembers (see `docs/architecture.md`).
//!
//! The atomic unit is one record: an event, where it came from, and its LPDU's id, appended on condition that the
//! room's head is the expected one. Everything else can be finished after a crash: a retried transaction finds what it
//! appended before by LPDU id, and delivery goes on from cursors into the rooms' lists. That is what lets the same
//! traits sit on SQLite and on a replicated log.
//!
//! Every method that changes something returns only once the change would survive a crash of the machine.

pub mod apart;
mod command;
mod delivery;
mod devices;
mod encoding;
mod media;
mod rooms;
mod shared;
mod transactions;
mod users;

pub mod choice;
pub mod nats;
pub mod sqlite;
#[cfg(test)]
mod suite;

use std::path::PathBuf;

pub use apart::ApartStore;
pub use command::Identity;
pub use delivery::{Cursor, DeliveryStore, Flight, FlightRange, Outgoing, OutgoingItem};
pub use devices::{
    ClaimNotice, Claimed, DeviceStore, InboxItem, KeyStore, MAX_KEY_RESPONSES, NewKeyPackage, StoredKeys,
};
pub use media::{Content, SharedItem, SharedMedia};
pub use rooms::{
    AppendError, Evidence, ExpectedHead, InviteRecord, Location, NewRecord, Record, RoomStore, SnapshotEvent,
    StoredSnapshot,
};
pub use shared::{Change, SharedStore};
pub use transactions::{ANSWERS_OF_ONE_SENDER, StoredAnswer, TransactionKey, TransactionStore};
pub use users::UserStore;

/// Why a store failed: never the peer's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database holds something that this program did not write.
    #[error("the database holds a malformed {what}: {detail}")]
    Malformed {
        /// What is malformed.
        what: &'static str,
        /// How.
        detail: String,
    },
    /// The database was made by a newer version of this program.
    #[error("the database has format {found}; this program knows up to {known}")]
    Format {
        /// The format found.
        found: i64,
        /// The newest format known.
        known: i64,
    },
    /// Another store, of this process or another one, has the database open.
    #[error("the database {path} is in use")]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// A number is larger than the database can hold: the caller's fault.
    #[error("the {what} {number} is larger than the database can hold")]
    OutOfRange {
        /// What it counts.
        what: &'static str,
        /// The number.
        number: u64,
    },
    /// A store elsewhere cannot be reached, or has not answered in time. A change may have been made all the same.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// The store is another server's, or has another key.
    #[error("the store is not this server's: {0}")]
    NotOurs(String),
    /// The store was shut down.
    #[error("the store is closed")]
    Closed,
}

/// Everything that a server remembers.
pub trait Store:
    RoomStore + ApartStore + TransactionStore + DeliveryStore + DeviceStore + KeyStore + UserStore + SharedStore
{
}

impl<S> Store for S where
    S: RoomStore
        + ApartStore
        + TransactionStore
        + DeliveryStore
        + DeviceStore
        + KeyStore
        + UserStore
        + SharedStore
{
}
