//! Encrypted files.

use serde_json::{Value, json};

use super::{accepted, published};
use crate::vectors::{Group, Vector};

const ONES: &str = "__________________________________________8";
const HASH: &str = "YzF08lARDdOCzJpzuSwsjTNlQc4pHxpdHcXiD/wpK6k";
/// `Hello, World`, encrypted with that key and counter block.
const CIPHERTEXT: &str = "e712594ede5c422726fbd7f8";

fn file(k: &str, iv: &str, sha256: &str) -> Value {
    json!({
        "url": "mxc://example.org/file", "v": "v2", "iv": iv, "hashes": {"sha256": sha256},
        "key": {"kty": "oct", "key_ops": ["encrypt", "decrypt"], "alg": "A256CTR", "k": k, "ext": true},
    })
}

fn good(file: &Value, ciphertext: &str, plaintext: &str, comment: &str) -> Vector {
    let input = json!({"file": file.to_string(), "hex": ciphertext});
    published(Vector::valid("MF-01/2/164", comment, input, accepted(json!({"hex": plaintext}))))
}

/// What Matrix's implementations test one another with.
fn shared() -> Vec<Vector> {
    let alphanumerically = "616c7068616e756d65726963616c6c79".repeat(4);
    let ciphertext = "ce1b454ad01e171d2cfbd2ffb1240ef9640cb6576a6041ea4f131db89ac22299e4c9eaf4f64c4926e0382be69d404e30\
                      fbb8d97bfbd1f6421caa3f6b3a10d1f1";
    vec![
        good(
            &file(&"A".repeat(43), &"A".repeat(22), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"),
            "",
            "",
            "an empty file",
        ),
        good(
            &file(ONES, "//////////8AAAAAAAAAAA", HASH),
            CIPHERTEXT,
            "48656c6c6f2c20576f726c64",
            "less than a block",
        ),
        good(
            &file(ONES, "//////////8AAAAAAAAAAA", "IOq7/dHHB+mfHfxlRY5XMeCWEwTPmlf4cJcgrkf6fVU"),
            ciphertext,
            &alphanumerically,
            "four blocks",
        ),
    ]
}

fn changed() -> Vec<Vector> {
    let good = file(ONES, "//////////8AAAAAAAAAAA", HASH);
    let with = |requirement: &str, pointer: &str, value: Value, comment: &str| {
        let mut bad = good.clone();
        if let Some(member) = bad.pointer_mut(pointer) {
            *member = value;
        }
        let input = json!({"file": bad.to_string(), "hex": CIPHERTEXT});
        Vector::refused(requirement, comment, input)
    };
    let other = |hex: &str, comment: &str| {
        let input = json!({"file": good.to_string(), "hex": hex});
        Vector::refused("MF-01/2/168", comment, input)
    };
    vec![
        with("MF-01/2/159", "/url", json!(1), "a URL that is a number"),
        with("MF-01/2/160", "/key", json!("x"), "a key that is a text"),
        with("MF-01/2/161", "/key/kty", json!("RSA"), "a key of another type"),
        with("MF-01/2/162", "/key/key_ops", json!(["encrypt"]), "a key that may not decrypt"),
        with("MF-01/2/163", "/key/alg", json!("A128CTR"), "a key for another cipher"),
        with("MF-01/2/164", "/key/k", json!("AAAA"), "a key of 24 bits"),
        with(
            "MF-01/2/164",
            "/key/k",
            json!("//////////////////////////////////////////8"),
            "a key in the other base64",
        ),
        with("MF-01/2/165", "/key/ext", json!(false), "a key that is not to be taken out"),
        with("MF-01/2/166", "/iv", json!("AAAA"), "a counter block of 24 bits"),
        with("MF-01/2/168", "/hashes", json!([]), "hashes that are an array"),
        with(
            "MF-01/2/168",
            "/hashes/sha256",
            json!("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"),
            "another file's hash",
        ),
        with("MF-01/2/170", "/v", json!("v3"), "another version"),
        with("MF-01/2/170", "/v", json!(2), "a version that is a number"),
        other("e712594ede5c422726fbd7f9", "a file whose last bit was changed"),
        other("e712594ede5c422726fbd7", "a file cut short"),
        other("", "no file"),
    ]
}

pub(super) fn group() -> Group {
    let tests = [shared(), changed()].into_iter().flatten().collect();
    let about = "`hex` is what was downloaded of the encrypted file that `file` describes, the text of a Matrix \
                 `EncryptedFile`. It is `accepted` if the description is one and the hash is right; `hex` in what is \
                 expected is the file.";
    Group::new("encrypted-file", about, tests)
}
