//! What messages say (draft-ralston-mimi-matrix-message-format-01): servers carry it unread and unchanged.

mod carried;
mod mimi;
mod rendered;
mod samples;

pub(super) use carried::CASES;
pub(super) use mimi::CASES as MIMI;
pub(super) use rendered::CASES as RENDERED;
