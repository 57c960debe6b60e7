use proptest::prelude::*;

use super::*;

mod examples;
mod properties;

use examples::examples;

const ROOM: &str = "mimi://example.com/r/engineering_team";

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn example(name: &str) -> (Vec<u8>, MimiContent) {
    let [_, _, _, hex] = examples().into_iter().find(|[example, ..]| *example == name).unwrap();
    let bytes = unhex(hex);
    let content = MimiContent::parse(&bytes).unwrap();
    (bytes, content)
}

#[test]
fn the_drafts_examples_have_the_drafts_ids() {
    let examples = examples();
    assert_eq!(examples.len(), 14);
    for [name, sender, id, hex] in examples {
        let bytes = unhex(hex);
        let content = MimiContent::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(content.to_bytes().unwrap(), bytes, "{name}");
        let sender = format!("mimi://example.com/u/{sender}");
        assert_eq!(content.message_id(&sender, ROOM).unwrap().to_string(), id, "{name}");
        assert_eq!(content.extensions.sender_uri(), Some(sender.as_str()), "{name}");
        assert_eq!(content.extensions.room_uri(), Some(ROOM), "{name}");
        assert_eq!(content.extensions.others().count(), 0, "{name}");
    }
}

fn id(name: &str) -> MessageId {
    let [_, _, hex, _] = examples().into_iter().find(|[example, ..]| *example == name).unwrap();
    MessageId::from_bytes(unhex(hex).try_into().unwrap()).unwrap()
}

#[test]
fn the_drafts_examples_say_what_they_say() {
    let (_, original) = example("original");
    assert_eq!(original.salt.as_slice(), unhex("5eed9406c2545547ab6f09f20a18b003"));
    let said = NestedPart::single(
        Disposition::Render,
        MARKDOWN,
        "Hi everyone, we just shipped release 2.0. __Good  work__!",
    );
    assert_eq!(original.body, said);
    assert_eq!((original.replaces, original.in_reply_to, original.expires), (None, None, None));

    let (_, reply) = example("reply");
    assert_eq!((reply.replaces, reply.in_reply_to), (None, Some(id("original"))));
    let (_, reaction) = example("reaction");
    assert_eq!(reaction.body, NestedPart::single(Disposition::Reaction, PLAIN, "\u{2764}"));
    let (_, html) = example("mention-html");
    assert!(matches!(&html.body.part, Part::Single { content_type, .. } if content_type == HTML));
    let (_, edit) = example("edit");
    assert_eq!((edit.replaces, edit.is_deletion()), (Some(id("reply")), false));
    let (_, delete) = example("delete");
    assert_eq!((delete.replaces, delete.is_deletion()), (Some(id("reply")), true));
    let (_, unlike) = example("unlike");
    assert_eq!((unlike.replaces, unlike.body.disposition), (Some(id("reaction")), Disposition::Reaction));
    let (_, expiring) = example("expiring");
    assert_eq!(expiring.expires, Some(Expiration::At(1_644_390_004)));
    let (_, conferencing) = example("conferencing");
    assert_eq!(conferencing.topic_id, b"Foo 118");
    assert_eq!(conferencing.body.disposition, Disposition::Session);

    let (_, attachment) = example("attachment");
    let Part::External(file) = &attachment.body.part else { panic!() };
    assert_eq!(attachment.body.language, "en");
    assert_eq!((file.size, file.enc_alg, file.hash_alg, file.expires), (708_234_961, 1, 1, 0));
    assert_eq!(file.key, unhex("21399320958a6f4c745dde670d95e0d8"));
    assert_eq!((file.filename.as_str(), file.content_type.as_str()), ("bigfile.mp4", "video/mp4"));
    assert!(!format!("{file:?}").contains("153, 50"), "the key is not shown");

    let (_, reactions) = example("multipart-2");
    let Part::Multi { semantics: PartSemantics::ProcessAll, parts } = &reactions.body.part else { panic!() };
    assert_eq!(parts.len(), 3);
}

/// The draft's table of the parts of its nested example.
#[test]
fn parts_are_counted_depth_first() {
    let (_, nested) = example("multipart-3");
    let kind = |part: &NestedPart| match &part.part {
        Part::Multi { semantics, .. } => format!("{semantics:?}"),
        Part::Single { content_type, .. } => format!("{} {}", part.language, content_type),
        other => format!("{other:?}"),
    };
    let parts: Vec<String> = nested.body.walk().map(|(_, part)| kind(part)).collect();
    let html = |language| format!("{language} {HTML}");
    let one = ["ProcessAll".to_owned(), "ChooseOne".to_owned(), html("en"), html("fr")];
    let mut wanted = vec!["ChooseOne".to_owned()];
    for picture in [" image/gif", " image/png"] {
        wanted.extend(one.iter().cloned().chain([picture.to_owned()]));
    }
    assert_eq!(parts, wanted);
    for (place, uri) in [(5, "cid:5@local.invalid"), (10, "cid:10@local.invalid")] {
        assert_eq!(PartIndex::from_cid(uri), Some(PartIndex(place)));
        assert_eq!(PartIndex(place).cid(), uri);
        let found = nested.body.find(PartIndex(place)).unwrap();
        assert_eq!(found.disposition, Disposition::Inline);
    }
    // Not a part with content, and none at all.
    assert_eq!(nested.body.find(PartIndex(0)), None);
    assert_eq!(nested.body.find(PartIndex(11)), None);
    for uri in ["cid:05@local.invalid", "cid:@local.invalid", "cid:+5@local.invalid", "cid:5@other", "5"] {
        assert_eq!(PartIndex::from_cid(uri), None, "{uri}");
    }
}

#[test]
fn a_status_report_is_the_drafts() {
    let one = |name, status: u8| format!("825820{}{status:02x}", id(name));
    let hex =
        format!("84{}{}{}{}", one("original", 2), one("reply", 2), one("mention", 0), one("expiring", 3),);
    let report = StatusReport::parse(&unhex(&hex)).unwrap();
    let wanted = vec![
        (id("original"), MessageStatus::Read),
        (id("reply"), MessageStatus::Read),
        (id("mention"), MessageStatus::Unread),
        (id("expiring"), MessageStatus::Expired),
    ];
    assert_eq!(report, StatusReport(wanted));
    assert_eq!(report.to_bytes(), unhex(&hex));
    for (bad, fault) in [
        ("80 00", MimiFault::Trailing),
        ("81 81 00", MimiFault::Length { field: "PerMessageStatus", found: 1, wanted: "2" }),
        ("9f ff", MimiFault::Indefinite),
        ("a0", MimiFault::Type { field: "MessageStatusReport", wanted: "an array" }),
    ] {
        assert_eq!(StatusReport::parse(&unhex(bad)).unwrap_err().fault, fault, "{bad}");
    }
}

/// A message with `body` in the place of what it says, and `extensions` in that of its extensions.
fn with(extensions: &str, body: &str) -> Vec<u8> {
    unhex(&format!("87 50 {} f6 40 f6 f6 {extensions} {body}", "00".repeat(16)))
}

const NULL_PART: &str = "83 01 60 00";

#[test]
fn what_is_no_message_is_refused_where_it_is_wrong() {
    let fault = |bytes: &[u8]| MimiContent::parse(bytes).unwrap_err().fault;
    let wrong = |field, wanted| MimiFault::Type { field, wanted };
    assert!(MimiContent::parse(&with("a0", NULL_PART)).is_ok());
    for (body, wanted) in [
        // The disposition as a negative number, and too large.
        ("83 20 60 00", wrong("disposition", "a number up to 255")),
        ("83 19 0100 60 00", wrong("disposition", "a number up to 255")),
        ("83 01 40 00", wrong("language", "a text")),
        ("83 01 61 ff 00", MimiFault::NotUtf8),
        ("83 01 60 04", wrong("cardinality", "0, 1, 2 or 3")),
        (
            "84 01 60 00 00",
            MimiFault::Length { field: "nestedPart", found: 4, wanted: "3, as a null part has" },
        ),
        (
            "83 01 60 01",
            MimiFault::Length { field: "nestedPart", found: 3, wanted: "5, as a single part has" },
        ),
        ("85 01 60 03 03 82 83 01 60 00 83 01 60 00", wrong("partSemantics", "0, 1 or 2")),
        (
            "85 01 60 03 00 81 83 01 60 00",
            MimiFault::Length { field: "parts", found: 1, wanted: "2 or more" },
        ),
        ("85 01 60 01 60 60", wrong("content", "a byte string")),
        ("85 01 60 01 60 41", MimiFault::Cut),
        ("85 01 60 01 60 5b ffffffffffffffff", MimiFault::Cut),
        ("85 01 60 01 60 5f 41 00 ff", MimiFault::Indefinite),
        ("9f 01 60 00 ff", MimiFault::Indefinite),
        // Encoded longer than need be.
        ("83 18 01 60 00", MimiFault::NotDeterministic),
        ("83 01 78 00 00", MimiFault::NotDeterministic),
        ("83 01 60 00 00", MimiFault::Trailing),
        ("83 01 60 1c", MimiFault::Syntax),
    ] {
        assert_eq!(fault(&with("a0", body)), wanted, "{body}");
    }
    let other = |from: &str, to: &str| {
        let hex: String = with("a0", NULL_PART).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(hex.contains(from));
        unhex(&hex.replacen(from, to, 1))
    };
    assert_eq!(fault(&other("f640f6f6", "f640f658")), MimiFault::Cut);
    assert_eq!(fault(&other("f640f6f6", "0040f6f6")), wrong("replaces", "a byte string or null"));
    assert_eq!(fault(&other("f640f6f6", "4100 40f6f6")), wrong("replaces", "32 bytes"));
    let unknown = format!("5820{}40f6f6", "07".repeat(32));
    assert_eq!(
        fault(&other("f640f6f6", &unknown)),
        MimiFault::HashAlgorithm { field: "replaces", algorithm: 7 }
    );
    assert_eq!(
        fault(&other("f640f6f6", "f640 82f41b0000000100000000 f6")),
        wrong("time", "a number of 32 bits")
    );
    assert_eq!(
        fault(&other("f640f6f6", "f640 81f4 f6")),
        MimiFault::Length { field: "expires", found: 1, wanted: "2" }
    );
    assert_eq!(fault(&other("f640f6f6", "f640 820000 f6")), wrong("relative", "a truth value"));
    let long = format!("f6 59 1001 {} f6f6", "00".repeat(4097));
    assert_eq!(fault(&other("f640f6f6", &long)), MimiFault::TopicId(4097));
    assert_eq!(
        fault(&unhex("86 00 00 00 00 00 00")),
        MimiFault::Length { field: "mimiContent", found: 6, wanted: "7" }
    );
    assert_eq!(fault(&[]), MimiFault::Cut);
    assert_eq!(MimiContent::parse(&with("a0", "83 01 40 00")).unwrap_err().offset, 25);
}

#[test]
fn extensions_are_held_to_their_rules() {
    let outcome =
        |extensions: &str| MimiContent::parse(&with(extensions, NULL_PART)).map_err(|error| error.fault);
    for good in [
        "a1 01 60",
        // Private names: −1, and a text.
        "a2 20 01 61 61 02",
        // The draft's own example of four levels, with a tag.
        "a2 01 78 18 6d696d693a2f2f612e6578616d706c652f752f616c696365 19 0100 82 82 42 1234 d820 72 687474703a2f2f6578616d706c652e636f6d 82 42 3456 19 168b",
        "a1 20 a2 01 00 41 00 00",
        "a1 20 f9 7e00",
        "a1 20 f9 3c00",
        "a1 20 f7",
        "a1 20 f8 20",
        // An integer that no 64 bits have.
        "a1 20 c2 49 010000000000000000",
        // The largest keys.
        "a1 1b 001fffffffffffff 00",
        "a1 3b 001ffffffffffffe 00",
    ] {
        let content = outcome(good).unwrap_or_else(|fault| panic!("{good}: {fault}"));
        assert_eq!(content.to_bytes().unwrap(), with(good, NULL_PART), "{good}");
    }
    for (bad, wanted) in [
        ("80", MimiFault::Type { field: "mimiExtensions", wanted: "a map" }),
        ("a1 01 01", MimiFault::Type { field: "mimiExtensions", wanted: "a map with texts under 1 and 2" }),
        ("a1 00 00", MimiFault::Key),
        ("a1 60 00", MimiFault::Key),
        ("a1 41 00 00", MimiFault::Key),
        ("a1 80 00", MimiFault::ExtensionDepth),
        ("a1 1b 0020000000000000 00", MimiFault::Key),
        ("a1 3b 001fffffffffffff 00", MimiFault::Key),
        ("a2 20 00 20 00", MimiFault::DuplicateKey),
        ("a2 21 00 20 00", MimiFault::NotDeterministic),
        // The order of RFC 7049's canonical form: shorter keys first.
        ("a2 20 00 18 64 00", MimiFault::NotDeterministic),
        ("a1 20 a2 02 00 01 00", MimiFault::NotDeterministic),
        ("a1 20 a2 01 00 01 00", MimiFault::DuplicateKey),
        ("a1 20 a1 f4 00", MimiFault::Key),
        ("a1 20 81 81 81 80", MimiFault::ExtensionDepth),
        ("a1 20 f9 7e01", MimiFault::NotANumber),
        ("a1 20 fa 7fc00000", MimiFault::NotANumber),
        ("a1 20 fa 3f800000", MimiFault::NotDeterministic),
        ("a1 20 f8 18", MimiFault::Syntax),
        ("a1 20 ff", MimiFault::Syntax),
        ("a1 20 c2 41 01", MimiFault::NotDeterministic),
        ("a1 20 c2 49 000100000000000000", MimiFault::NotDeterministic),
        ("a1 20 a1 3b 001fffffffffffff 00", MimiFault::Key),
        ("a1 20 bf ff", MimiFault::Indefinite),
        ("a1 20 62 c328", MimiFault::NotUtf8),
    ] {
        assert_eq!(outcome(bad).map(drop), Err(wanted), "{bad}");
    }
    let mut long = MimiContent::new([0; 16], NestedPart::text(""));
    long.extensions.insert(ExtensionName::Text("x".repeat(256)), CborValue::Null);
    assert_eq!(long.to_bytes().unwrap_err().fault, MimiFault::Key);
}

#[test]
fn depth_and_number_are_bounded() {
    let nest = |depth: usize| {
        let mut part = NestedPart::text("x");
        for _ in 1..depth {
            let parts = vec![part, NestedPart::text("y")];
            let part_of = Part::Multi { semantics: PartSemantics::ProcessAll, parts };
            part = NestedPart::new(Disposition::Render, part_of);
        }
        MimiContent::new([0; 16], part).to_bytes()
    };
    assert!(nest(4).is_ok());
    assert_eq!(nest(5).unwrap_err().fault, MimiFault::PartDepth);
    assert_eq!(nest(2000).unwrap_err().fault, MimiFault::PartDepth);
    let wide = |parts: usize| {
        let parts = vec![NestedPart::new(Disposition::Render, Part::Null); parts];
        let body =
            NestedPart::new(Disposition::Render, Part::Multi { semantics: PartSemantics::ProcessAll, parts });
        MimiContent::new([0; 16], body).to_bytes()
    };
    assert!(wide(1023).is_ok());
    assert_eq!(wide(1024).unwrap_err().fault, MimiFault::TooManyParts);
}

#[test]
fn what_is_elsewhere_fits_its_algorithms() {
    let with = |change: fn(&mut ExternalPart)| {
        let (_, mut content) = example("attachment");
        let Part::External(part) = &mut content.body.part else { panic!() };
        change(part);
        content.to_bytes().map_err(|error| error.fault)
    };
    assert!(with(|_| {}).is_ok());
    assert_eq!(with(|part| part.key.push(0)), Err(MimiFault::External("key")));
    assert_eq!(with(|part| part.nonce.clear()), Err(MimiFault::External("nonce")));
    assert_eq!(with(|part| part.enc_alg = 2), Err(MimiFault::External("key")));
    assert_eq!(with(|part| part.enc_alg = 0), Err(MimiFault::External("key")));
    assert_eq!(with(|part| part.content_hash.clear()), Err(MimiFault::External("contentHash")));
    assert_eq!(with(|part| part.hash_alg = 0), Err(MimiFault::External("contentHash")));
    // Nothing is known of others.
    assert!(with(|part| (part.enc_alg, part.hash_alg) = (30, 8)).is_ok());
    let plain = |part: &mut ExternalPart| *part = ExternalPart { aad: vec![1], ..ExternalPart::default() };
    assert_eq!(with(plain), Err(MimiFault::External("aad")));
}

#[test]
fn ids_tell_senders_and_rooms_apart() {
    let mut content = MimiContent::new([0; 16], NestedPart::text("x"));
    content.body.disposition = Disposition::Other(9);
    assert_eq!(MimiContent::parse(&content.to_bytes().unwrap()).unwrap(), content);
    let long = "x".repeat(65_536);
    assert_eq!(content.message_id(&long, ROOM).unwrap_err().fault, MimiFault::LongUri);
    assert_eq!(content.message_id(ROOM, &long).unwrap_err().fault, MimiFault::LongUri);
    assert_ne!(content.message_id("ab", "c").unwrap(), content.message_id("a", "bc").unwrap());
}
