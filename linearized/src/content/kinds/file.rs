//! Files: `m.file` (MSC3551), and the part of images, videos and sounds that is a file.

use ruma_common::MxcUri;
use ruma_events::file::{FileContentBlock, FileEventContent};
use serde_json::{Value, json};

use super::{need_text, part_with_text, without_relations};
use crate::content::names::{AUTOMATED, CAPTION, FILE, TEXT};
use crate::content::{ContentError, Kind, schema};
use crate::json::Object;

/// The members that an encrypted file has, all or none of them.
const ENCRYPTED: [&str; 4] = ["key", "iv", "hashes", "v"];

pub(in crate::content) fn read(content: &Object) -> Result<Box<FileEventContent>, ContentError> {
    let content = prepare(Kind::File, content)?;
    let file: Box<FileEventContent> = schema(Kind::File, &content)?;
    check(Kind::File, &file.file, &content)?;
    Ok(file)
}

/// What all kinds with a file have in common, in the form that ruma reads.
pub(super) fn prepare(kind: Kind, content: &Object) -> Result<Object, ContentError> {
    let mut content = without_relations(content);
    need_text(kind, &mut content, TEXT.unstable)?;
    part_with_text(kind, &mut content, CAPTION)?;
    AUTOMATED.to_unstable(&mut content);
    FILE.to_unstable(&mut content);
    if let Some(file) = content.get_mut(FILE.unstable).and_then(Value::as_object_mut) {
        // MF-01 lets a file have no name; ruma does not.
        file.entry("name").or_insert_with(|| json!(""));
    }
    Ok(content)
}

/// The rules that the types do not have: where the file is, and that it is encrypted wholly or not at all.
pub(super) fn check(kind: Kind, file: &FileContentBlock, content: &Object) -> Result<(), ContentError> {
    uri(kind, "url", &file.url)?;
    let written = FILE.find(content).and_then(Value::as_object);
    let means_encryption =
        written.is_some_and(|file| ENCRYPTED.iter().any(|member| file.contains_key(*member)));
    if means_encryption && file.encryption_info.is_none() {
        let rule = "has not all of what an encrypted file needs";
        return Err(ContentError::Rule { kind, field: "m.file", rule });
    }
    Ok(())
}

/// A content URI names a server and a medium.
pub(super) fn uri(kind: Kind, field: &'static str, uri: &MxcUri) -> Result<(), ContentError> {
    match uri.is_valid() {
        true => Ok(()),
        false => Err(ContentError::Rule { kind, field, rule: "is no `mxc://` URI of a server and a medium" }),
    }
}
