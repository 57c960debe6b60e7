//! Claiming key packages (LM-04 §12.10.3).

use std::collections::BTreeMap;

use mimi_linearized::id::{DeviceId, ServerName, UserId};
use mimi_linearized::json::Object;
use serde_json::{Value, json};

use crate::api::claim_keys;
use crate::clock;
use crate::node::Node;
use crate::rooms::RoomError;
use crate::store::{InboxItem, StoreError};

impl Node {
    /// Gives out key packages of local users' devices: `wanted` maps users to devices to algorithms. Users, devices and
    /// key packages that are not there are left out.
    pub(crate) async fn claim_local(&self, wanted: &Object) -> Result<Object, StoreError> {
        let mut users = Object::new();
        for (user, devices) in wanted {
            let Ok(user_id) = UserId::parse(user) else { continue };
            if !self.is_local(&user_id) {
                continue;
            }
            let mut keys = Object::new();
            for (device, algorithm) in devices.as_object().into_iter().flatten() {
                let (Ok(device_id), Some(algorithm)) = (DeviceId::parse(device), algorithm.as_str()) else {
                    continue;
                };
                if let Some(key) = self.claim_one(&user_id, &device_id, algorithm).await? {
                    keys.insert(device.clone(), json!({algorithm: key}));
                }
            }
            if !keys.is_empty() {
                users.insert(user.clone(), Value::Object(keys));
            }
        }
        Ok(users)
    }

    async fn claim_one(
        &self,
        user: &UserId,
        device: &DeviceId,
        algorithm: &str,
    ) -> Result<Option<String>, StoreError> {
        let Some(claimed) = self.store.claim(user, device, algorithm, clock::now_ms()).await? else {
            return Ok(None);
        };
        let notice = json!({"type": "key_package_used", "device": device, "remaining": claimed.remaining});
        let bytes = notice.to_string().into_bytes().into();
        self.store.deliver(vec![InboxItem { user_id: user.clone(), bytes, once: None }]).await?;
        self.news.tell();
        Ok(Some(claimed.key))
    }

    /// Claims key packages wherever their users are. Answers of servers that cannot be asked are missing from the
    /// result; if none answers, the last error is returned.
    ///
    /// # Errors
    /// [`RoomError`] if nobody answers, or the store fails.
    pub async fn claim(&self, wanted: &Object) -> Result<Object, RoomError> {
        let mut by_server: BTreeMap<ServerName, Object> = BTreeMap::new();
        for (user, devices) in wanted {
            let user_id = UserId::parse(user)
                .map_err(|error| RoomError::BadRequest(format!("{user:?} is no user id: {error}")))?;
            by_server.entry(user_id.server()).or_default().insert(user.clone(), devices.clone());
        }
        let mut claimed = self.claim_local(wanted).await?;
        by_server.remove(&self.name);
        let mut failure = None;
        for (server, wanted) in by_server {
            match claim_keys::call(self, &server, &wanted).await {
                Ok(keys) => claimed.extend(keys.into_iter().filter_map(|(user, keys)| {
                    let asked = wanted.get(&user)?.as_object()?;
                    Some((user, Value::Object(only_asked(keys, asked))))
                })),
                Err(error) => {
                    tracing::warn!(%server, %error, "key packages could not be claimed");
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if claimed.is_empty() => Err(error),
            _ => Ok(claimed),
        }
    }
}

/// The keys of devices that were asked for; `algorithm:version` as a key's name is taken as `algorithm`
/// (reading R29).
fn only_asked(keys: Value, asked: &Object) -> Object {
    let Value::Object(keys) = keys else { return Object::new() };
    keys.into_iter()
        .filter_map(|(device, keys)| {
            let algorithm = asked.get(&device)?.as_str()?;
            let found = keys.as_object()?.iter().find(|(name, _)| {
                name.as_str() == algorithm
                    || name.strip_prefix(algorithm).is_some_and(|rest| rest.starts_with(':'))
            });
            let (_, key) = found?;
            Some((device, json!({algorithm: key})))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_down_to_what_was_asked() {
        let asked = json!({"A": "m.alg", "B": "m.alg", "C": "m.alg"}).as_object().unwrap().clone();
        let keys = json!({"A": {"m.alg": "a"}, "B": {"m.alg:v": "b"}, "C": {"m.algo": "c"}, "D": {"m.alg": "d"}, "E": 1});
        assert_eq!(
            Value::Object(only_asked(keys, &asked)),
            json!({"A": {"m.alg": "a"}, "B": {"m.alg": "b"}})
        );
        assert!(only_asked(json!([]), &asked).is_empty());
    }
}
