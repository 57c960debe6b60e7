//! Requests and answers in general: forms, unknown paths, refusals and their order (LM-04 §12.2).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use mimi_transport::client::ClientError;
use mimi_transport::error::ErrCode;
use mimi_transport::keys::KEY_PATH;
use serde_json::{Value, json};

use crate::case::{Case, Finding, case, check, driven_case, fault, said};
use crate::cases::steps::endpoints::{self, Harmless};
use crate::cases::steps::guest;
use crate::cases::steps::paths;
use crate::cases::steps::{hub_room, reference_id};
use crate::context::Context;
use crate::peer::{Inbound, Peer, RawResponse};
use crate::wire::{self, Ask, Reply};

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Participant,
        "12.2.1/own-bodies",
        "the target's own POST and PUT requests have a JSON object as their body",
        ["LM-04/12.2.1/1", "TR-00/3/1"],
        own_bodies
    ),
    driven_case!(
        Should,
        Participant,
        "12.2.1/own-content-type",
        "the target's own POST and PUT requests say that they are JSON",
        ["LM-04/12.2.1/2"],
        own_content_type
    ),
    case!(
        Must,
        Server,
        "12.2.1/json-answers",
        "answers and errors say that they are JSON, and errors have an errcode",
        ["LM-04/12.2.1/3", "LM-04/12.2.2/3", "LM-04/12.2.2/4", "TR-00/3/1"],
        json_answers
    ),
    driven_case!(
        Must,
        Hub,
        "12.2.1/utf8",
        "text of any script comes back as it was sent",
        ["LM-04/12.2.1/4"],
        utf8
    ),
    case!(
        Must,
        Server,
        "12.2.1/invalid-utf8",
        "a body that is not UTF-8 is answered 400 M_NOT_JSON",
        ["LM-04/12.2.1/4", "LM-04/12.2.4/1", "R18"],
        invalid_utf8
    ),
    case!(
        Must,
        Server,
        "12.2.1/trailing-slash",
        "a known path with a slash at its end is answered 404 M_UNRECOGNIZED",
        ["LM-04/12.2.1/5"],
        trailing_slash
    ),
    case!(
        Must,
        Server,
        "12.2.1/doubled-slash",
        "a known path with two slashes at its beginning is answered 404 M_UNRECOGNIZED",
        ["LM-04/12.2.1/6"],
        doubled_slash
    ),
    case!(
        Must,
        Server,
        "12.2.1/every-endpoint",
        "every endpoint but the notary's is there, under its final path and under the unstable one",
        ["LM-04/12.2.1/7", "R24"],
        every_endpoint
    ),
    driven_case!(
        Should,
        Hub,
        "12.2.2/unspecified-error",
        "an error for which nothing is specified is answered 500 M_UNKNOWN",
        ["LM-04/12.2.2/2"],
        unspecified_error
    ),
    case!(
        Must,
        Server,
        "12.2.2/too-large",
        "a request that is refused for its size is answered M_TOO_LARGE",
        ["LM-04/12.2.2/5", "R44"],
        too_large
    ),
    case!(
        Must,
        Server,
        "12.2.2/too-large-a-head",
        "a request that is refused for the size of its path or headers is answered M_TOO_LARGE",
        ["LM-04/12.2.2/5", "R44"],
        too_large_a_head
    ),
    case!(
        Must,
        Server,
        "12.2.2/order-of-refusals",
        "of several faults of a request the first in the order of the checks is reported",
        ["LM-04/12.2.2/1", "R18"],
        order_of_refusals
    ),
    case!(
        Must,
        Server,
        "12.2.3/unknown-path",
        "an unknown path is answered 404 M_UNRECOGNIZED",
        ["LM-04/12.2.3/1", "R30"],
        unknown_path
    ),
    case!(
        Must,
        Server,
        "12.2.3/wrong-method",
        "a known path with a method it does not have is answered 405 M_UNRECOGNIZED",
        ["LM-04/12.2.3/2"],
        wrong_method
    ),
    case!(
        Must,
        Server,
        "12.2.4/not-json",
        "a body that is not JSON is answered 400 M_NOT_JSON",
        ["LM-04/12.2.4/1", "R18"],
        not_json
    ),
    case!(
        Must,
        Server,
        "12.2.4/bad-json",
        "a body that lacks a member, or has one of the wrong kind, is answered 400 M_BAD_JSON",
        ["LM-04/12.2.4/2"],
        bad_json
    ),
];

/// The requests with a body that it takes `carol` to join a room of a peer and to say something there.
async fn own_requests(ctx: &Context) -> Result<Vec<Inbound>, Finding> {
    let mut requests = guest::requests_of_a_guest(ctx).await?;
    requests.retain(|request| matches!(request.method, Method::POST | Method::PUT));
    check!(!requests.is_empty(), "the target sent nothing with a body");
    Ok(requests)
}

async fn own_bodies(ctx: &Context) -> Result<(), Finding> {
    for request in own_requests(ctx).await? {
        let (method, target) = (&request.method, &request.target);
        check!(request.body.is_object(), "the body of {method} {target} is {} and no object", request.body);
    }
    Ok(())
}

async fn own_content_type(ctx: &Context) -> Result<(), Finding> {
    for request in own_requests(ctx).await? {
        let says = request.headers.get(header::CONTENT_TYPE);
        let (method, target) = (&request.method, &request.target);
        check!(
            says.is_some_and(|says| says.as_bytes().starts_with(b"application/json")),
            "{method} {target} has the Content-Type {says}",
            says = said(&says.and_then(|says| says.to_str().ok()))
        );
    }
    Ok(())
}

async fn json_answers(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let keys = ctx.ask(Ask::new(Method::GET, KEY_PATH)).await?;
    keys.expect_ok("the key endpoint")?;
    check!(keys.says_json(), "the answer with the keys does not say that it is JSON");
    let transaction = peer.send(&[], &[]).await?.0;
    transaction.expect_ok("an empty transaction")?;
    check!(transaction.says_json(), "the answer to a transaction does not say that it is JSON");
    let errors = [
        ("an unknown path", peer.request(Method::GET, "/_matrix/federation/v1/no_such_thing", None).await?),
        ("an unknown event", peer.request(Method::GET, &paths::event("$none"), None).await?),
        ("an unsigned request", ctx.ask(Ask::new(Method::GET, ctx.path(&paths::event("$none")))).await?),
        ("a wrong method", peer.request(Method::GET, &paths::send("x"), None).await?),
        (
            "a malformed body",
            peer.request(Method::PUT, &paths::send(&peer.txn_id()), Some(&json!([]))).await?,
        ),
    ];
    for (what, reply) in errors {
        let status = reply.status.as_u16();
        check!(reply.status.is_client_error(), "{what} is answered {status}");
        check!(reply.says_json(), "the error {status} for {what} does not say that it is JSON");
        check!(reply.body.is_object(), "the error {status} for {what} is not a JSON object");
        check!(!reply.errcode().is_empty(), "the error {status} for {what} has no string `errcode`");
        let error = reply.body.get("error");
        check!(error.is_none_or(Value::is_string), "`error` of the answer to {what} is not a string");
    }
    Ok(())
}

async fn utf8(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let text = "naïve · Ωμέγα · 日本語 · 🦀 · \u{7f}\u{80}\u{2028}\u{ffff}";
    let event = room.accepts(&room.message(text)).await?;
    let sent_back = event.pointer("/content/body").and_then(Value::as_str);
    check!(
        sent_back == Some(text),
        "the hub sends the text back as {sent_back}",
        sent_back = said(&sent_back)
    );
    let reply = room.peer.request(Method::GET, &paths::event(&reference_id(&event)), None).await?;
    let served = reply.expect_ok("the event")?.pointer("/content/body").and_then(Value::as_str);
    check!(served == Some(text), "the hub serves the text as {served}", served = said(&served));
    Ok(())
}

/// A signed `PUT` or `POST` with a body of any kind. What cannot be part of the signed object is signed as `{}`.
fn with_raw_body(peer: &Peer, method: &Method, target: &str, body: impl Into<Bytes>) -> Ask {
    let authorization = peer.authorization(method, target, Some(&json!({})));
    Ask::new(method.clone(), target)
        .raw_body(body)
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(header::AUTHORIZATION, authorization)
}

/// Sends bodies that are no JSON. They cannot be signed properly either, so that a target may see to that first.
async fn expect_not_json(ctx: &Context, bodies: &[(&str, &'static [u8])]) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let mut otherwise = None;
    for (what, body) in bodies {
        for (method, target) in
            [(Method::PUT, paths::send(&peer.txn_id())), (Method::POST, paths::invite(&peer.txn_id()))]
        {
            let reply = peer.send_ask(with_raw_body(&peer, &method, &ctx.path(&target), *body)).await?;
            if reply.is(401, "M_FORBIDDEN") {
                otherwise = Some(format!("{what} is answered 401 before it is looked at"));
            } else {
                reply.expect_error(what, 400, "M_NOT_JSON")?;
            }
        }
    }
    otherwise.map_or(Ok(()), |what| Err(Finding::Acceptable { reading: "R18", what }))
}

async fn invalid_utf8(ctx: &Context) -> Result<(), Finding> {
    let bodies: [(&str, &[u8]); 3] = [
        ("a body with a byte that UTF-8 has not", b"{\"pdus\":[],\"edus\":[],\"x\":\"\xff\"}"),
        ("a body with half a character", b"{\"pdus\":[],\"edus\":[],\"x\":\"\xc3\"}"),
        ("a body in UTF-16", b"{\0\"\0x\0\"\0:\0[\0]\0}\0"),
    ];
    expect_not_json(ctx, &bodies).await
}

async fn not_json(ctx: &Context) -> Result<(), Finding> {
    let bodies: [(&str, &[u8]); 4] = [
        ("a body that is plain text", b"pdus"),
        ("a body that is cut off", b"{\"pdus\":["),
        ("a body with more than one value", b"{\"pdus\":[]} {}"),
        ("an empty body", b""),
    ];
    expect_not_json(ctx, &bodies).await
}

/// Signed requests to paths that nobody knows.
async fn expect_unrecognized(ctx: &Context, change: impl Fn(&str) -> String) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    for Harmless { method, target, body, .. } in endpoints::authenticated(&peer) {
        let target = ctx.path(&target);
        let (path, query) = target.split_once('?').map_or((&*target, ""), |(path, query)| (path, query));
        let mut changed = change(path);
        if !query.is_empty() {
            changed = format!("{changed}?{query}");
        }
        let reply = peer.request(method.clone(), &changed, body.as_ref()).await?;
        reply.expect_error(&format!("{method} {changed}"), 404, "M_UNRECOGNIZED")?;
    }
    let changed = change(KEY_PATH);
    let reply = ctx.ask(Ask::new(Method::GET, &*changed)).await?;
    reply.expect_error(&format!("GET {changed}"), 404, "M_UNRECOGNIZED")
}

async fn trailing_slash(ctx: &Context) -> Result<(), Finding> {
    expect_unrecognized(ctx, |path| format!("{path}/")).await
}

async fn doubled_slash(ctx: &Context) -> Result<(), Finding> {
    expect_unrecognized(ctx, |path| format!("/{path}")).await?;
    expect_unrecognized(ctx, |path| format!("/{path}/")).await
}

async fn every_endpoint(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let mut one_path_only = Vec::new();
    for Harmless { method, target, unstable, body } in endpoints::authenticated(&peer) {
        let is_there = async |target: &str| -> Result<bool, Finding> {
            let reply = peer.request_exactly(method.clone(), target, body.as_ref()).await?;
            let (status, errcode) = (reply.status.as_u16(), reply.errcode());
            // A 404 with an errcode is about what was asked for, one without any about the path.
            let unknown = errcode == "M_UNRECOGNIZED" || (status == 404 && errcode.is_empty());
            Ok(!unknown && status != 405 && status < 500)
        };
        let found = is_there(&target).await?;
        let found_unstable = match &unstable {
            Some(unstable) => is_there(unstable).await?,
            None => found,
        };
        check!(found || found_unstable, "the target does not implement {method} {target}");
        if found != found_unstable {
            one_path_only.push(if found { unstable.unwrap_or_default() } else { target });
        }
    }
    ctx.ask(Ask::new(Method::GET, KEY_PATH)).await?.expect_ok("the key endpoint")?;
    if one_path_only.is_empty() {
        return Ok(());
    }
    let what = format!("the target does not know {}, only the other path", one_path_only.join(", "));
    Err(Finding::Acceptable { reading: "R24", what })
}

async fn unspecified_error(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let elsewhere = ctx.peer().await?;
    elsewhere.answer_raw(
        |request| request.is("invite"),
        RawResponse { status: 200, content_type: "text/html", body: "<p>hello</p>".into() },
    );
    let lpdu = room.peer.lpdu(&room.member(&elsewhere.user("dave")?, "invite"))?;
    let body = json!({"event": lpdu, "invite_room_state": [], "room_version": "I.1"});
    let reply = room.peer.request(Method::POST, &paths::invite(&room.peer.txn_id()), Some(&body)).await?;
    reply.expect_error("an invite that the invited user's server answers with HTML", 500, "M_UNKNOWN")
}

/// More than any sound transaction of fifty events and a hundred small EDUs needs.
const LARGE: usize = 20 * 1024 * 1024;

async fn too_large(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let body = json!({"pdus": [], "edus": [], "org.example.padding": "x".repeat(LARGE)});
    let reply = peer.request(Method::PUT, &paths::send(&peer.txn_id()), Some(&body)).await?;
    if reply.status.is_success() {
        return Ok(());
    }
    let (status, errcode) = (reply.status.as_u16(), reply.errcode());
    check!(
        errcode == "M_TOO_LARGE",
        "a request of {LARGE} bytes is refused with {status} {errcode}",
        errcode = said(&errcode)
    );
    Ok(())
}

/// A part of a head that is larger than any sound request needs.
const LARGE_PART: usize = 40 * 1024;

/// Whatever a target does with such heads, if it says that they are too large it says so with the errcode. HTTP itself
/// may be what refuses them: without a body, by a reset stream or a closed connection.
async fn too_large_a_head(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let padding = "x".repeat(LARGE_PART);
    let target = ctx.path(&paths::event("$none"));
    let signed = |target: String| {
        let authorization = peer.authorization(&Method::GET, &target, None);
        Ask::new(Method::GET, target).header(header::AUTHORIZATION, authorization)
    };
    let value = HeaderValue::from_str(&padding).map_err(|error| Finding::Suite(error.to_string()))?;
    let asks = [
        ("a long query", signed(format!("{target}?org.example.padding={padding}"))),
        ("a large header", signed(target).header(HeaderName::from_static("x-org-example-padding"), value)),
    ];
    let (environment, mut by_http) = (&ctx.environment, Vec::new());
    for (what, ask) in asks {
        let (client, name) = (&environment.client, &environment.target.name);
        match wire::attempt(client, &ctx.recorder, peer.name.as_str(), name, ask).await {
            Err(ClientError::Protocol(_)) => by_http.push(what),
            Err(error) => return Err(fault(format!("a request with {what} has no answer: {error}"))),
            Ok(answer) if matches!(answer.status.as_u16(), 413 | 414 | 431) => match answer.api_error() {
                Some(_) if answer.body.is_empty() => by_http.push(what),
                Some(error) => {
                    let (status, errcode) = (error.status().as_u16(), error.code());
                    check!(
                        *errcode == ErrCode::TooLarge,
                        "a request with {what} is refused with {status} {errcode}"
                    );
                }
                None => {}
            },
            // It is not too large for the target, or other limits came first.
            Ok(_) => {}
        }
    }
    if by_http.is_empty() {
        return Ok(());
    }
    let what =
        format!("a request with {} is refused by HTTP itself, without an errcode", by_http.join(" or "));
    Err(Finding::Acceptable { reading: "R44", what })
}

/// One refusal: status and errcode.
type Refusal = (u16, &'static str);

/// A request with two faults: what comes first, and what a target with another order would answer.
fn expect_first(
    what: &str,
    reply: &Reply,
    first: Refusal,
    other: Refusal,
) -> Result<Option<String>, Finding> {
    if reply.is(first.0, first.1) {
        return Ok(None);
    }
    if reply.is(other.0, other.1) {
        return Ok(Some(format!("{what} is answered {} {}", other.0, other.1)));
    }
    let (status, errcode) = (reply.status.as_u16(), reply.errcode());
    let expected = format!("{} {} or {} {}", first.0, first.1, other.0, other.1);
    Err(fault(format!("{what} is to be answered {expected}, the answer was {status} {errcode}")))
}

async fn order_of_refusals(ctx: &Context) -> Result<(), Finding> {
    const UNSIGNED: Refusal = (401, "M_FORBIDDEN");
    const BAD_JSON: Refusal = (400, "M_BAD_JSON");
    const NOT_FOUND: Refusal = (404, "M_NOT_FOUND");
    let peer = ctx.peer().await?;
    let txn = || ctx.path(&paths::send(&peer.txn_id()));
    let json = HeaderValue::from_static("application/json");
    let room = format!("!none:{}", ctx.environment.target.name);
    let unsigned = async |ask: Ask| ctx.ask(ask.header(header::CONTENT_TYPE, json.clone())).await;
    let others = [
        expect_first(
            "an unsigned request to an unknown path",
            &unsigned(Ask::new(Method::GET, "/_matrix/federation/v1/no_such_thing")).await?,
            (404, "M_UNRECOGNIZED"),
            UNSIGNED,
        )?,
        expect_first(
            "an unsigned request with a wrong method",
            &unsigned(Ask::new(Method::GET, txn())).await?,
            (405, "M_UNRECOGNIZED"),
            UNSIGNED,
        )?,
        expect_first(
            "an unsigned body that is not JSON",
            &unsigned(Ask::new(Method::PUT, txn()).raw_body("pdus")).await?,
            (400, "M_NOT_JSON"),
            UNSIGNED,
        )?,
        expect_first(
            "an unsigned body of the wrong kind",
            &unsigned(Ask::new(Method::PUT, txn()).raw_body("[]")).await?,
            UNSIGNED,
            BAD_JSON,
        )?,
        expect_first(
            "an unsigned question about an unknown room",
            &unsigned(Ask::new(Method::GET, paths::state(&room, "$none"))).await?,
            UNSIGNED,
            NOT_FOUND,
        )?,
    ];
    let others: Vec<String> = others.into_iter().flatten().collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Finding::Acceptable { reading: "R18", what: others.join("; ") })
}

async fn unknown_path(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    for path in [
        "/_matrix",
        "/_matrix/federation/v1/no_such_thing",
        "/_matrix/federation/v2/send",
        "/_matrix/federation/v99/event/%24none",
        "/_matrix/federation/unstable/org.example.none/event/%24none",
        "/_MATRIX/federation/v2/event/%24none",
    ] {
        let reply = peer.request(Method::GET, path, None).await?;
        reply.expect_error(&format!("GET {path}"), 404, "M_UNRECOGNIZED")?;
    }
    let path = "/_matrix/federation/v1/no_such_thing";
    let reply = peer.request(Method::POST, path, Some(&json!({}))).await?;
    reply.expect_error(&format!("POST {path}"), 404, "M_UNRECOGNIZED")
}

async fn wrong_method(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    for Harmless { method, target, .. } in endpoints::authenticated(&peer) {
        let wrong = if method == Method::GET { Method::POST } else { Method::GET };
        let body = (wrong == Method::POST).then(|| json!({}));
        for (wrong, body) in [(wrong, body), (Method::DELETE, None)] {
            let reply = peer.request(wrong.clone(), &target, body.as_ref()).await?;
            reply.expect_error(&format!("{wrong} {target}"), 405, "M_UNRECOGNIZED")?;
        }
    }
    let reply = peer.request(Method::PUT, KEY_PATH, Some(&json!({}))).await?;
    reply.expect_error(&format!("PUT {KEY_PATH}"), 405, "M_UNRECOGNIZED")
}

async fn bad_json(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let (put, post) = (Method::PUT, Method::POST);
    let claim = "/_matrix/federation/v1/user/keys/claim";
    let event = json!({"type": "m.room.member"});
    let cases = [
        (&put, paths::send(&peer.txn_id()), json!([])),
        (&put, paths::send(&peer.txn_id()), json!("pdus")),
        (&put, paths::send(&peer.txn_id()), json!(null)),
        (&put, paths::send(&peer.txn_id()), json!({"pdus": {}, "edus": []})),
        (&put, paths::send(&peer.txn_id()), json!({"pdus": [], "edus": "none"})),
        (&post, paths::invite(&peer.txn_id()), json!({})),
        (&post, paths::invite(&peer.txn_id()), json!({"room_version": "I.1"})),
        (&post, paths::invite(&peer.txn_id()), json!({"event": "x", "room_version": "I.1"})),
        (&post, paths::invite(&peer.txn_id()), json!({"event": event, "room_version": 1})),
        (&post, paths::send_change("join", &peer.txn_id()), json!({})),
        (&post, paths::send_change("leave", &peer.txn_id()), json!([])),
        (&post, paths::send_change("knock", &peer.txn_id()), json!({"room_id": 1})),
        (&post, claim.to_owned(), json!({})),
        (&post, claim.to_owned(), json!({"one_time_keys": []})),
    ];
    for (method, target, body) in cases {
        let reply = peer.request(method.clone(), &target, Some(&body)).await?;
        reply.expect_error(&format!("{method} {target} with the body {body}"), 400, "M_BAD_JSON")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mimi_transport::error::ErrCode;

    /// `docs/errors.md` has every errcode, and the cases it names exist.
    #[test]
    fn the_table_of_errors_is_true() {
        let table = include_str!("../../../../docs/errors.md");
        for code in [
            ErrCode::Unrecognized,
            ErrCode::TooLarge,
            ErrCode::NotJson,
            ErrCode::BadJson,
            ErrCode::Forbidden,
            ErrCode::NotFound,
            ErrCode::WrongServer,
            ErrCode::IncompatibleRoomVersion,
            ErrCode::BadState,
            ErrCode::LimitExceeded,
            ErrCode::Unknown,
        ] {
            assert!(table.contains(&format!("| `{code}` |")), "{code}");
        }
        let is_case = |name: &&str| name.starts_with(|c: char| c.is_ascii_digit()) && name.contains('/');
        let named: Vec<&str> = table.split('`').skip(1).step_by(2).filter(is_case).collect();
        assert!(named.len() > 30, "{named:?}");
        for name in named {
            let exists = crate::cases::all().any(|case| match name.strip_suffix('*') {
                Some(section) => case.id.starts_with(section),
                None => case.id == name,
            });
            assert!(exists, "{name}");
        }
    }
}
