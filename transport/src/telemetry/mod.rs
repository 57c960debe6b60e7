//! What a server tells its administrator: numbers for Prometheus, and a log whose lines can be matched with those of
//! other servers (`docs/administration.md`). The draft says nothing of it.
//!
//! | file | subject |
//! |---|---|
//! | `metrics.rs` | the numbers |
//! | `request_id.rs` | the ids of requests |
//! | `inbound.rs` | requests to this server |
//! | `outbound.rs` | requests of this server |
//! | `store.rs` | how long the store takes |
//! | `scrape.rs` | what is counted when somebody asks |
//!
//! Neither has secrets or contents of messages: a log line has the path of a request, and with it ids of rooms, users,
//! events and transactions.

mod inbound;
mod metrics;
mod outbound;
mod request_id;
mod scrape;
mod store;

pub(crate) use inbound::{Side, observe};
pub use metrics::Metrics;
pub(crate) use metrics::Turn;
pub(crate) use outbound::{CountedSource, Traced};
pub use request_id::{REQUEST_ID, RequestId};
pub use scrape::Waiting;
pub(crate) use store::Measured;
