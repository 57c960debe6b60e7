//! `GET /.well-known/matrix/server` (LM-04 §12.3.1): what an answer means, without any I/O; and our own answer.

use axum::Json;
use axum::routing::{MethodRouter, get};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use mimi_linearized::id::{IdError, ServerName};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::ApiError;

/// The path.
pub const WELL_KNOWN_PATH: &str = "/.well-known/matrix/server";

/// How many redirections are followed.
pub(super) const MAX_REDIRECTIONS: usize = 5;
/// The longest URL that is followed, in bytes.
const MAX_URL_BYTES: usize = 2_048;
/// The largest body that is read, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 16 * 1024;

/// Why a host gives no delegation. All of them mean the same to the resolution, which goes on without one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum NoDelegation {
    #[error("the status is {0}")]
    Status(StatusCode),
    #[error("the redirection has no place to go to")]
    NoLocation,
    #[error("the redirection leads to no URL that is followed: {0}")]
    Location(&'static str),
    #[error("the redirections go round in a circle")]
    Loop,
    #[error("more than {MAX_REDIRECTIONS} redirections")]
    TooManyRedirections,
    #[error("the body: {0}")]
    Body(#[from] serde_json::Error),
    #[error("`m.server`: {0}")]
    Name(#[from] IdError),
    #[error("`m.server` is {0}, which cannot be contacted")]
    NotContactable(ServerName),
    #[error("asking {url}: {error}")]
    Exchange { url: Url, error: std::io::Error },
    #[error("no complete answer in time")]
    Timeout,
}

/// What an answer says.
#[derive(Debug, Serialize, Deserialize)]
struct Delegation {
    #[serde(rename = "m.server")]
    server: String,
}

/// Where to ask: each URL once, the first of them the host's own, then where redirections lead.
#[derive(Debug)]
pub(super) struct Trail(Vec<Url>);

impl Trail {
    /// The beginning: the host itself. None if the host makes no URL, which a name that can be contacted does.
    pub(super) fn begin(host: &str, port: u16) -> Option<(Self, Url)> {
        let url = Url::parse(&format!("https://{host}:{port}{WELL_KNOWN_PATH}")).ok()?;
        Some((Self(vec![url.clone()]), url))
    }

    /// Where a redirection leads (`LM-04/12.3.1/1`, `LM-04/12.3.1/2`): to another `https` URL, since the certificate
    /// is what makes an answer the host's own (reading R37).
    pub(super) fn follow(&mut self, headers: &HeaderMap) -> Result<Url, NoDelegation> {
        let from = self.0.last().ok_or(NoDelegation::NoLocation)?;
        let location = headers.get(LOCATION).ok_or(NoDelegation::NoLocation)?;
        let location = location.to_str().map_err(|_| NoDelegation::Location("it is not ASCII"))?;
        let mut to = from.join(location).map_err(|_| NoDelegation::Location("it is none"))?;
        to.set_fragment(None);
        if to.scheme() != "https" {
            return Err(NoDelegation::Location("it is not https"));
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Err(NoDelegation::Location("it has a user name"));
        }
        if to.as_str().len() > MAX_URL_BYTES {
            return Err(NoDelegation::Location("it is too long"));
        }
        if to.port_or_known_default() == Some(0) {
            return Err(NoDelegation::Location("it has no port to connect to"));
        }
        if self.0.contains(&to) {
            return Err(NoDelegation::Loop);
        }
        if self.0.len() > MAX_REDIRECTIONS {
            return Err(NoDelegation::TooManyRedirections);
        }
        self.0.push(to.clone());
        Ok(to)
    }
}

/// Whether an answer with this status sends the caller elsewhere by itself (RFC 9110 §15.4).
pub(super) fn is_redirection(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Reads an answer of 200, whatever its `Content-Type` (`LM-04/12.3.1/5`, `LM-04/12.3.1/7`).
pub(super) fn delegation(body: &[u8]) -> Result<ServerName, NoDelegation> {
    if !body.trim_ascii_start().starts_with(b"{") {
        // An array of one string would do for serde.
        return Err(NoDelegation::Body(serde::de::Error::custom("it is no object")));
    }
    let Delegation { server } = serde_json::from_slice(body)?;
    let name = ServerName::parse(&server)?;
    if name.is_contactable() { Ok(name) } else { Err(NoDelegation::NotContactable(name)) }
}

/// Answers with a delegation to this name. No authentication, no rate limit.
pub(crate) fn serve<S: Clone + Send + Sync + 'static>(to: &ServerName) -> MethodRouter<S> {
    let server = to.as_str().to_owned();
    get(|| async { Json(Delegation { server }) }).fallback(|| async { ApiError::method_not_allowed() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delegations_are_read() {
        let read = |body: &str| delegation(body.as_bytes());
        assert_eq!(read(r#"{"m.server":"a.org"}"#).unwrap().as_str(), "a.org");
        assert_eq!(read(r#" {"x":[1.5],"m.server":"a.org:443"} "#).unwrap().as_str(), "a.org:443");
        for bad in [
            "",
            "{}",
            "[]",
            "null",
            "<html>",
            "\u{feff}{\"m.server\":\"a.org\"}",
            r#"{"m.server":"a.org"} x"#,
            r#"{"m.server":"a.org","m.server":"b.org"}"#,
            r#"{"m.server":null}"#,
            r#"{"m.server":["a.org"]}"#,
            r#"["a.org"]"#,
            r#"{"server":"a.org"}"#,
        ] {
            assert!(matches!(read(bad), Err(NoDelegation::Body(_))), "{bad}");
        }
        for bad in [
            "",
            "127.0.0.1",
            "127.0.0.1:8448",
            "[::1]:8448",
            "a.org:",
            "a b",
            "https://a.org",
            "a.org/x",
            "ä.org",
        ] {
            let body = serde_json::json!({ "m.server": bad }).to_string();
            assert!(matches!(read(&body), Err(NoDelegation::Name(_))), "{bad}");
        }
        for bad in ["a..org", "-a.org", "a.org:0", "a.org:65536", "a.org."] {
            let body = serde_json::json!({ "m.server": bad }).to_string();
            assert!(matches!(read(&body), Err(NoDelegation::NotContactable(_))), "{bad}");
        }
        assert!(delegation(b"{\"m.server\":\"\xff\"}").is_err());
    }

    fn location(to: &str) -> HeaderMap {
        HeaderMap::from_iter([(LOCATION, to.parse().unwrap())])
    }

    #[test]
    fn redirections_lead_to_https_urls() {
        for (to, url) in [
            ("/x?y", "https://a.org/x?y"),
            ("x", "https://a.org/.well-known/matrix/x"),
            ("//b.org/x", "https://b.org/x"),
            ("https://b.org:8443/x#y", "https://b.org:8443/x"),
            ("HTTPS://B.org:443", "https://b.org/"),
            ("https://10.0.0.1/", "https://10.0.0.1/"),
            ("https://0x7f.1/", "https://127.0.0.1/"),
        ] {
            let (mut trail, first) = Trail::begin("a.org", 443).unwrap();
            assert_eq!(first.as_str(), "https://a.org/.well-known/matrix/server");
            assert_eq!(trail.follow(&location(to)).unwrap().as_str(), url);
        }
        for to in [
            "http://a.org/x",
            "ftp://a.org/",
            "file:///etc/passwd",
            "https://u@a.org/",
            "https://u:p@a.org/",
            "https://",
            "https://a.org:0/",
            "https://a b/",
            &format!("/{}", "x".repeat(MAX_URL_BYTES)),
        ] {
            let (mut trail, _) = Trail::begin("a.org", 443).unwrap();
            let error = trail.follow(&location(to)).unwrap_err();
            assert!(matches!(error, NoDelegation::Location(_)), "{to}: {error}");
        }
        let (mut trail, _) = Trail::begin("a.org", 443).unwrap();
        assert!(matches!(trail.follow(&HeaderMap::new()), Err(NoDelegation::NoLocation)));
    }

    #[test]
    fn redirections_end() {
        let (mut trail, first) = Trail::begin("a.org", 443).unwrap();
        assert!(matches!(trail.follow(&location(first.as_str())), Err(NoDelegation::Loop)));
        trail.follow(&location("/1")).unwrap();
        assert!(
            matches!(trail.follow(&location("server#again")), Ok(url) if url.as_str() == "https://a.org/server")
        );
        assert!(matches!(trail.follow(&location("/1#again")), Err(NoDelegation::Loop)));
        for i in 3..=MAX_REDIRECTIONS {
            trail.follow(&location(&format!("/{i}"))).unwrap();
        }
        assert!(matches!(trail.follow(&location("/last")), Err(NoDelegation::TooManyRedirections)));
    }

    #[test]
    fn some_statuses_are_redirections() {
        let found: Vec<_> =
            (100..600).filter(|code| is_redirection(StatusCode::from_u16(*code).unwrap())).collect();
        assert_eq!(found, [301, 302, 303, 307, 308]);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..64), to in "[ -~]{0,64}") {
            if let Ok(name) = delegation(&body) {
                prop_assert!(name.is_contactable());
            }
            let (mut trail, _) = Trail::begin("a.org", 443).unwrap();
            if let Ok(url) = trail.follow(&location(&to)) {
                prop_assert_eq!(url.scheme(), "https");
                prop_assert!(url.host().is_some());
            }
        }

        #[test]
        fn what_we_say_is_what_we_read(host in "[a-z][a-z0-9]{0,5}(\\.[a-z][a-z0-9]{0,5}){0,2}", port in prop::option::of(1_u16..)) {
            let text = port.map_or(host.clone(), |port| format!("{host}:{port}"));
            let body = serde_json::to_vec(&Delegation { server: text.clone() }).unwrap();
            let read = delegation(&body).unwrap();
            prop_assert_eq!(read.as_str(), text);
        }
    }
}
