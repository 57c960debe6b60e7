//! How much this server takes from others: connections, requests, bodies, and how often (LM-04 §12.2.6; readings R43 and
//! R44).
//!
//! [`Limits`] is what can be set; the rest of the module keeps to it. Requests pass in this order, so that little is done
//! for a request that is refused:
//!
//! 1. the connection: how many there are, of one address and in all ([`ServerLimits`]);
//! 2. the head: its length and its number of headers, and whether the address has just sent much that proves nothing;
//! 3. the body: its size, how fast it comes, and how much of all bodies is in memory;
//! 4. after authentication, how often this server asks for such things.
//!
//! A server's budget is only ever used by requests that it has proved to be its own: whoever else writes its name into a
//! header uses up the budget of the address that they come from.

mod activity;
mod body;
mod connections;
mod family;
mod gate;
mod meter;
mod rates;
mod requests;
mod settings;

pub(crate) use activity::Activity;
pub(crate) use connections::Connections;
pub use family::Family;
pub(crate) use gate::{Gate, admit};
pub use rates::{Rate, RateError, RateLimits, RateSetting};
pub use requests::RequestLimits;
pub use settings::{LimitError, LimitSetting};

use crate::rooms::GapLimits;
use crate::server::ServerLimits;

/// Everything that can be set about how much a server takes. The default is safe, and no busy honest server meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of connections.
    pub connections: ServerLimits,
    /// Of single requests.
    pub requests: RequestLimits,
    /// Of how often.
    pub rates: RateLimits,
    /// Of what this server fetches itself when events are missing.
    pub gaps: GapLimits,
}
