//! Request authentication: the `X-Matrix` scheme (LM-04 §12.4, reading R17).
//!
//! A sender signs an object made of the request and puts the signature into an `Authorization` header
//! ([`sign_request`]). A receiver works in two steps, so that nothing here does I/O:
//!
//! 1. [`parse_all`] reads every `Authorization` header and says whose keys are needed;
//! 2. with those keys at hand, [`Presented::verify`] checks every header against the request as it arrived.

mod header;
mod sign;
mod verify;

pub use header::{Credentials, HeaderError, MAX_HEADER_BYTES, Parameter, SCHEME};
pub use sign::{sign_request, sign_request_without_content};
pub use verify::{AuthError, MAX_HEADERS, Presented, parse_all};
