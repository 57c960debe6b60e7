//! What messages say (draft-ralston-mimi-matrix-message-format-01): servers carry it unread and unchanged.

mod carried;
mod samples;

pub(super) use carried::CASES;
