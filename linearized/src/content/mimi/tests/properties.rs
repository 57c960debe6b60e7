use super::*;

fn message_id() -> impl Strategy<Value = MessageId> {
    any::<[u8; 31]>().prop_map(|rest| {
        let mut bytes = [1; 32];
        bytes[1..].copy_from_slice(&rest);
        MessageId::from_bytes(bytes).unwrap()
    })
}

fn value() -> impl Strategy<Value = CborValue> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(CborValue::Unsigned),
        any::<u64>().prop_map(CborValue::Negative),
        any::<Vec<u8>>().prop_map(CborValue::Bytes),
        ".{0,9}".prop_map(CborValue::Text),
        any::<bool>().prop_map(CborValue::Bool),
        Just(CborValue::Null),
        Just(CborValue::Undefined),
        (32_u8..).prop_map(CborValue::Simple),
        any::<f32>()
            .prop_filter("NaN is unlike itself", |n| !n.is_nan())
            .prop_map(|n| CborValue::Float(n.into())),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        let entries = prop::collection::btree_map(any::<u32>(), inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(CborValue::Array),
            // In the order of their encoding, in which they come back.
            entries.prop_map(|entries| {
                CborValue::Map(entries.into_iter().map(|(k, v)| (CborValue::Unsigned(k.into()), v)).collect())
            }),
            (4_u64.., inner).prop_map(|(tag, value)| CborValue::Tag(tag, Box::new(value))),
        ]
    })
}

fn leaf() -> impl Strategy<Value = Part> {
    prop_oneof![
        Just(Part::Null),
        (".{0,9}", any::<Vec<u8>>())
            .prop_map(|(content_type, content)| Part::Single { content_type, content }),
        (".{0,9}", ".{0,9}", any::<(u32, u64)>(), any::<([u8; 16], [u8; 12], [u8; 32])>()).prop_map(
            |(url, filename, (expires, size), (key, nonce, hash))| {
                Part::External(Box::new(ExternalPart {
                    url,
                    filename,
                    expires,
                    size,
                    enc_alg: 1,
                    key: key.to_vec(),
                    nonce: nonce.to_vec(),
                    hash_alg: 1,
                    content_hash: hash.to_vec(),
                    ..ExternalPart::default()
                }))
            }
        ),
    ]
}

fn nested(part: impl Strategy<Value = Part>) -> impl Strategy<Value = NestedPart> {
    (any::<u8>(), "[a-z]{0,3}", part).prop_map(|(disposition, language, part)| NestedPart {
        disposition: Disposition::from_number(disposition),
        language,
        part,
    })
}

pub(super) fn content() -> impl Strategy<Value = MimiContent> {
    let semantics = prop::sample::select(vec![
        PartSemantics::ChooseOne,
        PartSemantics::SingleUnit,
        PartSemantics::ProcessAll,
    ]);
    let multi = (semantics, prop::collection::vec(nested(leaf()), 2..5))
        .prop_map(|(semantics, parts)| Part::Multi { semantics, parts });
    let expires = prop_oneof![
        Just(None),
        any::<u32>().prop_map(|time| Some(Expiration::After(time))),
        any::<u32>().prop_map(|time| Some(Expiration::At(time))),
    ];
    let name = prop_oneof![
        (3_u64..10_000).prop_map(ExtensionName::Registered),
        (0_u64..10_000).prop_map(ExtensionName::Private),
        "[a-z.]{1,20}".prop_map(ExtensionName::Text),
    ];
    let extensions = prop::collection::btree_map(name, value(), 0..4);
    (
        any::<[u8; 16]>(),
        prop::option::of(message_id()),
        any::<Vec<u8>>(),
        expires,
        prop::option::of(message_id()),
        extensions,
        nested(prop_oneof![leaf(), multi]),
    )
        .prop_map(|(salt, replaces, topic_id, expires, in_reply_to, extensions, body)| {
            let mut content =
                MimiContent { replaces, topic_id, expires, in_reply_to, ..MimiContent::new(salt, body) };
            for (name, value) in extensions {
                content.extensions.insert(name, value);
            }
            content
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(content in content()) {
        let bytes = content.to_bytes().unwrap();
        prop_assert_eq!(MimiContent::parse(&bytes).unwrap(), content);
    }

    #[test]
    fn what_is_read_is_written_back(content in content(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = content.to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = MimiContent::parse(&bytes) {
            prop_assert_eq!(read.to_bytes().unwrap(), bytes);
        }
    }

    #[test]
    fn a_message_cut_short_is_refused(content in content(), at in any::<prop::sample::Index>()) {
        let bytes = content.to_bytes().unwrap();
        let error = MimiContent::parse(&bytes[..at.index(bytes.len())]).unwrap_err();
        prop_assert_eq!(error.fault, MimiFault::Cut);
    }

    #[test]
    fn no_bytes_stop_the_reader(bytes in any::<Vec<u8>>()) {
        let _ = MimiContent::parse(&bytes);
        let _ = StatusReport::parse(&bytes);
    }
}
