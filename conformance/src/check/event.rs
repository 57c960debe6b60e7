//! One event, or one LPDU.

use std::sync::Arc;

use mimi_linearized::base64;
use mimi_linearized::event::{Integrity, Lpdu, Pdu, VerifiedPdu, hash, redact, reference_id};
use mimi_linearized::json::{Object, canonical};
use mimi_linearized::signing::{KeyRing, ServerKeyRing};
use mimi_linearized::version::{RoomVersion, RoomVersions};
use serde_json::Value;

use super::explain::{pointer, shape, signature};
use super::{Checked, Kind, Remark, Severity};

/// Checks a whole event by itself: its shape, its hashes, its signatures.
pub(super) fn check_pdu(object: &Object, keys: Option<&ServerKeyRing>, version: &RoomVersion) -> Checked {
    let id = reference_id(object, version).to_string();
    let mut remarks = Vec::new();
    match (keys, Pdu::from_object(object.clone(), version)) {
        (_, Err(error)) => remarks.push(shape(&error)),
        (Some(keys), Ok(pdu)) => match verify(pdu, object, keys) {
            Ok((_, found)) => remarks.extend(found),
            Err(remark) => remarks.push(*remark),
        },
        (None, Ok(_)) => {
            let mut redacted = object.clone();
            redact(&mut redacted, &version.redaction);
            remarks.extend(hashes(object, &redacted));
            remarks
                .push(Remark::note("signatures were not checked").help("give the servers' keys with --keys"));
        }
    }
    assumed(&mut remarks, version);
    Checked::of(Kind::Event, vec![id], 1, remarks).by(version)
}

/// Checks an LPDU by itself: its shape, its hash, its signature.
pub(super) fn check_lpdu(object: &Object, keys: Option<&ServerKeyRing>, version: &RoomVersion) -> Checked {
    let id = reference_id(object, version).to_string();
    let mut remarks = Vec::new();
    match Lpdu::from_object(object.clone(), version) {
        Err(error) => remarks.push(shape(&error)),
        Ok(lpdu) => {
            if lpdu.event().hub_server().is_none() {
                let remark =
                    Remark::fault("it names no `hub_server`, so that no hub takes it").requires("R10");
                let remark = remark.at(pointer(&["hub_server"])).accepts("the name of the room's hub");
                remarks.push(remark.help("a hub refuses it"));
            }
            remarks.extend(lpdu_hash(object));
            match keys.map(|keys| lpdu.verify(keys)) {
                None => {
                    let note = Remark::note("the signature was not checked");
                    remarks.push(note.help("give the server's keys with --keys"));
                }
                Some(Err(error)) => remarks.push(signature(&error)),
                Some(Ok(_)) => {}
            }
        }
    }
    assumed(&mut remarks, version);
    Checked::of(Kind::Lpdu, vec![id], 1, remarks).by(version)
}

/// Adds which version was assumed, where something is wrong: the shape of an event, its hashes and what is signed of it
/// depend on that.
fn assumed(remarks: &mut Vec<Remark>, version: &RoomVersion) {
    if remarks.iter().any(|remark| remark.severity == Severity::Fault) {
        let what = format!("it was read as an event of a room of version {}", version.id);
        remarks.push(Remark::note(what).help("if the room has another, name that with --room-version"));
    }
}

/// Verifies a PDU. What is wrong with its hashes comes beside it.
pub(super) fn verify(
    pdu: Pdu,
    original: &Object,
    keys: &impl KeyRing,
) -> Result<(VerifiedPdu, Vec<Remark>), Box<Remark>> {
    let verified = pdu.verify(keys).map_err(|error| Box::new(signature(&error)))?;
    let remarks = match verified.integrity() {
        Integrity::Intact => Vec::new(),
        Integrity::Redacted => hashes(original, verified.event().event().as_object()),
    };
    Ok((verified, remarks))
}

/// What is wrong with the content hashes of an event. `redacted` is what redaction leaves of it: an event that is its
/// own redacted form was redacted before, and its LPDU hash cannot match (reading R05).
fn hashes(original: &Object, redacted: &Object) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let claimed = |pointer: &[&str]| {
        let mut value = original.get("hashes");
        for step in pointer {
            value = value.and_then(|value| value.get(step));
        }
        value.and_then(Value::as_str).map(ToOwned::to_owned)
    };
    let without_unsigned = |object: &Object| {
        let mut object = object.clone();
        object.remove("unsigned");
        canonical::object_to_vec(&object)
    };
    let redacted_before = without_unsigned(original) == without_unsigned(redacted);
    let mut compare = |name: &str, claimed: Option<String>, computed: [u8; 32]| {
        let Some(claimed) = claimed else { return };
        if base64::decode_array::<32>(&claimed) == Some(computed) {
            return;
        }
        let computed = base64::encode(&computed);
        let what = format!("the content hash `{name}` is not that of the event: it is {claimed}");
        if redacted_before && name == "hashes.lpdu.sha256" {
            let note = Remark::note("it is a redacted copy: its contents did not match its sender's hash");
            remarks.push(note.requires("R05"));
        } else {
            let help =
                "the contents were changed after they were hashed; receivers keep the redacted event only";
            let remark = Remark::fault(what).requires("LM-04/5.1/11").accepts(computed);
            remarks.push(remark.at(pointer(&name.split('.').collect::<Vec<_>>())).help(help));
        }
    };
    compare("hashes.sha256", claimed(&["sha256"]), hash::pdu_content_hash(original));
    compare("hashes.lpdu.sha256", claimed(&["lpdu", "sha256"]), hash::lpdu_content_hash(original));
    remarks
}

fn lpdu_hash(object: &Object) -> Option<Remark> {
    let claimed = object.get("hashes")?.get("lpdu")?.get("sha256")?.as_str()?;
    let computed = hash::lpdu_content_hash(object);
    if base64::decode_array::<32>(claimed) == Some(computed) {
        return None;
    }
    let computed = base64::encode(&computed);
    let what = format!("the content hash is not that of the LPDU: it is {claimed}");
    let remark = Remark::fault(what).requires("LM-04/5.1/11").accepts(computed);
    Some(remark.at(pointer(&["hashes", "lpdu", "sha256"])).help("the hub will seal the redacted event"))
}

/// The version that a create event names. The default, if it names none that is known: that is refused later on.
pub(super) fn version_of<'v>(create: Option<&Object>, versions: &'v RoomVersions) -> &'v Arc<RoomVersion> {
    let name = create.and_then(|create| create.get("content")?.get("room_version")?.as_str());
    name.and_then(|name| versions.get(name)).unwrap_or_else(|| versions.default_version())
}
