//! Published keys: answers to `GET /_matrix/key/v2/server`, or what a notary makes of them.

use mimi_linearized::json::Object;
use mimi_linearized::signing::{KeyError, ServerKeys, ServerKeysError};
use serde_json::Value;

use super::explain::pointer;
use super::{CheckError, Checked, Kind, Remark};

/// The answers in a document: one, an array of them, or a notary's `server_keys`.
pub(super) fn responses(value: Value) -> Result<Vec<Value>, CheckError> {
    match value {
        Value::Array(responses) => Ok(responses),
        Value::Object(mut object) => match object.remove("server_keys") {
            Some(Value::Array(responses)) => Ok(responses),
            Some(_) => Err(CheckError::Form("`server_keys` is an array of answers")),
            None => Ok(vec![Value::Object(object)]),
        },
        _ => Err(CheckError::Form("a key response is an object, or there is an array of them")),
    }
}

/// Checks answers.
pub(super) fn check(value: Value) -> Result<Checked, CheckError> {
    let responses = responses(value)?;
    if responses.is_empty() {
        return Err(CheckError::Form("there is no key response in it"));
    }
    let total = responses.len();
    let several = total != 1;
    let mut remarks = Vec::new();
    for (index, response) in responses.into_iter().enumerate() {
        let name = response.get("server_name").and_then(Value::as_str).map(ToOwned::to_owned);
        let found = match ServerKeys::parse(response) {
            Ok(keys) => advice(&keys),
            Err(error) => vec![refused(&error)],
        };
        remarks.extend(found.into_iter().map(|mut remark| {
            remark.index = several.then_some(index);
            remark.event = name.as_ref().map(|name| format!("keys of {name}"));
            remark
        }));
    }
    Ok(Checked::of(Kind::Keys, Vec::new(), total, remarks))
}

fn refused(error: &ServerKeysError) -> Remark {
    let remark = Remark::fault(error.to_string());
    match error {
        ServerKeysError::NotAnObject => remark
            .requires("LM-04/12.4.1.2/6")
            .accepts("an object with `server_name`, `valid_until_ts` and `verify_keys`"),
        ServerKeysError::Field(field) => {
            let (requirement, accepted) = match *field {
                "server_name" => ("LM-04/12.4.1.2/3", "the name of the server that answers"),
                "valid_until_ts" => ("LM-04/12.4.1.2/4", "an integer of milliseconds since the Unix epoch"),
                "old_verify_keys" => {
                    ("LM-04/12.4.1.2/7", "key id to `{\"key\": base64, \"expired_ts\": milliseconds}`")
                }
                _ => ("LM-04/12.4.1.2/6", "key id to `{\"key\": base64}`"),
            };
            remark.requires(requirement).at(pointer(&[field])).accepts(accepted)
        }
        ServerKeysError::ServerName(_) => {
            let accepted = "a host name, and perhaps a port; no IP address";
            remark.requires("LM-04/12.4.1.2/3").at(pointer(&["server_name"])).accepts(accepted)
        }
        ServerKeysError::Key { id, error } => {
            let (requirement, accepted) = match error {
                KeyError::Encoding => ("LM-04/6/4", "32 bytes in base64"),
                _ => ("R08", "the canonical encoding of a point of the prime-order group"),
            };
            remark.requires(requirement).at(pointer(&["verify_keys", id.as_str(), "key"])).accepts(accepted)
        }
        ServerKeysError::Signature(_) => {
            let accepted =
                "a signature of that server by one of its `verify_keys`, over all but `signatures`";
            remark.requires("LM-04/12.4.1.2/2").at(pointer(&["signatures"])).accepts(accepted)
        }
        _ => remark.requires("LM-04/12.4.1.2/2"),
    }
}

/// What an answer should have and lacks.
fn advice(keys: &ServerKeys) -> Vec<Remark> {
    let object: &Object = keys.as_object();
    let mut remarks = Vec::new();
    if object.get("m.linearized") != Some(&Value::Bool(true)) {
        let note = Remark::note("`m.linearized` is not `true`").requires("LM-04/12.4.1.2/5");
        remarks.push(note.at(pointer(&["m.linearized"])).accepts("`true`"));
    }
    for field in ["verify_keys", "old_verify_keys"] {
        for id in object.get(field).and_then(Value::as_object).into_iter().flatten().map(|(id, _)| id) {
            if mimi_linearized::id::KeyId::parse(id).is_err() {
                let note = Remark::note(format!("the key {id} is left aside")).requires("LM-04/6/3");
                remarks.push(
                    note.at(pointer(&[field, id])).accepts("`ed25519:` and letters, digits or underscores"),
                );
            }
        }
    }
    remarks
}
