//! Device objects made by hand (LM-04 §4.1): anything may be wrong with them, and they are signed all the same.

use mimi_linearized::base64;
use mimi_linearized::id::{KeyId, UserId};
use mimi_linearized::json::{Object, canonical};
use mimi_linearized::signing::SigningKey;
use mimi_mls::{DeviceAddress, DeviceCredential};
use serde_json::{Value, json};

use crate::case::Finding;
use crate::mls::ALGORITHM;

/// The object of a new device, changed before it is signed.
pub(in crate::cases) fn device_object(
    user: &UserId,
    device: &str,
    change: impl FnOnce(&mut Object),
) -> Result<Value, Finding> {
    let broken = |error: &dyn std::fmt::Display| Finding::Suite(format!("a device object: {error}"));
    let key = SigningKey::from_seed(KeyId::ed25519("1").map_err(|error| broken(&error))?, &rand::random());
    let public = base64::decode(&key.verify_key().to_base64()).map_err(|error| broken(&error))?;
    let address = DeviceAddress::new(user.as_str(), device).map_err(|error| broken(&error))?;
    let credential = DeviceCredential::new(address, public).map_err(|error| broken(&error))?;
    let credential = base64::encode(&credential.encode().map_err(|error| broken(&error))?);
    let id = format!("m.mls.v1.credential.ed25519:{device}");
    let object = json!({
        "user_id": user, "device_id": device, "algorithms": [ALGORITHM], "keys": {id.as_str(): credential}
    });
    let mut object = object.as_object().cloned().unwrap_or_default();
    change(&mut object);
    let signature = key.sign(&canonical::to_vec(&Value::Object(object.clone()))).to_base64();
    object.insert("signatures".to_owned(), json!({user.as_str(): {id: signature}}));
    Ok(Value::Object(object))
}

/// The object of a new device without one of its members, signed as it is then.
pub(in crate::cases) fn device_object_without(
    user: &UserId,
    device: &str,
    field: &str,
) -> Result<Value, Finding> {
    let mut object = device_object(user, device, |object| drop(object.remove(field)))?;
    if let (Value::Object(object), "signatures") = (&mut object, field) {
        object.remove(field);
    }
    Ok(object)
}
