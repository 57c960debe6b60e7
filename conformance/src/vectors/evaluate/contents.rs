//! What messages say.

use mimi_linearized::content::Content;
use mimi_linearized::content::attachment::EncryptedFile;
use mimi_linearized::content::inside::Plaintext;
use mimi_linearized::content::mimi::MimiContent;
use mimi_linearized::content::render::{Capabilities, render};
use serde::Deserialize;
use serde_json::json;

use super::super::oracle::hex;
use super::{Found, bytes, object, refused};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfType {
    #[serde(rename = "type")]
    kind: String,
    content: String,
}

pub(super) fn content(input: &OfType) -> Found {
    let object = object(&input.content, "content")?;
    let Ok(content) = Content::parse(&input.kind, object.clone()) else { return Ok(refused()) };
    let name = content.kind().facts().map(|facts| facts.event_type);
    let text = render(&input.kind, &object, &Capabilities::of([])).text;
    Ok(json!({"accepted": true, "kind": name, "text": text}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mimi {
    hex: String,
    sender: String,
    room: String,
}

pub(super) fn mimi(input: &Mimi) -> Found {
    let bytes = bytes(&input.hex, "hex")?;
    let id = MimiContent::parse(&bytes).and_then(|content| content.message_id(&input.sender, &input.room));
    Ok(id.map_or_else(|_| refused(), |id| json!({"accepted": true, "message_id": id.to_string()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inside {
    plaintext: String,
    content: String,
}

pub(super) fn plaintext(input: &Inside) -> Found {
    let outside = object(&input.content, "content")?;
    Ok(match Plaintext::read(input.plaintext.as_bytes(), &outside) {
        Ok(Plaintext::Event { event, .. }) => json!({
            "accepted": true, "format": "event", "type": event.kind,
            "relates_to": event.content.get("m.relates_to"),
        }),
        Ok(_) => json!({"accepted": true, "format": "mimi-content"}),
        Err(_) => refused(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    file: String,
    hex: String,
}

pub(super) fn file(input: &File) -> Found {
    let (file, mut bytes) = (object(&input.file, "file")?, bytes(&input.hex, "hex")?);
    let decrypted = EncryptedFile::parse(&file).is_ok_and(|file| file.decrypt(&mut bytes).is_ok());
    Ok(if decrypted { json!({"accepted": true, "hex": hex(&bytes)}) } else { refused() })
}
