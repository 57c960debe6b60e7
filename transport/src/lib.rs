//! Linearized Matrix over HTTPS (LM-04 §12).
//!
//! This crate is a whole server around the room model of `mimi-linearized`, in parts that can be used by themselves:
//!
//! | module | what it has |
//! |---|---|
//! | [`start`] | a server as one runs it: certificate, keys, store, listeners |
//! | [`assembly`] | the parts of a server that something else can stand in for |
//! | [`node`] | a server without its listeners |
//! | [`api`] | every endpoint between servers, one file each, both sides of it |
//! | [`control`] | the control API |
//! | [`rooms`] | rooms as their hub or as a participant: from bytes to the store and back |
//! | [`devices`] | devices and their key packages |
//! | [`edus`] | messages to devices, device lists, typing notices, receipts, presence |
//! | [`store`] | what is remembered, as traits, and on SQLite |
//! | [`lifecycle`], [`telemetry`] | whether a server takes work, and what it tells its administrator |
//! | [`request_auth`] | the `X-Matrix` scheme |
//! | [`keys`] | other servers' keys |
//! | [`limits`] | how much is taken from others, and how often |
//! | [`media`] | attachments: stored, fetched, scanned |
//! | [`policy`] | which servers this one has to do with, and who may invite its users |
//! | [`resolve`], [`tls`], [`client`], [`server`] | names, certificates, HTTP/2 |
//!
//! Everything that waits is here; the room model never does.

pub mod api;
pub mod assembly;
pub mod client;
pub mod clock;
pub mod control;
mod delivery;
pub mod devices;
pub mod edus;
pub mod error;
mod fresh;
pub mod keys;
pub mod lifecycle;
pub mod limits;
pub mod media;
mod news;
pub mod node;
pub mod policy;
pub mod request_auth;
pub mod resolve;
pub mod rooms;
pub mod server;
pub mod start;
pub mod store;
pub mod telemetry;
pub mod tls;
mod transactions;
