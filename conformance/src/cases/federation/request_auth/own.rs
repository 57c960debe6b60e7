//! The target's own requests, as a server of the suite gets them (LM-04 §12.4).

use mimi_linearized::json::{Object, canonical};
use mimi_linearized::signing::{KeyRing, KeyStanding};
use mimi_transport::clock;
use mimi_transport::request_auth::Credentials;
use serde_json::{Value, json};

use super::header::is_token;
use super::names;
use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::guest::requests_of_a_guest;
use crate::context::Context;
use crate::peer::Inbound;

pub(in crate::cases) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Participant,
        "12.4/own-requests",
        "the target signs its own requests, over what it sends and for whom",
        [
            "LM-04/12.4/1",
            "LM-04/12.4/2",
            "LM-04/12.4/3",
            "LM-04/12.4/4",
            "LM-04/12.4/5",
            "LM-04/12.4/6",
            "LM-04/12.4/7",
            "LM-04/12.4/10",
            "LM-04/12.4/13",
            "LM-04/12.4/14",
            "LM-04/12.4/15",
            "LM-04/12.4/16",
            "R17",
        ],
        own_requests
    ),
    driven_case!(
        Should,
        Participant,
        "12.4/own-requests-by-every-key",
        "the target signs its own requests with each key that it publishes",
        ["LM-04/12.4/20"],
        every_key
    ),
];

/// The texts of the `Authorization` headers.
fn authorizations(request: &Inbound) -> Vec<&str> {
    let headers = request.headers.get_all(names::AUTHORIZATION).iter();
    headers.map(|header| header.to_str().unwrap_or_default()).collect()
}

/// The parameters of a header with their values as they are written, quotes included.
fn parameters(header: &str) -> Vec<(&str, &str)> {
    let list = header.split_once(' ').map_or("", |(_, list)| list);
    let mut in_quotes = false;
    // No value of a request has a quote or a backslash in it.
    let split = list.split(move |character| {
        in_quotes ^= character == '"';
        character == ',' && !in_quotes
    });
    split.filter_map(|parameter| parameter.trim().split_once('=')).collect()
}

async fn own_requests(ctx: &Context) -> Result<(), Finding> {
    let ring = ctx.environment.target_ring().await?;
    let own = &ctx.environment.target.name;
    let mut otherwise = None;
    for request in requests_of_a_guest(ctx).await? {
        let what = format!("{} {}", request.method, request.target);
        let headers = authorizations(&request);
        check!(!headers.is_empty(), "{what} has no Authorization header");
        for header in headers {
            let sound = Credentials::parse(header.as_bytes());
            let sound = sound.map_err(|error| {
                fault(format!("{what} has the header {header}: {error}", header = said(&header)))
            })?;
            check!(sound.origin == *own, "{what} has the origin {}", sound.origin);
            let KeyStanding::Valid(key) = ring.standing(own, &sound.key, clock::now_ms()) else {
                return Err(fault(format!("{what} is signed by {}, which is not published", sound.key)));
            };
            // Written out here, so that the suite does not share the mistakes of a library.
            let mut object = Object::new();
            object.insert("method".to_owned(), json!(request.method.as_str().to_uppercase()));
            object.insert("uri".to_owned(), json!(request.target));
            object.insert("origin".to_owned(), json!(own));
            object.insert("destination".to_owned(), json!(sound.destination));
            let body = if request.body.is_null() { json!({}) } else { request.body.clone() };
            object.insert("content".to_owned(), body);
            let holds = key.verify(&canonical::object_to_vec(&object), &sound.signature);
            check!(holds, "the signature on {what} does not verify for {}", Value::Object(object));
            for (name, written) in parameters(header) {
                let right = written.starts_with('"') || is_token(written);
                check!(right, "{what} has {name}={written} without the quotes that it needs");
                if name.eq_ignore_ascii_case("signature") {
                    otherwise = Some(format!("{what} has its signature under `signature`"));
                }
            }
        }
        // The peer that got it is the one it was for.
        if let Err(why) = &request.origin {
            return Err(fault(format!("{what} does not authenticate: {why}")));
        }
    }
    otherwise.map_or(Ok(()), |what| Err(Finding::Acceptable { reading: "R17", what }))
}

async fn every_key(ctx: &Context) -> Result<(), Finding> {
    let keys = ctx.environment.target_keys().await?;
    for request in requests_of_a_guest(ctx).await? {
        let headers = authorizations(&request);
        let used: Vec<_> =
            headers.iter().filter_map(|header| Credentials::parse(header.as_bytes()).ok()).collect();
        for id in keys.verify_keys().keys() {
            let (method, target) = (&request.method, &request.target);
            check!(
                used.iter().any(|credentials| credentials.key == *id),
                "{method} {target} is not signed by {id}, one of the keys that the target publishes"
            );
        }
    }
    Ok(())
}
