//! Claiming key packages (LM-04 §12.10.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use mimi_linearized::base64::{self, Base64Error};
use mimi_linearized::encryption::{Devices, LeafOwner};
use mimi_linearized::id::{DeviceId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_mls::{DeviceAddress, KeyPackage, KeyPackageError, Suite};
use serde_json::{Value, json};

use crate::api::claim_keys;
use crate::clock;
use crate::node::Node;
use crate::rooms::RoomError;
use crate::store::StoreError;

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
        let claimed = self.store.claim(user, device, algorithm, clock::now_ms(), notice).await?;
        if claimed.is_some() {
            self.news.tell();
        }
        Ok(claimed.map(|claimed| claimed.key))
    }

    /// Claims key packages wherever their users are. Answers of servers that cannot be asked are missing from the
    /// result; if none answers, the last error is returned.
    ///
    /// What another server gives out is verified: a key package that is not valid now, is of another suite than was
    /// asked for, or is not of the device it is given out for, as its object says, is left out. A key of an algorithm
    /// that is not known here cannot be verified, and is handed on.
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
                Ok(keys) => {
                    let keys = keys.into_iter().filter_map(|(user, keys)| {
                        let asked = wanted.get(&user)?.as_object()?;
                        Some((user, only_asked(keys, asked)))
                    });
                    claimed.extend(self.only_valid(keys.collect()).await);
                }
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

    /// The key packages that other servers gave out, by user and device, without those that are not valid.
    async fn only_valid(&self, mut claimed: Vec<(String, Object)>) -> Object {
        let addresses: Vec<DeviceAddress> = claimed
            .iter()
            .flat_map(|(user, keys)| keys.keys().map(move |device| DeviceAddress::new(user.as_str(), device)))
            .flatten()
            .collect();
        let devices = self.ask_for_devices(&addresses).await;
        for (user, keys) in &mut claimed {
            keys.retain(|device, keys| match check(user, device, keys, &devices) {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(user, device, %error, "left out a claimed key package");
                    false
                }
            });
        }
        let claimed = claimed.into_iter().filter(|(_, keys)| !keys.is_empty());
        claimed.map(|(user, keys)| (user, Value::Object(keys))).collect()
    }
}

/// What a device's user is told of a claim.
fn notice(device: &DeviceId, remaining: u64) -> Arc<[u8]> {
    let notice = json!({"type": "key_package_used", "device": device, "remaining": remaining});
    notice.to_string().into_bytes().into()
}

/// What is wrong with a key package that another server gave out.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("it is no text")]
    NoText,
    #[error("its base64: {0}")]
    Base64(#[from] Base64Error),
    #[error(transparent)]
    KeyPackage(#[from] KeyPackageError),
    #[error("it is of the device {0}")]
    OtherDevice(DeviceAddress),
    #[error("its key: {0}")]
    Owner(LeafOwner),
}

/// Checks what was given out for a device: one key under its algorithm's name.
fn check(user: &str, device: &str, keys: &Value, devices: &Devices) -> Result<(), Unfit> {
    for (algorithm, key) in keys.as_object().into_iter().flatten() {
        let Some(suite) = Suite::from_key_package_algorithm(algorithm) else { continue };
        let bytes = base64::decode(key.as_str().ok_or(Unfit::NoText)?)?;
        let package = KeyPackage::read(&bytes, suite)?;
        package.check_lifetime(u64::try_from(clock::now_ms() / 1_000).unwrap_or_default())?;
        let address = package.address();
        if address.user_id() != user || address.device_id() != device {
            return Err(Unfit::OtherDevice(address.clone()));
        }
        match devices.owner_of_key(suite, address, package.signature_key()) {
            LeafOwner::Owned => {}
            owner => return Err(Unfit::Owner(owner)),
        }
    }
    Ok(())
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
    use mimi_mls::{Device, KeyPackageUse, Lifetime};

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

    #[test]
    fn what_is_given_out_for_a_device_is_that_devices() {
        const BOB: &str = "@bob:b.example";
        let suite = Suite::MANDATORY;
        let device = |user: &str, id: &str| Device::generate(user, id, suite).unwrap();
        let (b, twin, other) = (device(BOB, "B"), device(BOB, "B"), device(BOB, "C"));
        let package = |device: &Device, lifetime: Option<Lifetime>| {
            let uses = KeyPackageUse::OneTime;
            let package = match lifetime {
                None => KeyPackage::generate(device, uses),
                Some(lifetime) => KeyPackage::generate_with_lifetime(device, uses, lifetime),
            };
            base64::encode(package.unwrap().message())
        };
        let mut devices = Devices::new();
        for known in [&b, &other] {
            devices.learn(known.address(), &known.object().unwrap());
        }
        let check = |algorithm: &str, key: Value, devices: &Devices| {
            check(BOB, "B", &json!({algorithm: key}), devices).map_err(|error| error.to_string())
        };
        let algorithm = suite.key_package_algorithm();
        let good = package(&b, None);
        check(algorithm, json!(good), &devices).unwrap();
        check("org.example.other", json!(1), &devices).unwrap();
        let now = u64::try_from(clock::now_ms() / 1_000).unwrap();
        let over = Lifetime { not_before: now - 20, not_after: now - 10 };
        let endless = Lifetime { not_before: now - 20, not_after: u64::MAX };
        let mut damaged = base64::decode(&good).unwrap();
        *damaged.last_mut().unwrap() ^= 1;
        let another = Suite::DhKemX25519ChaCha20Poly1305Sha256Ed25519;
        for (key, why) in [
            (json!(1), "no text"),
            (json!("?"), "base64"),
            (json!("AAAA"), "KeyPackage"),
            (json!(base64::encode(&damaged)), "signature"),
            (json!(package(&b, Some(over))), "was valid until"),
            (json!(package(&b, Some(endless))), "too long"),
            (json!(package(&other, None)), "of the device"),
            (json!(package(&twin, None)), "another key"),
            (json!(package(&Device::generate(BOB, "B", another).unwrap(), None)), "suite"),
        ] {
            let error = check(algorithm, key, &devices).unwrap_err();
            assert!(error.contains(why), "{error:?} is to say {why:?}");
        }
        let error = check(algorithm, json!(good), &Devices::new()).unwrap_err();
        assert!(error.contains("nothing is known"), "{error}");
    }
}
