//! Evidence against a hub.

use mimi_linearized::auth::Rule;
use mimi_linearized::event::reference_id;
use mimi_linearized::participant::Evidence;
use mimi_linearized::participant::evidence::{Fault, Proved};
use mimi_linearized::signing::ServerKeyRing;
use mimi_linearized::version::RoomVersions;
use serde_json::Value;

use super::event::version_of;
use super::{CheckError, Checked, Kind, Remark};

/// Checks a document that accuses a hub: whether it shows what it claims.
pub(super) fn check(document: Value, keys: &ServerKeyRing) -> Result<Checked, CheckError> {
    let versions = RoomVersions::all();
    let version = version_of(document.get("create").and_then(Value::as_object), &versions);
    let evidence = Evidence::from_json(document).map_err(CheckError::Evidence)?;
    let ids = evidence.events().iter().map(|event| reference_id(event, version).to_string());
    let ids: Vec<String> = ids.collect();
    let remark = match evidence.verify(&versions, keys) {
        Ok(proved) => explain(&proved),
        Err(error) => {
            let what = format!("the claim `{}` is not proved: {error}", evidence.claim().as_str());
            Remark::fault(what).help("nothing is known of the hub by this document")
        }
    };
    let count = ids.len();
    Ok(Checked::of(Kind::Evidence, ids, count, vec![remark]).by(version))
}

/// What is proved, by which rule, and what the hub should have done.
fn explain(proved: &Proved) -> Remark {
    let rule: Rule = proved.rule();
    let help = match &proved.fault {
        Fault::Fork { .. } => "a list has one event after another; a hub seals one event for one place",
        Fault::SealedTwice { .. } => "a hub seals an LPDU once, however often it is sent",
        Fault::Forbidden { .. } => "a hub refuses such an event; participants reject it",
        Fault::IgnoredState { .. } => "an event cites the state just before it",
        _ => "a hub does not do that",
    };
    let mut remark = Remark::note(format!("proved: {proved}")).requires(rule.requirement()).help(help);
    remark.rule = Some(rule.to_string());
    remark
}
