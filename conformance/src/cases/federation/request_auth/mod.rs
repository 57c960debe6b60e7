//! Request authentication (LM-04 §12.4): what is signed, by whom, and what is refused.

pub(super) mod header;
pub(super) mod own;

use http::{HeaderValue, Method, header as names};
use mimi_linearized::json::{Object, canonical};
use mimi_linearized::signing::SigningKey;
use mimi_transport::api::query_keys;
use mimi_transport::clock;
use mimi_transport::keys::KEY_PATH;
use mimi_transport::tls::DevCa;
use serde_json::{Value, json};

use crate::case::{Case, Finding, case, check, driven_case};
use crate::cases::steps::endpoints::{self, Harmless};
use crate::cases::steps::hub_room;
use crate::cases::steps::key_responses::{HOUR_MS, KeyResponse, further_key};
use crate::cases::steps::paths;
use crate::context::Context;
use crate::peer::{Peer, Sent};
use crate::wire::{Ask, Reply};

pub(super) const CASES: &[Case] = &[
    case!(
        Must,
        Server,
        "12.4/signed",
        "a signed request is taken, with the key that its sender publishes",
        [
            "LM-04/12.4/1",
            "LM-04/12.4/2",
            "LM-04/12.4/3",
            "LM-04/12.4/4",
            "LM-04/12.4/7",
            "LM-04/12.4.1/2",
            "LM-04/6.3/8",
        ],
        signed
    ),
    case!(
        Must,
        Server,
        "12.4/no-header",
        "a request without an Authorization header is answered 401 M_FORBIDDEN, on every endpoint but the key endpoints",
        ["LM-04/12.4/22", "LM-04/12.4/23", "LM-04/12.4/24", "R18", "TR-00/3/48"],
        no_header
    ),
    case!(
        Must,
        Server,
        "12.4/wrong-destination",
        "a request that is signed for another server is refused",
        ["LM-04/12.4/14", "LM-04/12.4/4", "LM-04/12.4/23"],
        wrong_destination
    ),
    case!(
        Must,
        Server,
        "12.4/wrong-origin",
        "a request whose origin is not the one that is signed, or not the key's owner, is refused",
        ["LM-04/12.4/13", "LM-04/12.4/4", "LM-04/12.4/23"],
        wrong_origin
    ),
    case!(
        Must,
        Server,
        "12.4/other-scheme",
        "credentials of another scheme, alone or beside good ones, are refused",
        ["LM-04/12.4/1", "LM-04/12.4/21", "LM-04/12.4/23"],
        other_scheme
    ),
    case!(
        Must,
        Server,
        "12.4/tampered",
        "a request is refused if its method, path, query or body is not the one that was signed",
        ["LM-04/12.4/18", "LM-04/12.4/2", "LM-04/12.4/3", "LM-04/12.4/5", "LM-04/12.4/23"],
        tampered
    ),
    case!(
        Must,
        Server,
        "12.4/target-as-sent",
        "path and query are verified byte for byte as they were sent",
        ["LM-04/12.4/3", "LM-04/12.4/18", "R17"],
        target_as_sent
    ),
    case!(
        Must,
        Server,
        "12.4/body-in-any-form",
        "the body counts as JSON: white space, order and escapes do not matter",
        ["LM-04/12.4/5", "LM-04/12.4/7", "LM-04/6.2/2"],
        body_in_any_form
    ),
    case!(
        Must,
        Server,
        "12.4/no-body",
        "a request without a body is signed with an empty object, or, as deployed servers do, with none",
        ["LM-04/12.4/6", "R17"],
        no_body
    ),
    case!(
        Must,
        Server,
        "12.4/unknown-key",
        "a key that the sender does not publish is refused",
        ["LM-04/12.4.1.2/9", "LM-04/12.4/15", "LM-04/12.4/23", "LM-04/6.3/3"],
        unknown_key
    ),
    case!(
        Must,
        Server,
        "12.4/expired-key",
        "a key whose validity has passed is refused",
        ["LM-04/12.4/19", "LM-04/12.4/23"],
        expired_key
    ),
    case!(
        Must,
        Server,
        "12.4/retired-key",
        "a key that its owner lists among the old ones is refused",
        ["LM-04/12.4.1.2/9", "LM-04/12.4/23"],
        retired_key
    ),
    case!(
        Must,
        Server,
        "12.4/several-headers",
        "a request that several keys of its sender have signed is taken",
        ["LM-04/12.4/21"],
        several_headers
    ),
    case!(
        Must,
        Server,
        "12.4/one-bad-header",
        "one header that does not verify makes a request fail, however good the others are",
        ["LM-04/12.4/21", "LM-04/12.4/23"],
        one_bad_header
    ),
    case!(
        Must,
        Server,
        "12.4/unverified-keys",
        "keys from a server whose certificate does not verify are not used",
        ["LM-04/12.4/25"],
        unverified_keys
    ),
    case!(
        Must,
        Server,
        "12.4/open-endpoints",
        "the key endpoints ignore Authorization headers, good or bad",
        ["LM-04/12.4/24", "LM-04/12.4.1/3"],
        open_endpoints
    ),
    driven_case!(
        Must,
        Hub,
        "12.4/no-effect",
        "a request that fails authentication has no effect",
        ["LM-04/12.4/23"],
        no_effect
    ),
];

/// What is signed for a request. A case changes what it wants to be wrong.
#[derive(Debug, Clone)]
struct Claim {
    method: &'static str,
    uri: String,
    origin: String,
    destination: String,
    content: Option<Value>,
}

impl Claim {
    /// A sound claim for a request without a body.
    fn of(peer: &Peer, ctx: &Context, uri: &str) -> Self {
        Self {
            method: "GET",
            uri: uri.to_owned(),
            origin: peer.name.to_string(),
            destination: ctx.environment.target.name.to_string(),
            content: Some(json!({})),
        }
    }

    /// The unpadded base64 of the signature.
    fn sign(&self, key: &SigningKey) -> String {
        let mut object = Object::new();
        object.insert("method".to_owned(), json!(self.method));
        object.insert("uri".to_owned(), json!(self.uri));
        object.insert("origin".to_owned(), json!(self.origin));
        object.insert("destination".to_owned(), json!(self.destination));
        if let Some(content) = &self.content {
            object.insert("content".to_owned(), content.clone());
        }
        key.sign(&canonical::object_to_vec(&object)).to_base64()
    }

    /// The header, with the parameters as they are claimed.
    fn header(&self, key: &SigningKey) -> Result<HeaderValue, Finding> {
        let Self { origin, destination, .. } = self;
        let (id, signature) = (key.id(), self.sign(key));
        x_matrix(&format!(
            "origin=\"{origin}\",destination=\"{destination}\",key=\"{id}\",sig=\"{signature}\""
        ))
    }
}

/// A header of scheme `X-Matrix`.
fn x_matrix(parameters: &str) -> Result<HeaderValue, Finding> {
    value(&format!("X-Matrix {parameters}"))
}

fn value(text: &str) -> Result<HeaderValue, Finding> {
    HeaderValue::try_from(text).map_err(|error| Finding::Suite(error.to_string()))
}

/// The room of [`question`], which nobody knows.
const NO_ROOM: &str = "!none:example.org";

/// Something to ask that changes nothing: the state of a room that nobody knows. Its endpoint has one path only.
fn question() -> String {
    paths::state(NO_ROOM, "$none")
}

/// Asks with these headers.
async fn ask_with(peer: &Peer, target: &str, headers: &[HeaderValue]) -> Result<Reply, Finding> {
    let add = |ask: Ask, header: &HeaderValue| ask.header(names::AUTHORIZATION, header.clone());
    peer.send_ask(headers.iter().fold(Ask::new(Method::GET, target), add)).await
}

/// The request was authenticated: the answer is about the room.
fn taken(reply: &Reply, what: &str) -> Result<(), Finding> {
    reply.expect_error(&format!("{what}, which asks about a room that nobody knows,"), 404, "M_NOT_FOUND")
}

/// The request was not authenticated.
fn refused(reply: &Reply, what: &str) -> Result<(), Finding> {
    reply.expect_error(what, 401, "M_FORBIDDEN")
}

async fn signed(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let header = Claim::of(&peer, ctx, &question()).header(&peer.key)?;
    taken(&ask_with(&peer, &question(), &[header]).await?, "a signed request")?;
    let fetched = peer.requests().iter().any(|request| request.target.starts_with(KEY_PATH));
    check!(fetched, "the target believed a signature without asking for the key");
    Ok(())
}

async fn no_header(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let mut otherwise = Vec::new();
    for Harmless { method, target, body, .. } in endpoints::authenticated(&peer) {
        let ask = |ask: Ask| body.iter().fold(ask, Ask::json);
        let unsigned = ctx.ask(ask(Ask::new(method.clone(), ctx.path(&target)))).await?;
        if unsigned.is(401, "M_FORBIDDEN") {
            continue;
        }
        let signed = peer.request(method.clone(), &target, body.as_ref()).await?;
        // Most of these requests are refused when they are signed, too. A target may see to that first.
        let (status, errcode) = (signed.status.as_u16(), signed.errcode());
        if signed.is_refusal() && unsigned.is(status, errcode) {
            otherwise.push(format!("{method} {target} is answered {status} {errcode}"));
        } else {
            refused(&unsigned, &format!("{method} {target} without an Authorization header"))?;
        }
    }
    if otherwise.is_empty() {
        return Ok(());
    }
    let what = format!("without an Authorization header, {}", otherwise.join("; "));
    Err(Finding::Acceptable { reading: "R18", what })
}

async fn wrong_destination(ctx: &Context) -> Result<(), Finding> {
    let (peer, other) = (ctx.peer().await?, ctx.peer().await?);
    let claim = Claim::of(&peer, ctx, &question());
    let elsewhere = Claim { destination: other.name.to_string(), ..claim.clone() };
    let ask = async |header| ask_with(&peer, &question(), &[header]).await;
    refused(&ask(elsewhere.header(&peer.key)?).await?, "a request that is signed for another server")?;
    let (origin, id) = (&peer.name, peer.key.id());
    let own = &ctx.environment.target.name;
    let parameters = |destination: &dyn std::fmt::Display, signature: String| {
        x_matrix(&format!(
            "origin=\"{origin}\",destination=\"{destination}\",key=\"{id}\",sig=\"{signature}\""
        ))
    };
    let header = parameters(own, elsewhere.sign(&peer.key))?;
    refused(&ask(header).await?, "a request whose signed destination is not the one it names")?;
    let header = parameters(&other.name, claim.sign(&peer.key))?;
    refused(&ask(header).await?, "a request that names another destination than is signed")
}

async fn wrong_origin(ctx: &Context) -> Result<(), Finding> {
    let (peer, other) = (ctx.peer().await?, ctx.peer().await?);
    // The other server's key is known to the target: only the origin is at fault.
    let header = Claim::of(&other, ctx, &question()).header(&other.key)?;
    taken(&ask_with(&other, &question(), &[header]).await?, "a signed request")?;
    let claim = Claim::of(&peer, ctx, &question());
    let ask = async |header| ask_with(&peer, &question(), &[header]).await;
    let own = &ctx.environment.target.name;
    let parameters = |origin: &Peer, key: &SigningKey, signature: String| {
        let (origin, id) = (&origin.name, key.id());
        x_matrix(&format!("origin=\"{origin}\",destination=\"{own}\",key=\"{id}\",sig=\"{signature}\""))
    };
    let signed_as_other = Claim { origin: other.name.to_string(), ..claim.clone() };
    let header = parameters(&peer, &peer.key, signed_as_other.sign(&peer.key))?;
    refused(&ask(header).await?, "a request whose signed origin is not the one it names")?;
    let header = parameters(&other, &other.key, claim.sign(&other.key))?;
    refused(&ask(header).await?, "a request that names another origin than is signed")?;
    let header = signed_as_other.header(&peer.key)?;
    refused(&ask(header).await?, "a request in the name of a server whose key did not sign it")
}

async fn other_scheme(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let good = Claim::of(&peer, ctx, &question()).header(&peer.key)?;
    taken(&ask_with(&peer, &question(), std::slice::from_ref(&good)).await?, "a signed request")?;
    let text = good.to_str().map_err(|error| Finding::Suite(error.to_string()))?;
    for other in ["Bearer abc", "Basic YTpi", &text.replace("X-Matrix", "X-Matrics")] {
        let other = value(other)?;
        let reply = ask_with(&peer, &question(), std::slice::from_ref(&other)).await?;
        refused(&reply, &format!("a request with {other:?} alone"))?;
        let reply = ask_with(&peer, &question(), &[good.clone(), other.clone()]).await?;
        refused(&reply, &format!("a signed request with {other:?} beside"))?;
    }
    Ok(())
}

async fn tampered(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let claim = Claim::of(&peer, ctx, &question());
    let ask = async |claim: Claim, target: &str| {
        let header = claim.header(&peer.key)?;
        ask_with(&peer, target, &[header]).await
    };
    taken(&ask(claim.clone(), &question()).await?, "a signed request")?;
    let method = Claim { method: "POST", ..claim.clone() };
    refused(&ask(method, &question()).await?, "a GET that is signed as a POST")?;
    let method = Claim { method: "get", ..claim.clone() };
    refused(&ask(method, &question()).await?, "a GET that is signed as a get")?;
    let other = paths::state("!other:example.org", "$none");
    refused(&ask(claim.clone(), &other).await?, "a request with another path")?;
    let other = paths::state(NO_ROOM, "$other");
    refused(&ask(claim.clone(), &other).await?, "a request with another query")?;
    let bare = Claim { uri: claim.uri.split('?').next().unwrap_or_default().to_owned(), ..claim.clone() };
    refused(&ask(bare, &question()).await?, "a request whose query is not signed")?;
    let whole = Claim { uri: format!("https://{}{}", claim.destination, claim.uri), ..claim.clone() };
    refused(&ask(whole, &question()).await?, "a request whose whole URL is signed")?;
    let content = Claim { content: Some(json!({"x": 1})), ..claim.clone() };
    refused(&ask(content, &question()).await?, "a request whose body was left out")?;

    let uri = ctx.path(&paths::send(&peer.txn_id()));
    let signed = Claim { method: "PUT", content: Some(json!({"pdus": []})), uri: uri.clone(), ..claim };
    let put = |body: Value| Ask::new(Method::PUT, &*uri).json(&body);
    let header = signed.header(&peer.key)?;
    let send = async |ask: Ask| peer.send_ask(ask.header(names::AUTHORIZATION, header.clone())).await;
    refused(&send(put(json!({"pdus": [1]}))).await?, "a request with another body")?;
    refused(&send(put(json!({"pdus": [], "edus": []}))).await?, "a request with more in its body")?;
    refused(&send(put(json!({}))).await?, "a request with less in its body")?;
    send(put(json!({"pdus": []}))).await?.expect_ok("the request as it was signed").map(drop)
}

async fn target_as_sent(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let decoded = "/_matrix/federation/v1/state/!none:example.org?event_id=%24none";
    for target in [
        decoded,
        "/_matrix/federation/v1/state/%21n%6Fne%3aexample.org?event_id=$none",
        &format!("{}&", question()),
        &format!("{}&b=2&a=1&&c=%2f%2F+%20", question()),
    ] {
        let header = Claim::of(&peer, ctx, target).header(&peer.key)?;
        taken(&ask_with(&peer, target, &[header]).await?, &format!("a signed GET {target}"))?;
    }
    let decoded = Claim::of(&peer, ctx, decoded).header(&peer.key)?;
    let reply = ask_with(&peer, &question(), &[decoded]).await?;
    refused(&reply, "a request whose path is signed in another form than it is sent")
}

async fn body_in_any_form(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let content = json!({"pdus": [], "edus": [], "org.example.é": "a/b\u{7f}", "org.example.n": 1e3});
    let body = concat!(
        " { \"pdus\" : [ ], \"edus\" : [ ],\r\n",
        "\t\"org.example.\\u00e9\": \"\\u0061\\/b\u{7f}\", \"org.example.n\": 1000.0 }\n",
    );
    let uri = ctx.path(&paths::send(&peer.txn_id()));
    let claim = Claim { method: "PUT", content: Some(content), ..Claim::of(&peer, ctx, &uri) };
    let ask = Ask::new(Method::PUT, &*uri)
        .raw_body(body)
        .header(names::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(names::AUTHORIZATION, claim.header(&peer.key)?);
    peer.send_ask(ask).await?.expect_ok("a signed transaction that is not written canonically").map(drop)
}

async fn no_body(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let claim = Claim::of(&peer, ctx, &question());
    let reply = ask_with(&peer, &question(), &[claim.header(&peer.key)?]).await?;
    taken(&reply, "a request that is signed with an empty object")?;
    let without = Claim { content: None, ..claim };
    let reply = ask_with(&peer, &question(), &[without.header(&peer.key)?]).await?;
    if reply.is(401, "M_FORBIDDEN") {
        let what = "a request that is signed without `content` is refused".to_owned();
        return Err(Finding::Acceptable { reading: "R17", what });
    }
    taken(&reply, "a request that is signed without `content`")
}

async fn unknown_key(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let claim = Claim::of(&peer, ctx, &question());
    let unpublished = further_key(&peer, "unpublished")?;
    let reply = ask_with(&peer, &question(), &[claim.header(&unpublished)?]).await?;
    refused(&reply, "a request that is signed with a key its sender does not publish")?;
    let impostor = SigningKey::from_seed(peer.key.id().clone(), &unpublished.seed());
    let reply = ask_with(&peer, &question(), &[claim.header(&impostor)?]).await?;
    refused(&reply, "a request that is signed with another key under a published id")
}

async fn expired_key(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let response = KeyResponse::of(&peer).with("valid_until_ts", json!(clock::now_ms() - HOUR_MS));
    peer.publish_response(response.signed_by(&peer, &[&peer.key]));
    let header = Claim::of(&peer, ctx, &question()).header(&peer.key)?;
    let reply = ask_with(&peer, &question(), &[header]).await?;
    refused(&reply, "a request that is signed with a key that expired an hour ago")
}

async fn retired_key(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let (old, retiring) = (further_key(&peer, "old")?, further_key(&peer, "retiring")?);
    let response = KeyResponse::of(&peer)
        .with_old_key(&old, clock::now_ms() - HOUR_MS)
        .with_old_key(&retiring, clock::now_ms() + HOUR_MS);
    peer.publish_response(response.signed_by(&peer, &[&peer.key]));
    let claim = Claim::of(&peer, ctx, &question());
    let reply = ask_with(&peer, &question(), &[claim.header(&peer.key)?]).await?;
    taken(&reply, "a request that is signed with the current key")?;
    for key in [&old, &retiring] {
        let reply = ask_with(&peer, &question(), &[claim.header(key)?]).await?;
        refused(&reply, &format!("a request that is signed with {}, an old key", key.id()))?;
    }
    Ok(())
}

/// A peer with two keys, both of them current.
async fn with_two_keys(ctx: &Context) -> Result<(Peer, SigningKey), Finding> {
    let peer = ctx.peer().await?;
    let second = further_key(&peer, "second")?;
    let response = KeyResponse::of(&peer).with_key(second.id().as_str(), &second.verify_key().to_base64());
    peer.publish_response(response.signed_by(&peer, &[&peer.key, &second]));
    Ok((peer, second))
}

async fn several_headers(ctx: &Context) -> Result<(), Finding> {
    let (peer, second) = with_two_keys(ctx).await?;
    let claim = Claim::of(&peer, ctx, &question());
    let (one, two) = (claim.header(&peer.key)?, claim.header(&second)?);
    for headers in [vec![one.clone(), two.clone()], vec![two.clone(), one], vec![two]] {
        let reply = ask_with(&peer, &question(), &headers).await?;
        taken(&reply, &format!("a request with {} good headers", headers.len()))?;
    }
    Ok(())
}

async fn one_bad_header(ctx: &Context) -> Result<(), Finding> {
    let (peer, second) = with_two_keys(ctx).await?;
    let claim = Claim::of(&peer, ctx, &question());
    let good = claim.header(&peer.key)?;
    let forged = Claim { uri: paths::state(NO_ROOM, "$other"), ..claim.clone() }.header(&second)?;
    let unknown = claim.header(&further_key(&peer, "unpublished")?)?;
    let elsewhere = Claim { destination: "example.org".to_owned(), ..claim.clone() }.header(&second)?;
    let broken = x_matrix("origin=")?;
    for (what, bad) in [
        ("whose signature is of another request", forged),
        ("whose key is not published", unknown),
        ("that is for another server", elsewhere),
        ("that is malformed", broken),
    ] {
        for headers in [[good.clone(), bad.clone()], [bad.clone(), good.clone()]] {
            let reply = ask_with(&peer, &question(), &headers).await?;
            refused(&reply, &format!("a request with a good header and one {what}"))?;
        }
    }
    taken(&ask_with(&peer, &question(), &[good]).await?, "the same request with the good header alone")
}

async fn unverified_keys(ctx: &Context) -> Result<(), Finding> {
    let suite = |error: &dyn std::fmt::Display| Finding::Suite(error.to_string());
    let folder = tempfile::tempdir().map_err(|error| suite(&error))?;
    let now = clock::now_ms();
    let ca = DevCa::open(folder.path(), now).map_err(|error| suite(&error))?;
    let host = ctx.environment.ports.host();
    let certificate = ca.server_certificate(folder.path(), &[host], now).map_err(|error| suite(&error))?;
    let peer = ctx.peer_with(&certificate).await?;
    let header = Claim::of(&peer, ctx, &question()).header(&peer.key)?;
    let reply = ask_with(&peer, &question(), &[header]).await?;
    refused(&reply, "a request of a server whose certificate no known authority has issued")?;
    let asked = peer.requests();
    check!(asked.is_empty(), "the target talked to a server whose certificate does not verify");
    Ok(())
}

async fn open_endpoints(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let good = Claim::of(&peer, ctx, KEY_PATH).header(&peer.key)?;
    let forged = Claim::of(&peer, ctx, "/other").header(&peer.key)?;
    for header in [good, forged, x_matrix("origin=")?, value("Bearer abc")?] {
        let ask = Ask::new(Method::GET, KEY_PATH).header(names::AUTHORIZATION, header.clone());
        let reply = peer.send_ask(ask).await?;
        reply.expect_ok(&format!("a question for the target's keys with the header {header:?}"))?;
    }
    ctx.ask(Ask::new(Method::GET, KEY_PATH)).await?.expect_ok("a question for the target's keys")?;
    // As a notary, too, whether or not the target is one.
    let target = query_keys::target(&ctx.environment.target.name, None);
    let bare = ctx.ask(Ask::new(Method::GET, &*target)).await?;
    let ask = Ask::new(Method::GET, &*target).header(names::AUTHORIZATION, x_matrix("origin=")?);
    let reply = peer.send_ask(ask).await?;
    check!(reply.status == bare.status, "a query with a malformed header is answered {}", reply.status);
    Ok(())
}

async fn no_effect(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let lpdu = room.peer.lpdu(&room.message("must not be there"))?;
    let body = json!({"pdus": [lpdu], "edus": []});
    let uri = ctx.path(&paths::send(&room.peer.txn_id()));
    let unpublished = further_key(&room.peer, "unpublished")?;
    let claim = Claim { method: "PUT", content: Some(body.clone()), ..Claim::of(&room.peer, ctx, &uri) };
    let ask = Ask::new(Method::PUT, &*uri).json(&body);
    let forged = ask.clone().header(names::AUTHORIZATION, claim.header(&unpublished)?);
    refused(&room.peer.send_ask(forged).await?, "a transaction with a signature that does not count")?;
    refused(&room.peer.send_ask(ask.clone()).await?, "an unsigned transaction")?;
    let sound = room.peer.lpdu(&room.message("sound"))?;
    room.peer.send(std::slice::from_ref(&sound), &[]).await?.expect_accepted()?;
    room.peer.until_echo(&sound).await?;
    room.is_not_listed(&lpdu, "an event that came without authentication").await?;
    // What was refused is not remembered either: the same request is taken once it is signed.
    let signed = ask.header(names::AUTHORIZATION, claim.header(&room.peer.key)?);
    Sent(room.peer.send_ask(signed).await?).expect_accepted()?;
    room.peer.until_echo(&lpdu).await.map(drop)
}
