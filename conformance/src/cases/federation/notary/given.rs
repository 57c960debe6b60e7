//! What a notary gives out.

use std::time::Duration;

use http::Method;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::Object;
use mimi_linearized::signing::{ServerKeyRing, SigningKey, check_object};
use mimi_transport::api::query_keys;
use mimi_transport::clock;
use serde_json::Value;
use tokio::time::Instant;

use crate::case::{Finding, check, fault, said};
use crate::context::{Context, LONG_PATIENCE};
use crate::wire::{Ask, Reply};

/// How long the target is left alone before it is asked whether it has fetched keys anew.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// The key objects in an answer. A target that does not know the endpoint is no notary, and need not be one (R41).
pub(super) fn given(reply: &Reply) -> Result<Vec<Object>, Finding> {
    if reply.is(404, "M_UNRECOGNIZED") || reply.is(405, "M_UNRECOGNIZED") {
        let what = "the target is no notary, which the draft does not ask of every server (R41)";
        return Err(Finding::Untried(what.to_owned()));
    }
    let body = reply.expect_ok("a query for a server's keys")?;
    let list = body.get("server_keys").and_then(Value::as_array);
    let list = list.ok_or_else(|| fault(format!("a notary's answer has an array `server_keys`: {body}")))?;
    let object = |element: &Value| {
        element.as_object().cloned().ok_or_else(|| fault(format!("`server_keys` has {element}, no object")))
    };
    list.iter().map(object).collect()
}

/// Queries the target for a server's keys.
pub(super) async fn query(
    ctx: &Context,
    server: &ServerName,
    minimum: Option<i64>,
) -> Result<Vec<Object>, Finding> {
    let objects = given(&ctx.ask(Ask::new(Method::GET, query_keys::target(server, minimum))).await?)?;
    for object in &objects {
        let name = object.get("server_name").and_then(Value::as_str);
        check!(
            name == Some(server.as_str()),
            "asked for the keys of {server}, the notary gives out {name}",
            name = said(&name)
        );
    }
    Ok(objects)
}

/// Queries the target until it gives out what is wanted. It may take its time before it asks a server again.
pub(super) async fn until_given(
    ctx: &Context,
    server: &ServerName,
    minimum: Option<i64>,
    what: &str,
    is: impl Fn(&[Object]) -> bool,
) -> Result<Vec<Object>, Finding> {
    let deadline = Instant::now() + LONG_PATIENCE;
    loop {
        let objects = query(ctx, server, minimum).await?;
        if is(&objects) {
            return Ok(objects);
        }
        check!(Instant::now() < deadline, "within {} s the target should: {what}", LONG_PATIENCE.as_secs());
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Whether a key with this id is among an object's current keys.
pub(super) fn lists(object: &Object, id: &str) -> bool {
    object.get("verify_keys").and_then(Value::as_object).is_some_and(|keys| keys.contains_key(id))
}

/// Whether one of the objects has this key.
pub(super) fn any_lists(objects: &[Object], key: &SigningKey) -> bool {
    let own = key.verify_key().to_base64();
    objects.iter().any(|object| {
        let listed = object.get("verify_keys").and_then(|keys| keys.get(key.id().as_str())?.get("key"));
        listed.and_then(Value::as_str) == Some(own.as_str())
    })
}

/// Checks that an object is signed by its server with this key, and by the target.
pub(super) async fn sound(
    ctx: &Context,
    object: &Object,
    server: &ServerName,
    key: &SigningKey,
) -> Result<(), Finding> {
    let until = object.get("valid_until_ts");
    check!(
        until.is_some_and(Value::is_i64),
        "`valid_until_ts` is {until} and no integer",
        until = said(&until)
    );
    let mut own = ServerKeyRing::new();
    own.insert(server, key.id(), key.verify_key(), i64::MAX);
    let signed = check_object(object, server, &own, clock::now_ms());
    signed.map_err(|error| fault(format!("what the notary gives out of {server}: {error}")))?;
    let (notary, ring) = (&ctx.environment.target.name, ctx.environment.target_ring().await?);
    let signed = check_object(object, notary, &ring, clock::now_ms());
    signed.map_err(|error| fault(format!("what the notary gives out is to be signed by it, too: {error}")))
}
