//! Checking the signatures of a request (LM-04 §12.4).

use http::HeaderMap;
use http::header::AUTHORIZATION;
use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::json::Value;
use mimi_linearized::signing::{KeyRing, KeyStanding};

use super::sign::{Content, signed_bytes};
use super::{Credentials, HeaderError};
use crate::error::ApiError;

/// The most `Authorization` headers that are read on one request; a bound of this implementation.
pub const MAX_HEADERS: usize = 32;

/// Why a request does not prove who sent it. All of these are answered 401 `M_FORBIDDEN` (`LM-04/12.4/23`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// There is no `Authorization` header.
    #[error("the request has no Authorization header")]
    NoHeader,
    /// There are more than [`MAX_HEADERS`].
    #[error("the request has more than {MAX_HEADERS} Authorization headers")]
    TooManyHeaders,
    /// One of the headers cannot be used.
    #[error("Authorization header {number}: {error}")]
    Header {
        /// Which, counted from 1.
        number: usize,
        /// What is wrong with it.
        error: HeaderError,
    },
    /// Two headers name different senders.
    #[error("the Authorization headers name both {first} and {other} as origin")]
    Origins {
        /// The origin of the first header.
        first: ServerName,
        /// Another one.
        other: ServerName,
    },
    /// A header is meant for another server.
    #[error("the request is signed for {0}, which is not this server")]
    Destination(ServerName),
    /// The key is not among the origin's current keys.
    #[error("{key} is not a current key of {origin}")]
    UnknownKey {
        /// The sender.
        origin: ServerName,
        /// The key.
        key: KeyId,
    },
    /// The key's validity has ended.
    #[error("the key {key} of {origin} has expired")]
    ExpiredKey {
        /// The sender.
        origin: ServerName,
        /// The key.
        key: KeyId,
    },
    /// The signature is not this key's signature of this request.
    #[error("the signature of {origin} by {key} does not verify for this request")]
    Signature {
        /// The sender.
        origin: ServerName,
        /// The key.
        key: KeyId,
    },
}

impl AuthError {
    /// The requirement that the request breaks.
    #[must_use]
    pub fn requirement(&self) -> &'static str {
        match self {
            Self::NoHeader => "LM-04/12.4/22",
            Self::TooManyHeaders | Self::Origins { .. } => "LM-04/12.4/21",
            Self::Header { error, .. } => error.requirement(),
            Self::Destination(_) => "LM-04/12.4/14",
            Self::UnknownKey { .. } => "LM-04/12.4.1.2/9",
            Self::ExpiredKey { .. } => "LM-04/12.4/19",
            Self::Signature { .. } => "LM-04/12.4/18",
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let rule = error.requirement();
        Self::unauthenticated(error.to_string()).with_rule(rule)
    }
}

/// What the `Authorization` headers of a request say, not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    origin: ServerName,
    headers: Vec<Credentials>,
}

/// Reads all `Authorization` headers of a request. There has to be one (`LM-04/12.4/22`), and all of them have to be
/// of scheme `X-Matrix`, well formed, and of the same origin (`LM-04/12.4/21`).
///
/// # Errors
/// [`AuthError`] for the first header at fault.
pub fn parse_all(headers: &HeaderMap) -> Result<Presented, AuthError> {
    let mut origin: Option<ServerName> = None;
    let mut all = Vec::new();
    for (number, value) in (1..).zip(headers.get_all(AUTHORIZATION)) {
        if number > MAX_HEADERS {
            return Err(AuthError::TooManyHeaders);
        }
        let credentials =
            Credentials::parse(value.as_bytes()).map_err(|error| AuthError::Header { number, error })?;
        let first = origin.get_or_insert_with(|| credentials.origin.clone());
        if *first != credentials.origin {
            return Err(AuthError::Origins { first: first.clone(), other: credentials.origin });
        }
        all.push(credentials);
    }
    let origin = origin.ok_or(AuthError::NoHeader)?;
    Ok(Presented { origin, headers: all })
}

impl Presented {
    /// Who claims to have sent the request.
    #[must_use]
    pub fn origin(&self) -> &ServerName {
        &self.origin
    }

    /// The keys that are needed for the verdict.
    pub fn key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.headers.iter().map(|header| &header.key)
    }

    /// Checks that every header is meant for `own_name` (`LM-04/12.4/14`). [`Presented::verify`] does so too; a
    /// receiver that asks first need not fetch keys for nothing.
    ///
    /// # Errors
    /// [`AuthError::Destination`] names the server it is meant for.
    pub fn check_destination(&self, own_name: &ServerName) -> Result<(), AuthError> {
        match self.headers.iter().find(|header| header.destination != *own_name) {
            Some(header) => Err(AuthError::Destination(header.destination.clone())),
            None => Ok(()),
        }
    }

    /// Checks every header against the request as it arrived (`LM-04/12.4/18`, `LM-04/12.4/21`) and returns the
    /// server that sent it.
    ///
    /// `keys` holds the origin's current `verify_keys` and nothing else (`LM-04/12.4.1.2/9`); `now` is in
    /// milliseconds since the Unix epoch; `method` and `uri` are the request's method and
    /// target, byte for byte; `body` is the parsed body, or
    /// `None` for a request without one, whose signature may also be one without `content` (reading R17).
    ///
    /// # Errors
    /// [`AuthError`] for the first header that does not verify.
    pub fn verify(
        &self,
        keys: &impl KeyRing,
        now: i64,
        own_name: &ServerName,
        method: &str,
        uri: &str,
        body: Option<&Value>,
    ) -> Result<ServerName, AuthError> {
        self.check_destination(own_name)?;
        // All headers speak of one origin and one destination, so that they sign the same object.
        let signed = signed_bytes(method, uri, &self.origin, own_name, Content::of(body));
        let bare = body.is_none().then(|| signed_bytes(method, uri, &self.origin, own_name, Content::Absent));
        for Credentials { key: id, signature, .. } in &self.headers {
            let (origin, key) = (self.origin.clone(), id.clone());
            match keys.standing(&self.origin, id, now) {
                KeyStanding::Unknown => return Err(AuthError::UnknownKey { origin, key }),
                KeyStanding::Expired => return Err(AuthError::ExpiredKey { origin, key }),
                KeyStanding::Valid(public) => {
                    let verifies = public.verify(&signed, signature)
                        || bare.as_ref().is_some_and(|bare| public.verify(bare, signature));
                    if !verifies {
                        return Err(AuthError::Signature { origin, key });
                    }
                }
            }
        }
        Ok(self.origin.clone())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use mimi_linearized::signing::{ServerKeyRing, SigningKey};
    use serde_json::json;

    use super::*;
    use crate::request_auth::{sign_request, sign_request_without_content};

    const NOW: i64 = 1_700_000_000_000;
    const URI: &str = "/_matrix/federation/v2/send/1?a=%20b";

    fn name(text: &str) -> ServerName {
        ServerName::parse(text).unwrap()
    }

    fn key(version: u8) -> SigningKey {
        SigningKey::from_seed(KeyId::ed25519(&version.to_string()).unwrap(), &[version; 32])
    }

    /// The ring of `a.org`: keys 1 and 2 are valid, 3 has expired.
    fn ring() -> ServerKeyRing {
        let mut ring = ServerKeyRing::new();
        for (version, until) in [(1, NOW), (2, NOW + 1), (3, NOW - 1)] {
            ring.insert(&name("a.org"), key(version).id(), key(version).verify_key(), until);
        }
        ring
    }

    fn signed(body: Option<&Value>, by: u8) -> HeaderValue {
        sign_request("PUT", URI, &name("a.org"), &name("b.org"), body, &key(by))
    }

    fn presented(values: &[HeaderValue]) -> Result<Presented, AuthError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.clone());
        }
        parse_all(&headers)
    }

    fn verify(values: &[HeaderValue], body: Option<&Value>) -> Result<ServerName, AuthError> {
        presented(values)?.verify(&ring(), NOW, &name("b.org"), "PUT", URI, body)
    }

    #[test]
    fn a_signed_request_verifies() {
        let body = json!({"pdus": [1.0, "é"]});
        assert_eq!(verify(&[signed(Some(&body), 1)], Some(&body)), Ok(name("a.org")));
        assert_eq!(verify(&[signed(None, 1)], None), Ok(name("a.org")));
        let two = presented(&[signed(None, 1), signed(None, 2)]).unwrap();
        assert_eq!(two.key_ids().map(KeyId::as_str).collect::<Vec<_>>(), ["ed25519:1", "ed25519:2"]);
        assert_eq!(verify(&[signed(None, 1), signed(None, 2)], None), Ok(name("a.org")));
    }

    #[test]
    fn without_a_body_content_may_be_missing() {
        let bare = sign_request_without_content("PUT", URI, &name("a.org"), &name("b.org"), &key(1));
        assert_eq!(verify(std::slice::from_ref(&bare), None), Ok(name("a.org")));
        // But not where there is a body, however empty.
        assert!(matches!(verify(&[bare], Some(&json!({}))), Err(AuthError::Signature { .. })));
        // `{}` sent as a body is signed as no body is.
        assert_eq!(verify(&[signed(None, 1)], Some(&json!({}))), Ok(name("a.org")));
    }

    #[test]
    fn any_change_to_the_request_fails() {
        let body = json!({"a": 1});
        let presented = presented(&[signed(Some(&body), 1)]).unwrap();
        let check = |method: &str, uri: &str, body: Option<&Value>| {
            presented.verify(&ring(), NOW, &name("b.org"), method, uri, body)
        };
        assert!(check("PUT", URI, Some(&body)).is_ok());
        let error = AuthError::Signature { origin: name("a.org"), key: key(1).id().clone() };
        assert_eq!(error.requirement(), "LM-04/12.4/18");
        let failed = Err(error);
        assert_eq!(check("POST", URI, Some(&body)), failed);
        assert_eq!(check("PUT", "/_matrix/federation/v2/send/1?a=+b", Some(&body)), failed);
        assert_eq!(check("PUT", "/_matrix/federation/v2/send/1", Some(&body)), failed);
        assert_eq!(check("PUT", URI, Some(&json!({"a": 2}))), failed);
        assert_eq!(check("PUT", URI, None), failed);
    }

    #[test]
    fn every_header_has_to_verify() {
        let good = signed(None, 1);
        let forged = sign_request("PUT", "/other", &name("a.org"), &name("b.org"), None, &key(2));
        let other_origin = sign_request("PUT", URI, &name("c.org"), &name("b.org"), None, &key(1));
        for (bad, requirement) in [
            (forged, "LM-04/12.4/18"),
            (signed(None, 3), "LM-04/12.4/19"),
            (signed(None, 4), "LM-04/12.4.1.2/9"),
            (other_origin, "LM-04/12.4/21"),
            (HeaderValue::from_static("Bearer x"), "LM-04/12.4/1"),
            (HeaderValue::from_static("X-Matrix origin=a.org,key=ed25519:1,sig=x"), "LM-04/12.4/14"),
            (HeaderValue::from_static("X-Matrix origin"), "LM-04/12.4/8"),
        ] {
            for headers in
                [vec![good.clone(), bad.clone()], vec![bad.clone(), good.clone()], vec![bad.clone()]]
            {
                if headers.len() == 1 && requirement == "LM-04/12.4/21" {
                    continue;
                }
                let error = verify(&headers, None).unwrap_err();
                assert_eq!(error.requirement(), requirement, "{error}");
                let api = ApiError::from(error);
                assert_eq!((api.status().as_u16(), api.code().as_str()), (401, "M_FORBIDDEN"));
            }
        }
    }

    #[test]
    fn there_has_to_be_a_header_but_not_too_many() {
        assert_eq!(presented(&[]), Err(AuthError::NoHeader));
        let many = vec![signed(None, 1); MAX_HEADERS];
        assert!(verify(&many, None).is_ok());
        assert_eq!(presented(&[many, vec![signed(None, 1)]].concat()), Err(AuthError::TooManyHeaders));
    }

    #[test]
    fn a_request_for_another_server_fails() {
        let elsewhere = sign_request("PUT", URI, &name("a.org"), &name("b.org:8448"), None, &key(1));
        assert_eq!(verify(&[elsewhere], None), Err(AuthError::Destination(name("b.org:8448"))));
    }

    #[test]
    fn the_parameters_are_what_is_signed() {
        // Another origin or destination in the header than in the signed object.
        let text = signed(None, 1).to_str().unwrap().to_owned();
        let renamed = HeaderValue::try_from(text.replace("a.org", "c.org")).unwrap();
        let mut ring = ring();
        ring.insert(&name("c.org"), key(1).id(), key(1).verify_key(), NOW);
        let check = |value: HeaderValue, own: &str| {
            presented(&[value]).unwrap().verify(&ring, NOW, &name(own), "PUT", URI, None)
        };
        assert!(matches!(check(renamed, "b.org"), Err(AuthError::Signature { .. })));
        let redirected = HeaderValue::try_from(text.replace("b.org", "d.org")).unwrap();
        assert!(matches!(check(redirected, "d.org"), Err(AuthError::Signature { .. })));
    }
}
