//! LPDUs and PDUs.

use mimi_linearized::event::{Draft, Incoming, Lpdu, Pdu, hash, redact, reference_id};
use mimi_linearized::json::{Object, Value, canonical, strict};
use mimi_linearized::version::{RoomVersion, RoomVersions};

use crate::room::Cast;

/// What holds for anything of the shape of an event.
fn always(object: &Object, version: &RoomVersion) {
    let id = reference_id(object, version);
    let mut redacted = object.clone();
    redact(&mut redacted, &version.redaction);
    assert_eq!(reference_id(&redacted, version), id, "redaction changes the id");
    let once = redacted.clone();
    redact(&mut redacted, &version.redaction);
    assert_eq!(redacted, once, "redacting twice changes something");
    let _ = (hash::pdu_content_hash(object), hash::lpdu_content_hash(object));
    assert_eq!(
        hash::lpdu_signing_bytes(object, &version.redaction),
        hash::lpdu_signing_bytes(&once, &version.redaction)
    );
}

/// A partial event: what is read prints itself, and is what a hub would take it for.
pub fn lpdu(bytes: &[u8]) {
    let versions = RoomVersions::lm_04();
    let version = versions.default_version();
    if let Ok(Value::Object(object)) = strict::parse(bytes) {
        always(&object, version);
        let is_lpdu = matches!(Incoming::from_object(object.clone(), version), Ok(Incoming::Lpdu(_)));
        assert_eq!(is_lpdu, Lpdu::from_object(object, version).is_ok());
    }
    let Ok(lpdu) = Lpdu::parse(bytes, version) else { return };
    let written = canonical::object_to_vec(lpdu.event().as_object());
    assert!(written.len() <= version.limits.event);
    assert!(Lpdu::parse(&written, version).is_ok_and(|again| again.id() == lpdu.id()));
    let id = lpdu.id().clone();
    if let Ok(verified) = lpdu.verify(&Cast::new().ring) {
        assert_eq!(*verified.id(), id);
        assert_eq!(reference_id(verified.event().as_object(), version), id);
    }
}

/// A whole event: what is read prints itself, and keeps its id when it is verified.
pub fn pdu(bytes: &[u8]) {
    let versions = RoomVersions::lm_04();
    let version = versions.default_version();
    if let Ok(Value::Object(object)) = strict::parse(bytes) {
        always(&object, version);
    }
    let Ok(pdu) = Pdu::parse(bytes, version) else { return };
    assert!(pdu.event().bytes().len() <= version.limits.event);
    assert!(
        Pdu::parse(pdu.event().bytes(), version).is_ok_and(|again| again.event().id() == pdu.event().id())
    );
    let id = pdu.event().id().clone();
    if let Ok(verified) = pdu.verify(&Cast::new().ring) {
        assert_eq!(*verified.event().id(), id);
        assert!(Pdu::parse(verified.event().bytes(), version).is_ok_and(|again| *again.event().id() == id));
    }
}

fn drafts(cast: &Cast) -> Vec<Draft> {
    ["m.room.message", "m.room.member", "m.room.power_levels", "m.mls.commit"]
        .into_iter()
        .map(|kind| {
            let mut draft = cast.draft(1, kind, Some(cast.user(1).as_str().to_owned()), Object::new());
            draft.content.insert("membership".to_owned(), Value::from("join"));
            draft.content.insert("users".to_owned(), Value::Object(Object::new()));
            draft
        })
        .collect()
}

pub(crate) fn lpdu_seeds() -> Vec<Vec<u8>> {
    let cast = Cast::new();
    let lpdus = drafts(&cast).into_iter().filter_map(|draft| cast.lpdu(draft));
    lpdus.map(|lpdu| lpdu.bytes.to_vec()).collect()
}

pub(crate) fn pdu_seeds() -> Vec<Vec<u8>> {
    let mut room = crate::room::Room::new(Cast::new());
    room.run(&[0, 3, 0, 1, 1, 1, 1, 0, 0]);
    room.list
}
