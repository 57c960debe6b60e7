//! What a message says, and what clients show of it.

use mimi_linearized::content::inside::belongs_inside;
use mimi_linearized::content::mimi::{MimiContent, MimiError, Part};
use mimi_linearized::content::render::{Capabilities, Rendering, Shown, render, render_mimi};
use mimi_linearized::content::{Content, ContentError};
use mimi_linearized::json::Object;
use serde_json::Value;

use super::{CheckError, Checked, Kind, Remark, counted};

/// Whether bytes begin as MIMI content does: an array of seven elements.
pub(super) fn is_mimi(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x87)
}

/// Checks an object with `type` and `content`, as it would be in an event or inside an encrypted one.
pub(super) fn check(document: &Value) -> Result<Checked, CheckError> {
    let form = CheckError::Form("a message is an object with a text `type` and an object `content`");
    let kind = document.get("type").and_then(Value::as_str);
    let content = document.get("content").and_then(Value::as_object);
    let (Some(kind), Some(content)) = (kind, content) else { return Err(form) };
    let mut remarks = Vec::new();
    match Content::parse(kind, content.clone()) {
        Ok(parsed) => {
            let specified = parsed
                .kind()
                .facts()
                .map_or_else(String::new, |facts| format!(", as {} has it", facts.specified));
            remarks.push(Remark::note(format!("{kind} is {}{specified}", parsed.kind())));
            if let Some(ignored) = parsed.relations().ignored {
                remarks.push(
                    Remark::note(format!("its relation does not count: {ignored}"))
                        .at("/content/m.relates_to".to_owned())
                        .requires("MF-01/2/182")
                        .help("the event is shown by itself"),
                );
            }
        }
        Err(error) => remarks.push(fault(&error)),
    }
    if !belongs_inside(kind) {
        remarks.push(
            Remark::note("servers have to see events of this type: it is not encrypted").requires("R57"),
        );
    }
    remarks.extend(shown(kind, content));
    Ok(Checked::of(Kind::Content, Vec::new(), 1, remarks))
}

/// Why the content is not what its type says.
fn fault(error: &ContentError) -> Remark {
    Remark::fault(error.to_string())
        .at("/content".to_owned())
        .requires("MF-01/2/113")
        .help("clients show it as something else that it is, or by its text")
}

/// What is shown by a client that knows the kind, and by one that does not.
fn shown(kind: &str, content: &Object) -> Vec<Remark> {
    let known = render(kind, content, &Capabilities::all());
    let unknown = render(kind, content, &Capabilities::of([]));
    compared(&known, &unknown, "a client that knows it", "a client without the feature")
}

fn compared(known: &Rendering, unknown: &Rendering, who: &str, other: &str) -> Vec<Remark> {
    let second = if unknown.text == known.text && unknown.html == known.html {
        Remark::note(format!("{other} shows the same"))
    } else {
        describe(other, unknown)
    };
    vec![describe(who, known), second]
}

fn describe(client: &str, rendering: &Rendering) -> Remark {
    let Rendering { shown, text, html, .. } = rendering;
    match shown {
        Shown::Nothing => Remark::note(format!("{client} shows nothing")),
        _ => Remark::note(format!("{client} shows as text: {text}")).help(format!("as HTML: {html}")),
    }
}

/// Checks a message in MIMI content.
pub(super) fn check_mimi(bytes: &[u8]) -> Checked {
    let remarks = match MimiContent::parse(bytes) {
        Ok(content) => {
            let (known, unknown) = [Capabilities::all(), Capabilities::of([]).without_html()]
                .map(|able| render_mimi(&content, &able))
                .into();
            let mut remarks = vec![Remark::note(format!("a message in MIMI content: {}", summary(&content)))];
            remarks.extend(compared(
                &known,
                &unknown,
                "a client that knows HTML and Markdown",
                "a client without them",
            ));
            remarks
        }
        Err(MimiError { fault, offset }) => vec![
            Remark::fault(fault.to_string())
                .at(format!("byte {offset}"))
                .requires("R57")
                .accepts("draft-ietf-mimi-content-08, encoded deterministically"),
        ],
    };
    Checked::of(Kind::Content, Vec::new(), 1, remarks)
}

/// The parts of a message, and what it is about.
fn summary(content: &MimiContent) -> String {
    let mut told = vec![counted(content.body.walk().count(), "part")];
    let part = |part: &Part| match part {
        Part::Null => "nothing".to_owned(),
        Part::Single { content_type, content } => {
            format!("{content_type} of {}", counted(content.len(), "byte"))
        }
        Part::External(external) => format!("{} at {}", external.content_type, external.url),
        Part::Multi { semantics, .. } => format!("{semantics:?}"),
    };
    told.extend(content.body.walk().map(|(index, nested)| format!("{} {}", index.0, part(&nested.part))));
    for (what, id) in [("replaces", content.replaces), ("in reply to", content.in_reply_to)] {
        told.extend(id.map(|id| format!("{what} {id}")));
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use mimi_linearized::content::mimi::{Disposition, MARKDOWN, NestedPart};
    use mimi_linearized::version::RoomVersions;
    use serde_json::json;

    use super::*;
    use crate::check::check;

    fn checked(bytes: &[u8], kind: Kind) -> Checked {
        check(bytes, kind, None, RoomVersions::lm_04().default_version()).unwrap()
    }

    fn told(document: &Value) -> (bool, String) {
        let checked = checked(document.to_string().as_bytes(), Kind::Auto);
        assert_eq!(checked.kind, Kind::Content);
        let lines =
            checked.remarks.iter().flat_map(|remark| [Some(remark.what.clone()), remark.help.clone()]);
        (checked.ok, lines.flatten().collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_message_is_explained() {
        let poll = json!({
            "question": {"m.text": "Which?"}, "kind": "m.poll.disclosed", "answers": [{"id": "a", "m.text": "This"}],
        });
        let document =
            json!({"type": "m.poll.start", "content": {"m.text": "in short: which?", "m.poll.start": poll}});
        let (ok, said) = told(&document);
        assert!(ok && said.contains("m.poll.start is a poll, as MSC3381 has it"), "{said}");
        let (known, unknown) = said.split_once("a client without the feature").unwrap();
        assert!(known.contains("This") && !known.contains("in short"), "{said}");
        assert!(unknown.contains("in short: which?"), "{said}");
    }

    #[test]
    fn what_is_wrong_is_a_fault_and_what_is_only_odd_is_not() {
        let (ok, said) = told(&json!({"type": "m.message", "content": {"m.text": 5}}));
        assert!(!ok && said.contains("m.text"), "{said}");
        let odd = json!({"type": "m.message", "content": {"m.text": "x", "m.relates_to": "$a"}});
        let (ok, said) = told(&odd);
        assert!(ok && said.contains("its relation does not count"), "{said}");
        let (ok, said) = told(&json!({"type": "m.room.redaction", "content": {"redacts": "$a"}}));
        assert!(ok && said.contains("not encrypted"), "{said}");
        assert!(check(b"{}", Kind::Content, None, RoomVersions::lm_04().default_version()).is_err());
    }

    #[test]
    fn mimi_content_is_explained() {
        let mut bytes = MimiContent::new([1; 16], NestedPart::text("hello")).to_bytes().unwrap();
        for kind in [Kind::Auto, Kind::Content] {
            let good = checked(&bytes, kind);
            assert!(
                good.ok && good.remarks[0].what.contains("text/plain;charset=utf-8 of 5 bytes"),
                "{good:?}"
            );
        }
        let markdown = NestedPart::single(Disposition::Render, MARKDOWN, "*a* fish");
        let markdown = MimiContent::new([1; 16], markdown).to_bytes().unwrap();
        let remarks = checked(&markdown, Kind::Auto).remarks;
        let told: Vec<&str> = remarks.iter().map(|remark| remark.what.as_str()).collect();
        assert_eq!(
            told[1..],
            [
                "a client that knows HTML and Markdown shows as text: a fish",
                "a client without them shows as text: *a* fish"
            ]
        );
        bytes.push(0);
        let bad = checked(&bytes, Kind::Content);
        assert!(!bad.ok && bad.remarks[0].at.as_deref() == Some("byte 59"), "{bad:?}");
    }
}
