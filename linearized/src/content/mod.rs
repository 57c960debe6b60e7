//! What travels inside messages.

pub mod attachment;
pub mod inside;
pub mod mimi;
