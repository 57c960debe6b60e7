//! Cipher suites and the names Linearized Matrix gives them.
//!
//! LM-04 spells a cipher suite as the lower-case tail of several algorithm names: the room's encryption algorithm
//! (§4), the algorithm of a key package (§4.4) and of a Welcome (§4.3). The credential key of a device (§4.1) is named
//! after the suite's signature scheme alone. This module is the one place that knows those names.

mod x25519;

use core::fmt;

use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::types::{Ciphersuite, HpkeKemType, SignatureScheme as MlsSignatureScheme};

/// What a room's encryption algorithm starts with, in front of the suite's name (LM-04 §4).
pub(crate) const ROOM_ALGORITHM_PREFIX: &str = "m.mls.v1.";

/// What the algorithm of a device's credential key starts with, in front of the signature scheme's name (LM-04 §4.1).
pub(crate) const CREDENTIAL_KEY_PREFIX: &str = "m.mls.v1.credential.";

/// The length of what X-Wing puts out: a ciphertext of ML-KEM-768 and a public key of X25519.
const X_WING_OUTPUT_LEN: usize = 1088 + 32;

/// An MLS cipher suite this crate implements.
///
/// Every suite here can be told apart on the wire by [`code`](Self::code) and in events by the names below; nothing
/// outside this module depends on which suites exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// `MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519`, which every implementation must have (RFC 9420 §17.1).
    DhKemX25519Aes128GcmSha256Ed25519,
    /// `MLS_128_DHKEMP256_AES128GCM_SHA256_P256`, with ECDSA signatures.
    DhKemP256Aes128GcmSha256P256,
    /// `MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519`.
    DhKemX25519ChaCha20Poly1305Sha256Ed25519,
    /// `MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519` of draft-ietf-mls-pq-ciphersuites: the first suite with X-Wing,
    /// which joins ML-KEM-768 and X25519, as its KEM. What is recorded today stays secret when there are quantum
    /// computers; signatures are not post-quantum. Its number is provisional.
    MlKem768X25519Aes128GcmSha256Ed25519,
}

/// The names of one suite, spelled out so that each is a constant.
struct Names {
    suite: &'static str,
    room: &'static str,
    key_package: &'static str,
    welcome: &'static str,
}

macro_rules! names {
    ($suite:literal) => {
        Names {
            suite: $suite,
            room: concat!("m.mls.v1.", $suite),
            key_package: concat!("m.mls.v1.key_package.", $suite),
            welcome: concat!("m.mls.v1.welcome.", $suite),
        }
    };
}

impl Suite {
    /// The suite LM-04 requires everybody to support (§4).
    pub const MANDATORY: Self = Self::DhKemX25519Aes128GcmSha256Ed25519;

    /// Every suite of this crate, the mandatory one first.
    pub const ALL: &'static [Self] = &[
        Self::DhKemX25519Aes128GcmSha256Ed25519,
        Self::DhKemP256Aes128GcmSha256P256,
        Self::DhKemX25519ChaCha20Poly1305Sha256Ed25519,
        Self::MlKem768X25519Aes128GcmSha256Ed25519,
    ];

    const fn names(self) -> &'static Names {
        match self {
            Self::DhKemX25519Aes128GcmSha256Ed25519 => {
                const { &names!("dhkemx25519-aes128gcm-sha256-ed25519") }
            }
            Self::DhKemP256Aes128GcmSha256P256 => const { &names!("dhkemp256-aes128gcm-sha256-p256") },
            Self::DhKemX25519ChaCha20Poly1305Sha256Ed25519 => {
                const { &names!("dhkemx25519-chacha20poly1305-sha256-ed25519") }
            }
            Self::MlKem768X25519Aes128GcmSha256Ed25519 => {
                const { &names!("mlkem768x25519-aes128gcm-sha256-ed25519") }
            }
        }
    }

    /// The suite's number in the IANA registry of MLS cipher suites.
    pub fn code(self) -> u16 {
        u16::from(self.ciphersuite())
    }

    /// The suite with that number in the IANA registry, if this crate has it.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.code() == code)
    }

    /// The suite's name as LM-04 writes it, without any prefix: `dhkemx25519-aes128gcm-sha256-ed25519`.
    pub const fn name(self) -> &'static str {
        self.names().suite
    }

    /// The algorithm of rooms, events and devices that use this suite: `m.mls.v1.` and the name (LM-04 §4).
    pub const fn room_algorithm(self) -> &'static str {
        self.names().room
    }

    /// The algorithm of this suite's key packages: `m.mls.v1.key_package.` and the name (LM-04 §4.4).
    pub const fn key_package_algorithm(self) -> &'static str {
        self.names().key_package
    }

    /// The algorithm of this suite's Welcome messages: `m.mls.v1.welcome.` and the name (LM-04 §4.3).
    pub const fn welcome_algorithm(self) -> &'static str {
        self.names().welcome
    }

    /// The key algorithm of the credential that goes with this suite: that of its signature scheme (LM-04 §4.1).
    pub const fn credential_key_algorithm(self) -> &'static str {
        self.signature_scheme().credential_key_algorithm()
    }

    /// The scheme with which members of a group of this suite sign.
    pub const fn signature_scheme(self) -> SignatureScheme {
        match self {
            Self::DhKemX25519Aes128GcmSha256Ed25519
            | Self::DhKemX25519ChaCha20Poly1305Sha256Ed25519
            | Self::MlKem768X25519Aes128GcmSha256Ed25519 => SignatureScheme::Ed25519,
            Self::DhKemP256Aes128GcmSha256P256 => SignatureScheme::EcdsaP256,
        }
    }

    /// The suite with that [`name`](Self::name). Names are compared byte for byte.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.name() == name)
    }

    /// The suite of a room whose `encryption.algorithm` is `algorithm`.
    pub fn from_room_algorithm(algorithm: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.room_algorithm() == algorithm)
    }

    /// The suite of key packages whose algorithm is `algorithm`, without a key version.
    pub fn from_key_package_algorithm(algorithm: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.key_package_algorithm() == algorithm)
    }

    /// The suite of Welcome messages whose algorithm is `algorithm`.
    pub fn from_welcome_algorithm(algorithm: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.welcome_algorithm() == algorithm)
    }

    pub(crate) const fn ciphersuite(self) -> Ciphersuite {
        match self {
            Self::DhKemX25519Aes128GcmSha256Ed25519 => {
                Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519
            }
            Self::DhKemP256Aes128GcmSha256P256 => Ciphersuite::MLS_128_DHKEMP256_AES128GCM_SHA256_P256,
            Self::DhKemX25519ChaCha20Poly1305Sha256Ed25519 => {
                Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519
            }
            Self::MlKem768X25519Aes128GcmSha256Ed25519 => {
                Ciphersuite::MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519
            }
        }
    }

    /// Whether something can be encrypted to `public_key`. A key of the wrong length, one that is no point of the curve,
    /// or one that makes the shared secret zero, can be put into a leaf by a hostile member, and then nobody can commit
    /// past that leaf.
    pub(crate) fn can_encrypt_to(self, public_key: &[u8]) -> bool {
        let config = self.ciphersuite().hpke_config();
        match config.0 {
            HpkeKemType::DhKem25519 => x25519::is_usable(public_key),
            _ => RustCrypto::default().hpke_seal(config, public_key, b"", b"", b"").is_ok(),
        }
    }

    /// Whether `bytes` can be an output of the suite's KEM, so that a group can go on from an external init with it.
    pub(crate) fn is_kem_output(self, bytes: &[u8]) -> bool {
        match self {
            // What a Diffie-Hellman KEM puts out is a public key (RFC 9180 §4.1).
            Self::DhKemX25519Aes128GcmSha256Ed25519
            | Self::DhKemP256Aes128GcmSha256P256
            | Self::DhKemX25519ChaCha20Poly1305Sha256Ed25519 => self.can_encrypt_to(bytes),
            // Anything of the right length can be decapsulated.
            Self::MlKem768X25519Aes128GcmSha256Ed25519 => bytes.len() == X_WING_OUTPUT_LEN,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A signature scheme of a [`Suite`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA with the curve P-256 and SHA-256, keys as uncompressed points and signatures in DER (RFC 9420 §5.1.2).
    EcdsaP256,
}

impl SignatureScheme {
    /// Every scheme of this crate.
    pub const ALL: &'static [Self] = &[Self::Ed25519, Self::EcdsaP256];

    /// The scheme's name as it ends a suite's name and a credential key's algorithm: `ed25519`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "p256",
        }
    }

    /// The key algorithm of credentials of this scheme: `m.mls.v1.credential.` and the name (LM-04 §4.1).
    pub const fn credential_key_algorithm(self) -> &'static str {
        match self {
            Self::Ed25519 => "m.mls.v1.credential.ed25519",
            Self::EcdsaP256 => "m.mls.v1.credential.p256",
        }
    }

    /// The scheme of credentials whose key algorithm is `algorithm`.
    pub fn from_credential_key_algorithm(algorithm: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.credential_key_algorithm() == algorithm)
    }

    pub(crate) const fn mls(self) -> MlsSignatureScheme {
        match self {
            Self::Ed25519 => MlsSignatureScheme::ED25519,
            Self::EcdsaP256 => MlsSignatureScheme::ECDSA_SECP256R1_SHA256,
        }
    }

    /// Whether `signature` is the signature of `message` by the owner of `public_key`, in the strict sense of MLS
    /// leaves: no small-order keys, and with Ed25519 no malleable signatures. An ECDSA signature has two forms.
    pub(crate) fn verifies(self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        RustCrypto::default().verify_signature(self.mls(), message, public_key, signature).is_ok()
    }
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mandatory_suite_has_the_names_of_the_draft() {
        let suite = Suite::MANDATORY;
        assert_eq!(suite.code(), 1);
        assert_eq!(suite.room_algorithm(), "m.mls.v1.dhkemx25519-aes128gcm-sha256-ed25519");
        assert_eq!(
            suite.key_package_algorithm(),
            "m.mls.v1.key_package.dhkemx25519-aes128gcm-sha256-ed25519"
        );
        assert_eq!(suite.welcome_algorithm(), "m.mls.v1.welcome.dhkemx25519-aes128gcm-sha256-ed25519");
        assert_eq!(suite.credential_key_algorithm(), "m.mls.v1.credential.ed25519");
    }

    #[test]
    fn every_name_leads_back_to_its_suite() {
        for &suite in Suite::ALL {
            assert_eq!(Suite::from_code(suite.code()), Some(suite));
            assert_eq!(Suite::from_name(suite.name()), Some(suite));
            assert_eq!(Suite::from_room_algorithm(suite.room_algorithm()), Some(suite));
            assert_eq!(Suite::from_key_package_algorithm(suite.key_package_algorithm()), Some(suite));
            assert_eq!(Suite::from_welcome_algorithm(suite.welcome_algorithm()), Some(suite));
            assert!(suite.room_algorithm().starts_with(ROOM_ALGORITHM_PREFIX));
            assert!(suite.name().ends_with(suite.signature_scheme().name()));
        }
        for &scheme in SignatureScheme::ALL {
            let algorithm = scheme.credential_key_algorithm();
            assert_eq!(SignatureScheme::from_credential_key_algorithm(algorithm), Some(scheme));
            assert_eq!(algorithm.strip_prefix(CREDENTIAL_KEY_PREFIX), Some(scheme.name()));
        }
    }

    #[test]
    fn names_are_the_tails_of_the_registered_names_in_lower_case() {
        for &suite in Suite::ALL {
            let registered = format!("{:?}", suite.ciphersuite());
            let tail = registered.splitn(3, '_').last().unwrap().to_lowercase().replace('_', "-");
            assert_eq!(suite.name(), tail);
        }
        let codes: Vec<_> = Suite::ALL.iter().map(|suite| suite.code()).collect();
        assert_eq!(codes, [1, 2, 3, 0x004f]);
    }

    #[test]
    fn other_names_lead_nowhere() {
        assert_eq!(Suite::from_code(0), None);
        assert_eq!(Suite::from_code(4), None);
        assert_eq!(Suite::from_room_algorithm("m.megolm.v1.aes-sha2"), None);
        assert_eq!(Suite::from_room_algorithm("m.mls.v1.DHKEMX25519-aes128gcm-sha256-ed25519"), None);
        assert_eq!(Suite::from_room_algorithm(Suite::MANDATORY.key_package_algorithm()), None);
        assert_eq!(Suite::from_key_package_algorithm(Suite::MANDATORY.room_algorithm()), None);
        assert_eq!(SignatureScheme::from_credential_key_algorithm("m.mls.v1.credential.p384"), None);
    }

    #[test]
    fn keys_nobody_can_encrypt_to_are_recognised() {
        let crypto = RustCrypto::default();
        for &suite in Suite::ALL {
            let config = || suite.ciphersuite().hpke_config();
            let sound = crypto.derive_hpke_keypair(config(), &[7; 32]).unwrap().public;
            assert!(suite.can_encrypt_to(&sound), "{suite}");
            assert!(!suite.can_encrypt_to(&sound[..sound.len() - 1]), "{suite}");
            assert!(!suite.can_encrypt_to(&[&sound[..], &[0]].concat()), "{suite}");
            assert!(!suite.can_encrypt_to(&[]), "{suite}");
            let sealed = crypto.hpke_seal(config(), &sound, b"", b"", b"").unwrap();
            let output = sealed.kem_output.as_slice();
            assert!(suite.is_kem_output(output), "{suite}");
            assert!(!suite.is_kem_output(&output[1..]), "{suite}");
            assert!(!suite.is_kem_output(&[]), "{suite}");
            let zero = vec![0; sound.len()];
            match suite {
                Suite::DhKemX25519Aes128GcmSha256Ed25519
                | Suite::DhKemX25519ChaCha20Poly1305Sha256Ed25519 => {
                    assert!(!suite.can_encrypt_to(&zero), "a point of small order");
                }
                Suite::DhKemP256Aes128GcmSha256P256 => assert!(!suite.can_encrypt_to(&zero), "no point"),
                // Any polynomials will do for ML-KEM, and X-Wing does not rely on X25519 alone.
                Suite::MlKem768X25519Aes128GcmSha256Ed25519 => assert!(suite.can_encrypt_to(&zero)),
            }
        }
    }
}
