//! Lies in how a request is answered.

use std::fmt::Write as _;
use std::future::ready;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use mimi_linearized::json::Object;
use serde_json::{Value, json};

use super::bodies::Unending;
use super::liar::Liar;
use super::lie::Lie;
use crate::peer::{Inbound, RawResponse, Twisted};

/// How deep the arrays are nested in a member that is too deep.
const DEPTH: usize = 100_000;
/// How much white space is in what is compressed, in bytes.
const UNPACKED: usize = 128 * 1024 * 1024;
/// How much of it at a time.
const CHUNK: usize = 64 * 1024;
/// How many headers there are when there are too many, and how long each one is.
const HEADERS: (usize, usize) = (100, 4_096);

/// What is answered in the place of an answer.
pub(super) fn twist(lie: Lie, liar: &Arc<Liar>, inbound: &Inbound, answer: &RawResponse) -> Twisted {
    let (status, response) = match lie {
        Lie::Stall => {
            let (liar, answer) = (Arc::clone(liar), answer.clone());
            let given = Box::pin(async move {
                liar.until_relented().await;
                with_body(answer.status, answer.content_type, Body::from(answer.body))
            });
            return Twisted::Lie { name: lie.name(), status: None, given };
        }
        Lie::TooManyRequests => {
            let body = json!({"errcode": "M_LIMIT_EXCEEDED", "error": "always", "retry_after_ms": 1});
            (429, with_body(429, "application/json", Body::from(body.to_string())))
        }
        Lie::GzipBomb | Lie::DeflateBomb => {
            let (status, content_type, body) = (answer.status, answer.content_type, answer.body.clone());
            let given = Box::pin(async move {
                let packed = tokio::task::spawn_blocking(move || packed(lie, &body)).await;
                let mut response = with_body(status, content_type, Body::from(packed.unwrap_or_default()));
                let coding = if lie == Lie::GzipBomb { "gzip" } else { "deflate" };
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
                response
            });
            return Twisted::Lie { name: lie.name(), status: Some(status), given };
        }
        Lie::RedirectLoop => {
            let mut response = with_body(302, "application/json", Body::empty());
            if let Ok(to) = HeaderValue::from_str(&inbound.target) {
                response.headers_mut().insert(LOCATION, to);
            }
            (302, response)
        }
        Lie::EmptyBody => (200, with_body(200, answer.content_type, Body::empty())),
        Lie::NotJson => (200, with_body(200, "text/html", Body::from("<html><body>It works!</body></html>"))),
        Lie::WrongContentType => {
            (answer.status, with_body(answer.status, "text/html", Body::from(answer.body.clone())))
        }
        lie => (answer.status, twist_body(lie, liar, answer)),
    };
    Twisted::Lie { name: lie.name(), status: Some(status), given: Box::pin(ready(response)) }
}

/// The answer with another body, or with headers that do not fit it.
fn twist_body(lie: Lie, liar: &Arc<Liar>, answer: &RawResponse) -> Response<Body> {
    let body = match lie {
        Lie::StallAfterHead => Body::new(Unending::stalled(liar.until_relented(), answer.body.clone())),
        Lie::Drip => Body::new(Unending::dripping(liar.until_relented(), answer.body.clone())),
        Lie::TruncatedBody => {
            let end = liar.below(answer.body.len()).min(answer.body.len());
            Body::new(Unending::cut(answer.body.slice(..end)))
        }
        Lie::EndlessBody => Body::new(Unending::endless(answer.body.clone())),
        Lie::BadUtf8 => Body::from(bad_utf8(&answer.body)),
        Lie::DuplicateKeys => Body::from(every_member_twice(&answer.body)),
        Lie::DeepJson => {
            Body::from(with_member(&answer.body, "deep", &"[".repeat(DEPTH), &"]".repeat(DEPTH)))
        }
        _ => Body::from(answer.body.clone()),
    };
    let mut response = with_body(answer.status, answer.content_type, body);
    let headers = response.headers_mut();
    match lie {
        Lie::WrongLength => {
            let longer = answer.body.len().saturating_add(100);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(longer));
        }
        Lie::HugeHeaders => {
            let (count, length) = HEADERS;
            for number in 0..count {
                let name = HeaderName::try_from(format!("x-padding-{number}"));
                if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from("x".repeat(length))) {
                    headers.insert(name, value);
                }
            }
        }
        _ => {}
    }
    response
}

fn with_body(status: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A byte that is in no UTF-8, within the first string of a JSON text.
fn bad_utf8(body: &[u8]) -> Vec<u8> {
    let place = body.iter().position(|byte| *byte == b'"').map_or(0, |quote| quote.saturating_add(1));
    let mut bad = body.to_vec();
    bad.insert(place, 0xff);
    bad
}

/// An object whose members are there twice: first as `null`. What the last of each say is what was said, so that signatures
/// hold for who reads it like that.
fn every_member_twice(body: &[u8]) -> String {
    let object: Object = serde_json::from_slice(body).unwrap_or_default();
    if object.is_empty() {
        return r#"{"twice":1,"twice":2}"#.to_owned();
    }
    let mut text = "{".to_owned();
    for (name, value) in &object {
        let name = Value::from(name.as_str());
        // Writing to a string does not fail.
        let comma = if text.len() > 1 { "," } else { "" };
        let _ = write!(text, "{comma}{name}:null,{name}:{value}");
    }
    text.push('}');
    text
}

/// An object with one more member, whose value is in two parts of text.
fn with_member(body: &[u8], name: &str, begin: &str, end: &str) -> String {
    let text = String::from_utf8_lossy(body);
    let object = text.trim_end().strip_suffix('}').unwrap_or("{");
    let comma = if object.trim_end().ends_with('{') { "" } else { "," };
    format!("{object}{comma}\"{name}\":{begin}{end}}}")
}

/// A body with a lot of white space behind it, compressed.
fn packed(lie: Lie, body: &[u8]) -> Vec<u8> {
    let write = |to: &mut dyn io::Write| -> io::Result<()> {
        to.write_all(body)?;
        let spaces = vec![b' '; CHUNK];
        for _ in 0..UNPACKED / CHUNK {
            to.write_all(&spaces)?;
        }
        Ok(())
    };
    let packed = if lie == Lie::GzipBomb {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        write(&mut encoder).and_then(|()| encoder.finish())
    } else {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        write(&mut encoder).and_then(|()| encoder.finish())
    };
    // Writing to memory does not fail.
    packed.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::{GzDecoder, ZlibDecoder};
    use mimi_linearized::json::strict;

    use super::*;

    const BODY: &[u8] = br#"{"pdus":[{"type":"m.room.name"}],"x":1}"#;

    #[test]
    fn what_is_wrong_with_a_text_is_just_that() {
        let bad = bad_utf8(BODY);
        assert_eq!((bad.len(), std::str::from_utf8(&bad).is_err()), (BODY.len() + 1, true));
        let twice = every_member_twice(BODY);
        assert!(strict::parse(twice.as_bytes()).is_err());
        let lenient: Value = serde_json::from_str(&twice).unwrap();
        assert_eq!(lenient["pdus"][0]["type"], "m.room.name");
        let sound: Value = serde_json::from_str(&with_member(BODY, "deep", "[", "]")).unwrap();
        assert_eq!((&sound["deep"], &sound["x"]), (&json!([]), &json!(1)));
        assert_eq!(with_member(b"{}", "deep", "[", "]"), r#"{"deep":[]}"#);
    }

    #[test]
    fn a_bomb_is_small_and_unpacks_to_the_answer_and_much_more() {
        for lie in [Lie::GzipBomb, Lie::DeflateBomb] {
            let packed = packed(lie, BODY);
            assert!(packed.len() < UNPACKED / 100, "{lie}: {}", packed.len());
            let mut begin = vec![0; BODY.len() + 1];
            let mut reader: Box<dyn io::Read> = if lie == Lie::GzipBomb {
                Box::new(GzDecoder::new(&*packed))
            } else {
                Box::new(ZlibDecoder::new(&*packed))
            };
            reader.read_exact(&mut begin).unwrap();
            assert_eq!(begin, [BODY, b" "].concat());
            let rest = io::copy(&mut reader, &mut io::sink()).unwrap();
            assert_eq!(rest, u64::try_from(UNPACKED - 1).unwrap(), "{lie}");
        }
    }
}
