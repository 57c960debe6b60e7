//! The version of drafts -00 and -01, whose LPDUs have no hashes.

use super::*;

fn version() -> RoomVersion {
    RoomVersion::draft_01()
}

fn lpdu_object() -> Object {
    let draft = draft("@bob:part.example", json!({"body": "hi"}));
    let lpdu = draft.into_lpdu(&hub(), &key(2), &version()).unwrap();
    assert_eq!(lpdu.lpdu_hash, None);
    serde_json::from_slice(&lpdu.bytes).unwrap()
}

/// What a hub would make of an LPDU, spelled out from the text of draft -01.
fn sealed(mut object: Object) -> Object {
    object.insert("auth_events".to_owned(), json!(["$create", "$member"]));
    object.insert("prev_events".to_owned(), json!(["$prev"]));
    let mut hashed = object.clone();
    hashed.remove("signatures");
    let hash = base64::encode(&hash::sha256(&canonical::object_to_vec(&hashed)));
    object.insert("hashes".to_owned(), json!({"sha256": hash}));
    let mut signed = object.clone();
    signed.remove("signatures");
    signed["content"] = json!({});
    let signature = key(1).sign(&canonical::object_to_vec(&signed)).to_base64();
    object["signatures"][hub().as_str()] = json!({"ed25519:1": signature});
    object
}

fn verify(object: Object) -> Result<VerifiedPdu, SignatureError> {
    Pdu::from_object(object, &version()).unwrap().verify(&ring())
}

#[test]
fn an_lpdu_is_signed_without_hashes_and_without_its_content() {
    let object = lpdu_object();
    let mut fields: Vec<_> = object.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["content", "hub_server", "origin_server_ts", "room_id", "sender", "signatures", "type"]
    );
    let mut signed = object.clone();
    signed.remove("signatures");
    signed["content"] = json!({});
    let signature = key(2).sign(&canonical::object_to_vec(&signed)).to_base64();
    assert_eq!(object["signatures"]["part.example"]["ed25519:1"], json!(signature));
    let lpdu = Lpdu::from_object(object, &version()).unwrap().verify(&ring()).unwrap();
    assert!(!lpdu.is_redacted());
}

#[test]
fn a_pdu_keeps_the_lpdus_signature_and_id() {
    let lpdu = Lpdu::from_object(lpdu_object(), &version()).unwrap();
    let pdu = verify(sealed(lpdu_object())).unwrap();
    assert_eq!(pdu.integrity(), Integrity::Intact);
    assert_eq!(pdu.event().lpdu_id(), Some(lpdu.id()));
    let mut forged = sealed(lpdu_object());
    forged["signatures"]["part.example"]["ed25519:1"] = json!(key(2).sign(b"x").to_base64());
    assert!(
        matches!(verify(forged), Err(SignatureError::Mismatch { server, .. }) if server == "part.example")
    );
}

#[test]
fn the_one_hash_covers_the_content() {
    let mut changed = sealed(lpdu_object());
    changed["content"]["body"] = json!("changed");
    let pdu = verify(changed).unwrap();
    assert_eq!(pdu.integrity(), Integrity::Redacted);
    assert_eq!(pdu.event().id(), verify(sealed(lpdu_object())).unwrap().event().id());
}

#[test]
fn only_the_hub_makes_hashes() {
    let mut lpdu = lpdu_object();
    lpdu.insert("hashes".to_owned(), json!({}));
    assert!(matches!(Lpdu::from_object(lpdu, &version()), Err(ShapeError::LpduHashed)));
    let mut pdu = sealed(lpdu_object());
    pdu["hashes"]["lpdu"] = json!({"sha256": "x"});
    assert!(matches!(Pdu::from_object(pdu, &version()), Err(ShapeError::LpduHashUnknown)));
    let mut pdu = sealed(lpdu_object());
    pdu["hashes"] = json!({});
    assert!(matches!(Pdu::from_object(pdu, &version()), Err(ShapeError::Missing("hashes.sha256"))));
}

#[test]
fn events_of_one_version_are_none_of_the_other() {
    let other = super::version();
    assert!(matches!(Lpdu::from_object(lpdu_object(), &other), Err(ShapeError::Missing("hashes"))));
    assert!(matches!(Lpdu::from_object(super::lpdu_object(), &version()), Err(ShapeError::LpduHashed)));
    assert!(matches!(
        Pdu::from_object(sealed(lpdu_object()), &other),
        Err(ShapeError::Missing("hashes.lpdu"))
    ));
}

#[test]
fn a_plus_is_no_part_of_a_senders_name() {
    let made = draft("@b+b:part.example", json!({})).into_lpdu(&hub(), &key(2), &version());
    assert!(matches!(made, Err(ShapeError::Id { field: "sender", .. })));
    assert!(draft("@b+b:part.example", json!({})).into_lpdu(&hub(), &key(2), &super::version()).is_ok());
}
