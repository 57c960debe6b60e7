//! A typed call for every endpoint of LM-04 §12.
//!
//! | | |
//! |---|---|
//! | keys | [`server_keys`](FederationClient::server_keys) |
//! | events | [`send`](FederationClient::send) [`event`](FederationClient::event) [`state`](FederationClient::state) [`state_ids`](FederationClient::state_ids) [`backfill`](FederationClient::backfill) |
//! | memberships | [`make`](FederationClient::make) [`send_join`](FederationClient::send_join) [`send_leave`](FederationClient::send_leave) [`send_knock`](FederationClient::send_knock) [`invite`](FederationClient::invite) |
//! | devices | [`user_device`](FederationClient::user_device) [`claim_keys`](FederationClient::claim_keys) |
//! | large rooms (reading R35) | [`commit_message`](FederationClient::commit_message) [`commit_tree`](FederationClient::commit_tree) [`upload_commit`](FederationClient::upload_commit) |
//!
//! A call is tried again as [`Retry`] says, on the final path and the unstable one (reading R24), all within the time of
//! one call. What has a transaction id keeps it, so that it is processed once. Only [`claim_keys`], which takes something
//! away, is never tried again.
//!
//! What a peer answers is read as far as its form goes. Whether its events are signed, allowed, or asked for at all is not
//! looked at here: that is what `mimi-linearized` is for.
//!
//! [`claim_keys`]: FederationClient::claim_keys

mod devices;
mod events;
mod keys;
mod large_rooms;
mod membership;

use http::Method;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::{Object, Value};

pub use events::{Failed, StateAnswer, StateIdsAnswer, Transaction};
pub use membership::JoinAnswer;

use super::{Attempts, ClientError, FederationClient, Retry};
use crate::api::Paths;

/// Whether a call may be made again that may have been answered already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It changes nothing, or has a transaction id.
    Yes,
    /// It does something each time.
    No,
}

impl FederationClient {
    /// Sends a request until it is answered, and expects a JSON object.
    async fn ask(
        &self,
        server: &ServerName,
        method: Method,
        paths: &Paths,
        body: Option<&Value>,
        again: Again,
    ) -> Result<Object, ClientError> {
        let retry = if again == Again::Yes { self.retry } else { Retry::NEVER };
        let mut attempts = Attempts::new(retry, self.limits);
        loop {
            let answer = self.request_paths(attempts.limits(), server, &method, paths, body).await;
            match answer.and_then(|answer| answer.object_ok()) {
                Ok(answer) => return Ok(answer),
                Err(error) => attempts.failed(error).await?,
            }
        }
    }
}

fn unusable(what: impl Into<String>) -> ClientError {
    ClientError::Unusable(what.into())
}

/// Takes an array of objects out of an answer.
fn take_objects(answer: &mut Object, field: &str) -> Result<Vec<Object>, ClientError> {
    let wrong = || unusable(format!("`{field}` is no array of objects"));
    let Some(Value::Array(elements)) = answer.remove(field) else { return Err(wrong()) };
    let object = |element| match element {
        Value::Object(object) => Ok(object),
        _ => Err(wrong()),
    };
    elements.into_iter().map(object).collect()
}

/// Takes an object out of an answer.
fn take_object(answer: &mut Object, field: &str) -> Result<Object, ClientError> {
    match answer.remove(field) {
        Some(Value::Object(object)) => Ok(object),
        _ => Err(unusable(format!("`{field}` is no object"))),
    }
}
