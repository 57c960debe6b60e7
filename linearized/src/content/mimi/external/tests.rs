use super::*;
use crate::content::testing::Counting;

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The test cases 4 and 16 of the specification of GCM (McGrew, Viega), and RFC 8439 §2.8.2: number, key, nonce,
/// additional data, plaintext, ciphertext, tag.
fn published() -> Vec<(u16, [Vec<u8>; 6])> {
    let gcm_key = "feffe9928665731c6d6a8f9467308308";
    let gcm = |number, key: &str, ciphertext: &str, tag: &str| {
        let plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b52\
                     5b16aedf5aa0de657ba637b39";
        let aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
        (number, [key, "cafebabefacedbaddecaf888", aad, plain, ciphertext, tag].map(unhex))
    };
    let sunscreen = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                     sunscreen would be it.";
    let sunscreen: String = sunscreen.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![
        gcm(
            1,
            gcm_key,
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30\
             b396a0aac973d58e091",
            "5bc94fbc3221a5db94fae95ae7121a47",
        ),
        gcm(
            2,
            &gcm_key.repeat(2),
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61\
             e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
        (
            29,
            [
                "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
                "070000004041424344454647",
                "50515253c0c1c2c3c4c5c6c7",
                &sunscreen,
                "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71\
                 de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def0\
                 8e4b7a9de576d26586cec64b6116",
                "1ae10b594f09e26a7e902ecbd0600691",
            ]
            .map(unhex),
        ),
    ]
}

#[test]
fn published_ciphertexts_are_decrypted() {
    for (enc_alg, [key, nonce, aad, plaintext, ciphertext, tag]) in published() {
        let mut part = ExternalPart { enc_alg, key, nonce, aad, ..ExternalPart::default() };
        let whole = [ciphertext, tag].concat();
        let mut file = whole.clone();
        assert_eq!(part.open(&mut file), Ok(()));
        assert_eq!(file, plaintext);
        // Whatever is another, nothing is decrypted.
        for at in [0, whole.len() - 17, whole.len() - 1] {
            let mut other = whole.clone();
            other[at] ^= 1;
            let before = other.clone();
            assert_eq!(part.open(&mut other), Err(ExternalError::NotGenuine));
            assert_eq!(other, before);
        }
        for short in [0, 15, 16] {
            assert_eq!(part.open(&mut whole[..short].to_vec()), Err(ExternalError::NotGenuine), "{short}");
        }
        part.aad.push(0);
        assert_eq!(part.open(&mut whole.clone()), Err(ExternalError::NotGenuine));
        part.aad.pop();
        part.nonce.push(0);
        assert_eq!(part.open(&mut whole.clone()), Err(ExternalError::Field("nonce")));
        part.key.push(0);
        assert_eq!(part.open(&mut whole.clone()), Err(ExternalError::Field("key")));
        part.enc_alg = 3;
        assert_eq!(part.open(&mut whole.clone()), Err(ExternalError::Algorithm(3)));
    }
}

#[test]
fn what_is_sealed_is_opened() {
    for aead in [Aead::Aes128Gcm, Aead::Aes256Gcm, Aead::ChaCha20Poly1305] {
        assert_eq!(Aead::from_number(aead.number()), Some(aead));
        let mut rng = Counting(1);
        for file in [b"".as_slice(), b"a fish", &[7; 5_000]] {
            let mut bytes = file.to_vec();
            let part = aead.seal(&mut rng, &mut bytes).unwrap().at("https://example.org/f", "image/png");
            assert_eq!((bytes.len(), part.size), (file.len() + TAG_LEN, file.len() as u64));
            assert_eq!((part.key.len(), part.nonce.len(), part.hash_alg), (aead.key_len(), 12, 1));
            assert!(file.is_empty() || !bytes.starts_with(file));
            // It is a part that can be written, and is read back.
            let body = super::super::NestedPart::new(
                super::super::Disposition::Inline,
                super::super::Part::External(Box::new(part.clone())),
            );
            let message = super::super::MimiContent::new([1; 16], body);
            assert_eq!(super::super::MimiContent::parse(&message.to_bytes().unwrap()).unwrap(), message);

            let mut other = bytes.clone();
            other[0] ^= 1;
            assert_eq!(part.open(&mut other), Err(ExternalError::WrongHash));
            part.open(&mut bytes).unwrap();
            assert_eq!(bytes, file);
        }
    }
    assert_eq!(Aead::from_number(3), None);
    let mut rng = Counting(1);
    let of = |rng: &mut Counting| Aead::Aes128Gcm.seal(rng, &mut vec![0; 9]).unwrap().at("u", "");
    let (one, other) = (of(&mut rng), of(&mut rng));
    assert!(one.key != other.key && one.nonce != other.nonce, "every file has its own key");
}

#[test]
fn either_size_is_the_files() {
    let mut bytes = b"a fish".to_vec();
    let mut part = Aead::Aes128Gcm.seal(&mut Counting(1), &mut bytes).unwrap().at("u", "");
    for (size, most) in [(6, 22), (22, 38), (0, 100)] {
        part.size = size;
        assert_eq!((part.open(&mut bytes.clone()), part.most_bytes(100)), (Ok(()), most));
    }
    for size in [5, 7, 21, 23, u64::MAX] {
        part.size = size;
        assert_eq!(part.open(&mut bytes.clone()), Err(ExternalError::Size { told: size, found: 22 }));
    }
    assert_eq!((part.most_bytes(100), part.most_bytes(u64::MAX)), (100, u64::MAX));
    // What is not encrypted has one size.
    let mut plain = ExternalPart { size: 6, ..ExternalPart::default() };
    assert_eq!((plain.open(&mut b"a fish".to_vec()), plain.most_bytes(100)), (Ok(()), 6));
    assert!(plain.open(&mut vec![0; 22]).is_err());
    plain.size = 0;
    assert_eq!(plain.open(&mut vec![0; 22]), Ok(()));
}

#[test]
fn hashes_are_those_of_the_registry() {
    let abc = |hash_alg, hex: &str| {
        let part = ExternalPart { hash_alg, content_hash: unhex(hex), ..ExternalPart::default() };
        (part.open(&mut b"abc".to_vec()), part.open(&mut b"abd".to_vec()))
    };
    let sha_256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let sha_384 =
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7";
    let sha_512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd\
                   454d4423643ce80e2a9ac94fa54ca49f";
    for (number, hex) in [(1, sha_256), (7, sha_384), (8, sha_512)] {
        assert_eq!(abc(number, hex), (Ok(()), Err(ExternalError::WrongHash)), "{number}");
        assert_eq!(abc(number, &hex[2..]).0, Err(ExternalError::Field("contentHash")));
    }
    assert_eq!(abc(6, &sha_256[..8]).0, Err(ExternalError::HashAlgorithm(6)));
}
