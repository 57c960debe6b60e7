//! MIMI content on its way through the target: bytes inside the encryption that no server reads.

use mimi_linearized::content::inside::Plaintext;
use mimi_linearized::content::mimi::{
    Disposition, Expiration, ExternalPart, HTML, MARKDOWN, MessageId, MimiContent, NestedPart, PLAIN, Part,
    PartSemantics, uri,
};
use serde_json::{Value, json};

use super::super::mls::group_room;
use crate::case::{Case, Finding, check, driven_case, fault};
use crate::cases::steps::{reference_id, text};
use crate::context::Context;
use crate::mls::welcome_message;

pub(in super::super) const CASES: &[Case] = &[driven_case!(
    Must,
    Hub,
    "4.5.2/mimi-content-inside",
    "an encrypted message in MIMI content, of every disposition, reaches the other devices byte for byte",
    ["R57", "R62"],
    inside
)];

/// A message, in words and as it is.
type Said = (&'static str, MimiContent);

/// A message that names its sender and its room.
struct Writer {
    sender: String,
    room: String,
    salts: u8,
}

impl Writer {
    fn message(&mut self, body: NestedPart) -> MimiContent {
        self.salts = self.salts.wrapping_add(1);
        let mut message = MimiContent::new([self.salts; 16], body);
        message.extensions = message.extensions.with_uris(&self.sender, &self.room);
        message
    }

    fn id(&self, message: &MimiContent) -> Result<MessageId, Finding> {
        message.message_id(&self.sender, &self.room).map_err(broken)
    }

    /// Messages of every disposition, and with every field in use.
    fn messages(&mut self) -> Result<Vec<Said>, Finding> {
        let first = self.message(NestedPart::single(
            Disposition::Render,
            MARKDOWN,
            "Hi, we *just* shipped.\n\n- [x] a\n- [ ] b",
        ));
        let about = self.id(&first)?;
        let mut said = vec![("a text in Markdown", first)];
        for (what, body) in bodies() {
            said.push((what, self.message(body)));
        }
        let mut reaction = self.message(NestedPart::single(Disposition::Reaction, PLAIN, "\u{2764}"));
        reaction.in_reply_to = Some(about);
        let unlike = MimiContent {
            replaces: Some(self.id(&reaction)?),
            in_reply_to: Some(about),
            ..self.message(NestedPart::new(Disposition::Reaction, Part::Null))
        };
        said.extend([("a reaction", reaction), ("a reaction that is taken back", unlike)]);
        let mut reply = self.message(NestedPart::text("Right on!"));
        (reply.in_reply_to, reply.topic_id) = (Some(about), b"Foo 118".to_vec());
        let edit = MimiContent {
            replaces: Some(self.id(&reply)?),
            in_reply_to: Some(about),
            ..self.message(NestedPart::text("Right on, all!"))
        };
        let delete = MimiContent {
            replaces: Some(self.id(&reply)?),
            ..self.message(NestedPart::new(Disposition::Render, Part::Null))
        };
        said.extend([("a reply in a topic", reply), ("an edit", edit), ("a deletion", delete)]);
        let expiring = MimiContent {
            expires: Some(Expiration::After(600)),
            ..self.message(NestedPart::text("gone in ten minutes"))
        };
        said.push(("a message that expires", expiring));
        Ok(said)
    }
}

/// What a message can be for.
fn bodies() -> Vec<(&'static str, NestedPart)> {
    let single = |disposition, content_type, content: &[u8]| {
        NestedPart::single(disposition, content_type, content.to_vec())
    };
    let external = |disposition, content_type: &str, url: &str| {
        let part = ExternalPart {
            content_type: content_type.to_owned(),
            url: url.to_owned(),
            description: "something elsewhere".to_owned(),
            ..ExternalPart::default()
        };
        NestedPart::new(disposition, Part::External(Box::new(part)))
    };
    let file = ExternalPart {
        content_type: "video/mp4".to_owned(),
        url: "https://example.org/storage/fish.mp4".to_owned(),
        expires: 4_000_000_000,
        size: 708_234_961,
        enc_alg: 1,
        key: vec![0x21; 16],
        nonce: vec![0xc8; 12],
        aad: b"with it".to_vec(),
        hash_alg: 1,
        content_hash: vec![0x9a; 32],
        description: "2 hours of fish".to_owned(),
        filename: "fish.mp4".to_owned(),
    };
    let mut french = single(Disposition::Render, HTML, "<b>Bienvenue, poisson</b>".as_bytes());
    french.language = "fr".to_owned();
    let mut english = single(Disposition::Render, HTML, b"<b>Welcome, fish</b>");
    english.language = "en,en-GB".to_owned();
    // No text in UTF-8: what is inside is bytes.
    let gif = single(Disposition::Inline, "image/gif", b"GIF89a\x01\x00\x01\x00\x80\xff\x00\xfe");
    let multi = |semantics, parts| NestedPart::new(Disposition::Render, Part::Multi { semantics, parts });
    let languages = multi(PartSemantics::ChooseOne, vec![english, french]);
    let unit = multi(PartSemantics::SingleUnit, vec![languages, gif.clone()]);
    vec![
        ("a part that nothing is said of", single(Disposition::Unspecified, PLAIN, b"a fish")),
        ("a profile", single(Disposition::Profile, "text/vcard", b"BEGIN:VCARD\r\nEND:VCARD\r\n")),
        ("an image inside", gif),
        ("an icon", external(Disposition::Icon, "image/png", "https://example.org/icon.png")),
        ("an encrypted attachment", NestedPart::new(Disposition::Attachment, Part::External(Box::new(file)))),
        ("a session", external(Disposition::Session, "", "https://example.org/join/12345")),
        ("a preview", single(Disposition::Preview, HTML, b"<p>what is behind the link</p>")),
        ("a disposition that nobody knows", single(Disposition::Other(200), "text/vnd.example", b"fish()")),
        ("parts inside parts", multi(PartSemantics::ProcessAll, vec![unit, NestedPart::text("a fish")])),
    ]
}

fn broken(error: impl std::fmt::Display) -> Finding {
    Finding::Suite(format!("MIMI content on the suite's side: {error}"))
}

async fn inside(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    let (id, carol) = (group.room.id.clone(), group.room.peer.user("carol")?);
    group.room.peer.join(&id, &carol).await?;
    let mut carol = ctx.device(&carol, "CAROL")?;
    let commit = group.bob.add(&id, &[&carol.key_package()?])?;
    let event = group.takes(&commit).await?;
    carol.join(&welcome_message(&commit, &event)?)?;

    let (sender, room) = (uri::user(&group.room.bob), uri::room(&id));
    let mut writer = Writer { sender, room, salts: 0 };
    for (what, message) in writer.messages()? {
        let bytes = message.to_bytes().map_err(broken)?;
        let content = group.bob.encrypt(&id, &bytes)?;
        let event = group.room.peer.draft(&id, &group.room.bob, "m.room.encrypted", content.clone());
        let event = group.room.accepts(&event).await?;
        let sealed = event.get("content").unwrap_or(&Value::Null);
        check!(*sealed == content, "{what} is sealed with other content: {sealed}");
        let listed =
            ctx.until_event(&id, what, |listed| reference_id(listed) == reference_id(&event)).await?;
        let as_listed = json!({"type": text(&listed, "type"), "content": listed.get("content")});
        check!(
            as_listed == json!({"type": "m.room.encrypted", "content": content}),
            "{what} is listed as {as_listed}"
        );

        let (sender, read) = carol.decrypt_bytes(&id, &listed)?;
        check!(sender == group.room.bob.as_str(), "{what} was encrypted by {sender}");
        check!(read == bytes, "{what} has other bytes when it is decrypted");
        let outside = listed.get("content").and_then(Value::as_object).cloned().unwrap_or_default();
        let opened = Plaintext::read(&read, &outside)
            .map_err(|error| fault(format!("what is inside {what}: {error}")))?;
        let Plaintext::Mimi(opened) = opened else {
            return Err(Finding::Suite("what was encrypted is no MIMI content".to_owned()));
        };
        check!(*opened == message, "{what} says something else when it is decrypted");
        let named = (opened.extensions.sender_uri(), opened.extensions.room_uri());
        check!(
            named == (Some(writer.sender.as_str()), Some(writer.room.as_str()))
                && writer.id(&opened)? == writer.id(&message)?,
            "{what} has another id when it is decrypted"
        );
    }
    Ok(())
}
