//! Giving out other servers' keys as a notary (LM-04 §12.4.1.3, §12.4.1.4, reading R41).

use std::collections::BTreeMap;
use std::sync::Arc;

use mimi_linearized::id::ServerName;
use tokio::task::JoinSet;

use super::{KeyCriteria, KeyResponse, OwnKeys, RemoteKeys};
use crate::clock;

/// This server as a notary.
#[derive(Debug)]
pub struct Notary<'n> {
    /// Its name.
    pub name: &'n ServerName,
    /// Its keys.
    pub own: &'n OwnKeys,
    /// What it knows of others, on behalf of whoever asks.
    pub keys: RemoteKeys,
}

impl Notary<'_> {
    /// The key objects that are asked for, as JSON, signed by their servers and by this one. Servers whose keys are
    /// not known, or have aged, are asked at the same time; who does not answer is served from what is there.
    pub async fn answer(&self, wanted: BTreeMap<ServerName, KeyCriteria>) -> Vec<Arc<[u8]>> {
        let mut asking = JoinSet::new();
        let key = self.own.current();
        let mut found: BTreeMap<ServerName, Vec<Arc<[u8]>>> = BTreeMap::new();
        for (server, criteria) in wanted {
            if server == *self.name {
                let own = KeyResponse::new(self.own.publish(self.name), clock::now_ms(), 0);
                if criteria.admits(&own) {
                    found.insert(server, vec![own.notarised(self.name, &key)]);
                }
                continue;
            }
            let keys = self.keys.clone();
            asking.spawn(async move {
                let responses = keys.responses(&server, &criteria).await;
                (server, responses)
            });
        }
        while let Some(asked) = asking.join_next().await {
            // A task that panicked leaves its server out, like one that is gone.
            let Ok((server, responses)) = asked else { continue };
            let signed = responses.iter().map(|response| response.notarised(self.name, &key));
            found.insert(server, signed.collect());
        }
        found.into_values().flatten().collect()
    }
}
