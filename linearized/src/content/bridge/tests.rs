use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::attachment;
use super::super::mimi::{
    Aead, CborValue, Disposition, Expiration, ExtensionName, ExternalPart, HTML, MARKDOWN, MimiContent,
    NestedPart, PLAIN, Part, PartSemantics,
};
use super::super::testing::Counting;
use super::super::{Content, Kind};
use super::*;

/// Events `$N` are messages whose ids end in `N`.
struct Numbered;

impl Ids for Numbered {
    fn message_of(&self, event: &EventId) -> Option<MessageId> {
        event.as_str().strip_prefix('$')?.parse().ok().map(message)
    }

    fn event_of(&self, message: &MessageId) -> Option<EventId> {
        let number = message.as_bytes().last()?;
        (*message == self::message(*number)).then(|| EventId::parse(&format!("${number}")).unwrap())
    }
}

fn message(number: u8) -> MessageId {
    let mut bytes = [0; 32];
    (bytes[0], bytes[31]) = (1, number);
    MessageId::from_bytes(bytes).unwrap()
}

const SALT: [u8; 16] = [9; 16];

#[expect(clippy::needless_pass_by_value, reason = "contents are written where they are handed in")]
fn to(event_type: &str, content: Value) -> Result<Converted<MimiContent>, NoCounterpart> {
    let content = Content::parse(event_type, content.as_object().unwrap().clone()).unwrap();
    to_mimi(&content, SALT, &Numbered)
}

fn from(message: &MimiContent) -> Converted<Vec<Outgoing>> {
    let converted = from_mimi(message, &Numbered).unwrap();
    // What comes out is what we read ourselves.
    for event in &converted.value {
        let read = Content::parse(&event.event_type, event.content.clone());
        read.unwrap_or_else(|error| panic!("{} {:?}: {error}", event.event_type, event.content));
    }
    converted
}

fn body(part: NestedPart) -> MimiContent {
    MimiContent::new(SALT, part)
}

#[test]
fn what_has_a_counterpart_goes_there_and_back() {
    let reply = json!({"m.in_reply_to": {"event_id": "$3"}});
    let plain = NestedPart::text("a fish");
    let html = NestedPart::single(Disposition::Render, HTML, "<b>a fish</b>");
    let choose = |parts| {
        NestedPart::new(Disposition::Render, Part::Multi { semantics: PartSemantics::ChooseOne, parts })
    };
    let vendor = NestedPart::single(Disposition::Render, "text/vnd.x", "fish()");
    let mut answer = body(plain.clone());
    answer.in_reply_to = Some(message(3));
    let mut threaded = body(plain.clone());
    threaded.topic_id = message(4).as_bytes().to_vec();
    let mut threaded_answer = threaded.clone();
    threaded_answer.in_reply_to = Some(message(3));
    let mut edit = body(plain.clone());
    edit.replaces = Some(message(5));
    let mut deletion = body(NestedPart::new(Disposition::Render, Part::Null));
    deletion.replaces = Some(message(5));
    let mut reaction = body(NestedPart::single(Disposition::Reaction, PLAIN, "\u{1f41f}"));
    reaction.in_reply_to = Some(message(6));
    let array = json!([
        {"mimetype": "text/vnd.x", "body": "fish()"}, {"mimetype": "text/plain", "body": "a fish"},
    ]);
    let markdown = json!([
        {"mimetype": MARKDOWN, "body": "*a* fish"}, {"mimetype": "text/html", "body": "<p><em>a</em> fish</p>\n"},
        {"mimetype": "text/plain", "body": "a fish"},
    ]);
    for (message, event_type, content) in [
        (body(plain.clone()), "m.message", json!({"m.text": "a fish"})),
        (body(html.clone()), "m.message", json!({"m.html": "<b>a fish</b>"})),
        (
            body(choose(vec![html, plain.clone()])),
            "m.message",
            json!({"m.text": "a fish", "m.html": "<b>a fish</b>"}),
        ),
        (body(choose(vec![vendor, plain])), "m.message", json!({"m.message": array})),
        (
            body(NestedPart::single(Disposition::Render, MARKDOWN, "*a* fish")),
            "m.message",
            json!({"m.message": markdown}),
        ),
        (answer, "m.message", json!({"m.text": "a fish", "m.relates_to": reply})),
        (
            threaded,
            "m.message",
            json!({"m.text": "a fish", "m.relates_to": {
                "rel_type": "m.thread", "event_id": "$4", "is_falling_back": true, "m.in_reply_to": {"event_id": "$4"},
            }}),
        ),
        (
            threaded_answer,
            "m.message",
            json!({"m.text": "a fish", "m.relates_to": {
                "rel_type": "m.thread", "event_id": "$4", "is_falling_back": false, "m.in_reply_to": {"event_id": "$3"},
            }}),
        ),
        (
            edit,
            "m.message",
            json!({"m.text": "a fish", "m.new_content": {"m.text": "a fish"}, "m.relates_to": {
                "rel_type": "m.replace", "event_id": "$5",
            }}),
        ),
        (deletion, "m.room.redaction", json!({"redacts": "$5"})),
        (
            reaction,
            "m.reaction",
            json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": "$6", "key": "\u{1f41f}"}}),
        ),
    ] {
        let there = from(&message);
        let event =
            Outgoing { event_type: event_type.to_owned(), content: content.as_object().unwrap().clone() };
        assert_eq!(there, Converted { value: vec![event], losses: vec![Loss::Salt] });
        assert_eq!(to(event_type, content), Ok(Converted { value: message, losses: vec![] }));
    }
}

#[test]
fn files_are_external_parts() {
    let block =
        json!({"url": "mxc://example.org/f", "name": "f.pdf", "mimetype": "application/pdf", "size": 12});
    let part = ExternalPart {
        content_type: "application/pdf".to_owned(),
        url: "mxc://example.org/f".to_owned(),
        size: 12,
        description: "read this".to_owned(),
        filename: "f.pdf".to_owned(),
        ..ExternalPart::default()
    };
    let wanted = body(NestedPart::new(Disposition::Attachment, Part::External(Box::new(part.clone()))));
    let content = json!({"m.text": "read this", "m.file": block});
    let there = to("m.file", content.clone()).unwrap();
    assert_eq!(there, Converted { value: wanted.clone(), losses: vec![Loss::Place] });
    assert_eq!(from(&wanted).value[0].content, *content.as_object().unwrap());
    assert_eq!(from(&wanted).losses, [Loss::Salt]);

    let image = ExternalPart { content_type: "image/png".to_owned(), ..part.clone() };
    let image = body(NestedPart::new(Disposition::Inline, Part::External(Box::new(image))));
    assert_eq!(
        (from(&image).value[0].event_type.as_str(), from(&image).losses),
        ("m.image", vec![Loss::Salt])
    );

    let elsewhere = ExternalPart { url: "https://example.org/f".to_owned(), ..part.clone() };
    let elsewhere =
        from(&body(NestedPart::new(Disposition::Attachment, Part::External(Box::new(elsewhere)))));
    assert_eq!(elsewhere.value[0].content["m.text"], "read this https://example.org/f");
    assert!(elsewhere.losses.contains(&Loss::Place));

    let sealed = ExternalPart { enc_alg: 1, key: vec![7; 16], nonce: vec![7; 12], ..part };
    let sealed = from(&body(NestedPart::new(Disposition::Attachment, Part::External(Box::new(sealed)))));
    assert_eq!(sealed.value[0].content, *json!({"m.text": "read this"}).as_object().unwrap());
    assert!(sealed.losses.contains(&Loss::Cipher));
}

#[test]
fn markdown_is_carried_with_what_it_looks_like() {
    let single = |source: &str| body(NestedPart::single(Disposition::Render, MARKDOWN, source));
    let array = |event: &Outgoing| event.content["m.message"].clone();
    // HTML in it is text, and a sender may not write it.
    let there = from(&single("a <b>fish</b>"));
    let wanted = json!([
        {"mimetype": MARKDOWN, "body": "a <b>fish</b>"},
        {"mimetype": "text/html", "body": "<p>a &lt;b&gt;fish&lt;/b&gt;</p>\n"},
        {"mimetype": "text/plain", "body": "a <b>fish</b>"},
    ]);
    assert_eq!(array(&there.value[0]), wanted);
    let back = to("m.message", json!({"m.message": wanted})).unwrap();
    assert_eq!(back.value, single("a &lt;b>fish&lt;/b>"));
    // Renderings that say something else are something else to choose from.
    let mut other = wanted;
    other[2]["body"] = json!("a bird");
    let other = to("m.message", json!({"m.message": other})).unwrap();
    assert!(matches!(other.value.body.part, Part::Multi { ref parts, .. } if parts.len() == 3));
    // What is too large to be shown comes as it is written.
    let large = "*a* ".repeat(2_000);
    let there = from(&single(&large));
    assert_eq!(array(&there.value[0]).as_array().map(Vec::len), Some(2));
    let back = to("m.message", Value::Object(there.value[0].content.clone())).unwrap();
    assert_eq!(back.value, single(&large));
    // Written as a choice of its own, it comes back as one text.
    let part = |content_type, source: &str| NestedPart::single(Disposition::Render, content_type, source);
    let parts = vec![part(MARKDOWN, "*a*"), part(HTML, "<p><em>a</em></p>\n"), part(PLAIN, "a")];
    let choice = Part::Multi { semantics: PartSemantics::ChooseOne, parts };
    assert_eq!(from(&body(NestedPart::new(Disposition::Render, choice))).losses, [Loss::Salt, Loss::Parts]);
}

/// A bridge that has brought one file over, from either side to the other.
struct Brought {
    file: Object,
    part: ExternalPart,
}

impl Ids for Brought {
    fn message_of(&self, _: &EventId) -> Option<MessageId> {
        None
    }

    fn event_of(&self, _: &MessageId) -> Option<EventId> {
        None
    }

    fn file_of(&self, part: &ExternalPart) -> Option<Object> {
        (part.url == self.part.url).then(|| self.file.clone())
    }

    fn part_of(&self, file: &Object) -> Option<ExternalPart> {
        (file["url"] == self.file["url"]).then(|| self.part.clone())
    }
}

/// The whole way of an encrypted file from one side to the other: decrypted, encrypted anew, and decrypted there.
#[test]
fn an_encrypted_file_is_brought_over() {
    let mut rng = Counting(1);
    let mut bytes = b"what is in the file".to_vec();
    let mut there =
        Aead::Aes128Gcm.seal(&mut rng, &mut bytes).unwrap().at("https://example.org/f", "image/png");
    (there.filename, there.description) = ("fish.png".to_owned(), "a fish".to_owned());
    let message = body(NestedPart::new(Disposition::Inline, Part::External(Box::new(there.clone()))));

    there.open(&mut bytes).unwrap();
    let file = attachment::encrypt(&mut rng, &mut bytes).at("mxc://example.org/f").to_json();
    let bridge = Brought { file, part: there };
    let event = from_mimi(&message, &bridge).unwrap();
    assert_eq!((event.losses, event.value[0].event_type.as_str()), (vec![Loss::Salt], "m.image"));
    let content = event.value[0].content.clone();
    let sent = attachment::EncryptedFile::parse(content["m.file"].as_object().unwrap()).unwrap();
    sent.decrypt(&mut bytes).unwrap();
    assert_eq!(bytes, b"what is in the file");
    assert_eq!((&content["m.text"], &content["m.file"]["size"]), (&json!("a fish"), &json!(19)));

    let content = Content::parse("m.image", content).unwrap();
    let back = to_mimi(&content, SALT, &bridge).unwrap();
    assert_eq!((back.value, back.losses), (message, vec![]));

    // In the older form the file is elsewhere in the content.
    for (member, value) in [("file", Value::Object(bridge.file.clone())), ("url", bridge.file["url"].clone())]
    {
        let older = json!({
            "msgtype": "m.image", "body": "a fish", "filename": "fish.png", member: value,
            "info": {"mimetype": "image/png", "size": 19},
        });
        let content = Content::parse("m.room.message", older.as_object().unwrap().clone()).unwrap();
        let Part::External(part) = to_mimi(&content, SALT, &bridge).unwrap().value.body.part else {
            panic!()
        };
        assert_eq!(*part, bridge.part, "{member}");
        // Nobody knows of it here.
        let lost = to_mimi(&content, SALT, &Numbered).unwrap().losses;
        let loss = if member == "file" { Loss::Cipher } else { Loss::Place };
        assert!(lost.contains(&loss), "{member}: {lost:?}");
    }
}

/// Each loss happens, and no conversion has one that is not in the table for its way.
#[test]
fn every_loss_of_the_table_happens() {
    let mut seen = std::collections::BTreeSet::new();
    let mut events = |event_type: &str, content: Value, losses: &[Loss]| {
        let converted = to(event_type, content).unwrap();
        assert_eq!(converted.losses, losses, "{event_type}");
        assert!(converted.value.to_bytes().is_ok());
        seen.extend(converted.losses.iter().map(|loss| (*loss, false)));
    };
    events("m.emote", json!({"m.text": "waves"}), &[Loss::Kind]);
    events("org.example.any", json!({"m.text": "x"}), &[Loss::Kind]);
    let answers = json!([{"id": "a", "m.text": "A"}]);
    let poll = json!({"question": {"m.text": "Which?"}, "kind": "m.poll.disclosed", "answers": answers});
    events("m.poll.start", json!({"m.text": "Which? A", "m.poll.start": poll}), &[Loss::Structure]);
    events("m.message", json!({"m.text": "x", "org.example.mood": "wet"}), &[Loss::Members]);
    let image = json!({"msgtype": "m.image", "body": "f.png", "url": "mxc://example.org/f", "info": {"w": 1, "h": 1}});
    events("m.room.message", image, &[Loss::Media, Loss::Place]);
    let key = json!({
        "kty": "oct", "key_ops": ["encrypt", "decrypt"], "alg": "A256CTR", "ext": true,
        "k": "__________________________________________8",
    });
    let file = json!({
        "url": "mxc://example.org/f", "name": "f", "key": key, "v": "v2", "iv": "//////////8AAAAAAAAAAA",
        "hashes": {"sha256": "YzF08lARDdOCzJpzuSwsjTNlQc4pHxpdHcXiD/wpK6k"},
    });
    events("m.file", json!({"m.text": "f", "m.file": file}), &[Loss::Cipher]);
    let reply = json!({"m.in_reply_to": {"event_id": "$unknown"}});
    events("m.message", json!({"m.text": "x", "m.relates_to": reply}), &[Loss::Reference]);
    events("m.room.redaction", json!({"redacts": "$1", "reason": "spam"}), &[Loss::Reason]);

    let mut messages = |change: &dyn Fn(&mut MimiContent), losses: &[Loss]| {
        let mut message = body(NestedPart::text("x"));
        change(&mut message);
        assert!(message.to_bytes().is_ok());
        let converted = from(&message);
        assert_eq!(converted.losses, losses, "{message:?}");
        seen.extend(converted.losses.iter().map(|loss| (*loss, true)));
    };
    messages(&|_| {}, &[Loss::Salt]);
    messages(&|message| message.expires = Some(Expiration::After(1)), &[Loss::Salt, Loss::Expiration]);
    messages(&|message| message.topic_id = b"garden".to_vec(), &[Loss::Salt, Loss::Topic]);
    let unknown = MessageId::from_bytes([1; 32]).unwrap();
    messages(&|message| message.in_reply_to = Some(unknown), &[Loss::Reference, Loss::Salt]);
    let named = |message: &mut MimiContent| {
        drop(message.extensions.insert(ExtensionName::Private(0), CborValue::Null));
    };
    messages(&named, &[Loss::Salt, Loss::Extensions]);
    messages(&|message| message.extensions = message.extensions.clone().with_uris("a", "b"), &[Loss::Salt]);
    messages(&|message| message.body.language = "en".to_owned(), &[Loss::Salt, Loss::Language]);
    messages(&|message| message.body.disposition = Disposition::Icon, &[Loss::Salt, Loss::Disposition]);
    let all = |message: &mut MimiContent| {
        let parts = vec![NestedPart::text("a"), NestedPart::text("b")];
        message.body.part = Part::Multi { semantics: PartSemantics::ProcessAll, parts };
    };
    messages(&all, &[Loss::Salt, Loss::Parts]);
    let inline = |message: &mut MimiContent| {
        message.body = NestedPart::single(Disposition::Inline, "image/gif", [0xff; 4]);
    };
    messages(&inline, &[Loss::Salt, Loss::Inline]);
    let external = |change: fn(&mut ExternalPart)| {
        move |message: &mut MimiContent| {
            let mut part = ExternalPart { url: "mxc://example.org/f".to_owned(), ..ExternalPart::default() };
            change(&mut part);
            message.body = NestedPart::new(Disposition::Attachment, Part::External(Box::new(part)));
        }
    };
    let sealed = external(|part| (part.enc_alg, part.key, part.nonce) = (1, vec![0; 16], vec![0; 12]));
    messages(&sealed, &[Loss::Cipher, Loss::Salt, Loss::Disposition]);
    messages(
        &external(|part| part.url = "https://a/".to_owned()),
        &[Loss::Place, Loss::Salt, Loss::Disposition],
    );
    messages(&external(|part| part.expires = 1), &[Loss::Salt, Loss::File]);
    messages(&external(|part| part.size = u64::MAX), &[Loss::Salt, Loss::File]);
    let table = LOSSES.map(|(loss, direction, ..)| (loss, direction == Direction::FromMimi));
    assert_eq!(seen, std::collections::BTreeSet::from(table));
}

#[test]
fn the_page_has_the_table() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/mimi-content.md"));
    let (to, from) = page.split_once("From MIMI content to events:").unwrap();
    let rows = |text: &str| {
        text.lines().filter(|line| line.ends_with("` |")).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let (_, to) = to.split_once("From an event to MIMI content:").unwrap();
    for (direction, found) in [(Direction::ToMimi, rows(to)), (Direction::FromMimi, rows(from))] {
        let wanted = LOSSES.into_iter().filter(|(_, of, ..)| *of == direction);
        let wanted: Vec<_> =
            wanted.map(|(loss, _, place, stays)| format!("| {place} | {stays} | `{loss:?}` |")).collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn what_has_no_counterpart_says_so() {
    let none = |event_type: &str, content| to(event_type, content).unwrap_err();
    let vote = json!({
        "m.poll.response": {"answers": ["a"]}, "m.relates_to": {"rel_type": "m.reference", "event_id": "$1"},
    });
    assert_eq!(none("m.poll.response", vote), NoCounterpart::EventType("m.poll.response".to_owned()));
    assert_eq!(none("org.example.any", json!({})), NoCounterpart::EventType("org.example.any".to_owned()));
    assert_eq!(none("m.room.redaction", json!({"redacts": "$unknown"})), NoCounterpart::Unknown);
    let nothing = body(NestedPart::new(Disposition::Render, Part::Null));
    assert_eq!(from_mimi(&nothing, &Numbered).unwrap_err(), NoCounterpart::Empty);
    let mut edit = body(NestedPart::text("x"));
    edit.replaces = Some(MessageId::from_bytes([1; 32]).unwrap());
    assert_eq!(from_mimi(&edit, &Numbered).unwrap_err(), NoCounterpart::Unknown);
}

#[test]
fn what_is_no_text_of_ours_is_named_and_of_a_choice_one_is_taken() {
    let latin =
        from(&body(NestedPart::single(Disposition::Render, "text/plain; charset=ISO-8859-1", "fish")));
    assert_eq!(latin.value[0].content["m.text"], "[text/plain; charset=ISO-8859-1, 4 bytes]");
    assert_eq!(latin.losses, [Loss::Salt, Loss::Inline]);
    let file = |name: &str| {
        let url = format!("mxc://example.org/{name}");
        let part = ExternalPart { content_type: "image/png".to_owned(), url, ..ExternalPart::default() };
        NestedPart::new(Disposition::Inline, Part::External(Box::new(part)))
    };
    for (semantics, events) in [(PartSemantics::ChooseOne, 1), (PartSemantics::ProcessAll, 2)] {
        let parts = vec![file("a"), file("b")];
        let there = from(&body(NestedPart::new(Disposition::Render, Part::Multi { semantics, parts })));
        assert_eq!(there.value.len(), events, "{semantics:?}");
        assert_eq!(there.value[0].content["m.file"]["url"], "mxc://example.org/a");
        assert!(there.losses.contains(&Loss::Parts));
    }
}

#[test]
fn several_reactions_are_several_events() {
    let one = |emoji: &str| NestedPart::single(Disposition::Reaction, PLAIN, emoji);
    let parts = vec![one("\u{2764}"), one("\u{1f973}")];
    let all = Part::Multi { semantics: PartSemantics::ProcessAll, parts };
    let mut reactions = body(NestedPart::new(Disposition::Reaction, all));
    reactions.in_reply_to = Some(message(1));
    let events = from(&reactions);
    let key = |event: &Outgoing| event.content["m.relates_to"]["key"].as_str().unwrap().to_owned();
    assert_eq!(events.value.iter().map(key).collect::<Vec<_>>(), ["\u{2764}", "\u{1f973}"]);
    assert_eq!(events.losses, [Loss::Salt, Loss::Parts]);
}

fn some_message() -> impl Strategy<Value = MimiContent> {
    let types =
        prop::sample::select(vec![PLAIN, HTML, MARKDOWN, "text/vnd.x", "image/png", "text/x;charset=latin1"]);
    let dispositions = prop::sample::select(vec![
        Disposition::Render,
        Disposition::Render,
        Disposition::Render,
        Disposition::Reaction,
        Disposition::Inline,
        Disposition::Attachment,
        Disposition::Other(40),
    ]);
    let url = prop::sample::select(vec!["mxc://example.org/f", "https://example.org/f", "mxc://"]);
    let external = (url, "[a-c]{0,2}", "[a-c]{0,2}", 0_u64..3, types.clone(), 0_u32..2).prop_map(
        |(url, description, filename, size, content_type, expires)| {
            Part::External(Box::new(ExternalPart {
                content_type: content_type.to_owned(),
                url: url.to_owned(),
                description,
                filename,
                size,
                expires: expires / 2,
                ..ExternalPart::default()
            }))
        },
    );
    let single = (types, "[a-c]{0,2}").prop_map(|(content_type, body)| Part::Single {
        content_type: content_type.to_owned(),
        content: body.into(),
    });
    let part = |of: BoxedStrategy<Part>| {
        (dispositions.clone(), of).prop_map(|(disposition, part)| NestedPart::new(disposition, part)).boxed()
    };
    let leaf = prop_oneof![4 => single, 3 => external, 1 => Just(Part::Null)].boxed();
    let semantics = prop::sample::select(vec![PartSemantics::ChooseOne, PartSemantics::ProcessAll]);
    let multi = (semantics, prop::collection::vec(part(leaf.clone()), 2..4))
        .prop_map(|(semantics, parts)| Part::Multi { semantics, parts });
    let any_part = part(prop_oneof![3 => leaf, 1 => multi].boxed());
    let id = || prop::option::weighted(0.3, (0_u8..9).prop_map(message));
    let topic =
        prop_oneof![3 => Just(Vec::new()), 1 => (0_u8..9).prop_map(|n| message(n).as_bytes().to_vec())];
    (any_part, id(), id(), topic).prop_map(|(part, replaces, in_reply_to, topic_id)| MimiContent {
        replaces,
        in_reply_to,
        topic_id,
        ..body(part)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_loses_nothing_comes_back_as_it_was(message in some_message()) {
        let Ok(there) = from_mimi(&message, &Numbered) else { return Ok(()) };
        for event in &there.value {
            let content = Content::parse(&event.event_type, event.content.clone());
            prop_assert!(content.is_ok(), "{:?}: {:?}", event, content);
        }
        if there.losses != [Loss::Salt] {
            return Ok(());
        }
        prop_assert_eq!(there.value.len(), 1);
        let event = &there.value[0];
        let content = Content::parse(&event.event_type, event.content.clone()).unwrap();
        let back = to_mimi(&content, message.salt, &Numbered).unwrap();
        prop_assert_eq!(back.value, message);
        let only_place = back.losses.is_empty() || back.losses == [Loss::Place];
        prop_assert!(only_place && content.kind() != Kind::Unknown, "{:?}", back.losses);
    }
}
