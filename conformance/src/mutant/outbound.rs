//! A layer around what carries a server's requests to others.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode, Version};
use mimi_linearized::id::ServerName;
use mimi_linearized::json::{canonical, strict};
use mimi_linearized::signing::SigningKey;
use mimi_transport::client::{CallLimits, Carrier, ClientError, Message, Response};
use mimi_transport::request_auth::{Credentials, sign_request};

use super::inbound::content;
use super::seen::{Answer, Asked, Sent};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is sent.
    Goes,
    /// It is sent once, and the server thinks that it was answered 200, also if there was no answer.
    GoesUnheard,
    /// It is not sent, and the server thinks that it was answered 200.
    IsLost,
}

/// A fault in what is sent, or in how answers are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spoiler {
    /// In what is sent.
    Sends(fn(&mut Sent) -> Fate),
    /// In how answers are read.
    Reads(fn(&Asked, &mut Answer)),
}

struct Spoilt {
    inner: Arc<dyn Carrier>,
    key: SigningKey,
    spoiler: Spoiler,
}

/// Puts a fault before a carrier.
pub(super) fn wrap(inner: Arc<dyn Carrier>, key: SigningKey, spoiler: Spoiler) -> Arc<dyn Carrier> {
    Arc::new(Spoilt { inner, key, spoiler })
}

#[async_trait]
impl Carrier for Spoilt {
    async fn carry(
        &self,
        destination: &ServerName,
        message: Message,
        limits: CallLimits,
    ) -> Result<Response, ClientError> {
        match self.spoiler {
            Spoiler::Sends(change) => {
                let (message, fate) = spoil(message, destination, &self.key, change);
                match fate {
                    Fate::Goes => self.inner.carry(destination, message, limits).await,
                    Fate::GoesUnheard => {
                        let answer = self.inner.carry(destination, message, limits).await;
                        Ok(answer.ok().filter(|answer| answer.status.is_success()).unwrap_or_else(nothing))
                    }
                    Fate::IsLost => Ok(nothing()),
                }
            }
            Spoiler::Reads(change) => {
                let asked = Asked {
                    target: message.target.to_string(),
                    server: destination.clone(),
                    key: self.key.clone(),
                };
                let mut response = self.inner.carry(destination, message, limits).await?;
                let mut answer =
                    Answer { status: response.status, headers: response.headers, body: response.body };
                change(&asked, &mut answer);
                (response.status, response.headers, response.body) =
                    (answer.status, answer.headers, answer.body);
                Ok(response)
            }
        }
    }
}

/// An answer that says nothing.
fn nothing() -> Response {
    Response {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: bytes::Bytes::from_static(b"{}"),
        http_version: Version::HTTP_2,
        tls_version: None,
    }
}

/// Changes a request. What was signed is signed again, unless the fault is in the signature.
fn spoil(
    message: Message,
    destination: &ServerName,
    key: &SigningKey,
    change: fn(&mut Sent) -> Fate,
) -> (Message, Fate) {
    let body = strict::parse(&message.body).unwrap_or_default();
    let before = Sent {
        method: message.method.clone(),
        target: message.target.to_string(),
        to: destination.clone(),
        headers: message.headers.clone(),
        body,
    };
    let mut sent = before.clone();
    let fate = change(&mut sent);
    if sent == before {
        return (message, fate);
    }
    let covered = (&sent.method, &sent.target, &sent.body) != (&before.method, &before.target, &before.body);
    let origin = before.headers.get(AUTHORIZATION);
    let origin = origin.and_then(|value| Credentials::parse(value.as_bytes()).ok());
    if let Some(Credentials { origin, .. }) =
        origin.filter(|_| covered && sent.headers.get(AUTHORIZATION) == before.headers.get(AUTHORIZATION))
    {
        let body = content(&sent.method, &sent.body);
        let header = sign_request(sent.method.as_str(), &sent.target, &origin, destination, body, key);
        sent.headers.insert(AUTHORIZATION, header);
    }
    let body = if sent.body == before.body { message.body } else { canonical::to_vec(&sent.body).into() };
    let target = sent.target.parse().unwrap_or(message.target);
    (Message { method: sent.method, target, headers: sent.headers, body }, fate)
}
