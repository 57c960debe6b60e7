//! A layer around what carries a server's requests to others.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode, Version};
use mimi_linearized::id::ServerName;
use mimi_linearized::json::{Object, canonical, strict};
use mimi_linearized::signing::SigningKey;
use mimi_transport::client::{CallLimits, Carrier, ClientError, Message, Response};
use mimi_transport::request_auth::{Credentials, sign_request};

use serde_json::Value;

use super::inbound::content;
use super::seen::{Answer, Asked, Sent};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is sent.
    Goes,
    /// It is sent once, and the server thinks that it was answered 200, also if there was no answer.
    GoesUnheard,
    /// It is sent [`OFTEN`] times.
    GoesOften,
    /// It is not sent, and the server thinks that it was answered 200.
    IsLost,
}

/// How often a request is sent that is sent too often.
const OFTEN: usize = 6;

/// What a request's signature is about.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    /// Who sends it.
    pub(crate) origin: ServerName,
    /// Whom it is for.
    pub(crate) destination: ServerName,
    /// Its body, if it has one.
    pub(crate) content: Option<Value>,
}

/// Changes an event that a hub sends, with the hub's name and key at hand.
pub(crate) type Sealing = fn(&mut Object, &ServerName, &SigningKey);

/// A fault in what is sent, or in how answers are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spoiler {
    /// In what is sent.
    Sends(fn(&mut Sent) -> Fate),
    /// In what is signed of requests.
    Signs(fn(&mut Signed)),
    /// In how a hub seals events.
    Seals(Sealing),
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
            Spoiler::Signs(change) => {
                let message = sign_otherwise(message, destination, &self.key, change);
                self.inner.carry(destination, message, limits).await
            }
            Spoiler::Seals(change) => {
                let own = origin_of(&message.headers);
                let seal = |sent: &mut Sent| {
                    if sent.is(&["send"]) {
                        let pdus = sent.list("pdus").into_iter().flatten().filter_map(Value::as_object_mut);
                        for pdu in pdus.filter(|pdu| pdu.contains_key("auth_events")) {
                            own.iter().for_each(|own| change(pdu, own, &self.key));
                        }
                    }
                    Fate::Goes
                };
                let (message, _) = spoil(message, destination, &self.key, seal);
                self.inner.carry(destination, message, limits).await
            }
            Spoiler::Sends(change) => {
                let (message, fate) = spoil(message, destination, &self.key, change);
                match fate {
                    Fate::Goes => self.inner.carry(destination, message, limits).await,
                    Fate::GoesOften => {
                        for _ in 1..OFTEN {
                            drop(self.inner.carry(destination, message.clone(), limits).await);
                        }
                        self.inner.carry(destination, message, limits).await
                    }
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
    change: impl FnOnce(&mut Sent) -> Fate,
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
    if let Some(origin) = origin_of(&before.headers)
        .filter(|_| covered && sent.headers.get(AUTHORIZATION) == before.headers.get(AUTHORIZATION))
    {
        let body = content(&sent.method, &sent.body);
        let header = sign_request(sent.method.as_str(), &sent.target, &origin, destination, body, key);
        sent.headers.insert(AUTHORIZATION, header);
    }
    let body = if sent.body == before.body { message.body } else { canonical::to_vec(&sent.body).into() };
    let target = sent.target.parse().unwrap_or(message.target);
    (Message { method: sent.method, target, headers: sent.headers, body }, fate)
}

/// Who signs a request.
fn origin_of(headers: &HeaderMap) -> Option<ServerName> {
    let value = headers.get(AUTHORIZATION)?;
    Credentials::parse(value.as_bytes()).ok().map(|credentials| credentials.origin)
}

/// Signs something else than what is sent. What the header says beside the signature stays.
fn sign_otherwise(
    mut message: Message,
    destination: &ServerName,
    key: &SigningKey,
    change: fn(&mut Signed),
) -> Message {
    let header = message.headers.get(AUTHORIZATION);
    let Some(said) = header.and_then(|value| Credentials::parse(value.as_bytes()).ok()) else {
        return message;
    };
    let body = strict::parse(&message.body).unwrap_or_default();
    let (origin, destination) = (said.origin.clone(), destination.clone());
    let mut signed = Signed { origin, destination, content: content(&message.method, &body).cloned() };
    change(&mut signed);
    let Signed { origin, destination, content } = signed;
    let (method, target) = (message.method.as_str(), message.target.as_str());
    let other = sign_request(method, target, &origin, &destination, content.as_ref(), key);
    if let Ok(other) = Credentials::parse(other.as_bytes()) {
        let header = Credentials { signature: other.signature, ..said }.to_header();
        message.headers.insert(AUTHORIZATION, header);
    }
    message
}
