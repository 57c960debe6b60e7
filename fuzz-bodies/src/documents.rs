//! Texts: identifiers, JSON, base64, published keys, the header that authenticates requests.

use mimi_linearized::base64::{decode, decode_array, encode, encode_url_safe};
use mimi_linearized::id::{DeviceId, EventId, IdError, KeyId, RoomId, RoomVersionId, ServerName, UserId};
use mimi_linearized::json::{Value, canonical, strict};
use mimi_linearized::signing::{ServerKeyRing, ServerKeys, SigningKey};
use mimi_transport::request_auth::Credentials;

/// Every kind of identifier: what is accepted prints itself and has its parts.
pub fn identifiers(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    fn printed<T: ToString>(parsed: Result<T, IdError>, text: &str) {
        if let Ok(id) = parsed {
            assert_eq!(id.to_string(), text);
        }
    }
    printed(DeviceId::parse(text), text);
    printed(EventId::parse(text), text);
    printed(KeyId::parse(text), text);
    printed(RoomVersionId::parse(text), text);
    if let Ok(name) = ServerName::parse(text) {
        assert_eq!(name.as_str(), text);
        assert!(text.starts_with(name.host()) && text.is_ascii());
        let _ = (name.port(), name.is_contactable());
    }
    if let Ok(room) = RoomId::parse(text) {
        assert!(text.len() <= 255 && text.ends_with(room.namespace()));
        assert!(ServerName::parse(room.namespace()).is_ok());
    }
    if let Ok(user) = UserId::parse(text) {
        assert_eq!(
            UserId::new(user.localpart(), &user.server()).map(|user| user.to_string()),
            Ok(text.to_owned())
        );
    }
}

/// The strict reader: what it takes, every reader takes for the same.
pub fn strict_json(bytes: &[u8]) {
    let _ = strict::read(bytes)
        .map(|document| document.faults.iter().map(ToString::to_string).collect::<Vec<_>>());
    if let Ok(value) = strict::parse(bytes) {
        let other: Result<Value, _> = serde_json::from_slice(bytes);
        assert!(other.is_ok_and(|other| other == value), "two readers disagree");
    }
}

/// The canonical form of what the strict reader takes: another writer's, and a fixed point.
pub fn canonical_json(bytes: &[u8]) {
    let Ok(value) = strict::parse(bytes) else { return };
    let written = canonical::to_vec(&value);
    assert_eq!(
        serde_json_canonicalizer::to_vec(&value).ok().as_deref(),
        Some(&*written),
        "two writers disagree"
    );
    let read = strict::parse(&written).map(|value| canonical::to_vec(&value));
    assert!(read.is_ok_and(|again| again == written), "the canonical form is not its own");
}

/// Base64: what is decoded encodes to the same bytes, and any bytes survive.
pub fn base64(bytes: &[u8]) {
    assert!(decode(&encode(bytes)).is_ok_and(|decoded| decoded == bytes));
    let url_safe = encode_url_safe(bytes).replace('-', "+").replace('_', "/");
    assert_eq!(url_safe, encode(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let decoded = decode(text);
    let array = decode_array::<32>(text);
    if let Ok(decoded) = &decoded {
        assert!(decode(&encode(decoded)).is_ok_and(|again| again == *decoded));
        assert_eq!(array.is_some(), decoded.len() == 32 && text.len() <= 44, "{text}");
    } else {
        assert!(array.is_none());
    }
}

/// A published key response.
pub fn key_response(bytes: &[u8]) {
    let Ok(value) = strict::parse(bytes) else { return };
    let Ok(keys) = ServerKeys::parse(value) else { return };
    assert!(!keys.verify_keys().is_empty(), "it is signed by a key that it lists");
    let again = ServerKeys::parse(Value::Object(keys.as_object().clone()));
    assert!(again.is_ok_and(|again| again.verify_keys() == keys.verify_keys()));
    ServerKeyRing::new().add(&keys);
}

/// An `Authorization` header: what is read writes itself.
pub fn x_matrix(bytes: &[u8]) {
    let Ok(credentials) = Credentials::parse(bytes) else { return };
    let again = Credentials::parse(credentials.to_header().as_bytes());
    assert!(again.is_ok_and(|again| format!("{again:?}") == format!("{credentials:?}")));
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn identifier_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "example.org:5678",
        "127.0.0.1",
        "[::1]:80",
        "!abc:example.org",
        "@watch/for/slashes:example.org:8448",
        "$nKHVqt3iyLA_HEE8lT1yUaaVjjBRR-fAqpN4t7opadc",
        "ABCDEF",
        "ed25519:a_1",
        "I.1",
        "org.matrix.i-d.ralston-mimi-linearized-matrix.02",
    ])
}

pub(crate) fn json_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"b":[1,2.5,-0.0,1e-7,9007199254740991],"a":{"\ud83d\ude00":null,"\u20ac":true}}"#,
        r#"{"a":1,"a":2}"#,
        "[9007199254740992,1e300]",
        r#"["\u0000\u001f\"\\\/\b\f\n\r\t"]"#,
        r#""\ud800""#,
        "[[[[[[[[]]]]]]]]",
    ])
}

pub(crate) fn base64_seeds() -> Vec<Vec<u8>> {
    texts(&["Zg", "Zg==", "Zm9vYmFy", "-_8", "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"])
}

pub(crate) fn key_response_seeds() -> Vec<Vec<u8>> {
    let (Ok(name), Ok(id)) = (ServerName::parse("hub.example"), KeyId::ed25519("1")) else {
        return Vec::new();
    };
    let keys = ServerKeys::publish(&name, &SigningKey::from_seed(id, &[1; 32]), 1_700_000_000_000);
    vec![canonical::object_to_vec(keys.as_object())]
}

pub(crate) fn x_matrix_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"X-Matrix origin="a.example",destination="b.example",key="ed25519:0",sig="AAAA""#,
        r#"x-matrix  Origin=a.example , destination="b\.example", key="ed25519:0",signature=AAAA,x="\"""#,
        "Basic AAAA",
    ])
}
