use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base64;
use crate::content::testing::Counting;
use crate::json::Object;

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => panic!(),
    }
}

fn file(k: &str, iv: &str, sha256: &str) -> Object {
    object(json!({
        "url": "mxc://example.org/file", "v": "v2", "iv": iv, "hashes": {"sha256": sha256},
        "key": {"kty": "oct", "key_ops": ["encrypt", "decrypt"], "alg": "A256CTR", "k": k, "ext": true},
    }))
}

const ONES: &str = "__________________________________________8";

/// The vectors that Matrix's implementations share: ciphertext, key, counter block, hash, plaintext. The last was of
/// version `v1`, which had the same cipher and let the counter begin anywhere.
const SHARED: [(&str, &str, &str, &str, &str); 4] = [
    (
        "",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "",
    ),
    (
        "5xJZTt5cQicm+9f4",
        ONES,
        "//////////8AAAAAAAAAAA",
        "YzF08lARDdOCzJpzuSwsjTNlQc4pHxpdHcXiD/wpK6k",
        "SGVsbG8sIFdvcmxk",
    ),
    (
        "zhtFStAeFx0s+9L/sSQO+WQMtldqYEHqTxMduJrCIpnkyer09kxJJuA4K+adQE4w+7jZe/vR9kIcqj9rOhDR8Q",
        ONES,
        "//////////8AAAAAAAAAAA",
        "IOq7/dHHB+mfHfxlRY5XMeCWEwTPmlf4cJcgrkf6fVU",
        "YWxwaGFudW1lcmljYWxseWFscGhhbnVtZXJpY2FsbHlhbHBoYW51bWVyaWNhbGx5YWxwaGFudW1lcmljYWxseQ",
    ),
    (
        "tJVNBVJ/vl36UQt4Y5e5m84bRUrQHhcdLPvS/7EkDvlkDLZXamBB6k8THbiawiKZ5Mnq9PZMSSbgOCvmnUBOMA",
        ONES,
        "/////////////////////w",
        "LYG/orOViuFwovJpv2YMLSsmVKwLt7pY3f8SYM7KU5E",
        "YWxwaGFudW1lcmljYWxseWFscGhhbnVtZXJpY2FsbHlhbHBoYW51bWVyaWNhbGx5YWxwaGFudW1lcmljYWxseQ",
    ),
];

#[test]
fn the_shared_vectors_are_decrypted() {
    for (ciphertext, k, iv, sha256, plaintext) in SHARED {
        let file = EncryptedFile::parse(&file(k, iv, sha256)).unwrap();
        let mut bytes = base64::decode(ciphertext).unwrap();
        file.decrypt(&mut bytes).unwrap();
        assert_eq!(base64::encode(&bytes), plaintext);
        assert_eq!(file.counts_from_zero(), !iv.ends_with('w'));
    }
}

/// NIST SP 800-38A, F.5.5.
#[test]
fn the_cipher_is_that_of_nist() {
    let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    let unhex = |text: &str| -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    };
    let plain = unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    let mut bytes = unhex("601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5");
    let iv = base64::encode(&unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"));
    let sha256 = base64::encode(&crate::event::hash::sha256(&bytes));
    let file = EncryptedFile::parse(&file(&base64::encode_url_safe(&unhex(key)), &iv, &sha256)).unwrap();
    file.decrypt(&mut bytes).unwrap();
    assert_eq!(bytes, plain);
}

#[test]
fn a_new_file_has_its_own_key_and_counts_from_zero() {
    let (mut rng, mut one, mut two) = (Counting(0), b"alike".to_vec(), b"alike".to_vec());
    let first = encrypt(&mut rng, &mut one).at("mxc://a/1");
    let second = encrypt(&mut rng, &mut two).at("mxc://a/2");
    assert_ne!(one, two);
    let iv = base64::encode(&[32, 33, 34, 35, 36, 37, 38, 39, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(first.to_json()["iv"], json!(iv));
    assert_ne!(first.to_json()["key"], second.to_json()["key"]);
    assert!(first.counts_from_zero());
    assert!(!format!("{first:?}").contains("31"), "the key is not shown");
    // The one is not decrypted as the other.
    assert_eq!(second.decrypt(&mut one), Err(WrongHash));
    first.decrypt(&mut one).unwrap();
    assert_eq!(one, b"alike");
}

#[test]
fn what_was_changed_on_the_way_is_not_decrypted() {
    let mut bytes = b"what is in the file".to_vec();
    let file = encrypt(&mut Counting(0), &mut bytes).at("mxc://a/b");
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        let before = changed.clone();
        assert_eq!(file.decrypt(&mut changed), Err(WrongHash));
        assert_eq!(changed, before, "nothing of it is decrypted");
        let mut decryptor = file.decryptor();
        decryptor.update(&mut changed);
        assert_eq!(decryptor.finish(), Err(WrongHash));
    }
    let mut cut = bytes[1..].to_vec();
    assert_eq!(file.decrypt(&mut cut), Err(WrongHash));
}

#[test]
fn the_member_at_fault_is_named() {
    let good = file(ONES, "//////////8AAAAAAAAAAA", "YzF08lARDdOCzJpzuSwsjTNlQc4pHxpdHcXiD/wpK6k");
    assert!(EncryptedFile::parse(&good).is_ok());
    for (pointer, value, at) in [
        ("/url", json!(1), "url"),
        ("/key", json!("x"), "key"),
        ("/key/kty", json!("RSA"), "key.kty"),
        ("/key/alg", json!("A128CTR"), "key.alg"),
        ("/key/key_ops", json!(["encrypt"]), "key.key_ops"),
        ("/key/key_ops", json!(["decrypt"]), "key.key_ops"),
        ("/key/key_ops", json!("encrypt"), "key.key_ops"),
        ("/key/ext", json!("true"), "key.ext"),
        ("/key/k", json!("AAAA"), "key.k"),
        ("/key/k", json!("//////////////////////////////////////////8"), "key.k"),
        ("/iv", json!("AAAA"), "iv"),
        ("/iv", json!("!"), "iv"),
        ("/hashes", json!({"md5": "x"}), "hashes.sha256"),
        ("/hashes/sha256", json!("AAAA"), "hashes.sha256"),
    ] {
        let mut bad = Value::Object(good.clone());
        *bad.pointer_mut(pointer).unwrap() = value;
        match EncryptedFile::parse(&object(bad)) {
            Err(FileError::Member { member, .. }) => assert_eq!(member, at),
            other => panic!("{pointer}: {other:?}"),
        }
    }
    for version in [json!("v1"), json!(2), json!("v3")] {
        let mut bad = good.clone();
        bad.insert("v".to_owned(), version);
        assert_eq!(EncryptedFile::parse(&bad), Err(FileError::Version));
    }
}

proptest! {
    #[test]
    fn pieces_make_no_difference(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 1_usize..40, seed in any::<u8>()) {
        let (mut whole, mut pieces) = (bytes.clone(), bytes.clone());
        let sealed = encrypt(&mut Counting(seed), &mut whole).at("mxc://a/b");
        let mut encryptor = Encryptor::new(&mut Counting(seed));
        pieces.chunks_mut(cut).for_each(|piece| encryptor.update(piece));
        prop_assert_eq!(&encryptor.finish().at("mxc://a/b"), &sealed);
        prop_assert_eq!(&pieces, &whole);
        let mut decryptor = sealed.decryptor();
        pieces.chunks_mut(cut.saturating_mul(2).saturating_add(1)).for_each(|piece| decryptor.update(piece));
        prop_assert_eq!(decryptor.finish(), Ok(()));
        prop_assert_eq!(&pieces, &bytes);
        sealed.decrypt(&mut whole).unwrap();
        prop_assert_eq!(whole, bytes);
    }

    #[test]
    fn what_is_written_is_read_back(name in ".{0,9}", seed in any::<u8>()) {
        let mut object = encrypt(&mut Counting(seed), &mut []).at("mxc://a/b").to_json();
        object.insert("mimetype".to_owned(), json!(name));
        let file = EncryptedFile::parse(&object).unwrap();
        prop_assert_eq!(file.to_json(), object);
    }
}
