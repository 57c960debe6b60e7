//! Faults in one thing alone, which few cases see.

use std::sync::Arc;

use curve25519_dalek::edwards::CompressedEdwardsY;
use http::StatusCode;
use http::header::AUTHORIZATION;
use mimi_linearized::base64;
use mimi_linearized::json::{canonical, strict};
use mimi_transport::clock;
use mimi_transport::request_auth::Credentials;
use mimi_transport::tls::ALPN_HTTP11;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};

use crate::mutant::mending::Mending;
use crate::mutant::seen::{Answer, Asked, set};
use crate::mutant::{Fault, Mutant, mutant};

/// An hour, in milliseconds.
const HOUR_MS: i64 = 60 * 60 * 1_000;
/// How deep JSON may be nested before a faulty server fails.
const DEEP: usize = 150;

/// Publishes the server's keys as valid for this long.
fn valid_for(asked: &Asked, answer: &mut Answer, ms: i64) {
    if asked.is(&["key"]) {
        answer.edit_signed(asked, |keys| {
            set(keys, "valid_until_ts", json!(clock::now_ms().saturating_add(ms)));
        });
    }
}

/// How deep the brackets of a text are nested.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text {
        match byte {
            b'[' | b'{' => depth = depth.saturating_add(1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// A text in which halves of surrogate pairs are replaced, if there are any that stand alone.
fn without_halves(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok().filter(|text| strict::parse(text.as_bytes()).is_err())?;
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\ud") {
        mended.push_str(before);
        mended.push_str("\\ufffd");
        rest = after.get(3..)?;
    }
    mended.push_str(rest);
    (mended != text).then(|| mended.into_bytes())
}

/// Whether the R of a signature is in the group that the base point generates.
fn is_of_prime_order(signature: &str) -> bool {
    let bytes = base64::decode(signature).unwrap_or_default();
    let r = bytes.get(..32).and_then(|r| CompressedEdwardsY::from_slice(r).ok()?.decompress());
    r.is_none_or(|r| r.is_torsion_free())
}

/// Whether some signature of an event is of another group.
fn is_of_mixed_order(event: &Value) -> bool {
    let servers = event.get("signatures").and_then(Value::as_object).into_iter().flat_map(|all| all.values());
    let signatures = servers.filter_map(Value::as_object).flat_map(|keys| keys.values());
    !signatures.filter_map(Value::as_str).all(is_of_prime_order)
}

/// Has no certificate for who speaks HTTP/2 alone.
#[derive(Debug)]
struct ForOlderToo(Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for ForOlderToo {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let older = hello.alpn().is_none_or(|mut protocols| protocols.any(|name| name == ALPN_HTTP11));
        if older { self.0.resolve(hello) } else { None }
    }
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "3.5/deep-nesting-fails",
        "a body that is nested deeply is a failure",
        &["LM-04/3.5/14"],
        Fault::Bytes(|body| match depth(body) > DEEP {
            true => Err(StatusCode::INTERNAL_SERVER_ERROR),
            false => Ok(None),
        }),
    ),
    mutant(
        "5.1/unknown-servers-keys",
        "only the keys of those servers are fetched that the server has talked with",
        &["LM-04/6.3/8"],
        Fault::Acquainted,
    ),
    mutant(
        "6/no-mixed-order",
        "a signature with an R of mixed order is refused",
        &["R08"],
        Fault::Takes(|sent| {
            if let Some(pdus) = sent.list("pdus") {
                pdus.retain(|pdu| !is_of_mixed_order(pdu));
            }
        }),
    ),
    mutant(
        "7/halves-replaced",
        "half a surrogate pair is read as a replacement character",
        &["R07"],
        Fault::Bytes(|body| Ok(without_halves(body))),
    ),
    mutant(
        "12/http2-alone-refused",
        "who offers HTTP/2 alone is refused",
        &["LM-04/12/1"],
        Fault::Tls(|config| {
            let mut other = ServerConfig::clone(&config);
            other.cert_resolver = Arc::new(ForOlderToo(Arc::clone(&config.cert_resolver)));
            Arc::new(other)
        }),
    ),
    mutant(
        "12.2.6/wait-as-text",
        "how long to wait is a text",
        &["LM-04/12.2.6/4"],
        Fault::Answers(|_, answer| {
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                answer.edit(|error| {
                    if let Some(wait) = error.get("retry_after_ms").map(ToString::to_string) {
                        set(error, "retry_after_ms", json!(wait));
                    }
                });
            }
        }),
    ),
    mutant(
        "12.4/questions-believed",
        "who asks about a state is believed without a look at the key",
        &["LM-04/12.4/7", "LM-04/12.4.1/2"],
        Fault::Mends(Mending::Questions),
    ),
    mutant(
        "12.4/canonical-bodies",
        "the body of a request has to be written canonically",
        &["LM-04/12.4/5"],
        Fault::Bytes(|body| match strict::parse(body) {
            Ok(value) if canonical::to_vec(&value) != body => Err(StatusCode::BAD_REQUEST),
            _ => Ok(None),
        }),
    ),
    mutant(
        "12.4/content-needed",
        "a request without a body has to be signed with an empty object",
        &["R17"],
        Fault::Mends(Mending::ContentNeeded),
    ),
    mutant(
        "12.4/open-but-for-headers",
        "who asks for keys may not send a header that does not authenticate",
        &["LM-04/12.4/24"],
        Fault::Takes(|sent| {
            let header = sent.headers.get(AUTHORIZATION);
            let malformed = header.is_some_and(|header| Credentials::parse(header.as_bytes()).is_err());
            if malformed && sent.is(&["key"]) {
                sent.target = "/".to_owned();
            }
        }),
    ),
    mutant(
        "12.4.1.1/valid-for-six-hours",
        "the server's keys are published as valid for six hours",
        &["LM-04/12.4.1.1/3"],
        Fault::Answers(|asked, answer| valid_for(asked, answer, 6 * HOUR_MS)),
    ),
    mutant(
        "12.4.1.2/valid-for-half-an-hour",
        "the server's keys are published as valid for half an hour",
        &["LM-04/12.4.1.2/11"],
        Fault::Answers(|asked, answer| valid_for(asked, answer, HOUR_MS / 2)),
    ),
    mutant(
        "12.4.1.2/old-keys-for-events",
        "an event may be signed with a key that had expired",
        &["LM-04/12.4.1.2/8", "R33"],
        Fault::Mends(Mending::OldEventKey),
    ),
    mutant(
        "12.5.1/one-server-after-another",
        "the events of a room are sent to one server after another",
        &["LM-04/12.5.1/14"],
        Fault::Queues(|endpoint, body| {
            let body = strict::parse(body).ok().filter(|_| endpoint == "send")?;
            body.pointer("/pdus/0/room_id").and_then(Value::as_str).map(str::to_owned)
        }),
    ),
];
