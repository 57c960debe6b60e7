use proptest::prelude::*;

use super::*;

const SIG: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw";

fn expected() -> Credentials {
    Credentials {
        origin: ServerName::parse("a.example.org:8448").unwrap(),
        destination: ServerName::parse("b.example.org").unwrap(),
        key: KeyId::parse("ed25519:k_1").unwrap(),
        signature: Signature::from_base64(SIG).unwrap(),
    }
}

fn parse(value: &str) -> Result<Credentials, HeaderError> {
    Credentials::parse(value.as_bytes())
}

fn with(tail: &str) -> Result<Credentials, HeaderError> {
    parse(&format!("X-Matrix destination=b.example.org,key=ed25519:k_1,sig=\"{SIG}\"{tail}"))
}

#[test]
fn the_value_has_the_drafts_order_and_quotes() {
    let header = expected().to_header();
    let text = format!(
        "X-Matrix origin=\"a.example.org:8448\",destination=\"b.example.org\",key=\"ed25519:k_1\",sig=\"{SIG}\""
    );
    assert_eq!(header.to_str().unwrap(), text);
    assert_eq!(parse(&text), Ok(expected()));
}

#[test]
fn every_grammatical_form_is_read() {
    let quoted = format!("\"{SIG}\"");
    for value in [
        format!(
            "x-mATRIX    ORIGIN=a.example.org:8448, destination=b.example.org, key=ed25519:k_1, Sig={quoted}"
        ),
        format!(
            "X-Matrix sig={quoted} ,\tkey = \"ed25519:k_1\" ,destination= b.example.org ,origin =a.example.org:8448"
        ),
        format!(
            "X-Matrix ,, origin=a.example.org:8448,,destination=b.example.org,key=ed25519:k_1,signature={quoted}, "
        ),
        format!(
            r#"X-Matrix origin="\a.ex\ample.org:8448",destination="b.example.org",key="ed25519\:k_1",sig={quoted}"#
        ),
        format!(
            "X-Matrix x=1,origin=a.example.org:8448,destination=b.example.org,key=ed25519:k_1,sig={quoted},x=\"\\\"é,\""
        ),
    ] {
        assert_eq!(parse(&value), Ok(expected()), "{value}");
    }
    // A signature that happens to be a token needs no quotes.
    let token = SIG.replace(['+', '/'], "A");
    assert!(parse(&format!("X-Matrix origin=a,destination=b,key=ed25519:1,sig={token}")).is_ok());
    assert!(with(",origin=a.example.org:8448").is_ok());
}

#[test]
fn what_is_not_the_scheme_fails() {
    for value in [
        "",
        "Bearer abc",
        "X-Matrixx origin=a",
        "X-Matrix,origin=a",
        "X-Matrix\torigin=a",
        "=",
        "\"X-Matrix\" ",
    ] {
        assert_eq!(parse(value), Err(HeaderError::Scheme), "{value}");
    }
    assert_eq!(parse("X-Matrix"), Err(HeaderError::Missing(Parameter::Origin)));
}

#[test]
fn malformed_lists_fail() {
    for tail in [
        ",origin=a b=c",
        ",origin",
        ",origin=",
        ",=a",
        ",origin=\"a",
        ",origin=\"a\\",
        ",origin=\"a\"b",
        ",origin=a/b",
        ";origin=a",
        ",origin=\"\"",
        ",origin=a,x=\"\u{7f}\"",
        ",origin=a,x=\"\\\n\"",
        ",origin=a\"",
        ",x y=1,origin=a",
    ] {
        assert!(matches!(with(tail), Err(HeaderError::Syntax { .. })), "{tail:?}: {:?}", with(tail));
    }
    assert_eq!(parse("X-Matrix a=\"b"), Err(HeaderError::Syntax { at: 13 }));
}

#[test]
fn known_parameters_occur_once() {
    for (tail, parameter) in [
        (",origin=a,origin=a", Parameter::Origin),
        (",origin=a,Origin=a", Parameter::Origin),
        (",origin=a,destination=b", Parameter::Destination),
        (",origin=a,key=c", Parameter::Key),
        (",origin=a,signature=d", Parameter::Signature),
    ] {
        assert_eq!(with(tail), Err(HeaderError::Duplicate(parameter)));
    }
    for missing in ["origin=a", "destination=b", "key=ed25519:1", "sig=x"] {
        let all = ["origin=a", "destination=b", "key=ed25519:1", "sig=x"];
        let rest: Vec<_> = all.into_iter().filter(|one| *one != missing).collect();
        let error = parse(&format!("X-Matrix {}", rest.join(","))).unwrap_err();
        let HeaderError::Missing(parameter) = error else { panic!("{missing} is not missed: {error}") };
        assert!(missing.starts_with(&parameter.to_string()));
    }
}

#[test]
fn values_follow_their_grammars() {
    for (value, parameter) in [
        ("X-Matrix origin=1.2.3.4,destination=b,key=ed25519:1,sig=x", Parameter::Origin),
        ("X-Matrix origin=\"\u{e9}\",destination=b,key=ed25519:1,sig=x", Parameter::Origin),
        ("X-Matrix origin=a,destination=b:x,key=ed25519:1,sig=x", Parameter::Destination),
        ("X-Matrix origin=a,destination=b,key=ed448:1,sig=x", Parameter::Key),
    ] {
        let error = parse(value).unwrap_err();
        assert!(
            matches!(error, HeaderError::Identifier { parameter: found, .. } if found == parameter),
            "{error}"
        );
    }
    assert_eq!(parse("X-Matrix origin=a,destination=b,key=ed25519:1,sig=x"), Err(HeaderError::Signature));
    assert_eq!(with(&format!(",x={}", "y".repeat(MAX_HEADER_BYTES))), Err(HeaderError::TooLong));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        // The last letter is none that the last label of an IP address may end in, as in `0xa`.
        origin in "[a-z][a-z0-9.-]{0,40}[g-w](:[1-9][0-9]{0,3})?",
        destination in "[a-z][a-z0-9.-]{0,40}[g-w]",
        version in "[A-Za-z0-9_]{1,20}",
        signature in any::<[u8; 32]>(),
    ) {
        let mut bytes = [7; 64];
        bytes[..32].copy_from_slice(&signature);
        let credentials = Credentials {
            origin: ServerName::parse(&origin).unwrap(),
            destination: ServerName::parse(&destination).unwrap(),
            key: KeyId::ed25519(&version).unwrap(),
            signature: Signature::from_bytes(bytes),
        };
        prop_assert_eq!(Credentials::parse(credentials.to_header().as_bytes()), Ok(credentials));
    }

    #[test]
    fn escapes_change_nothing(text in "[a-z]{1,20}", escaped in any::<u32>()) {
        let value: String = text
            .chars()
            .enumerate()
            .flat_map(|(i, c)| (escaped >> (i % 32) & 1 == 1).then_some('\\').into_iter().chain([c]))
            .collect();
        let parsed = with(&format!(",origin=\"{value}\"")).unwrap();
        prop_assert_eq!(parsed.origin.as_str(), text);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Credentials::parse(&bytes);
        let mut led = b"X-Matrix ".to_vec();
        led.extend(&bytes);
        let _ = Credentials::parse(&led);
    }

    #[test]
    fn almost_valid_text_is_read_without_panic(text in "X-Matrix [a-z=,\"\\\\ \t:]{0,60}") {
        let _ = Credentials::parse(text.as_bytes());
    }
}
