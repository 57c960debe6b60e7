//! Asking notaries for the keys of a server that does not answer (LM-04 §12.4.1, §12.4.1.3).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::json::{Object, Value, strict};
use mimi_linearized::signing::{KeyRing, ServerKeys, check_object};
use tokio::time::timeout;

use super::cache::Need;
use super::{Entry, FetchedKeys, KeyFetchError, RemoteKeys};

/// The most objects that are taken from one answer.
const MAX_OBJECTS: usize = 64;

impl RemoteKeys {
    /// Asks the notaries, one after the other, until the need is met, and keeps what they have that is sound. Who is a
    /// notary itself is not asked about at others, and nobody is asked on behalf of those who take us for a notary: an
    /// answer of ours rests on the server itself.
    pub(super) async fn ask_notaries(&self, server: &ServerName, entry: &Entry, need: &Need) {
        let Some(minimum) = need.minimum() else { return };
        if self.notaries.contains(server) {
            return;
        }
        for notary in self.notaries.iter() {
            match self.ask_notary(notary, server, minimum).await {
                Ok(found) => {
                    for (keys, bytes) in found {
                        let now = self.inner.clock.now_ms();
                        let kept = entry.state().add_given(keys, now, bytes.len());
                        if let Some(kept) = kept {
                            self.save(server, &kept, &bytes).await;
                        }
                    }
                }
                Err(error) => tracing::debug!(%server, %notary, %error, "asking a notary"),
            }
            if !entry.state().lacks(need, self.inner.clock.now_ms()) {
                return;
            }
        }
    }

    async fn ask_notary(
        &self,
        notary: &ServerName,
        server: &ServerName,
        minimum: i64,
    ) -> Result<Vec<(ServerKeys, Bytes)>, KeyFetchError> {
        let inner = &self.inner;
        let asking = async {
            let _permits = self.permits().await;
            inner.source.query(notary, server, minimum).await
        };
        let body = timeout(inner.limits.fetch, asking).await.map_err(|_| KeyFetchError::TimedOut)?;
        let objects = read_list(&body.map_err(|error| KeyFetchError::Client(Arc::new(error)))?)?;
        let now = inner.clock.now_ms();
        let signers: Vec<KeyId> = objects.iter().flat_map(|object| signers(object, notary)).collect();
        let ring = self.ring_of_notary(notary, signers, now).await;
        let sound = objects.into_iter().filter_map(|object| {
            let bytes = Bytes::from(Value::Object(object.clone()).to_string());
            match check(object, notary, server, &ring, now) {
                Ok(keys) => Some((keys, bytes)),
                Err(error) => {
                    tracing::debug!(%server, %notary, %error, "an object of a notary is not used");
                    None
                }
            }
        });
        Ok(sound.collect())
    }
}

impl RemoteKeys {
    /// The keys of a notary itself, which are fetched in our own interest. This ends there: nobody is asked about a
    /// notary.
    fn ring_of_notary<'s>(
        &'s self,
        notary: &'s ServerName,
        ids: Vec<KeyId>,
        now: i64,
    ) -> Pin<Box<dyn Future<Output = FetchedKeys> + Send + 's>> {
        let keys = self.on_behalf_of(None);
        Box::pin(async move { keys.ring_for_requests(notary, &ids, now).await })
    }
}

/// The objects of an answer.
fn read_list(body: &[u8]) -> Result<Vec<Object>, KeyFetchError> {
    let value = strict::parse(body).map_err(|error| KeyFetchError::Json(Arc::new(error)))?;
    let Value::Object(mut answer) = value else { return Err(KeyFetchError::NoList) };
    let Some(Value::Array(list)) = answer.remove("server_keys") else { return Err(KeyFetchError::NoList) };
    let objects = list.into_iter().take(MAX_OBJECTS).map(|element| match element {
        Value::Object(object) => Ok(object),
        _ => Err(KeyFetchError::NoList),
    });
    objects.collect()
}

/// The keys with which a notary claims to have signed an object.
fn signers(object: &Object, notary: &ServerName) -> Vec<KeyId> {
    let signatures = object.get("signatures").and_then(|all| all.get(notary.as_str())?.as_object());
    signatures.into_iter().flat_map(|own| own.keys()).filter_map(|id| KeyId::parse(id).ok()).collect()
}

/// Checks the signatures of the notary and of the server itself (`LM-04/12.4.1.3/7`, reading R42). What is another
/// server's is left aside (`LM-04/12.4.1.4/7`).
fn check(
    object: Object,
    notary: &ServerName,
    server: &ServerName,
    ring: &impl KeyRing,
    now: i64,
) -> Result<ServerKeys, KeyFetchError> {
    check_object(&object, notary, ring, now)?;
    let keys = ServerKeys::parse(Value::Object(object))?;
    if keys.server_name() == server {
        Ok(keys)
    } else {
        Err(KeyFetchError::WrongServer(keys.server_name().clone()))
    }
}
