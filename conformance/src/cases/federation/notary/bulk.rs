//! Several servers' keys in one query (LM-04 §12.4.1.4).

use http::Method;
use mimi_linearized::json::Object;
use mimi_transport::api::query_keys_bulk::PATH;
use mimi_transport::clock;
use serde_json::{Value, json};

use super::given::{any_lists, given, query};
use super::publish_until;
use crate::case::{Case, Finding, case, check, said};
use crate::cases::steps::key_responses::{HOUR_MS, KeyResponse, further_key};
use crate::context::Context;
use crate::wire::{Ask, Reply};

pub(in crate::cases::federation) const CASES: &[Case] = &[
    case!(
        Must,
        Server,
        "12.4.1.4/same-as-single",
        "a query about several servers gives out what queries about each of them do",
        ["LM-04/12.4.1.4/1"],
        same_as_single
    ),
    case!(
        Must,
        Server,
        "12.4.1.4/no-search-criteria",
        "a query without an object `server_keys` is refused",
        ["LM-04/12.4.1.4/2", "LM-04/12.2.4/1", "LM-04/12.2.4/2"],
        no_search_criteria
    ),
    case!(
        Must,
        Server,
        "12.4.1.4/all-keys",
        "a server that is named without key ids is queried for all of its keys",
        ["LM-04/12.4.1.4/3"],
        all_keys
    ),
    case!(
        Must,
        Server,
        "12.4.1.4/no-servers",
        "a query that names no server is answered with an empty array",
        ["LM-04/12.4.1.4/4"],
        no_servers
    ),
    case!(
        Must,
        Server,
        "12.4.1.4/minimum",
        "a key that is not valid as long as it has to be is left out",
        ["LM-04/12.4.1.4/5", "LM-04/12.4.1.3/5", "LM-04/12.4.1.3/2"],
        minimum
    ),
    case!(
        Should,
        Server,
        "12.4.1.4/only-what-was-asked",
        "only objects with the keys that were asked for are given out",
        ["LM-04/12.4.1.4/6"],
        only_what_was_asked
    ),
];

async fn post(ctx: &Context, body: &Value) -> Result<Reply, Finding> {
    ctx.ask(Ask::new(Method::POST, PATH).json(body)).await
}

/// What is given out for these criteria.
async fn search(ctx: &Context, criteria: Value) -> Result<Vec<Object>, Finding> {
    given(&post(ctx, &json!({"server_keys": criteria})).await?)
}

/// What an object is about, without its signatures: a notary may sign twice with different outcome.
fn unsigned(objects: &[Object]) -> Vec<String> {
    let mut texts: Vec<String> = objects
        .iter()
        .map(|object| {
            let mut object = object.clone();
            object.remove("signatures");
            Value::Object(object).to_string()
        })
        .collect();
    texts.sort();
    texts
}

async fn same_as_single(ctx: &Context) -> Result<(), Finding> {
    let (one, two, gone) = (ctx.peer().await?, ctx.peer().await?, ctx.peer().await?.name.clone());
    // What is published stays the same, so that both kinds of query are about the same.
    for peer in [&one, &two] {
        publish_until(peer, 12 * HOUR_MS);
    }
    let criteria = json!({one.name.as_str(): {}, two.name.as_str(): {}, gone.as_str(): {}});
    let together = search(ctx, criteria).await?;
    for peer in [&one, &two] {
        check!(any_lists(&together, &peer.key), "the key of {} is not given out", peer.name);
        super::given::sound(ctx, of(&together, peer.name.as_str())?, &peer.name, &peer.key).await?;
    }
    let mut apart = query(ctx, &one.name, None).await?;
    apart.extend(query(ctx, &two.name, None).await?);
    apart.extend(query(ctx, &gone, None).await?);
    let (together, apart) = (unsigned(&together), unsigned(&apart));
    check!(
        together == apart,
        "one query gives out {together}, and one for each server {apart}",
        together = said(&together),
        apart = said(&apart)
    );
    Ok(())
}

/// The object of a server.
fn of<'o>(objects: &'o [Object], server: &str) -> Result<&'o Object, Finding> {
    let found =
        objects.iter().find(|object| object.get("server_name").and_then(Value::as_str) == Some(server));
    found.ok_or_else(|| crate::case::fault(format!("nothing of {server} is given out")))
}

async fn no_search_criteria(ctx: &Context) -> Result<(), Finding> {
    search(ctx, json!({})).await?;
    for body in [json!({}), json!({"server_keys": []}), json!({"server_keys": null})] {
        post(ctx, &body).await?.expect_error(&format!("the query {body}"), 400, "M_BAD_JSON")?;
    }
    let text = ctx.ask(Ask::new(Method::POST, PATH).raw_body("keys, please")).await?;
    text.expect_error("a query that is not JSON", 400, "M_NOT_JSON")
}

async fn all_keys(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let second = further_key(&peer, "second")?;
    let response = KeyResponse::of(&peer).with_key(second.id().as_str(), &second.verify_key().to_base64());
    peer.publish_response(response.signed_by(&peer, &[&peer.key]));
    let objects = search(ctx, json!({peer.name.as_str(): {}})).await?;
    for key in [&peer.key, &second] {
        check!(any_lists(&objects, key), "{} is not given out", key.id());
    }
    Ok(())
}

async fn no_servers(ctx: &Context) -> Result<(), Finding> {
    let objects = search(ctx, json!({})).await?;
    check!(objects.is_empty(), "a query about nobody gives out {objects}", objects = said(&objects));
    Ok(())
}

async fn minimum(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    publish_until(&peer, 2 * HOUR_MS);
    let now = clock::now_ms();
    for (criterion, expected) in [
        (json!({}), true),
        (json!({"minimum_valid_until_ts": now + HOUR_MS}), true),
        (json!({"minimum_valid_until_ts": 0}), true),
        (json!({"minimum_valid_until_ts": now + 3 * HOUR_MS}), false),
    ] {
        let objects = search(ctx, json!({peer.name.as_str(): {peer.key.id().as_str(): criterion}})).await?;
        let given = any_lists(&objects, &peer.key);
        check!(
            given == expected,
            "a key valid for 2 hours, asked for with {criterion}: given out is {given}"
        );
    }
    Ok(())
}

async fn only_what_was_asked(ctx: &Context) -> Result<(), Finding> {
    let (peer, other) = (ctx.peer().await?, ctx.peer().await?);
    let unknown = further_key(&peer, "unknown")?;
    // All of them are known to the notary.
    for peer in [&peer, &other] {
        check!(
            any_lists(&query(ctx, &peer.name, None).await?, &peer.key),
            "{} is not given out",
            peer.key.id()
        );
    }
    let objects = search(ctx, json!({peer.name.as_str(): {unknown.id().as_str(): {}}})).await?;
    check!(
        objects.is_empty(),
        "asked for a key that the server does not have, the notary gives out {objects}",
        objects = said(&objects)
    );
    let objects = search(ctx, json!({peer.name.as_str(): {peer.key.id().as_str(): {}}})).await?;
    check!(any_lists(&objects, &peer.key), "{} is not given out", peer.key.id());
    check!(!any_lists(&objects, &other.key), "keys of {} are given out that nobody asked for", other.name);
    Ok(())
}
