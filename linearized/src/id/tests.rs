use proptest::prelude::*;

use super::*;

#[test]
fn server_names() {
    for good in
        ["example.org", "example.org:5678", "localhost", "localhost:0", "EXAMPLE.org", "a-b.c", "a..b"]
    {
        assert!(ServerName::parse(good).is_ok(), "{good}");
    }
    let long = "a".repeat(256);
    for (bad, why) in [
        ("", IdError::Empty("the host")),
        (":80", IdError::Empty("the host")),
        ("a:", IdError::Port),
        ("a:123456", IdError::Port),
        ("a:12x", IdError::Port),
        ("a:1:2", IdError::Port),
        ("exa_mple.org", IdError::Character { part: "the host", found: '_' }),
        ("exämple.org", IdError::Character { part: "the host", found: 'ä' }),
        ("127.0.0.1", IdError::IpLiteral),
        ("127.0.0.1:8448", IdError::IpLiteral),
        ("127.0.0.1.", IdError::IpLiteral),
        ("127.1", IdError::IpLiteral),
        ("2130706433", IdError::IpLiteral),
        ("0x7f000001", IdError::IpLiteral),
        ("0x7f.0x1", IdError::IpLiteral),
        ("[::1]", IdError::IpLiteral),
        ("[::1]:8448", IdError::IpLiteral),
        (long.as_str(), IdError::TooLong { part: "the host", limit: 255 }),
    ] {
        assert_eq!(ServerName::parse(bad), Err(why), "{bad}");
    }
}

#[test]
fn server_names_compare_as_bytes() {
    assert_ne!(ServerName::parse("Example.org").unwrap(), ServerName::parse("example.org").unwrap());
}

#[test]
fn improper_names_are_uncontactable() {
    for name in ["a..b", "-a.org", "a-.org", "a.org.", "localhost:0", "localhost:65536"] {
        assert!(!ServerName::parse(name).unwrap().is_contactable(), "{name}");
    }
    let long_label = format!("{}.org", "a".repeat(64));
    assert!(!ServerName::parse(&long_label).unwrap().is_contactable());
    let name = ServerName::parse("a.example.org:443").unwrap();
    assert!(name.is_contactable());
    assert_eq!((name.host(), name.port()), ("a.example.org", Some(443)));
}

#[test]
fn room_ids() {
    for good in ["!abc:example.org", "!a.B~_-9:example.org:1", "!a:localhost:80"] {
        assert!(RoomId::parse(good).is_ok(), "{good}");
    }
    for bad in ["abc:example.org", "!:example.org", "!abc", "!a b:example.org", "!abc:1.2.3.4", "!a/b:x", ""]
    {
        assert!(RoomId::parse(bad).is_err(), "{bad}");
    }
    let fits = format!("!{}:example.org", "a".repeat(255 - "!:example.org".len()));
    assert_eq!(fits.len(), 255);
    assert!(RoomId::parse(&fits).is_ok());
    assert!(RoomId::parse(&fits.replacen('a', "aa", 1)).is_err());
    assert_eq!(RoomId::parse("!a:b:80").unwrap().namespace(), "b:80");
}

#[test]
fn user_ids() {
    let user = UserId::parse("@watch/for/slashes:example.org:80").unwrap();
    assert_eq!(user.localpart(), "watch/for/slashes");
    assert_eq!(user.server(), ServerName::parse("example.org:80").unwrap());
    for bad in
        ["@Alice:example.org", "@:example.org", "@al ice:example.org", "alice", "@alice", "@a:[::1]", "@ä:b"]
    {
        assert!(UserId::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn device_event_and_key_ids() {
    assert!(DeviceId::parse("ABC_9").is_ok());
    for bad in ["", "AB-C", "AB C", "ä"] {
        assert!(DeviceId::parse(bad).is_err(), "{bad}");
    }
    assert!(EventId::parse("$nKHVqt3iyLA_HEE8lT1yUaaVjjBRR-fAqpN4t7opadc").is_ok());
    for bad in ["$", "abc", "$a+b", "$a/b", "$a="] {
        assert!(EventId::parse(bad).is_err(), "{bad}");
    }
    assert!(KeyId::parse("ed25519:0_A").is_ok());
    for bad in ["ed25519", "ed25519:", "ed25519:a-b", "rsa:1", "Ed25519:1"] {
        assert!(KeyId::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn room_versions() {
    for good in ["1", "I.1", "org.example.my-room-version"] {
        assert!(RoomVersionId::parse(good).is_ok(), "{good}");
    }
    let long = "a".repeat(129);
    for bad in ["", "I.", "i.1A", "II.1", "a_b", "1 2", long.as_str()] {
        assert!(RoomVersionId::parse(bad).is_err(), "{bad}");
    }
    assert!(RoomVersionId::parse(&"a".repeat(128)).is_ok());
}

proptest! {
    #[test]
    fn no_text_panics_and_what_parses_prints_itself(text in "\\PC{0,80}") {
        if let Ok(id) = ServerName::parse(&text) { prop_assert_eq!(id.as_str(), &text); let _ = id.is_contactable(); }
        if let Ok(id) = RoomId::parse(&text) { prop_assert_eq!(id.to_string(), text.clone()); }
        if let Ok(id) = UserId::parse(&text) { prop_assert_eq!(id.to_string(), text.clone()); }
        let _ = (DeviceId::parse(&text), EventId::parse(&text), KeyId::parse(&text), RoomVersionId::parse(&text));
    }

    #[test]
    fn a_user_id_is_its_parts(local in "[a-z0-9._=/+-]{1,40}", server in "[a-z]{1,9}\\.[a-z]{2,5}(:[0-9]{1,5})?") {
        let server = ServerName::parse(&server).unwrap();
        let user = UserId::new(&local, &server).unwrap();
        prop_assert_eq!(user.localpart(), local);
        prop_assert_eq!(user.server(), server);
    }
}
