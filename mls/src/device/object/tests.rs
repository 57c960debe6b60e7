use proptest::prelude::*;

use super::*;
use crate::device::Device;
use crate::testing::{address, device};

/// An object of a device after `edit`, signed again by the device's key.
fn signed_again(device: &Device, edit: impl FnOnce(&mut Map<String, Value>)) -> DeviceObject {
    let mut value = device.object().unwrap().value().clone();
    edit(&mut value);
    let message = signed_bytes(&value).unwrap();
    let signature = BASE64.encode(device.signer().sign(&message).unwrap());
    let user_id = device.address().user_id();
    let by_user = value["signatures"].as_object_mut().unwrap().get_mut(user_id).unwrap();
    by_user[format!("m.mls.v1.credential.ed25519:{}", device.address().device_id())] = signature.into();
    DeviceObject::parse(Value::Object(value)).unwrap()
}

fn key_id() -> &'static str {
    "m.mls.v1.credential.ed25519:ABC"
}

#[test]
fn the_object_has_the_shape_of_the_draft() {
    for &suite in Suite::ALL {
        let device = Device::generate("@alice:example.org", "ABC", suite).unwrap();
        let object = device.object().unwrap();
        let value = object.value();
        assert_eq!(value.len(), 5);
        assert_eq!(value["user_id"], "@alice:example.org");
        assert_eq!(value["device_id"], "ABC");
        assert_eq!(value["algorithms"], json!([suite.room_algorithm()]));
        let key_id = format!("{}:ABC", suite.credential_key_algorithm());
        let key = value["keys"][&key_id].as_str().unwrap();
        assert!(!key.ends_with('='));
        let credential = DeviceCredential::decode(&BASE64.decode(key).unwrap()).unwrap();
        assert_eq!(credential, *device.credential());
        assert!(value["signatures"]["@alice:example.org"][&key_id].is_string());

        let verified = object.verify().unwrap();
        assert_eq!(verified.address(), device.address());
        assert!(verified.supports(suite));
        assert!(verified.owns_leaf(suite, device.address(), device.credential().signature_key()));
        assert!(!verified.owns_leaf(suite, device.address(), &[0; 32]));
        assert_eq!(verified.unverified_keys().count(), 0);
        assert_eq!(Suite::ALL.iter().filter(|suite| verified.supports(**suite)).count(), 1);
    }
}

#[test]
fn the_signature_is_over_the_canonical_object_without_signatures() {
    let device = device("alice", "ABC");
    let object = device.object().unwrap();
    let key = object.keys()[key_id()].clone();
    let expected = format!(
        r#"{{"algorithms":["m.mls.v1.dhkemx25519-aes128gcm-sha256-ed25519"],"device_id":"ABC","keys":{{"{}":"{key}"}},"user_id":"@alice:example.org"}}"#,
        key_id(),
    );
    assert_eq!(String::from_utf8(signed_bytes(object.value()).unwrap()).unwrap(), expected);
    let signature = object.value()["signatures"]["@alice:example.org"][key_id()].as_str().unwrap();
    let signature = BASE64.decode(signature).unwrap();
    let key = device.credential().signature_key();
    assert!(SignatureScheme::Ed25519.verifies(key, expected.as_bytes(), &signature));
}

#[test]
fn fields_nobody_knows_are_signed_and_kept() {
    let device = device("alice", "ABC");
    let object = signed_again(&device, |value| {
        value.insert("unsigned".to_owned(), json!({ "age": 1.5, "n": -3 }));
        value.insert("org.example".to_owned(), json!(null));
    });
    object.verify().unwrap();
    let before = object.value().clone();
    assert_eq!(object.clone().into_value(), Value::Object(before.clone()));

    let mut changed = before;
    changed["unsigned"] = json!({ "age": 2, "n": -3 });
    let error = DeviceObject::parse(Value::Object(changed)).unwrap().verify().unwrap_err();
    assert!(matches!(error, DeviceObjectError::BadSignature { .. }), "{error}");
}

#[test]
fn every_field_is_required_and_has_a_type() {
    let value = device("alice", "ABC").object().unwrap().into_value();
    for field in ["user_id", "device_id", "algorithms", "keys", "signatures"] {
        let mut without = value.clone();
        without.as_object_mut().unwrap().remove(field);
        let error = DeviceObject::parse(without).unwrap_err();
        assert!(matches!(error, DeviceObjectError::Missing { field: f } if f == field), "{error}");
        for wrong in [json!(null), json!(1), json!([1]), json!({ "a": 1 })] {
            if field == "signatures" && wrong.is_object() {
                continue;
            }
            let mut other = value.clone();
            other[field] = wrong;
            let error = DeviceObject::parse(other).unwrap_err();
            assert!(matches!(error, DeviceObjectError::WrongType { field: f } if f == field), "{error}");
        }
    }
    assert!(matches!(DeviceObject::parse(json!([])), Err(DeviceObjectError::NotAnObject)));
    let mut empty = value;
    empty["device_id"] = json!("");
    assert!(matches!(DeviceObject::parse(empty), Err(DeviceObjectError::Address(_))));
}

#[test]
fn base64_is_read_with_padding_too() {
    let device = device("alice", "ABC");
    let object = signed_again(&device, |value| {
        let key = value["keys"][key_id()].as_str().unwrap();
        let padded = format!("{key}{}", "=".repeat((4 - key.len() % 4) % 4));
        value["keys"][key_id()] = padded.into();
    });
    let mut value = object.into_value();
    let signature = &mut value["signatures"]["@alice:example.org"][key_id()];
    *signature = format!("{}==", signature.as_str().unwrap()).into();
    DeviceObject::parse(value).unwrap().verify().unwrap();
}

#[test]
fn a_key_must_be_this_devices_credential() {
    let device = device("alice", "ABC");
    for (user, id) in [("alice", "XYZ"), ("bob", "ABC")] {
        let other = DeviceCredential::new(address(user, id), device.credential().signature_key()).unwrap();
        let object = signed_again(&device, |value| {
            value["keys"][key_id()] = BASE64.encode(other.encode().unwrap()).into();
        });
        let error = object.verify().unwrap_err();
        assert!(
            matches!(&error, DeviceObjectError::IdentityMismatch { credential, .. } if credential == other.address()),
            "{error}"
        );
    }
    for (key, expected) in [("not base64!", "not base64"), ("AAAA", "not a credential")] {
        let object = signed_again(&device, |value| value["keys"][key_id()] = key.into());
        let error = object.verify().unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

#[test]
fn the_ids_of_keys_end_with_the_device_id() {
    let device = device("alice", "ABC");
    for id in ["m.mls.v1.credential.ed25519:XYZ", "m.mls.v1.credential.ed25519", ":ABC", "xABC", "ABC"] {
        let object = signed_again(&device, |value| {
            let key = value["keys"].as_object_mut().unwrap().remove(key_id()).unwrap();
            value["keys"][id] = key;
        });
        let error = object.verify().unwrap_err();
        assert!(matches!(&error, DeviceObjectError::KeyIdMismatch { key_id } if key_id == id), "{error}");
    }
}

#[test]
fn every_key_must_have_signed() {
    let object = device("alice", "ABC").object().unwrap();
    for signatures in [
        json!({}),
        json!({ "@bob:example.org": {} }),
        json!({ "@alice:example.org": {} }),
        json!({ "@alice:example.org": { key_id(): 1 } }),
        json!({ "@alice:example.org": [] }),
    ] {
        let mut value = object.value().clone();
        value["signatures"] = signatures;
        let error = DeviceObject::parse(Value::Object(value)).unwrap().verify().unwrap_err();
        assert!(matches!(error, DeviceObjectError::MissingSignature { .. }), "{error}");
    }
    let mut value = object.into_value();
    value["signatures"]["@alice:example.org"][key_id()] = "%".into();
    let error = DeviceObject::parse(value).unwrap().verify().unwrap_err();
    assert!(matches!(error, DeviceObjectError::SignatureNotBase64 { .. }), "{error}");
}

#[test]
fn somebody_elses_signature_does_not_do() {
    let (alice, bob) = (device("alice", "ABC"), device("alice", "ABC"));
    let mut value = alice.object().unwrap().into_value();
    value["signatures"] = bob.object().unwrap().value()["signatures"].clone();
    let error = DeviceObject::parse(value).unwrap().verify().unwrap_err();
    assert!(matches!(error, DeviceObjectError::BadSignature { .. }), "{error}");
}

#[test]
fn a_device_with_mls_lists_the_credential_that_goes_with_it() {
    let device = device("alice", "ABC");
    for algorithm in ["m.mls.v1.dhkemp256-aes128gcm-sha256-p256", "m.mls.v1.", "m.mls.v1.future"] {
        let object = signed_again(&device, |value| {
            value["algorithms"].as_array_mut().unwrap().push(algorithm.into());
        });
        let error = object.verify().unwrap_err();
        assert!(
            matches!(&error, DeviceObjectError::MissingCredential { algorithm: a } if a == algorithm),
            "{error}"
        );
    }
    // Algorithms that are not of MLS, or none at all, ask for nothing.
    for algorithms in [json!([]), json!(["org.example.own"])] {
        let object = signed_again(&device, |value| value["algorithms"] = algorithms);
        assert!(!object.verify().unwrap().supports(Suite::MANDATORY));
    }
}

#[test]
fn keys_of_unknown_algorithms_are_reported_but_not_trusted() {
    let device = device("alice", "ABC");
    let future = "m.mls.v1.credential.mldsa65:ABC";
    let other = "org.example.key:ABC";
    let credential = DeviceCredential::new(address("alice", "ABC"), vec![7; 1952]).unwrap();
    let with = |signatures: &Value| {
        let mut object = signed_again(&device, |value| {
            value["keys"][future] = BASE64.encode(credential.encode().unwrap()).into();
            value["keys"][other] = "whatever".into();
        })
        .into_value();
        for (key_id, signature) in signatures.as_object().unwrap() {
            object["signatures"]["@alice:example.org"][key_id] = signature.clone();
        }
        DeviceObject::parse(object).unwrap()
    };
    let verified = with(&json!({ future: "AAAA", other: "AAAA" })).verify().unwrap();
    assert_eq!(verified.unverified_keys().collect::<Vec<_>>(), [future, other]);
    assert!(verified.supports(Suite::MANDATORY));

    let error = with(&json!({ future: "AAAA" })).verify().unwrap_err();
    assert!(matches!(&error, DeviceObjectError::MissingSignature { key_id } if key_id == other), "{error}");
}

#[test]
fn a_device_without_a_known_key_is_worth_nothing() {
    let mut value = device("alice", "ABC").object().unwrap().into_value();
    value["algorithms"] = json!([]);
    value["keys"] = json!({});
    let error = DeviceObject::parse(value.clone()).unwrap().verify().unwrap_err();
    assert!(matches!(error, DeviceObjectError::NoKnownKey), "{error}");
    value["keys"] = json!({ "org.example.key:ABC": "x" });
    value["signatures"] = json!({ "@alice:example.org": { "org.example.key:ABC": "AAAA" } });
    let error = DeviceObject::parse(value).unwrap().verify().unwrap_err();
    assert!(matches!(error, DeviceObjectError::NoKnownKey), "{error}");
}

#[test]
fn numbers_that_would_be_rounded_cannot_be_signed() {
    let object = device("alice", "ABC").object().unwrap();
    for (number, fine) in [
        (json!(9_007_199_254_740_991_u64), true),
        (json!(-9_007_199_254_740_991_i64), true),
        (json!(9_007_199_254_740_992_u64), false),
        (json!(u64::MAX), false),
        (json!(i64::MIN), false),
        (json!(1e300), false),
        (json!(1e-300), true),
        (json!(0.1), true),
    ] {
        let mut value = object.value().clone();
        value.insert("n".to_owned(), json!([{ "deep": number }]));
        assert_eq!(signed_bytes(&value).is_ok(), fine, "{number}");
        let error = DeviceObject::parse(Value::Object(value)).unwrap().verify().unwrap_err();
        assert_eq!(matches!(error, DeviceObjectError::NotCanonicalisable(_)), !fine, "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_ids_make_an_object_that_verifies(user_id in "\\PC{1,60}", device_id in "\\PC{1,60}") {
        let device = Device::generate(user_id, device_id, Suite::MANDATORY).unwrap();
        let object = device.object().unwrap();
        let text = serde_json::to_string(object.value()).unwrap();
        let parsed = DeviceObject::parse(serde_json::from_str(&text).unwrap()).unwrap();
        let verified = parsed.verify().unwrap();
        prop_assert_eq!(verified.address(), device.address());
    }
}
