//! EDUs: what servers tell each other outside of rooms' lists (LM-04 §12.9).
//!
//! | file | `type` | who gets it | how long it is kept |
//! |---|---|---|---|
//! | `to_device.rs` | `m.direct_to_device` | the target's server | until it is delivered |
//! | `device_list.rs` | `m.device_list_update` | servers that share a room with the user | until it is delivered |
//! | `typing.rs` | `m.typing` | servers in the room | in memory, the newest only |
//! | `receipt.rs` | `m.receipt` | servers in the room | in memory, the newest only |
//! | `presence.rs` | `m.presence` | servers that share a room with the user | in memory, the newest only |
//!
//! LM-04 has schemas for the first two and only names the others; they have Matrix's content (reading R46). Each goes
//! straight from its sender's server to every server it is for, never through a hub (`LM-04/12.9/2`, reading R45).
//!
//! What is kept in memory waits in two places: in the `Outbox` for a transaction to each destination, and on the
//! `Board` for local users to look. In both, something newer of the same kind by the same user takes the place of what
//! is there, so that neither grows with what is said, and both have a bound besides.

mod board;
mod device_list;
mod ephemeral;
mod newest;
mod outbox;
mod presence;
mod receipt;
mod to_device;
mod typing;

pub(crate) use board::Board;
pub use ephemeral::Ephemeral;
pub(crate) use outbox::Outbox;
pub use presence::{MAX_STATUS_LEN, Presence, PresenceState};
pub use receipt::{MAX_RECEIPT_EVENTS, MAX_THREAD_ID_LEN, Receipt};
pub use to_device::ToDevice;
pub use typing::Typing;

use mimi_linearized::id::{ServerName, UserId};
use serde_json::Value;

use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::Provenance;

impl Node {
    /// Takes an EDU of a transaction. One that is malformed, unknown, or for nobody here is ignored; only the store can
    /// fail.
    pub(crate) async fn receive_edu(
        &self,
        origin: &ServerName,
        from: &Provenance,
        index: usize,
        edu: Value,
    ) -> Result<(), ApiError> {
        let Value::Object(mut edu) = edu else { return Ok(()) };
        let sender = edu.get("sender").or_else(|| edu.get("sender_id")).and_then(Value::as_str);
        let sender = sender.and_then(|sender| UserId::parse(sender).ok());
        let Some(sender) = sender.filter(|sender| sender.server() == *origin) else {
            tracing::info!(%origin, index, "ignored an EDU without a sender of the server that sent it");
            return Ok(());
        };
        let Some(Value::Object(content)) = edu.remove("content") else { return Ok(()) };
        match edu.get("type").and_then(Value::as_str) {
            Some(to_device::TYPE) => {
                let Some(message) = to_device::parse(content) else { return Ok(()) };
                let once = from.txn_id.as_ref().map(|txn_id| format!("edu {origin} {txn_id} {index}"));
                self.deliver_to_device(&sender, message, once).await?;
            }
            Some(device_list::TYPE) => self.receive_update(&sender, content).await?,
            Some(kind) => {
                let Some(ephemera) = Ephemeral::parse(kind, &sender, &content) else {
                    tracing::debug!(%origin, kind, "ignored an EDU of unknown type");
                    return Ok(());
                };
                for ephemeral in ephemera {
                    self.receive_ephemeral(&sender, ephemeral).await?;
                }
            }
            None => tracing::debug!(%origin, index, "ignored an EDU without a type"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
