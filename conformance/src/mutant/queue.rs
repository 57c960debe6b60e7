//! Requests of a server that wait for each other although they are for different servers (LM-04 §12, reading R52).

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use mimi_linearized::id::ServerName;
use mimi_transport::client::{CallLimits, Carrier, ClientError, Message, Response};
use tokio::sync::Mutex;

use super::seen;

/// The queue of a request, by its endpoint and its body, if it is to wait.
type Which = fn(&str, &[u8]) -> Option<String>;

struct Queues {
    inner: Arc<dyn Carrier>,
    which: Which,
    queues: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

/// Puts requests into queues.
pub(super) fn wrap(inner: Arc<dyn Carrier>, which: Which) -> Arc<dyn Carrier> {
    Arc::new(Queues { inner, which, queues: Mutex::default() })
}

#[async_trait]
impl Carrier for Queues {
    async fn carry(
        &self,
        destination: &ServerName,
        message: Message,
        limits: CallLimits,
    ) -> Result<Response, ClientError> {
        let Some(queue) = (self.which)(seen::endpoint(message.target.as_str()), &message.body) else {
            return self.inner.carry(destination, message, limits).await;
        };
        let queue = Arc::clone(self.queues.lock().await.entry(queue).or_default());
        let place = queue.lock_owned().await;
        let (inner, destination) = (Arc::clone(&self.inner), destination.clone());
        // Whoever gives up waiting for the answer does not let the next one in.
        let carried = tokio::spawn(async move {
            let _place = place;
            inner.carry(&destination, message, limits).await
        });
        carried.await.unwrap_or(Err(ClientError::Timeout(limits.timeout)))
    }
}
